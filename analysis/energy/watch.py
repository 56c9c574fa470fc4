"""Watching a pass: every operator that torch executes and every neuron that fires, with the module at work.

Modules put their names on a stack while they are at work, so that an operator belongs to the innermost of them, however
it is asked for. Kernels that do several products in one are taken apart where torch can: attention into its products of
matrices, recurrent layers into theirs.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from models.neurons.lif import Rate

from ..subject import Spiking
from .flow import tensors
from .products import Product, product

OUTSIDE = "(forward)"
"""Layer of what the network does by itself, in no module of it."""


class Watch(TorchDispatchMode):
    """Reports what happens while it is ``attached`` to a network: for subclasses to take note of."""

    def __init__(self, network: nn.Module, spiking: Spiking):
        super().__init__()
        self._network, self._spiking = network, spiking
        self._names, self._inside = [OUTSIDE], 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch would import its compiler, which takes seconds, to keep it away from here."""
        return False

    def product(self, layer: str, made: Product) -> None:
        """A product was made."""

    def neurons(self, layer: str, output: Tensor, *, spiking: bool) -> None:
        """Neurons gave ``output``; ``spiking`` ones, or ReLUs."""

    def other(self, layer: str, func: Any, args: Any, output: Any) -> None:
        """Anything was executed, a product too; in neurons only products."""

    def given(self, inputs: Any) -> None:
        """The network was given ``inputs``."""

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Report while the block lasts."""
        handles: list[Any] = []
        for name, module in self._network.named_modules():
            handles += self._hooks(name, module)
        try:
            with _taken_apart(self._network), self:
                yield
        finally:
            for handle in handles:
                handle.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Execute the operator and report it."""
        output = func(*args, **(kwargs or {}))
        if made := product(func, args):
            self.product(self._names[-1], made)
        if made or not self._inside:
            self.other(self._names[-1], func, args, output)
        return output

    def _hooks(self, name: str, module: nn.Module) -> list[Any]:
        spiking, layer = self._spiking.is_neuron(module), name or OUTSIDE
        reported = spiking or isinstance(module, nn.ReLU | Rate)

        def enter(_module: nn.Module, args: Any, kwargs: Any) -> None:
            self._names.append(layer)
            self._inside += spiking
            if not name:
                with _disable_current_modes():
                    self.given((args, kwargs))

        def leave(_module: nn.Module, _args: Any, output: Any) -> None:
            self._names.pop()
            self._inside -= spiking
            first = next(tensors(output), None)
            if reported and not self._inside and first is not None:
                with _disable_current_modes():
                    self.neurons(layer, first, spiking=spiking)

        return [
            module.register_forward_pre_hook(enter, with_kwargs=True),
            module.register_forward_hook(leave, always_call=True),
        ]


@contextmanager
def _taken_apart(network: nn.Module) -> Iterator[None]:
    """Nothing compiled, and no kernels that do several products in one, as far as torch can do without."""
    fast = torch.backends.mha.get_fastpath_enabled()
    recurrent = any(isinstance(module, nn.RNNBase) for module in network.modules())
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        torch.backends.mha.set_fastpath_enabled(False)
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        if recurrent:
            before, *_ = torch.backends.mkldnn.set_flags(False, _fp32_precision=None)
            stack.callback(torch.backends.mkldnn.set_flags, before, _fp32_precision=None)
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield
