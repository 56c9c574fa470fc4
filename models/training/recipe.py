"""What the flags of a training run mean: defaults that depend on others, its phases, its network, what is recorded."""

from dataclasses import asdict, replace
from typing import Any, Literal

from ..code import digests, is_code
from ..losses import OBJECTIVES
from ..networks import accepted, build
from ..networks import parse as parse_network
from ..networks.layers import Network
from ..train.flags import Config
from .checks import NETWORK, check
from .phases import Phase, parse
from .usual import DEFAULT_MODEL, EVENTS, usual_weight


def resolved(config: Config) -> Config:
    """``config`` with the defaults that depend on other fields filled in, checked.

    With phases, ``loss``, ``timesteps`` and ``epochs`` are those of the last one and of all, and the method is by
    default the last one's loss.
    """
    phases = timeline(config)
    check(config, {phase.loss for phase in phases}, drawn(config))
    last, epochs = phases[-1], sum(phase.epochs for phase in phases)
    if config.phases is not None and config.epochs not in (Config.epochs, epochs):
        raise ValueError(f"--phases {config.phases!r} are {epochs} epochs, not {config.epochs}: change the phases")
    steps = {phase.timesteps for phase in phases}
    if not config.spiking and steps != {1}:
        raise ValueError("a network that doesn't spike has one timestep, in all --phases")
    if (config.data in EVENTS or own_network(config)) and len(steps) > 1:
        why = "has timesteps of its own" if own_network(config) else "is cut into frames once"
        what = config.model if own_network(config) else config.data
        raise ValueError(f"{what} {why}: its --phases can't differ in timesteps")
    return replace(
        config,
        model=config.model or DEFAULT_MODEL[config.data],
        loss=last.loss,
        method=_method(config, last.loss) if config.method is None else config.method,
        timesteps=last.timesteps,
        epochs=epochs,
        phases=config.phases and "; ".join(map(str, phases)),
        mse_weight=config.mse_weight if config.mse_weight is not None else usual_weight(last.loss, config.data),
        until_loss_of=None if config.until_loss is None else config.until_loss_of or _shown(last.loss),
    )


def _method(config: Config, loss: str) -> str:
    """What a way of training is called that was given no name."""
    steps = "" if config.sharpness_aware is None else "+asam" if config.adaptive else "+sam"
    return loss + steps


def _shown(loss: str) -> Literal["sdt", "tet"] | None:
    """Which of the history's losses is about training with ``loss``; None for ``train_loss``, which is ``loss``."""
    if loss not in OBJECTIVES or loss == "ce":
        return None
    return "tet" if loss == "tet" else "sdt"


def own_network(config: Config) -> bool:
    """Whether the network is the user's own."""
    return config.model is not None and is_code(config.model)


def timeline(config: Config) -> tuple[Phase, ...]:
    """The phases of a run, one unless it names more."""
    timesteps = config.timesteps if config.spiking else 1
    if config.phases is None:
        return (Phase(config.epochs, config.loss, timesteps),)
    return parse(config.phases, loss=config.loss, timesteps=timesteps)


def drawn(config: Config) -> bool:
    """Whether ``split_seed`` draws which images train, and not only their order."""
    return config.data in ("digits", "digit-events") or config.train_images is not None or config.split == "random"


def settings(config: Config) -> dict[str, Any]:
    """What defines the run's result: every field but where it lies, how it is computed and how it is shown.

    ``code`` are the digests of what of it is the user's own code, None where nothing is.
    """
    aside = (
        *("out", "quiet", "data_root", "device", "record_momentum", "snapshots", "workers", "channels_last", "recipe"),
        *("tensorboard", "neuron", "keep_spikes", "cuda_graph"),
    )
    told = {name: value for name, value in asdict(config).items() if name not in (*aside, "dry_run")}
    if own_network(config):
        told = {name: value for name, value in told.items() if name not in NETWORK}
    return told | {"code": digests(*(str(each) for each in (config.model, config.data, config.loss)))}


def network(config: Config, *, num_classes: int, in_channels: int, image_size: int, device: str = "cpu") -> Network:
    """The untrained network of a resolved ``config``, for such data."""
    name, own = parse_network(str(config.model))
    arguments: dict[str, Any] = {name: getattr(config, name) for name in NETWORK}
    arguments |= {"num_classes": num_classes, "in_channels": in_channels}
    if "image_size" in accepted(name):
        arguments["image_size"] = image_size
    if twice := sorted(set(own) & set(arguments)):
        raise ValueError(f"--model {config.model}: {twice[0]} is set by the data or a flag of its own: leave it out")
    return build(name, seed=config.seed, device=device, **arguments, **own)
