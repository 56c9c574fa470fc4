"""torch.save's archives taken apart and put together again, with checksums that are right whatever was done to them."""

import io
import zipfile
from collections.abc import Callable, Iterator

Change = Callable[[str, bytes], bytes]


def records(archive: bytes) -> dict[str, bytes]:
    """Name without the archive's own, and content, of every record."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name.partition("/")[2]: opened.read(name) for name in opened.namelist()}


def rebuilt(archive: bytes, change: Change, compression: int = zipfile.ZIP_STORED) -> bytes:
    """``archive`` with every record as ``change(name, content)`` gives it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as written:
        for name, content in records(archive).items():
            written.writestr(f"archive/{name}", change(name, content))
    return out.getvalue()


def doubled(archive: bytes) -> bytes:
    """With a second record of one name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as written:
        for name, content in _twice(records(archive)):
            written.writestr(f"archive/{name}", content)
    return out.getvalue()


def _twice(held: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    yield from held.items()
    yield "version", held["version"]


def overlapping(archive: bytes) -> bytes:
    """With a directory that lists the first tensor a hundred times more, under other names: what it claims adds up."""
    end = archive.rindex(b"PK\x05\x06")
    start, count = int.from_bytes(archive[end + 16 : end + 20], "little"), 100
    directory = archive[start:end]
    name = b"archive/data/0"
    entry = directory[directory.index(name) - 46 : directory.index(name)]
    others = [entry + f"{number:0{len(name)}d}".encode() for number in range(count)]
    grown = directory + b"".join(others)
    number = int.from_bytes(archive[end + 10 : end + 12], "little") + count
    tail = bytearray(archive[end:])
    tail[8:10] = tail[10:12] = number.to_bytes(2, "little")
    tail[12:16] = len(grown).to_bytes(4, "little")
    return archive[:start] + grown + bytes(tail)
