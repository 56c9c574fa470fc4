"""The paper's training runs by name, one file each: settings, what of them is a guess, and the accuracy published.

    python -m models.train --recipe list
    python -m models.train --recipe cifar100-resnet19-tet --timesteps 6 --device cuda --out runs/c100-tet-0

A file (TOML) in this folder holds

    [settings]     flags of models.train by name, in place of the usual defaults; other flags given go before these
    seeds          the three that stand for the paper's three runs; the first unless --seed says otherwise
    [guessed]      what the paper doesn't say, and where the value is from instead
    [[published]]  rows of the paper: where, the flags that give it, the accuracy in percent and its spread over runs

The paper's accuracies are probably of the best test epoch; a run here ends with the last one's weights. Source: Deng et
al. 2022, their code for what the text leaves open (Adam, rate, batch, cosine, augmentation), else as [guessed] says.
"""

import argparse
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...train.flags import Config


@dataclass(frozen=True)
class Published:
    """A number of the paper, in percent of the test images, for a recipe with ``flags``; None where there is none."""

    where: str
    flags: dict[str, Any]
    accuracy: float | None = None
    spread: float | None = None


@dataclass(frozen=True)
class Recipe:
    """A file of this folder."""

    name: str
    settings: dict[str, Any]
    seeds: tuple[int, ...]
    guessed: dict[str, str]
    published: tuple[Published, ...]

    def config(self, out: Path, **changes: Any) -> Config:
        """The run that it describes, with ``changes``."""
        return Config(out=out, recipe=self.name, **({"seed": self.seeds[0]} | self.settings | changes))


def names() -> list[str]:
    """All recipes."""
    return sorted(file.name.removesuffix(".toml") for file in files(__name__).iterdir() if file.name.endswith(".toml"))


def load(name: str) -> Recipe:
    """The recipe called ``name``. Raises ValueError where there is none."""
    if name not in names():
        raise ValueError(f"there is no recipe {name!r}; there are {', '.join(names())}")
    content = tomllib.loads(files(__name__).joinpath(f"{name}.toml").read_text())
    published = tuple(Published(**row) for row in content["published"])
    return Recipe(name, content["settings"], tuple(content["seeds"]), content["guessed"], published)


def named(argv: Sequence[str]) -> str | None:
    """What a command line says after ``--recipe``."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--recipe", nargs="?")
    name: str | None = parser.parse_known_args(argv)[0].recipe
    return name


def flags(name: str) -> list[str]:
    """Recipe ``name`` as arguments of a command line, to stand before those that change it."""
    recipe = load(name)
    return [word for item in ({"seed": recipe.seeds[0]} | recipe.settings).items() for word in flag(*item)]


def flag(name: str, value: object) -> list[str]:
    """A setting as arguments of a command line."""
    dashed = name.replace("_", "-")
    return [f"--{'' if value else 'no-'}{dashed}"] if isinstance(value, bool) else [f"--{dashed}", str(value)]
