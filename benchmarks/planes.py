"""A plane through a network's weights, and tomgoldstein/loss-landscape's own functions put to it."""

import argparse
import contextlib
import io
import sys
import tempfile
import types
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path

import numpy as np
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from landscape.objective import Parameters
from landscape.surfaces import cached_size, grid, random_direction
from models.networks.layers import Network


class Mean(nn.Module):
    """The network with its outputs averaged over time, as a package that knows no time takes it."""

    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """[batch, class]."""
        return self.network(images).mean(0)


@dataclass(frozen=True)
class Problem:
    """A network, its images, and a plane of ``points`` by ``points``."""

    name: str
    network: Network
    images: Tensor
    labels: Tensor
    points: int

    @property
    def axis(self) -> np.ndarray:
        """Coordinates along either axis."""
        return grid(-1.0, 1.0, self.points)

    @cached_property
    def directions(self) -> list[Tensor]:
        """Two filter-normalized ones."""
        return [random_direction(Parameters(self.network), seed=seed) for seed in (0, 1)]

    def batches(self, size: int) -> list[tuple[Tensor, Tensor]]:
        """The images in passes of ``size``."""
        return list(zip(self.images.split(size), self.labels.split(size), strict=True))

    @property
    def size(self) -> int:
        """Images to a pass, as the command chooses it."""
        return min(250, cached_size(self.network, self.images[:1]))


class Peer:
    """The functions of a checkout of the peer."""

    def __init__(self, folder: Path):
        if not (folder / "plot_surface.py").is_file():
            raise FileNotFoundError(
                f"{folder} holds no plot_surface.py: name a checkout of tomgoldstein/loss-landscape"
            )
        sys.path.append(str(folder.resolve()))
        sys.modules.setdefault("mpi4py", types.ModuleType("mpi4py"))  # imported there; only several processes use it
        names = ("h5py", "h5_util", "net_plotter", "plot_surface")
        self.h5py, self.h5_util, self.net_plotter, self.plot_surface = map(import_module, names)

    def run(self, problem: Problem, workers: int) -> np.ndarray:
        """Its loss surface, one loss."""
        model = Mean(problem.network).eval()
        loader = DataLoader(TensorDataset(problem.images, problem.labels), batch_size=128, num_workers=workers)
        ends = {"xmin": -1.0, "xmax": 1.0, "ymin": -1.0, "ymax": 1.0, "xnum": problem.points, "ynum": problem.points}
        arguments = argparse.Namespace(**ends, y=True, dir_type="weights", loss_name="crossentropy", ngpu=1, cuda=False)
        weights = [weight.clone() for weight in self.net_plotter.get_weights(model)]
        parts = [Parameters(problem.network).split(direction) for direction in problem.directions]
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            file, axes = f"{folder}/surface.h5", f"{folder}/directions.h5"
            with self.h5py.File(axes, "w") as written:
                for name, part in zip(("xdirection", "ydirection"), parts, strict=True):
                    self.h5_util.write_list(written, name, list(part))
            self.plot_surface.setup_surface_file(arguments, file, axes)
            directions = self.net_plotter.load_directions(axes)
            self.plot_surface.crunch(
                file, model, weights, None, directions, loader, "loss", "accuracy", None, 0, arguments
            )
            self.net_plotter.set_weights(model, weights)
            with self.h5py.File(file, "r") as read:
                return np.array(read["loss"]).T
