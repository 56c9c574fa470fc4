"""The first screen: the question, the answer in three lines, and one picture, the rise against the radius."""

import math

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tables import answer
from tables.reading import TableError

from ..pictures import rise
from ..style import look as style
from ..style.methods import label, look_of, methods_of
from ..words.comparison import Tables
from .markup import prose, text, wide
from .plates import described, embedded
from .summary import answers

_FEW = 4  # methods that the question names
_HEIGHT = 2.5  # inches
_PICTURE = "Which is flatter at which radius"
_SHADE: dict[str, float] = {"alpha": 0.12, "linewidth": 0, "zorder": 0}


def question(names: list[str]) -> str:
    """What the page is asked, of methods by their labels."""
    if len(names) < 2:
        return f"Trained{''.join(f' with {name}' for name in names)}: where training ended, and how flat it is there"
    called = f"{', '.join(names[:-1])} or {names[-1]}" if len(names) <= _FEW else f"{len(names)} ways of training"
    return f"{called}: which minimum is flatter, and which generalizes better?"


def first(found: Tables) -> str:
    """The answers of one network and data set, and the picture beside them where it was measured."""
    if "compare" in found:
        (_, own), *_ = answer.parts(found)
        lines = list(answer.answer(own, label).lines)
    else:
        lines = list(answers(found, alone=len(methods_of(found)) == 1).items())[:3]
    if not lines:
        return "<p>No table answers a question here.</p>"
    said = "".join(f"<dt>{text(words)}</dt><dd>{prose(told)}</dd>" for words, told in lines)
    return f'<div class="lead"><dl>{said}</dl>{_pictured(found)}</div>'


def _pictured(found: Tables) -> str:
    try:
        image, shown, caption = picture(found)
    except TableError:
        return ""
    alt = text(f"Which is flatter at which radius: {shown}")
    image = f'<img class="column" src="{image}" alt="{alt}">'
    return (
        f"<figure>{wide('Which is flatter at which radius', image)}<figcaption>{prose(caption)}</figcaption></figure>"
    )


def picture(found: Tables) -> tuple[str, str, str]:
    """Rise of the loss against the radius, method minus reference, with crossovers: a data URI, what is in it, caption.

    Of logits as they are, along planes where there are any. Raises TableError where it wasn't measured.
    """
    frame = found.get("rise_curves", pd.DataFrame({"along": []}))
    along = next((name for name in ("plane", "line", "noise") if (frame["along"] == name).any()), "")
    if not along:
        raise TableError("no table of rises by radius")
    rows = frame[(frame["along"] == along) & (frame["logits"] == "plain")]
    crossings = answer.radii(found)
    with style.paper():
        matplotlib.rcParams["svg.hashsalt"] = "snn-landscape"
        figure = Figure(figsize=(style.COLUMN, _HEIGHT), layout="constrained")
        rise.rise(figure, rows)
        caption = " ".join(figure.get_supxlabel().split())
        figure.supxlabel("")
        figure.set_figheight(_HEIGHT)
        marked = sum(_mark(figure.axes[0], row) for _, row in crossings.iterrows())
        image = embedded(figure)
    words = " Upright lines: where the mean changes sign for sure, shaded as far as that is open." if marked else ""
    return image, described(figure), caption.partition(" One scale:")[0] + words


def _mark(ax: Axes, row: pd.Series) -> bool:
    """The crossover of one method where the sign is decided on both sides; whether there is one."""
    place, low, high = (float(row[name]) for name in ("crossover", "crossover_low", "crossover_high"))
    if not (row["certain"] and math.isfinite(place)):
        return False
    colour = look_of(str(row["method"])).colour
    ax.axvline(place, color=colour, linewidth=0.9, linestyle=(0, (1, 1)))
    ax.axvspan(low, high, color=colour, **_SHADE)
    return True
