"""One command on several processes, as torchrun starts them: who is who, whose share is what, how results meet.

    torchrun --nproc-per-node 2 -m models.train --data cifar10 --device cuda --out runs/tet-0
    torchrun --nproc-per-node 2 -m analysis.hessian runs/tet-0/ckpt.pt

Every process runs the same command on a share of its own; what they find meets in sums or in lists. The first one alone
reads and writes checkpoints, prints, and shows bars, so that nodes need no common disk for what is written; each reads
the data. All of them take every decision, from the same sums: so none may be taken on a share alone.

Started without torchrun there is one process, and every function here is the identity. Tensors on the CPU meet through
gloo, those on CUDA through NCCL. The group is joined by :func:`joined`.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

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


def part() -> tuple[int, int]:
    """This process's number among those that share the work, and how many they are."""
    return (rank(), world()) if world() > 1 else (0, 1)


def is_main() -> bool:
    """Whether this is the process that prints and writes."""
    return rank() == 0


def group() -> dist.ProcessGroup | None:
    """All processes, as torch names them; None where there is one."""
    return dist.group.WORLD if world() > 1 else None


def device(name: str) -> str:
    """The device that ``name`` means in this process: of several processes on CUDA each takes the GPU of its number.

    Raises ValueError for one GPU by number where there are several processes.
    """
    if world() == 1 or not name.startswith("cuda"):
        return name
    if name != "cuda":
        raise ValueError(f"--device {name} would be that of all {world()} processes: use --device cuda, one GPU each")
    return f"cuda:{os.environ['LOCAL_RANK']}"


@contextmanager
def joined(name: str) -> Iterator[None]:
    """Join the other processes that torchrun started, for work on the device ``name``; alone, do nothing.

    When one process fails, that one raises and the others, which wait for it in vain, leave with SystemExit: a job
    says why it failed once.
    """
    if not dist.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1" or dist.is_initialized():
        yield
        return
    store, number, count = next(dist.rendezvous("env://"))
    if name == "cuda" and int(os.environ["LOCAL_RANK"]) < torch.cuda.device_count():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "cpu:gloo,cuda:nccl" if name.startswith("cuda") else "gloo"
    dist.init_process_group(backend, store=store, rank=number, world_size=count)
    try:
        yield
    except (ValueError, OSError) as failure:
        if store.add(_FAILURES, 1) > 1:
            raise SystemExit(1) from failure
        raise
    except RuntimeError as failure:  # what a collective raises when another process has left it
        if store.add(_FAILURES, 0) > 0:
            raise SystemExit(1) from failure
        raise
    dist.destroy_process_group()


def bounds(count: int) -> tuple[int, int]:
    """Where this process's share of ``count`` items starts and ends; all parts in order are the whole.

    Parts differ by one item at most; of fewer items than processes, some get none.
    """
    number, parts = part()
    return count * number // parts, count * (number + 1) // parts


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


def shared(value: T) -> T:
    """The first process's ``value``, in all of them: anything that pickles."""
    if world() == 1:
        return value
    box: list[Any] = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def summed(values: Tensor) -> Tensor:
    """The sum over all processes, in place, the same bits in each."""
    if world() > 1:
        dist.all_reduce(values)
    return values


def any_of(flag: bool) -> bool:
    """Whether ``flag`` is true in any process. All must ask."""
    return flag if world() == 1 else bool(summed(torch.tensor(int(flag))))
