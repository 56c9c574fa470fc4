"""Batches made ready while the one before them is in use.

A thread keeps some batches ahead: it reads, cuts and mirrors, and for CUDA copies into pinned memory, from which a GPU
fetches while the CPU goes on. It alone draws from generators, in the order of the batches, so that nothing differs but
the time.
"""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from torch import Tensor

_END: Final = object()


def prefetched(batches: Iterator[Tensor], *, depth: int = 2, pin: bool = False) -> Generator[Tensor, None, None]:
    """The same batches, at most ``depth`` of them ahead; ``pin`` puts them into pinned memory (needs CUDA).

    What ``batches`` raises is raised in place of the batch that it couldn't make. Given up half-way, the thread ends
    with the batch it is at. Processes that ``batches`` needs should be there already: a thread should start none.
    """

    def following() -> Tensor | object:
        batch = next(batches, _END)
        return batch.pin_memory() if pin and isinstance(batch, Tensor) else batch

    with ThreadPoolExecutor(1, "batches") as thread:
        ahead = deque(thread.submit(following) for _ in range(depth))
        try:
            while isinstance(batch := ahead.popleft().result(), Tensor):
                ahead.append(thread.submit(following))
                yield batch
        finally:
            for each in ahead:
                each.cancel()
