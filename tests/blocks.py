"""Commands and snippets of a page, carried out as they stand there: blocks marked sh and python, one after another."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def blocks(page: str) -> list[tuple[str, str]]:
    """The blocks of a page that are to run: kind and text."""
    return re.findall(r"^```(sh|python)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def environment() -> dict[str, str]:
    """What blocks run in: `python` is this one."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def carry_out(page: str, folder: Path) -> None:
    """All blocks in one folder, since later ones use what earlier ones wrote; make's commands are looked up, not run.

    A snippet whose first line is a comment with a file's name is that file.
    """
    for kind, text in blocks(page):
        named = re.match(r"# (\w+\.py)\n", text)
        if kind == "python" and named:
            (folder / named[1]).write_text(text)
            continue
        script = re.sub(r"^make ", f"make -n -C {ROOT} ", text, flags=re.MULTILINE)
        command = [sys.executable, "-c", text] if kind == "python" else ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
