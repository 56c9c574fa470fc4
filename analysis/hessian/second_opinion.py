"""The formal Hessian's eigenvalues and trace by the package PyHessian (Yao, Gholami, Keutzer, Mahoney 2020).

It iterates by power with deflation, orders eigenvalues by magnitude, stops when a Rayleigh quotient moves by less than
1e-3 of itself, and reports neither residuals nor how many products it took; both are added here. Its trace stops when
the running mean moves by less than 1e-3 of itself, and has no standard error of its own.
"""

import copy
from typing import Any

import numpy as np
import pyhessian
import torch
from torch import Tensor

from landscape.curvature import Hessian
from landscape.objective import Objective
from landscape.spectrum import relative

from .spectrum import overlaps

_TRACE_PROBES = 100


class CountingPyHessian(pyhessian.hessian):
    """PyHessian on a list of batches, counting its Hessian–vector products."""

    products = 0

    def dataloader_hv_product(self, v: list[Tensor]) -> tuple[float, list[Tensor]]:
        """One product, averaged over the batches."""
        self.products += 1
        return super().dataloader_hv_product(v)


def second_opinion(
    objective: Objective, *, top: int, max_products: int, tolerance: float, seed: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of eigenvalues, with the columns of table hessian, and one of the trace, with those of table trace.

    ``max_products`` bounds each eigenvalue's. PyHessian works on a copy of the model, which it would leave in eval mode
    with gradients on it. ``converged`` says whether the residual is within ``tolerance`` of the eigenvalue.
    """
    batches = [(inputs, target) for _, inputs, target in objective.batches()]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        other = CountingPyHessian(
            copy.deepcopy(objective.model),
            lambda output, target: objective.loss(output, target).mean(),
            dataloader=batches,
            cuda=objective.parameters.device.type == "cuda",
        )
        values, vectors = other.eigenvalues(top_n=top, maxIter=max_products)
        products = other.products
        probes = np.array(other.trace(maxIter=_TRACE_PROBES))
    operator, gradient = Hessian(objective), objective.gradient()
    rows = []
    for rank, (value, vector) in enumerate(zip(values, vectors, strict=True), 1):
        unit = objective.parameters.flatten(vector)
        residual = float((operator @ unit - value * unit).norm())
        ratio = float(relative(np.array([residual]), np.array([float(value)]))[0])
        rows.append(
            {
                "rank": rank,
                "eigenvalue": value,
                "residual": residual,
                "relative_residual": ratio,
                "converged": ratio <= tolerance,
                "products": products,
                "symmetry": operator.symmetry,
                "gradient_overlap": overlaps(unit[None] / unit.norm(), gradient)[0],
            }
        )
    stderr = probes.std(ddof=1) / np.sqrt(len(probes)) if len(probes) > 1 else np.nan
    count = len(probes)
    estimate = {"trace": probes.mean(), "stderr": stderr, "probes": count, "products": count}
    return rows, estimate | {"converged": count < _TRACE_PROBES, "estimator": "pyhessian"}
