"""Flags, the one line of a failure, and exit statuses."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import tyro

from tables.command_line import command, parse


@dataclass(frozen=True)
class Config:
    """A command for these tests."""

    paths: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Files."""
    loss: Literal["sdt", "tet"] = "tet"
    """A choice."""
    top: int = 5
    """A number."""


def test_flags_and_positional_arguments_fill_the_dataclass():
    found = parse(Config, ["a.pt", "b.pt", "--loss", "sdt", "--top", "3"], "prog")
    assert found == Config((Path("a.pt"), Path("b.pt")), "sdt", 3)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--loss", "mse"], "invalid choice 'mse' for argument '--loss'. Expected one of ('sdt', 'tet')"),
        (["--top", "many"], "Error parsing --top: invalid literal for int() with base 10: 'many'"),
        (["--tpo", "3"], "Unrecognized options: --tpo, 3: perhaps --top"),
        (["--lss", "sdt"], "Unrecognized options: --lss, sdt: perhaps --loss"),
        (["--tpo", "3", "--lss", "sdt"], "Unrecognized options: --tpo, 3, --lss, sdt: perhaps --loss or --top"),
        (["--xyzzy"], "Unrecognized options: --xyzzy"),
    ],
)
@pytest.mark.parametrize("letters", ["utf-8", "ascii"])
def test_unusable_arguments_give_one_line_and_status_2(argv, said, letters, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), letters))
    assert command(Config, lambda config: None, argv, "prog") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"prog: error: {said} (see --help)\n"


def test_help_goes_to_stdout_with_status_0(capsys):
    assert command(Config, lambda config: None, ["--help"], "prog") == 0
    assert "A number." in capsys.readouterr().out


@pytest.mark.parametrize(
    "failure", [ValueError("got 0,\n expected 1"), OSError("disk full"), FileNotFoundError("gone")]
)
def test_a_foreseen_failure_is_one_line_and_status_1(failure, capsys):
    def run(config: Config) -> None:
        raise failure

    assert command(Config, run, [], "prog") == 1
    assert capsys.readouterr().err == f"prog: error: {' '.join(str(failure).split())}\n"


def test_a_defect_keeps_its_traceback():
    def run(config: Config) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        command(Config, run, [], "prog")


def test_an_interrupt_is_status_130(capsys):
    def run(config: Config) -> None:
        raise KeyboardInterrupt

    assert command(Config, run, [], "prog") == 130
    assert capsys.readouterr().err == "prog: interrupted\n"
