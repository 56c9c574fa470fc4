"""What tests/test_processes.py starts with torchrun: analyses that take whole networks, each to a folder of its own.

torchrun --nproc-per-node 2 tests/in_turns.py CHECKPOINT … --out FOLDER
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analysis import command, line, momentum, path, robustness, sharpness, stability, timesteps
from analysis.failing import Failed
from models import processes
from tables.result import Result

NAMES = ("sharpness", "timesteps", "robustness", "momentum", "stability", "path")


def results(checkpoints: tuple[Path, ...], out: Path | None) -> Iterator[tuple[str, Result]]:
    """Every analysis' tables, small."""
    few: dict[str, Any] = {"checkpoints": checkpoints, "images": 6, "quiet": True}
    for name in NAMES:
        shared = few | {"out": out and out / name}
        result = {
            "sharpness": lambda s=shared: sharpness.run(sharpness.Config(**s, measures=("average", "norms"), draws=2)),
            "timesteps": lambda s=shared: timesteps.run(timesteps.Config(**s)),
            "robustness": lambda s=shared: robustness.run(robustness.Config(**s, draws=2)),
            "momentum": lambda s=shared: momentum.run(momentum.Config(**s, batches=2, batch_size=3)),
            "stability": lambda s=shared: stability.run(stability.Config(**s, max_products=20)),
            "path": lambda s=shared: path.run(path.Config(**s, kind="line", points=3)),
        }[name]()
        yield name, result


def run(config: command.Config) -> Result:
    """Everything; a failing subject's line is what ends the job."""
    found = dict(results(config.checkpoints, config.out))
    *whole, last = config.checkpoints
    last.with_suffix(".broken").write_bytes(b"no checkpoint") if processes.is_main() else None
    processes.gathered([0])
    broken = (whole[0], last.with_suffix(".broken"), last)
    try:
        timesteps.run(timesteps.Config(broken, images=6, quiet=True, out=config.out and config.out / "broken"))
    except Failed as failure:
        if len(failure.lines) == 1 and failure.result:
            return found["timesteps"]
        raise
    raise ValueError("nothing failed")


if __name__ == "__main__":
    sys.exit(line.main(command.Config, run, None, "in_turns"))
