"""One number per checkpoint from every table: what a comparison compares; :mod:`tables.measures` says what they are.

A measure of *robustness* is the mean of a curve against the strength of a disturbance:
:mod:`analysis.compare.survival`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from tables.measures import MEASURES, NORMS, OPERATORS, SHARPNESS
from tables.reading import TableError, read_file
from tables.schema import SCHEMA, columns_of

from .around import rises, shapes, surface
from .outcomes import check
from .rows import KEYS, rows
from .shifted import shifted
from .survival import survival

Extract = Callable[[pd.DataFrame], Iterator[pd.DataFrame]]


def read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables that ``folder``, or ``folder/tables``, holds and measures are made of.

    Raises FileNotFoundError where there is none, TableError for one that is garbled or incomplete.
    """
    tables = there(folder, READ)
    if not set(tables) - {"settings", "outcomes"}:
        expected = ", ".join(f"{name}.csv" for name in dict.fromkeys(name for name, _ in _EXTRACT))
        raise FileNotFoundError(f"no table in {folder}: expected {expected}")
    if {"outcomes", "timesteps"} <= tables.keys():
        check(tables["outcomes"], _as_trained(tables["timesteps"]), folder)
    return tables


def there(folder: Path, names: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Those of the tables called ``names`` that ``folder``, or ``folder/tables``, holds."""
    folder = folder / "tables" if (folder / "tables").is_dir() else folder
    return {name: read_file(folder / f"{name}.csv", name) for name in names if (folder / f"{name}.csv").is_file()}


def measures(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Every measure of every checkpoint: the columns of table measures (:mod:`tables.schema`)."""
    found = [frame for name, function in _EXTRACT if name in tables for frame in _extracted(name, function, tables)]
    if not found:
        raise TableError(f"no measure in {', '.join(tables)}: measure more, as python -m analysis.timesteps does")
    values = pd.concat(found, ignore_index=True).pipe(_with_timesteps, tables)
    values = values.assign(title=_named(values, tables), seed=values["seed"].astype(int))
    known = values.groupby(["measure", "loss"])["value"].transform(lambda value: value.notna().any())
    values = values[known.astype(bool)]  # what no subject has, as accuracy in regression, is no row
    return values[columns_of("measures")]


def _named(values: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> pd.Series:
    """Titles: where table settings says that a network has no spikes, its Hessian isn't a formal one."""
    told = tables.get("settings", pd.DataFrame())
    smooth = list(told.loc[told["spiking"].astype(str).eq("False"), "checkpoint"]) if "spiking" in told else []
    plain = values["title"].str.replace("formal Hessian", "Hessian")
    return values["title"].where(~values["checkpoint"].isin(smooth), plain)


def _extracted(name: str, function: Extract, tables: Mapping[str, pd.DataFrame]) -> list[pd.DataFrame]:
    """What ``function`` makes of a table. Raises TableError, which names the table's file, for what it can't use."""
    try:
        return list(function(tables[name]))
    except TableError as wrong:
        file = tables[name].attrs.get("file", f"{name}.csv")
        raise TableError(f"{file}: {wrong}; make it again with python -m analysis.{SCHEMA[name].command}") from wrong


def _with_timesteps(values: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """T of every checkpoint; where its tables don't say, that of its network and data, if there is but one."""
    told = [table[["checkpoint", "trained_timesteps"]] for table in tables.values() if "trained_timesteps" in table]
    if not told:
        return values.assign(timesteps="")
    known = pd.concat(told).drop_duplicates("checkpoint").set_index("checkpoint")["trained_timesteps"]
    steps = values["checkpoint"].map(known)
    place = [values["network"], values["data"]]
    only = steps.groupby(place).transform("first").where(steps.groupby(place).transform("nunique") == 1)
    text = steps.fillna(only).map(lambda number: f"{number:.0f}", na_action="ignore").astype(object)
    return values.assign(timesteps=text.fillna(""))


def _hessian(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    return _curvature(table[table["rank"] == 1], "top_eigenvalue", "eigenvalue")


def _trace(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    return _curvature(table, "trace", "trace")


def _curvature(table: pd.DataFrame, measure: str, value: str) -> Iterator[pd.DataFrame]:
    """In raw coordinates and, where the table has them, in filter-normalized ones. Other operators are passed over."""
    coordinates = table["coordinates"] if "coordinates" in table else pd.Series("raw", index=table.index)
    for operator, name in OPERATORS.items():
        for system, suffix in (("raw", ""), ("filter", "_filter")):
            chosen = table[(table["operator"] == operator) & (coordinates == system)]
            if len(chosen):
                yield rows(chosen, MEASURES[measure + suffix].said((operator,), (name,)), value)


def _sharpness(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """σ as 1/σ², which is smaller at a flatter minimum. Bounds and slopes of the loss are no measures of flatness."""
    unknown = ~table["measure"].isin(list(SHARPNESS))
    if unknown.any():
        line = int(np.flatnonzero(unknown.to_numpy())[0])
        raise TableError(
            f"line {line + 2} has {table['measure'].iloc[line]!r} as measure, expected one of {', '.join(SHARPNESS)}"
        )
    noise = table["measure"].str.startswith("pac_bayes_sigma")
    table = table.assign(value=table["value"].where(~noise, table["value"] ** -2.0))
    for column, empty in (("setting", ""), ("radius", np.nan), ("rescaling", "")):
        table[column] = table.get(column, empty)
    keys = ["measure", "setting", "radius", "rescaling"]
    for (name, setting, at, rescaling), chosen in table.groupby(keys, sort=False, dropna=False):
        radius = float(str(at))
        measure = MEASURES[SHARPNESS[str(name)]]
        asked = [*([str(setting)] if setting else []), *([f"{radius:g}"] if np.isfinite(radius) else [])]
        title = measure.title + (f", {setting}" if setting else "")
        title += f" at radius {radius:g}" if np.isfinite(radius) else ""
        found = rows(chosen, measure.asked(*asked), "value", rescaling=str(rescaling))
        yield found.assign(title=title)


def _norms(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for (norm, rescaling), chosen in table.groupby(["norm", "rescaling"], sort=False):
        measure = MEASURES["norm"].said((str(norm),), (NORMS.get(str(norm), f"norm {norm}"),))
        found = rows(chosen, measure, "value", rescaling=str(rescaling))
        yield found.assign(unit="1" if norm in ("filter_turn", "fro_over_spec") else "weight²")


def _timesteps(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Of the network as it was trained, on the frames it was trained with."""
    table = _as_trained(table)
    at_trained = table[table["timesteps"] == table["trained_timesteps"]]
    train, test = (at_trained[at_trained["split"] == split] for split in ("train", "test"))
    yield rows(test, MEASURES["test_accuracy"], "accuracy_cumulative")
    yield rows(train, MEASURES["train_accuracy"], "accuracy_cumulative")
    for column in [name for name in table if str(name).startswith("loss_") and not str(name).endswith("stderr")]:
        loss = str(column).removeprefix("loss_")
        if loss != "at_step":
            gap = _gap(at_trained, str(column)).assign(loss=loss)
            yield rows(train.assign(loss=loss), MEASURES["train_loss"], str(column))
            yield rows(test.assign(loss=loss), MEASURES["test_loss"], str(column))
            yield rows(gap, MEASURES["gap_in_loss"], "gap")
    accuracy = _gap(at_trained, "accuracy_cumulative")
    accuracy["gap"] *= -1
    yield rows(accuracy, MEASURES["gap_in_accuracy"], "gap")
    on_test = table[(table["split"] == "test") & (table["trained_timesteps"] > 1)]  # else it is the test accuracy again
    yield rows(on_test[on_test["timesteps"] == 1], MEASURES["test_accuracy_at_1"], "accuracy_cumulative")


def _as_trained(table: pd.DataFrame) -> pd.DataFrame:
    for column, other in (("statistics", "recalibrated"), ("frames", "recut")):
        table = table[table[column] != other] if column in table else table
    return table


def _gap(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Test minus train, of checkpoints measured on both, and of how many images each."""
    wide = table.pivot_table(index=KEYS, columns="split", values=column)
    wide = wide.reindex(columns=["train", "test"]).dropna()
    gap = (wide["test"] - wide["train"]).rename("gap").reset_index()
    if "images" in table:
        counts = table.drop_duplicates([*KEYS, "split"]).pivot(index=KEYS, columns="split", values="images")
        counts = counts.reindex(columns=["train", "test"]).map(lambda number: f"{number:.0f}")
        said = counts["train"] + " train, " + counts["test"] + " test"
        gap["images"] = said.reindex(pd.MultiIndex.from_frame(gap[KEYS])).to_numpy()
    return gap


def _momentum(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    whole = table[table["timestep"] == 0]
    for name, column in (("gradient_norm", "gradient_norm"), ("coherence", "coherence")):
        yield rows(whole, MEASURES[name], column)


def _descent(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Realised over predicted decrease along the gradient, at the relative step closest to 1 %, which the id names."""
    chosen = table[table["direction"] == "gradient"]
    distance = np.log10(chosen["relative_step"] / 0.01).abs()
    nearest = distance.groupby([chosen[name] for name in (*KEYS, "loss")]).transform("min")
    for step, found in chosen[distance == nearest].groupby("relative_step", sort=False):
        yield rows(found, MEASURES["descent_ratio"].asked(f"{step:g}"), "ratio")


def _energy(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    total = table[table["layer"] == "total"]
    if "trained_timesteps" in total:
        total = total[total["timesteps"] == total["trained_timesteps"]]
    yield rows(total, MEASURES["energy"], "joules")


def _robustness(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for found in (survival(table), shifted(table)):
        for curves, measure, value in found:
            yield rows(curves, measure, value)


_EXTRACT: tuple[tuple[str, Extract], ...] = (
    ("timesteps", _timesteps),
    ("hessian", _hessian),
    ("trace", _trace),
    ("surface", surface),
    ("shapes", shapes),
    ("rise", rises),
    ("sharpness", _sharpness),
    ("norms", _norms),
    ("robustness", _robustness),
    ("momentum", _momentum),
    ("descent", _descent),
    ("energy", _energy),
)
READ = (*dict.fromkeys(name for name, _ in _EXTRACT), "settings", "outcomes")
