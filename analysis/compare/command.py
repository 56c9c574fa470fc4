"""Methods beside one another, measure by measure: differences with intervals, effect sizes, and reasons for doubt.

    python -m analysis.compare runs                                  # the first method found is the reference
    python -m analysis.compare runs --reference sdt --by method
    python -m analysis.compare sweep --by learning_rate --reference 0.002

reads the tables in ``runs/tables`` (and in every other folder named) and writes ``compare.csv``, ``counts.csv``,
``correlation.csv`` and ``measures.csv`` beside them; columns are in docs/tables.md. Each row of compare.csv is one
method (or one value of a factor) against the reference: means, difference method minus reference with its 95 % interval
(paired by seed where seeds are shared), two-sided p, p_adjusted (Holm's, over all rows about the same question:
flatness, robustness, or anything else), effect, and reasons not to trust the row (:mod:`analysis.compare.doubts`), with
the controls of known answer that its measure fails, where table controls is there (:mod:`analysis.controls`). How
many rows name a side is no evidence by itself: counts.csv has its chance (:mod:`analysis.compare.counts`).

``--by`` a factor that the runs record (a column of table settings: learning_rate, mse_weight, train_images …) compares
networks of one method that differ in it; column within says of which method.

Nothing is computed from checkpoints, and none is opened: the same tables give the same rows, wherever checkpoints lie.
Each table is held against the digest in its record: those changed since are named on stderr and in the records of what
is written (``changed``), and the rows made of them carry that doubt. So are checkpoints that were others when one table
was measured than when another was (``contents``).
"""

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from tables import contents
from tables.interval import FEWEST
from tables.latex import written
from tables.measures import MEASURES, family
from tables.record import altered, provenance
from tables.result import Result, made_of
from tables.schema import TWIN, columns_of

from . import controls
from .confidence import depends_on_scale
from .correlation import correlations
from .difference import difference, holm
from .doubts import LETTERS, apart, doubts_about, starts_apart
from .flags import Config
from .groups import METHOD, SETTING, check_distinct, differing, groups
from .groups import reference as reference_of
from .measures import READ, measures, read_tables, there
from .outcomes import SPLITS, sampling
from .rises import against
from .shown import latex, table
from .spoken import brief
from .tally import tallies


@dataclass(frozen=True)
class Beside:
    """What is known beside the values: single images, settings, what is compared, controls, and what is amiss.

    ``changed`` are tables changed since, ``mixed`` checkpoints of several contents (:func:`tables.contents.mixed`).
    """

    outcomes: pd.DataFrame
    settings: pd.DataFrame
    by: str
    changed: frozenset[str]
    controls: pd.DataFrame
    mixed: contents.Parts

    @property
    def short(self) -> frozenset[str]:
        """Checkpoints that ended above the training loss asked for."""
        if "until_loss_reached" not in self.settings:
            return frozenset()
        return frozenset(self.settings.loc[self.settings["until_loss_reached"].eq(False), "checkpoint"])

    @property
    def drawn(self) -> Mapping[Any, float]:
        """The seed that each checkpoint's images were drawn by, or put into order, where settings say."""
        if "split_seed" not in self.settings:
            return {}
        told = self.settings.drop_duplicates("checkpoint").set_index("checkpoint")["split_seed"]
        return dict(pd.to_numeric(told, errors="coerce"))


def run(config: Config) -> Result:
    """The tables compare, counts, correlation and measures.

    Raises FileNotFoundError for a folder without tables, ValueError where there is nothing to compare.
    """
    if not config.folders:
        raise ValueError("no folder given: name one that holds tables, as the analyses' --out writes them")
    started = time.perf_counter()
    read = [read_tables(folder) for folder in config.folders]
    values = pd.concat([measures(tables) for tables in read], ignore_index=True)
    passed = controls.read(config.controls, config.folders)
    wanted = (*READ, *(["controls"] if config.controls is None else []))
    changed = {folder: [name for name in altered(folder) if name in wanted] for folder in config.folders}
    altogether = frozenset(name for names in changed.values() for name in names)
    mixed = contents.mixed(contents.records(config.folders, READ))
    known = Beside(_all(read, "outcomes"), _all(read, "settings"), config.by, altogether, passed, mixed)
    values["group"] = groups(values, known.settings, config.by)
    reference = reference_of(values, config.reference, config.by)
    check_distinct(values, config.by)
    kinds = ("compare", "counts", "correlation", "rise_curves", "crossovers")
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in kinds}
    rise = _all(read, "rise")
    setting = SETTING if config.by == METHOD else [*SETTING, METHOD]
    for key, group in values[values["group"] != ""].groupby(setting, sort=False):
        place = {"within": ""} | dict(zip([*SETTING, "within"], key, strict=False))
        twins = values[(values["network"] == f"{place['network']}{TWIN}") & (values["data"] == place["data"])]
        radii = against(rise, group, reference)
        here = pd.concat(radii.here) if radii.here else pd.DataFrame()
        found = _comparisons(group, twins, reference, known, here)
        rows["compare"] += [place | row for row in found]
        rows["counts"] += [place | row for row in (tallies(group, found, reference) if found else ())]
        for name, parts in (("rise_curves", radii.curves), ("crossovers", radii.crossovers)):
            rows[name] += [
                place | {"trust": LETTERS["t"] if "rise" in altogether else ""} | {str(k): v for k, v in row.items()}
                for part in parts
                for row in part.to_dict("records")
            ]
        rows["correlation"] += [
            place | row for row in correlations(group, resamples=config.resamples, seed=config.seed)
        ]
    tables = {name: pd.DataFrame(found, columns=columns_of(name)) for name, found in rows.items() if found}
    if "compare" not in tables:
        inside = "" if config.by == METHOD else f", within one method (no method's runs differ in {config.by})"
        raise ValueError(
            f"no measure is there for {reference} and for another one on the same network, data and T{inside}"
        )
    asked = asdict(config)
    tables |= {"measures": values[columns_of("measures")]}
    record = provenance(asked, {}, time.perf_counter() - started)
    files = [f"{folder}: {name}.csv" for folder, names in changed.items() for name in names]
    amiss = {"changed": files, "contents": contents.said(mixed)}
    return Result(tables, record | {name: one for name, one in amiss.items() if one})


def _all(read: Sequence[Mapping[str, pd.DataFrame]], name: str) -> pd.DataFrame:
    """A table of all folders, or one without rows."""
    found = [tables[name] for tables in read if name in tables]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame({"checkpoint": []})


def _comparisons(
    values: pd.DataFrame, twins: pd.DataFrame, reference: str, known: Beside, curves: pd.DataFrame
) -> list[dict[str, Any]]:
    """A row for every group but the reference, measure and loss."""
    twin = twins.groupby(["measure", "loss"])["value"].mean()
    parts, rows = [], []
    others = [name for name in dict.fromkeys(values["group"]) if name != reference]
    starts = {name: starts_apart(values, reference, name) for name in others}
    more = {name: bool(differing(_of(values, reference, name), known.settings, known.by)) for name in others}
    for (measure, loss, unit), every in values.groupby(["measure", "loss", "unit"], sort=False):
        sides = {name: side.set_index("seed").sort_index() for name, side in every.groupby("group")}
        for name in [name for name in others if {name, reference} <= set(sides)]:
            group = _of(every, reference, name)
            first = group.iloc[0]
            head = {"measure": measure, "title": first["title"], "loss": loss, "side": first["side"], "unit": unit}
            head |= {"images": ", or ".join(group["images"].unique()), "reference": reference, "method": name}
            head |= {"twin_mean": twin.get((measure, loss), np.nan), "better": first["better"]}
            one, other = sides[reference], sides[name]
            networks = one["checkpoint"], other["checkpoint"]
            images = sampling(known.outcomes, str(measure), str(loss), *networks, known.drawn)
            rows.append(head | difference(one["value"], other["value"], images))
            parts.append(group)
    _adjust(rows)
    for row, group in zip(rows, parts, strict=True):
        row |= _sides(row)
        local = bool((group["rescaling"] != "").any())  # a property of the minimum, not of the predictions
        beside = [one for one in rows if one["method"] == row["method"]]
        sources = _sources(row, known, local=local, scaled=not curves.empty)
        doubts = doubts_about(
            group, row, far=apart(beside, row["loss"]) if local else "", short=known.short,
            start=starts[row["method"]].get(" train" in row["measure"], False),
            scale=depends_on_scale(row, curves), more=more[row["method"]],
            changed=bool(sources & known.changed), mixed=contents.joined(known.mixed, group["checkpoint"], sources),
        )  # fmt: skip
        row["trust"] = "; ".join([*doubts, *controls.failed(known.controls, row["measure"], group.iloc[0].to_dict())])
    return rows


def _sources(row: Mapping[str, Any], known: Beside, *, local: bool, scaled: bool) -> set[str]:
    """Names of the tables that a row and its doubts are made of."""
    found = {MEASURES[family(row["measure"])].table}
    found |= {"timesteps"} if local else set()  # training accuracies and losses
    found |= {"rise"} if scaled and row["side"] == "flatness" else set()
    found |= {"outcomes"} if row["measure"] in SPLITS else set()
    asked = "until_loss_reached" in known.settings and known.settings["until_loss_reached"].notna().any()
    return found | ({"settings"} if asked or known.by != METHOD else set())


def _of(values: pd.DataFrame, *names: str) -> pd.DataFrame:
    return values[values["group"].isin(names)]


def _adjust(rows: list[dict[str, Any]]) -> None:
    """Give every row its adjusted p, among those about the same question."""
    table = pd.DataFrame({name: [row[name] for row in rows] for name in ("side", "p")})
    question = table["side"].where(table["side"].isin(["flatness", "robustness"]), "")
    for row, p in zip(rows, table.groupby(question)["p"].transform(lambda p: holm(p.to_numpy(float))), strict=True):
        row["p_adjusted"] = p


def _sides(row: dict[str, Any]) -> dict[str, str]:
    """Which one is flatter, or more robust, where the interval of enough seeds says that one is."""
    sure = row["n"] >= FEWEST and (row["low"] > 0 or row["high"] < 0)
    less, more = (row["method"], row["reference"])[:: 1 if row["difference"] < 0 else -1]
    named = {"lower": less, "higher": more}.get(row["better"], "") if sure else ""
    return {
        "flatter": named if row["side"] == "flatness" else "",
        "more_robust": named if row["side"] == "robustness" else "",
    }


def show(config: Config) -> None:
    """Compare, write the tables, and print the answer and what speaks first, or every row."""
    result = run(config)
    with written(config.latex, lambda: latex(result.to_frame())):
        made_of(config.folders, result, "compare", config.out)
    if config.all_rows:
        print(table(result.to_frame(), result.tables))
    else:
        folders = " ".join(shlex.quote(str(folder)) for folder in config.folders)
        settings = _all([there(folder, ["settings"]) for folder in config.folders], "settings")
        print(f"{brief(result.tables | {'settings': settings})}\nall rows: python -m analysis.compare {folders} --all")
