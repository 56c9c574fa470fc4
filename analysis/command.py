"""What the analysis commands share: the loop over subjects, saving, printing."""

import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from tqdm import tqdm

from landscape.refusal import exhausted
from models import code, heap, processes
from tables.files import check_writable
from tables.record import provenance
from tables.result import Result

from . import forecast
from .failing import Failures, told
from .flags import Config
from .loading import every, loaded, on_what_there_is, settled, title
from .precision import check_precision, tf32
from .subject import Subject, Subjects, listed
from .turns import check_enough, in_turn

Tables = Mapping[str, pd.DataFrame]
LONGEST = 60
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
LEFT_OUT = "left_out"
"""The attribute of a table that tells of what its subject was left out, by name; in records by subject."""

_APART = ("checkpoints", "out", "record", "dry_run", "quiet")


C = TypeVar("C", bound=Config)


def analyse(
    config: C,
    measure: Callable[[Subject, C], Tables],
    subjects: Subjects = (),
    *,
    shared: bool = False,
    chain: Callable[[Path | Subject], object] = id,
) -> Result:
    """Put ``measure`` to every checkpoint and subject, and stack its tables, each row named by its identity.

    Tables grow on disk by the subject, so that stopping loses only the one at hand. Where some of several fail, the
    others are measured, and Failed is raised at the end, which has their tables. ``shared`` says that ``measure``
    splits its work over :mod:`models.processes`; of others the processes take subjects in turn
    (:mod:`analysis.turns`), one those of one ``chain``. All of them get the tables, and the first one writes.
    """
    asked, config, given = recorded(config), settled(config), listed(subjects)
    _check(config, given)
    started, named = time.perf_counter(), every(config, given)
    if not shared:
        check_enough(named, chain)
    failures, result = Failures(len(named), together=shared), None
    hashes: dict[str, str] = {}
    files: dict[str, str] = {}
    left_out: dict[str, Any] = {}
    tables: dict[str, pd.DataFrame] = {}
    silent = config.quiet or not processes.is_main()
    config = replace(config, quiet=silent)
    if config.dry_run:
        measure = forecast.instead(measure)
    measured = partial(_tried, failures=failures, config=config, measure=measure)
    bar = tqdm(total=len(named), unit="subject", disable=silent or len(named) == 1)
    for _, found in in_turn(named, measured, together=shared, key=chain):
        bar.update()
        if failures.kept(found):
            continue
        for name, rows in found.tables.items():
            left_out |= {found.title: said} if (said := rows.attrs.get(LEFT_OUT)) else {}
            tables[name] = pd.concat([tables[name], rows], ignore_index=True) if name in tables else rows
        hashes[found.title] = found.sha256
        files |= found.code
        made = provenance(asked, hashes, time.perf_counter() - started)
        more = {"code": files, LEFT_OUT: left_out}
        result = Result(tables, made | {name: value for name, value in more.items() if value})
        if config.out and processes.is_main():
            result.save(config.out)
        if not silent:
            print(found.remark, file=sys.stderr)
    bar.close()
    return failures.checked(result)


@dataclass(frozen=True)
class Measured:
    """A subject's tables, and what is told of it."""

    title: str
    sha256: str
    code: Mapping[str, str]
    tables: Tables
    remark: str


def _tried(one: Path | Subject, failures: Failures, config: C, measure: Callable[[Subject, C], Tables]) -> Any:
    return failures.tried([title(one)], partial(_measured, one, config, measure))


def _measured(one: Path | Subject, config: C, measure: Callable[[Subject, C], Tables]) -> Measured:
    begun, subject = time.perf_counter(), loaded(one, config)
    found = guarded(partial(measure, subject, on_what_there_is(config, subject)), config)
    tables = {name: _identified(table, subject) for name, table in found.items()}
    remark = _remark(subject, config, time.perf_counter() - begun)
    return Measured(subject.title, subject.sha256, dict(subject.code), tables, remark)


def show(run: Callable[[C], Result], config: C) -> None:
    """Carry out ``run``, and print its tables (of long ones the head); of several processes the first one prints."""
    heap.keep_some()
    with processes.joined(config.device):
        told(partial(run, config), partial(_print, config=config) if processes.is_main() else bool)


def _print(result: Result, config: Config) -> None:
    for name, table in result.tables.items():
        print(f"{name} ({len(table)} rows)")
        shown = table if len(table) <= LONGEST else table.head(LONGEST // 2)
        print(shown.to_string(index=False, float_format=lambda value: f"{value:.5g}"))
        print("…\n" if len(table) > LONGEST else "")
    if not config.quiet:
        print(_ending(config), file=sys.stderr)


def _ending(config: Config) -> str:
    if config.dry_run:
        return "nothing is written: leave out --dry-run to measure"
    return f"written to {config.out}" if config.out else "nothing written: --out names a folder to keep all rows"


def _check(config: Config, subjects: Sequence[Path | Subject]) -> None:
    if not config.checkpoints and not subjects:
        raise ValueError(
            "no checkpoint given: name one or more, as 'python -m models.train' writes them, or FILE.py:FUNCTION"
        )
    for path in config.checkpoints:
        if not path.is_file() and not code.is_code(path):
            raise FileNotFoundError(f"no checkpoint at {path}: train one with 'python -m models.train --out DIR'")
    check_precision(config.dtype, allowed=config.low_precision)
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


def _identified(table: pd.DataFrame, subject: Subject) -> pd.DataFrame:
    rows = pd.concat([pd.DataFrame([subject.identity] * len(table), index=table.index), table], axis=1)
    rows.attrs = dict(table.attrs)
    return rows


def recorded(config: Config) -> dict[str, object]:
    """The settings that a table's provenance holds: all but what to measure, where to write and how much to say."""
    return {name: value for name, value in asdict(config).items() if name not in _APART}


def _remark(subject: Subject, config: Config, seconds: float) -> str:
    name, count = subject.identity, processes.world()
    rounding = f", TF32 {'on' if config.tf32 else 'off'}" if config.device.startswith("cuda") else ""
    return (
        f"{subject.title}: {name['network']} trained with {name['training']} (seed {name['seed']}) on {name['data']};"
        f" measured in {config.dtype} on {config.device}{rounding}{f' by {count} processes' if count > 1 else ''},"
        f" {seconds:.1f} s"
    )
