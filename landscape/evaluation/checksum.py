"""A checksum of all that lies in a value: the bytes of its tensors, wherever they lie, and numbers beside them."""

import zlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .structure import leaves


def checksum(value: Any) -> int:
    """Of the bytes, shapes and dtypes of all tensors in ``value``, and of numbers and strings beside them."""
    total = 0
    for leaf in leaves(value, others=True):
        for part in _dense(leaf):
            array = part.detach().cpu().contiguous() if isinstance(part, Tensor) else part
            if isinstance(array, Tensor):
                about = f"{tuple(array.shape)}{array.dtype}"
                flat = array.reshape(-1).view(torch.uint8) if array.numel() else array.reshape(-1).to(torch.uint8)
                total = zlib.crc32(flat.numpy().data, zlib.crc32(about.encode(), total))
            else:
                total = zlib.crc32(str(part).encode(), total)
    return total


def _dense(leaf: Any) -> list[Any]:
    """The plain tensors that a leaf is made of; nothing where torch has no access to them."""
    if isinstance(leaf, np.ndarray):
        return [f"{leaf.shape}{leaf.dtype}", leaf.tobytes()]
    if not isinstance(leaf, Tensor):
        return [leaf]
    if leaf.layout == torch.sparse_coo:
        return [tuple(leaf.shape), leaf._indices(), leaf._values()]
    if leaf.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [tuple(leaf.shape), leaf.crow_indices(), leaf.col_indices(), leaf.values()]
    if leaf.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [tuple(leaf.shape), leaf.ccol_indices(), leaf.row_indices(), leaf.values()]
    if leaf.is_nested or leaf.is_quantized or leaf.device.type == "meta":
        return [str(leaf)]
    return [torch.view_as_real(leaf.resolve_conj()) if leaf.is_complex() else leaf.resolve_neg()]
