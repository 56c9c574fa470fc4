"""The examples' losses at many places of one layer's weights, what comes before the layer computed once.

As one layer's weights move, all that a pass computes before it stays as it is. At the first place the outputs of the
modules before the layer are kept, and at the others they are given back in their place, bit for bit what they would
compute.

It is an optimization, and where anything is in doubt a module is computed as usual. A module's outputs are kept only

- if its type is one of torch's own below, or one whose class says ``of_its_input = True`` of itself (and not of its
  subclasses): an output that is a function of the input, its own parameters and the mode, with nothing else written
  that anyone reads;
- without children, hooks or parametrizations, and with parameters that don't move;
- of its calls before the first call of any module that holds a weight that moves, where each of these is called;
- while they take at most ``BUDGET`` bytes over all batches together, and nothing has written to them.

At the second place one batch is computed both ways, and if they differ in a bit, nothing is kept any more.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..evaluation import Batch, same_bits
from .objective import Objective

BUDGET = 2**28
_TORCHS = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm,
    nn.GroupNorm, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.ReLU,
    nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.Flatten, nn.Identity,
)  # fmt: skip
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_modules")
Kept = tuple[Tensor, int]


class Replay:
    """``objective.examples()`` wherever ``moving``, some of its weights, are; all else has to stay as it is."""

    def __init__(self, objective: Objective, moving: Sequence[nn.Parameter]):
        self.objective = objective
        own = {id(weight) for weight in moving}
        modules = list(objective.model.modules())
        self._holders = [each for each in modules if any(id(weight) in own for weight in each._parameters.values())]
        self._may_stay = [each for each in modules if each not in self._holders and _usable(each)]
        self._kept: dict[tuple[int, nn.Module], list[Kept]] = {}
        self._left = BUDGET
        self._places = 0
        self._off = any(isinstance(each, torch.jit.ScriptModule) for each in modules)

    def examples(self) -> Float[Tensor, " size"]:
        """ℓᵢ(w) of every example, in order, as ``objective.examples()`` has them, bit for bit."""
        if self._off:
            return self.objective.examples()
        values = []
        with self.objective.evaluating(), self.objective.evaluation.watching():
            for number, batch in enumerate(self.objective.evaluation.batches):
                values.append(self._values(number, batch))
        self._places += 1
        self._off = self._off or not self._kept
        return self.objective.gathered(values)

    def _values(self, number: int, batch: Batch) -> Tensor:
        if self._off:
            return self._plain(batch)
        with self._keeping(number) if self._places == 0 else self._given_back(number):
            found = self._plain(batch)
        if self._places != 1 or number:
            return found
        plain = self._plain(batch)
        self._off = not same_bits(plain, found)
        return plain

    def _plain(self, batch: Batch) -> Tensor:
        loss = self.objective.losses(*batch)
        if loss.ndim == 0:
            raise ValueError("the loss returns a mean; losses of single examples need reduction='none'")
        return loss.detach().clone()

    @contextmanager
    def _keeping(self, number: int) -> Iterator[None]:
        """In here outputs from before the first module that moves are kept."""
        called: set[nn.Module] = set()

        def kept(module: nn.Module, original: Callable[..., Any], *seen: Any, **more: Any) -> Any:
            output = original(*seen, **more)
            if not called and self._left > 0 and _is_plain(output):
                self._left -= output.numel() * output.element_size()
                self._kept.setdefault((number, module), []).append((output, output._version))
            return output

        def noted(module: nn.Module, original: Callable[..., Any], *seen: Any, **more: Any) -> Any:
            called.add(module)
            return original(*seen, **more)

        with _in_place([(each, kept) for each in self._may_stay] + [(each, noted) for each in self._holders]):
            yield
        self._off = self._off or len(called) < len(self._holders)

    @contextmanager
    def _given_back(self, number: int) -> Iterator[None]:
        """In here what was kept stands in for the modules that it is of, call by call."""
        left = {module: iter(found) for (batch, module), found in self._kept.items() if batch == number}

        def given(module: nn.Module, original: Callable[..., Any], *seen: Any, **more: Any) -> Any:
            output, version = next(left[module], (None, -1))
            return output if output is not None and output._version == version else original(*seen, **more)

        with _in_place([(each, given) for each in left]):
            yield


@contextmanager
def _in_place(replaced: Sequence[tuple[nn.Module, Callable[..., Any]]]) -> Iterator[None]:
    """In here each module's forward is ``function(module, its own forward, …)``."""
    before = {module: vars(module).get("forward") for module, _ in replaced}
    try:
        for module, function in replaced:
            module.forward = partial(function, module, module.forward)
        yield
    finally:
        for module, forward in before.items():
            if forward is None:
                del module.forward
            else:
                module.forward = forward


def _usable(module: nn.Module) -> bool:
    kind = type(module)
    return (
        (kind in _TORCHS or vars(kind).get("of_its_input") is True)
        and not any(getattr(module, name) for name in _HOOKS)
        and not {"forward", "__call__", "_compiled_call_impl"} & {key for key, value in vars(module).items() if value}
        and all(weight is None or type(weight) is nn.Parameter for weight in module._parameters.values())
    )


def _is_plain(output: Any) -> bool:
    odd = type(output) is not Tensor or output.layout != torch.strided or output.requires_grad
    return not (odd or output.is_inference())
