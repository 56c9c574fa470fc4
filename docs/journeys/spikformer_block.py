"""A Spikformer block of SpikingJelly's neurons on digits: attention between spikes, T steps first."""

import torch
from sklearn.datasets import load_digits
from spikingjelly.activation_based import functional, neuron
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

from analysis.subject import Subject

digits = load_digits()
IMAGES, LABELS = torch.tensor(digits.images, dtype=torch.float32) / 16, torch.tensor(digits.target)


class Block(nn.Module):
    """Eight rows of eight pixels are its tokens."""

    def __init__(self, width=16):
        super().__init__()
        self.T, self.embed, self.head = 4, nn.Linear(8, width), nn.Linear(width, 10)
        self.q, self.k, self.v, self.proj = (nn.Linear(width, width) for _ in range(4))
        names = ("embed", "q", "k", "v", "attn", "proj")
        self.spike = nn.ModuleDict({name: neuron.LIFNode(tau=2.0, step_mode="m") for name in names})

    def forward(self, x):
        x = self.spike["embed"](self.embed(x).expand(self.T, *x.shape[:2], -1))
        q, k, v = (self.spike[name](getattr(self, name)(x)) for name in ("q", "k", "v"))
        x = x + self.spike["proj"](self.proj(self.spike["attn"](q @ k.transpose(-2, -1) @ v * 0.25)))
        return self.head(x.mean(2))


def subjects(seeds=2, epochs=40):
    train, test = TensorDataset(IMAGES[:200], LABELS[:200]), TensorDataset(IMAGES[200:600], LABELS[200:600])
    for method, rate in (("slow", 2e-3), ("fast", 1e-2)):
        for seed in range(seeds):
            torch.manual_seed(seed)
            network = Block()
            optimizer = torch.optim.Adam(network.parameters(), rate)
            for _ in range(epochs):
                functional.reset_net(network)
                optimizer.zero_grad()
                cross_entropy(network(IMAGES[:200]).mean(0), LABELS[:200]).backward()
                optimizer.step()
            yield Subject(network, train=train, test=test, data="digits", method=method, seed=seed)
