"""The loss as a function of the weights: L(w) = (1/N) Σᵢ ℓ(f(xᵢ; w), yᵢ), over fixed batches.

A batch of B examples counts B/N, so that any split into batches, ragged ones included, gives the same average. The
batches may lie in several processes: N counts them all, and sums over batches are sums over processes.

A loss that is not of this form, for lack of an (x, y) pair, has :class:`landscape.closure.Closure`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float, Float64
from torch import Tensor, nn

from .parameters import Parameters, preserved

Batch = tuple[Any, Any]


class Objective:
    """L(w) of ``model`` under ``loss`` on ``batches``, seen as a function of ``parameters``.

    ``loss(output, target)`` returns one value per example (shape ``[batch]``, as with ``reduction="none"``) or their
    mean (a scalar). Only the former gives :meth:`examples`, and with it standard errors. ``batches`` is anything that
    yields the same ``(input, target)`` pairs each time it is iterated: a list, or a loader that does not shuffle; an
    input may be a tensor, or tensors in tuples, lists and dicts. The model is evaluated with ``mode`` ("eval" or
    "train"; in the latter BatchNorm uses each batch's own statistics and the objective depends on the split) and given
    back as found: modes, buffers, ``.grad``.

    With a process ``group`` (``torch.distributed.group.WORLD``) each process passes the batches that are its share,
    which may be none; value, gradient, examples and an operator's products are those of all batches together, the same
    in every process, and every process must ask for them.

    ``size`` is N, and ``offset`` the number of examples in the processes before this one.

    Raises ValueError for empty batches, for batches that can be read only once or that change in number of examples,
    and for a loss that is neither a scalar nor a vector over the batch; ConnectionError when another process has ended.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[..., Tensor],
        batches: Iterable[Any],
        *,
        parameters: Parameters | None = None,
        mode: str = "eval",
        group: dist.ProcessGroup | None = None,
    ):
        if mode not in ("eval", "train"):
            raise ValueError(f"mode must be 'eval' or 'train', got {mode!r}")
        self.model, self.loss, self.mode, self.group = model, loss, mode, group
        self.parameters = parameters or Parameters(model)
        if iter(batches) is batches:
            raise ValueError("batches can be read only once, and are needed many times: pass a list or a loader")
        self._batches = batches
        self._own = sum(self._count(batch) for batch in batches)
        rank, world = (dist.get_rank(group), dist.get_world_size(group)) if group else (0, 1)
        counts = torch.zeros(world, dtype=torch.int64, device=self.parameters.device)
        counts[rank] = self._own
        counts = self.reduced(counts)
        self.size, self.offset = int(counts.sum()), int(counts[:rank].sum())
        if not self.size:
            raise ValueError("the batches hold no example: nothing to average the loss over")

    def batches(self) -> Iterator[tuple[float, Any, Any]]:
        """Each of this process's batches as ``(B/N, input, target)``, on the device of the parameters."""
        seen = 0
        for batch in self._batches:
            count = self._count(batch)
            seen += count
            if count:
                yield count / self.size, *self._pair(moved(batch, self.parameters.device))
        if seen != self._own:
            raise ValueError(
                f"the batches held {self._own} examples at first and {seen} now: pass the same ones always"
            )

    @contextmanager
    def evaluating(self) -> Iterator[nn.Module]:
        """The model in the objective's mode; given back as found."""
        with preserved(self.model) as model:
            model.train(self.mode == "train")
            yield model

    def output(self, inputs: Any) -> Any:
        """What the model makes of one batch's input. Call it inside :meth:`evaluating`."""
        return self.model(inputs)

    def losses(self, inputs: Any, target: Any) -> Tensor:
        """The loss's values on one batch, a scalar or one per example, with their graph."""
        return self._checked(self.loss(self.output(inputs), target), len(target))

    def batch_loss(self, inputs: Any, target: Any) -> Float[Tensor, ""]:
        """The mean loss of one batch, with its graph. Call it inside :meth:`evaluating`."""
        return self.losses(inputs, target).mean()

    def output_loss(self, output: Any, target: Any) -> Float[Tensor, ""]:
        """The mean loss of a batch whose outputs are known, with its graph."""
        return self._checked(self.loss(output, target), len(target)).mean()

    def reduced(self, part: Tensor) -> Tensor:
        """The sum of ``part``, which may be written to, over all processes; with one, ``part`` itself."""
        if self.group:
            try:
                dist.all_reduce(part, group=self.group)
            except RuntimeError as error:
                raise ConnectionError("another process of this job has ended before its part was done") from error
        return part

    def value(self) -> float:
        """L(w) at the present weights."""
        total = torch.zeros((), dtype=torch.float64, device=self.parameters.device)
        with self.evaluating(), self._watching():
            for weight, inputs, target in self.batches():
                total += weight * self.batch_loss(inputs, target).detach().double()
        return float(self.reduced(total))

    def examples(self) -> Float[Tensor, "size"]:
        """ℓᵢ(w) of every example, in order. Their mean is L(w), their spread its standard error over examples.

        Raises ValueError when ``loss`` returns the mean only.
        """
        values = [torch.zeros(0, dtype=self.parameters.dtype, device=self.parameters.device)]
        with self.evaluating(), self._watching():
            for _, inputs, target in self.batches():
                loss = self.losses(inputs, target)
                if loss.ndim == 0:
                    raise ValueError("the loss returns a mean; losses of single examples need reduction='none'")
                values.append(loss.detach())
        found = torch.cat(values)
        if not self.group:
            return found
        whole = found.new_zeros(self.size)
        whole[self.offset : self.offset + len(found)] = found
        return self.reduced(whole)

    def gradient(self) -> Float[Tensor, "dimension"]:
        """∇L(w): the exact average over all batches.

        Raises ValueError when no path leads from the loss back to the parameters.
        """
        total = torch.zeros(self.parameters.dimension, dtype=self.parameters.dtype, device=self.parameters.device)
        for _, part in self._graded():
            total += part
        return self.reduced(total)

    def examples_and_gradient(self) -> tuple[Float64[Tensor, "size"], Float[Tensor, "dimension"]]:
        """ℓᵢ(w) of every example, on the CPU, and ∇L(w), from one pass. Raises what :meth:`gradient` raises."""
        total = torch.zeros(self.parameters.dimension, dtype=self.parameters.dtype, device=self.parameters.device)
        found, place = total.new_zeros(self.size), self.offset
        for losses, part in self._graded():
            total += part
            found[place : place + len(losses)] = losses
            place += len(losses)
        return self.reduced(found).cpu().double(), self.reduced(total)

    def _graded(self) -> Iterator[tuple[Tensor, Float[Tensor, "dimension"]]]:
        """The losses of each batch, and its part of the gradient."""
        with self.evaluating(), torch.enable_grad():
            for weight, inputs, target in self.batches():
                losses = self.losses(inputs, target)
                if not losses.requires_grad:
                    raise ValueError("the loss has no gradient: it does not depend on the parameters, or was detached")
                gradients = torch.autograd.grad(losses.mean(), self.parameters.tensors, allow_unused=True)
                yield losses.detach(), weight * self.parameters.flatten(gradients)

    def _count(self, batch: Any) -> int:
        """How many examples a batch holds."""
        return len(batch[1])

    def _pair(self, batch: Any) -> tuple[Any, Any]:
        """A batch as what :meth:`losses` takes."""
        inputs, target = batch
        return inputs, target

    def _watching(self) -> AbstractContextManager[object]:
        """Around what is evaluated and not differentiated."""
        return torch.no_grad()

    def _checked(self, loss: Tensor, count: int) -> Tensor:
        if loss.shape in (torch.Size([]), torch.Size([count])):
            return loss
        raise ValueError(
            f"the loss must be a scalar or one value per example ([{count}]), got shape {list(loss.shape)}"
        )


def moved(value: Any, device: torch.device) -> Any:
    """``value`` with the tensors in it, also those in tuples, lists and dicts, on ``device``."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {name: moved(part, device) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)([moved(part, device) for part in value])
    return value
