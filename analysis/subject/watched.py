"""Passes of a subject's network in which its neurons are watched: how often they are asked, how their outputs lie."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from landscape.evaluation import described, examples
from models.perturbation import Record, Site, recording, sites

from . import outputs
from .passes import passes
from .sources import Batch
from .spiking import Spiking

if TYPE_CHECKING:
    from .subject import Subject

FEW = 8


@dataclass(frozen=True)
class Pass:
    """What one pass gave: the tensor that losses take, and what passed through the neurons."""

    output: Tensor
    records: dict[str, Record]

    @property
    def spikes(self) -> int:
        """How many numbers, 0 or 1, the neurons gave."""
        return sum(record.elements for record in self.records.values())


def passed(subject: "Subject", batch: Batch, steps: int | None = None) -> Pass:
    """A pass of ``batch``, with T = ``steps`` where given. Raises ValueError where the network or its output can't."""
    returned, records = _recorded(subject, batch, steps)
    output = (subject.output or outputs.tensor)(returned)
    if not isinstance(output, Tensor):
        raise ValueError(f"subject {subject.title}: output= must return a tensor, got {described(output)}")
    return Pass(output.detach(), records)


def _recorded(subject: "Subject", batch: Batch, steps: int | None = None) -> tuple[Any, dict[str, Record]]:
    """What the network returns for ``batch``, and what passed through its neurons."""
    with recording(neurons_of(subject)) as records:
        ((returned, _),) = passes(subject, [batch], steps)
    return returned, records


def neurons_of(subject: "Subject") -> dict[str, nn.Module]:
    """The modules that are neurons, by name."""
    spiking = subject.spiking or Spiking()
    return {name: module for name, module in subject.network.named_modules() if spiking.is_neuron(module)}


def sites_of(subject: "Subject") -> list[Site]:
    """Where the neurons are, and how their outputs lie: from two passes of a few examples.

    Raises ValueError where no neuron is called.
    """
    split = subject.there[0]
    batch = subject.batches(split, FEW, FEW)[0]
    count = examples(None, batch[1]) if subject.axis else examples(*batch)
    fewer = subject.batches(split, count - 1, FEW)[0] if count > 1 else batch
    (_, whole), (_, part) = _recorded(subject, batch), _recorded(subject, fewer)
    found = sites(neurons_of(subject), whole, part, subject.trained_timesteps)
    if not found:
        raise ValueError(f"subject {subject.title}: none of its neurons is called in a pass")
    return found
