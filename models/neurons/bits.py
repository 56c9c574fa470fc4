"""Spikes kept for the backward as bits: one a spike, where the tensors that layers keep take 16 or 32.

    with bits.kept():
        loss = tet_loss(network(images), labels)
    loss.backward()

What a layer saves in such a block is packed when it is, element for element, a neuron's output: the same memory, as the
neuron wrote it (known by its storage and version; values are not looked at), in whatever shape. The layers that save
the same spikes share one packed copy, and each gets back, when the backward comes to it, a tensor of the same numbers,
type and strides. So gradients are the same to the bit, and so are second ones. All else is saved as it is: currents,
what a pool makes of spikes (graded, or a maximum), spikes in another type, and the graded spikes of a smooth neuron.
Saved tensors that are changed in place are refused, as torch does outside such a block.

Packed by C on a CPU where :mod:`models.neurons.fused` has a compiler, else by torch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from jaxtyping import Num, UInt8
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef

from . import fused

_GATHER = 0x0102040810204080  # times eight bytes that are 0 or 1: their bits, in the product's highest byte


@dataclass
class _Spikes:
    """A neuron's output. The weak reference keeps its storage's identity from being another's, not the storage."""

    storage: StorageWeakRef
    version: int
    dtype: torch.dtype
    count: int
    packed: Tensor | None = None


_known: ContextVar[dict[int, _Spikes] | None] = ContextVar("spikes", default=None)


@contextmanager
def kept() -> Iterator[None]:
    """Within, what is saved for a backward is saved as bits where it is spikes."""
    known: dict[int, _Spikes] = {}
    token = _known.set(known)
    try:
        with saved_tensors_hooks(lambda tensor: _saved(tensor, known), lambda saved: saved.restored()):
            yield
    finally:
        _known.reset(token)


def noted(spikes: Tensor) -> Tensor:
    """``spikes`` itself, known from now on to be zeros and ones throughout its memory."""
    known = _known.get()
    if known is not None and spikes.numel() * spikes.itemsize == spikes.untyped_storage().nbytes():
        reference = StorageWeakRef(spikes.untyped_storage())
        known[reference.cdata] = _Spikes(reference, spikes._version, spikes.dtype, spikes.numel())
    return spikes


@dataclass(frozen=True)
class _Whole:
    tensor: Tensor
    version: int

    def restored(self) -> Tensor:
        if self.tensor._version != self.version:
            raise RuntimeError("a tensor saved for the backward was changed in place after that")
        return self.tensor


@dataclass(frozen=True)
class _Bits:
    packed: Tensor
    dtype: torch.dtype
    count: int
    view: tuple[torch.Size, tuple[int, ...], int]

    def restored(self) -> Tensor:
        with torch.no_grad():
            return unpacked(self.packed, self.count, self.dtype).as_strided(*self.view)


def _saved(tensor: Tensor, known: dict[int, _Spikes]) -> _Whole | _Bits:
    # Detached, because what saves its own output would otherwise keep itself alive.
    spikes = known.get(tensor.untyped_storage()._cdata)
    if spikes is None or (spikes.version, spikes.dtype) != (tensor._version, tensor.dtype):
        return _Whole(tensor.detach(), tensor._version)
    if tensor.numel() != spikes.count:  # a step, say: as bits all steps would come back with it
        return _Whole(tensor.detach(), tensor._version)
    if spikes.packed is None:
        with torch.no_grad():
            spikes.packed = packed(tensor.detach().as_strided((spikes.count,), (1,), 0))
    return _Bits(
        spikes.packed, spikes.dtype, spikes.count, (tensor.shape, tensor.stride(), int(tensor.storage_offset()))
    )


def packed(spikes: Num[Tensor, " count"]) -> UInt8[Tensor, " byte"]:
    """Bit k of byte i is whether number 8i + k is not zero; numbers must be adjacent in memory."""
    if fused.takes(spikes):
        return fused.packed(spikes)
    flags = torch.zeros(-(-len(spikes) // 8) * 8, dtype=torch.bool, device=spikes.device)
    torch.ne(spikes, 0, out=flags[: len(spikes)])
    return ((flags.view(torch.int64) * _GATHER) >> 56).to(torch.uint8)


def unpacked(packed: UInt8[Tensor, " byte"], count: int, dtype: torch.dtype) -> Num[Tensor, " count"]:
    """The first ``count`` bits, as zeros and ones."""
    like = torch.empty(0, dtype=dtype, device=packed.device)
    if fused.takes(like):
        return fused.unpacked(packed, count, dtype)
    bytes_ = torch.arange(256, device=packed.device)
    table = ((bytes_[:, None] >> torch.arange(8, device=packed.device)) & 1).to(torch.uint8).view(torch.int64)
    return table[packed.long(), 0].view(torch.uint8)[:count].to(dtype)
