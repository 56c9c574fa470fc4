"""What a row of the zoo's table is, and how its models, batches and plain answers are put together."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MEASURES = (
    "value", "examples", "surface", "average", "worst", "second_difference", "gradient", "hessian", "gauss_newton",
    "remainder",
)  # fmt: skip
FIRST_ORDER = MEASURES[:7]
SECOND_ORDER = MEASURES[7:]
SIZES = (4, 3, 2)


@dataclass
class Case:
    """A model with its loss and its batches, as a user would pass them; and the same in plain words for the twin.

    ``keywords`` go to Objective (and those that it takes to surface). The twin's loss of one batch is
    ``score(output, batch)``, one value per example, of ``output = plain(model, batch)``; with ``closure`` it is
    ``score(model, batch)``. ``fresh(model)`` resets state in the library's own documented way before every batch.
    ``twin`` is a plain model with the same parameters in the same order, where another build of ``model`` won't do.
    ``metric(output, target)`` is what surface is given in place of the loss.
    ``truth``: batches for the twin, where the model's are no pairs. ``names``: the weights that are looked at.
    """

    model: Any
    loss: Callable[..., Any]
    batches: Any
    keywords: dict[str, Any] = field(default_factory=dict)
    plain: Callable[[Any, Any], Any] = lambda model, batch: model(batch[0])
    score: Any = None
    fresh: Callable[[Any], object] = lambda model: None
    twin: nn.Module | None = None
    closure: bool = False
    metric: Callable[..., Tensor] | None = None
    truth: Sequence[Any] | None = None
    names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        loss = self.loss
        self.score = self.score or (loss if self.closure else lambda output, batch: loss(output, batch[1]))


@dataclass(frozen=True, eq=False)
class Entry:
    """One row: how to build its case, and what each measure is expected to answer.

    An expectation is "right", "refused: REGEX" or "either: REGEX" (right, or refused with such a sentence); ``expects``
    names those of measures that aren't right. ``double``: the twin computes in float64; else as built. ``dirty``: a
    forward pass has left its state in the model before it is measured. ``smooth``: the twin's Hessian is compared with
    finite differences of its gradient. ``derivatives=False``: no second-order measure makes sense. ``around``: what the
    user has opened around the measure; the twin knows nothing of it.
    """

    name: str
    kind: str
    make: Callable[[], Case]
    half: bool = False
    expects: Mapping[str, str] = field(default_factory=dict)
    derivatives: bool = True
    dtype: torch.dtype = torch.float64
    tolerance: float = 1e-8
    double: bool = True
    dirty: bool = False
    smooth: bool = False
    around: Callable[[], AbstractContextManager[Any]] = nullcontext

    def build(self) -> Case:
        """A fresh case, the same each time: seeded by the name, with no trace left in torch's generator or defaults."""
        with seeded(self.name, self.dtype):
            case = self.make()
            if self.dirty:
                with torch.no_grad():
                    batch = next(iter(case.truth or case.batches))
                    case.score(case.model, batch) if case.closure else case.plain(case.model, batch)
        return case

    def measures(self) -> list[str]:
        """The measures that this row is asked."""
        return [name for name in (MEASURES if self.derivatives else FIRST_ORDER) if self.expects.get(name) != "none"]

    def expected(self, measure: str) -> tuple[bool, str | None]:
        """Whether the right answer is accepted, and the pattern of the sentence of a refusal, None if it isn't."""
        kind, _, pattern = self.expects.get(measure, self.expects.get("all", "right")).partition(": ")
        return kind in ("right", "either"), None if kind == "right" else pattern


@contextmanager
def seeded(name: str, dtype: torch.dtype = torch.float64) -> Iterator[None]:
    before = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(zlib.crc32(name.encode()))
        torch.set_default_dtype(dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def ce(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(output, target, reduction="none")


def mse(output: Tensor, target: Tensor) -> Tensor:
    return (output - target).square().flatten(1).mean(1)


def labels(sizes: Sequence[int] = SIZES, classes: int = 3) -> list[Tensor]:
    return [torch.randint(classes, (size,)) for size in sizes]


def images(*shape: int, sizes: Sequence[int] = SIZES, classes: int = 3) -> list[tuple[Tensor, Tensor]]:
    """Ragged batches of random inputs of ``shape`` and labels."""
    return [(torch.randn(len(y), *shape), y) for y in labels(sizes, classes)]


def tokens(length: int, sizes: Sequence[int] = SIZES, vocabulary: int = 6) -> list[tuple[Tensor, Tensor]]:
    return [(torch.randint(vocabulary, (len(y), length)), y) for y in labels(sizes)]


def regression(*shape: int, outputs: int = 1, sizes: Sequence[int] = SIZES) -> list[tuple[Tensor, Tensor]]:
    return [(torch.randn(size, *shape), torch.randn(size, outputs)) for size in sizes]


def lively(model: Any) -> Any:
    """Weights as after training: norms with statistics and an affine of their own, no bias zero."""
    with torch.no_grad():
        for module in model.modules():
            mean, var, weight, bias = (
                getattr(module, name, None) for name in ("running_mean", "running_var", "weight", "bias")
            )
            if isinstance(mean, Tensor) and isinstance(var, Tensor):
                mean.normal_(0, 0.3)
                var.uniform_(0.5, 2)
            if "Norm" in type(module).__name__ and isinstance(weight, Tensor):
                weight.uniform_(0.5, 1.5)
            if isinstance(bias, Tensor):
                bias.normal_(0, 0.3)
    return model


def classifier(*layers: nn.Module, shape: Sequence[int], sizes: Sequence[int] = SIZES, **more: Any) -> Case:
    """Cross-entropy of the layers one after another, on random inputs of ``shape``, three classes."""
    model = layers[0] if len(layers) == 1 else nn.Sequential(*layers)
    return Case(lively(model), ce, images(*shape, sizes=sizes), **more)


def then(forward: Callable[..., Any], **layers: nn.Module) -> Any:
    """A module that holds ``layers`` by name, with ``forward(self, …)`` for its forward."""
    model = type("Then", (nn.Module,), {"forward": forward})()
    for name, layer in layers.items():
        model.add_module(name, layer)
    return model


def mlp(inputs: int = 5, hidden: int = 4, outputs: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, outputs))
