"""A NIR graph as a module: one layer a node, each run when what it waits for is there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from ..reading import CheckpointError
from .layers import LAYERS, Step

if TYPE_CHECKING:
    from nir import NIRGraph


class Graph(nn.Module):
    """A NIR graph: every node's output once, in an order in which none waits for a later one.

    Raises CheckpointError, naming the node, for what can't be read or stepped so.
    """

    def __init__(self, graph: "NIRGraph", step: Step):
        super().__init__()
        kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
        check_kinds(kinds)
        self.before: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for one, other in graph.edges:
            if missing := {one, other} - graph.nodes.keys():
                raise CheckpointError(f"an edge leads from {one} to {other}, and there is no node {min(missing)}")
            self.before[other].append(one)
        self.order = _order(kinds, self.before)
        self.shape = tuple(int(size) for size in graph.nodes[self.order[0]].input_type["input"])
        self.layers = nn.ModuleDict()
        self.keys: dict[str, str] = {}
        found = {"": torch.empty(1, 1, *self.shape, device="meta")}  # shapes alone, to see whether they meet
        for name in self.order:
            key = name.replace(".", "_")
            while hasattr(self.layers, key):
                key += "_"
            self.keys[name] = key
            with _at(name, kinds[name]):
                layer = self.layers[key] = LAYERS[kinds[name]](graph.nodes[name], step)
                shapes = {held: value.to("meta") for held, value in layer.state_dict().items()}
                given = _sum([found[earlier] for earlier in self.before[name] or [""]])
                found[name] = functional_call(layer, shapes, (given,))

    def forward(self, x: Float[Tensor, "time batch *shape"]) -> Float[Tensor, "time batch *_output"]:
        """What the output node gets, at every step. ValueError for an input of another shape than the file's."""
        if tuple(x.shape[2:]) != self.shape:
            raise ValueError(f"expected [time, batch, {', '.join(map(str, self.shape))}], got {list(x.shape)}")
        found = {"": x}
        for name in self.order:
            given = _sum([found[earlier] for earlier in self.before[name] or [""]])
            found[name] = self.layers[self.keys[name]](given)
        return found[self.order[-1]]


def _sum(given: list[Tensor]) -> Tensor:
    if len(shapes := {tuple(each.shape[2:]) for each in given}) > 1:
        raise ValueError(f"what is added there must have one shape, got {sorted(shapes)}")
    return sum(given[1:], given[0])


def check_kinds(kinds: Mapping[str, str]) -> None:
    """Raise CheckpointError for a node, by name, of a kind that isn't read."""
    for name, kind in kinds.items():
        if kind not in LAYERS:
            raise CheckpointError(f"node {name} is a {kind}: of NIR's nodes {', '.join(LAYERS)} are read")


def _order(kinds: Mapping[str, str], before: Mapping[str, list[str]]) -> list[str]:
    """The nodes, each after those that lead to it: the only input first, the only output last."""
    ends = [[name for name, kind in kinds.items() if kind == wanted] for wanted in ("Input", "Output")]
    if any(len(found) != 1 for found in ends):
        raise CheckpointError(f"expected one input and one output, got {len(ends[0])} and {len(ends[1])}")
    followed = {earlier for names in before.values() for earlier in names}
    roots, leaves = ([name for name in kinds if not there(name)] for there in (before.get, followed.__contains__))
    for found, end, what in ((roots, ends[0], "leads to"), (leaves, ends[1], "follows")):
        if loose := sorted(set(found) ^ set(end)):
            raise CheckpointError(
                f"node {loose[0]} ({kinds[loose[0]]}): expected {end[0]} alone to be where nothing {what}"
            )
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError as failure:
        raise CheckpointError(
            f"its nodes form a loop, {' → '.join(failure.args[1])}: only graphs without are read"
        ) from None


@contextmanager
def _at(name: str, kind: str) -> Iterator[None]:
    """Have refusals name the node."""
    try:
        yield
    except (ValueError, TypeError, RuntimeError) as failure:
        raise CheckpointError(f"node {name} ({kind}): {str(failure).partition(chr(10))[0]}") from failure
