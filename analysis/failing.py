"""Several subjects of which some fail: the others are measured, and what failed is told at the end, a line each."""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from models import processes
from tables.result import Result

T = TypeVar("T")


class Failed(ValueError):
    """Some of several subjects failed, ``lines`` by title; ``result`` has those that didn't, None where all failed."""

    def __init__(self, lines: dict[str, str], count: int, result: Result | None):
        others = "the others are measured" if result else "nothing is measured"
        super().__init__(f"{len(lines)} of {count} failed, {others}: {'; '.join(lines.values())}")
        self.lines, self.count, self.result = lines, count, result


class Failures:
    """What failed among ``count`` subjects, or pairs of them. A single one's failure is raised as it comes."""

    def __init__(self, count: int):
        self.count, self.lines = count, dict[str, str]()

    def tried(self, titles: Sequence[str], measure: Callable[[], T]) -> T | None:
        """What ``measure`` returns; None where it raised ValueError or OSError, which is kept, with the ``titles``.

        Of several processes a failure is raised, since the others would wait.
        """
        try:
            return measure()
        except (ValueError, OSError) as error:
            if self.count == 1:
                raise
            said, title = " ".join(str(error).split()), " to ".join(titles)
            line = said if all(one in said for one in titles) else f"{title}: {said}"
            if processes.world() > 1:
                raise ValueError(line) from error
            self.lines[title] = line
            return None

    def checked(self, result: Result | None) -> Result:
        """``result``. Raises Failed where something failed."""
        if self.lines or result is None:
            raise Failed(self.lines, self.count, result)
        return result


def told(run: Callable[[], Result], show: Callable[[Result], object]) -> None:
    """Carry out ``run`` and ``show`` its tables; of several subjects those that could be had, then what failed.

    Raises ValueError, in one line, where something failed.
    """
    try:
        result = run()
    except Failed as failure:
        if failure.result:
            show(failure.result)
        for line in failure.lines.values():
            print(f"failed: {line}", file=sys.stderr)
        raise ValueError(f"{len(failure.lines)} of {failure.count} failed: {', '.join(failure.lines)}") from failure
    show(result)
