"""The twin without spikes: the same network whose neurons hand on max(0, input), shown its input for one step.

It is a copy in which what neurons return is replaced, not they: so whatever else the network asks of them, state and
how it is reset, stays as it is, and what they return beside spikes (snnTorch's and Norse's membranes).
"""

from dataclasses import replace
from typing import Any

from torch import Tensor, nn, relu

from ..subject import Spiking, Subject
from ..subject.copying import copied


def twin(subject: Subject) -> Subject:
    """The twin of a subject; of one without spiking neurons it is that network itself.

    Raises ValueError where it can't be made, when the network can't be copied, or takes no other number of steps.
    Passing it raises ValueError where neurons return something else than their input's shape.
    """
    spiking = subject.spiking or Spiking()
    if not spiking.neurons:
        return subject
    if spiking.frames is None and spiking.timesteps is None and subject.trained_timesteps > 1:
        raise ValueError(
            f"its {subject.trained_timesteps} steps can't be set to one: say how, spiking=Spiking(timesteps='T')"
        )
    try:
        network = copied(subject.network)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"the network can't be copied: {error}") from error
    for module in network.modules():
        if spiking.is_neuron(module):
            module.register_forward_hook(_rectified, prepend=True)
    return replace(subject, network=network, spiking=replace(spiking, neurons=()))


def _rectified(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
    """What the neuron returned, with max(0, input) for its spikes."""
    spikes = output[0] if isinstance(output, tuple | list) else output
    current = inputs[0] if inputs else None
    if not isinstance(current, Tensor) or not isinstance(spikes, Tensor) or current.shape != spikes.shape:
        raise ValueError(
            f"a {type(module).__name__} doesn't return spikes of its input's shape, one for each: there is no ReLU to "
            "put in its place"
        )
    rates = relu(current)
    return rates if spikes is output else type(output)([rates, *output[1:]])
