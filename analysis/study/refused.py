"""What subjects of a study didn't get, and how that is told."""

from collections.abc import Sequence
from typing import NamedTuple

LEFT_OUT = "{} left out of {}: {}"


class Refused(NamedTuple):
    """An analysis that a subject didn't get: why, and whether it is one that such a subject can't have."""

    title: str
    reason: str
    unsuited: bool


def told(name: str, refused: Sequence[Refused], words: str = LEFT_OUT) -> list[str]:
    """What was refused, each reason once with whose it is, in these words."""
    lines = []
    for reason in dict.fromkeys(one.reason for one in refused):
        titles = [one.title for one in refused if one.reason == reason]
        shown = ", ".join(titles[:3]) + (f" and {len(titles) - 3} more" if len(titles) > 3 else "")
        lines.append(words.format(name, shown, reason))
    return lines


def once_each(failures: Sequence[tuple[str, Refused]]) -> list[str]:
    """Of every subject the first cause in a line, those of one cause together; whatever else was told already."""
    first: dict[str, str] = {}
    for _, one in failures:
        first.setdefault(one.title, one.reason)
    whole = summed([(name, one) for name, one in failures if one.reason == first[one.title]])
    more = dict.fromkeys(one.title for _, one in failures if one.reason != first[one.title])
    return [*whole, *([f"for other causes, told above, more of {', '.join(more)}"] if more else [])]


def summed(failures: Sequence[tuple[str, Refused]], words: str = "{} of {}: {}") -> list[str]:
    """A line for each reason with the analyses that failed for it, of the same subjects together."""
    names: dict[tuple[str, str], list[str]] = {}
    for name, one in failures:
        names.setdefault((one.title, one.reason), []).append(name)
    alike: dict[str, list[Refused]] = {}
    for (whose, reason), found in names.items():
        alike.setdefault(", ".join(found), []).append(Refused(whose, reason, False))
    return [line for found, refused in alike.items() for line in told(found, refused, words)]
