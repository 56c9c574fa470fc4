"""Tensors by name, held against the module that they are to fit: every name, shape and kind, all complaints at once.

Wrappers' names (``module``, ``_orig_mod``, ``model``, ``net``) count for nothing where two names are compared, wherever
in them they stand, unless two names of one side differ in nothing else.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .reading import CheckpointError

State = dict[str, Tensor]
Complaint = tuple[str, str, str]
_WRAPPERS = ("module", "_orig_mod", "model", "net")  # DataParallel's, torch.compile's, Lightning's and one's own
_STATISTICS = ("running_mean", "running_var")  # which half precision makes infinite beyond 65,504
_SHOWN = 10


def fit(state: Mapping[str, Tensor], network: nn.Module) -> State:
    """``state`` under the names and in the types of ``network``'s, wrappers' names left out of the comparison.

    ``num_batches_tracked``, which older files lack, counts as 0, and may be a float, as ``{k: v.half() …}`` makes it.
    Raises CheckpointError with every name that is missing, unknown, or of another shape or kind, and the prefixes that
    would make most fit; for weights and BatchNorm's statistics that are not finite; ValueError for a network whose
    state is more than tensors, or that is on ``meta``.
    """
    expected = network.state_dict()
    for name, want in expected.items():
        if not isinstance(want, Tensor) or want.is_meta:
            raise ValueError(
                f"the network's {name} is no tensor with numbers: build it on a device, and load it itself"
            )
    names = _partners(state, expected)
    complaints: list[Complaint] = []
    taken: State = {}
    for name, want in expected.items():
        value = state.get(names.get(name, name))
        if value is None and name.endswith("num_batches_tracked"):
            value = torch.zeros_like(want)
        if value is not None and name.endswith("num_batches_tracked"):
            value = _counted(value)
        if value is None or kind(value) != kind(want):
            complaints.append((name, kind(want), "nothing" if value is None else kind(value)))
        else:
            taken[name] = value.to(want)
    known = set(names.values())
    complaints += [(name, "nothing", kind(value)) for name, value in state.items() if name not in known]
    if complaints:
        raise CheckpointError(f"the weights don't fit: {listed(complaints)}{hint(state, expected)}")
    weights = dict(network.named_parameters(remove_duplicate=False))
    measured = [name for name in taken if name in weights or name.endswith(_STATISTICS)]
    if broken := [name for name in measured if not taken[name].isfinite().all()]:
        raise CheckpointError(f"weights are not finite: {broken[0]} holds NaN or infinity")
    return taken


def _counted(value: Tensor) -> Tensor:
    """A number of batches that lies there as a float, as the whole number that it is; else as it came."""
    whole = value.is_floating_point() and value.isfinite().all() and torch.equal(value, value.round())
    return value.long() if whole else value


def listed(complaints: Iterable[Complaint]) -> str:
    """One line of what was expected and found where: the first ten, and how many more there are."""
    lines = [f"{place}: expected {expected}, found {found}" for place, expected, found in complaints]
    more = f"; and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return "; ".join(lines[:_SHOWN]) + more


def hint(found: Iterable[str], expected: Iterable[str]) -> str:
    """What to do where most names of the one are those of the other but for what they begin with; else ""."""
    one, other = list(found), set(expected)
    fitting = [(more, count) for more, count in _beginnings(one, other) if 2 * count > len(other)]
    if len(fitting) > 1:
        told = ", ".join(f"{count} with {more!r} (weights {more.rstrip('.')})" for more, count in fitting)
        return f"; of {len(other)} would be named as expected, with a prefix: {told}"
    if fitting:
        ((more, count),) = fitting
        return f"; {count} of {len(other)} would be named as expected with prefix {more!r}"
    less, count = next(iter(_beginnings(other, set(one))), ("", 0))
    if 2 * count > len(one):
        return f"; {count} of {len(one)} are names in the module's {less.rstrip('.')}: load them into that"
    return ""


def kind(value: Tensor) -> str:
    """Shape, and for what isn't of a floating type its dtype too."""
    shape = f"{list(value.shape)}"
    return shape if value.is_floating_point() else f"{shape} of {value.dtype}"


def shared_prefix(state: Iterable[str]) -> str:
    """What wrappers put before all names: "module.", "model._orig_mod." …"""
    rows = [name.split(".")[:-1] for name in state]
    prefix = ""
    for parts in zip(*rows, strict=False):
        if len(set(parts)) > 1 or parts[0] not in _WRAPPERS:
            break
        prefix += f"{parts[0]}."
    return prefix


def _partners(state: Mapping[str, Tensor], expected: Mapping[str, Any]) -> dict[str, str]:
    """For each name that is expected the one that the file has for it: itself, or the same but for wrappers' names."""
    if state.keys() == expected.keys():
        return {name: name for name in expected}
    plain = {_bare(name): name for name in state}
    wanted = {_bare(name): name for name in expected}
    if len(plain) < len(state) or len(wanted) < len(expected):  # two that differ in wrappers' names alone
        return {name: name for name in expected if name in state}
    return {name: plain[bare] for bare, name in wanted.items() if bare in plain}


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _beginnings(longer: Iterable[str], shorter: set[str]) -> list[tuple[str, int]]:
    """The prefixes without which some of ``longer`` are among ``shorter``, and how many those are, most first."""
    found = Counter[str]()
    for name in longer:
        parts = name.split(".")
        for cut in range(1, len(parts)):
            if ".".join(parts[cut:]) in shorter:
                found[".".join(parts[:cut]) + "."] += 1
    return found.most_common()
