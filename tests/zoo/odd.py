"""What is easily overlooked: first layers in odd use, attributes that can't be copied, resets that aren't for state."""

import threading
from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn
from torch.nn import functional as F

from .entry import Case, Entry, ce, classifier, images, labels, mlp, then


def siamese() -> Case:
    """One first layer, twice on different parts of the input."""

    def put(s: Any, x: Tensor) -> Tensor:
        return s.out(torch.tanh(s.a(x[:, 0])) - torch.tanh(s.a(x[:, 1])) + s.b(x[:, 0, :2]))

    return classifier(then(put, a=nn.Linear(4, 4), b=nn.Linear(2, 4), out=nn.Linear(4, 3)), shape=(2, 4))


def conjugate() -> Case:
    """A complex first layer on the input and on its conjugate, which is the same memory read otherwise."""

    def put(s: Any, x: Tensor) -> Tensor:
        hidden = s.a(x) + 2j * s.a(x.conj())
        return s.out(torch.view_as_real(torch.tanh(hidden)).flatten(1))

    model = then(put, a=nn.Linear(3, 2).to(torch.complex128), out=nn.Linear(4, 3))
    batches = [(torch.randn(len(y), 3, dtype=torch.complex128), y) for y in labels()]
    return Case(model, ce, batches)


def between() -> Case:
    """A first layer before and after the input is written to."""

    def put(s: Any, x: Tensor) -> Tensor:
        before = s.a(x)
        x.mul_(0.5).add_(1)
        return s.out(torch.tanh(before) * torch.tanh(s.a(x)))

    def plainly(model: Any, batch: Any) -> Tensor:
        x = batch[0]
        return model.out(torch.tanh(model.a(x)) * torch.tanh(model.a(x * 0.5 + 1)))

    return Case(then(put, a=nn.Linear(5, 4), out=nn.Linear(4, 3)), ce, images(5), plain=plainly)


def put_in_place() -> Case:
    """A layer whose forward was replaced by hand."""
    case = classifier(mlp(), shape=(5,))
    case.model[0].forward = MethodType(lambda s, x: torch.sin(F.linear(x, s.weight.square(), s.bias)), case.model[0])
    return case


class LowRank(nn.Linear):
    """Its weight is a property of two others."""

    def __init__(self) -> None:
        super().__init__(5, 4)
        del self.weight
        self.left, self.right = nn.Parameter(torch.randn(4, 2)), nn.Parameter(torch.randn(2, 5))

    def __getattr__(self, name: str) -> Any:
        made = name == "weight" and "right" in self._parameters
        return self.left @ self.right if made else super().__getattr__(name)


class Uncopied(nn.Module):
    """Holds what can't be copied: a lock, a generator, a function, an open file."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.lock, self.generator = mlp(), threading.Lock(), torch.Generator()
        self.file, self.after = open("/dev/null"), lambda x: x + 1  # noqa: SIM115, PTH123 - left open on purpose

    def forward(self, x: Tensor) -> Tensor:
        with self.lock:
            noise = torch.rand(x.shape, generator=self.generator.manual_seed(0), dtype=x.dtype)
            return self.net(self.after(x) + noise)


class Redrawing(nn.Module):
    """Its ``reset`` draws weights anew, as graph libraries have it: it isn't for state."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 4)

    def reset(self) -> None:
        self.layer.reset_parameters()

    reset_parameters = reset

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def redrawn_beside_neurons() -> Case:
    """The same beside SpikingJelly's neurons, whose library resets by that name whatever it finds."""

    def fresh(model: Any) -> None:
        model[1].reset()

    spikes = neuron.LIFNode(v_threshold=0.3, surrogate_function=surrogate.Sigmoid())
    model = nn.Sequential(Redrawing(), spikes, nn.Linear(4, 3))
    return Case(model, ce, images(5), fresh=fresh)


def penalised() -> Case:
    """A penalty on the weights in the loss: part of the Hessian, not of Gauss–Newton."""
    model = mlp()

    def loss(z: Tensor, y: Tensor) -> Tensor:
        return ce(z, y) + 0.1 * sum(weight.pow(4).sum() for weight in model.parameters())

    return Case(model, loss, images(5))


def slices() -> Case:
    """All batches are slices of one tensor, and one of them comes twice."""
    x, y = torch.randn(9, 5), torch.randint(3, (9,))
    return Case(mlp(), ce, [(x[:4], y[:4]), (x[4:7], y[4:7]), (x[7:], y[7:]), (x[:4], y[:4])])


def empty() -> Case:
    return Case(mlp(), ce, images(5, sizes=(4, 0, 2)))


def wanting() -> Case:
    """Inputs that require a gradient of their own."""
    return Case(mlp(), ce, [(x.requires_grad_(), y) for x, y in images(5)])


def nested() -> Case:
    """An output of lists in dicts, with whole numbers and nothing among them."""

    def put(s: Any, x: Tensor) -> Any:
        logits = s.net(x)
        return {"heads": [logits, (logits.square(), None)], "guess": logits.argmax(1)}

    def loss(z: Any, y: Tensor) -> Tensor:
        return ce(z["heads"][0], y) + 0.1 * z["heads"][1][0].mean(1)

    return Case(then(put, net=mlp()), loss, images(5))


class Own:
    """An output of a class that nobody knows."""

    def __init__(self, logits: Tensor):
        self.logits = logits


def owned() -> Case:
    return Case(then(lambda s, x: Own(s.net(x)), net=mlp()), lambda z, y: ce(z.logits, y), images(5))


class Listed(nn.Module):
    """Takes a list of images of several sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out = nn.Conv2d(1, 4, 2), nn.Linear(4, 3)

    def forward(self, pictures: list[Tensor]) -> Tensor:
        return self.out(torch.stack([torch.tanh(self.a(each)).mean((1, 2)) for each in pictures]))


def listed() -> Case:
    batches = []
    for y in labels():
        sizes = torch.randint(2, 5, (len(y), 2)).tolist()
        batches.append(([torch.randn(1, *size) for size in sizes], y))
    return Case(Listed(), ce, batches)


class Scaled(nn.Module):
    """Takes a pair whole; a further argument has a default."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def forward(self, pair: Any, scale: Any = 1.0) -> Tensor:
        return self.net((pair[0] + pair[1]) * scale)


class Masked(nn.Module):
    """Takes an input and, if there is one, a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.net(x if mask is None else x * mask)


def pairs(model: Callable[[], nn.Module], whole: bool) -> Case:
    batches = [((torch.randn(len(y), 5), torch.rand(len(y), 5)), y) for y in labels()]
    return Case(model(), ce, batches, plain=lambda m, batch: m(batch[0]) if whole else m(*batch[0]))


def unwrapped() -> Case:
    """Several arguments through a wrapper that hides what its model takes."""
    case = pairs(Masked, whole=False)
    case.twin = case.model
    case.model = nn.DataParallel(case.model)
    return case


def infinite() -> Case:
    case = classifier(mlp(), shape=(5,))
    case.batches[0][0][0, 0] = float("nan")
    return case


def shaped(loss: Callable[..., Any]) -> Callable[[], Case]:
    return lambda: Case(mlp(), loss, images(5), score=lambda z, batch: ce(z, batch[1]))


def errors() -> Case:
    """Wrong answers, 0 or 1: what a surface may be made of, and what has no gradient."""
    return Case(mlp(), lambda z, y: (z.argmax(1) != y).long(), images(5))


def unsized() -> Case:
    def loss(model: Any, batch: Any) -> Tensor:
        return ce(model(batch["x"]), batch["y"])

    return Case(mlp(), loss, [{"x": x, "y": y} for x, y in images(5)], closure=True)


O = "odd"  # noqa: E741
SHAPE = {"all": "refused: shape|per example|scalar|tensor|float"}
WHOLE = {"all": "either: float|whole|integer", "worst": "refused: gradient|float|whole|integer",
         "gradient": "refused: gradient|float|whole|integer"}  # fmt: skip
AMBIGUOUS = {"all": "either: forward|argument"}
ENTRIES = (
    Entry("siamese", O, siamese, half=True),
    Entry("conjugate inputs", O, conjugate, half=True, double=False),
    Entry("writes between two uses", O, between, half=True, derivatives=False,
          expects=dict.fromkeys(("gradient", "worst"), "none")),  # which torch itself has not
    Entry("forward put in place", O, put_in_place),
    Entry("weight of a low rank", O, lambda: Case(
        nn.Sequential(LowRank(), nn.Tanh(), nn.Linear(4, 3)), ce, images(5)), half=True),
    Entry("holds a lock and a file", O, lambda: Case(Uncopied(), ce, images(5)), half=True),
    Entry("reset that draws weights", O, lambda: Case(
        nn.Sequential(Redrawing(), nn.Tanh(), nn.Linear(4, 3)), ce, images(5)), half=True),
    Entry("reset that draws, neurons", O, redrawn_beside_neurons, dirty=True, half=True),
    Entry("penalty in the loss", O, penalised, half=True),
    Entry("slices, one twice", O, slices),
    Entry("an empty batch", O, empty),
    Entry("inputs that want a gradient", O, wanting),
    Entry("nested output", O, nested, half=True),
    Entry("output of an own class", O, owned,
          expects=dict.fromkeys(("gauss_newton", "remainder"), "either: output|tensor")),
    Entry("list of images", O, listed, half=True),
    Entry("pair whole, or two", O, lambda: pairs(Scaled, whole=True), expects=AMBIGUOUS, half=True),
    Entry("one argument, or two", O, lambda: pairs(Masked, whole=False), expects=AMBIGUOUS),
    Entry("two arguments, wrapped", O, unwrapped, expects=AMBIGUOUS),
    Entry("not finite", O, infinite, expects={"all": "either: finite|nan"}),
    Entry("loss of shape [B, 1]", O, shaped(lambda z, y: ce(z, y)[:, None]), expects=SHAPE, half=True),
    Entry("loss of shape [1]", O, shaped(lambda z, y: ce(z, y).mean()[None]), expects=SHAPE),
    Entry("loss of whole numbers", O, errors, derivatives=False, expects=WHOLE),
    Entry("loss that is a number", O, shaped(lambda z, y: ce(z, y).mean().item()), expects=SHAPE),
    Entry("loss that is a pair", O, shaped(lambda z, y: (ce(z, y), z)), expects=SHAPE),
    Entry("closure of unknown size", O, unsized, expects={"all": "refused: size", "surface": "none"}),
)  # fmt: skip
