"""The tables of the report: networks and seeds, the comparison, the paper's numbers beside ours, and provenance."""

import json
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from tables import contents
from tables.record import Record

from ..style.methods import label, looks, loss_label, methods_of
from ..words.comparison import Tables
from ..words.gaps import of_row
from ..words.prose import listed, number
from . import ending, published
from .finding import finding, interval
from .markup import folded, lines, prose, table, text
from .rows import spoken

_PLACES = 4  # from which on they are counted
_MOST = 8  # numbers of the paper in one cell
_IDENTITY = ["network", "data", "method", "training", "seed"]


def networks(tables: Tables) -> str:
    """Which networks were trained on what, with which seeds and for how long, and where they ended, as far as known."""
    found = [one[_IDENTITY] for one in tables.values() if set(_IDENTITY) <= set(one)]
    if not found:
        return "<p>No table says which networks were measured.</p>"
    identity = pd.concat(found).drop_duplicates()
    loss = ending.loss_of(tables)
    header = ["network", "data", "trained with", "seeds", "T", "epochs"]
    header += [f"last training loss ({loss_label(loss)})" if loss else "last training loss", "test accuracy"]
    rows = []
    for network, data in sorted(set(zip(identity["network"], identity["data"], strict=True))):
        here = identity[(identity["network"] == network) & (identity["data"] == data)]
        for method in looks(here["method"]):
            part = here[here["method"] == method]
            seeds = ", ".join(f"{seed:.0f}" for seed in sorted(part["seed"].unique()))
            own = {name: _of(one, str(network), str(data), method) for name, one in tables.items()}
            cells = (network, data, _trained(method, part), f"{seeds} (n = {part['seed'].nunique()})")
            rows.append([text(cell) for cell in (*cells, *ending.of(own, loss))])
    said = [place for place in range(len(header)) if any(row[place] != ending.UNSAID for row in rows)]
    rows = [[row[place] for place in said] for row in rows]
    return table("What was trained, and where it ended", [header[i] for i in said], rows) + _conditional(tables)


def counted(tables: Tables) -> str:
    """How many networks of what, in a line."""
    found = [one[[*_IDENTITY, "checkpoint"]] for one in tables.values() if {*_IDENTITY, "checkpoint"} <= set(one)]
    if not found:
        return ""
    identity = pd.concat(found).drop_duplicates()
    count, seeds = identity["checkpoint"].nunique(), identity["seed"].nunique()
    places = [f"{a} on {b}" for a, b in sorted(set(zip(identity["network"], identity["data"], strict=True)))]
    what = listed(places) if len(places) < _PLACES else f"{len(places)} networks and data sets"
    return f"{count} network{'s' * (count != 1)}, {what}; {seeds} seed{'s' * (seeds != 1)} a method."


def _conditional(tables: Tables) -> str:
    """What intervals over seeds are conditional on: one set of training images, or none; "" where no table says."""
    settings = tables.get("settings", pd.DataFrame())
    if "vary_data" not in settings or settings["vary_data"].isna().all():
        return ""
    varied = settings["vary_data"].eq(True).all()
    said = (
        "Training examples were drawn with the seed: intervals over seeds are over training sets too."
        if varied
        else "All seeds share their training examples: intervals over seeds are about that one training set."
    )
    return f"<p>{said}</p>"


def _trained(method: str, rows: pd.DataFrame) -> str:
    """A method's label, its name where that was cut, and the loss where it is called otherwise."""
    name = label(method) if label(method).casefold() == method.casefold() else f"{label(method)} ({method})"
    minimized = [str(one) for one in rows["training"].unique() if str(one) != method]
    return f"{name}, {' and '.join(map(loss_label, minimized))}" if minimized else name


def _of(frame: pd.DataFrame, network: str, data: str, method: str) -> pd.DataFrame:
    for column, value in (("network", network), ("data", data), ("method", method)):
        frame = frame[frame[column] == value] if column in frame else frame
    return frame


def comparison(tables: Tables) -> str:
    """The rows that speak first; folded, every row by what it is about, with its doubts, for each method."""
    if "compare" not in tables and len(methods_of(tables)) == 1:
        return "<p>One method alone: there is nothing to compare.</p>"
    if "compare" not in tables:
        return "<p>No usable table compare: python -m analysis.compare DIR makes one.</p>"
    frame = tables["compare"]
    pairs = list(dict.fromkeys(zip(frame["reference"], frame["method"], strict=True)))
    said = [spoken(frame)]
    for reference, method in pairs:
        own = frame[(frame["reference"] == reference) & (frame["method"] == method)]
        said.append(_about(own, f"{label(method)} against {label(reference)}. " if len(pairs) > 1 else ""))
    return "".join(said)


def _about(frame: pd.DataFrame, named: str) -> str:
    """All rows of one pair, folded, by what they are about."""
    flat, robust = frame["side"] == "flatness", frame["side"] == "robustness"
    columns = _columns(frame)
    shown = {"Flatness (less is flatter)": flat, "Robustness": robust, "Everything else": ~(flat | robust)}
    said = []
    for name, which in shown.items():
        rows = [[prose(str(cell(row))) for cell in columns.values()] for _, row in frame[which].iterrows()]
        if rows:
            made = table(f"{named}{name}, means over seeds", list(columns), rows, "comparison")
            said.append(folded(f"{named}{name}: {len(rows)} row{'s' * (len(rows) > 1)}", made))
    return "".join(said)


def _columns(frame: pd.DataFrame) -> dict[str, Callable[[pd.Series], object]]:
    """What the comparison of one pair shows, and how; some only where the table has something to show."""
    reference, method = (label(str(frame[name].iloc[0])) for name in ("reference", "method"))
    columns: dict[str, Callable[[pd.Series], object]] = {
        "measure": lambda row: row["title"] + (f", {loss_label(row['loss'])}" if row["loss"] else ""),
        "T": lambda row: row["timesteps"],
        "unit": lambda row: row["unit"],
        reference: lambda row: number(row["reference_mean"], 4),
        method: lambda row: number(row["method_mean"], 4),
        "no spikes": lambda row: number(float(row["twin_mean"]), 4),
        f"{method} − {reference}": lambda row: number(row["difference"]),
        "95 % interval": interval,
        "adjusted p": lambda row: number(float(row["p_adjusted"]), 2),
        "n": lambda row: f"{row['n']:.0f}",
        "finding": finding,
        "doubts (trust)": lambda row: "; ".join(of_row(row).doubts) or "none found",
    }
    shown = {
        "T": "timesteps" in frame and frame["timesteps"].nunique() > 1,
        "no spikes": "twin_mean" in frame and frame["twin_mean"].notna().any(),
        "adjusted p": "p_adjusted" in frame,
    }
    return {name: cell for name, cell in columns.items() if shown.get(name, True)}


def beside(tables: Tables) -> str:
    """The paper's tables and figures beside ours, where networks were trained with one of its methods."""
    if not published.concerns(tables, "method"):
        return "<p>No network here was trained with a method that is called as one of the paper's.</p>"
    found = published.beside(tables)
    header = ["in the paper", "question", "theirs", "ours (95 % interval)", "ours − theirs", "what differs"]
    rows = [
        [text(one.source), f'{text(one.question)}<span class="line quiet">{prose(one.setting)}</span>',
         text(f"{len(one.paper)} numbers") if len(one.paper) > _MOST else lines(one.paper, "line whole"),
         lines(one.ours) or "nothing comparable", lines(one.difference, "line whole") or "–",
         prose(one.why) + (folded("theirs", lines(one.paper)) if len(one.paper) > _MOST else "")]
        for one in found
    ]  # fmt: skip
    if not any(one.difference for one in found):  # nothing is compared like with like
        header, rows = _without(header, rows, 4)
    made = table("The paper's numbers beside ours", header, rows, "beside")
    return folded(f"{len(rows)} tables and figures of the paper, beside ours", made)


def _without(header: list[str], rows: list[list[str]], place: int) -> tuple[list[str], list[list[str]]]:
    """A table without one of its columns."""
    header, *rows = [[*one[:place], *one[place + 1 :]] for one in (header, *rows)]
    return header, rows


def provenance(records: Mapping[str, Record], tables: Tables, without: Sequence[str], changed: Sequence[str]) -> str:
    """What every table was made of and with, and which were ``changed`` since, or are of other contents."""
    warned = "".join(f"<p><strong>{text(line)}</strong></p>" for line in amiss(records, changed))
    made = "<p>No table has a record beside it.</p>" if not records else _made(records, tables) + _checkpoints(records)
    return warned + made + "".join(f"<p>{text(line)}</p>" for line in without)


def amiss(records: Mapping[str, Record], changed: Sequence[str]) -> list[str]:
    """What is to be said of tables ``changed`` since they were written, and of those of several contents."""
    mixed = contents.said(contents.mixed(records.items()))
    return [line for line in (since(changed) if changed else "", mixed) if line]


def since(changed: Sequence[str]) -> str:
    """What is to be said of tables that were changed since they were written."""
    what = f"{listed([f'{name}.csv' for name in changed])} {'was' if len(changed) == 1 else 'were'} changed"
    return f"{what} since the record beside {'it' if len(changed) == 1 else 'them'} was written."


def _made(records: Mapping[str, Record], tables: Tables) -> str:
    kinds = {name: _with(one) for name, one in records.items()}
    several = len(set(kinds.values())) > 1
    rows = []
    for name, one in records.items():
        frame = tables.get(name, pd.DataFrame())
        seeds = sorted(frame["seed"].unique()) if "seed" in frame else []
        settings = ", ".join(f"{key} {json.dumps(value, ensure_ascii=False)}" for key, value in one.settings.items())
        count, networks = len(frame) or "not read", ", ".join(f"{seed:.0f}" for seed in seeds) or "–"
        cells = (count, networks, len(one.checkpoints), number(one.seconds, 4), *((kinds[name],) * several))
        place = f'<span id="made-{text(name)}">{text(name)}.csv</span>'
        rows.append([place, *map(text, cells), folded("settings", text(settings))])
    header = ["table", "rows", "seeds of networks", "checkpoints", "seconds"]
    header += [*(["made with"] * several), "settings"]
    said = "" if several else f"<p>All tables were made with {text(next(iter(kinds.values())))}.</p>"
    return said + table("How each table was made", header, rows)


def _with(one: Record) -> str:
    versions = ", ".join(f"{package} {version}" for package, version in one.versions.items())
    return f"{versions}; {one.machine}"


def _checkpoints(records: Mapping[str, Record]) -> str:
    rows = []
    for checkpoint, found in contents.contents(records.items()).items():
        for digest, names in found.items():
            which = "all that name it" if len(found) == 1 else f"{listed(names)}: another content than in other tables"
            rows.append([text(checkpoint), f"<code>{text(digest)}</code>", text(which)])
    return table("Checkpoints", ["checkpoint", "sha256", "in tables"], rows) if rows else ""
