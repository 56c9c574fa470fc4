"""What the numbers in each tensor of a pass are: spikes, of which size and from how many neurons, or graded values.

Spikes are born in comparisons (a membrane above its threshold) and in neurons; on their way to the next synapses they
are reshaped, copied, pooled, averaged, added, scaled. Each of these leaves every value a whole number of ``unit``, the
value of one spike, and this follows that unit:

- a mean over n values divides the unit by n, and makes the value one of n neurons' spikes (``window``)
- a factor, one number, multiplies the unit: SpikingJelly's dropout in training, attention's 0.125. It folds into the
  next weights, so scaled spikes are spikes
- a sum of spikes, a maximum, a concatenation keep it

It belongs to memory, so that all views of a tensor share it. What can't be followed is unknown, and looked at
(:mod:`analysis.energy.looking`); what comes out of weights, or of functions other than these, is graded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._pytree import tree_leaves

from .operators import BORN, KEPT, LOST, MATRICES, POOLED, RESIZED, operator


@dataclass(frozen=True)
class Values:
    """What the numbers in a tensor are.

    ``unit`` is what one spike is worth, where they are known for spikes; ``window`` the number of neurons whose spikes,
    or values, one of them averages; ``image`` says that they are the network's input, however reshaped or scaled;
    ``sums`` that they come of a product of two operands that both depend on it, as scores of attention do: of spikes
    those are whole numbers, and no spikes.
    """

    kind: Literal["spikes", "graded", "unknown"]
    unit: float = 1.0
    window: int = 1
    image: bool = False
    sums: bool = False


SPIKES, GRADED, UNKNOWN = Values("spikes"), Values("graded"), Values("unknown")


class Flow:
    """The values of every tensor met so far in a pass, and the windows over which spikes were averaged."""

    def __init__(self) -> None:
        self._memory: dict[int, tuple[StorageWeakRef, Values]] = {}
        self.windows: set[int] = set()

    def of(self, tensor: Tensor) -> Values | None:
        """What is in ``tensor``; None for what no input of the network went into."""
        found = self._memory.get(tensor.untyped_storage()._cdata)
        return found[1] if found else None

    def put(self, tensor: Tensor, values: Values) -> None:
        """Note what is in ``tensor``, and in all that shares its memory."""
        storage = tensor.untyped_storage()
        self._memory[storage._cdata] = (StorageWeakRef(storage), values)
        if values.window > 1:
            self.windows.add(values.window)

    def carry(self, func: Any, args: Sequence[Any], outputs: Any) -> bool:
        """Note what ``func`` made of its arguments; whether any of them was noted.

        ``func`` is an operator of torch, ``outputs`` what it returned.
        """
        inputs = list(tensors(args))
        met = [values for each in inputs if (values := self.of(each))]
        if not met or (not func._schema.is_mutable and self._all_noted(outputs)):
            return bool(met)
        made = self._made(func, args, met, outputs)
        for output in tensors(outputs):
            self.put(output, made)
        return True

    def _all_noted(self, outputs: Any) -> bool:
        """Whether the outputs are views of what is noted already: new memory never is."""
        return all(self.of(output) for output in tensors(outputs))

    def _made(self, func: Any, args: Sequence[Any], met: list[Values], outputs: Any) -> Values:
        name, joint = operator(func), joined(met)
        if func.namespace != "aten":
            return UNKNOWN
        if name in BORN:
            return SPIKES
        if name in ("mul", "div"):
            return self._scaled(name, args, met)
        if name in POOLED | RESIZED or name in ("mean", "sum"):
            return _averaged(name, _window(name, args, outputs), joint)
        if name in LOST or (name in ("add", "sub", "where") and _constant(args[1])):
            return joint if joint.kind == "graded" and name not in LOST else UNKNOWN
        return joint if name in KEPT else replace(GRADED, sums=joint.sums or (name in MATRICES and len(met) > 1))

    def _scaled(self, name: str, args: Sequence[Any], met: list[Values]) -> Values:
        """A product or quotient elementwise: with one number, with another tensor of spikes, with anything else."""
        joint, others = joined(met), [each for each in args[:2] if not (isinstance(each, Tensor) and self.of(each))]
        if len(others) == 1 and _constant(others[0]) and (name == "mul" or others[0] is args[1]):
            number = abs(float(others[0]))
            if not 0 < number < float("inf"):
                return UNKNOWN
            return replace(joint, unit=joint.unit * number if name == "mul" else joint.unit / number)
        if name == "mul" and joint.kind == "spikes" and len(met) == 2:
            return Values("spikes", met[0].unit * met[1].unit, met[0].window * met[1].window)
        return replace(GRADED, sums=joint.sums) if joint.kind == "graded" else UNKNOWN


def tensors(found: Any) -> Iterator[Tensor]:
    """The tensors in a structure."""
    return (leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor))


def joined(met: Sequence[Values]) -> Values:
    """What values of several tensors are together: spikes where the largest unit is a whole number of the smallest."""
    together = Values(
        "graded",
        window=max(each.window for each in met),
        image=all(each.image for each in met),
        sums=any(each.sums for each in met),
    )
    kinds = {each.kind for each in met}
    if "graded" in kinds:
        return together
    unit = min(each.unit for each in met)
    whole = all(abs(each.unit / unit - round(each.unit / unit)) < 1e-6 for each in met)
    return replace(together, kind="spikes" if kinds == {"spikes"} and whole else "unknown", unit=unit)


def _constant(value: Any) -> bool:
    """Whether it is one number."""
    return not isinstance(value, Tensor) or value.numel() == 1


def _window(name: str, args: Sequence[Any], outputs: Tensor) -> int:
    """How many values each mean is of; 0 where they differ in that."""
    before, after = args[0].shape, outputs.shape
    if name in POOLED:
        size = args[1] if isinstance(args[1], Sequence) else [args[1]]
        axes = int(name[-2])
        return prod(size) if len(size) == axes else int(size[0]) ** axes
    ratio = [b // a for b, a in zip(before, after, strict=False)] if name in RESIZED else []
    if name in RESIZED and any(r * a != b for r, b, a in zip(ratio, before, after, strict=True)):
        return 0
    return int(torch.Size(before).numel() // max(outputs.numel(), 1))


def _averaged(name: str, window: int, joint: Values) -> Values:
    """A mean of so many values, or a sum."""
    if not window:
        return UNKNOWN if joint.kind != "graded" else joint
    return replace(joint, unit=joint.unit if name == "sum" else joint.unit / window, window=joint.window * window)
