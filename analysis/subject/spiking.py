"""How a network that spikes is asked: where time lies, how it is given T steps, which modules are its neurons."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any

from torch import Tensor, nn

from landscape.evaluation import mapped

Setter = Callable[[nn.Module, int], object]


@dataclass(frozen=True)
class Everywhere:
    """Sets T as the attribute ``name`` of every module that has it."""

    name: str

    def __call__(self, network: nn.Module, steps: int) -> None:
        """Set it to ``steps``."""
        for module in self._holders(network):
            setattr(module, self.name, steps)

    def now(self, network: nn.Module) -> int:
        """What it is now."""
        return int(getattr(self._holders(network)[0], self.name))

    def _holders(self, network: nn.Module) -> list[nn.Module]:
        return [module for module in network.modules() if type(vars(module).get(self.name)) is int]


@dataclass(frozen=True)
class Spiking:
    """What a network that spikes is; whatever isn't given is found out where that can be done (:mod:`.recognised`).

    - ``neurons``: classes of the modules whose outputs are spikes
    - ``time``: the output's axis of time, 0 for [time, batch, class], 1 for [batch, time, class]
    - ``frames``: the input's axis of time, or None where the input is static and time lies inside forward
    - ``timesteps``: how the network is given T steps: the name of forward's keyword, or of an attribute
      (``"encoder.T"``), or a function of network and T. Without it only the first T of the input's frames can be given
    - ``reset``: a function of the network that clears its state; SpikingJelly's and snnTorch's is cleared unasked
    - ``steps``: T of the network as it is
    - ``causal``: whether what it says at a step depends on the steps up to it alone; where it doesn't, or where its
      output has no axis of time, ``analysis.timesteps`` takes a pass for each T

    ``recognised`` says that what could be found out has been.
    """

    neurons: tuple[type[nn.Module], ...] = ()
    time: int | None = None
    frames: int | None = None
    timesteps: str | Setter | None = None
    reset: Callable[[nn.Module], object] | None = None
    steps: int | None = None
    causal: bool = True
    recognised: bool = False

    def __post_init__(self) -> None:
        for name in ("time", "frames"):
            if (axis := getattr(self, name)) not in (0, 1, None):
                raise ValueError(f"spiking.{name} must be 0 (time first), 1 (time second) or None, got {axis!r}")
        check_fields(vars(self))

    def is_neuron(self, module: nn.Module) -> bool:
        """Whether the module's output is spikes."""
        return isinstance(module, self.neurons)

    def shortened(self, inputs: Any, steps: int) -> Any:
        """The first ``steps`` frames of the input. Raises ValueError where it has fewer."""
        axis = self.frames
        if axis is None:
            raise ValueError(
                "how is the network given T steps? Say so: spiking=Spiking(timesteps='T'), the name of forward's "
                "keyword or of an attribute, or a function of network and T"
            )

        def cut(tensor: Tensor) -> Tensor:
            if tensor.shape[axis] < steps:
                raise ValueError(f"{steps} steps asked for, the input has {tensor.shape[axis]} frames")
            return tensor.narrow(axis, 0, steps)

        return mapped(inputs, cut)

    def keyword(self, network: nn.Module) -> str:
        """The keyword of forward that says how many steps to take; empty where there is none."""
        if not isinstance(self.timesteps, str):
            return ""
        return self.timesteps if self.timesteps in signature(network.forward).parameters else ""

    @property
    def settable(self) -> bool:
        """Whether it can be given other numbers of steps."""
        return self.timesteps is not None or self.frames is not None

    def now(self, network: nn.Module) -> int | None:
        """How many steps the network takes as it is, where its keyword's default or its attribute says so."""
        held: Any = None
        if keyword := self.keyword(network):
            held = signature(network.forward).parameters[keyword].default
        elif isinstance(self.timesteps, Everywhere):
            held = self.timesteps.now(network)
        elif isinstance(self.timesteps, str):
            place, _, name = self.timesteps.rpartition(".")
            held = getattr(network.get_submodule(place), name, None)
        return held if type(held) is int and held > 0 else None

    @contextmanager
    def given(self, network: nn.Module, steps: int) -> Iterator[None]:
        """In here the network takes ``steps`` steps, as far as an attribute or a function says so; given back after."""
        setter = self.timesteps
        if setter is None:
            yield
        elif callable(setter):
            before = _numbers(network)
            try:
                setter(network, steps)
                yield
            finally:
                for module, found in before:
                    vars(module).update(found)
        else:
            place, _, name = setter.rpartition(".")
            owner: Any = network.get_submodule(place)
            if not hasattr(owner, name):
                raise ValueError(
                    f"spiking.timesteps is {setter!r}: neither a keyword of {type(network).__name__}.forward nor an "
                    "attribute of it"
                )
            found = getattr(owner, name)
            try:
                setattr(owner, name, steps)
                yield
            finally:
                setattr(owner, name, found)


def check_fields(fields: Mapping[str, Any]) -> None:
    """Raise ValueError for neurons, timesteps or reset that can't be, with the line to write."""
    if not isinstance(fields["neurons"], tuple) or not all(map(_is_kind, fields["neurons"])):
        raise ValueError(
            "spiking.neurons must be a tuple of classes of modules, spiking=Spiking(neurons=(MyLIF,)), got "
            f"{' '.join(repr(fields['neurons']).split())[:80]}"
        )
    if not isinstance(fields["timesteps"], str | None) and not callable(fields["timesteps"]):
        raise ValueError(
            "spiking.timesteps must be the name of forward's keyword or of an attribute, timesteps='T', or a "
            f"function of network and T, got {fields['timesteps']!r}; T itself is steps="
        )
    if fields["reset"] is not None and not callable(fields["reset"]):
        raise ValueError(
            f"spiking.reset must be a function of the network, reset=lambda network: …, got {fields['reset']!r}"
        )


def _is_kind(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, nn.Module)


def _numbers(network: nn.Module) -> list[tuple[nn.Module, dict[str, Any]]]:
    """Every module's attributes that are numbers, which a function that sets T may have changed."""
    plain = (int, float, str, type(None))
    return [
        (module, {name: value for name, value in vars(module).items() if isinstance(value, plain)})
        for module in network.modules()
    ]
