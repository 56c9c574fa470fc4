"""Norms of a checkpoint's weights and their distance from where training began: table ``norms.csv``.

Columns, after checkpoint, network, data, method, training, seed: norm (a name of :mod:`landscape.sharpness.norms`,
which has formulas and sources), value, rescaling ("invariant", or "changes" when the weights before a BatchNorm are
rescaled), remark (why a value is missing). They belong to the weights alone: no loss, no images, and no error.

Initial weights are those that the network's name, its arguments and the run's seed give again. That holds for weights
that this project trained from scratch; of others nothing is known, and what needs a start is missing.
"""

import pandas as pd
from torch import Tensor

from landscape.objective import Parameters
from landscape.sharpness import UNSCALED, norms
from models.networks import build
from tables.measures import CHANGES, INVARIANT

from ..subject import Subject

UNKNOWN = "the initial weights are unknown: models.train did not make this network"


def norms_table(subject: Subject) -> pd.DataFrame:
    """The table of one checkpoint."""
    start = initial_weights(subject)
    found = norms(Parameters(subject.network), start)
    rows = pd.DataFrame({"norm": list(found), "value": list(found.values())})
    rows["rescaling"] = [INVARIANT if name in UNSCALED else CHANGES for name in found]
    return rows.assign(remark=["" if value == value else UNKNOWN for value in rows["value"]])


def initial_weights(subject: Subject) -> list[Tensor] | None:
    """The weights before the first epoch, in the order of the network's parameters; None where they are unknown."""
    checkpoint = subject.checkpoint
    if checkpoint is None or "epochs_done" not in checkpoint.training or ":" in checkpoint.model["name"]:
        return None
    untrained = build(checkpoint.model["name"], seed=checkpoint.training["seed"], **checkpoint.model["arguments"])
    return [weight.detach().to(subject.dtype) for weight in untrained.parameters()]
