"""The trainable weights of a module as one flat vector w ∈ ℝⁿ.

Weights are taken from ``named_parameters()``, which lists a shared tensor once; a state dict may list it many times,
and moving it by name would then move it many times over.

A complex weight counts as two real ones, its real and its imaginary part: a real loss has a gradient and a Hessian in
those, and autograd's ∂L/∂Re + i ∂L/∂Im is that gradient, pair by pair.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


class Parameters:
    """The parameters of ``model`` that require a gradient, in the order of ``named_parameters()``.

    ``names`` keeps only the parameters named (in the model's order). Raises ValueError when nothing is left, when a
    name is unknown, when the parameters do not share one device and one floating dtype (complex ones that of their
    parts), when one has no values yet, or when entries of them share memory, so that they can't move apart.
    """

    def __init__(self, model: nn.Module, names: Sequence[str] | None = None):
        found = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        unknown = [name for name in names or () if name not in found]
        if unknown:
            raise ValueError(f"no trainable parameter named {unknown[0]!r}; the model has {', '.join(found) or 'none'}")
        chosen = {name: weight for name, weight in found.items() if names is None or name in names}
        if not chosen:
            raise ValueError("the model has no trainable parameter: set requires_grad on the weights to be analysed")
        empty = [name for name, weight in chosen.items() if is_lazy(weight) or weight.device.type == "meta"]
        if empty:
            raise ValueError(
                f"parameter {empty[0]!r} has no values yet (a lazy layer, or the meta device): run the model once on a "
                "batch, or load its weights, before it is measured"
            )
        if fixed := [name for name, weight in chosen.items() if weight.is_inference()]:
            raise ValueError(
                f"parameter {fixed[0]!r} was made in inference mode, and has no gradient: build the model outside of it"
            )
        self.names = tuple(chosen)
        self.tensors = tuple(chosen.values())
        kinds = {(weight.device, weight.dtype.to_real()) for weight in self.tensors}
        if len(kinds) > 1:
            raise ValueError(
                f"parameters must share one device and dtype, got {sorted(map(str, kinds))}: measure a copy of the "
                "model in one, as model.double() gives, or some of them, Parameters(model, names)"
            )
        _check_memory(chosen)
        self.device, self.dtype = next(iter(kinds))
        self.sizes = [as_reals(weight).numel() for weight in self.tensors]
        self.dimension = sum(self.sizes)
        self._modules = dict(model.named_modules())

    def check_real(self, what: str) -> None:
        """Raise ValueError where a weight is complex, for ``what`` is of real ones."""
        for name, weight in zip(self.names, self.tensors, strict=True):
            if weight.is_complex():
                raise ValueError(f"parameter {name!r} is complex, and {what} is of real weights: it can't be measured")

    @property
    def wide(self) -> torch.dtype:
        """The dtype in which to sum over batches: single precision for half-precision weights, else their own."""
        return torch.promote_types(self.dtype, torch.float32)

    def owner(self, name: str) -> nn.Module:
        """The module that holds the parameter ``name`` as an attribute."""
        return self._modules[name.rpartition(".")[0]]

    def flatten(self, tensors: Sequence[Tensor | None]) -> Float[Tensor, " dimension"]:
        """One vector from a tensor per parameter; None (a parameter the loss does not use) counts as zero."""
        return torch.cat(
            [
                as_reals(torch.zeros_like(weight) if tensor is None else _dense(tensor)).reshape(-1)
                for tensor, weight in zip(tensors, self.tensors, strict=True)
            ]
        )

    def split(self, vector: Float[Tensor, " dimension"]) -> tuple[Tensor, ...]:
        """Views of ``vector`` in the parameters' shapes, copies for complex ones; the inverse of :meth:`flatten`."""
        parts = vector.split(self.sizes)
        return tuple(_like(part, weight) for part, weight in zip(parts, self.tensors, strict=True))

    def vector(self) -> Float[Tensor, " dimension"]:
        """A copy of the present weights."""
        return self.flatten([weight.detach() for weight in self.tensors])

    def assign(self, vector: Float[Tensor, " dimension"]) -> None:
        """Write ``vector`` into the model's weights, in place."""
        with torch.no_grad():
            for weight, value in zip(self.tensors, self.split(vector), strict=True):
                weight.copy_(value)

    @contextmanager
    def restored(self) -> Iterator[Float[Tensor, " dimension"]]:
        """Yield the present weights; on leaving, however that happens, put them back bit for bit."""
        before = self.vector()
        try:
            yield before
        finally:
            self.assign(before)


def as_reals(tensor: Tensor) -> Tensor:
    """``tensor`` itself, or a complex one as pairs of reals along a further, last dimension."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _dense(tensor: Tensor) -> Tensor:
    """The tensor itself, or the gradient of a sparse embedding with its zeros."""
    return tensor if tensor.layout == torch.strided else tensor.to_dense()


def _check_memory(weights: dict[str, nn.Parameter]) -> None:
    """Raise ValueError where two entries of the weights are one place in memory."""
    spans: dict[int, list[tuple[int, int, str]]] = {}
    for name, weight in weights.items():
        if weight.layout != torch.strided or not weight.numel():
            continue
        size, offset = weight.element_size(), int(weight.storage_offset())
        reach = sum(int((length - 1) * step) for length, step in zip(weight.shape, weight.stride(), strict=True))
        spans.setdefault(weight.untyped_storage().data_ptr(), []).append(
            (offset * size, (offset + reach + 1) * size, name)
        )
        if reach + 1 < weight.numel():
            raise ValueError(
                f"entries of parameter {name!r} share memory (it was expanded): make a copy of it, "
                "nn.Parameter(weight.clone())"
            )
    for found in spans.values():
        found.sort()
        for (_, end, one), (begin, _, other) in pairwise(found):
            if begin < end and _overlap(weights[one], weights[other]):
                raise ValueError(
                    f"parameters {one!r} and {other!r} share memory, so that neither can move alone: make them one "
                    f"Parameter, module.{other} = module.{one}"
                )


def _overlap(one: Tensor, other: Tensor) -> bool:
    """Whether an entry of one is an entry of the other, exactly, of two that lie in one storage."""
    entries = one.untyped_storage().nbytes() // one.element_size()
    places = torch.zeros(entries, dtype=torch.uint8)
    for tensor in (one, other):
        places.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset()).add_(1)
    return bool((places > 1).any())


def _like(part: Tensor, weight: Tensor) -> Tensor:
    """The numbers of ``part`` in the shape of ``weight``, and complex if that is."""
    if weight.is_complex():
        return torch.complex(*part.view(*weight.shape, 2).unbind(-1))
    return part.view_as(weight)
