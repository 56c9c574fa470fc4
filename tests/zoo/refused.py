"""What is no function of weights and batches: chance, order, state of an unknown kind. Refused, whatever is asked."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

from .entry import Case, Entry, ce, classifier, images, mlp, then


def dropping() -> Case:
    """Dropout whatever the mode (Monte Carlo)."""

    def put(s: Any, x: Tensor) -> Tensor:
        return s.b(F.dropout(torch.tanh(s.a(x)), 0.5, training=True))

    model = then(put, a=nn.Linear(5, 9), b=nn.Linear(9, 3))
    return classifier(model, shape=(5,))


def noisy() -> Case:
    model = then(lambda s, x: s.net(x + 0.1 * torch.randn_like(x)), net=mlp())
    return classifier(model, shape=(5,))


def rarely() -> Case:
    """Noise of the size of a rounding error in single precision: small, and chance all the same."""
    model = then(lambda s, x: s.net(x + 1e-5 * torch.randn_like(x)), net=mlp())
    return classifier(model, shape=(5,))


def in_train_mode() -> Case:
    case = classifier(nn.Linear(5, 9), nn.Dropout(0.5), nn.Linear(9, 3), shape=(5,))
    case.keywords["mode"] = "train"
    return case


def shuffled() -> Case:
    data = TensorDataset(torch.randn(40, 5), torch.randint(3, (40,)))
    return Case(mlp(), ce, DataLoader(data, batch_size=16, shuffle=True), truth=[data.tensors])


class Redrawn:
    """A loader that augments: other inputs at every reading."""

    def __init__(self) -> None:
        self.pairs = images(5)

    def __iter__(self) -> Any:
        return ((x + 0.1 * torch.randn_like(x), y) for x, y in self.pairs)


class Augmented(Dataset):
    def __init__(self) -> None:
        self.x = torch.randn(9, 5)

    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.x[index] + 0.1 * torch.randn(5), index % 3


class Shrinking:
    """One batch less at every reading but the first."""

    def __init__(self) -> None:
        self.pairs, self.read = images(5), 0

    def __iter__(self) -> Any:
        self.read += 1
        return iter(self.pairs[: 3 if self.read == 1 else 2])


def stream() -> Case:
    pairs = images(5)
    return Case(mlp(), ce, iter(pairs), truth=pairs)


class Leaky(nn.Module):
    """A neuron that keeps its membrane; of nobody's library."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind
        if kind == "buffer":
            self.register_buffer("v", torch.zeros(()))
        else:
            self.v: Any = 0.0 if kind == "number" else [0.0]

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "buffer":
            self.v = 0.5 * self.v + x.detach().mean()
            return torch.tanh(x + self.v)
        if self.kind == "list":
            self.v[0] = self.v[0] * 0.5 + x.mean()
            return torch.tanh(x + self.v[0])
        self.v = 0.5 * self.v + x.mean(0)
        return torch.tanh(x + self.v)


def emptied(model: Any) -> None:
    neuron = model[1]
    neuron.v = {"buffer": torch.zeros(()).to(model[0].weight), "number": 0.0, "list": [0.0]}[neuron.kind]


def stateful(kind: str, reset: bool = False) -> Case:
    model = nn.Sequential(nn.Linear(5, 4), Leaky(kind), nn.Linear(4, 3))
    return Case(model, ce, images(5), {"reset": emptied} if reset else {}, fresh=emptied)


def in_order() -> Case:
    """State in a Python list outside of every module."""
    past: list[float] = [0.0]

    def put(s: Any, x: Tensor) -> Tensor:
        past[0] = 0.5 * past[0] + float(x.mean())
        return s.net(x + past[0])

    return classifier(then(put, net=mlp()), shape=(5,))


R = "refused"
CHANCE = {"all": "refused: determin|differ|random|same|twice"}
ORDER = {"all": "refused: state|before|order|reset"}
READING = {"all": "refused: shuffl|differ|same|augment|random"}
ENTRIES = (
    Entry("dropout always", R, dropping, expects=CHANCE, half=True),
    Entry("dropout in train mode", R, in_train_mode, expects=CHANCE),
    Entry("noise", R, noisy, expects=CHANCE),
    Entry("little noise", R, rarely, expects=CHANCE),
    Entry("shuffled loader", R, shuffled, expects={"all": "refused: shuffl"}, half=True),
    Entry("augmenting loader", R, lambda: Case(mlp(), ce, Redrawn()), expects=READING, half=True),
    Entry("augmenting data set", R, lambda: Case(mlp(), ce, DataLoader(Augmented(), batch_size=4)), expects=READING),
    Entry("shrinking loader", R, lambda: Case(mlp(), ce, Shrinking()),
          expects={"all": "refused: same|examples|batches"}),
    Entry("batches read once", R, stream, expects={"all": "refused: once|list", "surface": "either: once|list"}),
    Entry("state in a number", R, lambda: stateful("number"), expects=ORDER, half=True),
    Entry("state in a list", R, lambda: stateful("list"), expects=ORDER),
    Entry("state in a buffer", R, lambda: stateful("buffer"), expects=ORDER),
    Entry("state outside", R, in_order, expects=ORDER),
    Entry("state in a number, reset", R, lambda: stateful("number", True), half=True, dirty=True),
    Entry("state in a list, reset", R, lambda: stateful("list", True), dirty=True),
    Entry("state in a buffer, reset", R, lambda: stateful("buffer", True), dirty=True),
)  # fmt: skip
