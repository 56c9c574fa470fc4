"""What images can resolve: how a difference of accuracies, losses or gaps would vary over other images.

All networks see the same images, so with x_si what network s says of image i (right or wrong, or its loss) the images'
part of an error is in the paired differences d_pi = x_method,i − x_reference,i of each pair p of networks, over N
images of a split::

    variance   V = mean_p var_i(d_pi) / N          of one pair's difference
    error      √(var_i(mean_p d_pi) / N)           of the difference of the means over all pairs

var_i is the sample variance (N − 1). Where d_pi has a part b_i that all pairs share, as methods do that are good at
different images, it is in both, and the error does not fall with the number of pairs below √(var_i(b_i)/N). A gap is of
two splits whose images have nothing to do with each other: their variances add. For right and wrong V is McNemar's
(n₀₁ + n₁₀ − (n₁₀ − n₀₁)²/N) / N (N − 1).

Pairs are those of one seed; where seeds don't pair, every network of one side with every one of the other. Where the
two of a pair have other images, or not as many, nothing is paired: such a row has no sampling error, and its interval
is that of seeds alone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from tables.interval import pairs

from .difference import Sampling

SPLITS = {
    "test_accuracy": ("test",),
    "train_accuracy": ("train",),
    "test_loss": ("test",),
    "train_loss": ("train",),
    "gap_in_loss": ("train", "test"),
    "gap_in_accuracy": ("train", "test"),
}  # what each measure is a mean, or a difference of means, over the images of
_AGREE = 2e-5  # relative: the table's losses have six digits


def sampling(
    outcomes: pd.DataFrame,
    measure: str,
    loss: str,
    reference: pd.Series,
    method: pd.Series,
    drawn: Mapping[Any, float] | None = None,
) -> Sampling | None:
    """V and the error of a row of the comparison, for two sides' checkpoints indexed by seed.

    None for a measure that isn't one of single images, and where the two networks of a pair were asked about others:
    where one has more images, or where they are known to be ``drawn``, or put into order, by other seeds.
    """
    column = f"loss_{loss}" if loss else "correct"
    if column not in outcomes:
        return None
    common = pairs(reference.index, method.index)
    sides = [side[common].to_list() if len(common) else side.to_list() for side in (reference, method)]
    seeds = [np.array([(drawn or {}).get(one, np.nan) for one in side], dtype=float) for side in sides]
    if not _same(seeds[0], seeds[1], paired=len(common) > 0):
        return None
    parts = []
    for split in SPLITS.get(measure, ()):
        chosen = outcomes[(outcomes["split"] == split) & outcomes["checkpoint"].isin([*sides[0], *sides[1]])]
        found = chosen.pivot(index="image", columns="checkpoint", values=column)
        one, other = (found.reindex(columns=side).to_numpy(dtype=float) for side in sides)
        with np.errstate(invalid="ignore"):  # losses may be infinite
            parts.append(_moments(one, other, paired=len(common) > 0))
    variance, square = np.sum(parts, axis=0) if parts else (np.nan, np.nan)
    return Sampling(float(variance), float(np.sqrt(square))) if np.isfinite([variance, square]).all() else None


def _same(one: Float[np.ndarray, " n"], other: Float[np.ndarray, " m"], *, paired: bool) -> bool:
    """Whether the images of every pair are drawn by one seed; NaN, what isn't known, tells nothing."""
    apart = other - (one if paired else one[:, None])
    return not (apart[np.isfinite(apart)] != 0).any()


def _moments(
    reference: Float[np.ndarray, "image n"], method: Float[np.ndarray, "image m"], *, paired: bool
) -> tuple[float, float]:
    """V and the error's square on one split; NaN where an image or a checkpoint is missing, or all but one image."""
    images = len(reference)
    if images < 2:
        return np.nan, np.nan
    differences = method - reference if paired else (method[:, :, None] - reference[:, None, :]).reshape(images, -1)
    return differences.var(0, ddof=1).mean() / images, differences.mean(1).var(ddof=1) / images


def check(outcomes: pd.DataFrame, table: pd.DataFrame, folder: Path) -> None:
    """Raise ValueError where a network's images in ``outcomes``, or means over them, aren't table timesteps'."""
    table = table[table["timesteps"] == table["trained_timesteps"]]
    keys = ["checkpoint", "split"]
    _check_whole(outcomes.groupby(keys).size(), table.drop_duplicates(keys).set_index(keys)["images"], folder)
    columns = {"correct": "accuracy_cumulative"} | {
        name: name for name in map(str, outcomes) if name.startswith("loss_")
    }
    means = outcomes.groupby(keys)[list(columns)].mean()
    told = table.set_index(keys)[list(columns.values())].reindex(means.index).dropna()
    if not np.allclose(means.loc[told.index], told, rtol=_AGREE, atol=1e-9):
        said = "outcomes.csv and timesteps.csv are not of one run, or one is cut short"
        raise ValueError(f"{folder}: {said}; make them again with python -m analysis.timesteps")


def _check_whole(rows: pd.Series, images: pd.Series, folder: Path) -> None:
    """Raise ValueError where the ``rows`` of a checkpoint and split, both the index, are fewer or more than its images.

    A checkpoint or split that table outcomes has nothing of is as well cut off as not measured.
    """
    rows = rows.reindex(images.index, fill_value=0)
    wrong = images.notna() & (rows != images)
    if wrong.any():
        checkpoint, split = str(images[wrong].index[-1][0]), images[wrong].index[-1][1]  # a file is cut at its end
        said = f"{rows[wrong].iloc[-1]} rows of {images[wrong].iloc[-1]:.0f} images"
        raise ValueError(
            f"{folder}: outcomes.csv, split {split}, checkpoint {checkpoint}: {said} that timesteps.csv counts; "
            "the table looks cut short; make it again with python -m analysis.timesteps"
        )
