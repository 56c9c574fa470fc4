"""Files that are there whole or not at all."""

import os
from pathlib import Path


def replace(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write ``content`` under another name and rename it to ``path``; its folder is made if need be.

    ``durable``: have it on the disk first, so that not even a power cut leaves a part of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
