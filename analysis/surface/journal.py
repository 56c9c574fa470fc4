"""What a long computation has found so far, kept beside its table so that a kill loses only what was in flight.

One line for each finding, its CRC-32 and JSON, appended and handed to the operating system at once, and forced to the
disk every second. A line that a kill or a full disk left torn is dropped when the file is read again; a damaged one is
refused. The first line holds the settings: under others nothing is taken up. Numbers come back to the bit.

Each process writes a file of its own, ``NAME.journal.0``, ``NAME.journal.1`` …, and reads all of them, so that the work
may go on with another number of processes. Another job that wants to write the same file is refused.
"""

import json
import os
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import processes
from tables.files import held

_SYNC = 1.0  # seconds


class Journal:
    """Findings by key, any JSON by any string; ``folder`` None keeps them in memory alone.

    What lies there from an earlier run is taken up. Raises ValueError, naming what differs, where its ``settings`` are
    others, or where it is damaged. All processes must make theirs at the same time.
    """

    def __init__(self, folder: Path | None, name: str, settings: Mapping[str, Any]):
        self._settings = json.loads(json.dumps(settings, default=str))
        self._path = folder / f"{name}.journal.{processes.rank()}" if folder else None
        self._pattern = f"{name}.journal.*"
        self._file: int | None = None
        self._synced = 0.0
        self.found: dict[str, Any] = {}
        for path in self._files():
            self._read(path)
        processes.gathered(())  # nobody writes before all have read

    def add(self, key: str, finding: Any) -> None:
        """Keep one finding. Raises OSError where that can't be done, or another job does it; those before are kept."""
        self.found[key] = finding
        if self._path is not None:
            if self._file is None:
                self._file = self._opened(self._path)
            self._write(self._path, self._file, [key, finding])

    def remove(self) -> None:
        """Delete the files of all processes: what they hold is in the table."""
        if processes.is_main():
            for path in self._files():
                path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the file, which another run may then go on with."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _files(self) -> list[Path]:
        return sorted(self._path.parent.glob(self._pattern)) if self._path else []

    def _read(self, path: Path) -> None:
        lines = [_parsed(path, line) for line in _whole(path).splitlines()]
        if lines:
            self._check(path, lines[0])
        self.found.update(lines[1:])

    def _check(self, path: Path, there: dict[str, Any]) -> None:
        names = [name for name in self._settings | there if self._settings.get(name) != there.get(name)]
        if names:
            differing = ", ".join(
                f"{name} {there.get(name)} there and {self._settings.get(name)} now" for name in names
            )
            raise ValueError(
                f"{path} keeps part of a run with other settings ({differing}): finish that one, "
                f"name another --out, or delete the file"
            )

    def _opened(self, path: Path) -> int:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        if not held(file, wait=False):
            os.close(file)
            raise OSError(f"{path} is being written by another run: wait for that one, or name another --out")
        kept = _whole(path)
        if kept:
            self._check(path, _parsed(path, kept.partition(b"\n")[0]))
        os.ftruncate(file, len(kept))
        if not kept:
            self._write(path, file, self._settings)
        return file

    def _write(self, path: Path, file: int, content: Any) -> None:
        text = json.dumps(content).encode()
        line = b"%08x %b\n" % (zlib.crc32(text), text)
        try:
            if os.write(file, line) < len(line):
                raise OSError("there is no room for a whole line")
            if time.monotonic() - self._synced > _SYNC:
                os.fsync(file)
                self._synced = time.monotonic()
        except OSError as error:
            raise OSError(
                f"{path} can't be written ({error.strerror or error}): all that was found before is kept there; "
                f"make room, and the same command goes on from it"
            ) from error


def _parsed(path: Path, line: bytes) -> Any:
    digest, _, text = line.partition(b" ")
    if digest != b"%08x" % zlib.crc32(text):
        raise ValueError(f"{path} is damaged: delete it, and what it held is computed anew")
    return json.loads(text)


def _whole(path: Path) -> bytes:
    """The lines that were written to their end."""
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1]
