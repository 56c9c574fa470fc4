"""One number per checkpoint from every table: what a comparison compares.

A measure of *flatness* is smaller at a flatter minimum. Whether it would change if the weights before a BatchNorm were
rescaled, which leaves the network's function alone, is its ``rescaling``: two minima that differ in it may differ in
nothing but the scale of their weights (Dinh, Pascanu, Bengio, Bengio 2017).

A measure of *robustness* is the mean of a curve against the strength of a disturbance:
:mod:`analysis.compare.survival`.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from tables.comparable import IDENTITY, LAYOUTS, read

from .survival import survival

INVARIANT, CHANGES = "invariant", "changes"
_SHARPNESS = {
    "average": ("average rise", "loss", True),
    "average_magnitude": ("average rise under magnitude-aware noise", "loss", True),
    "average_absolute": ("average rise under absolute noise", "loss", True),
    "worst": ("worst rise", "loss", True),
    "sam": ("worst rise in one step", "loss", True),
    "adaptive_worst": ("adaptive worst rise", "loss", True),
    "adaptive_sam": ("adaptive worst rise in one step", "loss", True),
    "m_sharpness": ("m-sharpness", "loss", True),
    "pac_bayes_sigma": ("PAC-Bayes 1/σ²", "1/weight²", True),
    "pac_bayes_sigma_magnitude": ("PAC-Bayes 1/σ², magnitude-aware", "1", True),
    "pac_bayes_orig": ("PAC-Bayes bound from 0", "1", False),
    "pac_bayes_init": ("PAC-Bayes bound from the start", "1", False),
    "relative_flatness": ("relative flatness", "loss", True),
    "fisher_rao": ("Fisher-Rao", "loss", True),
    "fisher_rao_empirical": ("Fisher-Rao, empirical", "loss²", False),
}
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
    unit, value, flatness (bool), complexity (bool: a norm or a bound, which is set against the gap like flatness),
    rescaling ("invariant", "changes", or empty), converged (bool), robust (which values are the more robust ones:
    "higher", "lower", or empty), images (how many, where told), timesteps (the T trained with, where told).
    """
    found = [frame for name, function in _EXTRACT.items() if name in tables for frame in function(tables[name])]
    return pd.concat(found, ignore_index=True).pipe(_with_timesteps, tables)


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


def _rows(
    table: pd.DataFrame,
    measure: str,
    value: str,
    unit: str,
    *,
    flatness: bool = False,
    complexity: bool = False,
    rescaling: str = "",
    robust: str = "",
) -> pd.DataFrame:
    """Rows of one measure: the mean of column ``value`` per checkpoint and landscape loss."""
    keys = [*IDENTITY, *(["loss"] if "loss" in table else [])]
    plan = {"value": (value, "mean")} | ({"converged": ("converged", "all")} if "converged" in table else {})
    plan |= {"images": ("images", "first")} if "images" in table else {}
    rows = table.groupby(keys, as_index=False, sort=False).agg(**plan)
    fixed = {"measure": measure, "unit": unit, "flatness": flatness, "complexity": complexity}
    fixed |= {"rescaling": rescaling, "robust": robust}
    found = pd.DataFrame({"loss": "", "converged": True, "images": ""} | rows.to_dict("series") | fixed)
    return found.astype({"images": str})


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
    """Mean rise above the centre within half a unit of it, on random lines and planes; invariant by the normalization.

    Of training images, where there are surfaces of others too. A surface that doesn't reach that far, or lacks its
    centre, has no such number.
    """
    if "directions" in table:
        table = table[table["directions"] == "random"]
    if "split" in table and table["split"].nunique() > 1:
        table = table[table["split"] == "train"]
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


def _shapes(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """What random lines and planes of training images look like, as means over draws.

    Radii as 1/r, smaller at a flatter minimum, where every surface reached the level: else the mean means nothing.
    """
    table = table[table["directions"] == "random"]
    table = table[table["split"] == "train"] if table["split"].nunique() > 1 else table
    for kind, chosen in table.groupby("kind", sort=False):
        for radius, title in (("doubling_radius", "of doubled loss"), ("half_width", "at a rise of {rise:g}")):
            if chosen.get(radius.replace("_radius", "") + "_reached", pd.Series(True)).all():
                name = f"1/radius {title.format(rise=chosen['rise'].iloc[0])} on random {kind}s"
                inverse = chosen.assign(inverse=1 / chosen[radius]).dropna(subset="inverse")
                yield _rows(inverse, name, "inverse", "1", flatness=True, rescaling=INVARIANT)
        yield _rows(chosen, f"roughness of random {kind}s", "roughness", "loss", rescaling=INVARIANT)
        yield _rows(chosen, f"persistence on random {kind}s", "persistence", "loss", rescaling=INVARIANT)


def _sharpness(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """σ as 1/σ², which is smaller at a flatter minimum. Bounds and slopes of the loss are no measures of flatness."""
    noise = table["measure"].str.startswith("pac_bayes_sigma")
    table = table.assign(value=table["value"].where(~noise, table["value"] ** -2.0))
    if "setting" not in table:
        table["setting"] = ""
    keys = ["measure", "setting", "radius", "rescaling"]
    for (measure, setting, radius, rescaling), chosen in table.groupby(keys, sort=False, dropna=False):
        name, unit, flatness = _SHARPNESS[str(measure)]
        title = f"{name}, {setting}" if setting else name
        if chosen["radius"].notna().all():
            title += f" at radius {radius:g}"
        yield _rows(chosen, title, "value", unit, flatness=flatness, complexity=not flatness, rescaling=str(rescaling))


def _norms(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for (norm, rescaling), chosen in table.groupby(["norm", "rescaling"], sort=False):
        unit = "1" if norm in ("filter_turn", "fro_over_spec") else "weight²"
        yield _rows(chosen, f"norm {norm}", "value", unit, complexity=True, rescaling=str(rescaling))


def _timesteps(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Of the network as it was trained, on the frames it was trained with."""
    for column, other in (("statistics", "recalibrated"), ("frames", "recut")):
        table = table[table[column] != other] if column in table else table
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
    """Test minus train, of checkpoints measured on both, and of how many images each."""
    wide = table.pivot_table(index=IDENTITY, columns="split", values=column)
    wide = wide.reindex(columns=["train", "test"]).dropna()
    gap = (wide["test"] - wide["train"]).rename("gap").reset_index()
    if "images" in table:
        counts = table.drop_duplicates([*IDENTITY, "split"]).pivot(index=IDENTITY, columns="split", values="images")
        counts = counts.reindex(columns=["train", "test"])
        said = counts["train"].astype(str) + " train, " + counts["test"].astype(str) + " test"
        gap["images"] = said.reindex(pd.MultiIndex.from_frame(gap[IDENTITY])).to_numpy()
    return gap


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


def _robustness(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for rows, measure, value, robust in survival(table):
        unit = "loss" if value == "rise" else "1"
        yield _rows(rows, measure, value, unit, rescaling=INVARIANT, robust=robust)


_EXTRACT: dict[str, Callable[[pd.DataFrame], Iterator[pd.DataFrame]]] = {
    "timesteps": _timesteps,
    "hessian": _hessian,
    "trace": _trace,
    "surface": _surface,
    "shapes": _shapes,
    "sharpness": _sharpness,
    "norms": _norms,
    "robustness": _robustness,
    "momentum": _momentum,
    "descent": _descent,
    "energy": _energy,
}
