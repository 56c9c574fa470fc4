"""The questions as a user puts them to the project: the only place here that knows its names."""

from typing import Any

import numpy as np
import torch

import landscape

from .entry import Case
from .naive import ALPHAS, BETAS, DRAWS, Naive

_TO_SURFACE = ("mode", "unpack", "forward", "size", "reset", "check", "parameters")


def objective(case: Case) -> Any:
    keywords = dict(case.keywords)
    if case.names is not None:
        keywords["parameters"] = landscape.Parameters(case.model, case.names)
    return (landscape.Closure if case.closure else landscape.Objective)(case.model, case.loss, case.batches, **keywords)


def value(case: Case, naive: Naive) -> Any:
    return np.array(objective(case).value())


def examples(case: Case, naive: Naive) -> Any:
    return objective(case).examples().double().numpy()


def surface(case: Case, naive: Naive) -> Any:
    metric = case.metric or case.loss
    keywords = {name: each for name, each in case.keywords.items() if name in _TO_SURFACE}
    if case.names is not None:
        keywords["parameters"] = landscape.Parameters(case.model, case.names)
    directions = [vector(case, naive, each) for each in naive.directions]

    def metrics(output: Any, target: Any) -> dict[str, Any]:
        return {"loss": metric(output, target)}

    return landscape.surface(case.model, metrics, case.batches, directions, ALPHAS, BETAS, **keywords).mean["loss"]


def average(case: Case, naive: Naive) -> Any:
    rise = landscape.average_rise(objective(case), radii=[naive.sigma], draws=DRAWS, noise="absolute", seed=0)
    return rise.rises[0]


def worst(case: Case, naive: Naive) -> Any:
    return landscape.worst_rise(objective(case), radius=naive.radius, steps=3, restarts=1, seed=0)


def second_difference(case: Case, naive: Naive) -> Any:
    question = objective(case)
    along = vector(case, naive, naive.directions[0])
    return landscape.curvature_at_radius(question, along, [naive.radius]).second_difference


def gradient(case: Case, naive: Naive) -> Any:
    return objective(case).gradient().double().numpy()


def _products(matrix: str, case: Case, naive: Naive) -> Any:
    made = getattr(landscape, matrix)
    operator = made(objective(case))
    block = torch.stack([vector(case, naive, each) for each in naive.directions])
    return (operator @ block).double().numpy()


def hessian(case: Case, naive: Naive) -> Any:
    return _products("Hessian", case, naive)


def gauss_newton(case: Case, naive: Naive) -> Any:
    return _products("GaussNewton", case, naive)


def remainder(case: Case, naive: Naive) -> Any:
    return _products("Remainder", case, naive)


def recalibrate(case: Case) -> int:
    keywords = {name: each for name, each in case.keywords.items() if name in ("unpack", "forward", "size", "reset")}
    return landscape.recalibrate(case.model, case.batches, **keywords)


def vector(case: Case, naive: Naive, along: torch.Tensor) -> torch.Tensor:
    """``along`` in the dtype of the model's weights."""
    weight = next(weight for weight in case.model.parameters() if weight.requires_grad)
    return along.to(weight.dtype.to_real())
