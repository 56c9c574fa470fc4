"""Code of the user's own, named on a command line: ``FILE.py:NAME`` or ``package.module:NAME``, and arguments behind ?.

``mine.py:Net?width=32&norm=batch`` is ``Net(width=32, norm="batch")`` of that file: numbers, True, False and None are
read as such, anything else as a word. The working directory and the file's folder are on the path. A file is read once
for its digest and its code, so that what a checkpoint records is what was run.

**Code is run because a command line names it, and for no other reason.** What a checkpoint records by name is looked up
among what the command line lets it have, ``--code FILE.py``: by the file's name and its sha256, and then only functions
and classes that the file itself defines (``--code FILE.py:NAME`` lets it have that name, whatever it is). The digest is
of that one file, not of what it imports. ``--code FILE.py@any`` takes the file as it is now, whatever it was.
"""

import ast
import hashlib
import importlib
import importlib.util
import inspect
import linecache
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl

_TARGET = re.compile(r"(?P<where>.+\.py|[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)(\?(?P<arguments>.*))?", re.DOTALL)
_ANY = "@any"
_FILES: set[str] = set()  # of all code that was imported by name
_LEFT: dict[Path, Path] = {}  # working directories that code went to, and those that names were given in


class CodeError(ValueError):
    """Code that can't be found or run, or that nobody named."""


@dataclass(frozen=True)
class Named:
    """A name in a file or module, and the arguments that it is called with."""

    where: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    defined_there: bool = False
    """Whether it has to be a function or a class that the file defines."""

    def __str__(self) -> str:
        return f"{self.where}:{self.name}"


def is_code(word: str | Path) -> bool:
    """Whether ``word`` names code and not a file that is there."""
    return _TARGET.fullmatch(str(word)) is not None and not Path(word).exists()


def parse(word: str | Path) -> Named:
    """What ``word`` says. Raises CodeError where it can't be read."""
    found = _TARGET.fullmatch(str(word))
    if found is None:
        raise CodeError(f"{word}: expected FILE.py:NAME or package.module:NAME, as in mine.py:Net?width=32")
    return Named(found["where"], found["name"], arguments(found["arguments"] or "", word))


def thing(named: Named) -> Any:
    """What is called so: a function, a class, a value.

    Raises FileNotFoundError for no file, CodeError for no such name and, with its line, for what the code raises.
    """
    module = imported(named.where)
    if not hasattr(module, named.name):
        there = ", ".join(name for name, value in vars(module).items() if _defined(value, module) and name[0] != "_")
        raise CodeError(f"{named}: there is no {named.name} in {named.where}; there is {there or 'nothing to call'}")
    value = getattr(module, named.name)
    if named.defined_there and not _defined(value, module):
        raise CodeError(f"{named}: {named.where} doesn't define {named.name} itself: name it, --code {named}")
    return value


def made(named: Named) -> Any:
    """What it returns, called with its arguments. Raises as :func:`thing`, and CodeError for arguments it has not."""
    function = thing(named)
    if not callable(function):
        raise CodeError(f"{named}: expected a function or a class, got a {type(function).__name__}")
    try:
        signature = inspect.signature(function)
        signature.bind(**named.arguments)
    except TypeError as error:
        raise CodeError(f"{named}: {error}; it takes {signature}") from error
    with lines():
        return function(**named.arguments)


def function(named: Named) -> Any:
    """What is called so with its arguments given; of a class, what it makes of them. Raises as :func:`made`."""
    value = thing(named)
    if inspect.isclass(value):
        value = made(named)
    elif named.arguments:
        value = partial(value, **named.arguments)
    if not callable(value):
        raise CodeError(f"{named}: expected a function, got a {type(value).__name__}")
    return value


def sha256(where: str) -> str:
    """The digest of the file that ``where`` is, whose code is not run (but a module's packages are, to find it)."""
    return hashlib.sha256(_path(where).read_bytes()).hexdigest()


def digests(*words: str) -> str | None:
    """The files of those ``words`` that are code and the first digits of their digests; None where none is."""
    files = dict.fromkeys(parse(word).where for word in words if is_code(word))
    return ", ".join(f"{where} {sha256(where)[:16]}" for where in files) or None


def granted(recorded: Named, digest: str | None, code: Sequence[str]) -> Named:
    """What a checkpoint calls ``recorded``, whose file had ``digest``, among the ``code`` that the command line names.

    Of ``digest`` the first digits are enough, as :func:`digests` gives them.

    Raises CodeError where it is not among it, or the file is another now. Nothing is run.
    """
    for word in code:
        where, _, name = word.removesuffix(_ANY).partition("?")[0].partition(":")
        if _alike(where, recorded.where) and name in ("", recorded.name):
            if not word.endswith(_ANY) and digest is not None and not (now := sha256(where)).startswith(digest):
                raise CodeError(
                    f"{where} is not the file that the checkpoint was made with (its sha256 is {now[:12]}…, expected"
                    f" {digest[:12]}…): put that one back, or take it as it is with --code {where}{_ANY}"
                )
            return Named(where, recorded.name, recorded.arguments, defined_there=not name)
    raise CodeError(f"{recorded} is code, which is run only when you name it: add --code {recorded.where}")


def recorded_digest(told: str | None, where: str) -> str | None:
    """The digits that :func:`digests` gave for the file ``where``, in what it ``told``; None where it isn't there."""
    pairs = (pair.rpartition(" ") for pair in (told or "").split(", "))
    return next((digest for file, _, digest in pairs if file == where), None)


@contextmanager
def lines() -> Iterator[None]:
    """In the block, what the user's code raises becomes a CodeError of one line that shows theirs.

    Files named before it left the working directory are found after it.
    """
    before = Path.cwd()
    try:
        yield
    except (Exception, SystemExit) as error:
        said = _own_line(error) if isinstance(error, Exception) or type(error) is SystemExit else None
        if said is None or isinstance(error, CodeError):
            raise
        raise CodeError(said) from error
    finally:
        if (now := Path.cwd()) != before:
            _LEFT[now] = _LEFT.get(before, before)


def imported(where: str) -> ModuleType:
    """The module at ``where``, imported once for as long as its file stays the same. Raises as :func:`thing`."""
    path = _path(where)
    _FILES.add(str(path))
    for folder in (str(Path.cwd()), str(path.parent)) if where.endswith(".py") else (str(Path.cwd()),):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    with lines():
        if not where.endswith(".py"):
            return importlib.import_module(where)
        source = path.read_bytes()
        if b"\0" in source:
            raise CodeError(f"{where}: the file holds a null byte, and is no Python source")
        return _run(path, source)


@lru_cache(None)
def _run(path: Path, source: bytes) -> ModuleType:
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    free = path.stem not in sys.modules  # classes of the file are pickled by its name
    if free:
        sys.modules[path.stem] = module
    linecache.checkcache(str(path))
    try:
        exec(compile(source, str(path), "exec"), vars(module))
    except BaseException:
        if free:
            del sys.modules[path.stem]
        raise
    return module


def _path(where: str) -> Path:
    """Raises FileNotFoundError."""
    if where.endswith(".py"):
        named_in = _LEFT.get(Path.cwd(), Path()) / where
        path = named_in if named_in.is_file() else Path(where)
    else:
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        try:
            spec = importlib.util.find_spec(where)
        except (ImportError, ValueError):
            spec = None
        path = Path(spec.origin) if spec and spec.origin else Path(where.replace(".", "/") + ".py")
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}" + ("" if where.endswith(".py") else f", and no module {where}"))
    return path.resolve()


def _alike(where: str, recorded: str) -> bool:
    """Whether it is called the same, wherever it lies."""
    return Path(where).name == Path(recorded).name if recorded.endswith(".py") else where == recorded


def _defined(value: Any, module: ModuleType) -> bool:
    return (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == module.__name__


def arguments(text: str, word: str | Path) -> dict[str, Any]:
    """What stands behind the ? of ``word``, KEY=VALUE&…; raises CodeError where it can't be read."""
    found: dict[str, Any] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    except ValueError as error:
        raise CodeError(f"{word}: arguments are KEY=VALUE, with & between them, got {text!r}") from error
    for key, value in pairs:
        try:
            plain = ast.literal_eval(value)
        except (ValueError, SyntaxError):  # a word
            plain = value
        found[key] = plain if isinstance(plain, bool | int | float | str | None) else value
    return found


def _own_line(error: BaseException) -> str | None:
    """The last of the user's lines that led to ``error``, and what was raised; None where none did."""
    if isinstance(error, SyntaxError) and error.filename in _FILES:
        return f"{error.filename}, line {error.lineno}: {error.msg}: {(error.text or '').strip()}"
    raised: BaseException | None = error
    while raised is not None:
        for frame in reversed(traceback.extract_tb(raised.__traceback__)):
            if frame.filename in _FILES:
                said = f"{type(error).__name__}: {error}"
                return f"{frame.filename}, line {frame.lineno}, in {frame.name}: {(frame.line or '').strip()}: {said}"
        raised = raised.__cause__
    return None
