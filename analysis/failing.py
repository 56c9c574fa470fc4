"""Several subjects of which some fail: the others are measured, and what failed is told at the end, a line each."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeGuard, TypeVar

from landscape.refusal import Refusal
from models import processes
from tables.result import Result

T = TypeVar("T")


class Failed(ValueError):
    """Some of several subjects failed, ``lines`` by title; ``result`` has those that didn't, None where all failed."""

    def __init__(self, lines: dict[str, str], count: int, result: Result | None):
        others = "the others are measured" if result else "nothing is measured"
        super().__init__(f"{len(lines)} of {count} failed, {others}: {'; '.join(lines.values())}")
        self.lines, self.count, self.result = lines, count, result


@dataclass(frozen=True)
class Failure:
    """What became of a subject, or pair, that could not be measured."""

    title: str
    line: str


class Failures:
    """What failed among ``count`` subjects, or pairs of them. A single one's failure is raised as it comes.

    Where several processes work ``together`` on each, a failure is raised too, since the others would wait.
    """

    def __init__(self, count: int, *, together: bool = False):
        self.count, self.lines = count, dict[str, str]()
        self._raised = together and processes.world() > 1

    def tried(self, titles: Sequence[str], measure: Callable[[], T]) -> T | Failure:
        """What ``measure`` returns, or how it failed, by ValueError or OSError."""
        try:
            return measure()
        except (ValueError, OSError) as error:
            said, title = " ".join(str(error).split()), " to ".join(titles)
            if self.count == 1:
                if type(error) not in (ValueError, Refusal) or any(one in said for one in titles):
                    raise
                raise ValueError(f"{title}: {said}") from error
            line = said if all(one in said for one in titles) else f"{title}: {said}"
            if self._raised:
                raise ValueError(line) from error
            return Failure(title, line)

    def kept(self, found: T | Failure) -> TypeGuard[Failure]:
        """Whether ``found`` is a failure, which is then told at the end."""
        if isinstance(found, Failure):
            self.lines[found.title] = found.line
        return isinstance(found, Failure)

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
