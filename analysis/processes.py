"""One analysis on several processes, as torchrun starts them: who is who, whose share is what, how results meet.

    torchrun --nproc-per-node 2 -m analysis.hessian ckpt.pt

Every process runs the same command on a share of the images (or points) of its own; what they find meets in sums
(:class:`~landscape.objective.Objective` with ``group=processes.group()``) or in lists (:func:`gathered`). The first one
alone prints and writes. All of them take every decision, from the same sums: so none may be taken on a share alone.

Started without torchrun there is one process, and every function here is the identity. The group of processes is
joined by :func:`joined`, which :func:`analysis.command.main` enters.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")
_FAILURES = "snn-landscape/failures"


def rank() -> int:
    """The number of this process, from 0; also before :func:`joined`, where torchrun started it."""
    if dist.is_initialized():
        return dist.get_rank()
    return int(os.environ["RANK"]) if dist.is_torchelastic_launched() else 0


def world() -> int:
    """How many processes share the work."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this is the process that prints and writes."""
    return rank() == 0


def group() -> dist.ProcessGroup | None:
    """All processes, for :class:`~landscape.objective.Objective`; None where there is one."""
    return dist.group.WORLD if world() > 1 else None


def bounds(count: int) -> tuple[int, int]:
    """Where this process's share of ``count`` items starts and ends; all parts in order are the whole.

    Parts differ by one item at most; of fewer items than processes, some get none.
    """
    return count * rank() // world(), count * (rank() + 1) // world()


def share(items: Sequence[T]) -> Sequence[T]:
    """The part of ``items`` that falls to this process."""
    start, end = bounds(len(items))
    return items[start:end]


def gathered(items: Sequence[T]) -> list[T]:
    """The items of every process, in the processes' order; the same in all of them. Anything that pickles.

    Every process must call it. Raises ConnectionError when one of them has ended.
    """
    if world() == 1:
        return list(items)
    parts: list[Sequence[T]] = [()] * world()
    try:
        dist.all_gather_object(parts, items)
    except RuntimeError as error:
        raise ConnectionError("another process of this job has ended before its part was done") from error
    return [item for part in parts for item in part]


@contextmanager
def joined(name: str) -> Iterator[None]:
    """Join the other processes that torchrun started, for work on the device ``name``; alone, do nothing.

    When work fails in one process, that one raises and the others, which wait for it in vain, leave with SystemExit: a
    job says why it failed once.
    """
    if not dist.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1" or dist.is_initialized():
        yield
        return
    store, number, count = next(dist.rendezvous("env://"))
    dist.init_process_group("nccl" if name.startswith("cuda") else "gloo", store=store, rank=number, world_size=count)
    if name == "cuda" and int(os.environ["LOCAL_RANK"]) < torch.cuda.device_count():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        yield
    except (ValueError, OSError) as failure:
        if store.add(_FAILURES, 1) > 1:
            raise SystemExit(1) from failure
        raise
    dist.destroy_process_group()
