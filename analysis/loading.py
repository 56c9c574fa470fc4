"""Which subjects a command is put to: named, loaded on its device, checked, each on the images that it has."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from models import code, processes

from .flags import BothSplits, Config, OneSplit
from .subject import Subject, in_network, recognised
from .subject import subjects as named_by

C = TypeVar("C", bound=Config)


def settled(config: C) -> C:
    """The settings with the folders that they name as they are now, whatever folder the user's code goes to."""
    changed: dict[str, Any] = {
        "out": config.out and config.out.absolute(),
        "data_root": config.data_root and str(Path(config.data_root).absolute()),
    }
    return replace(config, **changed)


def every(config: Config, subjects: Sequence[Path | Subject] = ()) -> list[Path | Subject]:
    """The checkpoints, and the subjects given or named as code, in order.

    Raises ValueError for two of one name, and for --weights without --network.
    """
    if config.weights != "raw" and config.network is None:
        raise ValueError(
            f"--weights {config.weights} takes --network, the network that they are weights of, and --data"
        )
    found: list[Path | Subject] = []
    for path in config.checkpoints:
        found += named_by(path) if code.is_code(path) else [path]
    found += subjects
    _tell_methods(config, found)
    made = {one.title for one in found if isinstance(one, Subject)}
    check_titles([one for one in found if subjects or title(one) in made])
    return found


def _tell_methods(config: Config, found: Sequence[Path | Subject]) -> None:
    """Say, where files of weights are several, that each is a method of its own, and how to say that they aren't."""
    files = [one for one in found if isinstance(one, Path)]
    if config.network is None or config.quiet or len(files) < 2:
        return
    print(
        f"each of the {len(files)} files is a method called as it, of seed 0, so that n = 1 in a comparison. If they "
        f"are seeds of one method, return subjects from a file of yours: Subject(load_into(Net(), {files[0].name!r}), "
        "train=…, test=…, method='theirs', seed=0), …",
        file=sys.stderr,
    )


def check_titles(found: Sequence[Path | Subject]) -> None:
    """Raise ValueError for two of one name."""
    names = [title(one) for one in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two subjects are called {twice[0]}: tell them apart by name=, or by method= and seed=")


def title(one: Path | Subject) -> str:
    """What a checkpoint or a subject is called."""
    return one.title if isinstance(one, Subject) else one.as_posix()


def loaded(one: Path | Subject, config: Config) -> Subject:
    """A checkpoint or a subject on the device and in the precision asked for, checked where it is somebody else's."""
    device = processes.device(config.device)
    say = (lambda _: None) if config.quiet else partial(print, file=sys.stderr)
    with code.lines():
        if isinstance(one, Path) and config.network is None:
            found = Subject.load(one, device=device, dtype=config.dtype, data_root=config.data_root, code=config.code)
            if found.spiking:  # this project's
                return found
        elif isinstance(one, Path):
            how: dict[str, Any] = {"weights": config.weights, "root": config.data_root, "quiet": config.quiet}
            found = in_network(one, config.network or "", config.data, **how)
        else:
            found = one
        digest = found.sha256  # of what was given, before anything of it is read
        placed = recognised(found.on(device, config.dtype), say)
        vars(placed)["sha256"] = digest
        placed.check()
    return placed


def on_what_there_is(config: C, subject: Subject) -> C:
    """The settings with the split that the subject has, where it hasn't the one asked for, which is said."""
    if not isinstance(config, OneSplit | BothSplits) or config.split in (*subject.there, "both"):
        return config
    there = subject.there[0]
    if not config.quiet:
        print(f"{subject.title} has no {config.split} data: measured on its {there} data", file=sys.stderr)
    changed: dict[str, Any] = {"split": there}
    return replace(config, **changed)
