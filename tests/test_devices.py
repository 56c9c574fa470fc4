"""Everything on one device: on a CUDA device that is pretended (tests/pretend_cuda.py), and with mismatches planted.

Each analysis, and training, gives there the numbers that it gives on the CPU, to the bit, since that is what computes.
And where a function that brings something to the device fails to, operands are in two places, and that is noticed.
What needs second derivatives, or watches operators (``analysis.hessian``, ``analysis.energy``), isn't here: zeros that
autograd makes by itself, and what a watcher computes, the pretence doesn't see.
"""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

from analysis import momentum, rise, robustness, surface, timesteps
from models import train
from models.training import recipe

from .pretend_cuda import CPU, CUDA, PretendCuda, place

Tables = Mapping[str, pd.DataFrame]
FEW: dict[str, Any] = {"quiet": True, "images": 8}
ANALYSES: dict[str, tuple[Any, dict[str, Any]]] = {
    "timesteps": (timesteps, {}),
    "rise": (rise, {"draws": 2, "radii": (0.2,)}),
    "robustness": (robustness, {"draws": 2, "shifts": ("all",), "severities": (3,)}),
    "momentum": (momentum, {"batches": 2, "batch_size": 6, "steps": 1}),
    "surface": (surface, {"draws": 1, "points": 3, "plane_points": 2}),
}


HARMLESS = {
    "models/device.py:device": "whether there is such a device",
    "models/neurons/selection.py:select": "which neurons it can compute",
    "models/training/made.py:_resident": "images are brought there once; each batch would be",
    "models/training/epoch.py:steps": "a single number",
    "models/training/epoch.py:steps.<locals>.gradient": "a single number",
}


@pytest.fixture(scope="module")
def checkpoint(digits_checkpoint) -> Path:
    return digits_checkpoint("tet", timesteps=2, train_images=40, batch_size=10, epochs=8)


def measured(name: str, path: Path, device: str) -> Tables:
    """The tables of an analysis."""
    package, asked = ANALYSES[name]
    return package.run(package.Config((path,), device=device, **FEW, **asked)).tables


def trained(out: Path, device: str, **more: Any) -> dict[str, torch.Tensor]:
    """The weights of a short run."""
    config = {"epochs": 1, "train_images": 40, "batch_size": 20, "timesteps": 2, "neuron": "reference", **more}
    return train.run(
        recipe.Config(out=out, loss="tet", cuda_graph="off", device=device, quiet=True, **config)
    ).state_dict


def test_what_the_device_refuses():
    with PretendCuda():
        weight = torch.ones(3, device="cuda")
        for to in ({"device": "cuda"}, {"device": torch.device("cuda"), "dtype": torch.float64}):
            network = nn.Linear(3, 2).to(**to)
            assert {one.device for one in network.parameters()} == {CUDA}
            assert {one.device for one in deepcopy(network).parameters()} == {CUDA}
        assert (weight.device, (2 * weight).device, weight.cpu().device) == (CUDA, CUDA, CPU)
        assert weight.is_cuda
        assert not weight.cpu().is_cuda
        assert place(torch.zeros_like(weight)) == CUDA
        for mixed in (lambda: weight + torch.ones(3), lambda: torch.stack([weight, torch.ones(3)])):
            with pytest.raises(RuntimeError, match="same device"):
                mixed()
        assert (weight * torch.tensor(2.0)).device == weight[torch.tensor([0])].device == CUDA
        with pytest.raises(TypeError, match="numpy"):
            weight.numpy()
        with pytest.raises(RuntimeError, match="generator"):
            torch.randn(3, generator=torch.Generator(), device="cuda")
        with pytest.raises(RuntimeError, match="generator"):
            weight.normal_(generator=torch.Generator())
    assert place(weight) == CUDA
    assert weight.device == CPU


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", ANALYSES)
def test_an_analysis_is_on_one_device_and_says_what_it_says_on_the_cpu(name, checkpoint):
    with PretendCuda() as there:
        found = measured(name, checkpoint, "cuda")
    expected = measured(name, checkpoint, "cpu")
    assert there.sites
    assert found.keys() == expected.keys()
    for table, frame in expected.items():
        pd.testing.assert_frame_equal(found[table], frame, obj=table)


@pytest.mark.parametrize("more", [{}, {"sharpness_aware": 0.05}, {"record_momentum": True, "optimizer": "sgd"}])
def test_training_is_on_one_device_and_ends_where_it_ends_on_the_cpu(more, tmp_path):
    with PretendCuda() as there:
        found = trained(tmp_path / "cuda", "cuda", **more)
    expected = trained(tmp_path / "cpu", "cpu", **more)
    assert there.sites
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_in_training_whatever_is_left_where_it_was_is_noticed(tmp_path):
    count = iter(range(1000))

    def run() -> None:
        trained(tmp_path / str(next(count)), "cuda")

    with PretendCuda() as there:
        run()
    planted = [site for site in there.sites if site not in HARMLESS]
    assert len(planted) > 1
    for site in planted:
        try:
            with PretendCuda(left_out=site):
                run()
        except (RuntimeError, ValueError) as error:
            assert "same device" in str(error), site  # noqa: PT017
        else:
            pytest.fail(f"{site} was left out, and nobody noticed")
