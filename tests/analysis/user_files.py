"""What a user's file may hold, for tests of subjects: small networks of several kinds with data that fit them."""

SUBJECTS = """
import torch
from torch import nn
from torch.utils.data import TensorDataset

from analysis.subject import Subject


def images(count, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    return TensorDataset(torch.randn(count, 1, 4, 4, generator=generator) + labels[:, None, None, None], labels)


class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Linear(4 * width, 3)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).relu().flatten(1))


def subjects(width=4, seeds=2, method="both"):
    for name, rate in (("slow", 0.05), ("fast", 0.3)):
        for seed in range(seeds if method in ("both", name) else 0):
            torch.manual_seed(seed)
            network, train = Net(width), images(30, seed)
            optimizer = torch.optim.SGD(network.parameters(), rate)
            for _ in range(8):
                optimizer.zero_grad()
                nn.functional.cross_entropy(network(train.tensors[0]), train.tensors[1]).backward()
                optimizer.step()
            yield Subject(
                network, train=train, test=images(24, 100), method=name, seed=seed, factors={"learning_rate": rate}
            )


one = Subject(Net(), train=images(12, 0), name="alone")


def none():
    return []


def number():
    return 3


def fails():
    width = 1
    return [Net(width).there_is_no_such_thing]


def twice():
    return [Subject(Net(), train=images(6, 0), name="same") for _ in range(2)]


def empty():
    return Subject(Net(), train=images(0, 0))


def out_of_range():
    return Subject(Net(), train=TensorDataset(torch.randn(6, 1, 4, 4), torch.arange(6)))


def wrong_loss():
    return Subject(Net(), train=images(6, 0), losses={"mine": lambda output, target: output.mean(0)})


def raising_loss():
    return Subject(Net(), train=images(6, 0), losses={"mine": lambda output, target: output.nothing})


def shuffled():
    return Subject(Net(), train=torch.utils.data.DataLoader(images(12, 0), 4, shuffle=True))


def several():
    class Two(Net):
        def forward(self, x):
            found = super().forward(x)
            return found, found

    return Subject(Two(), train=images(6, 0))


def probabilities():
    return Subject(nn.Sequential(Net(), nn.Softmax(1)), train=images(6, 0))
"""
