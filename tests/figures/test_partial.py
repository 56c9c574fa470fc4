"""Tables in part: without a column, without rows, of one network, with nothing measured; what there is gets drawn.

Of every table of :mod:`tables.schema`, through both commands. What can't be drawn is said, on a line each or on the
page, and nothing ends in a traceback.
"""

import html
import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from figures import paper, report
from figures.page import plates
from figures.pictures import catalogue
from tables import reading as tables
from tables.schema import SCHEMA
from tests.figure_tables import complete, write

pytestmark = pytest.mark.filterwarnings("error")
PLACES = {
    "seed",
    "epoch",
    "rank",
    "probe",
    "draw",
    "timestep",
    "other",
    "timesteps",
    "trained_timesteps",
    "images",
    "n",
}
PLACES |= {"batches", "draws", "step", "alpha", "beta", "t", "strength", "radius", "relative_radius", "relative_step"}
DRAWN = {name for picture in catalogue.PICTURES for name in (picture.table, *picture.beside)}
INFINITE = ("momentum", "energy", "hessian", "stability", "surface")  # one of a kind


@pytest.fixture(scope="module")
def frames():
    return complete(seeds=2)


NO_NEWS = {"scalability-ways"}  # of what was not asked for: silent where there are no such rows


def readable(name, frame):
    """Ways in which a table is there in part, and can be read."""
    for column in frame.columns.difference(SCHEMA[name].needed):
        same = frame[frame["directions"] == "random"] if (name, column) == ("surface", "directions") else frame
        yield f"no column {column}", same.drop(columns=column)
    values = [one for one in SCHEMA[name].of("number") if one in frame and one not in PLACES]
    if values:
        yield "nothing measured", frame.assign(**dict.fromkeys(values, np.nan))
        if name in INFINITE:
            yield "all infinite", frame.assign(**dict.fromkeys(values, np.inf))
    if "checkpoint" in frame:
        yield "one network", frame[frame["checkpoint"] == frame["checkpoint"].iloc[0]]


def parts(text, pictures):
    """Of each picture whether the page has it, with a reading or why there is none, and not why it hasn't."""
    for picture in pictures:
        article = re.search(f'<article id="figure-{picture.name}">(.*?)</article>', text, re.S)
        assert not article or 'class="reading"' in article[1] or "No reading: " in article[1]
        yield bool(article) != (f"<li>{html.escape(picture.heading)}: " in text)


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_what_there_is_of_a_table_is_drawn_and_what_there_is_not_is_said(name, frames, tmp_path, capsys, monkeypatch):
    pictures = tuple(one for one in catalogue.PICTURES if name in (one.table, *one.beside))
    monkeypatch.setattr(catalogue, "PICTURES", pictures)
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)
    monkeypatch.setattr(
        plates, "_drawn", lambda *_: ("data:,", "One panel.", "A caption.", 7.0)
    )  # what paper has just drawn
    monkeypatch.setattr("figures.page.turning.surfaces", lambda *_: ({}, ""))
    monkeypatch.setattr("figures.page.sections.beside", lambda _: "")  # slow, and tested so in test_readings
    needed = {one for picture in pictures for one in (picture.table, *picture.beside)} | {"compare"}
    write(tmp_path, {one: frames[one] for one in needed})
    for way, part in readable(name, frames[name]):
        write(tmp_path, {name: part})
        status = paper.main([str(tmp_path)])
        out, err = capsys.readouterr()
        made = {line.rsplit("/", 1)[1].split(".")[0] for line in out.splitlines()}
        said = [line.split(": ")[1] for line in err.splitlines()]
        assert status == (not made), way
        told = made | set(said[: len(said) - status])
        assert {one.name for one in pictures} - told <= NO_NEWS, way
        assert told <= {one.name for one in pictures}, way
        assert report.main([str(tmp_path)]) == 0, way
        assert capsys.readouterr().err == "", way
        assert all(parts((tmp_path / "report.html").read_text(encoding="utf-8"), pictures)), way


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_a_table_without_a_column_it_must_have_or_rows_is_one_line(name, frames, tmp_path, capsys, monkeypatch):
    write(tmp_path, {one: frames[one] for one in {name, "energy", "compare"}})
    monkeypatch.setattr(
        catalogue, "PICTURES", tuple(one for one in catalogue.PICTURES if one.table in (name, "energy"))
    )
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)
    monkeypatch.setattr(plates, "_drawn", lambda *_: ("data:,", "One panel.", "A caption.", 7.0))
    for column in SCHEMA[name].needed:
        write(tmp_path, {name: frames[name].drop(columns=column)})
        with pytest.raises(tables.TableError, match=rf"{name}\.csv: lacks the column {column}; has [^\n]*$"):
            tables.read(tmp_path, name)
    write(tmp_path, {name: frames[name].head(0)})
    again = f"make it again with python -m analysis.{SCHEMA[name].command}"
    without = f"{tmp_path}/tables/{name}.csv: has a header and no rows; {again}"
    assert report.main([str(tmp_path)]) == 0
    assert capsys.readouterr().err == f"python -m figures.report: {without}\n"
    assert without in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert paper.main([str(tmp_path)]) == (name == "energy")
