"""What a study says last: short, with the next command, which is the study's own and can be run."""

import shlex
from pathlib import Path

import pandas as pd
import pytest

from analysis import compare, study
from analysis.study.ending import command, ending
from tables import command_line
from tables.schema import IDENTITY
from tests.figure_tables import made_up, write

MOST = 25
APART = "training losses differ"


def ended(folder: Path, named, doubt: str = "", n: int = 5, **settings) -> list[str]:
    frames = made_up(seeds=3, methods=named)
    kept = {name: frames[name] for name in ("compare", "crossovers", "history") if name in frames}
    if "compare" in kept:
        kept["compare"] = kept["compare"].assign(trust=doubt, n=n)
    runs = frames["history"].drop_duplicates("checkpoint")[list(IDENTITY)]
    write(folder, kept | {"settings": runs.assign(timesteps=4)})
    config = study.Config(out=folder, **settings)
    return ending(config, {"train": 12.0, "figures": 3.4, "compare": 0.1}).splitlines()


@pytest.mark.parametrize("methods", [("sdt",), ("sdt", "tet"), tuple(f"a method of some length {i}" for i in range(8))])
def test_25_lines_at_most_with_where_everything_is(methods, tmp_path):
    lines = ended(tmp_path, methods, APART)
    assert len(lines) <= MOST
    assert lines[0].startswith(f"{3 * len(methods)} networks, digits-cnn on digits, T = 4: ")
    text = "\n".join(lines)
    assert f"report: {tmp_path / 'report.html'}" in text
    assert lines[-1] == "16 seconds: train 12, figures 3"
    assert (f"python -m analysis.compare {tmp_path} --all" in text) is (len(methods) > 1)
    for word in ("left out", "not found", "failed", "missing", "error"):
        assert word not in text


def test_a_caution_comes_with_the_command_that_resolves_it(tmp_path):
    lines = ended(tmp_path, ("sdt", "tet"), APART, methods=("sdt", "tet:mse_weight=0"), epochs=7)
    place = next(i for i, line in enumerate(lines) if line.startswith("caution:"))
    words = shlex.split(lines[place + 1])
    assert words[:3] == ["python", "-m", "analysis.study"]
    again = command_line.parse(study.Config, words[3:], "study")
    assert again.methods == ("sdt", "tet:mse_weight=0")
    assert (again.epochs, again.until_loss_of) == (7, "sdt")
    assert again.out == tmp_path.with_name(f"{tmp_path.name}-equal")
    last = made_up(seeds=3)["history"].query("epoch == 30")
    assert again.until_loss > last["train_loss_sdt"].groupby(last["method"]).mean().max()


def test_without_a_doubt_there_is_no_caution_and_of_two_seeds_another(tmp_path):
    assert not any(line.startswith("caution") for line in ended(tmp_path, ("sdt", "tet")))
    (line,) = (line for line in ended(tmp_path, ("sdt", "tet"), APART, n=2, seeds=2) if line.startswith("caution"))
    assert line.endswith(f"python -m analysis.study --out {tmp_path}")


def test_a_study_as_a_command_reads_back_as_itself():
    config = study.Config(
        out=Path("a b"), methods=("sdt", "x=tet:epochs=2"), vary_data=False, seeds=2, until_loss=0.1, device="cuda:1"
    )
    words = shlex.split(command(config))
    assert command_line.parse(study.Config, words[3:], "study") == config


def test_compare_prints_the_answer_and_every_row_when_asked(tmp_path, capsys):
    frames = made_up(seeds=3)
    write(tmp_path, {name: frames[name] for name in ("hessian", "timesteps", "energy")})
    assert compare.main([str(tmp_path)]) == 0
    short = capsys.readouterr().out
    assert short.startswith("Which is flatter? ")
    assert len(short.splitlines()) <= 20
    assert short.rstrip().endswith(f"all rows: python -m analysis.compare {tmp_path} --all")
    assert compare.main([str(tmp_path), "--all"]) == 0
    every = capsys.readouterr().out
    rows = pd.read_csv(tmp_path / "tables" / "compare.csv")
    assert len(every.splitlines()) > len(rows)
    assert "doubts: " in every
