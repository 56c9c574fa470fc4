"""A file of the user's own in their working directory, as a fixture."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def own_file(name: str, text: str, *, always: bool = True) -> Callable[..., Any]:
    """A fixture: the file ``name`` with ``text``, in a directory of the test's own which is the working directory.

    ``always`` is for every test of the module that has it. The file's module is forgotten after the test, and the path
    of imports is as it was.
    """

    @pytest.fixture(autouse=always)
    def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", [*sys.path])
        (tmp_path / name).write_text(text)
        yield tmp_path / name
        sys.modules.pop(name.removesuffix(".py"), None)

    return own
