"""Time-first tensors as [time, neurons], neurons in the order in which they lie in memory.

A neuron sees no other, so whatever works on neurons one by one can take them in any order. In memory's own, a tensor in
any dense layout (channels last, transposed) is a view with neighbours beside each other and costs no copy; steps may
lie anywhere, also all in one place, as the steps of a static image do.
"""

from collections.abc import Sequence

from torch import Tensor


def memory_order(tensor: Tensor) -> list[int]:
    """The axes of ``tensor`` behind the first, those of the largest strides first."""
    return sorted(range(1, tensor.ndim), key=tensor.stride().__getitem__, reverse=True)


def flattened(tensor: Tensor, order: Sequence[int]) -> Tensor:
    """[time, neurons] with neurons by the axes ``order``, neighbours adjacent: a view where memory allows."""
    flat = tensor.permute(0, *order).flatten(1)
    return flat if flat.stride(1) == 1 or flat.shape[1] < 2 else flat.contiguous()


def restored(flat: Tensor, order: Sequence[int], like: Tensor) -> Tensor:
    """``flat`` in the shape of ``like``, of which ``order`` are the axes: a view."""
    back = sorted(range(len(order)), key=order.__getitem__)
    return flat.view(len(flat), *(like.shape[axis] for axis in order)).permute(0, *(1 + axis for axis in back))
