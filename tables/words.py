"""Numbers and lists as lines of text have them."""


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
    """With a capital and a full stop, names that come first left as they are written."""
    return f"{words[:1].upper()}{words[1:]}."
