"""Every command and every snippet of the README does what it says, in the order it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A folder for the README's files, and an environment in which `python` is this one."""
    folder = tmp_path_factory.mktemp("readme")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return folder, os.environ | {"PATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def test_there_are_commands_and_snippets():
    assert {kind for kind, _ in BLOCKS} == {"sh", "python"}


def test_they_run(workplace):
    """One after another in one folder, since later ones use what earlier ones wrote; make's are looked up, not run."""
    folder, environment = workplace
    for kind, text in BLOCKS:
        if kind == "python":
            command = [sys.executable, "-c", text]
        else:
            script = re.sub(r"^make ", f"make -n -C {ROOT} ", text, flags=re.MULTILINE)
            command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def test_the_two_commands_come_first():
    kind, first = BLOCKS[0]
    assert (kind, [line.partition("#")[0].strip() for line in first.splitlines()]) == ("sh", ["make demo", "make test"])


def test_its_pictures_and_links_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_its_file_tree_is_the_tree():
    """Every module and folder of the packages stands in the tree, and nothing else does."""
    tree = README[README.rindex("```text") :]
    packages = {
        path.parent for name in ("models", "landscape", "analysis", "figures") for path in (ROOT / name).rglob("*.py")
    }
    for package in packages - {ROOT / "models/training/recipes"}:
        folder = package.relative_to(ROOT)
        named = re.search(rf"^{folder}/ .*?(?=^\S)", tree + "\nend", re.MULTILINE | re.DOTALL)
        assert named, folder
        listed = set(re.findall(r"^  (\w+)\.py", named.group(), re.MULTILINE))
        assert listed == {path.stem for path in package.glob("*.py")} - {"__init__"}, folder
