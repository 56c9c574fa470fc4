"""Stages of a study: tasks for worker processes, each on one thread, that die with the study."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, as_completed
from multiprocessing import parent_process
from threading import Thread
from typing import Any

import torch
from tqdm import tqdm


def begin_worker() -> None:
    """What every worker does first."""
    torch.set_num_threads(1)
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
    begun = time.perf_counter()
    futures = [pool.submit(function, *arguments) for function, arguments in tasks]
    try:
        for future in tqdm(
            as_completed(futures), total=len(futures), desc=f"{name:9}", unit="run", disable=not futures
        ):
            keep(future.result())
    except BaseException:
        for future in futures:
            future.cancel()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    return time.perf_counter() - begun
