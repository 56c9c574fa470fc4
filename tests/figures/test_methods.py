"""One to eight methods of any name: every picture is drawn, every page written, and joins are by ids, not by titles."""

import json
import re
from dataclasses import replace

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from figures import interactive, paper, report
from figures.page import plates, summary
from figures.pictures import catalogue
from figures.style import look as style
from figures.style.methods import compared, facing, label, look_of, looks, methods_of
from tables import measures
from tables.reading import TableError
from tables.schema import checked, columns_of
from tests.figure_rows import coarse
from tests.figure_tables import complete, made_up, write

pytestmark = pytest.mark.filterwarnings("error")
LONG = "x" * 100 + "y" * 100
NAMED = {
    "one": ("sdt",),
    "one of another name": ("mine",),
    "three": ("sdt", "tet", "sdt+sam"),
    "odd": ("a,b/ü", LONG, "_hidden $x$"),
    "case": ("mine", "Mine"),
    "eight": tuple(f"method {place}" for place in range(8)),
}


@pytest.mark.parametrize("name", complete(seeds=1))
def test_made_up_tables_have_the_columns_of_the_schema(name):
    frame = complete(seeds=1)[name]
    checked(name, frame)
    assert set(frame) <= set(columns_of(name))


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", NAMED)
def test_every_picture_is_drawn_in_the_width_of_the_page(name):
    frames = complete(seeds=2, methods=NAMED[name])
    with style.paper(), compared(methods_of(frames)):
        for picture in catalogue.PICTURES:
            needed = (picture.table, *picture.beside)
            if set(needed) <= set(frames):
                figure = Figure(figsize=(picture.width, picture.height), layout="constrained")
                drawn = picture.draw(figure, *(frames[one] for one in needed))
                assert drawn, picture.name
                assert figure.get_figwidth() in (style.COLUMN, style.PAGE)
                assert min(float(text.get_fontsize()) for text in figure.findobj(Text)) >= style.SMALL


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", ["one", "three", "odd"])
def test_commands_write_all_that_the_tables_allow(name, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)
    monkeypatch.setattr(plates, "_drawn", lambda *_: ("data:,", "One panel.", "A caption.", 7.0))
    frames = complete(seeds=3, methods=NAMED[name])
    write(tmp_path, frames)
    assert paper.main([str(tmp_path)]) == 0
    made = {line.rsplit("/", 1)[1].split(".")[0] for line in capsys.readouterr().out.splitlines()}
    assert {one.name for one in catalogue.PICTURES} - made == ({"flatness", "rise"} if len(NAMED[name]) == 1 else set())
    assert report.main([str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert ("Not answered" in text) is False
    assert interactive.main([str(tmp_path)]) == 0
    page = (tmp_path / "figures" / "surfaces.html").read_text(encoding="utf-8")
    (data,) = re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert [one["name"] for one in json.loads(data)["methods"]] == list(NAMED[name])


def test_more_than_eight_are_one_clear_line(tmp_path, capsys):
    write(tmp_path, {"energy": made_up(seeds=1, methods=[f"m{place}" for place in range(9)])["energy"]})
    for main in (paper.main, report.main):
        assert main([str(tmp_path)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "pictures hold 8 methods at most, got 9: m0, m1" in line


def test_surfaces_of_odd_names_are_files(tmp_path):
    pytest.importorskip("meshio")
    frames = {"surface": coarse(made_up(seeds=1, methods=("a,b/ü", LONG, "A,b/ü"))["surface"])}
    write(tmp_path, frames)
    assert interactive.main([str(tmp_path), "--vtk"]) == 0
    files = [file.name.casefold() for file in (tmp_path / "figures" / "vtk").iterdir()]
    assert len(files) == len(set(files)) == 3 * 2


# looks


def test_looks_follow_the_comparison_whichever_a_table_has():
    with compared(("b", "a", "c")):
        assert list(looks()) == ["b", "a", "c"]
        assert list(looks(["c", "a"])) == ["a", "c"]
        assert look_of("a") == looks(["a", "b"])["a"]
        others = looks(["sdt", "tet"])
        assert not {one.colour for one in others.values()} & {one.colour for one in looks().values()}
    with compared([f"m{place}" for place in range(8)]):
        assert len({one.colour for one in looks(["sdt", "tet", "m1"]).values()}) == 3


def test_the_reference_comes_first_and_factors_are_no_methods():
    frames = made_up(seeds=1, methods=("b", "a"))
    assert methods_of(frames) == ("b", "a")
    swapped = frames["compare"].assign(reference="a", method="b")
    assert methods_of(frames | {"compare": swapped}) == ("a", "b")
    by_factor = frames["compare"].assign(reference="0.1", method="0.2")
    assert methods_of(frames | {"compare": by_factor}) == ("b", "a")
    assert methods_of({"compare": by_factor}) == ("0.1", "0.2")


def test_labels_tell_names_apart():
    with compared(("mse", "MSE", "abc-long", LONG, LONG[:-9] + "z" + LONG[-8:])):
        labels = [label(name) for name in looks()]
        assert labels[:3] == ["mse", "MSE", "abc-long"]
        assert len(set(labels)) == 5
        assert max(map(len, labels)) <= 36
    assert label("ce") == "CE"


# sentences


def test_every_method_is_told_against_the_reference(tmp_path):
    frames = complete(seeds=4, methods=("sdt", "tet", "sam"))
    read = {one.name: one for one in catalogue.PICTURES}
    with compared(methods_of(frames)):
        text = read["scalability"].read(frames)
        first, second = text.split(". The test accuracy")
        assert "TET" in first
        assert "sam" not in first
        assert "sam" in second
        assert "TET" not in second
        both = {name: frame[frame["method"] != "sam"] if "method" in frame else frame for name, frame in frames.items()}
        assert first + "." == read["scalability"].read(both)
        assert read["gap-in-loss"].read(frames).count("rank correlation") == 2  # among all, within


def test_one_method_alone_has_means_and_no_comparison():
    frames = complete(seeds=4, methods=("tet",))
    with compared(("tet",)):
        found = {one.name: one for one in catalogue.PICTURES}
        text = found["training"].read(frames)
        assert re.match(r"The training loss of the last epoch is .* by the SDT loss \(.* …", text)
        assert "with TET" in text
        assert "measured on both sides" not in text
        for name in {"layers", "eigenvalues", "sharpness"}:
            assert re.search(r" … .*with TET", found[name].read(frames)), name
        with pytest.raises(TableError, match="one method alone"):
            found["flatness"].reading(complete(seeds=4))
        answers = summary.answers(frames, alone=True)
    asked = ["Where did training end?", "How flat is it there?", "What does it survive?", "What does it cost?"]
    assert list(answers) == asked
    assert not any("Not answered" in one for one in answers.values())


def test_of_one_network_alone_its_own_numbers_are_told():
    frames = complete(seeds=1, methods=("tet",))
    key = {"network": "n", "data": "d", "method": "tet", "training": "tet", "seed": 0.0, "checkpoint": "a"}
    rise = [key | {"kind": kind, "split": "train", "loss": "sdt", "draw": draw, "mean_rise": value}
            for kind, draw, value in (("line", 0, 0.25), ("line", 1, 0.75), ("plane", 0, 0.125))]  # fmt: skip
    frames["shapes"] = pd.DataFrame(rise).assign(directions="random")
    frames["trace"] = pd.DataFrame([key | {"loss": "sdt", "operator": "hessian", "trace": -42.5, "converged": False}])
    found = {one.name: one for one in catalogue.PICTURES}
    with compared(("tet",)):
        told = {name: found[name].read(frames) for name in ("surfaces", "surface-lines", "density", "eigenvalues")}
        layer = found["layers"].read(frames)
    assert "random planes is 0.125 under the SDT loss (one seed, no interval) with TET" in told["surfaces"]
    assert "random lines is 0.5 under the SDT loss" in told["surface-lines"]
    assert "is −42.5 for the formal Hessian under the SDT loss (one seed" in told["density"]
    assert told["density"].endswith("in doubt: changes when weights are rescaled, not converged.")
    top = frames["hessian"].query("rank == 1 and operator == 'hessian' and loss == 'tet'")["eigenvalue"].iloc[0]
    assert f"{top:.4g} for the formal Hessian under the TET loss" in told["eigenvalues"]
    rows = frames["layers"].query("operator == 'hessian' and loss == 'sdt'")
    most = rows.sort_values("top_eigenvalue").iloc[-1]
    assert f"is {most['top_eigenvalue']:.4g} in {most['layer']} (one seed, no interval)" in layer


def test_a_page_of_one_network_asks_nothing_that_compares(tmp_path):
    compared_only = ("compare", "counts", "rise_curves", "crossovers", "measures", "correlation")
    frames = made_up(seeds=1, methods=("mine",))
    write(tmp_path, {name: frame for name, frame in frames.items() if name not in compared_only})
    assert report.main([str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "One method alone: there is nothing to compare." in page
    assert "ot answered" not in page
    assert "analysis.compare DIR" not in page


def test_a_missing_pair_costs_its_own_sentence():
    frames = complete(seeds=3, methods=("sdt", "tet", "sam"))
    compare = frames["compare"]
    frames["compare"] = compare[(compare["method"] == "tet") | (compare["measure"] == "test_accuracy")]
    with compared(methods_of(frames)):
        text = next(one for one in catalogue.PICTURES if one.name == "eigenvalues").read(frames)
    assert "The top eigenvalue" in text
    assert text.endswith("sam: the comparison has no row top_eigenvalue[hessian] or top_eigenvalue[gauss_newton].")


def test_titles_may_be_reworded(monkeypatch):
    frames = complete(seeds=3)
    before = {one.name: _told(one, frames) for one in catalogue.PICTURES}
    for name, one in measures.MEASURES.items():
        monkeypatch.setitem(measures.MEASURES, name, replace(one, title=f"quantity {name[::-1]}"))
    renamed = {
        name: frame.assign(title=[f"quantity {one[::-1]}" for one in frame["measure"]]) if "title" in frame else frame
        for name, frame in frames.items()
    }
    words = {
        new: old
        for name, frame in frames.items()
        if "title" in frame
        for new, old in zip(renamed[name]["title"], frame["title"], strict=True)
    }

    def as_before(text: str) -> str:
        for new in sorted(words, key=len, reverse=True):
            text = text.replace(new, words[new])
        return text

    assert {one.name: as_before(_told(one, renamed)) for one in catalogue.PICTURES} == before
    keys = [
        {key[0] for key in correlation(Figure(), table["measures"], table["correlation"])}
        for table in (frames, renamed)
        for correlation in (_drawer("gap-in-loss"),)
    ]
    assert keys[0] == keys[1]
    with facing("sdt", "tet"):
        assert summary.generalization(frames) == summary.generalization(renamed)


def _drawer(name):
    return next(one.draw for one in catalogue.PICTURES if one.name == name)


def _told(picture, frames):
    try:
        return picture.read(frames)
    except TableError:
        return ""


def test_how_many_rows_are_independent_is_left_out_where_two_pairs_do_not_say():
    frames = complete(seeds=2)
    one: dict[str, object] = {
        "network": "n",
        "data": "d",
        "timesteps": "4",
        "reference": "sdt",
        "method": "tet",
        "side": "flatness",
    }
    one |= {"rows": 3.0, "reference_rows": 0.0, "method_rows": 1.0, "p_reference": 1.0, "p_method": 0.5}
    one |= {"percentile": 2.0, "how": "draws", "headline": "", "loss": ""}
    picture = next(each for each in catalogue.PICTURES if each.name == "flatness")
    with compared(methods_of(frames)):
        unknown, known = (
            picture.read(frames | {"counts": pd.DataFrame([one | {"independent": number}])})
            for number in (float("nan"), 1.5)
        )
    assert "1 for TET (p = 0.5), where chance reaches 2 in 5 % of cases." in unknown
    assert "independent" not in unknown
    assert "in 5 % of cases; they hang together as about 1.5 independent ones would." in known
