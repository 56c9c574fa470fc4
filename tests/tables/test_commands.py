"""Every command: its flags are read before anything heavy is imported, and one name reaches them all."""

import ast
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import get_type_hints

import pytest

import tables
from tables import later
from tables.commands import PACKAGES, commands, listed, main

HEAVY = ("torch", "scipy", "pandas", "matplotlib", "sklearn", "torchvision", "seaborn", "plotly", "numpy")
COMMANDS = commands()
_IN_ONE_PROCESS = """
import contextlib, io, runpy, sys
module, *sys.argv[1:] = sys.argv[1:]
sys.argv[0] = module
status = None
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
except SystemExit as stop:
    status = stop.code
print("STATUS", status, file=sys.stderr)
print("HEAVY", *(name for name in {heavy} if name in sys.modules), file=sys.stderr)
"""


def asked(module: str, *flags: str) -> tuple[str, list[str], float]:
    """What a process that runs ``module`` prints, its lines on stderr, and the seconds it took."""
    begun = time.perf_counter()
    words = [sys.executable, "-c", _IN_ONE_PROCESS.replace("{heavy}", repr(HEAVY)), module, *flags]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr.splitlines(), time.perf_counter() - begun


def test_every_command_is_found():
    top = Path(str(tables.__file__)).parents[1]
    doors = [path.parent for name in PACKAGES for path in (top / name).glob("*/__main__.py")]
    started = {f"{folder.parent.name}.{folder.name}" for folder in doors}
    assert set(COMMANDS.values()) == started
    assert {"train", "hessian", "study", "paper"} <= set(COMMANDS)


@pytest.mark.parametrize("module", COMMANDS.values())
class TestFlagsComeFirst:
    @pytest.mark.slow(keep=1)
    def test_help_imports_nothing_heavy(self, module):
        shown, said, seconds = asked(module, "--help")
        assert shown.startswith("usage: ")
        assert said == ["STATUS 0", "HEAVY"]
        assert seconds < 10  # a tenth of that where nobody else computes

    def test_neither_does_a_flag_that_is_not_there(self, module):
        shown, said, _ = asked(module, "--hlep")
        assert shown == ""
        assert said[0].startswith(f"python -m {module}: error: ")
        assert said[1:] == ["STATUS 2", "HEAVY"]

    def test_help_names_every_flag(self, module):
        shown, _, _ = asked(module, "--help")
        kinds = get_type_hints(import_module(module).Config, include_extras=True)
        positional = [name for name, kind in kinds.items() if "Positional" in str(kind)]
        flags = [name for name in kinds if name not in (*positional, "network", "less_memory", "of_folders")]
        words = {"all_rows": "all"}  # that Python has a meaning for
        assert not [name for name in flags if f"--{words.get(name, name).replace('_', '-')}" not in shown]

    def test_what_the_package_names_is_there(self, module):
        package = import_module(module)
        assert all(getattr(package, name) is not None for name in package.__all__)
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            package.nothing  # noqa: B018

    def test_what_carries_it_out_is_imported_by_name_alone(self, module):
        """Types apart: else the flags would wait for it."""
        source = Path(str(import_module(module).__file__)).read_text(encoding="utf-8")
        named = [node.module for node in ast.parse(source).body if isinstance(node, ast.ImportFrom)]
        assert "flags" in named
        assert "command" not in named


def test_all_commands_are_listed_with_what_they_are_for(capsys):
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, module in COMMANDS.items():
        (line,) = [line for line in lines if line.startswith(f"  {name} ")]
        assert line.split(maxsplit=1)[1] == str(import_module(module).__doc__).splitlines()[0]
        assert len(line) <= 120
    assert listed().splitlines() == lines


def test_the_module_run_as_a_program_is_the_command_line():
    ended = subprocess.run([sys.executable, "-m", "tables.commands", "hesian"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "snn-landscape: error: there is no command 'hesian': perhaps hessian (see --help)\n"


def test_a_command_under_its_one_name_is_the_same(capsys):
    assert main(["compare", "--hlep"]) == 2
    assert capsys.readouterr().err.startswith("snn-landscape compare: error: ")
    assert main(["timesteps"]) == 1
    assert capsys.readouterr().err.startswith("snn-landscape timesteps: error: no checkpoint given")
    assert main(["train", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: snn-landscape train ")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["hesian"], "there is no command 'hesian': perhaps hessian"),
        (["xyzzy"], "there is no command 'xyzzy'"),
        ([], "no command given"),
    ],
)
def test_no_such_command_is_one_line_and_status_2(argv, said, capsys):
    assert main(argv) == 2
    assert capsys.readouterr() == ("", f"snn-landscape: error: {said} (see --help)\n")


def test_a_listing_imports_nothing_heavy():
    script = "import sys; from tables.commands import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(done.stderr.split())


def test_a_function_by_name_is_imported_when_it_is_called(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    twice = later.function("written_later:twice")
    (tmp_path / "written_later.py").write_text("def twice(value, *, plus=0): return 2 * value + plus")
    assert twice(3, plus=1) == 7


def test_names_come_from_the_first_module_that_has_them(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "door").mkdir()
    (tmp_path / "door/__init__.py").write_text(
        "from tables import later\n__all__ = ['a', 'b', 'c']\n__getattr__ = later.names(__name__, 'one', 'two')\n"
    )
    (tmp_path / "door/one.py").write_text("a, hidden = 1, 0")
    (tmp_path / "door/two.py").write_text("a, b = 2, 2")
    door = import_module("door")
    assert (door.a, door.b) == (1, 2)
    assert isinstance(door.two, ModuleType)
    for name in ("c", "hidden"):
        with pytest.raises(AttributeError, match=f"module 'door' has no attribute '{name}'"):
            getattr(door, name)


@pytest.mark.slow
def test_what_carries_commands_out_leaves_torchvision_and_sklearn_to_the_data_that_need_them():
    script = """
import sys
from importlib import import_module
from models.data import load
from tables.commands import commands
for module in commands().values():
    if not module.startswith("figures."):
        import_module(f"{module}.command")
names = ("torchvision", "sklearn", "matplotlib", "torch._dynamo", "sympy")
print(*(name for name in names if name in sys.modules))
load("digits")
print(*(name for name in names if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["", "sklearn"]
