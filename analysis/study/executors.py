"""Where tasks are carried out: processes of this machine, or wherever an executor of the user's sends them.

    python -m analysis.study --out runs/mine --executor cluster.py:executor

    def executor():                                       # cluster.py
        return Client("tcp://scheduler:8786").get_executor(pure=False)

The function returns any :class:`concurrent.futures.Executor`: a process pool, dask.distributed's as above (on SLURM by
dask-jobqueue's SLURMCluster), executorlib's. Tasks are functions of this package, and settings and paths their
arguments; no tensor travels. What a task makes lies in files that no other one writes, so that in which order they end
changes nothing, and one whose worker was lost may be carried out again: training goes on from its last epoch, what is
measured is measured anew. Workers need this package, and the study's folder and data under the paths that they have
here. Each task computes on one thread.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import torch

from models import code

from .stages import begin_worker

_OURS = ("builtins", "analysis", "figures", "landscape", "models", "tables")


@contextmanager
def executor(asked: str | None, jobs: int) -> Iterator[Executor]:
    """The executor that ``asked`` makes, FILE.py:FUNCTION, or ``jobs`` processes of this machine.

    Raises CodeError for what is no executor, ValueError where workers are lost for good.
    """
    if asked is None:
        made: Executor = ProcessPoolExecutor(jobs, get_context("spawn"), begin_worker)
    else:
        made = _OnOneThread(_made(asked))
    try:
        with made:
            yield made
    except (BrokenExecutor, CancelledError) as error:
        raise ValueError(_lost(error)) from error
    except Exception as error:
        if asked is None or type(error).__module__.partition(".")[0] in _OURS:
            raise
        raise ValueError(_lost(error)) from error  # the executor's own: of a scheduler that is gone, say


def _made(asked: str) -> Executor:
    found = code.made(code.parse(asked))
    if not isinstance(found, Executor):
        raise code.CodeError(
            f"{asked} returns a {type(found).__name__}, expected a concurrent.futures.Executor: write "
            "return ProcessPoolExecutor(8), or return Client(…).get_executor(pure=False)"
        )
    return found


def _lost(error: BaseException) -> str:
    said = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
    return f"workers were lost ({said}); what is finished is kept, and the same command goes on from there"


class _OnOneThread(Executor):
    """Another executor, whose tasks compute on one thread each."""

    def __init__(self, inner: Executor):
        self.inner = inner

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        return self.inner.submit(_on_one_thread, function, *arguments, **named)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 (not all know it)
        self.inner.shutdown(wait=wait)


def _on_one_thread(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    torch.set_num_threads(1)
    return function(*arguments, **named)
