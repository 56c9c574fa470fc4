"""Made-up rows of the tables on a sweep."""

from itertools import product

import numpy as np

from tests.figure_rows import RISES, TOP, TRACE, Rows, about

CONTROLS = {"oracle[loss,0.5]": "oracle of loss", "random": "random", "train_loss": "training loss"}
_PLACE: dict[str, object] = {"network": "digits-cnn", "data": "digits", "timesteps": "4"}


def _heads() -> Rows:
    measured: Rows = [
        _of(about(one)) | {"loss": loss, "control": ""} for one, loss in product((TOP, TRACE, *RISES), ("sdt", "tet"))
    ]
    known: Rows = [
        {"measure": name, "title": f"reference {name}", "loss": "", "side": "", "control": control}
        for name, control in CONTROLS.items()
    ]
    heads: Rows = [*measured, *known]
    return [_PLACE | {"gap": gap, "among": "all"} | one for gap in ("loss", "accuracy") for one in heads]


def _of(told: dict[str, object]) -> dict[str, object]:
    return {name: told[name] for name in ("measure", "title", "side")}


def generalization(rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for head in _heads():
        tau, psi = rng.uniform(-0.6, 0.8, 2)
        told = {
            "given": "",
            "tau": tau,
            "low": tau - 0.2,
            "high": tau + 0.2,
            "interval": "",
            "p": 0.02,
            "p_adjusted": 0.1,
        }
        told |= {"granulated": psi, "granulated_low": psi - 0.2, "granulated_high": psi + 0.2, "information": 0.1}
        told |= {"sign_error": 0.4, "worst_error": 0.9, "n": 60, "seeds": 5, "combinations": 12, "weighting": "images"}
        rows += [head | told, head | told | {"given": "norm"}]
    return rows


def sign_errors(rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for head, level in product(_heads(), range(8)):
        place = {
            "factor": "learning_rate",
            "level": f"{level}",
            "other_level": f"{level + 1}",
            "fixed": "batch_size 50",
        }
        rows.append(
            head | place | {"sign_error": rng.uniform(0, 0.9), "effective": 14.0, "pairs": 25, "weighting": "images"}
        )
    return rows
