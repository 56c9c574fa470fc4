"""What the tests of pictures read from them."""

from matplotlib.figure import Figure


def caption_of(figure: Figure) -> str:
    """The caption on one line, its spaces plain."""
    return figure.get_supxlabel().replace("\n", " ").replace("\u00a0", " ")
