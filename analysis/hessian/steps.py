"""Which timesteps carry the curvature of the TET loss.

    L_TET = (1/T) Σ_t ℓ_t,     H = (1/T) Σ_t H_t,     ℓ_t = CE(O(t), y),  H_t = ∂²ℓ_t/∂w²

The same holds for Gauss–Newton, since the steps' outputs meet only in the sum. It does not for second moments of
gradients, whose squares mix the steps, nor for the SDT loss, whose one cross-entropy couples them.

The trace of every H_t is taken with the same random probes: the mean over t is then Hutchinson's estimate of tr H with
those probes, and the shares tr H_t / Σ_s tr H_s add up to one whatever the probes. A formal Hessian's trace may be
negative, and shares of it then lie outside [0, 1].
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from landscape.objective import Objective
from models.losses import tet_loss

from ..subject import Batch, Subject
from .curvature import Rows, build, in_coordinates
from .flags import Config
from .saved_products import kept
from .spectrum import outline


def steps(subject: Subject, objective: Objective, batches: list[Batch], config: Config) -> Rows:
    """Rows of table steps: one for each matrix, system of coordinates and timestep 1 … T."""
    first = subject.time_first
    parts = [
        subject.objective(partial(_of_step, first, step), batches, group=objective.group, check=False)
        for step in range(subject.trained_timesteps)
    ]
    rows: Rows = []
    for name in config.operators:
        for coordinates in config.systems:
            found: Rows = []
            for step, part in enumerate(parts, 1):
                matrix = build(name, part, subject, config, checked=True)
                key: dict[str, str | int] = {
                    "loss": "tet",
                    "operator": name,
                    "coordinates": coordinates,
                    "timestep": step,
                }
                operator = kept(in_coordinates(matrix, coordinates)[0], subject, part, config, key)
                found.append({**key, **outline(operator, config, f"tet {name} step {step}")})
            total = sum(row["trace"] for row in found)
            rows += [{**row, "share": row["trace"] / total} for row in found]
    return rows


def _of_step(first: Callable[[Any], Tensor], step: int, output: Any, labels: Tensor) -> Tensor:
    return step_loss(first(output), labels, step=step)


def step_loss(
    logits: Float[Tensor, "time batch class"], labels: Int[Tensor, " batch"], *, step: int
) -> Float[Tensor, " batch"]:
    """The cross-entropy of the output at one ``step``, counted from 0, of every image."""
    return tet_loss(logits[step : step + 1], labels, reduction="none")
