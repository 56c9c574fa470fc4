"""A CUDA device that isn't there: tensors of the CPU that say they are on it, and refuse to be mixed with others.

    with PretendCuda():
        network.to("cuda")                  # labelled, by storage; computed on the CPU
        network(images)                     # RuntimeError: images are on the CPU, weights aren't

What a CUDA device refuses is refused: operands on two devices (but for single numbers, and positions to index with), a
generator of the CPU drawing there, NumPy reading from there. ``tensor.device`` says cuda, so that code which asks
follows. Streams, graphs and Triton are not reached by it.
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

PROJECT, PACKAGES = Path(__file__).parents[1], ("models", "landscape", "analysis")
CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
_CROSSING = ("copy_", "index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put")
_ASKED: dict[Any, Callable[[torch.device], Any]] = {
    Tensor.device: lambda device: device,
    Tensor.is_cuda: lambda device: device == CUDA,
    Tensor.is_cpu: lambda device: device == CPU,
}
_there: "WeakKeyDictionary[torch.UntypedStorage, torch.device]" = WeakKeyDictionary()


def place(tensor: Tensor) -> torch.device:
    """Where a tensor says it is."""
    with torch._C.DisableTorchFunction():
        return _there.get(tensor.untyped_storage(), CPU)


def _put(found: Any, device: torch.device) -> Any:
    for one in tree_leaves(found):
        if isinstance(one, Tensor):
            with torch._C.DisableTorchFunction():
                _there[one.untyped_storage()] = device
    return found


def _ours(file: str) -> bool:
    return Path(file).is_relative_to(PROJECT) and Path(file).relative_to(PROJECT).parts[0] in PACKAGES


class _Operands(TorchDispatchMode):
    """Every operation's operands are in one place, where its results are."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [one for one in tree_leaves((args, kwargs or {})) if isinstance(one, Tensor)]
        name = func.__name__.split(".")[0]
        counted = tensors[:1] if name in _CROSSING else [one for one in tensors if one.dim() or place(one) == CUDA]
        places = {place(one) for one in counted}
        if len(places) > 1:
            raise RuntimeError(f"Expected all tensors to be on the same device, but {name} got cuda:0 and cpu")
        found = func(*args, **(kwargs or {}))
        if CUDA in places:
            _put(found, CUDA)
        return found


class PretendCuda(TorchFunctionMode):
    """While it lasts, "cuda" is the device described above.

    ``sites`` are the functions of the project, FILE:NAME, from which something was brought or made there; those of
    ``left_out`` bring nothing: a planted mismatch.
    """

    def __init__(self, left_out: str = "") -> None:
        super().__init__()
        self.left_out, self.sites = left_out, dict[str, None]()

    def _brings(self) -> bool:
        frame: Any = sys._getframe(2)
        while frame and not _ours(frame.f_code.co_filename):
            frame = frame.f_back
        code = frame.f_code if frame else None
        site = f"{Path(code.co_filename).relative_to(PROJECT).as_posix()}:{code.co_qualname}" if code else "elsewhere"
        self.sites[site] = None
        return site != self.left_out

    def __enter__(self) -> "PretendCuda":
        super().__enter__()
        self._others = ExitStack()
        self._others.enter_context(_Operands())
        state = torch.get_rng_state()  # nothing draws there
        self._others.enter_context(mock.patch("torch.cuda.get_rng_state", return_value=state))
        self._others.enter_context(mock.patch("torch.cuda.mem_get_info", return_value=(2**33, 2**34)))
        return self

    def __exit__(self, *failure: Any) -> None:
        self._others.__exit__(*failure)
        super().__exit__(*failure)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        first = args[0] if args and isinstance(args[0], Tensor) else None
        if (asked := getattr(func, "__self__", None)) in _ASKED:
            return _ASKED[asked](place(args[0]))
        if first is not None and func in (Tensor.numpy, Tensor.__array__) and place(first) == CUDA:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")
        if first is not None and func in (Tensor.to, Tensor.cpu, Tensor.cuda):
            return self._moved(func, first, args[1:], kwargs)
        if func is Tensor.__deepcopy__ and first is not None:  # copies the storage by itself
            return _put(func(*args, **kwargs), place(first))
        if "device" in kwargs and func.__name__ != "_parse_to":  # which reads the arguments of Module.to
            return self._made(func, args, kwargs)
        generator = kwargs.get("generator")
        if generator is not None and first is not None and place(first) == CUDA:
            self._check(generator, CUDA)
        return func(*args, **kwargs)

    def _made(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """A tensor from nothing, or from numbers, on the device asked for."""
        device = torch.device(kwargs.pop("device") or CPU)
        device = CUDA if device.type == "cuda" else device
        if kwargs.get("generator") is not None:
            self._check(kwargs["generator"], device)
        if device.type == "meta":
            return func(*args, device=device, **kwargs)
        found = func(*args, **kwargs)
        if isinstance(found, Tensor) and place(found) != device and (device == CPU or self._brings()):
            found = _put(found.clone(), device)
        return found

    def _check(self, generator: torch.Generator, device: torch.device) -> None:
        if generator.device.type != device.type:
            raise RuntimeError(
                f"Expected a {device.type!r} device type for generator but found {generator.device.type!r}"
            )

    def _moved(self, func: Any, tensor: Tensor, args: Any, kwargs: dict[str, Any]) -> Any:
        """A tensor on another device, or what the call does where none is named."""
        said: Any = kwargs.pop("device", None)
        rest: list[torch.dtype] = []
        moved: Callable[..., Tensor] = Tensor.to
        said = {Tensor.cpu: CPU, Tensor.cuda: CUDA}.get(func, said)
        for one in args:
            if isinstance(one, Tensor):
                said, rest = place(one), [*rest, one.dtype]
            elif isinstance(one, str | torch.device):
                said = one
            elif isinstance(one, torch.dtype):
                rest.append(one)
        device = place(tensor) if said is None else torch.device(said)
        device = CUDA if device.type == "cuda" else device
        if device.type == "meta":
            return moved(tensor, "meta", *rest, **kwargs)
        kwargs.pop("non_blocking", None)
        if func is not Tensor.to:
            kwargs.pop("memory_format", None)
        found = moved(tensor, *rest, **kwargs) if rest or kwargs else tensor
        if place(found) == device or (device == CUDA and not self._brings()):
            return found
        if found is tensor:
            found = tensor.clone()
        return _put(found, device)
