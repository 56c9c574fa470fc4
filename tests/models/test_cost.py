"""Costs before a run: MACs against published and hand-made counts, memory against the allocator's own count."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from models import data
from models.data.events import SENSOR
from models.losses import tet_loss
from models.networks import build, means
from models.neurons import bits
from models.neurons.lif import LIF
from models.train import main
from models.training import cost, optimizer, recipes
from models.training.recipe import Config, network, resolved


def of(**settings) -> cost.Cost:
    made = resolved(Config(out=Path(), **settings))
    return cost.cost(made, made.timesteps)


def test_macs_and_parameters_are_the_published_ones():
    """2.2165 GMAC a step for ResNet-19, whose stem of 1.77 MMAC sees a static image once; 1.362 for VGGSNN, at each."""
    residual = of(data="cifar10", timesteps=4)
    assert residual.macs == pytest.approx(4 * 2.2165e9 - 3 * 1.77e6, rel=1e-4)
    assert residual.parameters == 12_630_858
    assert of(data="cifar10-dvs", timesteps=10).macs == pytest.approx(13.62e9, rel=1e-3)


def test_macs_of_the_net_for_digits_by_hand():
    """8×8 → pooled to 4×4 → pooled to 2×2; 12, 24 and 24 maps; the stem once, the rest at every step."""
    stem, rest = 64 * 12 * 9, 16 * 24 * 12 * 9 + 4 * 24 * 24 * 9 + 96 * 10
    found = of(timesteps=3)
    assert found.macs == stem + 3 * rest
    assert found.epoch_macs == found.macs * (3 * 200 + 200 + 1597)
    assert of(timesteps=3, evaluate_train=50).epoch_macs == found.macs * (3 * 200 + 50 + 1597)
    assert of(timesteps=3, evaluate_every=4).epoch_macs == found.macs * round(3 * 200 + (200 + 1597) / 4)
    assert of(timesteps=3, evaluate_train=500).epoch_macs == found.epoch_macs


def test_shapes_are_those_of_the_data():
    loaded = data.load("digits")
    found = (len(loaded.train), len(loaded.test), loaded.num_classes, loaded.in_channels, loaded.image_size)
    assert found == cost.SHAPES["digits"]
    assert cost.SHAPES["digit-events"] == (*found[:3], 2, SENSOR[0])


def peak(settings: Config) -> int:
    """Bytes that a step has allocated at most, weights and the optimizer's moments included, as torch counts them."""
    _, _, classes, channels, size = cost.SHAPES[settings.data]
    net = network(settings, num_classes=classes, in_channels=channels, image_size=size).train()
    for module in net.modules():
        if isinstance(module, LIF):
            module.implementation = "reference"
    images, labels = torch.randn(settings.batch_size, channels, size, size), torch.zeros(settings.batch_size).long()
    stepped = optimizer.build(settings, net)

    def step() -> None:
        stepped.zero_grad()
        with bits.kept() if settings.keep_spikes == "bits" else nullcontext():
            tet_loss(net(images), labels).backward()
        stepped.step()

    step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    level = highest = 0
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        level += event.nbytes()
        highest = max(highest, level)
    before = 4 * sum(weight.numel() for weight in net.parameters())
    return highest + before * (4 if settings.optimizer == "adam" else 3)


@pytest.mark.parametrize(
    "settings",
    [
        {"timesteps": 2, "batch_size": 200, "keep_spikes": "bits"},
        {"timesteps": 2, "batch_size": 200},
        {"data": "cifar10", "model": "cnn5", "timesteps": 3, "batch_size": 4},
    ],
)
def test_a_step_takes_the_memory_that_is_said(settings, monkeypatch):
    monkeypatch.setattr(means, "takes", lambda *_: False)  # keeps less
    made = resolved(Config(out=Path(), **settings))
    assert of(**settings).step_bytes == pytest.approx(peak(made), rel=0.1)


def test_memory_grows_with_images_and_steps_and_shrinks_in_bfloat16():
    one = of(data="cifar10", timesteps=2, batch_size=8)
    kept = one.step_bytes - 8 * one.graph_bytes
    assert kept == 16 * one.parameters  # weights, gradients and Adam's two moments, of four bytes
    assert of(data="cifar10", timesteps=2, batch_size=8, accumulate=4).step_bytes == kept + 2 * one.graph_bytes
    assert of(data="cifar10", timesteps=4).graph_bytes == pytest.approx(2 * one.graph_bytes, rel=0.02)
    coarse = of(data="cifar10", timesteps=2, precision="bfloat16").graph_bytes
    assert one.graph_bytes / 2 < coarse < 0.9 * one.graph_bytes  # membranes stay in float32


def test_spikes_as_bits_take_a_32nd_or_a_16th_and_all_else_what_it_took():
    spikes = 3 * (12 * 8 * 8 + 24 * 4 * 4 + 24 * 2 * 2)
    for precision, size in (("float32", 4), ("bfloat16", 2), ("float64", 8)):
        whole, packed = (of(timesteps=3, precision=precision, keep_spikes=keep) for keep in ("values", "bits"))
        assert whole.graph_bytes - packed.graph_bytes == spikes * (8 * size - 1) / 8
    smooth = [of(surrogate="smooth", keep_spikes=keep).graph_bytes for keep in ("values", "bits")]
    assert smooth[0] == smooth[1]


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_has_a_cost(name, tmp_path, capsys):
    assert main(["--recipe", name, "--dry-run", "--out", str(tmp_path / "run")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all("GMAC an image forward; a step takes about" in line for line in lines[:-1])
    assert "time steps an image" in lines[-1]
    assert not (tmp_path / "run").exists()


def test_a_network_counted_is_the_network_built():
    assert of(timesteps=3).parameters == sum(weight.numel() for weight in build("digits-cnn", seed=0).parameters())
