"""What is used where nothing is said, held fixed: who leaves a setting out today gets the same network tomorrow."""

from dataclasses import asdict, fields
from inspect import signature
from pathlib import Path

import pytest

from models.losses import LOSSES
from models.networks import NETWORKS, build
from models.neurons.lif import LIF, Neuron
from models.train import Config

NEURON = {"decay": 0.5, "threshold": 1.0, "surrogate": "triangle", "width": 1.0, "detach_reset": False}
TRAINING = {
    "loss": "tet", "method": None, "data": "digits", "frames": None, "cut": "count", "binary_frames": False,
    "split": None, "split_seed": 0, "vary_data": False, "random_labels": 0.0,
    "model": None, "timesteps": 4, "epochs": 50, "phases": None,
    "until_loss": None, "until_loss_of": None, "batch_size": 50, "accumulate": 1, "optimizer": "adam",
    "learning_rate": 2e-3, "momentum": 0.9, "weight_decay": 0.0, "mse_weight": None, "mse_target": 1.0,
    "label_smoothing": 0.0, "trt_eta": 0.05, "trt_lambda": 1e-5, "trt_delta": 0.25,
    "sharpness_aware": None, "adaptive": False, "adaptive_eta": 0.01, "seed": 0,
    "train_images": None, "augment": True, "image_size": None, "spiking": True, "norm": "batch", **NEURON,
    "detach_state": False,
    "precision": "float32", "channels_last": False, "neuron": "auto", "keep_spikes": "values", "cuda_graph": "auto",
    "evaluate_train": None, "evaluate_every": 1, "record_momentum": False, "snapshots": 0, "workers": 0,
    "data_root": None, "device": "cpu", "recipe": None, "tensorboard": False, "dry_run": False, "quiet": False,
}  # fmt: skip
VGGSNN: dict[str, int | str] = {"num_classes": 10, "timesteps": 10, "in_channels": 2, "image_size": 48}
IMAGENET: dict[str, int | str] = {"num_classes": 1000, "timesteps": 4, "in_channels": 3}
OWN: dict[str, dict[str, int | str]] = {
    "vggsnn": VGGSNN | {"downsample": "avgpool"},
    "vggsnn-stride": VGGSNN | {"downsample": "stride"},
    "resnet19": {"num_classes": 10, "timesteps": 4, "in_channels": 3},
    **dict.fromkeys((f"spiking-resnet{depth}" for depth in (18, 34, 50, 101, 152)), IMAGENET),
    **dict.fromkeys((f"sew-resnet{depth}" for depth in (18, 34, 50, 101, 152)), IMAGENET),
    **{f"spiking-vgg{depth}": IMAGENET | {"hidden": 4096, "depth": depth} for depth in (11, 13, 16, 19)},
    "cnn5": {"num_classes": 10, "timesteps": 4, "in_channels": 3, "image_size": 32},
    "digits-cnn": {"num_classes": 10, "timesteps": 4, "in_channels": 1, "image_size": 8, "channels": 12},
}


def test_those_of_training():
    found = asdict(Config(out=Path("runs")))
    assert found == {"out": Path("runs")} | TRAINING
    assert list(found) == [field.name for field in fields(Config)]


def test_those_of_a_neuron():
    assert asdict(Neuron()) == {"spiking": True} | NEURON
    lif = LIF()
    assert {name: getattr(lif, name) for name in ("decay", "threshold", "detach_reset")}.items() <= NEURON.items()
    assert {name: each.default for name, each in signature(LIF).parameters.items()} == NEURON


@pytest.mark.parametrize("name", NETWORKS)
def test_those_of_every_network(name):
    found = build(name, seed=0, device="meta")
    assert found.arguments == OWN[name] | {"norm": "batch", "spiking": True} | NEURON
    assert build(name, seed=0, device="meta", spiking=False).timesteps == 1


def test_those_of_the_losses():
    expected = {"mse_weight": 0.0, "mse_target": 1.0, "label_smoothing": 0.0, "reduction": "mean"}
    assert sorted(LOSSES) == ["sdt", "tet"]
    for loss in LOSSES.values():
        arguments = signature(loss).parameters.values()
        assert {one.name: one.default for one in arguments if one.kind is one.KEYWORD_ONLY} == expected
