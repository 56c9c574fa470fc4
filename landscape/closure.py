"""An objective of any form: L(w) = (1/N) Σ_b B_b ℓ_b(w), each ℓ_b = loss(model, batch) the user's own.

For losses that are no function of one output and one target: the residual of a differential equation at collocation
points, a penalty on the weights, a contrast between two views, several outputs. The Hessian and the empirical Fisher
need no more than the loss; Gauss–Newton and the Fisher matrix need the model's output, and say so.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .objective import Objective
from .parameters import Parameters


class Closure(Objective):
    """L(w) of ``loss(model, batch)``, which returns the mean over a batch's examples or one value per example.

    ``batches`` yields anything that ``loss`` understands, the same each time it is iterated. ``size(batch)`` is the
    number of examples in one, by which it counts; by default the length of a batch that is a tensor. The other
    arguments are those of :class:`~landscape.objective.Objective`.

        points = [torch.rand(100, 2) for _ in range(4)]
        Hessian(Closure(model, lambda model, xt: residual(model, xt).square().mean(), points))

    Raises ValueError for batches that are no tensors without a ``size``, and what Objective raises.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[nn.Module, Any], Tensor],
        batches: Iterable[Any],
        *,
        size: Callable[[Any], int] | None = None,
        parameters: Parameters | None = None,
        mode: str = "eval",
        group: dist.ProcessGroup | None = None,
    ):
        self._size = size
        super().__init__(model, loss, batches, parameters=parameters, mode=mode, group=group)

    def losses(self, inputs: Any, target: int) -> Tensor:
        """The loss's values on one batch of ``target`` examples."""
        return self._checked(self.loss(self.model, inputs), target)

    def output(self, inputs: Any) -> Any:  # noqa: ARG002
        """Raises ValueError: a loss of the model itself has no output to speak of."""
        raise ValueError(
            "this matrix needs the model's output, which a loss of (model, batch) hides: use the Hessian or the "
            "empirical Fisher, or an Objective with loss(model(x), y)"
        )

    def _count(self, batch: Any) -> int:
        if self._size:
            return self._size(batch)
        if isinstance(batch, Tensor) and batch.ndim:
            return len(batch)
        raise ValueError(
            f"how many examples is a batch of type {type(batch).__name__}? Pass size=, a function that counts them"
        )

    def _pair(self, batch: Any) -> tuple[Any, int]:
        return batch, self._count(batch)

    def _watching(self) -> AbstractContextManager[object]:
        return torch.enable_grad()  # a loss may hold derivatives of its own, with respect to the inputs
