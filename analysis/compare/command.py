"""SDT beside TET: is the minimum flatter, by which measure, how sure, and what does that have to do with the gap?

    python -m analysis.compare runs/demo

reads the tables in ``runs/demo/tables`` and writes three more, for each network, data set and T:

- ``compare.csv``: network, data, timesteps (T, where a table says), measure, loss (of the landscape), unit, images (how
  many it was measured on, where its table says), sdt and tet (means over seeds), ann (mean over the checkpoints of the
  network's ReLU twin, where there are any), difference (tet − sdt), low and high (its 95 % interval), p (two-sided, of
  the same test), p_adjusted (Holm's, over the rows about the same question: flatness, robustness, or anything else),
  effect and effect_kind (standardized difference: "g_z" paired, "g" unpaired; formulas of all these in
  :mod:`analysis.compare.difference`), n (pairs of one seed, or the smaller group), paired, lower_is_flatter, flatter
  ("sdt", "tet", or empty where the interval contains zero or the measure isn't one of flatness), robust (which values
  are the more robust ones: "higher", "lower", or empty), more_robust ("sdt", "tet" or empty, likewise), trust (empty,
  or why not to: :mod:`analysis.compare.doubts`)
- ``correlation.csv``: network, data, timesteps, measure, loss, gap ("loss": L_SDT on test minus train; "accuracy":
  train minus test; or an accuracy lost), among ("all", "within", "sdt", "tet"), tau (Kendall's τ-b), low and high (95 %
  bootstrap), p, p_adjusted, n; see :mod:`analysis.compare.correlation`
- ``measures.csv``: the values themselves, one per checkpoint, measure and loss; columns in
  :mod:`analysis.compare.measures`

Several folders are pooled. Nothing is computed from checkpoints here; those that are still where they were measured are
asked whether they reached the training loss of --until-loss.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tyro

from tables.command_line import command
from tables.result import Result, provenance, sha256

from ..subject import TWIN
from .correlation import correlations
from .difference import difference, holm
from .doubts import LETTERS, apart, doubts_about, unreached
from .measures import IDENTITY, measures, read_tables

_SETTING = ["network", "data", "timesteps"]
_HEAD = [*_SETTING, "measure", "loss"]
_COLUMNS = {
    "compare": [
        *_HEAD, "unit", "images", "sdt", "tet", "ann", "difference", "low", "high", "p", "p_adjusted", "effect",
        "effect_kind", "n", "paired", "lower_is_flatter", "flatter", "robust", "more_robust", "trust",
    ],
    "correlation": [*_HEAD, "gap", "among", "tau", "low", "high", "p", "p_adjusted", "n"],
}  # fmt: skip
_NUMBERS = ("sdt", "tet", "ann", "difference", "low", "high", "p", "p_adjusted", "effect")


@dataclass(frozen=True)
class Config:
    """Compare SDT and TET checkpoints from saved tables."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Folders with tables, or with a folder tables."""
    out: Path | None = None
    """Folder for compare.csv, correlation.csv and measures.csv; by default the first folder's tables."""
    resamples: int = 1000
    """Bootstrap resamples of the correlation's interval."""
    seed: int = 0
    """Of the bootstrap."""


def run(config: Config) -> Result:
    """The tables compare, correlation and measures.

    Raises FileNotFoundError for a folder without tables, ValueError where there is nothing to compare.
    """
    if not config.folders:
        raise ValueError("no folder given: name one that holds tables, as the analyses' --out writes them")
    started = time.perf_counter()
    values = pd.concat([measures(read_tables(folder)) for folder in config.folders], ignore_index=True)
    _check_distinct(values)
    if set(values["training"]) != {"sdt", "tet"}:
        raise ValueError(f"a comparison needs SDT and TET checkpoints, found only {', '.join(set(values['training']))}")
    rows: dict[str, list[dict[str, Any]]] = {"compare": [], "correlation": []}
    files = [path for path in sorted(set(values["checkpoint"])) if Path(path).is_file()]
    short = {path for path in files if unreached(Path(path))}
    for key, group in values.groupby(_SETTING, sort=False):
        place = dict(zip(_SETTING, key, strict=True))
        twins = values[(values["network"] == f"{place['network']}{TWIN}") & (values["data"] == place["data"])]
        rows["compare"] += [place | row for row in _comparisons(group, twins, short)]
        rows["correlation"] += [
            place | row for row in correlations(group, resamples=config.resamples, seed=config.seed)
        ]
    tables = {name: pd.DataFrame(found, columns=_COLUMNS[name]) for name, found in rows.items()} | {"measures": values}
    hashes = {path: sha256(Path(path)) for path in files}
    settings = {name: str(value) for name, value in asdict(config).items()}
    return Result(tables, provenance(settings, hashes, time.perf_counter() - started))


def _check_distinct(values: pd.DataFrame) -> None:
    """Network, data, T, training loss and seed name one checkpoint: two of that name, say at two λ, are two groups."""
    key = [*_SETTING, "training", "seed"]
    paths = values.groupby(key)["checkpoint"].unique()
    for found in paths[paths.map(len) > 1]:
        raise ValueError(
            f"{' and '.join(found)} have network, data, T, training loss and seed in common: compare them apart"
        )
    twice = values.duplicated([*IDENTITY, "measure", "loss"])
    if twice.any():
        raise ValueError(f"{values.loc[twice, 'checkpoint'].iloc[0]} is there twice: name each folder once")


def _comparisons(values: pd.DataFrame, twins: pd.DataFrame, short: set[str]) -> list[dict[str, Any]]:
    elsewhere = {loss: apart(values, loss) for loss in ("sdt", "tet")}
    ann = twins.groupby(["measure", "loss"])["value"].mean()
    groups, rows = [], []
    for (measure, loss, unit), group in values.groupby(["measure", "loss", "unit"], sort=False):
        sides = {name: side.set_index("seed")["value"].sort_index() for name, side in group.groupby("training")}
        if len(sides) == 2:
            head = {"measure": measure, "loss": loss, "unit": unit, "images": ", or ".join(group["images"].unique())}
            about = {"lower_is_flatter": bool(group["flatness"].all()), "robust": group["robust"].iloc[0]}
            ann_mean = {"ann": ann.get((measure, loss), np.nan)}
            rows.append(head | ann_mean | difference(sides["sdt"], sides["tet"]) | about)
            groups.append(group)
    _adjust(rows)
    for row, group in zip(rows, groups, strict=True):
        local = (group["rescaling"] != "").any()  # a property of the minimum, not of the predictions
        far = (elsewhere.get(row["loss"]) or elsewhere["sdt"]) if local else ""
        row |= _sides(row) | {"trust": "; ".join(doubts_about(group, row, far, short))}
    return rows


def _adjust(rows: list[dict[str, Any]]) -> None:
    """Give every row its adjusted p, among those about the same question."""
    table = pd.DataFrame({name: [row[name] for row in rows] for name in ("lower_is_flatter", "robust", "p")})
    adjusted = table.groupby([table["lower_is_flatter"], table["robust"] != ""])["p"]
    for row, p in zip(rows, adjusted.transform(lambda p: holm(p.to_numpy(dtype=float))), strict=True):
        row["p_adjusted"] = p


def _sides(row: dict[str, Any]) -> dict[str, str]:
    """Which side is flatter, or more robust, where the interval says that one is."""
    sure = row["low"] > 0 or row["high"] < 0
    less, more = ("tet", "sdt") if row["difference"] < 0 else ("sdt", "tet")
    return {
        "flatter": less if sure and row["lower_is_flatter"] else "",
        "more_robust": {"lower": less, "higher": more}.get(row["robust"], "") if sure else "",
    }


def read(folder: Path) -> pd.DataFrame:
    """The comparison that lies in ``folder/tables``."""
    numbers = {name: [""] for name in _NUMBERS}
    return pd.read_csv(folder / "tables" / "compare.csv", keep_default_na=False, na_values=numbers)


def table(comparison: pd.DataFrame) -> str:
    """The comparison for reading at a terminal, its doubts by letters that the last line explains."""
    short = {reason: letter for letter, reason in LETTERS.items()}
    doubts = [" ".join(short[doubt] for doubt in trust.split("; ") if doubt) for trust in comparison["trust"]]
    columns = ["measure", "loss", "sdt", "tet", "difference", "low", "high", "p_adjusted", "effect", "n"]
    columns = [name for name in _SETTING if comparison[name].nunique() > 1] + columns
    if comparison["ann"].notna().any():
        columns.insert(columns.index("difference"), "ann")
    robust = comparison["more_robust"] + np.where(comparison["more_robust"] != "", " more robust", "")
    flatter = comparison["flatter"] + np.where(comparison["flatter"] != "", " flatter", "")
    shown = comparison[columns].assign(found=flatter + robust, doubts=doubts)
    legend = "; ".join(f"{letter} {reason}" for letter, reason in LETTERS.items())
    body = shown.to_string(index=False, float_format=lambda value: f"{value:.4g}")
    return f"{body}\ndoubts: {legend}\n{_count(comparison)}"


def _count(comparison: pd.DataFrame) -> str:
    """How many rows name a side, and how many intervals chance alone would keep from zero."""
    kinds = {"flatter": comparison["lower_is_flatter"].astype(bool), "more_robust": comparison["robust"] != ""}
    said = []
    for column, about in kinds.items():
        sides = comparison.loc[about, column]
        named = ", ".join(f"{side} in {(sides == side).sum()}" for side in ("sdt", "tet"))
        said.append(f"{column.replace('_', ' ')} of {about.sum()} rows: {named}")
    tested = comparison["p"].notna().sum()
    return (
        "; ".join(said) + f". If nothing differed, {0.05 * tested:.1f} of {tested} intervals would still exclude zero"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""

    def show(config: Config) -> None:
        result = run(config)
        folder = config.folders[0]
        out = config.out or (folder / "tables" if (folder / "tables").is_dir() else folder)
        result.save(out)
        print(table(result.to_frame()))
        print(f"written to {out}: compare.csv, correlation.csv, measures.csv", file=sys.stderr)

    return command(Config, show, argv, "python -m analysis.compare")
