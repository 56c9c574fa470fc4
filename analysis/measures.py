"""One number per checkpoint from every table: what a comparison compares.

A measure of *flatness* is smaller at a flatter minimum. Whether it would change if the weights before a BatchNorm were
rescaled, which leaves the network's function alone, is its ``rescaling``: two minima that differ in it may differ in
nothing but the scale of their weights (Dinh, Pascanu, Bengio, Bengio 2017).
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from .tables import IDENTITY, LAYOUTS, read

INVARIANT, CHANGES = "invariant", "changes"
_OPERATORS = {"hessian": "formal Hessian", "gauss_newton": "Gauss-Newton"}


def read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables that ``folder``, or ``folder/tables``, holds.

    Raises FileNotFoundError where there is none, ValueError for one that is garbled or incomplete.
    """
    folder = folder / "tables" if (folder / "tables").is_dir() else folder
    paths = {name: folder / f"{name}.csv" for name in LAYOUTS}
    tables = {name: read(path, name) for name, path in paths.items() if path.exists()}
    if not tables:
        raise FileNotFoundError(f"no table in {folder}: expected {', '.join(f'{name}.csv' for name in LAYOUTS)}")
    return tables


def measures(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Every measure of every checkpoint.

    Columns: checkpoint, network, data, training, seed, measure, loss (of the landscape; empty where there is none),
    unit, value, flatness (bool), rescaling ("invariant", "changes", or empty), converged (bool).
    """
    found = [frame for name, function in _EXTRACT.items() if name in tables for frame in function(tables[name])]
    return pd.concat(found, ignore_index=True)


def _rows(
    table: pd.DataFrame, measure: str, value: str, unit: str, *, flatness: bool = False, rescaling: str = ""
) -> pd.DataFrame:
    """Rows of one measure: the mean of column ``value`` per checkpoint and landscape loss."""
    keys = [*IDENTITY, *(["loss"] if "loss" in table else [])]
    plan = {"value": (value, "mean")} | ({"converged": ("converged", "all")} if "converged" in table else {})
    rows = table.groupby(keys, as_index=False, sort=False).agg(**plan)
    fixed = {"measure": measure, "unit": unit, "flatness": flatness, "rescaling": rescaling}
    return pd.DataFrame({"loss": "", "converged": True} | rows.to_dict("series") | fixed)


def _hessian(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    return _curvature(table[table["rank"] == 1], "top eigenvalue", "eigenvalue")


def _trace(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    return _curvature(table, "trace", "trace")


def _curvature(table: pd.DataFrame, measure: str, value: str) -> Iterator[pd.DataFrame]:
    """In raw coordinates and, where the table has them, in filter-normalized ones. Other operators are passed over."""
    coordinates = table["coordinates"] if "coordinates" in table else pd.Series("raw", index=table.index)
    for operator, name in _OPERATORS.items():
        chosen = table["operator"] == operator
        raw, normalized = (table[chosen & (coordinates == system)] for system in ("raw", "filter"))
        yield _rows(raw, f"{measure}, {name}", value, "loss/weight²", flatness=True, rescaling=CHANGES)
        if len(normalized):
            title = f"{measure}, {name}, filter-normalized"
            yield _rows(normalized, title, value, "loss", flatness=True, rescaling=INVARIANT)


def _surface(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Mean rise above the centre within half a unit of it, on lines and on planes; invariant by the normalization.

    A surface that doesn't reach that far, or lacks its centre, has no such number.
    """
    for kind, shape in (("line", "random lines"), ("plane", "random planes")):
        chosen = table[table["kind"] == kind]
        keys = [*IDENTITY, "loss", "draw"]
        reach = chosen.groupby(keys)["alpha"].transform("max")
        chosen = chosen[reach >= 0.5]
        centre = chosen[(chosen["alpha"] == 0) & (chosen["beta"] == 0)].set_index(keys)["value"]
        near = chosen[np.hypot(chosen["alpha"], chosen["beta"]) <= 0.5].set_index(keys)
        near = near[near.index.isin(centre.index)]
        rise = (near["value"] - centre).rename("rise").groupby(keys, sort=False).mean().reset_index()
        yield _rows(rise, f"mean rise within 0.5 on {shape}", "rise", "loss", flatness=True, rescaling=INVARIANT)


def _sharpness(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    names = {"average": "average rise", "worst": "worst rise", "adaptive_worst": "adaptive worst rise"}
    for (measure, radius, rescaling), chosen in table.groupby(["measure", "radius", "rescaling"], sort=False):
        yield _rows(
            chosen, f"{names[str(measure)]} at radius {radius:g}", "value", "loss",
            flatness=True, rescaling=str(rescaling),
        )  # fmt: skip


def _timesteps(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    at_trained = table[table["timesteps"] == table["trained_timesteps"]]
    train, test = (at_trained[at_trained["split"] == split] for split in ("train", "test"))
    yield _rows(test, "test accuracy", "accuracy_cumulative", "1")
    yield _rows(train, "train accuracy", "accuracy_cumulative", "1")
    for loss in ("sdt", "tet"):
        gap = _gap(at_trained, f"loss_{loss}").assign(loss=loss)
        yield _rows(train.assign(loss=loss), "train loss", f"loss_{loss}", "loss")
        yield _rows(test.assign(loss=loss), "test loss", f"loss_{loss}", "loss")
        yield _rows(gap, "generalization gap in loss (test - train)", "gap", "loss")
    accuracy = _gap(at_trained, "accuracy_cumulative")
    accuracy["gap"] *= -1
    yield _rows(accuracy, "generalization gap in accuracy (train - test)", "gap", "1")
    on_test = table[table["split"] == "test"]
    yield _rows(on_test[on_test["timesteps"] == 1], "test accuracy at T = 1", "accuracy_cumulative", "1")


def _gap(table: pd.DataFrame, column: str) -> pd.DataFrame:
    wide = table.pivot_table(index=IDENTITY, columns="split", values=column)
    return (wide["test"] - wide["train"]).rename("gap").reset_index()


def _momentum(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    whole = table[table["timestep"] == 0]
    yield _rows(whole, "gradient norm", "gradient_norm", "loss/weight", rescaling=CHANGES)
    yield _rows(whole, "coherence of gradients", "coherence", "1", rescaling=CHANGES)


def _descent(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Realised over predicted decrease along the gradient, at the relative step closest to 1 %."""
    chosen = table[table["direction"] == "gradient"]
    distance = np.log10(chosen["relative_step"] / 0.01).abs()
    nearest = distance.groupby([chosen[name] for name in (*IDENTITY, "loss")]).transform("min")
    yield _rows(chosen[distance == nearest], "descent ratio at relative step 0.01", "ratio", "1", rescaling=CHANGES)


def _energy(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    total = table[table["layer"] == "total"]
    yield _rows(total[total["timesteps"] == total["trained_timesteps"]], "energy", "joules", "J/image")


_EXTRACT: dict[str, Callable[[pd.DataFrame], Iterator[pd.DataFrame]]] = {
    "timesteps": _timesteps,
    "hessian": _hessian,
    "trace": _trace,
    "surface": _surface,
    "sharpness": _sharpness,
    "momentum": _momentum,
    "descent": _descent,
    "energy": _energy,
}
