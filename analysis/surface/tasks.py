"""The tasks of a surface carried out: from the journal where it knows, else here or in another process."""

from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm

from landscape.surfaces import Found, Moments, Task
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

    What the journal lacks is shared out, kept in it as it is found, and exchanged. ``bar`` counts tasks; those that are
    not the first at their point are added to its total.
    """
    keys = [" ".join(map(repr, (*label, *task.point, task.start, task.stop))) for task in tasks]
    missing = [number for number, key in enumerate(keys) if key not in journal.found]
    bar.total = (bar.total or 0) + (len(tasks) if tasks[0].start else 0)
    bar.update(len(tasks) - len(missing))
    fresh = []
    for number in processes.share(missing):
        fresh.append(evaluate(tasks[number]))
        journal.add(keys[number], fresh[-1])
        bar.update()
    bar.update(len(missing) - len(fresh))
    for number, found in zip(missing, processes.gathered(fresh), strict=True):
        journal.found[keys[number]] = found
    return [
        {name: (Moments(*value), Moments(*rise)) for name, (value, rise) in journal.found[key].items()} for key in keys
    ]
