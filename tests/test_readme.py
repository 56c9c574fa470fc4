"""Every command and every snippet of the README does what it says, in the order it stands there."""

import ast
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
    """Every package and every room in it stands in the tree, and no folder that isn't there does."""
    tree = README[README.rindex("```text") :]
    packages = ("tables", "landscape", "models", "analysis", "figures")
    for package in packages:
        named = re.search(rf"^{package}/ .*?(?=^\S)", tree + "\nend", re.MULTILINE | re.DOTALL)
        assert named, package
        rooms = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        assert set(re.findall(r"(?:^  | )(\w+)/", named.group(), re.MULTILINE)) - {"recipes"} == rooms, package


@pytest.mark.parametrize("package", ["tables", "landscape", "models", "analysis", "figures"])
def test_every_module_says_in_its_first_line_what_it_is_for(package):
    for path in (ROOT / package).rglob("*.py"):
        doc = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert 8 < len(doc.splitlines()[0]) <= 117, path
