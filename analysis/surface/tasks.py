"""The tasks of a surface carried out: from the journal where it knows, else here or in another process."""

from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm

from landscape.surfaces import Found, Task
from models import processes

from .journal import Journal


def carried_out(
    journal: Journal,
    label: Sequence[str | int],
    bar: "tqdm[Any]",
    tasks: Sequence[Task],
    evaluate: Callable[[Task], Found],
) -> list[Found]:
    """What was found for each of ``tasks``, in order, the same in every process; ``label`` names their surface.

    What the journal lacks is shared out, kept in it as it is found, and exchanged. ``bar`` counts tasks, whose total
    grows where there are more than was known.
    """
    keys = [" ".join(map(repr, (*label, *task.point, task.start, task.stop))) for task in tasks]
    missing = [number for number, key in enumerate(keys) if key not in journal.found]
    bar.total = max(bar.total or 0, bar.n + len(tasks))
    bar.update(len(tasks) - len(missing))
    fresh = []
    for number in processes.share(missing):
        fresh.append(evaluate(tasks[number]))
        journal.add(keys[number], fresh[-1])
        bar.update()
    bar.update(len(missing) - len(fresh))
    for number, found in zip(missing, processes.gathered(fresh), strict=True):
        journal.found[keys[number]] = found
    return [journal.found[key] for key in keys]
