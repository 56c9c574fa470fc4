"""Made-up rows of the tables on parts of a network, on what it survives, on paths, and on what flatness is for."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd

from tables.measures import MEASURES, Measure

LOSSES = ("sdt", "tet")
SHARPNESS = {"sdt": 1.0, "tet": 0.55}
STEPS = 4
PATHS = (("line", "-"), ("bezier", "sdt"), ("bezier", "tet"))
RISES = tuple(
    replace(MEASURES["average_rise"].asked(f"{at:g}"), title=f"average rise at radius {at:g}")
    for at in (0.05, 0.1, 0.2)
)
TOP, TRACE = (MEASURES[name].said(("hessian",), ("formal Hessian",)) for name in ("top_eigenvalue", "trace"))
Rows = list[dict[str, object]]


def trained(method: str) -> str:
    """The loss that networks of a method were trained with: its name's, or SDT's."""
    return method if method in LOSSES else LOSSES[0]


def layers(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for loss, operator, layer in product(
        LOSSES, ("hessian", "gauss_newton"), ("stem.conv1", "body.conv2", "body.head")
    ):
        size = {"stem.conv1": 4.0, "body.conv2": 15.0, "body.head": 0.5}[layer] * SHARPNESS[training]
        found = {"top_eigenvalue": size * np.exp(rng.normal(0, 0.1)), "trace": 9 * size * np.exp(rng.normal(0, 0.1))}
        rows.append({"loss": loss, "operator": operator, "layer": layer, **found, "converged": True})
    return rows


def momentum_layers(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for loss, (at, layer), step in product(LOSSES, enumerate(("stem.conv1", "body.conv2", "body.head")), range(3)):
        norm = (1.0 + at) * (0.4 if step else 1.0) * np.exp(rng.normal(0, 0.1))
        coherence = {"coherence": 0.25 * (1 + at), "coherence_null": np.sqrt(0.1 / 1.9), "coherence_null_sampled": 0.34}
        rows.append({"loss": loss, "layer": layer, "timestep": step, "gradient_norm": norm} | coherence)
    return rows


def descent_layers(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for loss, (at, layer) in product(LOSSES, enumerate(("stem.conv1", "body.conv2", "body.head"))):
        for direction, step in product(("gradient", "momentum"), (1e-3, 1e-2, 1e-1)):
            place = {"loss": loss, "layer": layer, "direction": direction, "relative_step": step}
            rows.append(place | {"ratio": 0.4 * at + rng.normal(0, 0.1) - step})
    return rows


def _course(training: str, rng: np.random.Generator, at: int) -> dict[str, float]:
    """The numbers that both courses of the whole gradient have."""
    norms = {"error_norm": 0.3 / at, "gradient_norm": (0.4 if training == "tet" else 0.2) * np.exp(rng.normal(0, 0.1))}
    kept = {"cosine_to_momentum": rng.normal(0.3, 0.05), "kept": rng.normal(0.4, 0.02), "kept_null": at**-0.5}
    return norms | kept


def momentum_history(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for epoch, step in product(range(1, 13), range(3)):
        place = {"loss": training, "epoch": epoch, "timestep": step, "images": 10}
        numbers = _course(training, rng, epoch)
        numbers |= {"kept_null_low": numbers["kept_null"] / 2} if step == 0 else {"kept": np.nan, "kept_null": np.nan}
        rows.append(place | numbers)
    return rows


def momentum_steps(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for loss, at, step in product(LOSSES, range(1, 13), range(3)):
        place = {"loss": loss, "state": "checkpoint", "step": at, "timestep": step, "batch_size": 50}
        realised = 5e-4 * rng.normal(1, 0.3) if step == 0 else np.nan
        rows.append(place | _course(training, rng, at) | {"predicted": 1e-3 / at, "realised": realised})
    return rows


def switch(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for loss, split, step in product(LOSSES, ("train", "test"), range(0, 21, 5)):
        gain = (1.5 if loss == "tet" else 1.0) * (1 - np.exp(-step / 10)) * np.exp(rng.normal(0, 0.1))
        base = 0.1 if split == "train" else 0.3
        losses = {"loss_sdt": base - 0.02 * gain, "loss_tet": 1.2 * base - 0.04 * gain}
        place = {"loss": loss, "split": split, "step": step, "images": 200 if split == "train" else 1000}
        accuracy = 1.0 if split == "train" else 0.93 + 0.005 * gain
        rows.append(place | losses | {"accuracy": accuracy, "relative_distance": 0.02 * gain})
    return rows


def steps(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for operator, step in product(("hessian", "gauss_newton"), range(1, STEPS + 1)):
        size = (10.0 + 5 * step) * SHARPNESS[training] * np.exp(rng.normal(0, 0.1))
        place = {"loss": "tet", "operator": operator, "timestep": step}
        rows.append(place | {"top_eigenvalue": size, "trace": 8 * size * np.exp(rng.normal(0, 0.1)), "converged": True})
    return rows


def robustness(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    strengths = {"weight_noise": (0.0, 0.1, 0.4), "rounding": (3.0, 8.0, 32.0), "lost_spikes": (0.0, 0.2)}
    for split, name in product(("test", "train"), strengths):
        for strength in strengths[name]:
            harm = 1 / strength if name == "rounding" else strength
            luck = rng.normal(0, 0.01)
            accuracy = (0.9 if split == "test" else 1.0) - 0.5 * harm**2 + luck
            value = 0.3 + harm * (1.0 if training == "sdt" else 1.2) - luck
            error = 0.0 if name == "rounding" or not strength else 0.01
            place = {"split": split, "perturbation": name, "strength": strength, "draws": 4 if error else 1}
            numbers = {"value": value, "accuracy": accuracy, "accuracy_stderr": error, "images": 200}
            rows += [place | {"loss": loss} | numbers for loss in LOSSES]
    return rows


def path(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    bump = rng.normal(0.5, 0.05)
    for (kind, fitted), split, loss, t in product(PATHS, ("train", "test"), LOSSES, np.linspace(0, 1, 5)):
        value = 0.1 + 0.05 * t + (bump if kind == "line" else 0.02) * t * (1 - t) + 0.2 * (split == "test")
        place = {"kind": kind, "fitted": fitted, "statistics": "recalibrated", "split": split, "loss": loss, "t": t}
        rows.append(place | {"value": value, "stderr": 0.01, "accuracy": 1 - value / 5, "accuracy_stderr": 0.01})
    return rows


def barrier(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for (kind, fitted), split, loss in product(PATHS, ("train", "test"), LOSSES):
        height = (rng.normal(0.12, 0.02) if kind == "line" else 0.0) + 0.05 * (split == "test")
        place = {"kind": kind, "fitted": fitted, "statistics": "recalibrated", "split": split, "loss": loss}
        rows.append(place | {"barrier": height, "stderr": 0.01})
    return rows


def sharpness(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    for loss, measure, radius in product(LOSSES, ("average", "worst"), (0.05, 0.1, 0.2)):
        value = 5 * SHARPNESS[training] * radius**1.5 * np.exp(rng.normal(0, 0.1))
        place = {"loss": loss, "split": "train", "measure": measure, "radius": radius, "setting": ""}
        rows.append(place | {"value": value, "stderr": 0.1 * value})
    return [*rows, {"loss": "sdt", "split": "train", "measure": "fisher_rao", "setting": "", "value": 3.0}]


def about(measure: Measure) -> dict[str, object]:
    """The columns that say what a measure is."""
    return {name: getattr(measure, name) for name in ("title", "unit", "side", "better")} | {"measure": measure.id}


def measures(training: str, rng: np.random.Generator) -> Rows:
    rows: Rows = []
    gap = rng.normal(0.2 if training == "sdt" else 0.25, 0.02)
    for name, loss, value in (("gap_in_loss", "sdt", gap), ("gap_in_accuracy", "", gap / 4)):
        rows.append(about(MEASURES[name]) | {"loss": loss, "value": value, "rescaling": ""})
    for measure, loss in product((TOP, *RISES), LOSSES):
        value = SHARPNESS[training] * np.exp(rng.normal(0, 0.2))
        rows.append(about(measure) | {"loss": loss, "value": value, "rescaling": measure.invariance})
    return [row | {"timesteps": "4", "converged": True, "images": "200"} for row in rows]


def correlation(rng: np.random.Generator, methods: Sequence[str]) -> Rows:
    rows: Rows = []
    groups = ("all", "within", *methods)
    for measure, loss, gap, among in product((TOP, *RISES), LOSSES, ("loss", "accuracy"), groups):
        tau = rng.uniform(-0.5, 0.5)
        place = {"network": "digits-cnn", "data": "digits", "timesteps": "4", "gap": gap, "among": among, "loss": loss}
        named = {"measure": measure.id, "title": measure.title}
        found = {"tau": tau, "low": tau - 0.4, "high": tau + 0.4, "p": 0.2, "p_adjusted": 0.8, "n": 10}
        rows.append(place | named | found | {"interval": ""})
    return rows


def compare(rng: np.random.Generator, methods: Sequence[str]) -> Rows:
    """Each method against the first."""
    return [row for method in methods[1:] for row in _against(rng, methods[0], method)]


def _against(rng: np.random.Generator, reference: str, method: str) -> Rows:
    sizes = {TOP: 14.0, TRACE: 60.0, MEASURES["rise_within"].asked("line", "0.5"): 0.6}
    sizes |= dict(zip(RISES, (0.05, 0.1, 0.2), strict=True))
    place: dict[str, object] = {"network": "digits-cnn", "data": "digits", "timesteps": "4", "images": "200"}
    place |= {"reference": reference, "method": method, "p": 0.01, "p_adjusted": 0.1, "effect": 1.0}
    place |= {"effect_kind": "g_z", "n": 5, "paired": True, "spread": "seeds", "more_robust": ""}
    rows: Rows = []
    for (measure, size), loss in product(sizes.items(), LOSSES):
        gap, half = size * rng.normal(-0.3, 0.25), size * rng.uniform(0.05, 0.4)
        sure = abs(gap) > half
        doubts = ["interval contains zero"] * (not sure)
        doubts += ["changes when weights are rescaled"] * (measure in (TOP, TRACE))
        numbers = {"reference_mean": size, "method_mean": size + gap, "difference": gap}
        verdict = {"flatter": (method if gap < 0 else reference) if sure else "", "trust": "; ".join(doubts)}
        rows.append(
            place | about(measure) | {"loss": loss} | numbers | {"low": gap - half, "high": gap + half} | verdict
        )
    accuracy = {"reference_mean": 0.93, "method_mean": 0.95, "difference": 0.02, "low": 0.01, "high": 0.03}
    last = place | about(MEASURES["test_accuracy"]) | accuracy
    return [*rows, last | {"loss": "", "flatter": "", "trust": ""}]


def coarse(surface: pd.DataFrame) -> pd.DataFrame:
    """The planes of a surface table on fewer points, one of them infinite and one not measured on one network."""
    few = [-1, -0.4, 0, 0.4, 1]
    frame = surface[(surface["kind"] == "plane") & surface["alpha"].isin(few) & surface["beta"].isin(few)]
    frame = frame.assign(stderr=0.015, rise_stderr=0.004)
    corner = (frame["method"] == "tet") & (frame["seed"] == 0) & (frame["alpha"] == 1)
    frame.loc[corner & (frame["beta"] == 1), "value"] = np.inf
    frame.loc[corner & (frame["beta"] == -1), "value"] = np.nan
    return frame.reset_index(drop=True)


def rise_curves(rng: np.random.Generator, methods: Sequence[str]) -> Rows:
    """Differences of the rise from the first method: above zero near by, below far out, and at one scale above."""
    rows: Rows = []
    for method, loss, along, logits in product(methods[1:], LOSSES, ("line", "plane", "noise"), ("plain", "network")):
        place: dict[str, object] = {"network": "digits-cnn", "data": "digits", "timesteps": "4", "split": "train"}
        place |= {"loss": loss, "along": along, "logits": logits, "reference": methods[0], "method": method, "n": 5}
        for radius in (0.25, 0.5, 0.75, 1.0):
            gap, half = (0.6 - radius if logits == "plain" else radius) * 0.2 + rng.normal(0, 0.01), 0.03
            numbers = {"radius": radius, "reference_mean": radius, "method_mean": radius + gap, "difference": gap}
            flatter = "" if abs(gap) < half else method if gap < 0 else methods[0]
            rows.append(place | numbers | {"low": gap - half, "high": gap + half, "flatter": flatter})
    return rows


def crossovers(methods: Sequence[str]) -> Rows:
    rows: Rows = []
    for method, loss, along, logits in product(methods[1:], LOSSES, ("line", "plane", "noise"), ("plain", "network")):
        place: dict[str, object] = {"network": "digits-cnn", "data": "digits", "timesteps": "4", "split": "train"}
        place |= {"loss": loss, "along": along, "logits": logits, "reference": methods[0], "method": method, "n": 5}
        said = (
            "sharper from 0.25 to 0.5, undecided to 0.7, flatter to 1"
            if logits == "plain"
            else "sharper from 0.25 to 1"
        )
        at = (0.6, 0.5, 0.7) if logits == "plain" else (np.nan, np.nan, np.nan)
        verdict = {"verdict": f"{method} against {methods[0]}: {said}", "certain": logits == "plain"}
        depends = {"depends_on_scale": "network: 0.7 to 1" if logits == "plain" else ""}
        rows.append(
            place | dict(zip(("crossover", "crossover_low", "crossover_high"), at, strict=True)) | verdict | depends
        )
    return rows
