"""`make test` has some of every kind of check, and `make test-all`, which CI runs, all of them."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slow import keep_first

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "tests").rglob("test_*.py"))


class Item:
    """As much of a collected test as is looked at."""

    def __init__(self, nodeid: str, *marks: pytest.MarkDecorator):
        self.nodeid, self.own_markers = nodeid, [one.mark for one in marks]

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return next((one for one in self.own_markers if one.name == name), None)


def test_the_first_cases_of_each_slow_test_stay():
    kept, plain = pytest.mark.slow(keep=2), pytest.mark.slow
    items = [Item(f"a.py::one[{case}]", kept, pytest.mark.zoo) for case in "abcd"]
    items += [Item("b.py::one[a]", kept), Item("a.py::two", plain), Item("a.py::three")]
    keep_first(items)
    slow = [item.nodeid for item in items if item.get_closest_marker("slow")]
    assert slow == ["a.py::one[c]", "a.py::one[d]", "a.py::two"]
    assert all(item.get_closest_marker("zoo") for item in items[:4])


def commands(target: str) -> list[str]:
    done = subprocess.run(["make", "-n", "-C", str(ROOT), target], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if line.startswith(".venv/bin") or "pytest" in line]


def test_make_test_leaves_out_what_is_slow_and_nothing_else():
    (*lint, some), (*all_lint, whole) = commands("test"), commands("test-all")
    assert lint == all_lint
    assert len(lint) >= 4
    assert " -m 'not zoo and not slow'" in some
    assert " -m '" not in whole  # pytest's own settings leave out the zoo
    assert whole.endswith("--nbmake notebooks")
    assert some.replace("/own_model.ipynb -m 'not zoo and not slow'", "") == whole
    assert "make test-all" in (ROOT / ".ci" / "run").read_text().splitlines()


def marked(path: Path) -> Iterator[tuple[ast.FunctionDef, bool, bool]]:
    """The tests of a file, whether each is marked slow without exception, and whether it is parametrised."""
    for one in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(one, ast.FunctionDef) and one.name.startswith("test_"):
            marks = [ast.unparse(mark) for mark in one.decorator_list]
            slow = any(mark.startswith("pytest.mark.slow") and "keep=" not in mark for mark in marks)
            yield one, slow, any("parametrize" in mark for mark in marks)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_file_has_tests_that_are_not_slow_and_every_family_a_case(path):
    found = list(marked(path))
    assert not [one.name for one, slow, family in found if slow and family], "write slow(keep=1)"
    assert not found or not all(slow for _, slow, _ in found)
    assert "pytestmark = pytest.mark.slow" not in path.read_text(encoding="utf-8") or path == Path(__file__)
