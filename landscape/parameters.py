"""The trainable weights of a module as one flat vector w ∈ ℝⁿ, and the promise to give a module back as found.

Weights are taken from ``named_parameters()``, which lists a shared tensor once; a state dict may list it many times,
and moving it by name would then move it many times over.

A complex weight counts as two real ones, its real and its imaginary part: a real loss has a gradient and a Hessian in
those, and autograd's ∂L/∂Re + i ∂L/∂Im is that gradient, pair by pair.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Parameters:
    """The parameters of ``model`` that require a gradient, in the order of ``named_parameters()``.

    ``names`` keeps only the parameters named (in the model's order). Raises ValueError when nothing is left, when a
    name is unknown, or when the parameters do not share one device and one floating dtype (complex ones that of their
    parts).
    """

    def __init__(self, model: nn.Module, names: Sequence[str] | None = None):
        found = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        unknown = [name for name in names or () if name not in found]
        if unknown:
            raise ValueError(f"no trainable parameter named {unknown[0]!r}; the model has {', '.join(found) or 'none'}")
        chosen = {name: weight for name, weight in found.items() if names is None or name in names}
        if not chosen:
            raise ValueError("the model has no trainable parameter: set requires_grad on the weights to be analysed")
        self.names = tuple(chosen)
        self.tensors = tuple(chosen.values())
        kinds = {(weight.device, weight.dtype.to_real()) for weight in self.tensors}
        if len(kinds) > 1:
            raise ValueError(f"parameters must share one device and dtype, got {sorted(map(str, kinds))}")
        self.device, self.dtype = next(iter(kinds))
        self.sizes = [as_reals(weight).numel() for weight in self.tensors]
        self.dimension = sum(self.sizes)
        self._modules = dict(model.named_modules())

    def owner(self, name: str) -> nn.Module:
        """The module that holds the parameter ``name`` as an attribute."""
        return self._modules[name.rpartition(".")[0]]

    def flatten(self, tensors: Sequence[Tensor | None]) -> Float[Tensor, "dimension"]:
        """One vector from a tensor per parameter; None (a parameter the loss does not use) counts as zero."""
        return torch.cat(
            [
                as_reals(torch.zeros_like(weight) if tensor is None else tensor).reshape(-1)
                for tensor, weight in zip(tensors, self.tensors, strict=True)
            ]
        )

    def split(self, vector: Float[Tensor, "dimension"]) -> tuple[Tensor, ...]:
        """Views of ``vector`` in the parameters' shapes, copies for complex ones; the inverse of :meth:`flatten`."""
        parts = vector.split(self.sizes)
        return tuple(_like(part, weight) for part, weight in zip(parts, self.tensors, strict=True))

    def vector(self) -> Float[Tensor, "dimension"]:
        """A copy of the present weights."""
        return self.flatten([weight.detach() for weight in self.tensors])

    def assign(self, vector: Float[Tensor, "dimension"]) -> None:
        """Write ``vector`` into the model's weights, in place."""
        with torch.no_grad():
            for weight, value in zip(self.tensors, self.split(vector), strict=True):
                weight.copy_(value)

    @contextmanager
    def restored(self) -> Iterator[Float[Tensor, "dimension"]]:
        """Yield the present weights; on leaving, however that happens, put them back bit for bit."""
        before = self.vector()
        try:
            yield before
        finally:
            self.assign(before)


def as_reals(tensor: Tensor) -> Tensor:
    """``tensor`` itself, or a complex one as pairs of reals along a further, last dimension."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _like(part: Tensor, weight: Tensor) -> Tensor:
    """The numbers of ``part`` in the shape of ``weight``, and complex if that is."""
    if weight.is_complex():
        return torch.complex(*part.view(*weight.shape, 2).unbind(-1))
    return part.view_as(weight)


@contextmanager
def preserved(model: nn.Module) -> Iterator[nn.Module]:
    """On leaving, give ``model`` its buffers, ``.grad``, ``requires_grad`` and train/eval modes back as they were.

    In between the model works on copies of its buffers: the originals are never written to, and a graph that outlives
    the context holds copies that nothing will change. Weights are :meth:`Parameters.restored`'s business.
    """
    modes = {module: module.training for module in model.modules()}
    gradients = {weight: (weight.grad, weight.requires_grad) for weight in model.parameters()}
    buffers = [
        (module, name, buffer)
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False)
    ]
    copies = {buffer: buffer.clone() for _, _, buffer in buffers}
    try:
        for module, name, buffer in buffers:
            setattr(module, name, copies[buffer])
        yield model
    finally:
        for module, name, buffer in buffers:
            setattr(module, name, buffer)
        for module, mode in modes.items():
            module.training = mode
        for weight, (gradient, required) in gradients.items():
            weight.grad = gradient
            weight.requires_grad_(required)
