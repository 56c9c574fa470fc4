"""One memory by several names; weights tied, frozen, unused, of odd shapes and layouts."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .entry import Case, Entry, ce, classifier, images, mlp, then, tokens


class View(nn.Module):
    """A view of the weight made once, by a name of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.out = nn.Parameter(torch.randn(20)), nn.Linear(4, 3)
        self.alias = self.weight.view(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(F.linear(x, self.alias)) + self.weight.sum())


class Rows(nn.Module):
    """A list of views, a row each, outside of any graph: what they do has no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.out = nn.Parameter(torch.randn(4, 5)), nn.Linear(4, 3)
        self.rows = [row.detach() for row in self.weight]

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(torch.stack([x @ row for row in self.rows], 1) + F.linear(x, self.weight)))


class Shared(nn.Module):
    """A buffer in the weight's own memory (a codebook read without a gradient)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.out = nn.Parameter(torch.randn(4, 5)), nn.Linear(4, 3)
        self.table: Any
        self.register_buffer("table", self.weight.detach()[1:3])

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(F.linear(x, self.weight) + (x @ self.table.T).repeat(1, 2)))


class Flat(nn.Module):
    """All weights in one vector; layers take slices of it."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Parameter(torch.randn(35))

    def forward(self, x: Tensor) -> Tensor:
        first, bias, last = self.flat.split([20, 3, 12])
        return torch.tanh(x @ first.view(5, 4)) @ last.view(4, 3) + bias


class Parted(nn.Module):
    """Parameters that are slices of one memory, as flattened optimizers lay them out."""

    def __init__(self) -> None:
        super().__init__()
        memory = torch.randn(32)
        self.first, self.last = nn.Parameter(memory[:20].view(4, 5)), nn.Parameter(memory[20:].view(3, 4))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.first.T) @ self.last.T


def tied() -> Case:
    model: Any = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))
    model[2].weight = model[0].weight
    return classifier(model, shape=(4,))


def twice() -> Case:
    """One module in two places, under two names."""
    layer = nn.Linear(4, 4)
    return classifier(nn.Sequential(layer, nn.Tanh(), layer, nn.Linear(4, 3)), shape=(4,))


def autoencoder() -> Case:
    """Decoder weights are the encoder's, transposed; the loss is per image."""
    model = then(lambda s, x: F.linear(torch.tanh(s.code(x)), s.code.weight.T), code=nn.Linear(5, 3))
    return Case(model, lambda z, y: (z - y).square().mean(1), [(x, x) for x, _ in images(5)])


def words() -> Case:
    """Input and output embeddings tied, by assignment."""
    model = then(lambda s, x: s.out(torch.tanh(s.words(x).mean(1))), words=nn.Embedding(6, 3), out=nn.Linear(3, 6))
    model.out.weight = model.words.weight
    return Case(model, ce, tokens(3))


def frozen() -> Case:
    case = classifier(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 3), shape=(5,))
    case.model[0].weight.requires_grad_(False)
    case.model[1].requires_grad_(False)
    return case


def unused() -> Case:
    model = then(lambda self, x: self.net(x), net=mlp(), never=nn.Linear(2, 2))
    model.scale = nn.Parameter(torch.randn(2, 3))
    return classifier(model, shape=(5,))


def chosen() -> Case:
    case = classifier(mlp(), shape=(5,))
    case.names = ["2.weight", "0.bias"]
    return case


def scalars() -> Case:
    """A temperature without dimensions, an empty parameter, parameters in lists and dicts."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.temperature, self.none = nn.Parameter(torch.tensor(1.5)), nn.Parameter(torch.zeros(0, 3))
            self.rows = nn.ParameterList([torch.randn(5) for _ in range(3)])
            self.named = nn.ParameterDict({"shift": torch.randn(3)})

        def forward(self, x: Tensor) -> Tensor:
            return (torch.stack([x @ row for row in self.rows], 1) + self.named["shift"]) * self.temperature

    return Case(Model(), ce, images(5))


def laid_out() -> Case:
    """Weights channels last, a weight stored transposed."""
    model: Any = nn.Sequential(nn.Conv2d(2, 4, 2), nn.Tanh(), nn.Flatten(), nn.Linear(16, 3))
    model = model.to(memory_format=torch.channels_last)
    model[3].weight = nn.Parameter(torch.randn(16, 3).T)
    return classifier(model, shape=(2, 3, 3))


A = "alias"
# The loss moves by a path that autograd does not see: its gradient would not be the loss's.
DETACHED = dict.fromkeys(("worst", "gradient", "hessian", "gauss_newton", "remainder"), "refused: detached")
ENTRIES = (
    Entry("view of a weight", A, lambda: Case(View(), ce, images(5)), half=True),
    Entry("list of row views", A, lambda: Case(Rows(), ce, images(5)), half=True, expects=DETACHED),
    Entry("buffer in a weight's memory", A, lambda: Case(Shared(), ce, images(5)), half=True, expects=DETACHED),
    Entry("flat vector of weights", A, lambda: Case(Flat(), ce, images(5))),
    Entry("weights in one memory", A, lambda: Case(Parted(), ce, images(5))),
    Entry("tied", A, tied),
    Entry("one layer in two places", A, twice),
    Entry("tied transposed", A, autoencoder, half=True, smooth=True),
    Entry("tied embeddings", A, words),
    Entry("frozen", A, frozen),
    Entry("unused weights", A, unused, half=True),
    Entry("chosen weights", A, chosen),
    Entry("scalar, empty, listed weights", A, scalars),
    Entry("layouts", A, laid_out),
)
