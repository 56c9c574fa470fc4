"""What the analysis commands share: flags, the loop over checkpoints, saving, printing."""

import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import pandas as pd
import tyro
from tqdm import tqdm

from landscape.refusal import exhausted
from models import code, processes
from tables.command_line import command, parse
from tables.files import check_writable
from tables.record import provenance
from tables.result import Result

from .failing import Failures, told
from .precision import check_precision, tf32
from .subject import Subject, Subjects, in_network, listed, recognised
from .subject import subjects as named_by

Tables = Mapping[str, pd.DataFrame]
LONGEST = 60
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
LEFT_OUT = "left_out"
"""The attribute of a table that tells of what its subject was left out, by name; in records by subject."""

_APART = ("checkpoints", "out", "record", "quiet")


@dataclass(frozen=True)
class Config:
    """Flags of every analysis."""

    checkpoints: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Checkpoint files, or subjects of your own: FILE.py:FUNCTION."""
    out: Path | None = None
    """Folder for the tables; without it they are only printed."""
    loss: str = "both"
    """The loss that the landscape is made of, whatever the network was trained with: sdt, tet, both of them, or one of
    a subject's own; both then stands for all of those."""
    images: int | None = 1000
    """How many images of a split, the first ones; None takes all."""
    chunk: int = 250
    """Images in one pass, which bounds memory and changes no result beyond rounding."""
    seed: int = 0
    """Of everything random."""
    device: str = "cpu"
    """cpu, cuda, cuda:1 …"""
    dtype: Literal["float32", "float64", "bfloat16"] = "float32"
    """Precision of weights and images. bfloat16, which carries three digits, only with --low-precision."""
    tf32: bool = False
    """Let CUDA round the factors of float32 products to ten bits: faster, and three digits instead of seven."""
    low_precision: bool = False
    """Accept --dtype bfloat16, and what it does to differences and eigenvalues."""
    data_root: str | None = None
    """Folder with the data set's files, for those that have files."""
    code: tuple[str, ...] = ()
    """Files of your own that checkpoints trained with them may run: mine.py. No other code is ever run."""
    network: str | None = None
    """A network of your own, mine.py:Net?width=32, for files that hold its weights in any layout; with --data."""
    data: str | None = None
    """Data for --network: a data set's name, mine.npz, a folder of images by class, mine.py:data."""
    weights: str = "raw"
    """Which weights of a file for --network: raw, ema (their moving average), or the key that they lie under."""
    quiet: bool = False
    """No progress and no remarks on stderr."""

    less_memory: ClassVar[str] = "a smaller --chunk"

    def __post_init__(self) -> None:
        given: Any = self.checkpoints
        given = (given,) if isinstance(given, str | Path) else tuple(given)
        for one in given:
            if not isinstance(one, str | Path):
                raise ValueError(
                    f"checkpoints are files, got a {type(one).__name__}: subjects are given beside the settings, "
                    "run(Config(), [subject])"
                )
        object.__setattr__(self, "checkpoints", tuple(map(Path, given)))


@dataclass(frozen=True)
class OneSplit(Config):
    """Flags of an analysis of training images or of test images."""

    split: Literal["train", "test"] = "train"
    """Images to measure on."""


@dataclass(frozen=True)
class BothSplits(Config):
    """Flags of an analysis that can take both in one go."""

    split: Literal["train", "test", "both"] = "both"
    """Images to measure on."""

    @property
    def splits(self) -> tuple[Literal["train", "test"], ...]:
        """The splits asked for."""
        return ("train", "test") if self.split == "both" else (self.split,)


C = TypeVar("C", bound=Config)


def analyse(
    config: C, measure: Callable[[Subject, C], Tables], subjects: Subjects = (), *, shared: bool = False
) -> Result:
    """Put ``measure`` to every checkpoint and subject, and stack its tables, each row named by its identity.

    Tables grow on disk by the subject, so that stopping loses only the one at hand. Where some of several fail, the
    others are measured, and Failed is raised at the end, which has their tables. ``shared`` says that ``measure``
    splits its work over :mod:`models.processes`; all of them get its tables, and the first one writes.
    """
    given = listed(subjects)
    _check(config, given, shared)
    started, named = time.perf_counter(), every(config, given)
    failures, result = Failures(len(named)), None
    hashes: dict[str, str] = {}
    files: dict[str, str] = {}
    left_out: dict[str, Any] = {}
    tables: dict[str, pd.DataFrame] = {}
    silent = config.quiet or not processes.is_main()
    config = replace(config, quiet=silent)
    for one in tqdm(named, unit="subject", disable=silent or len(named) == 1):
        begun = time.perf_counter()
        measured = failures.tried([title(one)], partial(_measured, one, config, measure))
        if measured is None:
            continue
        subject, found = measured
        for name, table in found.items():
            left_out |= {subject.title: said} if (said := table.attrs.get(LEFT_OUT)) else {}
            rows = _identified(table, subject)
            tables[name] = pd.concat([tables[name], rows], ignore_index=True) if name in tables else rows
        hashes[subject.title] = subject.sha256
        files |= subject.code
        made = provenance(recorded(config), hashes, time.perf_counter() - started)
        more = {"code": files, LEFT_OUT: left_out}
        result = Result(tables, made | {name: value for name, value in more.items() if value})
        if config.out and processes.is_main():
            result.save(config.out)
        if not silent:
            _remark(subject, config, time.perf_counter() - begun)
    return failures.checked(result)


def _measured(one: Path | Subject, config: C, measure: Callable[[Subject, C], Tables]) -> tuple[Subject, Tables]:
    subject = loaded(one, config)
    return subject, guarded(partial(measure, subject, on_what_there_is(config, subject)), config)


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
    made = {one.title for one in found if isinstance(one, Subject)}
    check_titles([one for one in found if subjects or title(one) in made])
    return found


def check_titles(found: Sequence[Path | Subject]) -> None:
    """Raise ValueError for two of one name."""
    names = [title(one) for one in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two subjects are called {twice[0]}: tell them apart by name=, or by method= and seed=")


def title(one: Path | Subject) -> str:
    """What a checkpoint or a subject is called."""
    return one.title if isinstance(one, Subject) else one.as_posix()


def on_what_there_is(config: C, subject: Subject) -> C:
    """The settings with the split that the subject has, where it hasn't the one asked for, which is said."""
    if not isinstance(config, OneSplit | BothSplits) or config.split in (*subject.there, "both"):
        return config
    there = subject.there[0]
    if not config.quiet:
        print(f"{subject.title} has no {config.split} data: measured on its {there} data", file=sys.stderr)
    changed: dict[str, Any] = {"split": there}
    return replace(config, **changed)


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
        placed = recognised(found.on(device, config.dtype), say)
        vars(placed)["sha256"] = found.sha256  # of what was given
        placed.check()
    return placed


def main(config: type[C], run: Callable[[C], Result], argv: Sequence[str] | None, prog: str) -> int:
    """Command line of an analysis: tables on stdout (of long ones the head), remarks on stderr; the exit status."""

    def show(settings: C) -> None:
        with processes.joined(settings.device):
            told(partial(run, settings), partial(_print, config=settings) if processes.is_main() else bool)

    if not processes.is_main():  # what is wrong with the flags is said once
        try:
            with redirect_stderr(StringIO()), redirect_stdout(StringIO()):
                parse(config, argv, prog)
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 2
    return command(config, show, argv, prog)


def _check(config: Config, subjects: Sequence[Path | Subject], shared: bool) -> None:
    if not config.checkpoints and not subjects:
        raise ValueError(
            "no checkpoint given: name one or more, as 'python -m models.train' writes them, or FILE.py:FUNCTION"
        )
    for path in config.checkpoints:
        if not path.is_file() and not code.is_code(path):
            raise FileNotFoundError(f"no checkpoint at {path}: train one with 'python -m models.train --out DIR'")
    check_precision(config.dtype, allowed=config.low_precision)
    if processes.world() > 1 and not shared:
        raise ValueError(f"this analysis does not split over {processes.world()} processes: start it without torchrun")
    if config.out and processes.is_main():  # several would find each other's probes
        check_writable(config.out)


def guarded(measure: Callable[[], Tables], config: Config) -> Tables:
    """The tables, with CUDA's rounding as asked for; memory that runs out becomes a message."""
    try:
        with tf32(config.tf32):
            return measure()
    except (RuntimeError, MemoryError) as error:
        if not exhausted(error):
            raise
        said = f"out of memory on {config.device} ({_asked_for(error)})"
        raise ValueError(f"{said}: {config.less_memory} needs less") from error


def _asked_for(error: BaseException) -> str:
    """How much an allocation that failed was to have, as torch and numpy say it; else the error's first sentence."""
    found = re.search(r"\b(?:tried to|unable to) allocate ([\d.]+) (bytes|[KMGTPE]iB)", str(error), re.IGNORECASE)
    if not found:
        return " ".join(str(error).split(". ")[0].split()) or "of a size that isn't known"
    gibibytes = float(found[1]) / 1024 ** (3 - _UNITS.index(found[2]))
    return f"{gibibytes:.3g} GiB asked for" if gibibytes < 1000 else f"{gibibytes:,.0f} GiB asked for"


def _print(result: Result, config: Config) -> None:
    for name, table in result.tables.items():
        print(f"{name} ({len(table)} rows)")
        shown = table if len(table) <= LONGEST else table.head(LONGEST // 2)
        print(shown.to_string(index=False, float_format=lambda value: f"{value:.5g}"))
        print("…\n" if len(table) > LONGEST else "")
    if not config.quiet:
        print(
            f"written to {config.out}" if config.out else "nothing written: --out names a folder to keep all rows",
            file=sys.stderr,
        )


def _identified(table: pd.DataFrame, subject: Subject) -> pd.DataFrame:
    return pd.concat([pd.DataFrame([subject.identity] * len(table), index=table.index), table], axis=1)


def recorded(config: Config) -> dict[str, object]:
    """The settings that a table's provenance holds: all but what to measure, where to write and how much to say."""
    return {name: value for name, value in asdict(config).items() if name not in _APART}


def _remark(subject: Subject, config: Config, seconds: float) -> None:
    name, count = subject.identity, processes.world()
    rounding = f", TF32 {'on' if config.tf32 else 'off'}" if config.device.startswith("cuda") else ""
    print(
        f"{subject.title}: {name['network']} trained with {name['training']} (seed {name['seed']}) on {name['data']};"
        f" measured in {config.dtype} on {config.device}{rounding}{f' by {count} processes' if count > 1 else ''},"
        f" {seconds:.1f} s",
        file=sys.stderr,
    )
