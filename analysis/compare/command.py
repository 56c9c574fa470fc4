"""Methods beside one another, measure by measure: differences with intervals, effect sizes, and reasons for doubt.

    python -m analysis.compare runs                                  # the first method found is the reference
    python -m analysis.compare runs --reference sdt --by method
    python -m analysis.compare sweep --by learning_rate --reference 0.002

reads the tables in ``runs/tables`` (and in every other folder named) and writes ``compare.csv``, ``counts.csv``,
``correlation.csv`` and ``measures.csv`` beside them; columns are in docs/tables.md. Each row of compare.csv is one
method (or one value of a factor) against the reference: means, difference method minus reference with its 95 % interval
(paired by seed where seeds are shared), two-sided p, p_adjusted (Holm's, over all rows about the same question:
flatness, robustness, or anything else), effect, and reasons not to trust the row (:mod:`analysis.compare.doubts`). How
many rows name a side is no evidence by itself: counts.csv has its chance (:mod:`analysis.compare.counts`).

``--by`` a factor that the runs record (a column of table settings: learning_rate, mse_weight, train_images …) compares
networks of one method that differ in it.

Nothing is computed from checkpoints, and none is opened: the same tables give the same rows, wherever checkpoints lie.
Each table is held against the digest in its record.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tyro

from tables.command_line import command
from tables.measures import MEASURES, family
from tables.record import altered, provenance
from tables.result import Result
from tables.schema import SCHEMA

from ..subject import TWIN
from .confidence import depends_on_scale
from .correlation import correlations
from .difference import difference, holm
from .doubts import apart, doubts_about
from .measures import KEYS, measures, read_tables
from .outcomes import sampling
from .rises import against
from .shown import table
from .tally import tallies

_SETTING = ["network", "data", "timesteps"]


@dataclass(frozen=True)
class Beside:
    """What is known beside the values: single images, checkpoints short of the loss asked for, tables changed since."""

    outcomes: pd.DataFrame
    short: frozenset[str]
    changed: frozenset[str]


@dataclass(frozen=True)
class Config:
    """Compare methods, or the values of a factor, from saved tables."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Folders with tables, or with a folder tables."""
    out: Path | None = None
    """Folder for the tables; by default the first folder's tables."""
    reference: str | None = None
    """The method (or value of the factor) that the others are compared with; by default the first in the tables."""
    by: str = "method"
    """What is compared: method, or within each method a factor that the runs record in table settings."""
    resamples: int = 1000
    """Deals of seeds that a correlation's p is made of, where there are more."""
    seed: int = 0
    """Of those deals."""


def run(config: Config) -> Result:
    """The tables compare, counts, correlation and measures.

    Raises FileNotFoundError for a folder without tables, ValueError where there is nothing to compare.
    """
    if not config.folders:
        raise ValueError("no folder given: name one that holds tables, as the analyses' --out writes them")
    started = time.perf_counter()
    read = [read_tables(folder) for folder in config.folders]
    values = pd.concat([measures(tables) for tables in read], ignore_index=True)
    settings = _all(read, "settings")
    altogether = frozenset(name for folder in config.folders for name in altered(folder))
    known = Beside(_all(read, "outcomes"), _short(settings), altogether)
    values["group"] = _groups(values, settings, config.by)
    reference = _reference(values, config)
    _check_distinct(values, config.by)
    names = ("compare", "counts", "correlation", "rise_curves", "crossovers")
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    rise = _all(read, "rise")
    setting = _SETTING if config.by == "method" else [*_SETTING, "method"]
    for key, group in values.groupby(setting, sort=False):
        place = dict(zip(_SETTING, key, strict=False))
        twins = values[(values["network"] == f"{place['network']}{TWIN}") & (values["data"] == place["data"])]
        curves, crossovers = against(rise, group, reference)
        found = _comparisons(group, twins, reference, known, pd.concat(curves) if curves else pd.DataFrame())
        rows["compare"] += [place | row for row in found]
        rows["counts"] += [place | row for row in (tallies(group, found, reference) if found else ())]
        for name, parts in (("rise_curves", curves), ("crossovers", crossovers)):
            rows[name] += [
                place | {str(k): v for k, v in row.items()} for part in parts for row in part.to_dict("records")
            ]
        rows["correlation"] += [
            place | row for row in correlations(group, resamples=config.resamples, seed=config.seed)
        ]
    tables = {name: pd.DataFrame(found, columns=_columns(name)) for name, found in rows.items() if found}
    if "compare" not in tables:
        inside = "" if config.by == "method" else f", within one method (no method's runs differ in {config.by})"
        raise ValueError(
            f"no measure is there for {reference} and for another one on the same network, data and T{inside}"
        )
    asked = {name: str(value) for name, value in asdict(config).items()}
    tables |= {"measures": values[_columns("measures")]}
    return Result(tables, provenance(asked, {}, time.perf_counter() - started))


def _all(read: Sequence[Mapping[str, pd.DataFrame]], name: str) -> pd.DataFrame:
    """A table of all folders, or one without rows."""
    found = [tables[name] for tables in read if name in tables]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame({"checkpoint": []})


def _columns(name: str) -> list[str]:
    return [column.name for column in SCHEMA[name].columns]


def _groups(values: pd.DataFrame, settings: pd.DataFrame, by: str) -> pd.Series:
    """What each row is compared by, as a word."""
    if by == "method":
        return values["method"]
    if by not in settings:
        there = ", ".join(map(str, settings))
        raise ValueError(f"no factor {by!r}: table settings has {there}; method is always there")
    told = settings.drop_duplicates("checkpoint").set_index("checkpoint")[by]
    words = values["checkpoint"].map(told.map(lambda one: f"{one:g}" if isinstance(one, float) else str(one)))
    if words.isna().any() or (words == "").any():
        unknown = values.loc[words.isna() | (words == ""), "checkpoint"].iloc[0]
        raise ValueError(f"table settings says nothing of {by} for {unknown}")
    return words


def _reference(values: pd.DataFrame, config: Config) -> str:
    there = list(dict.fromkeys(values.loc[~values["network"].str.endswith(TWIN), "group"]))
    reference = there[0] if config.reference is None and there else config.reference
    if reference not in there:
        raise ValueError(
            f"no {config.by} {reference!r} in the tables: there {'is' if len(there) == 1 else 'are'} "
            f"{', '.join(there) or 'none'}"
        )
    if len(there) < 2:
        raise ValueError(f"nothing to compare {reference!r} with: it is the only {config.by} in the tables")
    return str(reference)


def _short(settings: pd.DataFrame) -> frozenset[str]:
    """Checkpoints that ended above the training loss asked for."""
    if "until_loss_reached" not in settings:
        return frozenset()
    return frozenset(settings.loc[settings["until_loss_reached"].eq(False), "checkpoint"])


def _check_distinct(values: pd.DataFrame, by: str) -> None:
    """Network, data, T, method, factor and seed name one checkpoint: two of that name are two groups."""
    key = [*_SETTING, "method", "group", "seed"]
    paths = values.groupby(key)["checkpoint"].unique()
    for found in paths[paths.map(len) > 1]:
        what = "network, data, T, method and seed" if by == "method" else f"network, data, T, method, {by} and seed"
        raise ValueError(
            f"{' and '.join(found)} have {what} in common: compare them apart, or name their methods (--method)"
        )
    twice = values.duplicated([*KEYS, "measure", "loss"])
    if twice.any():
        raise ValueError(f"{values.loc[twice, 'checkpoint'].iloc[0]} is there twice: name each folder once")


def _comparisons(
    values: pd.DataFrame, twins: pd.DataFrame, reference: str, known: Beside, curves: pd.DataFrame
) -> list[dict[str, Any]]:
    """A row for every group but the reference, measure and loss."""
    losses = dict.fromkeys(["", *values["loss"]])
    twin = twins.groupby(["measure", "loss"])["value"].mean()
    groups, rows = [], []
    others = [name for name in dict.fromkeys(values["group"]) if name != reference]
    far = {(name, loss): apart(_of(values, reference, name), loss) for name in others for loss in losses}
    for (measure, loss, unit), every in values.groupby(["measure", "loss", "unit"], sort=False):
        sides = {name: side.set_index("seed").sort_index() for name, side in every.groupby("group")}
        for name in [name for name in others if {name, reference} <= set(sides)]:
            group = _of(every, reference, name)
            first = group.iloc[0]
            head = {"measure": measure, "title": first["title"], "loss": loss, "side": first["side"], "unit": unit}
            head |= {"images": ", or ".join(group["images"].unique()), "reference": reference, "method": name}
            head |= {"twin_mean": twin.get((measure, loss), np.nan), "better": first["better"]}
            one, other = sides[reference], sides[name]
            images = sampling(known.outcomes, str(measure), str(loss), one["checkpoint"], other["checkpoint"])
            rows.append(head | difference(one["value"], other["value"], images))
            groups.append(group)
    _adjust(rows)
    for row, group in zip(rows, groups, strict=True):
        row |= _sides(row)
        local = (group["rescaling"] != "").any()  # a property of the minimum, not of the predictions
        doubts = doubts_about(
            group, row, far=far[row["method"], row["loss"]] if local else "", short=known.short,
            scale=depends_on_scale(row, curves),
            changed=MEASURES[family(row["measure"])].table in known.changed,
        )  # fmt: skip
        row["trust"] = "; ".join(doubts)
    return rows


def _of(values: pd.DataFrame, *names: str) -> pd.DataFrame:
    return values[values["group"].isin(names)]


def _adjust(rows: list[dict[str, Any]]) -> None:
    """Give every row its adjusted p, among those about the same question."""
    table = pd.DataFrame({name: [row[name] for row in rows] for name in ("side", "p")})
    question = table["side"].where(table["side"].isin(["flatness", "robustness"]), "")
    for row, p in zip(rows, table.groupby(question)["p"].transform(lambda p: holm(p.to_numpy(float))), strict=True):
        row["p_adjusted"] = p


def _sides(row: dict[str, Any]) -> dict[str, str]:
    """Which one is flatter, or more robust, where the interval says that one is."""
    sure = row["low"] > 0 or row["high"] < 0
    less, more = (row["method"], row["reference"])[:: 1 if row["difference"] < 0 else -1]
    named = {"lower": less, "higher": more}.get(row["better"], "") if sure else ""
    return {
        "flatter": named if row["side"] == "flatness" else "",
        "more_robust": named if row["side"] == "robustness" else "",
    }


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""

    def show(config: Config) -> None:
        result = run(config)
        folder = config.folders[0]
        out = config.out or (folder / "tables" if (folder / "tables").is_dir() else folder)
        result.save(out)
        print(table(result.to_frame(), result.tables))
        print(f"written to {out}: {', '.join(f'{name}.csv' for name in result.tables)}", file=sys.stderr)

    return command(Config, show, argv, "python -m analysis.compare")
