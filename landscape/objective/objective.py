"""The loss as a function of the weights: L(w) = (1/N) Σᵢ ℓ(f(xᵢ; w), yᵢ), over fixed batches.

A batch of B examples counts B/N, so that any split into batches, ragged ones included, gives the same average. The
batches may lie in several processes: N counts them all, and sums over batches are sums over processes.

A loss that is not of this form, for lack of an (x, y) pair, has :class:`landscape.objective.Closure`.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Unpack

import torch
import torch.distributed as dist
from jaxtyping import Float, Float64
from torch import Tensor, nn

from ..evaluation import Batch, Evaluation, Reading, Source, check, check_mean, examples
from ..refusal import Refusal, explained
from .derivative import check_hooks, twice_differentiable
from .parameters import Parameters

_KEPT_GRAPH = (
    "If it speaks of a second time: the model keeps a tensor with its graph from one batch to the next, which a "
    "function of the model, reset=, has to clear before every batch"
)


class Objective:
    """L(w) of ``model`` under ``loss`` on ``batches``, seen as a function of ``parameters``.

    ``loss(output, target)`` returns one value per example (shape ``[batch]``, as with ``reduction="none"``) or their
    mean (a scalar). Only the former gives :meth:`examples`, and with it standard errors. ``batches`` is anything that
    yields the same batches each time it is iterated: a list, a loader that does not shuffle, a Dataset; a batch is
    (input, target) or a mapping with labels, and tensors may lie in tuples, lists and mappings: see
    :mod:`landscape.evaluation.batches`. The model is evaluated with ``mode`` ("eval" or "train"; in the latter
    BatchNorm uses each batch's own statistics and the objective depends on the split) and given back as found: all
    that it holds.

    ``reading`` are the arguments ``unpack``, ``forward``, ``size``, ``reset`` and ``check`` of
    :class:`~landscape.evaluation.Evaluation`. With ``check``, which costs three passes of one batch
    (:mod:`landscape.evaluation.checks`), construction refuses what is no function of the weights and the batch.

    With a process ``group`` (``torch.distributed.group.WORLD``) each process passes the batches that are its share,
    which may be none; value, gradient, examples and an operator's products are those of all batches together, the same
    in every process, and every process must ask for them.

    ``size`` is N, and ``offset`` the number of examples in the processes before this one.

    Raises ValueError for empty batches, for batches that can be read only once, that change, or that are not
    understood, for a model that draws at random or keeps a state that nothing clears, and for a loss that is neither
    a vector over the batch nor the mean over it; ConnectionError when another process has ended.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[..., Tensor],
        batches: Source,
        *,
        parameters: Parameters | None = None,
        mode: str = "eval",
        group: dist.ProcessGroup | None = None,
        **reading: Unpack[Reading],
    ):
        self.parameters = parameters or Parameters(model)
        self.evaluation = Evaluation(model, batches, device=self.parameters.device, mode=mode, **reading)
        self.model, self.loss, self.mode, self.group = self.evaluation.model, loss, mode, group
        self.evaluation.watching = self._watching
        sizes = [size for size in self.evaluation.batches.sizes if size]
        rank, world = (dist.get_rank(group), dist.get_world_size(group)) if group else (0, 1)
        counts = torch.zeros(world, dtype=torch.int64, device=self.parameters.device)
        counts[rank] = sum(sizes)
        counts = self.reduced(counts)
        self.size, self.offset = int(counts.sum()), int(counts[:rank].sum())
        if not self.size:
            raise ValueError("the batches hold no example: nothing to average the loss over")
        self._unproven = 1  # batches on which a scalar loss is still to be shown a mean: now the first, then each once
        if self.evaluation.checked:
            check(self.evaluation, self._detached)
        self._unproven = len(sizes) if self.evaluation.checked else 0

    def batches(self) -> Iterator[tuple[float, Any, Any]]:
        """Each of this process's batches as ``(B/N, input, target)``, on the device of the parameters."""
        for batch in self.evaluation.batches:
            yield batch.size / self.size, batch.inputs, batch.target

    @contextmanager
    def evaluating(self) -> Iterator[nn.Module]:
        """The model in the objective's mode; given back as found."""
        with self.evaluation.evaluating() as model:
            own = {id(weight) for weight in model.parameters()}
            for name, weight in zip(self.parameters.names, self.parameters.tensors, strict=True):
                if id(weight) not in own:
                    raise Refusal(f"{name!r} is no parameter of the model any more: make the objective anew")
            yield model

    @contextmanager
    def differentiating(self, order: int = 2) -> Iterator[nn.Module]:
        """The same, for derivatives, and for derivatives of derivatives if the ``order`` is 2.

        Raises ValueError where the loss depends on a weight by a path that has no gradient.
        """
        if self.evaluation.alias:
            raise Refusal(
                f"{self.evaluation.alias!r} shares memory with a weight, detached from it, and the model uses it: "
                "the loss moves with it, and its gradient would not say so. Use the weight itself in forward"
            )
        check_hooks(self.parameters)
        with self.evaluating() as model, torch.enable_grad():
            if order == 1:
                yield model
            else:
                with twice_differentiable(model, self.parameters.device):
                    yield model

    def output(self, inputs: Any) -> Any:
        """What the model makes of one batch's input. Call it inside :meth:`evaluating`."""
        return self.evaluation.output(inputs)

    def losses(self, inputs: Any, target: Any, count: int | None = None) -> Tensor:
        """The loss's values on one batch, a scalar or one for each of its ``count`` examples, with their graph."""
        if count is None and not self.evaluation.sized:
            count = examples(inputs, target)
        return self.losses_of(self.output(inputs), target, count)

    def batch_loss(self, inputs: Any, target: Any) -> Float[Tensor, ""]:
        """The mean loss of one batch, with its graph. Call it inside :meth:`evaluating`."""
        return averaged(self.losses(inputs, target))

    def output_loss(self, output: Any, target: Any) -> Float[Tensor, ""]:
        """The mean loss of a batch whose outputs are known, with its graph."""
        return averaged(self.losses_of(output, target))

    def losses_of(self, output: Any, target: Any, count: int | None = None) -> Tensor:
        """The loss's values on outputs: a scalar, or one for each of ``count`` examples (any number for None)."""
        target = self.evaluation.given(target)
        with explained("the loss fails on a batch", "Does it take what the model returns, and the target?"):
            found = self.loss(output, target)
        return self._proven(self._checked(found, count), output, target, count)

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
            for batch in self.evaluation.batches:
                total += batch.size / self.size * self.losses(*batch).detach().double().mean()
        return float(self.reduced(total))

    def examples(self) -> Float[Tensor, " size"]:
        """ℓᵢ(w) of every example, in order. Their mean is L(w), their spread its standard error over examples.

        Raises ValueError when ``loss`` returns the mean only.
        """
        values = []
        with self.evaluating(), self._watching():
            for batch in self.evaluation.batches:
                loss = self.losses(*batch)
                if loss.ndim == 0:
                    raise ValueError("the loss returns a mean; losses of single examples need reduction='none'")
                values.append(loss.detach().clone())  # it may be a view of what the next batch is written to
        return self.gathered(values)

    def gradient(self) -> Float[Tensor, " dimension"]:
        """∇L(w): the exact average over all batches.

        Raises ValueError when no path leads from the loss back to the parameters.
        """
        total = self._zeros()
        for _, part in self._graded():
            total += part
        return self.reduced(total).to(self.parameters.dtype)

    def examples_and_gradient(self) -> tuple[Float64[Tensor, " size"], Float[Tensor, " dimension"]]:
        """ℓᵢ(w) of every example, on the CPU, and ∇L(w), from one pass. Raises what :meth:`gradient` raises."""
        total, values = self._zeros(), []
        for losses, part in self._graded():
            total += part
            values.append(losses)
        found = self.gathered(values).cpu().double()
        return found, self.reduced(total).to(self.parameters.dtype)

    def gathered(self, values: list[Tensor]) -> Float[Tensor, " size"]:
        """The examples' values of all processes, from this one's."""
        none = torch.zeros(0, dtype=self.parameters.dtype, device=self.parameters.device)
        found = torch.cat([none, *(value.reshape(-1) for value in values)])
        if not self.group:
            return found
        whole = torch.zeros(self.size, dtype=torch.float64, device=found.device)
        whole[self.offset : self.offset + len(found)] = found
        return self.reduced(whole).to(found.dtype)

    def _graded(self) -> Iterator[tuple[Tensor, Float[Tensor, " dimension"]]]:
        """The losses of each batch, and its part of the gradient."""
        with self.differentiating(order=1):
            for batch in self.evaluation.batches:
                losses = self.losses(*batch)
                check_gradient(losses)
                with explained("the gradient fails", _KEPT_GRAPH):
                    gradients = torch.autograd.grad(averaged(losses), self.parameters.tensors, allow_unused=True)
                yield (
                    losses.detach(),
                    batch.size / self.size * self.parameters.flatten(gradients).to(self.parameters.wide),
                )

    def _zeros(self) -> Float[Tensor, " dimension"]:
        return torch.zeros(self.parameters.dimension, dtype=self.parameters.wide, device=self.parameters.device)

    def _detached(self, batch: Batch) -> Tensor:
        return self.losses(*batch).detach()

    def _watching(self) -> AbstractContextManager[object]:
        """Around what is evaluated and not differentiated."""
        return torch.no_grad()

    def _checked(self, loss: Any, count: int | None) -> Tensor:
        if isinstance(loss, Tensor) and loss.is_floating_point():
            if loss.ndim == 0 or (loss.ndim == 1 and count in (None, len(loss))):
                return loss
            got = f"shape {list(loss.shape)}"
        else:
            got = f"{loss.dtype}: make it .float()" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        expected = "batch" if count is None else count
        raise Refusal(f"the loss must be a scalar or one value per example ([{expected}]), got {got}")

    def _proven(self, loss: Tensor, output: Any, target: Any, count: int | None) -> Tensor:
        """``loss``, if a scalar one is a mean over the examples; looked at once for each batch."""
        if loss.ndim or not self._unproven or count is None:
            return loss
        check_mean(self.loss, output, target, count)
        self._unproven -= 1
        return loss


def check_gradient(losses: Tensor) -> None:
    """Raise ValueError where no path leads from ``losses`` back to anything that is differentiated."""
    if not losses.requires_grad:
        raise Refusal(
            "the loss has no gradient: it does not depend on the parameters, or was detached, or made under no_grad"
        )


def averaged(losses: Tensor) -> Float[Tensor, ""]:
    """The mean, of values in half precision summed in single."""
    return losses.to(torch.promote_types(losses.dtype, torch.float32)).mean()
