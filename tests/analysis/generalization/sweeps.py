"""Made-up sweeps: as objects, and as the tables that the command reads."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.generalization.reading import Tables
from analysis.generalization.sweep import Measured, Sweep

FACTORS = {"method": ("sdt", "tet"), "learning_rate": ("0.1", "0.2", "0.4"), "batch_size": ("16", "32")}
EMPTY = pd.DataFrame({"checkpoint": []})
NOTHING = Tables(EMPTY.assign(measure="", loss="", value=0.0), EMPTY, EMPTY, EMPTY, EMPTY, ())


def sweep(
    gap: Sequence[float],
    measures: Mapping[str, Any] | None = None,
    *,
    factors: Mapping[str, Sequence[str]] = FACTORS,
    seeds: int = 3,
) -> Sweep:
    """All combinations of levels, and seeds the fastest."""
    rows = [(*levels, seed) for levels in product(*factors.values()) for seed in range(seeds)]
    frame = pd.DataFrame(rows, columns=[*factors, "seed"], index=[f"c{place}" for place in range(len(rows))])
    measured = tuple(
        Measured(name, name, "sdt", "flatness", np.array(values, float)) for name, values in (measures or {}).items()
    )
    methods = tuple(frame["method"]) if "method" in frame else ("sdt",) * len(frame)
    place = {"network": "n", "data": "d", "timesteps": "4"}
    gaps = {"loss": np.array(gap, float)}
    return Sweep(place, frame[list(factors)], methods, frame["seed"].to_numpy(), gaps, "sdt", measured)


def size(*, factors: Mapping[str, Sequence[str]] = FACTORS, seeds: int = 3) -> int:
    return int(np.prod([len(levels) for levels in factors.values()])) * seeds


def written(
    folder: Path,
    *,
    seeds: int = 3,
    factors: Mapping[str, Sequence[object]] = FACTORS,
    data: str = "digits",
    outcomes: bool = False,
    rng: np.random.Generator | None = None,
) -> dict[str, pd.DataFrame]:
    """The tables of a sweep in ``folder/tables``: the top eigenvalue follows the gap in loss, the trace doesn't."""
    rng = rng or np.random.default_rng(0)
    parts: dict[str, list[dict[str, object]]] = {name: [] for name in ("hessian", "trace", "timesteps", "norms")}
    parts |= {"settings": [], "rise": [], "outcomes": []}
    for place, levels in enumerate(product(*factors.values())):
        told = dict(zip(factors, levels, strict=True))
        method = str(told.pop("method", "sdt"))
        for seed in range(seeds):
            head: dict[str, object] = {
                "checkpoint": f"runs/{place}-{seed}/ckpt.pt",
                "network": "digits-cnn",
                "data": data,
            }
            head |= {"method": method, "training": "sdt", "seed": seed}
            right = {"train": rng.random(200) < 0.98, "test": rng.random(200) < rng.uniform(0.7, 0.95)}
            losses = {split: np.where(hit, 0.1, 2.0) + rng.random(200) / 10 for split, hit in right.items()}
            gap = losses["test"].mean() - losses["train"].mean()
            parts["settings"].append(head | told | {"parameters": 100 * (place + 1)})
            curvature = {"loss": "sdt", "operator": "hessian"}
            parts["hessian"].append(head | curvature | {"rank": 1, "eigenvalue": gap + 0.2, "converged": True})
            parts["trace"].append(head | curvature | {"trace": rng.random()})
            parts["norms"].append(head | {"norm": "param_norm", "value": rng.random(), "rescaling": "changes"})
            parts["rise"].append(
                head
                | {"loss": "sdt", "logits": "plain", "split": "train", "along": "noise", "draw": 0, "radius": 0.5}
                | {"rise": 0.1, "images": 200, "value": 0.1, "rms": rng.random()}
            )
            for split, hit in right.items():
                steps = {"split": split, "timesteps": 4, "trained_timesteps": 4, "images": 200}
                means = {"accuracy_cumulative": hit.mean(), "accuracy_at_step": hit.mean()}
                parts["timesteps"].append(head | steps | means | {"loss_sdt": losses[split].mean()})
                parts["outcomes"] += [
                    head | {"split": split, "image": image, "correct": int(one), "loss_sdt": loss}
                    for image, (one, loss) in enumerate(zip(hit, losses[split], strict=True))
                ]
    frames = {name: pd.DataFrame(rows) for name, rows in parts.items() if outcomes or name != "outcomes"}
    save(folder, frames)
    return frames


def save(folder: Path, frames: Mapping[str, pd.DataFrame]) -> None:
    """Write the tables, over what is there."""
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        frame.to_csv(folder / "tables" / f"{name}.csv", index=False)
