"""How much of a network survives a disturbance, over all its strengths: one number per curve of table robustness.

The mean over strengths (:mod:`tables.strengths`) of the accuracy, of the accuracy lost, and of the loss's rise above
the network as trained. Two single strengths besides, to quote: noise of 0.2 on the weights, and 4 bits.
"""

from collections.abc import Iterator

import pandas as pd

from tables.measures import MEASURES, Measure
from tables.schema import IDENTITY
from tables.strengths import over_strengths, undisturbed

QUOTED = {"weight_noise": (0.2, "of 0.2"), "rounding": (4, "to 4 bits")}


def survival(table: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, Measure, str]]:
    """Rows with a value per checkpoint (and landscape loss), the measure, and the column of its values."""
    identity = list(IDENTITY)
    for (split, perturbation), curves in table.groupby(["split", "perturbation"], sort=False):
        what = f"{str(perturbation).replace('_', ' ')}{'' if split == 'test' else ', training examples'}"
        asked = f"{perturbation}{'' if split == 'test' else ' train'}"
        keys, rounding = [*identity, "loss"], perturbation == "rounding"
        parts = [(key, _means(curve, rounding)) for key, curve in curves.groupby(keys, sort=False)]
        found = pd.DataFrame([dict(zip(keys, key, strict=True)) | row for key, row in parts])
        for reach, means in found.groupby("reach", sort=False):
            once = means.drop_duplicates(identity).drop(columns="loss")  # the same with all losses
            words, titled = (asked, str(reach)), (what, str(reach))
            yield once, MEASURES["accuracy_under"].said(words, titled), "accuracy"
            yield once, MEASURES["accuracy_lost"].said(words, titled), "lost"
            yield means, MEASURES["loss_rise"].said(words, titled), "rise"
        if perturbation in QUOTED:
            strength, named = QUOTED[str(perturbation)]
            chosen = curves[curves["strength"] == strength].drop_duplicates(identity).drop(columns="loss")
            if len(chosen):
                yield chosen, MEASURES["accuracy_under"].said((asked, named), (what, named)), "accuracy"


def _means(curve: pd.DataFrame, rounding: bool) -> dict[str, object]:
    """Mean accuracy, accuracy lost and rise of the loss over one checkpoint's curve, and how far it reaches."""
    images = curve["images"].max()
    curve = curve.set_index("strength")[["accuracy", "value"]]
    trained = undisturbed(curve, rounding=rounding)
    mean, reach = over_strengths(curve, rounding=rounding)
    lost, rise = trained["accuracy"] - mean["accuracy"], mean["value"] - trained["value"]
    return {"reach": reach, "accuracy": mean["accuracy"], "lost": lost, "rise": rise, "images": images}
