"""Results in a notebook: HTML and the same as text, of an analysis, a comparison, and the landscape."""

from types import SimpleNamespace

import pandas as pd
import pytest

from landscape.spectrum.trace import TraceEstimate
from tables.answer import answer, parts
from tables.result import Result
from tests.figure_tables import made_up


def pretty(result) -> str:
    said: list[str] = []
    result._repr_pretty_(SimpleNamespace(text=said.append), False)
    return "".join(said)


def test_a_long_table_shows_its_head_and_says_so():
    frame = made_up(seeds=2)["energy"]
    result = Result({"energy": frame, "<other>": frame.head(2)}, {})
    html = result._repr_html_()
    for text in (html, pretty(result)):
        assert f"{len(frame)} rows, the first 10" in text
        assert "2 rows" in text
    assert html.count("<tr") == 10 + 2 + 2
    assert "<other>" not in html
    assert len(pretty(result).splitlines()) == 10 + 2 + 2 + 2


def test_a_comparison_shows_its_answer_and_the_rows_that_speak_first():
    frames = made_up(seeds=3)
    tables = {name: frames[name] for name in ("compare", "crossovers", "correlation")}
    ((_, own),) = parts(tables)
    result = Result(tables, {})
    for question, said in answer(own).lines:
        assert f"{question} {said}" in pretty(result)
    assert "test accuracy" in result._repr_html_()
    assert result._repr_html_().count("<table") == 1


@pytest.mark.parametrize("converged", [True, False])
def test_what_did_not_converge_is_said(converged):
    result = TraceEstimate(1.5, 0.25, 10, 10, converged=converged)
    for text in (result._repr_html_(), pretty(result)):
        assert "TraceEstimate" in text
        assert "0.25" in text
        assert ("1 of 1 not converged" in text) is not converged


def test_a_table_of_no_checkpoint_is_shown_too():
    assert "1 rows" in Result({"mine": pd.DataFrame({"a": [1]})}, {})._repr_html_()
