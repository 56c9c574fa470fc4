"""C compiled on first use, by the C compiler that is there; where it can't be done one line says why.

The compiler is $CC, or cc. What $CC holds is split as a shell splits it, so that it may have flags: ``CC='gcc -O2'``.
"""

import ctypes
import os
import shlex
import subprocess
import warnings
from pathlib import Path

from ..scratch import scratch

_FOLDER = "snn-landscape-compiling"
_SAID: set[str] = set()


def compiled(source: Path, *flags: str) -> ctypes.CDLL | None:
    """The library that ``source`` becomes with ``flags``; None, and a RuntimeWarning a process, where it can't be."""
    asked = os.environ.get("CC", "").strip() or "cc"
    try:
        with scratch(_FOLDER) as folder:
            target = str(folder / "compiled.so")
            subprocess.run(
                [*shlex.split(asked), *flags, str(source), "-o", target, "-lm"],
                check=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=os.environ | {"TMPDIR": str(folder)},  # so that nothing of the compiler's stays elsewhere
            )
            return ctypes.CDLL(target)  # stays mapped when its file is gone
    except subprocess.CalledProcessError as failure:
        _warn(asked, _complaint(failure))
    except (OSError, ValueError) as failure:
        _warn(asked, str(failure))
    return None


def _complaint(failure: subprocess.CalledProcessError) -> str:
    lines = failure.stderr.decode(errors="replace").splitlines()
    said = [line for line in lines if "error" in line] or [line for line in lines if line.strip()]
    return said[0] if said else f"it ended with status {failure.returncode}"


def _warn(asked: str, reason: str) -> None:
    if asked in _SAID:
        return
    _SAID.add(asked)
    line = (
        f"the C compiler {asked!r} (CC, or cc) doesn't work: {' '.join(reason.split())};"
        " neurons are computed by a plain loop, which takes longer"
    )
    warnings.warn_explicit(line, RuntimeWarning, __name__, 1)  # a name without source: one line on stderr
