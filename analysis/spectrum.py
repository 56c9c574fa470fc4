"""Outermost eigenvalues, trace and density of one matrix: rows of the tables hessian, trace and density."""

from typing import Any, Literal

from torch import Tensor
from tqdm import tqdm

from landscape.density import density
from landscape.eigenpairs import Eigenpairs, Ritz
from landscape.lanczos import lanczos
from landscape.objective import Objective
from landscape.operators import Operator
from landscape.trace import trace

from .curvature import Config, Rows, records

FIRST_PROBES = 4
SHOWN = 3


def spectrum(
    operator: Operator,
    slope: Tensor,
    key: dict[str, str],
    objective: Objective,
    config: Config,
    rows: dict[str, Rows],
    *,
    symmetry: float,
) -> Eigenpairs:
    """The outermost eigenpairs of ``operator``; what was found of it is added to ``rows``.

    ``slope`` is the gradient of the loss in the operator's coordinates.
    """
    with tqdm(desc=" ".join(key.values()), unit="product", disable=config.quiet) as bar:
        pairs = eigenpairs(operator, config, bar, top=config.top, bottom=config.bottom)
        if config.trace:
            rows["trace"] += _trace(operator, key, config, bar)
        if config.density:
            found = density(
                operator, probes=config.probes, steps=config.steps, block=config.block, seed=config.seed,
                progress=bar.update,
            )  # fmt: skip
            rows["density"] += records(found, key)
    shared = {**key, "split": config.split, "images": objective.size}
    rows["hessian"] += [
        {**row, "symmetry": symmetry, "gradient_overlap": overlap}
        for row, overlap in zip(records(pairs, shared), overlaps(pairs.vectors, slope), strict=True)
    ]
    return pairs


def eigenpairs(operator: Operator, config: Config, bar: tqdm, *, top: int, bottom: int) -> Eigenpairs:
    """Lanczos with the settings of ``config``; ``bar`` shows products, the largest values and the worst residual."""

    def watch(found: Ritz) -> None:
        values = " ".join(f"{value:.4g}" for value in found.values[:SHOWN])
        bar.set_postfix_str(f"{values}, residual {found.worst:.0e}", refresh=False)

    return lanczos(
        operator,
        top=top,
        bottom=bottom,
        tolerance=config.tolerance,
        max_products=config.max_products,
        max_basis=config.max_basis,
        block=config.block,
        seed=config.seed,
        watch=watch,
        progress=bar.update,
    )


def outline(operator: Operator, config: Config, title: str) -> dict[str, Any]:
    """The columns top_eigenvalue, residual, converged, products, trace and stderr; the last two nan with --no-trace.

    The trace is Hutchinson's: linear in the operator, and with one seed from the same probes for every operator of one
    dimension.
    """
    with tqdm(desc=title, unit="product", disable=config.quiet) as bar:
        pairs = eigenpairs(operator, config, bar, top=1, bottom=0)
        row = {
            "top_eigenvalue": float(pairs.values[0]),
            "residual": float(pairs.residuals[0]),
            "converged": bool(pairs.converged[0]),
            "products": pairs.products,
        }
        if not config.trace:
            return row | {"trace": float("nan"), "stderr": float("nan")}
        found = trace(
            operator, method="hutchinson", probes=config.probes, block=config.block, seed=config.seed,
            progress=bar.update,
        )  # fmt: skip
    return row | {"trace": found.value, "stderr": found.stderr}


def overlaps(vectors: Tensor, slope: Tensor) -> list[float]:
    """(vᵀg)²/‖g‖² of every unit vector v with the gradient g."""
    slope = slope.double()
    return [float((vector.double() @ slope) ** 2 / (slope @ slope)) for vector in vectors]


def _trace(operator: Operator, key: dict[str, str], config: Config, bar: tqdm) -> Rows:
    """By XTrace, which keeps a vector per product; where ``max_basis`` forbids it by Hutchinson, who keeps none."""
    limit = max(config.max_products, 2 * FIRST_PROBES)
    method: Literal["xtrace", "hutchinson"] = "xtrace" if config.max_basis is None else "hutchinson"
    found = trace(
        operator, method=method, probes=FIRST_PROBES, tolerance=config.trace_tolerance, max_products=limit,
        block=config.block, seed=config.seed, progress=bar.update,
    )  # fmt: skip
    return records(found, key, method=method)
