"""An snnTorch network on digits, trained by the loss of its mean output and by that of every step."""

import snntorch
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

from analysis.subject import Subject

digits = load_digits()
IMAGES, LABELS = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)


class Net(nn.Module):
    def __init__(self, num_steps=4):
        super().__init__()
        self.num_steps, self.hidden, self.head = num_steps, nn.Linear(64, 32), nn.Linear(32, 10)
        self.neuron = snntorch.Leaky(beta=0.8, init_hidden=True)

    def forward(self, x):
        self.neuron.reset_mem()
        return torch.stack([self.head(self.neuron(self.hidden(x))) for _ in range(self.num_steps)])


def subjects(seeds=2, epochs=60):
    train, test = TensorDataset(IMAGES[:200], LABELS[:200]), TensorDataset(IMAGES[200:600], LABELS[200:600])
    for method, of in (
        ("mean", lambda out, y: cross_entropy(out.mean(0), y)),
        ("every step", lambda out, y: cross_entropy(out.flatten(0, 1), y.repeat(len(out)))),
    ):
        for seed in range(seeds):
            torch.manual_seed(seed)
            network = Net()
            optimizer = torch.optim.Adam(network.parameters(), 5e-3)
            for _ in range(epochs):
                optimizer.zero_grad()
                of(network(IMAGES[:200]), LABELS[:200]).backward()
                optimizer.step()
            yield Subject(network, train=train, test=test, data="digits", method=method, seed=seed)
