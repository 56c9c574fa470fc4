"""Five eigenvalues of the Hessian: this package beside PyHessian and curvlinops with scipy's eigsh.

    python -m benchmarks.curvature

The five largest in size, whatever their sign: PyHessian's power iteration can give no others. On the first two problems
they are the five largest. Same network, same batch, float32, one thread; problems are described in
:mod:`benchmarks.problems`. Runs alternate, so that a machine that slows down slows all, and each is a process of its
own, so that its peak memory is its own. The error is the largest of the five, relative to the eigenvalue, against a
float64 run to a residual of 1e-9. Products are Hessian–vector products, ours with those of its check. Packages:

- ``snn-landscape``: Lanczos to a relative residual of 1e-2, and 1e-3
- ``pyhessian``: power iteration with deflation, stopping when a Rayleigh quotient moves by less than its ``tol`` of
  1e-3, the default, and 1e-4; at most 300 iterations an eigenvalue
- ``curvlinops``: its HessianLinearOperator under ``scipy.sparse.linalg.eigsh`` (implicitly restarted Lanczos, ARPACK)
  with a tolerance of 1e-3 and a basis of 20 vectors, scipy's default

Medians go to stdout and to ``benchmarks/curvature.csv``, with ratios to PyHessian; rows of problems that were not asked
for stay in the file.
"""

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from analysis.hessian.second_opinion import CountingPyHessian
from landscape.curvature import Hessian
from landscape.spectrum import lanczos

from .problems import Loss, Problem, problem

TOP = 5
HERE = Path(__file__).parent
Found = tuple[list[float], int]


def ours(task: Problem, tolerance: float) -> Found:
    """Lanczos with full reorthogonalization, graphs kept."""
    operator = Hessian(task.objective, keep_graph=True)
    values = lanczos(operator, largest=TOP, tolerance=tolerance).values.tolist()
    return values, operator.products


def pyhessian(task: Problem, tolerance: float) -> Found:
    """PyHessian's power iteration with deflation."""
    torch.manual_seed(0)
    other = CountingPyHessian(task.network, lambda z, y: task.loss(z, y).mean(), dataloader=[task.batch], cuda=False)
    values, _ = other.eigenvalues(top_n=TOP, tol=tolerance, maxIter=300)
    return values, other.products


def curvlinops(task: Problem, tolerance: float) -> Found:
    """The curvlinops operator in scipy's eigsh."""
    from curvlinops import HessianLinearOperator
    from scipy.sparse.linalg import LinearOperator, eigsh

    parameters = [weight for weight in task.network.parameters() if weight.requires_grad]
    other = HessianLinearOperator(
        task.network, _Mean(task.loss), parameters, [task.batch], num_data=len(task.batch[1]), batch_size_fn=len
    )
    products = 0

    def product(vector: np.ndarray) -> np.ndarray:
        nonlocal products
        products += 1
        return (other @ torch.from_numpy(vector.astype(np.float32).ravel())).numpy()

    size = sum(weight.numel() for weight in parameters)
    operator = LinearOperator((size, size), matvec=product, dtype=np.float32)
    start = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    values = eigsh(operator, k=TOP, which="LM", tol=tolerance, v0=start, return_eigenvectors=False)
    return sorted(map(float, values), key=abs, reverse=True), products


class _Mean(nn.Module):
    """A loss as curvlinops wants it: a module with a ``reduction``."""

    reduction = "mean"

    def __init__(self, loss: Loss):
        super().__init__()
        self.loss = loss

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean over the batch."""
        return self.loss(output, target).mean()


CONTESTANTS: dict[str, tuple[Callable[[Problem, float], Found], float]] = {
    "snn-landscape 1e-2": (ours, 1e-2),
    "snn-landscape 1e-3": (ours, 1e-3),
    "pyhessian 1e-3": (pyhessian, 1e-3),
    "pyhessian 1e-4": (pyhessian, 1e-4),
    "curvlinops + eigsh 1e-3": (curvlinops, 1e-3),
}


def one(name: str, contestant: str, folder: Path) -> dict[str, object]:
    """Values, products, seconds, and megabytes of resident memory above what the problem itself takes, at the peak."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    task = problem(name, folder)
    task.objective.gradient()  # first calls pick kernels
    run, tolerance = CONTESTANTS[contestant]
    before, begun = peak_megabytes(reset=True), time.perf_counter()
    values, products = run(task, tolerance)
    seconds = time.perf_counter() - begun
    return {
        "values": values,
        "products": products,
        "seconds": seconds,
        "megabytes": peak_megabytes() - before,
    }


def peak_megabytes(*, reset: bool = False) -> float:
    """The largest resident memory since the last reset (Linux; getrusage would count the parent's before the fork)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def reference(name: str, folder: Path) -> np.ndarray:
    """The eigenvalues in float64, to a residual of 1e-9; kept in ``folder``."""
    path = folder / f"{name}-reference.json"
    if not path.exists():
        found = lanczos(
            Hessian(problem(name, folder).double().objective), largest=TOP, tolerance=1e-9, max_products=400
        )
        if not found.converged.all():
            raise RuntimeError(f"the reference for {name} has not converged")
        path.write_text(json.dumps(found.values.tolist()))
    return np.array(json.loads(path.read_text()))


def measure(names: list[str], folder: Path, repeats: int) -> pd.DataFrame:
    """A row per problem and package: weights, medians of products, seconds and memory, error, and ratios."""
    rows = []
    for name in names:
        truth = reference(name, folder)
        weights = problem(name, folder).objective.parameters.dimension
        for contestant in tqdm(list(CONTESTANTS) * repeats, desc=name):
            command = [sys.executable, "-m", "benchmarks.curvature", "--one", name, contestant, "--runs", str(folder)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            values = np.array(found.pop("values"))
            error = float(np.max(np.abs(np.sort(values) - np.sort(truth)) / np.abs(np.sort(truth))))
            rows.append({"problem": name, "weights": weights, "package": contestant, "error": error, **found})
    runs = pd.DataFrame(rows)
    table = runs.groupby(["problem", "weights", "package"], sort=False).median().reset_index()
    for column in ("products", "seconds"):
        peer = table[table["package"] == "pyhessian 1e-3"].set_index("problem")[column]
        table[f"{column}_ratio"] = table[column] / table["problem"].map(peer)
    return table


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--problems", nargs="+", default=["digits", "resnet20", "vggsnn"])
    parser.add_argument("--repeats", type=int, default=3, help="runs of each package")
    parser.add_argument("--runs", type=Path, default=Path("runs/bench"), help="folder for the trained networks")
    parser.add_argument("--one", nargs=2, metavar=("PROBLEM", "PACKAGE"), help="a single run, as JSON")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(*arguments.one, arguments.runs)))
        return 0
    table = measure(arguments.problems, arguments.runs, arguments.repeats)
    path = HERE / "curvature.csv"
    kept = pd.read_csv(path) if path.exists() else table.head(0)
    kept = kept[~kept["problem"].isin(arguments.problems)]
    pd.concat([kept, table], ignore_index=True).to_csv(path, index=False)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
