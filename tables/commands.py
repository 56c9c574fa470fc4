"""One name for every command: ``snn-landscape hessian runs/tet-0/ckpt.pt`` is ``python -m analysis.hessian …``.

A command is a folder of models, analysis or figures with a module ``flags``; what it is for is its docstring's first
line. It is found by looking, and imported when it is asked for.
"""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

PACKAGES = ("models", "analysis", "figures")
_PROG = "snn-landscape"


def commands() -> dict[str, str]:
    """The module of every command, by its name."""
    places = {package: import_module(package).__path__ for package in PACKAGES}
    return {
        found.name: f"{package}.{found.name}"
        for package, place in places.items()
        for found in iter_modules(place)
        if any(Path(folder, found.name, "flags.py").is_file() for folder in place)
    }


def listed() -> str:
    """All commands, a line each."""
    known = commands()
    width = max(map(len, known))
    said = {name: str(import_module(module).__doc__).partition("\n")[0] for name, module in known.items()}
    lines = [f"  {name:{width}}  {line}" for name, line in said.items()]
    return "\n".join([f"usage: {_PROG} COMMAND …", "", *lines, "", f"{_PROG} COMMAND --help shows a command's flags."])


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    name, *rest = (sys.argv[1:] if argv is None else argv) or [""]
    known = commands()
    if name in known:
        status: int = import_module(known[name]).main(rest, prog=f"{_PROG} {name}")
        return status
    if name in ("-h", "--help"):
        print(listed())
        return 0
    near = get_close_matches(name, known, 1)
    said = f"there is no command {name!r}" if name else "no command given"
    print(f"{_PROG}: error: {said}{f': perhaps {near[0]}' if near else ''} (see --help)", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
