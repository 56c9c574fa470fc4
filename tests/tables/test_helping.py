"""Help in groups, what is meant by a typo, and folders where they are meant."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from analysis import compare, sharpness, study, timesteps
from analysis.flags import Config
from figures import report
from models import train
from tables import helping


def shown(main, capsys) -> str:
    assert main(["--help"]) == 0
    return capsys.readouterr().out


def titles(text: str) -> list[str]:
    return re.findall(r"^([a-z][a-z ]+):$", text, re.M)


def test_three_flags_stand_first_then_groups_then_examples(capsys):
    text = shown(study.main, capsys)
    assert titles(text) == ["first of all", "what", "how exactly", "on what machine", "examples"]
    parts = dict(zip(titles(text), re.split(r"^[a-z][a-z ]+:$", text, flags=re.M)[1:], strict=True))
    assert re.findall(r"^  (--[\w-]+)", parts["first of all"], re.M) == ["--methods", "--subjects", "--out"]
    assert "--device" in parts["on what machine"]
    assert "--epochs" in parts["how exactly"]
    assert "--data " in parts["what"]
    lines = parts["examples"].split("\n")
    assert "  python -m analysis.study --out runs/demo" in lines
    assert text.count("--help") == 1
    assert not re.search("[│╭╰]", text)


def test_choices_on_several_lines_stay_with_their_flag(capsys):
    text = shown(sharpness.main, capsys)
    assert re.search(r"^  --measures \[\{average,[^ ]*\n  norms\} \[\.\.\.\]\]\s+What to measure\.", text, re.M)
    assert text.count("norms} [...]]") == 1


def test_words_are_filled_whatever_the_docstring_s_lines(capsys):
    """No line that could take the next one's first word."""
    for main in (train.main, sharpness.main, study.main):
        lines = shown(main, capsys).splitlines()
        told = [line for line in lines if re.match(r" {12,}\S", line)]
        widest = max(map(len, told))
        for line, after in pairwise(lines):
            if line in told and after in told:
                assert len(line) + 1 + len(after.split()[0]) > widest - 2, line


def test_a_few_flags_have_no_groups(capsys):
    assert titles(shown(report.main, capsys)) == ["flags", "examples"]


def test_a_command_of_nobody_has_no_examples():
    assert helping.examples("tables") == helping.examples("") == []


@pytest.mark.parametrize(
    "frame", ["╭─ {} ─────────────╮\n│ {}│\n╰────────────────╯", " {}  \n -------------- \n  {}\n"]
)
def test_boxes_of_either_kind_are_read(frame):
    box = "usage: x\n\nWhat it does.\n\n" + frame.format("options", "-h, --help  this")
    text = helping.ordered(box, "")
    assert text == "usage: x\n\nWhat it does.\n\nflags:\n  -h, --help  this\n"


def test_a_choice_that_is_none_has_a_suggestion(capsys):
    assert study.main(["--data", "digts"]) == 2
    assert "perhaps digits (see --help)" in capsys.readouterr().err
    assert study.main(["--metods", "sdt"]) == 2
    assert "perhaps --methods (see --help)" in capsys.readouterr().err
    assert train.main(["--epoch", "3"]) == 2  # and --out is missing
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("Unrecognized options: --epoch 3: perhaps --epochs (see --help)")


def test_a_folder_of_a_run_stands_for_its_checkpoint(tmp_path, capsys):
    (tmp_path / "ckpt.pt").write_bytes(b"garbled")
    assert Config((tmp_path,)).checkpoints == (tmp_path / "ckpt.pt",)
    assert Config((tmp_path / "none", Path("mine.py:subjects"))).checkpoints == (
        tmp_path / "none",
        Path("mine.py:subjects"),
    )
    assert timesteps.main([str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"{tmp_path / 'ckpt.pt'} " in line
    assert "train one" not in line


@pytest.mark.parametrize("below", ["", "deeper"])
def test_an_out_that_is_a_file_is_said_to_be(below, tmp_path, capsys):
    file = tmp_path / "file"
    file.touch()
    assert study.main(["--out", str(file / below), "--seeds", "1", "--epochs", "1"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"--out {file / below}: {file} is a file, and has to be a folder")
    assert compare.Config((tmp_path,)).all_rows is False
