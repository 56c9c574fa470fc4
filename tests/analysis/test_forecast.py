"""What --dry-run says an analysis takes, beside what it takes."""

import importlib
import math
import subprocess
import sys
import time
from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from analysis import hessian, history, momentum, path, rise, robustness, sharpness, surface, timesteps
from analysis.flags import Config
from analysis.forecast import Run, _peak, forecast
from analysis.momentum.command import measure as measured_momentum
from analysis.peaks import Peaks, watched
from analysis.subject import Subject
from tests.commands import ANALYSES


class Net(nn.Module):
    """Of a given width, that takes its time for every call and every image."""

    def __init__(self, width: int = 6, call: float = 0, image: float = 0):
        super().__init__()
        self.first, self.last, self.call, self.image = nn.Linear(4, width), nn.Linear(width, 3), call, image

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(self.call + self.image * len(x))
        return self.last(self.first(x).relu())


def subject(**arguments) -> Subject:
    torch.manual_seed(0)
    x, y = torch.randn(120, 4), torch.arange(120) % 3
    return Subject(
        Net(**arguments), train=TensorDataset(x[:80], y[:80]), test=TensorDataset(x, y), factors={"batch_size": 40}
    )


def cost(config: Config, one: Subject) -> pd.Series:
    module = importlib.import_module(type(config).__module__.removesuffix(".flags"))
    return module.run(replace(config, dry_run=True, quiet=True), [one]).to_frame().iloc[0]


EXACT = {
    "surface": surface.Config(draws=1, points=5, plane_points=3, split="both", chunk=25),
    "rise": rise.Config(draws=2, chunk=25),
    "robustness": robustness.Config(draws=2, chunk=25),
    "sharpness": sharpness.Config(measures=("average", "fisher-rao"), draws=2, chunk=25),
    "timesteps": timesteps.Config(chunk=25),
}


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", EXACT)
def test_passes_are_those_that_are_made(name):
    config, one = EXACT[name], subject()
    with watched(one.network, "cpu") as looked_at:
        history.run(history.Config(quiet=True), [one])  # which measures nothing
    with watched(one.network, "cpu") as seen:
        importlib.import_module(f"analysis.{name}").run(replace(config, quiet=True), [one])
    found = cost(config, one)
    assert found["from_images"] == 5 * 16
    assert found["passes"] == pytest.approx(seen.passes - looked_at.passes, rel=0.1)


@pytest.mark.slow
def test_seconds_are_of_all_images_in_their_pieces():
    config, one = rise.Config(draws=1, along=("line",), radii=(0.1, 0.2), chunk=20), subject(call=0.02, image=0.002)
    begun = time.perf_counter()
    rise.run(replace(config, quiet=True), [one])
    took = time.perf_counter() - begun
    found = cost(config, one)
    assert took / 2 < found["seconds"] < 2 * took
    assert found["at_most"] > took / 2


def test_what_takes_long_is_asked_of_few_images(monkeypatch):
    monkeypatch.setattr("analysis.forecast._LONG", 0.1)
    found = cost(rise.Config(draws=1, along=("line",), radii=(0.1, 0.2)), subject(image=0.005))
    assert found["from_images"] == 20
    assert found["asking"] < found["seconds"]


def memory() -> None:
    """Print what a process used before, what it was told to need, and what it needed."""
    one, config = subject(width=2**18), sharpness.Config(measures=("average",), noise=(0.1,), draws=2, chunk=80)
    with watched(one.network, "cpu") as nothing:
        pass
    found = cost(config, one)["gib"] * 2**30
    with watched(one.network, "cpu") as seen:
        sharpness.run(replace(config, quiet=True), [one])
    print(nothing.highest, found, seen.highest)


@pytest.mark.slow
def test_memory_is_that_of_a_whole_piece():
    made = "from tests.analysis.test_forecast import memory; memory()"  # in a process that no other test has used
    done = subprocess.run([sys.executable, "-c", made], capture_output=True, text=True, check=True)
    before, found, needed = map(float, done.stdout.split())
    if math.isnan(needed):
        pytest.skip("this system doesn't tell a process's peak of memory")
    assert needed > before + 2**27
    assert found - before == pytest.approx(needed - before, rel=0.2)


class Large(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ones(2**24).sum() + x  # 64 MiB


def test_what_a_pass_takes_is_counted_from_its_begin():
    network = Large()
    with watched(network, "cpu") as seen:
        kept = torch.ones(2**25)
        network(torch.zeros(1))
        network(torch.zeros(1))
    if math.isnan(seen.highest):
        pytest.skip("this system doesn't tell a process's peak of memory")
    assert seen.passes == 2
    assert seen.growth == pytest.approx(kept.numel() * 4, rel=0.1)  # before the first pass
    with watched(network, "cpu") as seen:
        network(torch.zeros(1))
    assert seen.growth == pytest.approx(2**26, rel=0.1)


def test_what_a_pass_takes_is_seen_below_a_higher_peak_elsewhere():
    def run(images, pieces, growth):
        return Run(images, pieces, 1, 1.0, Peaks("cpu", highest=1000.0, growth=growth))

    runs = [run(4, 1, 40.0), run(8, 1, 80.0), run(8, 2, 40.0)]  # ten bytes an image, and 1,000 at another time
    assert _peak(runs, 20.0) == 1000 + 10 * (20 - 8)


def test_graphs_that_would_not_be_kept_are_not_counted(monkeypatch):
    monkeypatch.setattr("analysis.forecast.available", lambda _: 0)
    tried = []
    config = hessian.Config(chunk=20, radius=False, density=False, trace=False, quiet=True)

    def measure(_one, asked):
        tried.append(asked.keep_graph)
        return {}

    forecast(measure, subject(), config)
    assert tried[:4] == [True] * 4
    monkeypatch.setattr("analysis.forecast._kept", lambda *_: 1.0)
    forecast(measure, subject(), config)
    assert tried[-1] is False


def test_cost_of_momentum_grows_with_the_batch():
    seen = []

    def measure(one, asked):
        seen.append((asked.images, asked.batch_size, asked.chunk))
        return measured_momentum(one, asked)

    found = forecast(measure, subject(), momentum.Config(batches=3, relative_steps=(), chunk=8, quiet=True)).iloc[0]
    assert found["images"] == 40
    assert {size for _, size, _ in seen} == {4, 8}  # 16 would be nearly half of them
    assert {images for images, _, _ in seen} == {1000}


def test_more_images_where_few_are_too_few_and_all_where_few_are_asked_for():
    groups = sharpness.Config(measures=("m",), m=(20,), images=None, steps=2, chunk=40)
    assert cost(groups, subject())["from_images"] == 80  # 4 and 16 are too few, and 64 nearly all
    assert cost(rise.Config(images=10, draws=1), subject())["from_images"] == 10


def test_a_network_that_is_refused_is_refused_alike():
    one = subject()
    with torch.no_grad():
        one.network.get_parameter("last.weight").fill_(math.nan)
    with pytest.raises(ValueError, match="nan"):
        cost(rise.Config(draws=1), one)


def test_a_path_has_none():
    with pytest.raises(ValueError, match="no forecast"):
        path.run(path.Config(dry_run=True), [subject(), subject()])


@pytest.mark.parametrize("name", sorted(set(ANALYSES) - {"path", "stability"}))
@pytest.mark.slow(keep=3)
def test_nothing_is_written(name, digits_checkpoint, tmp_path):
    flags = ["--dry-run", "--images", "40", "--out", str(tmp_path / "x")]
    found = subprocess.run(
        [sys.executable, "-m", f"analysis.{name}", str(digits_checkpoint("tet")), *flags],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "cost (1 rows)" in found.stdout
    assert found.stderr.splitlines()[-1] == "nothing is written: leave out --dry-run to measure"
    assert not (tmp_path / "x").exists()
