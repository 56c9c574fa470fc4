"""The page with surfaces to turn: its numbers, and what it says."""

import json
import re
import shutil
import sys

import numpy as np
import pandas as pd
import pytest

from figures import interactive
from tests.figure_rows import coarse
from tests.figure_tables import made_up, write

pytestmark = pytest.mark.filterwarnings("error")


def surface(seeds=2):
    return coarse(made_up(seeds=seeds)["surface"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("page"), {"surface": surface()})
    (folder / "tables" / "surface.json").write_text(json.dumps({"settings": {"images": 200}}))
    assert interactive.main([str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "figures" / "surfaces.html").read_text(encoding="utf-8")


def test_the_page_holds_the_tables_numbers(text):
    (found,) = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    data = json.loads(found)
    (one,) = (v for v in data["views"] if (v["method"], v["loss"], v["seed"]) == ("tet", "sdt", "0"))
    rows = surface().query("method == 'tet' and loss == 'sdt' and seed == 0").set_index(["beta", "alpha"])
    assert (one["alphas"], one["betas"]) == ([-1, -0.4, 0, 0.4, 1],) * 2
    assert one["value"][1][3] == pytest.approx(rows.loc[(-0.4, 0.4), "value"], rel=1e-5)
    assert one["accuracy"][1][3] == pytest.approx(100 * rows.loc[(-0.4, 0.4), "accuracy"], rel=1e-5)
    assert (one["error"][1][3], one["rise_error"][1][3]) == (0.015, 0.004)
    assert one["value"][4][4] == "inf"
    assert one["value"][0][4] is None
    assert len(data["views"]) == 2 * 2 * 3  # methods, losses, two seeds and their mean


def test_the_page_says_what_was_measured(text):
    assert '<html lang="en">' in text
    assert '<h1 id="heading">Loss around trained weights: digits-cnn on digits</h1>' in text
    assert "<title>Loss around trained weights: digits-cnn on digits – snn-landscape</title>" in text
    assert "2 trained with SDT (seeds 0, 1) and 2 trained with TET (seeds 0, 1)." in text
    assert "Loss and accuracy on 200 training examples." in text


def test_the_page_needs_nothing_from_elsewhere(text):
    own = re.sub(r"<script>/\*\*.*?</script>", "", text, count=1, flags=re.S)  # without plotly.js
    assert len(own) < 200_000
    assert not re.search(r"(https?:)?//[a-z]", own)
    assert "default-src 'none'" in own
    assert "showSendToCloud: false" in own


def test_the_same_table_gives_the_same_page(folder, text, tmp_path):
    write(tmp_path, {"surface": surface()})
    shutil.copy(folder / "tables" / "surface.json", tmp_path / "tables")
    assert interactive.main([str(tmp_path)]) == 0
    assert (tmp_path / "figures" / "surfaces.html").read_text(encoding="utf-8") == text


def test_names_from_the_table_are_no_markup(tmp_path):
    frame = surface().assign(network="<script>alert(1)</script>", data="a</script><b>")
    frame = frame.assign(directions="top</script><b>", axes_loss="any")
    write(tmp_path, {"surface": frame})
    assert interactive.main([str(tmp_path)]) == 0
    text = (tmp_path / "figures" / "surfaces.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "</script><b>" not in text


def test_names_that_look_like_places_of_the_template_are_names(tmp_path):
    odd = "@PLOTLY@ @DATA@ @TITLE@ @HEADING@ @ABOUT@ @OTHER@"
    write(tmp_path, {"surface": surface().assign(network=odd)})
    assert interactive.main([str(tmp_path)]) == 0
    text = (tmp_path / "figures" / "surfaces.html").read_text(encoding="utf-8")
    assert f"<title>Loss around trained weights: {odd} on digits – snn-landscape</title>" in text
    assert f'<h1 id="heading">Loss around trained weights: {odd} on digits</h1>' in text
    assert f"<p>Networks {odd}: " in text
    (found,) = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert len(json.loads(found)["views"]) == 2 * 2 * 3
    assert text.count("<script>/**") == 1  # plotly.js


def test_each_network_has_a_page(tmp_path, capsys):
    frame = surface(1)
    write(tmp_path, {"surface": pd.concat([frame, frame.assign(network="vgg")])})
    assert interactive.main([str(tmp_path)]) == 0
    pages = [line.rsplit("/", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert pages == ["surfaces-digits-cnn-digits.html", "surfaces-vgg-digits.html"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda frame: frame.drop(columns="accuracy"), "lacks the column accuracy"),
        (lambda frame: frame.assign(value=np.nan), "no finite value"),
        (lambda frame: frame.assign(kind="line"), "no rows of kind 'plane'"),
        (lambda frame: frame[frame["beta"] == 0], "at least 2 by 2 points"),
        (lambda frame: frame.astype({"value": object}).replace({"value": {np.inf: "high"}}), "'high' as value, not a"),
        (lambda frame: frame.assign(stderr="much"), "'much' as stderr, not a number"),
    ],
)
def test_a_bad_table_is_a_clear_line_and_exit_1(change, says, tmp_path, capsys):
    write(tmp_path, {"surface": change(surface(1))})
    assert interactive.main([str(tmp_path)]) == 1
    first, last = capsys.readouterr().err.splitlines()
    assert "surface.csv" in first
    assert says in first
    assert last.startswith("python -m figures.interactive: error: no figure made")


def test_no_table_and_no_folder_are_one_line_and_exit_1(tmp_path, capsys):
    for place, says in ((tmp_path, "no table"), (tmp_path / "nowhere", "is no folder")):
        assert interactive.main([str(place)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert says in line


def test_vtk_without_meshio_is_one_line_and_exit_1(tmp_path, capsys, monkeypatch):
    write(tmp_path, {"surface": surface(1)})
    monkeypatch.setitem(sys.modules, "meshio", None)
    assert interactive.main([str(tmp_path), "--vtk"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "need meshio: pip install" in line
