"""What a batch is, as far as it can be told: which part of it is input, which target, and how many examples it holds.

A batch is (input, target), or a mapping whose labels go by one of the names in ``LABELS`` and whose other entries are
forward's keywords. Tensors may lie in tuples, named tuples, lists and mappings. What can't be guessed is refused, with
the line to write.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ..refusal import Refusal
from .structure import described, leaves

LABELS = ("labels", "label", "targets", "target", "y")


class Keywords(dict):
    """A batch's input that forward takes by name."""


def guessed(batch: Any) -> tuple[Any, Any]:
    """Input and target of ``batch``. Raises ValueError, with the line to write, where they can't be told."""
    if isinstance(batch, Mapping):
        names = [name for name in LABELS if name in batch]
        if len(names) == 1:
            return Keywords({key: value for key, value in batch.items() if key != names[0]}), batch[names[0]]
        keys = [repr(key) for key in batch]
        raise _unclear(
            f"a batch is a mapping with {', '.join(keys) or 'nothing'} in it, of which "
            f"{'several' if names else 'none'} may be the target ({', '.join(LABELS)})",
            f"({{{keys[0]}: batch[{keys[0]}]}}, batch[{keys[-1]}])" if keys else "(batch['x'], batch['y'])",
        )
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[0], batch[1]
    if isinstance(batch, tuple | list) and len(batch) > 2:
        shown = ", ".join(described(part) for part in batch)
        one, other = _likely(batch)
        raise _unclear(
            f"a batch holds {len(batch)} things ({shown}): which are input and target, perhaps {one} and {other}? "
            "Several of either go into a tuple",
            f"(batch[{one}], batch[{other}])",
        )
    if isinstance(batch, tuple | list) and len(batch) == 1:
        raise _unclear(
            f"a batch holds one thing ({described(batch[0])}) and no target. A loss without one is a "
            "landscape.Closure; perhaps the input is its own target",
            "(batch[0], batch[0])",
        )
    raise _unclear(
        f"a batch is {described(batch)} and has no target. A loss without one is a landscape.Closure; perhaps "
        "the input is its own target",
        "(batch, batch)",
    )


def _likely(batch: Sequence[Any]) -> tuple[int, int]:
    """Where input and target may be: the first thing with the most dimensions, and the last other one."""
    sizes = [part.ndim if isinstance(part, Tensor) else 0 for part in batch]
    one = sizes.index(max(sizes))
    return one, next(place for place in reversed(range(len(batch))) if place != one)


def _unclear(what: str, line: str) -> Refusal:
    """A refusal with the line to write, which stands in full below it where errors are shown with their notes."""
    refusal = Refusal(f"{what}. Say how to read it, by a function: lambda batch: {line}")
    refusal.add_note(f"unpack=lambda batch: {line}")
    return refusal


def examples(inputs: Any, target: Any) -> int:
    """How many examples a batch holds: the length of all tensors in its target, or of its inputs where it has none.

    Raises ValueError where they differ.
    """
    for part, name in ((target, "target"), (inputs, "input")):
        if isinstance(part, list) and part and not isinstance(part[0], Tensor | np.ndarray | list | tuple):
            return len(part)
        found = [leaf.shape for leaf in leaves(part)]
        lengths = {shape[0] for shape in found if shape}
        if len(lengths) == 1 and all(found):
            return int(lengths.pop())
        if found:
            raise ValueError(
                f"how many examples does a batch hold? The tensors in its {name} have the shapes "
                f"{', '.join(str(list(shape)) for shape in found)}: say so, size=lambda batch: len(batch[0])"
            )
    raise ValueError(
        "how many examples does a batch hold? There is no tensor in it: say so, size=lambda batch: len(batch[0])"
    )
