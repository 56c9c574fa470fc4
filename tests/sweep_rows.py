"""Made-up rows of the tables on a sweep."""

from collections.abc import Sequence
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


def controls(methods: Sequence[str]) -> Rows:
    """Three measures, two controls of two levels and one of one; not every measure is put to each."""
    head = {"network": "digits-cnn", "data": "digits", "loss": "sdt", "side": "flatness"}
    told = {"value": 1.5, "unit": "factor", "low": 1.0, "high": 2.0, "n": 5, "p": 0.1, "why": ""}
    said = {
        ("sam", "0.05"): ("passed", "passed", "undecided"),
        ("sam", "0.1"): ("passed", "failed", "undecided"),
        ("rescaled", "10"): ("passed", "failed", ""),
        ("null", "halves"): ("undecided", "passed", "passed"),
    }
    rows: Rows = []
    for method, ((control, level), verdicts) in product(methods, said.items()):
        for measure, verdict in zip((*RISES[:2], TOP), verdicts, strict=True):
            place = head | {"method": method, "measure": measure.id, "title": measure.title}
            rows += [place | told | {"control": control, "level": level, "verdict": verdict}] if verdict else []
    return rows
