"""What a study trains: its flags, and the runs that they ask for."""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from models.losses import OBJECTIVES
from models.training import recipe

LANDSCAPE_IMAGES = 200
_TAKEN = ("", ".", "..", "tables", "figures", "report.html")


@dataclass(frozen=True)
class Config:
    """Train, measure, compare and draw several methods."""

    out: Path = Path("runs/demo")
    """Folder for checkpoints, tables and figures."""
    methods: tuple[str, ...] = ("sdt", "tet", "tet:mse_weight=0")
    """What is trained and compared: [NAME=]LOSS[:SETTING=VALUE,...], the reference first."""
    subjects: tuple[str, ...] | None = None
    """Measure these instead of training: FILE.py:FUNCTION, package.module:FUNCTION, or checkpoints."""
    code: tuple[str, ...] = ()
    """Files of your own that checkpoints among --subjects may run: mine.py. No other code is ever run."""
    reference: str | None = None
    """The method that the others are compared with; by default the first."""
    data: Literal["digits", "digit-events", "cifar10", "cifar100"] = "digits"
    """Data set."""
    model: str | None = None
    """Network; by default one that suits the data."""
    timesteps: int = 4
    """T."""
    epochs: int = 50
    """Passes over the training images."""
    batch_size: int = 50
    """Training images a step."""
    learning_rate: float = 2e-3
    """Adam's, at the first epoch."""
    until_loss: float | None = None
    """End each run at the first epoch after which its training loss is at most this: minima at comparable loss."""
    until_loss_of: str | None = None
    """Which loss --until-loss is about; by default the one trained with, which is not the same for both."""
    mse_weight: float | None = None
    """The paper's lambda for all methods that don't say; by default 0.05 with TET and 0 with SDT."""
    train_images: int | None = None
    """Train on so many images; by default 200 digits, or all."""
    vary_data: bool | None = None
    """Draw them with the seed, so that intervals are over training sets too and not about one; by default wherever not
    all images train."""
    seeds: int = 5
    """Networks a method, seeds 0, 1, 2 …"""
    twins: int = 0
    """Networks without spikes (ReLU, T = 1) for reference, in OUT/relu-0 …"""
    images: int = LANDSCAPE_IMAGES
    """Training images that the landscape is made of."""
    jobs: int = 2
    """Processes at a time, one thread each."""
    data_root: str | None = None
    """Folder with the data set's files, for those that have files."""
    device: str = "cpu"
    """cpu, cuda, cuda:1 …"""


def trainings(config: Config) -> list[recipe.Config]:
    """What is to be trained, seed by seed. Raises ValueError for a method that can't be read, or two of one name."""
    methods = {}
    for one in config.methods:
        name, settings = method(one)
        if name in methods:
            raise ValueError(f"two methods are called {name!r}: give one another name, NAME={one}")
        methods[name] = settings
    if not methods:
        raise ValueError("no method: name one or more, as in --methods sdt tet")
    places = folders(methods)
    names = ["data", "model", "timesteps", "epochs", "batch_size", "learning_rate"]
    names += ["until_loss", "until_loss_of", "mse_weight", "train_images", "data_root", "device"]
    shared = {name: getattr(config, name) for name in names}
    plans = [
        recipe.Config(
            **shared | settings | {"method": name, "out": config.out / f"{places[name]}-{seed}", "seed": seed}
        )
        for seed in range(config.seeds)
        for name, settings in methods.items()
    ]
    twins = [
        recipe.Config(**shared | {"loss": "sdt", "spiking": False, "out": config.out / f"relu-{seed}", "seed": seed})
        for seed in range(config.twins)
    ]
    return [replace(plan, quiet=True, vary_data=_varies(plan, config)) for plan in (*plans, *twins)]


def folders(names: Iterable[str]) -> dict[str, str]:
    """A folder's name for each of the ``names``, none of those that a study has itself.

    Raises ValueError where two would share one.
    """
    found = {name: re.sub(r"[^\w.+-]+", "_", name)[:60] for name in names}
    found = {name: f"_{folder}" if folder.casefold() in _TAKEN else folder for name, folder in found.items()}
    for name, folder in found.items():
        alike = [other for other, same in found.items() if same.casefold() == folder.casefold() and other != name]
        if alike:
            raise ValueError(f"{name!r} and {alike[0]!r} would share a folder: give one of them another name")
    return found


def _varies(plan: recipe.Config, config: Config) -> bool:
    return recipe.drawn(plan) if config.vary_data is None else config.vary_data


def method(text: str) -> tuple[str, dict[str, Any]]:
    """The name, and models.train's settings, of ``[NAME=]LOSS[:SETTING=VALUE,…]``.

    Raises ValueError for an empty name, for a loss or a setting that models.train doesn't have, and for a value that it
    doesn't take.
    """
    head, _, rest = text.partition(":")
    name, named, loss = head.rpartition("=")
    if named and not name.strip():
        raise ValueError(f"method {text!r} has an empty name: write NAME={text.lstrip(' =')}, or leave the = out")
    kinds = get_type_hints(recipe.Config)
    if loss.strip() not in OBJECTIVES:
        raise ValueError(f"method {text!r}: loss is one of {', '.join(OBJECTIVES)}, got {loss.strip()!r}")
    settings: dict[str, Any] = {"loss": loss.strip()}
    for setting in filter(None, rest.split(",")):
        key, equals, word = (part.strip() for part in setting.partition("="))
        if not equals or key not in kinds or key in ("out", "seed", "method"):
            raise ValueError(f"method {text!r}: {key!r} is no setting of models.train, as in tet:mse_weight=0")
        try:
            value = ast.literal_eval(word)
        except (ValueError, SyntaxError):  # a word
            value = word
        whole = type(value) is int and float in (kinds[key], *get_args(kinds[key]))
        settings[key] = _checked(text, key, float(value) if whole else value, kinds)
    return name.strip() or text, settings


def _checked(text: str, key: str, value: Any, kinds: dict[str, Any]) -> Any:
    """``value``, or ValueError where the setting ``key`` of models.train is of another kind."""
    kind = kinds[key]
    parts = [kind] if get_origin(kind) is Literal else get_args(kind) or [kind]
    if not any(value in get_args(one) if get_origin(one) is Literal else type(value) is one for one in parts):
        takes = [word for one in parts for word in get_args(one) or (one.__name__.replace("NoneType", "None"),)]
        raise ValueError(
            f"method {text!r}: {key} is {', '.join(takes[:-1])}{' or ' * (len(takes) > 1)}{takes[-1]}, got {value!r}"
        )
    return value
