"""Numbers and lists as lines of text have them."""

from collections import Counter
from collections.abc import Sequence


def number(value: float) -> str:
    """Three significant digits, with a true minus."""
    return f"{value:.3g}".replace("-", "−")


def signed(value: float) -> str:
    """The same with its sign."""
    return f"{value:+.3g}".replace("-", "−")


def listed(words: list[str]) -> str:
    """a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def sentence(words: str) -> str:
    """With a capital and a full stop."""
    return f"{words[:1].upper()}{words[1:]}."


def in_doubt(decided: Sequence[Sequence[str]]) -> str:
    """How many of what is decided are in doubt, from the reasons of each; "" where none is.

    Of several in doubt for several reasons, each reason has its count, the commonest first, and only what it says
    before a colon: "; all 28 decided are in doubt: training losses differ 28, one of many rows 20".
    """
    doubted = [reasons for reasons in decided if reasons]
    if not doubted:
        return ""
    those = f"all {len(decided)}" if len(doubted) == len(decided) else f"{len(doubted)} of the {len(decided)}"
    those = "the one" if len(decided) == 1 else those
    counts = Counter(reason for reasons in decided for reason in dict.fromkeys(reasons))
    plain = len(doubted) == 1 or len(counts) == 1
    said = [reason if plain else f"{reason.partition(': ')[0]} {count}" for reason, count in counts.most_common()]
    return f"; {those} decided {'is' if len(doubted) == 1 else 'are'} in doubt: {', '.join(said)}"
