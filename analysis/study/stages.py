"""Stages of a study: tasks for worker processes, each on one thread, that die with the study."""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from itertools import chain
from multiprocessing import parent_process
from threading import Thread
from typing import Any

import torch
from tqdm import tqdm

from models import heap


def begin_worker() -> None:
    """What every worker does first."""
    torch.set_num_threads(1)
    heap.keep_some()
    Thread(target=_die_with_the_study, daemon=True).start()


def _die_with_the_study() -> None:
    """So that the same study, started again after a kill, finds nobody at work in its folders."""
    study = parent_process()
    if study:
        study.join()
        os._exit(1)


Task = tuple[Callable[..., Any], Sequence[Any]]


def stage(pool: Executor, name: str, tasks: Iterable[Task], keep: Callable[[Any], object] = bool) -> float:
    """Carry the tasks out, with a bar; returns the seconds it took. The first failure stops the study.

    What each returns goes to ``keep``.
    """
    return stages(pool, {name: tasks}, keep)[name]


def stages(
    pool: Executor, tasks: Mapping[str, Iterable[Task]], keep: Callable[[Any], object] = bool
) -> dict[str, float]:
    """The same of several stages, none of whose tasks needs another's: no worker waits for the end of a stage.

    A stage's seconds are those from the end of the one before it.
    """
    submitted = {
        name: [pool.submit(function, *arguments) for function, arguments in some] for name, some in tasks.items()
    }
    seconds = {}
    try:
        for name, futures in submitted.items():
            begun = time.perf_counter()
            bar = tqdm(as_completed(futures), total=len(futures), desc=f"{name:9}", unit="run", disable=not futures)
            for future in bar:
                keep(future.result())
            seconds[name] = time.perf_counter() - begun
    except BaseException:
        for future in chain.from_iterable(submitted.values()):
            future.cancel()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    return seconds
