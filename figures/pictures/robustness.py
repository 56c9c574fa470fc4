"""What a network still knows when its weights, neurons, spikes or images are not as they were.

Of several methods the differences of their losses from the reference's, network by network of one seed: what differs
between seeds is common to both and would hide what differs between methods. Of one method its loss. One panel a
perturbation, all on one scale; where strength begins, at 0 or at unrounded weights, the network is as trained. Draws
are averaged within a seed, and the band is that of the mean over seeds: none below three, whatever the draws. What is
said of the picture is about the accuracy, or of networks that have none, about the loss.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from tables.reading import TableError
from tables.rows import any_measured, check_measured, one_split
from tables.strengths import UNROUNDED, over_strengths, undisturbed

from ..style.bands import Curve, curve, drawn, handles, remark
from ..style.look import PAGE, across, caption, fit_means, legend, reference
from ..style.methods import first_loss, label, looks, loss_label, reference_among
from ..style.paired import differences
from ..words.comparison import Tables, needed, row_of
from ..words.gaps import Gap, gap
from ..words.prose import sentence
from ..words.units import loss_unit
from ..words.verdicts import told
from .picture import Picture

PERTURBATIONS = {
    "weight_noise": ("noise on weights", "of each filter's norm"),
    "rounding": ("rounded weights", "bits"),
    "threshold_spread": ("unlike thresholds", "relative spread"),
    "decay_spread": ("unlike decays", "relative spread"),
    "lost_spikes": ("lost spikes", "probability"),
    "spurious_spikes": ("spurious spikes", "probability"),
    "input_noise": ("noise on inputs", "of their deviation"),
    "gaussian_noise": ("noisy images", "severity"),
    "defocus_blur": ("images out of focus", "severity"),
    "contrast": ("less contrast", "severity"),
    "brightness": ("brighter images", "severity"),
    "pixelate": ("coarser images", "severity"),
    "translation": ("moved images", "severity"),
}
_COLUMNS = 4
UNDISTURBED = "undisturbed accuracies differ"


def robustness(figure: Figure, frame: pd.DataFrame) -> dict[tuple[str, str], Curve]:
    """Draw a panel per perturbation into ``figure``, whose height is set to hold them: curves by (it, method)."""
    split, rows = one_split(frame, "test")
    rows, what = _drawable(rows)
    against = _against(rows)
    names = [name for name in PERTURBATIONS if (rows["perturbation"] == name).any()]
    names += sorted(set(rows["perturbation"]) - set(names))
    columns = across(figure, len(names), _COLUMNS)
    lines = -(-len(names) // columns)
    figure.set_figheight(0.55 + 1.5 * lines)
    axes = figure.subplots(lines, columns, sharey=True, squeeze=False)
    curves: dict[tuple[str, str], Curve] = {}
    for ax, name in zip(axes.flat, names, strict=False):
        part = rows[rows["perturbation"] == name]
        title, unit = PERTURBATIONS.get(name, (name, "strength"))
        ax.set(title=title, xlabel=unit)
        part = part.assign(at=_bits(ax, part["strength"]) if name == "rounding" else part["strength"])
        curves |= {(name, method): one for method, one in _panel(ax, part, against).items()}
        if against:
            reference(ax, 0.0)
    for ax in axes.flat[len(names) :]:
        ax.remove()
    for ax in axes[:, 0]:
        ax.set_ylabel(f"{split} {what}" + (f"\nminus {label(against)}'s" if against else ""))
    if not curves:
        raise TableError(f"no strength at which two methods have a {what.split(' (')[0]}")
    ends = pd.concat([one.table[["mean", "low", "high"]] for one in curves.values()])
    low = -np.inf if against else 0.0
    fit_means(axes[0, 0], ends["mean"], ends[["low", "high"]].to_numpy().ravel(), low=low, high=np.inf)
    legend(figure, handles(curves.values()))
    caption(figure, _text(rows, split, list(curves.values()), against))
    return curves


def _drawable(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Rows with what is drawn as ``kept``, and what that is: the first loss, else the accuracy in percent."""
    if not any_measured(rows, "value"):
        found, what, _ = kept(rows)
        return found, what
    loss = first_loss(rows)
    rows = rows[rows["loss"] == loss]
    return rows.assign(kept=rows["value"]), f"{loss_label(loss)} ({loss_unit([loss])})"


def _against(rows: pd.DataFrame) -> str:
    """The reference, where there is another method beside it; "" where there is nothing to compare."""
    return reference_among(rows["method"]) if rows["method"].nunique() > 1 else ""


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
    ax.set_xticklabels(["none" if one >= UNROUNDED else f"{one:g}" for one in bits])
    return strength.map({one: place for place, one in enumerate(bits)})


def _panel(ax: Axes, part: pd.DataFrame, against: str) -> dict[str, Curve]:
    """Of each method its difference from the reference, or itself where there is none."""
    curves = {}
    other = part[part["method"] == against]
    for method, look in looks(part["method"]).items():
        one = part[part["method"] == method]
        if method == against or not np.isfinite(one["kept"]).any():
            continue
        if not against:
            curves[method] = curve(ax, one, "at", "kept", method, name=look.label)
            continue
        table = differences(one, other, "at", "kept")
        if len(table):
            name = f"{look.label} minus {label(against)}"
            curves[method] = drawn(ax, table, "at", method, name=name, against=against)
    return curves


def _text(rows: pd.DataFrame, split: str, curves: list[Curve], against: str) -> str:
    images = " or ".join(f"{one:.0f}" for one in sorted(rows["images"].unique()))
    draws = f"{max(rows['draws']):.0f} draws of everything random, averaged within a seed"
    said = remark(curves)
    if against and any(one.band for one in curves):
        said = "Bands: 95 % intervals over seeds of the differences; below zero the method survives better."
    lost = int((~np.isfinite(rows["kept"])).sum())
    left = f" {lost} values are not finite and in no mean." if lost and against else ""
    return f"On {images} {split} examples, {draws}. Bands may leave the panel. {said}{left}"


def reading(tables: Tables) -> str:
    """What is left under each perturbation, averaged over its strengths: the comparison's rows, where there are such.

    Where what is left differs in a network that nothing disturbs, what is lost is told beside it.
    """
    split, rows = one_split(needed(tables, "robustness"), "test")
    rows, what, _ = kept(rows)
    means = pd.concat([_means(part, str(name)) for name, part in rows.groupby("perturbation")])
    if not np.isfinite(means["under"]).any():
        raise TableError("no strength above zero")
    accuracy, (words, _, unit) = what.startswith("accuracy"), what.partition(" (")
    if not accuracy:
        lost = _claims(tables, means.assign(lost=-means["lost"]), ("loss_rise", "lost", first_loss(rows)), split)
        return sentence(told(f"the rise of the {split} {words}, averaged over strengths,", lost))
    under = _claims(tables, means, ("accuracy_under", "under", ""), split)
    clauses = [told(f"the {split} {words}, averaged over strengths,", under, unit=unit.rstrip(")"))]
    if any(UNDISTURBED in one.doubts for one in under.values()):
        lost = _claims(tables, means, ("accuracy_lost", "lost", ""), split)
        clauses.append(told("what is lost of the undisturbed accuracy", lost, unit=unit.rstrip(")")))
    return sentence(*clauses)


def _means(rows: pd.DataFrame, perturbation: str) -> pd.DataFrame:
    """For each network what is kept ``under`` a perturbation, what is ``lost`` to it, and how far strengths reach."""
    rounding, found = perturbation == "rounding", []
    for _, one in rows.groupby("checkpoint", sort=False):
        curve = one.groupby("strength")[["kept"]].mean()
        mean, reach = over_strengths(curve, rounding=rounding)
        lost = undisturbed(curve, rounding=rounding)["kept"] - mean["kept"]
        who = one.iloc[0][["method", "seed"]].to_dict()
        found.append(who | {"perturbation": perturbation, "reach": reach, "under": mean["kept"], "lost": lost})
    return pd.DataFrame(found)


def _claims(tables: Tables, means: pd.DataFrame, asked: tuple[str, str, str], split: str) -> dict[str, Gap]:
    """By perturbation and reach the comparison's row of a family of measures and a loss, or the gap of a column."""
    claims = {}
    name, column, loss = asked
    for (perturbation, reach), part in means.groupby(["perturbation", "reach"], sort=False):
        words = PERTURBATIONS.get(str(perturbation), (str(perturbation), ""))[0]
        id_ = f"{name}[{perturbation}{' train' * (split == 'train')},{reach}]"
        row, scale = row_of(tables, id_, loss), 1 if loss else 100
        claims[f"under {words} {reach}"] = gap(part, column) if row is None else row.scaled(scale)
    return claims


PICTURES = (Picture("robustness", "robustness", robustness, PAGE, 4.0, "What the networks survive", reading, 250),)
