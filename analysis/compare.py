"""SDT beside TET: is the minimum flatter, by which measure, how sure, and what does that have to do with the gap?

    python -m analysis.compare runs/demo

reads the tables in ``runs/demo/tables`` and writes three more, for each network and data set:

- ``compare.csv``: network, data, measure, loss (of the landscape), unit, sdt and tet (means over seeds), ann (mean over
  the checkpoints of the network's ReLU twin, where there are any), difference (tet − sdt), low and high (its 95 %
  interval: Student's t over pairs of one seed, or Welch's where seeds don't pair), n (pairs, or the smaller group),
  paired, lower_is_flatter, flatter ("sdt", "tet", or empty where the interval contains zero or the measure isn't one
  of flatness), trust (empty, or why not to: among else, because the two sides' training accuracies are more than half
  a percent apart, or their training losses more than a tenth, so that their minima aren't comparable)
- ``correlation.csv``: network, data, measure, loss, gap ("loss": L_SDT on test minus train; "accuracy": train minus
  test), among ("all", "sdt", "tet"), tau (Kendall's τ-b of measure and gap; Jiang et al. 2020), low and high (95 %
  percentile bootstrap over checkpoints), n
- ``measures.csv``: the values themselves, one per checkpoint, measure and loss; columns in :mod:`analysis.measures`

Several folders are pooled. Nothing is computed from checkpoints here.
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
from scipy import stats

from models.cli import command

from .correlation import correlations
from .measures import CHANGES, IDENTITY, measures, read_tables
from .result import Result, provenance, sha256
from .subject import TWIN

SAME_ACCURACY = 0.005
SAME_LOSS = 0.1
_HEAD = ["network", "data", "measure", "loss"]
_COLUMNS = {
    "compare": [
        *_HEAD, "unit", "sdt", "tet", "ann", "difference", "low", "high", "n", "paired", "lower_is_flatter", "flatter",
        "trust",
    ],
    "correlation": [*_HEAD, "gap", "among", "tau", "low", "high", "n"],
}  # fmt: skip
_LETTERS = {
    "n": "fewer than three seeds",
    "0": "interval contains zero",
    "c": "not converged",
    "r": "changes when weights are rescaled",
    "a": "training accuracies differ",
    "l": "training losses differ",
    "f": "not finite",
}


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
    for (network, data), group in values.groupby(["network", "data"], sort=False):
        place = {"network": network, "data": data}
        twins = values[(values["network"] == f"{network}{TWIN}") & (values["data"] == data)]
        rows["compare"] += [place | row for row in _comparisons(group, twins)]
        rows["correlation"] += [
            place | row for row in correlations(group, resamples=config.resamples, seed=config.seed)
        ]
    tables = {name: pd.DataFrame(found, columns=_COLUMNS[name]) for name, found in rows.items()} | {"measures": values}
    files = {path: sha256(Path(path)) for path in sorted(set(values["checkpoint"])) if Path(path).is_file()}
    settings = {name: str(value) for name, value in asdict(config).items()}
    return Result(tables, provenance(settings, files, time.perf_counter() - started))


def _check_distinct(values: pd.DataFrame) -> None:
    """Network, data, training loss and seed name one checkpoint: two of that name, say at two T, are two groups."""
    key = ["network", "data", "training", "seed"]
    paths = values.groupby(key)["checkpoint"].unique()
    for found in paths[paths.map(len) > 1]:
        raise ValueError(
            f"{' and '.join(found)} have network, data, training loss and seed in common: compare them apart"
        )
    twice = values.duplicated([*IDENTITY, "measure", "loss"])
    if twice.any():
        raise ValueError(f"{values.loc[twice, 'checkpoint'].iloc[0]} is there twice: name each folder once")


def _comparisons(values: pd.DataFrame, twins: pd.DataFrame) -> list[dict[str, Any]]:
    elsewhere = {loss: _apart(values, loss) for loss in ("sdt", "tet")}
    ann = twins.groupby(["measure", "loss"])["value"].mean()
    rows = []
    for (measure, loss, unit), group in values.groupby(["measure", "loss", "unit"], sort=False):
        sides = {name: side.set_index("seed")["value"].sort_index() for name, side in group.groupby("training")}
        if len(sides) < 2:
            continue
        found = difference(sides["sdt"], sides["tet"])
        flatness = bool(group["flatness"].all())
        local = (group["rescaling"] != "").any()  # a property of the minimum, not of the predictions
        doubts = _doubts(group, found, elsewhere.get(str(loss), "") if local else "")
        sure = flatness and (found["low"] > 0 or found["high"] < 0)
        flatter = ("tet" if found["difference"] < 0 else "sdt") if sure else ""
        head = {"measure": measure, "loss": loss, "unit": unit, "ann": ann.get((measure, loss), np.nan)}
        rows.append(head | found | {"lower_is_flatter": flatness, "flatter": flatter, "trust": "; ".join(doubts)})
    return rows


def difference(sdt: pd.Series, tet: pd.Series) -> dict[str, Any]:
    """Means, their difference TET − SDT and its 95 % interval, for values indexed by seed.

    Where at least two seeds are on both sides the difference is taken pair by pair (Student's t, n pairs); otherwise
    the groups are independent (Welch's t, n the smaller group). The interval is NaN where there is only one value.
    """
    common = sdt.index.intersection(tet.index)
    paired = len(common) >= 2 and sdt.index.is_unique and tet.index.is_unique
    if paired:
        sdt, tet = sdt[common], tet[common]
        gaps = (tet - sdt).to_numpy()
        n, mean, error, freedom = len(gaps), gaps.mean(), gaps.std(ddof=1) / np.sqrt(len(gaps)), len(gaps) - 1.0
    else:
        n, mean = min(len(sdt), len(tet)), tet.mean() - sdt.mean()
        parts = np.array([side.var(ddof=1) / len(side) for side in (sdt, tet)])
        error = np.sqrt(parts.sum())
        freedom = parts.sum() ** 2 / sum(
            part**2 / max(len(s) - 1, 1) for part, s in zip(parts, (sdt, tet), strict=True)
        )
    half = stats.t.ppf(0.975, freedom) * error if n > 1 else np.nan
    return {
        "sdt": sdt.mean(),
        "tet": tet.mean(),
        "difference": mean,
        "low": mean - half,
        "high": mean + half,
        "n": n,
        "paired": paired,
    }


def _doubts(group: pd.DataFrame, found: dict[str, Any], apart: str) -> list[str]:
    applies = {
        "n": found["n"] < 3,
        "0": found["low"] <= 0 <= found["high"],
        "c": not group["converged"].all(),
        "r": (group["rescaling"] == CHANGES).any(),
        "a": "a" in apart,
        "l": "l" in apart,
        "f": not np.isfinite(group["value"]).all(),
    }
    return [_LETTERS[letter] for letter, doubt in applies.items() if doubt]


def _apart(values: pd.DataFrame, loss: str) -> str:
    """Letters of what keeps the two sides' minima from being comparable: training accuracy, training loss."""
    accuracy = values[values["measure"] == "train accuracy"].groupby("training")["value"].mean()
    chosen = values[(values["measure"] == "train loss") & (values["loss"] == loss)]
    level = chosen.groupby("training")["value"].mean()
    far = {"a": np.ptp(accuracy) > SAME_ACCURACY if len(accuracy) else False}
    far["l"] = np.ptp(level) > SAME_LOSS * level.mean() if len(level) else False
    return "".join(letter for letter, applies in far.items() if applies)


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


def read(folder: Path) -> pd.DataFrame:
    """The comparison that lies in ``folder/tables``."""
    numbers = {name: [""] for name in ("sdt", "tet", "ann", "difference", "low", "high")}
    return pd.read_csv(folder / "tables" / "compare.csv", keep_default_na=False, na_values=numbers)


def table(comparison: pd.DataFrame) -> str:
    """The comparison for reading at a terminal, its doubts by letters that the last line explains."""
    short = {reason: letter for letter, reason in _LETTERS.items()}
    doubts = [" ".join(short[doubt] for doubt in trust.split("; ") if doubt) for trust in comparison["trust"]]
    columns = ["measure", "loss", "sdt", "tet", "difference", "low", "high", "n", "flatter"]
    columns = [name for name in ("network", "data") if comparison[name].nunique() > 1] + columns
    if comparison["ann"].notna().any():
        columns.insert(columns.index("difference"), "ann")
    shown = comparison[columns].assign(doubts=doubts)
    legend = "; ".join(f"{letter} {reason}" for letter, reason in _LETTERS.items())
    return shown.to_string(index=False, float_format=lambda value: f"{value:.4g}") + f"\ndoubts: {legend}"


if __name__ == "__main__":
    sys.exit(main())
