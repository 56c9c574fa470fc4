"""What the network as it was trained says of every image: what paired differences between networks are made of.

Two networks look at the same images, so an error over images of their difference needs both their answers to each one:
standard errors of the two means don't give it. Table ``outcomes.csv``, after checkpoint, network, data, training, seed,
one row an image, at the T trained with, on frames and with BatchNorm's statistics as trained:

- split; image, its place in the split, from 0
- correct, 1 where the mean output is largest at the label, else 0; of an answer in many places the share that is right
- loss_sdt, loss_tet or the subject's own, to six significant digits: their means are those of table timesteps to 5e-6
  of their value
"""

from typing import Any

import pandas as pd

from .curves import Curves

_DIGITS = ".6g"


def outcomes(found: Curves, row: int) -> pd.DataFrame:
    """A row for each image, from the columns of the way that the network was trained in, whose ``row`` is of its T."""
    right = found["accuracy_cumulative"][row]
    whole = bool((right.frac() == 0).all())
    columns: dict[str, Any] = {"correct": right.int().numpy() if whole else right.numpy()}
    for name in (name for name in found if name.startswith("loss_") and name != "loss_at_step"):
        columns[name] = pd.Series(found[name][row].numpy()).map(f"{{:{_DIGITS}}}".format).astype(float)
    return pd.DataFrame(columns).rename_axis("image").reset_index()
