"""Outermost eigenvalues, trace and density of one matrix: rows of the tables hessian, trace and density.

All of it within ``--seconds`` where they are given: see :mod:`analysis.hessian.curvature`.
"""

import sys
from typing import Any, Literal

from torch import Tensor
from tqdm import tqdm

from landscape.curvature import Operator
from landscape.objective import Objective
from landscape.spectrum import Deadline, Eigenpairs, Outlook, Ritz, Wanted, density, lanczos, trace

from .curvature import Rows, records
from .flags import Config

FIRST_PROBES = 8
_BLANK = {"trace": float("nan"), "stderr": float("nan"), "probes": 0, "products": 0, "converged": False}


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
    top, bottom = config.ends(key["operator"])
    deadline = Deadline(config.seconds)
    with tqdm(desc=" ".join(key.values()), unit="product", disable=config.quiet) as bar:
        pairs = eigenpairs(operator, config, bar, deadline, top=top, bottom=bottom)
        if config.trace:
            rows["trace"] += _trace(operator, key, config, bar, deadline)
        if config.density:
            rows["density"] += _density(operator, key, config, bar, deadline)
    shared = {**key, "split": config.split, "images": objective.size}
    rows["hessian"] += [
        {**row, "symmetry": symmetry, "gradient_overlap": overlap}
        for row, overlap in zip(records(pairs, shared), overlaps(pairs.vectors, slope), strict=True)
    ]
    rows["hessian"] += _unreached(pairs, shared, symmetry, top, bottom)
    return pairs


def _unreached(pairs: Eigenpairs, shared: dict[str, Any], symmetry: float, top: int, bottom: int) -> Rows:
    """A row without a value for each eigenvalue that the time was up before, so that all checkpoints have as many."""
    missing = float("nan")
    ranks = [*range(1, top + 1), *range(-1, -bottom - 1, -1)][len(pairs.ranks) :]
    blank = {"eigenvalue": missing, "residual": missing, "relative_residual": missing, "converged": False}
    more = {"products": pairs.products, "symmetry": symmetry, "gradient_overlap": missing}
    return [{**shared, "rank": rank, **blank, **more} for rank in ranks]


def eigenpairs(
    operator: Operator, config: Config, bar: tqdm, deadline: Deadline, *, top: int, bottom: int
) -> Eigenpairs:
    """Lanczos with the settings of ``config``; ``bar`` shows products, what is to be expected, and how it stands."""
    outlook = Outlook(
        Wanted(top, bottom, 0, config.tolerance), most=config.max_products, seconds=deadline.seconds
    )  # fmt: skip

    def watch(found: Ritz) -> None:
        outlook.add(found)
        bar.set_postfix_str(outlook.forecast() if len(outlook.worst) == 1 else str(outlook), refresh=False)

    return lanczos(
        operator,
        top=top,
        bottom=bottom,
        tolerance=config.tolerance,
        max_products=config.max_products,
        max_basis=config.max_basis,
        seconds=deadline.seconds,
        block=config.block,
        seed=config.seed,
        watch=watch,
        progress=bar.update,
    )


def outline(operator: Operator, config: Config, title: str) -> dict[str, Any]:
    """The columns top_eigenvalue, residual, converged, products, trace and stderr.

    The last two are nan with --no-trace, and where the time was up. The trace is Hutchinson's: linear in the operator,
    and with one seed from the same probes for every operator of one dimension.
    """
    deadline = Deadline(config.seconds)
    with tqdm(desc=title, unit="product", disable=config.quiet) as bar:
        pairs = eigenpairs(operator, config, bar, deadline, top=1, bottom=0)
        row = {
            "top_eigenvalue": float(pairs.values[0]),
            "residual": float(pairs.residuals[0]),
            "converged": bool(pairs.converged[0]),
            "products": pairs.products,
        }
        if not config.trace or deadline.passed:
            return row | {"trace": float("nan"), "stderr": float("nan")}
        found = trace(
            operator, method="hutchinson", probes=config.probes, block=config.block, seed=config.seed,
            seconds=deadline.seconds, progress=bar.update,
        )  # fmt: skip
    return row | {"trace": found.value, "stderr": found.stderr}


def overlaps(vectors: Tensor, slope: Tensor) -> list[float]:
    """(vᵀg)²/‖g‖² of every unit vector v with the gradient g."""
    slope = slope.double()
    return [float((vector.double() @ slope) ** 2 / (slope @ slope)) for vector in vectors]


def _trace(operator: Operator, key: dict[str, str], config: Config, bar: tqdm, deadline: Deadline) -> Rows:
    """By what spreads less, for vectors that are kept; where ``max_basis`` forbids it by Hutchinson, who keeps none."""
    limit = max(config.max_products, 2 * FIRST_PROBES)
    method: Literal["auto", "hutchinson"] = "auto" if config.max_basis is None else "hutchinson"
    if deadline.passed:
        _say(f"{' '.join(key.values())}: no time is left for the trace", config)
        return [{**key, **_BLANK, "estimator": "none"}]
    found = trace(
        operator, method=method, probes=FIRST_PROBES, tolerance=config.trace_tolerance, max_products=limit,
        seconds=deadline.seconds, block=config.block, seed=config.seed, progress=bar.update,
    )  # fmt: skip
    return [
        {"estimator" if name == "method" else name: value for name, value in row.items()} for row in records(found, key)
    ]


def _density(operator: Operator, key: dict[str, str], config: Config, bar: tqdm, deadline: Deadline) -> Rows:
    if deadline.passed:
        _say(f"{' '.join(key.values())}: no time is left for the density", config)
        return []
    found = density(
        operator, probes=config.probes, steps=config.steps, block=config.block, seed=config.seed,
        seconds=deadline.seconds, progress=bar.update,
    )  # fmt: skip
    return records(found, key, complete=found.complete)


def _say(remark: str, config: Config) -> None:
    if not config.quiet:
        print(remark, file=sys.stderr)
