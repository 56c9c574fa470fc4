"""An LSTM that continues a sine: regression, with a loss of its own and no accuracy."""

import torch
from torch import nn
from torch.utils.data import TensorDataset

from analysis.subject import Subject


class Forecast(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(1, 12, batch_first=True), nn.Linear(12, 1)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def waves(number, seed):
    phase = 6.3 * torch.rand(number, 1, generator=torch.Generator().manual_seed(seed))
    wave = torch.sin(0.5 * torch.arange(13) + phase)
    return TensorDataset(wave[:, :12, None], wave[:, 12:])


def squared(output, target):
    return (output - target).square().mean(1)


def subjects(seeds=2, epochs=100):
    train, test = waves(64, 0), waves(64, 1)
    for method, decay in (("plain", 0.0), ("decayed", 0.03)):
        for seed in range(seeds):
            torch.manual_seed(seed)
            network = Forecast()
            optimizer = torch.optim.AdamW(network.parameters(), 1e-2, weight_decay=decay)
            for _ in range(epochs):
                optimizer.zero_grad()
                squared(network(train.tensors[0]), train.tensors[1]).mean().backward()
                optimizer.step()
            yield Subject(
                network, train=train, test=test, losses={"mse": squared}, data="sine", method=method, seed=seed
            )
