"""The whole report of three methods and five seeds: its size, and its pages on paper."""

import base64
import re
from pathlib import Path

import pytest

from analysis.study.flags import Config
from analysis.study.measuring import analyses
from figures import report
from tables.schema import SCHEMA
from tests.browser import CHROMIUM, DRIVER, MISSING, opened
from tests.figure_tables import complete, write

METHODS = ("sdt", "tet", "tet:mse_weight=0")
COMMANDS = {"barrier", "controls", "generalization", "path", "sign_errors", "stability"}
FLAGS = {"layers", "momentum_history", "steps", "surface_path"}
ASKED_FOR = COMMANDS | FLAGS
"""Tables that a study doesn't make: their analyses, or flags of its own, are asked for."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    made = complete(seeds=5, methods=METHODS)
    folder = write(tmp_path_factory.mktemp("whole"), {name: made[name] for name in made.keys() - ASKED_FOR})
    assert report.main([str(folder)]) == 0
    return folder / "report.html"


def test_tables_left_out_are_those_of_no_analysis_of_a_study():
    called = {*analyses(Config(), Path()), "compare"}
    assert {name for name in complete(seeds=1).keys() - FLAGS if SCHEMA[name].command not in called} == COMMANDS


@pytest.mark.slow
def test_the_report_of_a_whole_study_can_be_sent_by_mail(whole):
    text = whole.read_text(encoding="utf-8")
    assert text.count("<article") > 20
    assert text.count("<img") > 20
    assert 'id="surfaces-data"' in text
    assert whole.stat().st_size < 4_000_000


@pytest.mark.slow
def test_on_paper_it_is_less_than_fifteen_pages(whole, tmp_path):
    if not (CHROMIUM and DRIVER):
        pytest.skip(MISSING)
    with opened(whole, tmp_path / "chromium") as browser:
        printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert printed.startswith(b"%PDF")
    assert 5 < len(re.findall(rb"/Type ?/Page\b(?!s)", printed)) < 15
