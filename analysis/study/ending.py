"""What a study says last, in 25 lines at most: what was trained, the answer, the rows that speak first, what next."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from tables.doubts import LETTERS
from tables.interval import FEWEST
from tables.reading import TableError, available, read
from tables.words import listed

from ..compare import brief
from .flags import Config

_NAMES = 4  # methods that are named; of more, how many


def ending(config: Config, seconds: Mapping[str, float]) -> str:
    """The lines, from the tables in ``config.out``."""
    tables = _read(config.out)
    known = next(
        (tables[name] for name in ("settings", "history", "timesteps") if name in tables), pd.DataFrame({"method": []})
    )
    methods = list(dict.fromkeys(map(str, known["method"])))
    if "compare" in tables:
        methods = list(dict.fromkeys([*tables["compare"]["reference"], *tables["compare"]["method"]]))
    lines = [_measured(known, methods)]
    if "compare" in tables:
        lines += [brief(tables), *_caution(config, tables)]
    else:
        lines.append(
            f"{methods[0] if methods else 'one method'} alone: nothing to compare it with, and flat is a comparison"
        )
    out = config.out
    lines.append(f"report: {out / 'report.html'}; tables: {out / 'tables'}; pictures: {out / 'figures'}")
    if "compare" in tables:
        lines.append(f"all rows: python -m analysis.compare {shlex.quote(str(out))} --all")
    times = ", ".join(f"{name} {value:.0f}" for name, value in seconds.items() if value >= 1)
    return "\n".join([*lines, f"{sum(seconds.values()):.0f} seconds{f': {times}' if times else ''}"])


def _read(out: Path) -> dict[str, pd.DataFrame]:
    found: dict[str, pd.DataFrame] = {}
    for name in ("compare", "crossovers", "settings", "history", "timesteps"):
        if name in available(out):
            try:
                found[name] = read(out, name)
            except TableError:  # told by the report, in its place
                continue
    return found


def _measured(known: pd.DataFrame, methods: Sequence[str]) -> str:
    """What was trained or given: how many networks, of what, by which methods, and which seeds."""
    named = listed(list(methods)) if len(methods) <= _NAMES else f"{len(methods)} methods, {methods[0]} the reference"
    if "checkpoint" not in known or known.empty:
        return f"networks: {named}"
    networks = known.drop_duplicates("checkpoint")
    places = listed([f"{a} on {b}" for a, b in networks[["network", "data"]].drop_duplicates().values.tolist()][:3])
    steps = sorted(networks["timesteps"].dropna().unique()) if "timesteps" in networks else []
    time = f", T = {steps[0]:g}" if len(steps) == 1 and steps[0] > 1 else ""
    seeds = networks["seed"].nunique()
    return (
        f"{len(networks)} network{'s' * (len(networks) != 1)}, {places}{time}: {named}, "
        f"{seeds} seed{'s' * (seeds != 1)} each"
    )


def _caution(config: Config, tables: dict[str, pd.DataFrame]) -> list[str]:
    """What stands most in the way of believing the rows, and the command that resolves it where there is one."""
    compare = tables["compare"]
    if compare["n"].max() < FEWEST:
        said = f"caution: of fewer than {FEWEST} seeds no side is named"
        return [said if config.subjects else f"{said}: {command(replace(config, seeds=5))}"]
    if not compare.loc[compare["side"] == "flatness", "trust"].str.contains(LETTERS["l"], regex=False).any():
        return []
    said = "caution: training losses differ, and minima compare at one loss"
    if config.subjects or config.until_loss is not None or "history" not in tables:
        return [said]
    return [f"{said}:", f"    {command(equal(config, tables['history']))}"]


def equal(config: Config, history: pd.DataFrame) -> Config:
    """The study that trains the methods to one loss, the highest that one of them ended at, and a little more."""
    loss = min(name.removeprefix("train_loss_") for name in map(str, history) if name.startswith("train_loss_"))
    last = history[history["epoch"] == history.groupby("checkpoint")["epoch"].transform("max")]
    level = 1.1 * last.groupby("method")[f"train_loss_{loss}"].mean().max()
    out = config.out.with_name(f"{config.out.name}-equal")
    return replace(config, out=out, until_loss=float(f"{level:.2g}"), until_loss_of=loss)


def command(config: Config) -> str:
    """The command line that asks for this study: the flags that aren't as they are by themselves, and --out."""
    words: list[str] = []
    for one in fields(config):
        value = getattr(config, one.name)
        if value != one.default or one.name == "out":
            words += [f"--{one.name.replace('_', '-')}", *map(_word, value if isinstance(value, tuple) else (value,))]
    return " ".join(["python -m analysis.study", *words])


def _word(value: Any) -> str:
    return shlex.quote(str(value))
