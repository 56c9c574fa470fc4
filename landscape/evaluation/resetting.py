"""The state that neurons of known libraries keep from one batch to the next, and what clears it."""

from collections.abc import Callable

from torch import nn

Reset = Callable[[nn.Module], object]
_METHODS: dict[type, str] = {}


def resetting(model: nn.Module) -> Reset | None:
    """What clears the state of the neurons in ``model`` that are SpikingJelly's or snnTorch's; None without such.

    Norse's neurons return their state, and keep none.
    """
    clearing = [method for module in model.modules() if (method := _clearing(module))]
    if not clearing:
        return None

    def reset(_: nn.Module) -> None:
        for method in clearing:
            method()

    return reset


def _clearing(module: nn.Module) -> Callable[[], object] | None:
    """The module's own method that clears its state, where its library is known."""
    name = _method(type(module))
    return getattr(module, name, None) if name else None


def _method(kind: type) -> str:
    if kind not in _METHODS:
        _METHODS[kind] = _method_of(kind)
    return _METHODS[kind]


def _method_of(kind: type) -> str:
    kinds = {(each.__module__.partition(".")[0], each.__name__) for each in kind.__mro__}
    if ("spikingjelly", "MemoryModule") in kinds:
        return "reset"
    return "reset_mem" if ("snntorch", "SpikingNeuron") in kinds else ""
