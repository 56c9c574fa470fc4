"""In what the networks of the paper and ours differ, as far as the tables say: one of these may be why numbers differ.

Network and data are compared by letters and digits alone. How networks were trained is in the training curves: epochs,
and where they have the columns λ (``mse_weight``, of TET's networks, as the paper regularises no others), how many
images were trained on, and whether they were ``augmented`` (1 or 0).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..words.comparison import Tables

ALIKE = "same network, data and T"
_WORDS = {
    "epochs": "{} epochs, not {}",
    "mse_weight": "λ = {} (the regulariser's weight), not {}",
    "train_images": "{} training images, not {}",
}


def differences(entry: Mapping[str, Any], tables: Tables, pairs: Sequence[tuple[int, int]]) -> str:
    """What differs between the settings of an ``entry`` and of the ``tables``; ``pairs`` are the paper's T and ours."""
    found = []
    for key in ("network", "data"):
        own = next((str(table[key].iloc[0]) for table in tables.values() if key in table and len(table)), "")
        if own and _plain(own) != _plain(entry[key]):
            found.append(f"{key} {own}, not {entry[key]}")
    if "history" in tables:
        found += _trained(entry, tables["history"])
    found += [f"T = {mine}, not {at}" for at, mine in pairs if mine and at != mine]
    return ", ".join(found) or ALIKE


def _trained(entry: Mapping[str, Any], history: pd.DataFrame) -> Iterator[str]:
    """What differs in how networks were trained."""
    own = {"epochs": history.groupby("checkpoint")["epoch"].max()}
    if "mse_weight" in history:
        own["mse_weight"] = history.loc[history["method"] == "tet", "mse_weight"]
    own |= {name: history[name] for name in ("train_images", "augmented") if name in history}
    for name, values in own.items():
        span = sorted({float(one) for one in (values.min(), values.max()) if np.isfinite(one)})
        if name not in entry or not span or span == [entry[name]]:
            continue
        if name in _WORDS:
            yield _WORDS[name].format(" to ".join(f"{one:g}" for one in span), f"{entry[name]:g}")
        else:
            yield "images augmented, theirs not" if span == [1] else "images not augmented, theirs were"


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
