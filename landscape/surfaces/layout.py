"""What makes a pass fast on a CPU: the order of its input in memory, and how many examples it holds."""

import torch
from torch import Tensor, nn

from ..evaluation import preserved


def cached_size(model: nn.Module, example: Tensor, *, limit: int = 2**23) -> int:
    """Examples in one pass for which no layer's output takes more than ``limit`` bytes, judged by a pass of one.

    On a CPU larger passes are slower: a layer finds nothing of its input in the cache any more, and memory for outputs
    beyond some 30 MB is mapped anew for each. (ResNet-19 at T = 4 takes a quarter more time an image at 32 than at 4.)
    """
    largest = 1

    def note(_module: nn.Module, _inputs: object, output: object) -> None:
        nonlocal largest
        if isinstance(output, Tensor):
            largest = max(largest, output.numel() * output.element_size())

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with preserved(model), torch.no_grad():
            model.eval()(example)
    finally:
        for hook in hooks:
            hook.remove()
    return max(1, limit // largest)


def laid_out(tensor: Tensor, *, channels_last: bool) -> Tensor:
    """Channels innermost: of [batch, channel, H, W], and of [time, batch, channel, H, W] with time folded in."""
    if not channels_last or tensor.ndim not in (4, 5):
        return tensor
    folded = tensor.flatten(0, 1) if tensor.ndim == 5 else tensor
    # A copy, and not .contiguous(): with one channel that finds nothing to do, and what follows keeps channels first.
    folded = torch.empty_like(folded, memory_format=torch.channels_last).copy_(folded)
    return folded.unflatten(0, tensor.shape[:2]) if tensor.ndim == 5 else folded
