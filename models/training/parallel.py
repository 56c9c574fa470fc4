"""Training on several processes, as torchrun starts them, to the weights of one, up to rounding.

    torchrun --nproc-per-node 2 -m models.train --data cifar10 --device cuda --out runs/tet-0

Every process draws the same order of the images and the same augmentation, and takes its share of each batch. Then

    gradient     of the mean over the whole batch: each process's sum over its share, times n over the batch's images,
                 which DistributedDataParallel averages over the n processes
    BatchNorm    in training, mean and variance over all shares (two all-reduces a layer, differentiated too); torch's
                 own SyncBatchNorm is for CUDA alone and weighs nothing else differently
    decisions    to stop at SIGTERM, or at a loss: taken by all, from the same sums (:mod:`models.processes`)
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn.parallel import DistributedDataParallel

from ..networks.layers import BatchNorm2d
from ..processes import summed, world


def wrapped(network: nn.Module) -> nn.Module:
    """What training calls in place of ``network``: it synchronises BatchNorm's statistics and gradients."""
    if world() == 1:
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
        self.track(mean.detach(), variance.detach(), count)
        factor = self.scale * self.weight * (variance + self.eps).rsqrt()
        return torch.addcmul(self.bias[:, None, None], centred, factor[:, None, None]).to(input.dtype)
