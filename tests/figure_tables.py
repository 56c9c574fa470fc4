"""Small made-up tables with the structure of real ones, for the tests of the figures."""

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from tables.schema import IDENTITY
from tests.figure_rows import (
    LOSSES,
    SHARPNESS,
    STEPS,
    Rows,
    barrier,
    compare,
    correlation,
    crossovers,
    descent_layers,
    layers,
    measures,
    momentum_history,
    momentum_layers,
    momentum_steps,
    path,
    rise_curves,
    robustness,
    sharpness,
    steps,
    switch,
    trained,
)
from tests.sweep_rows import controls, generalization, sign_errors


def identity(method: str, seed: int) -> dict[str, object]:
    place = {"checkpoint": f"runs/{method}-{seed}/ckpt.pt", "network": "digits-cnn", "data": "digits"}
    return place | {"method": method, "training": trained(method), "seed": seed}


def made_up(*, seeds: int = 5, methods: Sequence[str] = LOSSES) -> dict[str, pd.DataFrame]:
    """Every table that a figure is made of, for ``seeds`` checkpoints a method; the first is the reference."""
    rng = np.random.default_rng(0)
    runs = [(identity(method, seed), trained(method)) for method in methods for seed in range(seeds)]
    frames = {
        name: pd.DataFrame([head | row for head, training in runs for row in make(training, rng)])
        for name, make in MAKERS.items()
    }
    frames |= {name: away(frames[name], identity(methods[-1], 0)) for name in ("path", "barrier")}
    frames["correlation"] = pd.DataFrame(correlation(np.random.default_rng(1), methods))
    frames["generalization"] = pd.DataFrame(generalization(np.random.default_rng(3)))
    frames["controls"] = pd.DataFrame(controls(methods))
    frames["sign_errors"] = pd.DataFrame(sign_errors(np.random.default_rng(4)))
    if len(methods) > 1:
        frames["compare"] = pd.DataFrame(compare(rng, methods))
        frames["rise_curves"] = pd.DataFrame(rise_curves(np.random.default_rng(2), methods))
        frames["crossovers"] = pd.DataFrame(crossovers(methods))
    return frames


def away(frame: pd.DataFrame, end: dict[str, object]) -> pd.DataFrame:
    """Paths of the first method's networks to one of the last's."""
    other = {"other": end["checkpoint"], "other_method": end["method"], "other_training": end["training"]}
    return frame[frame["method"] == frame["method"].iloc[0]].assign(**other, images=100)


def write(directory: Path, frames: dict[str, pd.DataFrame]) -> Path:
    """Save ``frames`` as DIR/tables/NAME.csv; returns DIR."""
    (directory / "tables").mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        frame.to_csv(directory / "tables" / f"{name}.csv", index=False)
    return directory


def history(training: str, rng: np.random.Generator) -> Rows:
    speed, extra = rng.normal(8, 0.6), 0.25 if training == "sdt" else 0.05
    rows: Rows = []
    for epoch in range(1, 31):
        fall = 2.3 * np.exp(-epoch / speed) * np.exp(rng.normal(0, 0.05))
        losses = {"train_loss_sdt": fall + 0.004, "train_loss_tet": fall * 1.2 + 0.3 * extra}
        losses |= {"test_loss_sdt": fall + 0.2, "test_loss_tet": fall * 1.2 + 0.3 + extra}
        accuracy = {"train_accuracy": 1 - fall / 2.6, "test_accuracy": 0.95 - fall / 2.8}
        rows.append({"epoch": epoch, **losses, **accuracy})
    return rows


def hessian(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for loss, operator in product(LOSSES, ("hessian", "gauss_newton")):
        size = 14 * SHARPNESS[training] * (1.6 if loss == "tet" else 1.0) * np.exp(rng.normal(0, 0.15))
        for rank in (1, 2, 3, 4, 5, -2, -1) if operator == "hessian" else (1, 2, 3, 4, 5):
            value = size * (0.75**rank if rank > 0 else -0.1 * 0.8 ** (-rank))
            head = {"loss": loss, "operator": operator, "rank": rank, "eigenvalue": value}
            far = {"residual": 1e-4, "relative_residual": 1e-4 / abs(value), "converged": rank != -2}
            rows.append(head | far)
    return rows


def density(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    size = 14 * SHARPNESS[training]
    for loss, operator, probe in product(LOSSES, ("hessian", "gauss_newton"), range(2)):
        bulk = np.linspace(-2.0 if operator == "hessian" else 0.0, size / 3, 20)
        nodes = np.append(bulk, size * np.array([0.5, 0.7, 1.0])) + rng.normal(0, 0.02, 23)
        weights = np.append(np.exp(-4 * np.abs(bulk)), [2e-4, 2e-4, 1e-4])
        head = {"loss": loss, "operator": operator, "probe": probe}
        rows += [head | {"node": n, "weight": w} for n, w in zip(nodes, weights / weights.sum(), strict=True)]
    return rows


def radius(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for loss, direction, draw, length in product(LOSSES, ("top", "random"), range(2), np.logspace(-2, 1, 7)):
        formal = (14.0 if direction == "top" else 0.04) * SHARPNESS[training]
        value = formal * (1.2 / (1 + 0.3 * length)) + rng.normal(0, 0.03) / length**2
        place = {"loss": loss, "direction": direction, "draw": draw, "radius": length}
        relative = {"relative_radius": length / rng.normal(20, 0.5)}
        rows.append(place | relative | {"second_difference": value, "formal": formal})
    return rows


def surface(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    tilt = rng.normal(0, 0.15)
    line, plane = np.linspace(-1, 1, 21).round(9), np.linspace(-1, 1, 11).round(9)
    points = [("line", draw, alpha, 0.0) for draw in range(2) for alpha in line]
    points += [("plane", 0, alpha, beta) for alpha in plane for beta in plane]
    for loss, (kind, draw, alpha, beta) in product(LOSSES, points):
        distance = (alpha - 0.1 * tilt) ** 2 + beta**2 + 0.3 * tilt * alpha * beta
        steep = 6 * SHARPNESS[training] * (1.15 if loss == "tet" else 1)
        value = 0.03 + (0.15 if training != loss else 0.0) + 0.01 * draw + steep * distance**0.8
        place = {"loss": loss, "split": "train", "kind": kind, "draw": draw, "alpha": alpha, "beta": beta}
        rows.append(place | {"value": value, "accuracy": float(np.exp(-0.4 * value))})
    return rows


def momentum(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for loss, step in product(LOSSES, range(STEPS + 1)):
        error = (0.03 if loss == "sdt" else 0.4 / (step + 0.5)) * np.exp(rng.normal(0, 0.1))
        gain = 0.2 * SHARPNESS[training] * (1 + 0.2 * step) * np.exp(rng.normal(0, 0.1))
        norms = {"error_norm": error, "gradient_norm": error * gain, "gain": gain}
        whole = {"cosine_to_total": 0.6 + 0.08 * step, "share": 0.1 + 0.06 * step} if step else {}
        coherence = {"coherence": rng.normal(0.3, 0.02), "coherence_null": np.sqrt(0.1 / 1.9), "batches": 20}
        coherence |= {"coherence_null_sampled": 0.34, "batch_size": 50, "images": 1000}
        rows.append({"loss": loss, "timestep": step, **norms, **whole, **coherence})
    return rows


def momentum_pairs(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for loss in LOSSES:
        steps = rng.normal(0.3 if training == "sdt" else 0.8, 1.0, (STEPS, 6))
        unit = steps / np.linalg.norm(steps, axis=1, keepdims=True)
        cosines = unit @ unit.T
        for t, s in product(range(STEPS), repeat=2):
            rows.append({"loss": loss, "timestep": t + 1, "other": s + 1, "cosine": cosines[t, s]})
    return rows


def descent(training: str, rng: np.random.Generator) -> Rows:
    names = ("gradient", "momentum", *(f"step-{t}" for t in range(1, STEPS + 1)))
    rows: Rows = []
    for loss, direction, step in product(LOSSES, names, np.logspace(-5, -1, 5)):
        ratio = (0.4 if training == "sdt" else 0.7) - 20 * step + rng.normal(0, 0.05)
        rows.append({"loss": loss, "direction": direction, "step": 3 * step, "relative_step": step, "ratio": ratio})
    return rows


def timesteps(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for split, step in product(("train", "test"), range(1, 2 * STEPS + 1)):
        top = (1.0 if split == "train" else 0.93) + (0.0 if training == "sdt" or split == "train" else 0.015)
        mean = min(top - (0.5 if training == "sdt" else 0.15) * np.exp(-1.1 * step) + rng.normal(0, 0.004), 1.0)
        place = {"split": split, "timesteps": step, "trained_timesteps": STEPS}
        images = 300 if split == "train" else 1497
        agreement = {"agreement_cumulative": 1 - 0.1 * np.exp(-step), "agreement_at_step": 0.9, "settling": 2.0**-step}
        sure = {"confidence": mean - 0.05, "ece": 0.05 + 0.1 * (mean - 0.9), "ece_null": 0.01, "bins": 15}
        accuracy = {"accuracy_cumulative": mean, "accuracy_at_step": mean - 0.02}
        rows.append(place | {"images": images} | accuracy | agreement | sure)
    return rows


def anytime(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for split, threshold in product(("train", "test"), (0.0, 0.5, 0.9, 1.0)):
        place = {"split": split, "trained_timesteps": STEPS, "limit": 2 * STEPS, "images": 300, "threshold": threshold}
        steps = 1 + (2 * STEPS - 1) * threshold**2 + (rng.normal(0, 0.1) if 0 < threshold < 1 else 0)
        gain = 0.04 * threshold * (1 - threshold) + rng.normal(0, 0.002)
        rows.append(place | {"mean_steps": steps, "accuracy": 0.95 - 0.1 * np.exp(-steps) + gain, "gain": gain})
    return rows


def energy(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for step, layer in product(range(1, STEPS + 1), ("conv1", "total")):
        joules = step * 2.1e-7 * (1.1 if training == "sdt" else 1.0) * np.exp(rng.normal(0, 0.03))
        accuracy = 0.93 - (0.4 if training == "sdt" else 0.12) * np.exp(-step) + rng.normal(0, 0.004)
        place = {"split": "test", "images": 500, "timesteps": step, "layer": layer}
        rows.append(place | {"joules": joules, "joules_by_rate": 0.6 * joules, "accuracy": accuracy})
    return rows


def stability(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    speed = rng.normal(4, 0.2)
    for epoch, loss, matrix in product(range(13), (*LOSSES, "trained"), ("hessian", "preconditioned")):
        if epoch == 0 and matrix == "preconditioned":
            continue
        rate = 1e-3 * (1 + np.cos(np.pi * max(epoch - 1, 0) / 12))
        size = (3e4 if matrix == "preconditioned" else 20.0) * SHARPNESS[training]
        place = {"epoch": epoch, "optimizer": "adam", "loss": loss, "matrix": matrix}
        limit = 38 / rate if matrix == "preconditioned" else np.nan
        value = size * (1.02 - np.exp(-epoch / speed)) * np.exp(rng.normal(0, 0.1))
        rows.append(place | {"top_eigenvalue": value, "limit": limit, "learning_rate": rate, "curvature": "formal"})
    return rows


def along_trajectories(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """``frames`` with a surface along random directions and trajectories, and the paths and axes of the latter."""
    surface = frames["surface"].assign(directions="random", axes_loss="any")
    heads = surface[list(IDENTITY)].drop_duplicates().to_dict("records")
    rows: dict[str, Rows] = {"surface": [], "surface_path": [], "surface_axes": []}
    for head, loss, alpha, beta in product(heads, LOSSES, np.linspace(-0.1, 0.4, 6), np.linspace(-0.1, 0.1, 5)):
        place = {"loss": loss, "split": "train", "kind": "plane", "draw": 0, "directions": "trajectory"}
        value = 0.1 + 3 * (alpha**2 + beta**2) + 0.01 * head["seed"]
        point = {"axes_loss": "any", "alpha": alpha, "beta": beta, "value": value, "accuracy": 1 - value / 3}
        rows["surface"].append(head | place | point)
    for head, epoch in product(heads, range(6)):
        place = {
            "kind": "plane",
            "epoch": epoch,
            "alpha": 0.3 * SHARPNESS[head["training"]] * (5 - epoch) / 5,
            "beta": 0.05 * np.sin(epoch),
        }
        distance = np.hypot(place["alpha"], place["beta"])
        rows["surface_path"].append(head | place | {"distance": distance + 0.01, "off_plane": 0.02 * epoch})
    for head, axis in product(heads, (1, 2)):
        place = {"directions": "trajectory", "axes_loss": "any", "kind": "plane", "draw": 0, "axis": axis}
        rows["surface_axes"].append(head | place | {"explained": 0.9 if axis == 1 else 0.06})
    made = {name: pd.DataFrame(found) for name, found in rows.items()}
    return frames | made | {"surface": pd.concat([surface, made["surface"]], ignore_index=True)}


def with_ways(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """``frames`` with the accuracy at each T also measured with BatchNorm's statistics taken anew."""
    plain = frames["timesteps"].assign(frames="repeated", statistics="trained")
    gain = 0.01 * np.exp(-plain["timesteps"]) + 0.001 * plain["seed"]
    anew = plain.assign(statistics="recalibrated", accuracy_cumulative=plain["accuracy_cumulative"] + gain)
    return frames | {"timesteps": pd.concat([plain, anew], ignore_index=True)}


def complete(*, seeds: int, methods: Sequence[str] = LOSSES) -> dict[str, pd.DataFrame]:
    """Every table that some picture needs."""
    return with_ways(along_trajectories(made_up(seeds=seeds, methods=methods)))


MAKERS: dict[str, Callable[[str, np.random.Generator], Rows]] = {
    "history": history,
    "hessian": hessian,
    "density": density,
    "radius": radius,
    "surface": surface,
    "momentum": momentum,
    "momentum_pairs": momentum_pairs,
    "descent": descent,
    "momentum_layers": momentum_layers,
    "descent_layers": descent_layers,
    "momentum_steps": momentum_steps,
    "momentum_history": momentum_history,
    "switch": switch,
    "timesteps": timesteps,
    "energy": energy,
    "stability": stability,
    "layers": layers,
    "steps": steps,
    "robustness": robustness,
    "path": path,
    "barrier": barrier,
    "sharpness": sharpness,
    "measures": measures,
    "anytime": anytime,
}
