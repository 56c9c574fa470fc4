"""What a network still knows when its weights, neurons, spikes or images are not as they were: accuracy and strength.

Of networks that have no accuracy, the loss. One panel a perturbation, all on one scale. Where strength begins, at 0 or
at unrounded weights, the network is as trained. Draws are averaged within a seed, and the band is that of the mean over
seeds: none below three, whatever the draws.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from tables.reading import TableError
from tables.rows import any_measured, check_measured, one_split

from ..style.bands import Curve, curve, handles, remark
from ..style.look import PAGE, caption, fit_means, legend
from ..style.methods import first_loss, looks, loss_label
from ..words.comparison import Tables, needed
from ..words.gaps import gap
from ..words.prose import sentence
from ..words.verdicts import told
from .picture import Picture

PERTURBATIONS = {
    "weight_noise": ("noise on weights", "of each filter's norm"),
    "rounding": ("rounded weights", "bits"),
    "threshold_spread": ("unlike thresholds", "relative spread"),
    "decay_spread": ("unlike decays", "relative spread"),
    "lost_spikes": ("lost spikes", "probability"),
    "spurious_spikes": ("spurious spikes", "probability"),
    "input_noise": ("noise on pixels", "of their deviation"),
    "gaussian_noise": ("noisy images", "severity"),
    "defocus_blur": ("images out of focus", "severity"),
    "contrast": ("less contrast", "severity"),
    "brightness": ("brighter images", "severity"),
    "pixelate": ("coarser images", "severity"),
    "translation": ("moved images", "severity"),
}
_COLUMNS = 4
_UNROUNDED = 32


def robustness(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str], Curve]:
    """Draw a panel per perturbation into ``figure``, whose height is set to hold them: curves by (it, method)."""
    split, rows = one_split(frame, "test")
    rows, what, high = kept(rows)
    names = [name for name in PERTURBATIONS if (rows["perturbation"] == name).any()]
    names += sorted(set(rows["perturbation"]) - set(names))
    columns = min(_COLUMNS, len(names))
    lines = -(-len(names) // columns)
    figure.set_figheight(0.95 + 1.55 * lines)
    axes = figure.subplots(lines, columns, sharey=True, squeeze=False)
    curves: dict[tuple[str, str], Curve] = {}
    for ax, name in zip(axes.flat, names, strict=False):
        part = rows[rows["perturbation"] == name]
        title, unit = PERTURBATIONS.get(name, (name, "strength"))
        ax.set(title=title, xlabel=unit)
        part = part.assign(at=_bits(ax, part["strength"]) if name == "rounding" else part["strength"])
        curves |= {(name, method): one for method, one in _panel(ax, part).items()}
    for ax in axes.flat[len(names) :]:
        ax.remove()
    for ax in axes[:, 0]:
        ax.set_ylabel(f"{split} {what}")
    ends = pd.concat([one.table[["mean", "low", "high"]] for one in curves.values()])
    fit_means(axes[0, 0], ends["mean"], ends[["low", "high"]].to_numpy().ravel(), low=0, high=high)
    legend(figure, handles(curves.values()))
    caption(figure, _text(rows, split, list(curves.values())))
    return curves


def kept(rows: pd.DataFrame) -> tuple[pd.DataFrame, str, float]:
    """Rows with what is left as ``kept``; what that is, and the largest it can be.

    The accuracy in percent, which is the same under all losses; where there is none, the first loss.
    """
    if any_measured(rows, "accuracy"):
        rows = rows.drop_duplicates(["checkpoint", "perturbation", "strength"])
        return rows.assign(kept=100 * rows["accuracy"]), "accuracy (%)", 100.0
    check_measured(rows, "value")
    loss = first_loss(rows)
    rows = rows[rows["loss"] == loss]
    return rows.assign(kept=rows["value"]), loss_label(loss), np.inf


def _bits(ax: Axes, strength: pd.Series) -> pd.Series:
    """Evenly spaced places, from most bits to fewest; weights as trained are called that."""
    bits = sorted(strength.unique(), reverse=True)
    ax.xaxis.set_major_locator(FixedLocator(range(len(bits))))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels(["none" if one >= _UNROUNDED else f"{one:g}" for one in bits])
    return strength.map({one: place for place, one in enumerate(bits)})


def _panel(ax: Axes, part: pd.DataFrame) -> dict[str, Curve]:
    curves = {}
    for method, look in looks(part["method"]).items():
        one = part[part["method"] == method]
        if np.isfinite(one["kept"]).any():
            curves[method] = curve(ax, one, "at", "kept", method, name=look.label)
    return curves


def _text(rows: pd.DataFrame, split: str, curves: list[Curve]) -> str:
    images = " or ".join(f"{one:.0f}" for one in sorted(rows["images"].unique()))
    said = remark(curves)
    draws = f"{max(rows['draws']):.0f} draws of everything random, averaged within a seed"
    return f"On {images} {split} images, {draws}. Bands may leave the panel. {said}"


def reading(tables: Tables) -> str:
    """What is left under each perturbation, averaged over its strengths."""
    split, rows = one_split(needed(tables, "robustness"), "test")
    none = np.where(rows["perturbation"] == "rounding", rows["strength"] >= _UNROUNDED, rows["strength"] == 0)
    if none.all():
        raise TableError("no strength above zero")
    rows, what, _ = kept(rows[~none])
    claims = {
        f"under {PERTURBATIONS.get(str(name), (str(name), ''))[0]}": gap(part, "kept")
        for name, part in rows.groupby("perturbation")
    }
    words, _, unit = what.partition(" (")
    return sentence(told(f"the {split} {words}, averaged over strengths,", claims, unit=unit.rstrip(")")))


PICTURES = (Picture("robustness", "robustness", robustness, PAGE, 4.0, "What the networks survive", reading, 250),)
