"""Code of the user's, run so that what it raises is one line that shows theirs."""

import linecache
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_OURS = {"analysis", "landscape", "models", "tables"}


def users(target: str | Path, function: Callable[[], T]) -> T:
    """What ``function`` returns. Raises ValueError with the user's line for what their code raises.

    Where the error is neither theirs nor a ValueError or OSError, it is passed on.
    """
    try:
        return function()
    except Exception as error:
        if (line := _line(error)) or isinstance(error, ValueError | OSError):
            raise ValueError(_said(str(target), line, error)) from error
        raise


def _line(error: Exception) -> str:
    """The last line that is neither a library's nor ours."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {(error.text or '').strip()}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if _is_theirs(frame.filename):
            line = (frame.line or linecache.getline(frame.filename, frame.lineno or 0)).strip()
            return f"{frame.filename}, line {frame.lineno}, in {frame.name}: {line}"
    return ""


def _said(target: str, line: str, error: Exception) -> str:
    kind = "" if isinstance(error, ValueError | FileNotFoundError) else f"{type(error).__name__}: "
    what = error.msg if isinstance(error, SyntaxError) else error
    said = f"{kind}{what}"
    if line:
        return f"{line}: {said}"
    return said if target.partition(":")[0] in said else f"{target}: {said}"


def _is_theirs(file: str) -> bool:
    """Whether a line of this file is the user's: not of an installed package, of Python, or of this one."""
    here = Path(__file__).resolve().parents[2]
    path = Path(file)
    if file.startswith("<") or {"site-packages", "dist-packages"} & set(path.parts):
        return False
    if path.is_relative_to(Path(linecache.__file__).parent):
        return False
    return not (path.is_relative_to(here) and path.relative_to(here).parts[0] in _OURS)
