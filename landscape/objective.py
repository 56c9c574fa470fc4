"""The loss as a function of the weights: L(w) = (1/N) Σᵢ ℓ(f(xᵢ; w), yᵢ), over fixed batches.

A batch of B examples counts B/N, so that any split into batches, ragged ones included, gives the same average.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .parameters import Parameters, preserved

Batch = tuple[Tensor, Tensor]


class Objective:
    """L(w) of ``model`` under ``loss`` on ``batches``, seen as a function of ``parameters``.

    ``loss(output, target)`` returns one value per example (shape ``[batch]``, as with ``reduction="none"``) or their
    mean (a scalar). Only the former gives :meth:`examples`, and with it standard errors. ``batches`` is anything that
    yields the same ``(input, target)`` pairs each time it is iterated: a list, or a loader that does not shuffle. The
    model is evaluated with ``mode`` ("eval" or "train"; in the latter BatchNorm uses each batch's own statistics and
    the objective depends on the split) and given back as found: modes, buffers, ``.grad``.

    Raises ValueError for empty batches, for batches that can be read only once or that change in number of examples,
    and for a loss that is neither a scalar nor a vector over the batch.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Tensor, Tensor], Tensor],
        batches: Iterable[Batch],
        *,
        parameters: Parameters | None = None,
        mode: str = "eval",
    ):
        if mode not in ("eval", "train"):
            raise ValueError(f"mode must be 'eval' or 'train', got {mode!r}")
        self.model, self.loss, self.mode = model, loss, mode
        self.parameters = parameters or Parameters(model)
        if iter(batches) is batches:
            raise ValueError("batches can be read only once, and are needed many times: pass a list or a loader")
        self._batches = batches
        self.size = sum(len(target) for _, target in batches)
        if not self.size:
            raise ValueError("the batches hold no example: nothing to average the loss over")

    def batches(self) -> Iterator[tuple[float, Tensor, Tensor]]:
        """Each batch as ``(B/N, input, target)``, on the device of the parameters."""
        device, seen = self.parameters.device, 0
        for inputs, target in self._batches:
            seen += len(target)
            if len(target):
                yield len(target) / self.size, inputs.to(device), target.to(device)
        if seen != self.size:
            raise ValueError(
                f"the batches held {self.size} examples at first and {seen} now: pass the same ones always"
            )

    @contextmanager
    def evaluating(self) -> Iterator[nn.Module]:
        """The model in the objective's mode; given back as found."""
        with preserved(self.model) as model:
            model.train(self.mode == "train")
            yield model

    def batch_loss(self, inputs: Tensor, target: Tensor) -> Float[Tensor, ""]:
        """The mean loss of one batch, with its graph. Call it inside :meth:`evaluating`."""
        return self.output_loss(self.model(inputs), target)

    def output_loss(self, output: Tensor, target: Tensor) -> Float[Tensor, ""]:
        """The mean loss of a batch whose outputs are known, with its graph."""
        return self._checked(self.loss(output, target), target).mean()

    def reduced(self, part: Tensor) -> Tensor:
        """The sum of ``part`` over all processes that share the batches: with one process, ``part`` itself."""
        return part

    def value(self) -> float:
        """L(w) at the present weights."""
        with self.evaluating(), torch.no_grad():
            parts = [weight * self.batch_loss(x, y).double() for weight, x, y in self.batches()]
            return float(self.reduced(torch.stack(parts).sum()))

    def examples(self) -> Float[Tensor, "size"]:
        """ℓᵢ(w) of every example, in order. Their mean is L(w), their spread its standard error over examples.

        Raises ValueError when ``loss`` returns the mean only.
        """
        values = []
        with self.evaluating(), torch.no_grad():
            for _, inputs, target in self.batches():
                loss = self._checked(self.loss(self.model(inputs), target), target)
                if loss.ndim == 0:
                    raise ValueError("the loss returns a mean; losses of single examples need reduction='none'")
                values.append(loss)
        return torch.cat(values)

    def gradient(self) -> Float[Tensor, "dimension"]:
        """∇L(w): the exact average over all batches.

        Raises ValueError when no path leads from the loss back to the parameters.
        """
        total = torch.zeros(self.parameters.dimension, dtype=self.parameters.dtype, device=self.parameters.device)
        with self.evaluating(), torch.enable_grad():
            for weight, inputs, target in self.batches():
                loss = self.batch_loss(inputs, target)
                if not loss.requires_grad:
                    raise ValueError("the loss has no gradient: it does not depend on the parameters, or was detached")
                gradients = torch.autograd.grad(loss, self.parameters.tensors, allow_unused=True)
                total += weight * self.parameters.flatten(gradients)
        return self.reduced(total)

    def _checked(self, loss: Tensor, target: Tensor) -> Tensor:
        if loss.shape in (torch.Size([]), torch.Size([len(target)])):
            return loss
        raise ValueError(
            f"the loss must be a scalar or one value per example ([{len(target)}]), got shape {list(loss.shape)}"
        )
