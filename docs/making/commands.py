"""A page for each command: its flags, from the dataclass; its tables, from the schema; what its docstring says."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from tables.commands import commands
from tables.schema import SCHEMA

from . import docstrings
from .flags import Flag, flags
from .markdown import page, rst, table, toctree


def pages(docs: Mapping[str, str]) -> dict[str, str]:
    """All pages of commands, by name, from the modules' docstrings ``docs``."""
    known = commands()
    lines = [(f"[{name}]({name}.md)", _first(docs[module])) for name, module in known.items()]
    index = page(
        "# Commands",
        "Each is `python -m PACKAGE.NAME` and `snn-landscape NAME`. `--help` says of flags what these pages do.",
        table(["command", "for"], lines),
        toctree(*known, hidden=True),
    )
    return {"index": index} | {name: _page(name, module, docs) for name, module in known.items()}


def shown() -> frozenset[str]:
    """Modules whose docstrings stand on these pages."""
    return frozenset(f"{module}.command" for module in commands().values())


def _first(doc: str) -> str:
    return doc.partition("\n")[0]


def _page(name: str, module: str, docs: Mapping[str, str]) -> str:
    config: type[Any] = import_module(f"{module}.flags").Config
    found = flags(config)
    written = [f"[{one.name}](../tables/{one.name}.md)" for one in SCHEMA.values() if one.command == name]
    return page(
        f"# {name}",
        _first(docs[module]),
        _usage(name, module, found),
        f"Tables: {', '.join(written)}." if written else "",
        *_by_owner(name, config, found),
        "## What it does",
        rst(f".. py:module:: {module}.command", "", docstrings.text(docs[f"{module}.command"])),
    )


def _usage(name: str, module: str, found: list[Flag]) -> str:
    words = [one.name + (" …" if one.takes.endswith("…") else "") for one in found if one.positional]
    needed = [f"{one.name} {one.name.strip('-').upper()}" for one in found if one.needed and not one.positional]
    asked = " ".join([*words, *needed, "[FLAGS]"])
    return f"```bash\npython -m {module} {asked}\nsnn-landscape {name} {asked}\n```"


def _by_owner(name: str, config: type[Any], found: list[Flag]) -> list[str]:
    """Flags that are this command's, and below them those that it shares with others."""
    own = [flag for flag in found if flag.field in config.__annotations__]
    shared = [flag for flag in found if flag.field not in config.__annotations__]
    both = {"## Flags": own, "## Flags it shares with others": shared}
    return [part for title, some in both.items() if some for part in (title, _options(name, some))]


def _options(name: str, some: list[Flag]) -> str:
    return rst(f".. program:: {name}", *(line for one in some for line in _option(one)))


def _option(flag: Flag) -> list[str]:
    """A flag as an entry of the index: what it takes, what it is for, and what it is unasked."""
    takes = f" <{flag.takes}>" if flag.takes and not flag.positional else ""
    unasked = "" if flag.needed else f" Default: ``{flag.default}``." if flag.default else " By default none."
    said = docstrings.text(flag.about + (" Needed." if flag.needed and not flag.positional else unasked))
    return ["", f".. option:: {flag.name}{takes}", "", f"   {said}"]
