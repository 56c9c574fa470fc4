"""The first screen and the rows that speak first: from the tables, of one method, two or eight."""

import re

import pytest

from figures.page import lead, rows
from figures.style.methods import compared
from tables.answer import answer, parts
from tests.figure_tables import complete, made_up

EIGHT = tuple(f"method {i}" for i in range(8))


def plain(html: str) -> str:
    return re.sub(r"<[^>]+>", " ", html).replace("\u00a0", " ").replace("&#x27;", "'")


@pytest.mark.parametrize("methods", [("sdt", "tet"), EIGHT])
def test_three_answers_and_one_picture(methods):
    frames = made_up(seeds=3, methods=methods)
    with compared(methods):
        html = lead.first(frames)
    assert html.count("<dt>") == html.count("<dd>") == 3
    assert html.count("<img") == 1
    assert "Upright lines: where the mean changes sign" in plain(html)
    ((_, own),) = parts(frames)
    said = answer(own, lambda name: {"sdt": "SDT", "tet": "TET"}.get(name, name))
    for _, told in said.lines:
        assert told in plain(html)


def test_of_one_method_its_own_answers_and_no_picture_of_differences():
    frames = complete(seeds=3, methods=("sdt",))
    with compared(("sdt",)):
        html = lead.first(frames)
    assert "not answered" not in plain(html).lower()
    assert "Where did training end?" in html
    assert "<img" not in html


def test_no_crossover_is_marked_where_none_is_certain():
    frames = made_up(seeds=3)
    frames["crossovers"] = frames["crossovers"].assign(certain=False)
    with compared(("sdt", "tet")):
        assert "Upright lines" not in lead.first(frames)
        del frames["crossovers"], frames["rise_curves"]
        assert "<img" not in lead.first(frames)


def test_what_is_asked_names_few_methods_and_counts_many():
    assert lead.question(["A", "B"]) == "A or B: which minimum is flatter, and which generalizes better?"
    assert lead.question(list("ABCDEFGH")).startswith("8 ways of training:")
    assert lead.question(["A"]).startswith("Trained with A: where training ended")


def test_the_rows_that_speak_first_have_a_column_for_each_method():
    frames = made_up(seeds=3, methods=EIGHT)
    with compared(EIGHT):
        html = rows.spoken(frames["compare"])
    head = re.findall(r'<th scope="col">(.*?)</th>', html)
    assert head[3:] == [f"{name} − method 0" for name in EIGHT[1:]]
    found = frames["compare"].query("measure == 'test_accuracy'").iloc[0]
    line = next(one for one in html.split("<tr>") if "test accuracy" in one)
    assert f"{found['difference']:g} ({found['low']:g} … {found['high']:g})" in plain(line)
    assert line.count("higher with") == len(EIGHT) - 1
