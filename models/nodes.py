"""SpikingJelly's neurons in this project's terms, where there are such terms.

With rest and reset at 0 its neurons charge, for a current I, as::

    LIFNode, decay_input       h = v + (I − v)/τ          fires where h ≥ θ,    v ← h (1 − s)
    LIFNode, not decay_input   h = v − v/τ + I
    IFNode                     h = v + I

Each is h = d·v + I/c with d = 1 − 1/τ (IFNode: 1), and c = τ with decay_input, else 1. Counted in units of 1/c, that is
the neuron of :mod:`models.neurons.lif` with decay d and threshold c·θ: weights and BatchNorms stay as they are, also
where a shortcut's spikes are added to the current, which no BatchNorm could scale. A pulse of width w there has width
c·w here, so gradients and formal curvature are the same too. By SpikingJelly's α the width w is 4/α for its Sigmoid,
2/α for ATan, 1/α for PiecewiseQuadratic, whose pulse is the triangle.

Equal in real numbers but for a membrane exactly at its threshold, which fires there and not here: a set of measure zero
for weights in general position. In floating point a membrane within rounding of its threshold may fire on one side
alone. A soft reset, a reset to another value than 0 and τ ≤ 1 are other neurons, and refused.

Source: Fang et al., "SpikingJelly: An open-source machine learning infrastructure platform for spike-based
intelligence", Science Advances 2023; its version 2.0.
"""

from dataclasses import dataclass
from math import inf
from typing import Any

from torch import nn

from .fitting import Complaint, listed
from .neurons.lif import Neuron

_PULSES = {"Sigmoid": ("sigmoid", 4.0), "ATan": ("arctan", 2.0), "PiecewiseQuadratic": ("triangle", 1.0)}


@dataclass(frozen=True)
class Node:
    """What one of SpikingJelly's neurons is: its arguments by their names there, with their defaults.

    ``surrogate`` and ``alpha`` are the class of its surrogate function and that one's α. IFNode has neither ``tau`` nor
    ``decay_input``.
    """

    kind: str
    tau: float = 2.0
    decay_input: bool = True
    v_threshold: float = 1.0
    v_reset: float | None = 0.0
    surrogate: str = "Sigmoid"
    alpha: float | None = None
    detach_reset: bool = False

    @classmethod
    def of(cls, module: Any) -> "Node":
        """The settings of a neuron itself, a module of SpikingJelly's."""
        surrogate = module.surrogate_function
        smooth = "" if getattr(surrogate, "spiking", True) else " without spikes"
        return cls(
            type(module).__name__,
            float(getattr(module, "tau", cls.tau)),
            bool(getattr(module, "decay_input", cls.decay_input)),
            float(module.v_threshold),
            module.v_reset,
            type(surrogate).__name__ + smooth,
            getattr(surrogate, "alpha", None),
            bool(module.detach_reset),
        )

    @classmethod
    def of_all(cls, network: nn.Module) -> "Node":
        """The settings that all neurons of a network of SpikingJelly's share.

        ValueError, listing path, expected and found, where they differ or can't be said here, or there are none.
        """
        found = {name: cls.of(module) for name, module in network.named_modules() if hasattr(module, "v_threshold")}
        if not found:
            raise ValueError(f"{type(network).__name__} has no neurons of SpikingJelly's: expected IFNode or LIFNode")
        first, node = next(iter(found.items()))
        complaints = [complaint for name, each in found.items() for complaint in each.complaints(name)]
        unlike = [(name, f"{node} as {first}", str(each)) for name, each in found.items() if each != node]
        if complaints or unlike:
            raise ValueError(f"these neurons have no equal here: {listed(complaints or unlike)}")
        return node

    def complaints(self, place: str = "") -> list[Complaint]:
        """What of the neuron, which is called ``place``, can't be said here: where, expected, found."""
        alpha = 1.0 if self.alpha is None else self.alpha
        soft = " (a soft reset)" if self.v_reset is None else ""
        held = {
            "class": (self.kind in ("IFNode", "LIFNode"), "IFNode or LIFNode", self.kind),
            "tau": (self.kind == "IFNode" or 1 < self.tau < inf, "more than 1 and finite", self.tau),
            "v_threshold": (0 < self.v_threshold < inf, "positive and finite", self.v_threshold),
            "v_reset": (self.v_reset == 0, "0.0", f"{self.v_reset}{soft}"),
            "surrogate_function": (self.surrogate in _PULSES, ", ".join(_PULSES), self.surrogate),
            "alpha": (0 < alpha < inf, "positive and finite", alpha),
        }
        return [
            (f"{place}.{name}" if place else name, expected, str(found))
            for name, (holds, expected, found) in held.items()
            if not holds
        ]

    def neuron(self) -> Neuron:
        """The same neuron here. ValueError, listing what can't be said here."""
        if complaints := self.complaints():
            raise ValueError(f"these neurons have no equal here: {listed(complaints)}")
        leaky = self.kind == "LIFNode"
        scale = self.tau if leaky and self.decay_input else 1.0
        pulse, numerator = _PULSES[self.surrogate]
        width = 1.0 if self.alpha is None else numerator / self.alpha
        return Neuron(
            decay=1 - 1 / self.tau if leaky else 1.0,
            threshold=scale * self.v_threshold,
            surrogate=pulse,
            width=scale * width,
            detach_reset=self.detach_reset,
        )
