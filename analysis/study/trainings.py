"""What a study trains: the runs that its flags ask for."""

import ast
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from models.losses import OBJECTIVES
from models.training import recipe

from .flags import Config

_TAKEN = ("", ".", "..", "tables", "figures", "report.html")


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
    found = {name: folder_name(name) for name in names}
    found = {name: f"_{folder}" if folder.casefold() in _TAKEN else folder for name, folder in found.items()}
    for name, folder in found.items():
        alike = [other for other, same in found.items() if same.casefold() == folder.casefold() and other != name]
        if alike:
            raise ValueError(f"{name!r} and {alike[0]!r} would share a folder: give one of them another name")
    return found


def folder_name(name: str) -> str:
    """``name`` as far as a folder can be called so."""
    return re.sub(r"[^\w.+-]+", "_", name)[:60]


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
        try:
            settings[key] = checked(key, value, kinds[key])
        except ValueError as error:
            raise ValueError(f"method {text!r}: {error}") from error
    return name.strip() or text, settings


def checked(key: str, value: Any, kind: Any) -> Any:
    """``value``, a whole number made a float where ``kind`` is; ValueError where ``key`` is of another kind."""
    if type(value) is int and float in (kind, *get_args(kind)):
        value = float(value)
    parts = [kind] if get_origin(kind) is Literal else get_args(kind) or [kind]
    if not any(value in get_args(one) if get_origin(one) is Literal else type(value) is one for one in parts):
        takes = [word for one in parts for word in get_args(one) or (one.__name__.replace("NoneType", "None"),)]
        raise ValueError(f"{key} is {', '.join(takes[:-1])}{' or ' * (len(takes) > 1)}{takes[-1]}, got {value!r}")
    return value
