"""Counting what one pass does: spikes, additions, multiplications, updates of membranes.

A spike costs each synapse that it reaches an addition; a graded value costs each of its synapses a multiplication and
the addition after it. What is a spike is looked at, operand by operand (:mod:`analysis.energy.looking`), and so is
which operand is weights (:mod:`analysis.energy.places`). Of a product of two that depend on the image, as in attention:

- both spikes: an addition where both are, the additions that happen (QᵀK of binaries counts coincidences)
- one of them spikes: an addition for each spike and each value that it meets, as in (QᵀK)·V, whose first factor is
  whole numbers and no spikes
- both graded: a multiplication for each pair

**Exact where it is easy to be rough.** A synapse is a weight that meets an input: at the border a pixel feeds fewer,
and padding has none. (Usual MAC counts include padding: by 9/4 for a 3×3 kernel on 2×2 pixels.) Average pooling is
linear and its factor folds into the next weights, so each spike of a window costs an addition at every synapse of the
window's mean (with a window of 4 and every neuron firing, 4 times the synapses); so does a mean over time. After
max-pooling it is the pooled spikes that count. Where spikes are summed before a layer (SEW blocks), each is an
addition. Scaled spikes, each the same number, are spikes: the number folds into the weights. A product of constants is
the same for every image and known before any: it is none of the image's and isn't counted. So of a recurrent layer over
T steps whose state begins at zero the state meets its weights T − 1 times, although torch multiplies T times.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from landscape.refusal import Refusal

from ..subject import Spiking
from .flow import GRADED, SPIKES, Flow, Values, tensors
from .looking import looked_at
from .others import costs_nothing
from .places import Evenly, Fold, Place, Places
from .products import Fan, Product, product
from .watch import Watch

OPERATIONS = ("spikes", "additions", "multiplications", "updates")
UNATTRIBUTED = "unattributed"
Key = tuple[str, str]


@dataclass(frozen=True)
class Tally:
    """What one layer did: of synapses ("conv", "linear", "matmul"), "neuron", or "unattributed".

    A row is the whole pass, or a step where they are kept apart (one row: each the same). ``neurons`` feed the layer,
    or are in it; ``synapses`` is how many products it would take without spikes; both of one image in one row.
    ``image`` says that it reads the network's input. Spikes are nan where values are graded. ``window`` is the largest
    number of neurons whose spikes a value that it reads averages, 1 without pooling.
    """

    neurons: float
    synapses: float
    image: bool
    spikes: Float64[Tensor, "row image"]
    additions: Float64[Tensor, "row image"]
    multiplications: Float64[Tensor, "row image"]
    updates: Float64[Tensor, "row image"]
    window: int = 1

    def counted(self, count: Callable[[str], Tensor]) -> "Tally":
        """The same with other counts, of spikes and each operation by name."""
        found: dict[str, Any] = {name: count(name) for name in OPERATIONS}
        return replace(self, **found)

    def __add__(self, other: "Tally") -> "Tally":
        both = self.counted(lambda name: getattr(self, name) + getattr(other, name))
        return replace(
            both,
            neurons=self.neurons + other.neurons,
            synapses=self.synapses + other.synapses,
            image=self.image and other.image,
            window=max(self.window, other.window),
        )


@dataclass(frozen=True)
class _Operand:
    values: Tensor
    fan: Fan
    place: Fold | Evenly


class Meter(Watch):
    """Counts a pass while it is attached: ``found`` has a tally by (layer, kind), in the order of execution.

    ``places`` says where the ``images`` lie in what is met; without it counts are shared out among them evenly. With
    ``steps`` those are kept apart, which takes a network in which time comes first throughout. ``binary`` inputs are
    spikes, others graded.
    """

    def __init__(
        self, network: nn.Module, spiking: Spiking, images: int, places: Places | None, *, steps: int, binary: bool
    ):
        super().__init__(network, spiking)
        self.found: dict[Key, Tally] = {}
        self._images, self._places, self._steps, self._binary = images, places, steps, binary
        self._flow, self._met = Flow(), 0

    def given(self, inputs: Any) -> None:
        """Note the network's inputs."""
        for tensor in tensors(inputs):
            if self._flow.of(tensor) is None:
                self._flow.put(tensor, Values("spikes" if self._binary else "graded", image=True))

    def product(self, layer: str, made: Product) -> None:
        """Count a product, by the first of its operands that depends on the image."""
        if any(operand.is_complex() for operand in made.operands):
            raise Refusal("a product of complex numbers, and operations are counted of real ones")
        met = zip(made.operands, made.fans, self._next(made.operands), strict=True)
        active = [_Operand(operand, fan, place) for operand, fan, place in met if place]
        if active:
            attention = len(active) > 1 and made.kind == "linear"
            kind = "matmul" if attention else made.kind
            self._add((layer, kind), self._spent(active if attention else active[:1]))

    def _spent(self, operands: list[_Operand]) -> Tally:
        """What a product spends of which these operands depend on the image."""
        one, seen = operands[0], [looked_at(each.values, self._flow) for each in operands]
        rows = one.place.rows(one.values.shape, self._images) if self._steps else 1
        each, none = self._images * rows, torch.zeros(rows, self._images, dtype=torch.float64)
        fan = one.fan(None)
        each_fan, alike = (float(fan.sum()), fan.numel()) if isinstance(fan, Tensor) else (fan, 1)
        synapses = one.values.numel() // alike * each_fan / each
        image = all(found.image for found in seen)
        firing = [
            (found.spikes, found.window, where)
            for found, where in zip(seen, operands, strict=True)
            if found.spikes is not None
        ]
        if not firing:
            neurons = sum(where.values.numel() * found.window for found, where in zip(seen, operands, strict=True))
            return Tally(neurons / each, synapses, image, none + nan, none, none + synapses, none)
        neurons = sum(spikes.numel() * window for spikes, window, _ in firing)
        arrived = sum((self._by_image(where.place, spikes) for spikes, _, where in firing), none)
        counts = _count(seen[0].spikes, one.values) * _on(one, one.fan(seen[1].spikes if seen[1:] else None))
        widest = max(window for _, window, _ in firing)
        return Tally(neurons / each, synapses, image, arrived, self._by_image(one.place, counts), none, none, widest)

    def neurons(self, layer: str, output: Tensor, *, spiking: bool) -> None:
        """Count what neurons gave."""
        self._flow.put(output, SPIKES if spiking else GRADED)
        place = self._next((output,))[0] or Evenly()
        spikes = looked_at(output, self._flow).spikes
        fired = self._by_image(place, _count(spikes, output))
        none, each = torch.zeros_like(fired), output.numel() / self._images / len(fired)
        fired = none + nan if spikes is None else fired
        self._add((layer, "neuron"), Tally(each, 0.0, False, fired, none, none, none + spiking * each))

    def other(self, layer: str, func: Any, args: Any, output: Any) -> None:
        """Follow what is in each tensor, and list what can't be attributed."""
        noted = self._flow.carry(func, args, output)
        first = next(tensors(output), None)
        if first is None or not noted or product(func, args) or costs_nothing(func, args, self._flow):
            return
        if first.is_floating_point():
            rows = max(self._steps, 1)
            each = torch.full((rows, self._images), first.numel() / self._images / rows, dtype=torch.float64)
            self._add((layer, UNATTRIBUTED), Tally(nan, 0.0, False, each * nan, each * 0, each, each * 0))

    def _next(self, met: Sequence[Tensor]) -> Sequence[Place]:
        """Where the images lie in what is met next."""
        if self._places is None:
            return [Evenly() if self._flow.of(tensor) else None for tensor in met]
        self._met += 1
        if self._met > len(self._places):
            raise ValueError("a pass makes more products than one of few images")
        return self._places[self._met - 1]

    def _by_image(self, place: Place, cost: Tensor) -> Tensor:
        found = (place or Evenly()).by_image(cost, self._images)
        return (found if self._steps else found.sum(0, keepdim=True)).cpu()

    def _add(self, key: Key, found: Tally) -> None:
        self.found[key] = self.found[key] + found if key in self.found else found


def _on(operand: _Operand, fan: Tensor | int) -> Tensor | int:
    return fan.to(operand.values.device) if isinstance(fan, Tensor) else fan


def _count(spikes: Tensor | None, operand: Tensor) -> Tensor:
    """Spikes, or ones for graded values."""
    return torch.ones_like(operand, dtype=torch.float64) if spikes is None else spikes
