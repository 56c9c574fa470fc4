"""Subjects from a user's file: what is read of it, and what is said where it can't be."""

import importlib
import json
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from analysis import hessian, study, timesteps
from analysis.subject import Subject, subjects
from models.code import is_code, parse
from tests.analysis.user_files import SUBJECTS
from tests.commands import ANALYSES


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A user's file in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    name = f"mine_{tmp_path.name.replace('-', '_')}"  # modules are kept by name
    (tmp_path / f"{name}.py").write_text(SUBJECTS)
    yield f"{name}.py"
    sys.modules.pop(name, None)


def refused(capsys, command: str, *words: str) -> str:
    """The one line that ``python -m analysis.COMMAND`` refuses with."""
    assert importlib.import_module(f"analysis.{command}").main([*words, "--quiet"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    return shown.err


def test_a_function_that_yields_subjects_gives_them_all_in_order(mine):
    found = subjects(f"{mine}:subjects")
    assert [one.title for one in found] == ["slow-0", "slow-1", "fast-0", "fast-1"]
    assert found[2].identity == {
        "checkpoint": "fast-0", "network": "Net", "data": "data", "method": "fast", "training": "fast", "seed": 0,
    }  # fmt: skip
    assert list(found[0].code) == [mine]


def test_arguments_are_read_as_python_where_they_are_that(mine):
    (one,) = subjects(f"{mine}:subjects?width=2&method=fast&seeds=1")
    assert one.network.get_parameter("conv.weight").shape[0] == 2
    assert one.title == "fast-0"
    assert parse("a.py:f?x=1e-3&y=True&z=None&w=a,b").arguments == {"x": 1e-3, "y": True, "z": None, "w": "a,b"}


def test_a_module_on_the_path_is_named_with_dots(mine):
    assert [one.title for one in subjects(f"{mine.removesuffix('.py')}:one")] == ["alone"]


def test_a_file_that_is_there_is_never_taken_for_code(tmp_path):
    path = tmp_path / "odd.py:name"
    path.write_text("")
    assert not is_code(path)
    assert is_code("odd.py:name")
    assert not is_code("runs/tet-0/ckpt.pt")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("gone.py:subjects", "no file gone.py"),
        (":nothing", "no nothing in"),
        (":subjects?hight=2", "unexpected keyword argument 'hight'; it takes (width=4, seeds=2, method='both')"),
        (":none", "gives no subject"),
        (":number", "gives a int, expected subjects"),
        (":twice", "two subjects called same"),
        (":fails", "return [Net(width).there_is_no_such_thing]: AttributeError"),
        (":empty", "train data are empty"),
        (":wrong_loss", "one value per example"),
        (":raising_loss", 'losses={"mine": lambda output, target: output.nothing}'),
        (":shuffled", "shuffles"),
        (":several", "output=lambda output: output[0]"),
        (":probabilities", "leave the softmax out"),
        (":one?x=1", "takes no arguments"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(mine, asked, said, capsys, tmp_path):
    target = asked if asked.startswith("gone") else f"{mine}{asked}"
    assert said in refused(capsys, "hessian", target, "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_class_that_is_not_there_is_said_beside_those_that_are(mine, capsys):
    said = refused(capsys, "timesteps", f"{mine}:out_of_range")
    assert "labels must be 0 … 2, the network has 3 outputs; got 0 … 5" in said


def test_syntax_errors_show_the_line(mine, capsys, tmp_path):
    (tmp_path / "broken.py").write_text("def subjects(:\n    pass\n")
    line = refused(capsys, "hessian", "broken.py:subjects")
    assert "broken.py, line 1: invalid syntax: def subjects(:" in line


SMALL = {
    "hessian": ["--images", "12"],
    "surface": ["--images", "12", "--points", "3", "--plane-points", "3"],
    "sharpness": ["--images", "12", "--m", "4"],
    "rise": ["--images", "12"],
    "robustness": ["--images", "12", "--draws", "2"],
    "momentum": ["--images", "24", "--batch-size", "6", "--batches", "3", "--beta", "0.9"],
    "path": ["--images", "12", "--kind", "line"],
}
NEED_A_CHECKPOINT = {"stability", "energy"}


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", [name for name in ANALYSES if name not in NEED_A_CHECKPOINT])
def test_every_analysis_measures_them_and_says_what_they_came_from(name, mine, tmp_path):
    module = importlib.import_module(f"analysis.{name}")
    out = tmp_path / "tables"
    words = [f"{mine}:subjects?seeds=1", *SMALL.get(name, []), "--out", str(out), "--quiet"]
    assert module.main(words) == 0
    tables = sorted(out.glob("*.csv"))
    assert tables
    for table in tables:
        found = pd.read_csv(table)
        assert set(found["checkpoint"]) == ({"slow-0"} if name == "path" else {"slow-0", "fast-0"})
        assert set(found["method"]) == ({"slow"} if name == "path" else {"slow", "fast"})
        record = json.loads(table.with_suffix(".json").read_text())
        assert list(record["code"]) == [mine]
        assert set(record["checkpoints"]) == {"slow-0", "fast-0"}


def test_the_digest_is_of_weights_data_and_code(mine):
    first = {one.title: one.sha256 for one in subjects(f"{mine}:subjects?seeds=1")}
    again = {one.title: one.sha256 for one in subjects(f"{mine}:subjects?seeds=1")}
    assert first == again
    assert len(set(first.values())) == 2
    (one,) = subjects(f"{mine}:subjects?seeds=1&method=fast")
    with torch.no_grad():
        one.network.get_parameter("head.bias")[0] += 1e-6
    moved = Subject(one.network, train=one.train, test=one.test, method="fast", code=one.code)
    assert moved.sha256 != first["fast-0"]
    assert Subject(one.network, train=one.test, test=one.test, method="fast", code=one.code).sha256 != moved.sha256
    assert Subject(one.network, train=one.train, test=one.test, method="fast").sha256 != moved.sha256


@pytest.mark.slow
def test_subjects_made_in_python_give_the_tables_that_the_file_gives(mine):
    named = hessian.run(hessian.Config((Path(f"{mine}:subjects?seeds=1"),), images=12, quiet=True))
    given = hessian.run(hessian.Config(images=12, quiet=True), subjects(f"{mine}:subjects?seeds=1"))
    for name, table in named.tables.items():
        pd.testing.assert_frame_equal(table, given.tables[name])


def test_two_of_one_name_are_told_apart_before_anything_is_measured(mine):
    found = subjects(f"{mine}:subjects?seeds=1")
    with pytest.raises(ValueError, match="two subjects are called slow-0"):
        hessian.run(hessian.Config(quiet=True), [*found, found[0]])


def test_a_subject_without_test_data_is_measured_on_what_it_has(mine):
    (one,) = subjects(f"{mine}:one")
    table = timesteps.run(timesteps.Config(quiet=True), [one]).tables["timesteps"]
    assert list(table["split"]) == ["train"]
    with pytest.raises(ValueError, match="alone has no test data"):
        one.batches("test", None, 5)


@pytest.mark.slow
def test_a_study_of_them_compares_draws_and_does_nothing_twice(mine, tmp_path, capsys):
    flags = ["--subjects", f"{mine}:subjects", "--out", str(tmp_path / "all"), "--images", "12"]
    flags += ["--reference", "fast"]
    study.main(flags)
    shown = capsys.readouterr()
    rows = pd.read_csv(tmp_path / "all" / "tables" / "compare.csv")
    assert set(rows["reference"]) == {"fast"}
    assert set(rows["method"]) == {"slow"}
    assert set(rows["n"]) == {2}
    assert rows["difference"].notna().all()
    assert {"test_accuracy", "average_rise[0.1]", "hessian_top"} & set(rows["measure"])
    assert "fast and slow, 2 seeds each\nWhich is flatter?" in shown.out
    assert (tmp_path / "all" / "report.html").exists()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "all").glob("*/tables/*.csv")}
    assert len(before) > 20
    study.main(flags)
    assert {path: path.stat().st_mtime_ns for path in before} == before
