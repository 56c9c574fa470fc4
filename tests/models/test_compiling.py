"""The compiler of the fused neuron: $CC as a shell reads it, one line where it fails, and nothing left after a kill."""

import os
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import pytest
import torch

from models.neurons import compiling, fused
from models.neurons.lif import LIF
from models.scratch import scratch
from tests.killed import starter

SOURCE = "int answer(void) { return ANSWER; }\n"


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A temporary folder of its own, and nothing compiled or said before."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(compiling, "_SAID", set())
    fused._library.cache_clear()
    yield
    fused._library.cache_clear()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "tmp").glob("*.*"))  # and not what multiprocessing has there


def script(path: Path, *lines: str) -> str:
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)
    return str(path)


def compile_in(folder: Path, compiler: str) -> int:
    os.environ |= {"TMPDIR": str(folder / "tmp"), "CC": compiler}
    tempfile.tempdir = None
    (folder / "answer.c").write_text(SOURCE)
    library = compiling.compiled(folder / "answer.c", "-shared", "-fPIC", "-DANSWER=42")
    return library.answer() if library else -1


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("asked", [None, "", "gcc", "gcc -O2", "env gcc", "'{}/my cc' -O2", "gcc -O2 -ffast-math"])
def test_cc_is_read_as_a_shell_does(asked, tmp_path, monkeypatch):
    script(tmp_path / "my cc", 'exec gcc "$@"')
    monkeypatch.delenv("CC", raising=False)
    if asked is not None:
        monkeypatch.setenv("CC", asked.format(tmp_path))
    current = torch.randn(4, 1, 600, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings(action="error"):
        assert fused.takes(current)
        assert torch.equal(LIF()(current), LIF().reference(current))
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("no-such-compiler -O2", "No such file or directory: 'no-such-compiler'"),
        ("false", "it ended with status 1"),
        ("true", "cannot open shared object file"),
        ("gcc --no-such-flag", "no-such-flag"),
        ("gcc 'unbalanced", "No closing quotation"),
        ("sh -c 'echo noise >&2; echo the error >&2; exit 3'", "the error"),
    ],
)
def test_a_compiler_that_fails_is_said_in_one_line_once_and_the_loop_computes(asked, said, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", asked)
    current = torch.randn(4, 1, 6, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings(record=True, action="default") as found:
        assert not fused.takes(current)
        assert not fused.takes(current.double())
        assert torch.equal(LIF()(current), LIF().reference(current))
    (one,) = found
    shown = warnings.formatwarning(one.message, one.category, one.filename, one.lineno)
    assert shown.count("\n") == 1
    assert said in shown
    assert repr(asked) in shown
    assert shown.endswith("; neurons are computed by a plain loop, which takes longer\n")
    assert left(tmp_path) == []


@pytest.fixture(scope="module")
def forked():
    return starter("tests.models.test_compiling")


def until(happened) -> None:
    for _ in range(3000):
        if happened():
            return
        time.sleep(0.01)
    raise AssertionError("it never happened")


@pytest.mark.skipif(sys.platform != "linux", reason="locks of folders")
def test_what_a_kill_leaves_is_cleared_by_the_next_and_nothing_of_the_living(tmp_path, forked):
    writing = 'touch "$TMPDIR/cc123.s" "$TMPDIR/../../begun.$$"; exec sleep 60'
    sleeper = script(tmp_path / "sleeper", writing)
    killed, living = forked(compile_in, tmp_path, sleeper), forked(compile_in, tmp_path, sleeper)
    until(lambda: len(list(tmp_path.glob("begun.*"))) == 2)
    killed.kill()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert len(left(tmp_path)) == 2
    assert compile_in(tmp_path, "cc") == 42
    (stays,) = left(tmp_path)
    assert [path.name for path in (tmp_path / "tmp" / stays).iterdir()] == ["cc123.s"]
    living.kill()
    living.join()
    assert compile_in(tmp_path, "cc") == 42
    assert left(tmp_path) == []
    for begun in tmp_path.glob("begun.*"):
        os.kill(int(begun.suffix[1:]), signal.SIGKILL)  # the compilers, which nobody waits for any more


def test_only_folders_of_that_name_are_cleared(tmp_path):
    kept = ["mine.abcdefghi", "other.abcdefgh"]
    for name in (*kept, "mine.abcdefgh"):
        (tmp_path / "tmp" / name).mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "tmp/mine.linklink").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "tmp/mine.filefile").touch()
    with scratch("mine") as folder, scratch("mine") as second:
        assert folder != second
        assert folder.is_dir()
        assert second.is_dir()
    assert left(tmp_path) == sorted([*kept, "mine.linklink", "mine.filefile"])
    assert (tmp_path / "elsewhere").is_dir()
