"""Top five eigenvalues of the formal Hessian: this package beside PyHessian, same network, same batches.

    python -m benchmarks.curvature

Runs alternate, so that a machine that slows down slows both. The error is the largest of the five, relative to the
eigenvalue, against a float64 Lanczos run to a residual of 1e-10. PyHessian orders by magnitude and stops when a
Rayleigh quotient moves by less than its ``tol``; here that is its default, 1e-3. Ours counts the three products of its
symmetry check. One thread. The table goes to stdout and to ``benchmarks/curvature.csv``.
"""

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from analysis.second_opinion import CountingPyHessian
from analysis.subject import per_image
from landscape.lanczos import lanczos
from landscape.objective import Objective
from landscape.operators import Hessian
from models import recipe, train
from models.checkpoint import Checkpoint

TOP = 5
HERE = Path(__file__).parent
Run = Callable[[Objective, int], tuple[list[float], int]]


def ours(objective: Objective, seed: int) -> tuple[list[float], int]:
    """Lanczos with full reorthogonalization to a relative residual of 1e-3, graphs kept."""
    operator = Hessian(objective, keep_graph=True)
    values = lanczos(operator, top=TOP, tolerance=1e-3, seed=seed).values.tolist()
    return values, operator.products


def pyhessian(objective: Objective, seed: int) -> tuple[list[float], int]:
    """PyHessian's power iteration with deflation, at its defaults."""
    batches = [(x, y) for _, x, y in objective.batches()]
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        other = CountingPyHessian(
            objective.model, lambda z, y: objective.loss(z, y).mean(), dataloader=batches, cuda=False
        )
        values, _ = other.eigenvalues(top_n=TOP)
    return values, other.products


def reference(checkpoint: Checkpoint, batches: list[tuple[Tensor, Tensor]], loss: str) -> Tensor:
    """The eigenvalues in float64, to a residual of 1e-10."""
    exact = Objective(checkpoint.network().double(), per_image(loss), [(x.double(), y) for x, y in batches])
    found = lanczos(Hessian(exact, keep_graph=True), top=TOP, tolerance=1e-10, max_products=400)
    if not found.converged.all():
        raise RuntimeError("the reference has not converged")
    return torch.tensor(found.values)


def measure(folder: Path, repeats: int) -> pd.DataFrame:
    """A row per loss and package: products, seconds (median), largest relative error, and ratios to PyHessian."""
    checkpoint = train.run(recipe.Config(out=folder, loss="tet", quiet=True))
    batches = list(checkpoint.load_data().train.batches(200))
    rows = []
    for loss in ("sdt", "tet"):
        truth = reference(checkpoint, batches, loss)
        found: dict[str, list[tuple[float, int, float]]] = {"snn-landscape": [], "pyhessian": []}
        for seed in tqdm(range(repeats), desc=loss):
            for name, run in zip(found, (ours, pyhessian), strict=True):
                objective = Objective(checkpoint.network(), per_image(loss), batches)
                begun = time.perf_counter()
                values, products = run(objective, seed)
                seconds = time.perf_counter() - begun
                error = ((torch.tensor(values).double() - truth) / truth).abs().max()
                found[name].append((seconds, products, float(error)))
        for name, runs in found.items():
            seconds, products, error = (statistics.median(column) for column in zip(*runs, strict=True))
            rows.append({"loss": loss, "package": name, "products": products, "seconds": seconds, "error": error})
    table = pd.DataFrame(rows)
    for column in ("products", "seconds"):
        peer = table[table["package"] == "pyhessian"].set_index("loss")[column]
        table[f"{column}_ratio"] = table[column] / table["loss"].map(peer)
    return table


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="runs of each package")
    parser.add_argument("--runs", type=Path, default=Path("runs/bench"), help="folder for the trained network")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = measure(arguments.runs, arguments.repeats)
    table.to_csv(HERE / "curvature.csv", index=False)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
