"""Training on several processes, as torchrun starts them, to the weights of one, up to rounding.

    torchrun --nproc-per-node 2 -m models.train --data cifar10 --device cuda --out runs/tet-0

Every process draws the same order of the images and the same augmentation, and takes its share of each batch. Then

    gradient     of the mean over the whole batch: each process's sum over its share, times n over the batch's images,
                 which DistributedDataParallel averages over the n processes
    BatchNorm    in training, mean and variance over all shares (two all-reduces a layer, differentiated too); torch's
                 own SyncBatchNorm is for CUDA alone and weighs nothing else differently
    decisions    to stop at SIGTERM, or at a loss: taken by all, from the same sums

The first process alone reads and writes checkpoints, prints, and shows the bar, so that nodes need no common disk for
them; each reads the data. Without torchrun there is one process, and every function here is the identity. Tensors on
the CPU meet through gloo, those on CUDA through NCCL.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn.parallel import DistributedDataParallel

from ..networks.layers import BatchNorm2d

T = TypeVar("T")
_FAILURES = "snn-landscape/failures"


def part() -> tuple[int, int]:
    """This process's number, from 0, and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def is_main() -> bool:
    """Whether this is the process that writes; also before :func:`joined`, where torchrun started it."""
    return int(os.environ["RANK"]) == 0 if dist.is_torchelastic_launched() else part()[0] == 0


def device(name: str) -> str:
    """The device that ``name`` means in this process: of several processes on CUDA each takes the GPU of its number.

    Raises ValueError for one GPU by number where there are several processes.
    """
    if part()[1] == 1 or not name.startswith("cuda"):
        return name
    if name != "cuda":
        raise ValueError(f"--device {name} would be that of all {part()[1]} processes: use --device cuda, one GPU each")
    return f"cuda:{os.environ['LOCAL_RANK']}"


@contextmanager
def joined(name: str) -> Iterator[None]:
    """Join the other processes that torchrun started, for training on the device ``name``; alone, do nothing.

    When one process fails, that one raises and the others, which wait for it in vain, leave with SystemExit: a job
    says why it failed once.
    """
    if not dist.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1" or dist.is_initialized():
        yield
        return
    store, number, count = next(dist.rendezvous("env://"))
    if name == "cuda" and int(os.environ["LOCAL_RANK"]) < torch.cuda.device_count():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "cpu:gloo,cuda:nccl" if name.startswith("cuda") else "gloo"
    dist.init_process_group(backend, store=store, rank=number, world_size=count)
    try:
        yield
    except (ValueError, OSError) as failure:
        if store.add(_FAILURES, 1) > 1:
            raise SystemExit(1) from failure
        raise
    except RuntimeError as failure:  # what a collective raises when another process has left it
        if store.add(_FAILURES, 0) > 0:
            raise SystemExit(1) from failure
        raise
    dist.destroy_process_group()


def shared(value: T) -> T:
    """The first process's ``value``, in all of them: anything that pickles."""
    if part()[1] == 1:
        return value
    box: list[Any] = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def summed(values: Tensor) -> Tensor:
    """The sum over all processes, the same bits in each."""
    if part()[1] > 1:
        dist.all_reduce(values)
    return values


def any_of(flag: bool) -> bool:
    """Whether ``flag`` is true in any process. All must ask."""
    return flag if part()[1] == 1 else bool(summed(torch.tensor(int(flag))))


def wrapped(network: nn.Module) -> nn.Module:
    """What training calls in place of ``network``: it synchronises BatchNorm's statistics and gradients."""
    if part()[1] == 1:
        return network
    for module in network.modules():
        if type(module) is BatchNorm2d:
            module.__class__ = SyncBatchNorm2d  # the same parameters and buffers, in the same place
    return DistributedDataParallel(network)


class _Sum(torch.autograd.Function):
    """The sum over processes. Every process's loss depends on it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(_ctx: FunctionCtx, values: Tensor) -> Tensor:
        return summed(values.clone())

    @staticmethod
    @once_differentiable
    def backward(_ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        return summed(gradient.clone())


class SyncBatchNorm2d(BatchNorm2d):
    """BatchNorm over time, space, and the whole batch, of which this process has a share, perhaps an empty one.

    The variance is that of the values about the common mean, by two passes: E[x²] − E[x]² would cancel.
    """

    def forward(
        self,
        input: Float[Tensor, "time batch channel height width"],  # noqa: A002 - torch's name
    ) -> Float[Tensor, "time batch channel height width"]:
        """The same shape back, and the same type; statistics are in float32 at least."""
        if not self.training:
            return super().forward(input)
        values = input if input.dtype == torch.float64 else input.float()
        axes = (0, 1, 3, 4)
        numbers = values.new_full((1,), values.numel() // values.shape[2])
        totals = _Sum.apply(torch.cat([values.sum(axes), numbers]))
        count = totals[-1].detach()
        mean = totals[:-1] / count
        centred = values - mean[:, None, None]
        variance = _Sum.apply(centred.square().sum(axes)) / count
        self._track(mean.detach(), (variance * count / (count - 1)).detach())
        factor = self.scale * self.weight * (variance + self.eps).rsqrt()
        return torch.addcmul(self.bias[:, None, None], centred, factor[:, None, None]).to(input.dtype)

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running averages, as torch's own layer does; it has both, and a momentum, by construction."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.running_mean.lerp_(mean, self.momentum or 0.0)
        self.running_var.lerp_(variance, self.momentum or 0.0)
        self.num_batches_tracked.add_(1)
