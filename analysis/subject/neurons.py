"""Which modules of a network are neurons that spike: known by their library, or told by what they give.

SpikingJelly's BaseNode and snnTorch's SpikingNeuron with all that derive from them, Norse's by name, since there a
leaky integrator is of the same class; this project's LIF. No library is imported for it.
"""

import re
from collections.abc import Mapping

from torch import nn

from models.neurons.lif import LIF
from models.perturbation import Record

_BASES = {("spikingjelly", "BaseNode"), ("spikingjelly", "SimpleBaseNode"), ("snntorch", "SpikingNeuron")}
_NORSE = re.compile(r"(Coba)?(LIF|IAF|Izhikevich|LSNN)(?!.*(Encoder|Correlation|Linear))")
_NOBODYS = ("torch", "torchvision", "timm", "transformers", "spikingjelly", "snntorch", "norse")


def neuron_classes(network: nn.Module) -> tuple[type[nn.Module], ...]:
    """The classes of neurons of known libraries in ``network``, in the order in which they are met."""
    return tuple(dict.fromkeys(type(module) for module in network.modules() if _known(type(module))))


def _known(kind: type) -> bool:
    kinds = [(each.__module__.partition(".")[0], each.__name__) for each in kind.__mro__]
    norse = any(library == "norse" and _NORSE.match(name) for library, name in kinds)
    return issubclass(kind, LIF) or norse or not _BASES.isdisjoint(kinds)


def unknown(network: nn.Module) -> dict[str, nn.Module]:
    """The modules in ``network`` of classes that are nobody's library's, by name."""
    return {
        name: module
        for name, module in network.named_modules()
        if name and type(module).__module__.partition(".")[0] not in _NOBODYS
    }


def lookalike(records: Mapping[str, Record]) -> str:
    """The innermost of the modules that gave nothing but 0 and 1, and some of each; empty where there is none."""
    found = [name for name, record in records.items() if record.shapes and record.binary and record.fired]
    return max(found, key=lambda name: name.count("."), default="")
