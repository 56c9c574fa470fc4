"""Everything that was measured as one page: DIR/report.html, from the tables in DIR/tables and the records beside them.

    python -m figures.report runs/demo

The page holds its pictures, the surfaces to turn (plotly.js, once) and no link to load anything: it opens without a
network, and its content security policy forbids it one. Every picture of :mod:`figures.paper` that the tables allow has
a sentence that is computed (:mod:`figures.words`); the paper's own numbers stand beside ours
(:mod:`figures.page.published`). What a missing or unusable table takes away is said on the page, and what a study
couldn't measure (:mod:`tables.left_out`); a table that can't be read costs a line on stderr too. The same tables and
records give the same bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import TypeVar

import pandas as pd

from tables import left_out, rows
from tables import reading as tables
from tables.files import replacing_alone
from tables.record import Record, changed, record

from .. import command
from ..page import controls, lead, neuron, published, sections, turning
from ..page.markup import folded, prose, text, wide
from ..page.plates import Plate, plates
from ..page.summary import GAP, answers
from ..style.look import COLUMN
from ..style.methods import compared, label, looks, methods_of
from ..words.comparison import Tables
from ..words.kinds import pictured
from ..words.prose import listed
from .flags import Config

Read = TypeVar("Read")
_TEMPLATE, _METHODS = (Path(__file__).with_name(name) for name in ("page.html", "methods.html"))


def run(config: Config, say: command.Say) -> list[Path]:
    """Write the page and return its file; none where no table is usable. Raises OSError where it can't be written."""
    found, unusable = _read(config.directory, tables.read, tables.available(config.directory), say)
    if not found:
        return []
    stored = sorted(file.stem for file in tables.path(config.directory, "").parent.glob("*.csv"))
    records, without = _read(config.directory, record, stored, say)
    other = changed(config.directory, records)
    if other:
        say(sections.since(other))
    target = config.directory / "report.html"
    with compared(methods_of(found)), pictured(found):
        made, lacking = plates(found)
        missing = (*unusable, *lacking, *left_out.read(config.directory))
        content = page(config.directory, found, records, made, missing, without, other)
    with replacing_alone(target) as partial:
        partial.write_text(content, encoding="utf-8")
    return [target]


def _read(
    directory: Path, reader: Callable[[Path, str], Read], names: Sequence[str], say: command.Say
) -> tuple[dict[str, Read], list[str]]:
    """What ``reader`` makes of each name, and a line for each that it can't read; only what is garbled is said."""
    found, failed = {}, []
    for name in names:
        try:
            found[name] = reader(directory, name)
        except (OSError, tables.TableError) as error:
            failed.append(str(error))
            if not isinstance(error, FileNotFoundError):
                say(str(error))
    return found, failed


def page(
    directory: Path,
    found: Tables,
    records: Mapping[str, Record],
    made: Sequence[Plate],
    missing: Sequence[str],
    without: Sequence[str],
    other: Sequence[str],
) -> str:
    """The whole page: ``without`` are lines on records that there aren't, ``other`` tables changed since theirs."""
    places, scripts = turning.surfaces(directory, found)
    methods = {label(name): look.words for name, look in looks().items()}
    names = listed(list(methods))
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=text(f"{names or 'Networks'}: {listed([name for name, _ in _families(found)])} – snn-landscape"),
        heading=text(lead.question(list(methods))),
        trained=text(sections.counted(found)),
        colours=text(", ".join(f"{name} {words}" for name, words in methods.items())),
        lead=_titled(found, lead.first, "h2") + _gone(missing),
        networks=sections.networks(found),
        comparison=_titled(found, lambda own: sections.comparison(own) + _worded(own)),
        figures="".join(_article(one, places.get(one.name, "")) for one in made if not _about_gap(one)),
        absent=_absent(missing),
        controls=controls.passed(found) or "<p>No controls of known answer were made: python -m analysis.controls.</p>",
        generalization=_titled(found, _explained) + "".join(_article(one, "") for one in made if _about_gap(one)),
        beside=_titled(found, sections.beside),
        methods=Template(neuron.suited(_METHODS.read_text(encoding="utf-8"), found)).substitute(
            losses=published.defined(found), neuron=neuron.described(found)
        ),
        provenance=sections.provenance(records, found, without, other),
        scripts=scripts,
    )


def _families(found: Tables) -> list[tuple[str, Tables]]:
    """The tables of each network and data set, and its name; of those with several methods where there are any.

    Comparisons by a factor within several methods are apart, each with the tables that are about all.
    """
    keyed = [table for table in found.values() if {"network", "data"} <= set(table)]
    names = dict.fromkeys(
        (str(a), str(b)) for one in keyed for a, b in one[["network", "data"]].drop_duplicates().values
    )
    if not names:
        return [("networks that the tables don't name", found)]
    parts = []
    for network, data in sorted(names):
        here = {"network": network, "data": data}
        whole = _same(here, found)
        inside = dict.fromkeys(one for table in whole.values() if "within" in table for one in table["within"])
        for within in inside if len(inside) > 1 else [None]:
            own = whole if within is None else _same(here | {"within": within}, whole)
            named = rows.place(pd.DataFrame([here | {"within": within}]))
            parts.append((named, own, len(methods_of(own)) > 1))
    return [(name, own) for name, own, several in parts if several] or [(name, own) for name, own, _ in parts]


def _same(place: Mapping[str, object], found: Tables) -> Tables:
    """The tables' rows of one place; tables without any are left out."""
    part = pd.DataFrame([place])
    return {name: same for name, table in found.items() if len(same := rows.same(part, table))}


def _titled(found: Tables, inner: Callable[[Tables], str], heading: str = "h3") -> str:
    """``inner`` of each network and data set, under its name where there are several."""
    parts = _families(found)
    named = [f"<{heading}>{text(name)}</{heading}>" if len(parts) > 1 else "" for name, _ in parts]
    return "".join(name + inner(own) for name, (_, own) in zip(named, parts, strict=True))


def _worded(found: Tables) -> str:
    """The comparison in sentences, by question, folded; of one method alone the first screen tells."""
    if len(methods_of(found)) == 1:
        return ""
    told = answers(found, alone=False)
    said = [
        f"<li><strong>{text(words)}</strong> {prose(answer)}</li>" for words, answer in told.items() if words != GAP
    ]
    return folded("The same in sentences, by question", f'<ul class="summary">{"".join(said)}</ul>')


def _explained(found: Tables) -> str:
    """Whether flatness goes with the gap, as far as correlations were taken."""
    alone = len(methods_of(found)) == 1
    told = "" if alone else answers(found, alone=False).get(GAP, "")
    return f"<p>{prose(told)}</p>" if told else "<p>One method alone: nothing that flatness could explain.</p>"


def _about_gap(one: Plate) -> bool:
    return bool({"correlation", "generalization", "sign_errors"} & set(one.tables))


def _gone(missing: Sequence[str]) -> str:
    """Which subjects a study has no table of, where answers without them are read."""
    lines = [line for line in missing if line.startswith(left_out.WHOLLY)]
    return "".join(
        f"<p><strong>Not in this:</strong> {text(line)}; the reasons are under “Not here”.</p>" for line in lines
    )


def _article(one: Plate, turned: str) -> str:
    """One picture with its reading, caption, and tables."""
    said = f'<p class="reading">{prose(one.reading)}</p>' if one.reading else ""
    said += f'<p class="quiet">No reading: {text(one.unread)}.</p>' if one.unread else ""
    links = ", ".join(f'<a href="#made-{text(name)}">{text(name)}.csv</a>' for name in one.tables)
    kind = "column" if one.width <= COLUMN else "page"
    image = f'<img class="{kind}" src="{one.image}" alt="{text(one.heading)}: {text(one.shown)}">'
    return (
        f'<article id="figure-{text(one.name)}"><h3>{text(one.heading)}</h3>{said}<figure>{wide(one.heading, image)}'
        f"<figcaption>{prose(one.caption)} From {links}.</figcaption></figure>{turned}</article>"
    )


def _absent(missing: Sequence[str]) -> str:
    if not missing:
        return ""
    points = "".join(f"<li>{text(line)}</li>" for line in missing)
    return f"<h3>Not here</h3><p>What these figures need was not measured, or can't be used:</p><ul>{points}</ul>"
