"""How often the error that a surface of few points and few images states is above the error that it has.

    python -m benchmarks.coverage [--seeds 5] [--draws 4] [--points 33] [--images 600]

Planes of digits networks trained with SDT and with TET, some seeds of each, along random directions, to 2 % of the
range under both losses, beside the same planes on all points and all images. One line a plane, and the shares at the
end; 40 planes of 33 × 33 points and 600 images take some seven minutes of one core.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from landscape.objective import Parameters
from landscape.surfaces import grid, random_direction, surface
from models import train
from models.data import load
from models.training import recipe

from .surface import metrics

TOLERANCE = 0.02


def planes(runs: Path, seeds: int, draws: int, points: int, count: int) -> Iterator[pd.DataFrame]:
    """A row for each plane and metric: the error stated and the error found, over the range, and what was saved."""
    images, labels = next(load("digits", train_images=count).train.batches(count))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    batches = list(zip(images[order].split(50), labels[order].split(50), strict=True))
    axis = grid(-1.0, 1.0, points)
    for loss in ("sdt", "tet"):
        for seed in range(seeds):
            config = replace(recipe.Config(out=runs / f"{loss}-{seed}", loss=loss, quiet=True), seed=seed)
            network = train.run(config).network().eval()
            for draw in range(draws):
                directions = [random_direction(Parameters(network), seed=2 * draw + number) for number in (0, 1)]
                plain = {"channels_last": True}
                arguments = (network, metrics("sdt", "tet"), batches, directions, axis, axis)
                whole = surface(*arguments, **plain)
                few = surface(*arguments, **plain, tolerance={"sdt": TOLERANCE, "tet": TOLERANCE}, seed=draw)
                saved = whole.images.sum() / few.images.sum()
                yield pd.DataFrame(
                    {
                        "plane": f"{loss}-{seed}-{draw}", "metric": name, "stated": few.errors[name].error / size,
                        "error": float(np.sqrt(np.square(apart).mean())) / size, "largest": np.abs(apart).max() / size,
                        "saved": saved,
                    }
                    for name in whole.mean
                    for apart, size in [(few.mean[name] - whole.mean[name], np.ptp(whole.mean[name]))]
                )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="networks of each loss")
    parser.add_argument("--draws", type=int, default=4, help="planes of each network")
    parser.add_argument("--points", type=int, default=33, help="points along an axis")
    parser.add_argument("--images", type=int, default=600, help="images of a point")
    parser.add_argument("--runs", type=Path, default=Path("runs/coverage"), help="folder for the trained networks")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    found = []
    for frame in planes(arguments.runs, arguments.seeds, arguments.draws, arguments.points, arguments.images):
        found.append(frame)
        print(frame.to_string(index=False, header=len(found) == 1), flush=True)
    table = pd.concat(found).assign(holds=lambda rows: rows["error"] <= rows["stated"])
    print(table.groupby("metric")[["holds", "error", "stated", "largest", "saved"]].mean())


if __name__ == "__main__":
    main()
