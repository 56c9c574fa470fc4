"""What the analysis commands share: flags, the loop over checkpoints, saving, printing."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeVar

import pandas as pd
import tyro
from tqdm import tqdm

from models.checkpoint import check_writable
from models.cli import command

from .result import Result, provenance
from .subject import Subject

Tables = Mapping[str, pd.DataFrame]
LONGEST = 60


@dataclass(frozen=True)
class Config:
    """Flags of every analysis."""

    checkpoints: tyro.conf.Positional[tuple[Path, ...]]
    """Checkpoint files, one or more."""
    out: Path | None = None
    """Folder for the tables; without it they are only printed."""
    loss: Literal["sdt", "tet", "both"] = "both"
    """The loss that the landscape is made of, whatever the network was trained with."""
    split: Literal["train", "test"] = "train"
    """Images to measure on."""
    images: int | None = 1000
    """How many of them, the first ones; None takes all."""
    chunk: int = 250
    """Images in one pass, which bounds memory and changes no result beyond rounding."""
    seed: int = 0
    """Of everything random."""
    device: str = "cpu"
    """cpu, cuda, cuda:1 …"""
    dtype: Literal["float32", "float64"] = "float32"
    """Precision of weights and images."""
    data_root: str | None = None
    """Folder with the data set's files, for those that have files."""
    quiet: bool = False
    """No progress and no remarks on stderr."""

    @property
    def losses(self) -> tuple[str, ...]:
        """The landscape losses asked for."""
        return ("sdt", "tet") if self.loss == "both" else (self.loss,)


C = TypeVar("C", bound=Config)


def analyse(config: C, measure: Callable[[Subject, C], Tables]) -> Result:
    """Put ``measure`` to every checkpoint and stack its tables, each row named by its checkpoint's identity.

    Tables grow on disk by the checkpoint, so that stopping loses only the one at hand.
    """
    if not config.checkpoints:
        raise ValueError("no checkpoint given: name one or more, as 'python -m models.train' writes them")
    for path in config.checkpoints:
        if not path.is_file():
            raise FileNotFoundError(f"no checkpoint at {path}: train one with 'python -m models.train --out DIR'")
    if config.out:
        check_writable(config.out)
    started, hashes = time.perf_counter(), {}
    tables: dict[str, pd.DataFrame] = {}
    for path in tqdm(config.checkpoints, unit="checkpoint", disable=config.quiet or len(config.checkpoints) == 1):
        subject = Subject.load(path, device=config.device, dtype=config.dtype, data_root=config.data_root)
        begun = time.perf_counter()
        for name, table in measure(subject, config).items():
            rows = _identified(table, subject)
            tables[name] = pd.concat([tables[name], rows], ignore_index=True) if name in tables else rows
        hashes[path.as_posix()] = subject.sha256
        result = Result(tables, provenance(recorded(config), hashes, time.perf_counter() - started))
        if config.out:
            result.save(config.out)
        if not config.quiet:
            _remark(subject, config, time.perf_counter() - begun)
    return result


def main(config: type[C], run: Callable[[C], Result], argv: Sequence[str] | None, prog: str) -> int:
    """Command line of an analysis: tables on stdout (of long ones the head), remarks on stderr; the exit status."""

    def show(settings: C) -> None:
        for name, table in run(settings).tables.items():
            print(f"{name} ({len(table)} rows)")
            shown = table if len(table) <= LONGEST else table.head(LONGEST // 2)
            print(shown.to_string(index=False, float_format=lambda value: f"{value:.5g}"))
            print("…\n" if len(table) > LONGEST else "")
        if not settings.quiet:
            print(
                f"written to {settings.out}"
                if settings.out
                else "nothing written: --out names a folder to keep all rows",
                file=sys.stderr,
            )

    return command(config, show, argv, prog)


def _identified(table: pd.DataFrame, subject: Subject) -> pd.DataFrame:
    return pd.concat([pd.DataFrame([subject.identity] * len(table), index=table.index), table], axis=1)


def recorded(config: Config) -> dict[str, object]:
    """The settings that a table's provenance holds: all but what to measure, where to write and how much to say."""
    return {name: value for name, value in asdict(config).items() if name not in ("checkpoints", "out", "quiet")}


def _remark(subject: Subject, config: Config, seconds: float) -> None:
    name = subject.identity
    print(
        f"{subject.path}: {name['network']} trained with {name['training']} (seed {name['seed']}) on {name['data']};"
        f" measured in {config.dtype} on {config.device}, {seconds:.1f} s",
        file=sys.stderr,
    )
