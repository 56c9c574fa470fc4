"""What a block of a test costs: seconds of this process's own time, and memory beyond what it held before."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import process_time

_STATUS = Path("/proc/self/status")


@dataclass
class Cost:
    """``seconds`` of CPU time, and ``memory`` at its peak in bytes (0 where the system doesn't say)."""

    seconds: float = 0.0
    memory: int = 0


@contextmanager
def measured() -> Iterator[Cost]:
    """The cost of the block, known at its end, however it ends."""
    cost = Cost()
    held, started = _reset(), process_time()
    try:
        yield cost
    finally:
        cost.seconds, cost.memory = process_time() - started, _field("VmHWM") - held


def _reset() -> int:
    """Start the peak anew; what is held now."""
    if _STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")
    return _field("VmRSS")


def _field(name: str) -> int:
    lines = _STATUS.read_text().splitlines() if _STATUS.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name)), 0)
