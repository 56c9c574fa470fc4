"""An objective of any form: L(w) = (1/N) Σ_b B_b ℓ_b(w), each ℓ_b = loss(model, batch) the user's own.

For losses that are no function of one output and one target: the residual of a differential equation at collocation
points, a penalty on the weights, a contrast between two views, several outputs. The Hessian and the empirical Fisher
need no more than the loss; Gauss–Newton and the Fisher matrix need the model's output, and say so.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..evaluation import Source
from ..refusal import explained
from .objective import Objective
from .parameters import Parameters


class Closure(Objective):
    """L(w) of ``loss(model, batch)``, which returns the mean over a batch's examples or one value per example.

    ``batches`` yields anything that ``loss`` understands, the same each time it is iterated. ``size(batch)`` is the
    number of examples in one, by which it counts; by default the length of a batch that is a tensor. The other
    arguments are those of :class:`~landscape.objective.Objective`. A scalar is a batch's own loss, however it was made:
    what a batch is, is part of the definition.

        points = [torch.rand(100, 2) for _ in range(4)]
        Hessian(Closure(model, lambda model, xt: residual(model, xt).square().mean(), points))

    Raises ValueError for batches that are no tensors without a ``size``, and what Objective raises.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[nn.Module, Any], Tensor],
        batches: Source,
        *,
        size: Callable[[Any], int] | None = None,
        parameters: Parameters | None = None,
        mode: str = "eval",
        group: dist.ProcessGroup | None = None,
        reset: Callable[[nn.Module], object] | None = None,
        check: bool = True,
    ):
        count = size or _length
        super().__init__(
            model, loss, batches, parameters=parameters, mode=mode, group=group, reset=reset, check=check,
            unpack=lambda batch: (batch, count(batch)), size=count,
        )  # fmt: skip

    def losses(self, inputs: Any, target: int, count: int | None = None) -> Tensor:  # noqa: ARG002
        """The loss's values on one batch of ``target`` examples."""
        with explained("the loss fails on a batch"):
            found = self.loss(self.model, self.evaluation.ready(inputs))
        return self._checked(found, target)

    def output(self, inputs: Any) -> Any:  # noqa: ARG002
        """Raises ValueError: a loss of the model itself has no output to speak of."""
        raise ValueError(
            "this matrix needs the model's output, which a loss of (model, batch) hides: use the Hessian or the "
            "empirical Fisher, or an Objective with loss(model(x), y)"
        )

    def _watching(self) -> AbstractContextManager[object]:
        return torch.enable_grad()  # a loss may hold derivatives of its own, with respect to the inputs


def _length(batch: Any) -> int:
    if isinstance(batch, Tensor) and batch.ndim:
        return len(batch)
    raise ValueError(
        f"how many examples is a batch of type {type(batch).__name__}? Pass size=, a function that counts them"
    )
