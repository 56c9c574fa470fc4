"""The page's section on controls: what the table says, in words, and nothing where there is none."""

import re

import pandas as pd
import pytest

from figures import report
from figures.page import controls
from tests.figure_tables import made_up, write


def rows(**verdicts: str) -> pd.DataFrame:
    """A table of controls with one measure's verdict by control."""
    head = {"network": "digits-cnn", "data": "digits", "method": "sdt", "loss": "sdt", "side": "flatness"}
    told = {"level": "a", "value": 1.5, "unit": "factor", "low": 1.0, "high": 2.0, "n": 5, "p": 0.1, "why": ""}
    return pd.DataFrame(
        [
            head | told | {"measure": title, "title": f"measure <{title}>", "control": control, "verdict": verdict}
            for title, verdict in verdicts.items()
            for control in ("sam", "confident")
        ]
    )


def test_every_measure_stands_with_what_each_control_says():
    text = controls.passed({"controls": rows(one="passed", other="failed", third="undecided")})
    assert "1 of 3 measures fail one or more here" in text
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", text)
    assert cells == ["passed"] * 2 + ["failed (×1.5)"] * 2 + ["undecided"] * 2
    assert "measure &lt;one&gt;" in text
    assert controls.passed({}) == ""


@pytest.mark.slow
def test_the_report_has_the_section_where_the_table_lies(tmp_path):
    frames = made_up(seeds=3)
    few = {name: frames[name] for name in ("compare", "timesteps")}
    write(tmp_path, few | {"controls": rows(one="failed")})
    assert report.main([str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "1 of 1 measures fail one or more here" in page
    (tmp_path / "tables" / "controls.csv").unlink()
    assert report.main([str(tmp_path)]) == 0
    assert "put to controls" not in (tmp_path / "report.html").read_text()
