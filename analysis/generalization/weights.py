"""How sure it is that two networks' gaps are in the order seen, images being a sample: weights of pairs.

Dziugaite et al. (2020) weigh a pair by (w − ½)₊, where w is the probability that two gaps differ as seen. For
accuracies on n images they take Hoeffding's bound, w = max(0, 1 − 2 exp(−2 n (Δ/2)²))²: each of the gaps, Δ apart,
within Δ/2 of its mean. That is for networks tested on images of their own; here all see the same ones, and what these
share cancels::

    "images"      w = 2 Φ(|Δ| / √V) − 1,   V = Σ over splits of var_i(x_1i − x_2i) / N, by table outcomes
    "hoeffding"   theirs, 1/n = 1/n_train + 1/n_test: for accuracies of which only the numbers of images are known
    "none"        all pairs weigh 1
"""

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import special

from .flags import Weighting
from .gaps import GAPS
from .pairs import Pairs
from .reading import Tables
from .sweep import Sweep

_CONVENTIONS: tuple[Weighting, ...] = ("images", "hoeffding", "none")
_SPLITS = ("train", "test")
_SURE = 0.5


def weights(
    sweep: Sweep, tables: Tables, target: str, pairs: Pairs, asked: Weighting | None
) -> tuple[Float[np.ndarray, " pair"], Weighting]:
    """Each pair's weight for a gap, and by which convention: the first that the tables allow.

    Gaps to shifted images have none: single images under each shift are in no table.

    Raises ValueError where the one asked for needs what they lack.
    """
    gap = sweep.gaps[target]
    one, other = gap[pairs.first], gap[pairs.second]
    with np.errstate(invalid="ignore"):
        apart = np.where(one == other, 0.0, np.abs(one - other))  # two infinite gaps are the same
    for convention in (asked,) if asked else _CONVENTIONS:
        sure = _sure(sweep, tables, target, pairs, apart, convention)
        if sure is not None:
            sure = np.where(np.isposinf(apart), 1.0, sure)
            weight = sure if convention == "none" else np.maximum(sure - _SURE, 0)
            return np.where(np.isnan(weight) | (apart == 0), 0.0, weight), convention
    lacking = {"images": "table outcomes lacks networks", "hoeffding": "it takes accuracies, and images counted"}
    if target not in GAPS:
        lacking = dict.fromkeys(lacking, "no table has single images as they were shifted")
    raise ValueError(f"no weights by {asked} for the gap in {target}: {lacking[str(asked)]}; leave out --weights")


def _sure(
    sweep: Sweep, tables: Tables, target: str, pairs: Pairs, apart: Float[np.ndarray, " pair"], convention: Weighting
) -> Float[np.ndarray, " pair"] | None:
    if convention == "none":
        return np.ones(len(apart))
    if target not in GAPS:
        return None
    if convention == "images":
        column = "correct" if target == "accuracy" else f"loss_{sweep.loss}"
        variances = paired_variances(sweep, tables.outcomes, column)
        if variances is None:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            return 2 * special.ndtr(apart / np.sqrt(variances[pairs.first, pairs.second])) - 1
    images = _images(sweep, tables.timesteps) if target == "accuracy" else np.nan
    return hoeffding(apart, images) if np.isfinite(images) else None


def hoeffding(apart: Float[np.ndarray, " pair"], images: float) -> Float[np.ndarray, " pair"]:
    """Dziugaite et al.'s probability that gaps in accuracy ``apart`` on so many ``images`` differ as seen."""
    return np.maximum(0.0, 1 - 2 * np.exp(-2 * images * (apart / 2) ** 2)) ** 2


def paired_variances(sweep: Sweep, outcomes: pd.DataFrame, column: str) -> Float[np.ndarray, "network network"] | None:
    """V of every pair of networks; None where not all have been asked about the same images of both splits."""
    if column not in outcomes:
        return None
    total = np.zeros((len(sweep.seeds),) * 2)
    for split in _SPLITS:
        rows = outcomes[outcomes["split"] == split]
        table = rows.pivot(index="image", columns="checkpoint", values=column).reindex(columns=sweep.levels.index)
        if len(table) < 2 or table.isna().any(axis=None):
            return None
        with np.errstate(invalid="ignore"):
            shared = np.cov(table.to_numpy(float), rowvar=False)
        total += (np.diag(shared)[:, None] + np.diag(shared) - 2 * shared) / len(table)
    return np.maximum(total, 0.0)


def _images(sweep: Sweep, timesteps: pd.DataFrame) -> float:
    """n, of the network with the fewest images; NaN where they are not counted."""
    if "images" not in timesteps:
        return np.nan
    own = timesteps[timesteps["checkpoint"].isin(sweep.levels.index)]
    fewest = own.groupby("split")["images"].min().reindex(list(_SPLITS))
    return float(1 / (1 / fewest).sum(skipna=False))
