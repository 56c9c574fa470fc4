"""What a run takes of memory, from one forward pass of its network to the next.

Of a process's memory the system counts what is resident, and the highest of it since it was told to forget (Linux: man
5 proc, clear_refs); of a CUDA device torch's allocator does. What grows from a pass's begin to its highest is told from
what was there before, so that what a pass takes isn't hidden by a higher peak elsewhere.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import nan
from pathlib import Path

import torch
from torch import nn

from models import heap


@dataclass
class Peaks:
    """Forward passes, and bytes: the highest, and the most that came from the begin of a pass to that of the next.

    Bytes are NaN where the system doesn't tell.
    """

    device: str
    passes: int = 0
    highest: float = 0
    growth: float = 0
    _begun: float = 0

    def begin(self) -> None:
        """Of a pass, or of what comes before the first."""
        self._begun = self._now()
        try:
            self._forget()
        except OSError:
            self._begun = nan

    def end(self) -> None:
        """Of what was begun."""
        highest = self._highest()
        if self._begun != self._begun:
            highest = nan
        self.highest = highest if highest != highest else max(self.highest, highest)
        self.growth = highest if highest != highest else max(self.growth, highest - self._begun)

    def _now(self) -> float:
        return float(torch.cuda.memory_allocated(self.device)) if self._on_cuda else _resident("VmRSS")

    def _highest(self) -> float:
        return float(torch.cuda.max_memory_allocated(self.device)) if self._on_cuda else _resident("VmHWM")

    def _forget(self) -> None:
        if self._on_cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            Path("/proc/self/clear_refs").write_text("5")

    @property
    def _on_cuda(self) -> bool:
        return self.device.startswith("cuda")


@contextmanager
def watched(network: nn.Module, device: str) -> Iterator[Peaks]:
    """What is seen in here; whole when it ends."""
    seen = Peaks(device)

    def passing(*_: object) -> None:
        seen.end()
        seen.begin()
        seen.passes += 1

    with nullcontext() if device.startswith("cuda") else heap.keeping_nothing():
        seen.begin()
        handle = network.register_forward_pre_hook(passing)
        try:
            yield seen
        finally:
            handle.remove()
            seen.end()


def _resident(what: str) -> float:
    try:
        found = re.search(rf"^{what}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return nan
    return int(found[1]) * 1024.0 if found else nan
