"""One epoch: its steps, and what the network can do after it.

A step's loss is the mean over its batch, however the batch is cut::

    gradient of  Σ_pieces Σ_images ℓ / images in the batch

With ``accumulate`` n a batch goes through the network in n pieces, whose gradients add up: memory for a piece, the step
of the whole. Not the same network, though: **BatchNorm sees one piece at a time**, so its statistics in training are a
piece's, and its running averages move n times a step. Under torchrun a piece is shared by the processes and BatchNorm
sees all of it (:mod:`models.training.parallel`).

With bfloat16 the network runs under torch's autocast: convolutions and linear layers, and with them currents, have 8
significant bits; membranes, weights, their gradients, BatchNorm's statistics, the optimizer and the loss stay in
float32. Evaluation is in the same precision as training.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from .. import processes
from ..losses import sdt_loss, tet_loss
from ..neurons import bits
from .cuda_graph import Graphs
from .outputs import Kind
from .sharpness_aware import SharpnessAware
from .step_gradients import check_gradient

DTYPES = {"float32": torch.float32, "bfloat16": torch.float32, "float64": torch.float64}


def logits(network: nn.Module, images: Tensor, precision: str) -> Tensor:
    """The network's output, computed in ``precision``, in float32 at least."""
    if precision != "bfloat16":
        plain: Tensor = network(images)
        return plain
    with torch.autocast(images.device.type, torch.bfloat16):
        output: Tensor = network(images)
    return output.float()


def steps(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    pieces: Iterable[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    images: int,
    batch_size: int,
    accumulate: int,
    precision: str,
    before: Callable[[], None],
    keep_spikes: str = "values",
    graphs: Graphs | None = None,
    sharpness_aware: SharpnessAware | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Take every step of an epoch; after each, the images in its batch and this process's part of its loss.

    ``pieces`` are batches of ``batch_size / accumulate`` images, or this process's share of them; ``loss`` gives one
    value an image; ``before`` is called before each step; ``keep_spikes`` "bits" is :mod:`models.neurons.bits`;
    ``graphs`` may replay a recorded piece (:mod:`models.training.cuda_graph`); with ``sharpness_aware`` a step is by
    the gradient at weights moved uphill (:mod:`models.training.sharpness_aware`), and its loss that before the move.
    """
    parts = processes.world()

    def compute(inputs: Tensor, labels: Tensor, batch: int) -> Tensor:
        piece = loss(logits(network, inputs, precision), labels).sum() / batch
        check_gradient(piece)
        (piece * parts if parts > 1 else piece).backward()
        return piece.detach()

    def gradient(shown: Sequence[tuple[Tensor, Tensor]], batch: int) -> Tensor:
        """Of the mean loss over a batch in pieces, left with the weights; returns this process's part of that loss."""
        optimizer.zero_grad()
        total = torch.zeros((), device=shown[0][0].device)
        for number, (inputs, labels) in enumerate(shown, 1):
            kept = bits.kept() if keep_spikes == "bits" else nullcontext()
            with _gradients_wait(network, wait=number < len(shown)), kept:
                total += graphs(compute, inputs, labels, batch) if graphs else compute(inputs, labels, batch)
        return total

    left, source = images, iter(pieces)
    while shown := list(islice(source, accumulate)):
        before()
        batch = min(batch_size, left)
        total = gradient(shown, batch)
        if sharpness_aware:
            with sharpness_aware.uphill():
                gradient(shown, batch)
        optimizer.step()
        left -= batch
        yield batch, total


def _gradients_wait(network: nn.Module, *, wait: bool) -> AbstractContextManager[None]:
    """Where ``wait``, gradients are not yet summed over processes."""
    return network.no_sync() if wait and isinstance(network, DistributedDataParallel) else nullcontext()


@torch.no_grad()
def evaluate(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    precision: str = "float32",
    *,
    kind: Kind = "steps",
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> dict[str, float]:
    """loss_sdt, loss_tet and accuracy in eval mode, as means over all images of all processes; what there is of them.

    The first two, and the accuracy of the mean over time, are of outputs that are "steps", the accuracy alone of
    "classes" (:mod:`models.training.outputs`). With ``loss``, which gives a value an image, its mean too, as loss.
    """
    network.eval()
    names = (*_NAMES[kind], *(("loss",) if loss else ()))
    total = torch.zeros(len(names) + 1, dtype=torch.float64)
    for inputs, labels in batches:
        if not len(labels):
            continue
        output = logits(network, inputs, precision)
        means = _means(output, labels, kind) | ({"loss": loss(output, labels).mean()} if loss else {})
        total += len(labels) * torch.cat([torch.stack([*means.values()]).double().cpu(), torch.ones(1)])
    sums = processes.summed(total)
    return dict(zip(names, (sums[:-1] / sums[-1]).tolist(), strict=True))


_NAMES: dict[Kind, tuple[str, ...]] = {
    "steps": ("loss_sdt", "loss_tet", "accuracy"), "classes": ("accuracy",), "other": (),
}  # fmt: skip


def _means(output: Tensor, labels: Tensor, kind: Kind) -> dict[str, Tensor]:
    if kind == "other":
        return {}
    votes = output.mean(0) if kind == "steps" else output
    accuracy = {"accuracy": (votes.argmax(1) == labels).float().mean()}
    if kind == "classes":
        return accuracy
    return {"loss_sdt": sdt_loss(output, labels), "loss_tet": tet_loss(output, labels)} | accuracy
