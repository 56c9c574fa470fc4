"""What defines a training run: the data, the network and every hyperparameter, as one dataclass of flags.

Defaults are the paper's where it states them and the embedded digits' otherwise. Silent in the paper's body, and so
chosen here: the learning rate and optimizer (its code's Adam), and which weights are the result (the last epoch's).
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

DEFAULT_MODEL = {
    "digits": "digits-cnn",
    "digit-events": "digits-cnn",
    "cifar10": "resnet19",
    "cifar100": "resnet19",
    "imagenet": "sew-resnet34",
}


@dataclass(frozen=True)
class Config:
    """Train one network."""

    out: Path
    """Folder for ckpt.pt, history.csv and snapshots/."""
    loss: Literal["sdt", "tet"] = "tet"
    """Standard direct training, or temporal efficient training."""
    data: Literal["digits", "digit-events", "cifar10", "cifar100", "imagenet"] = "digits"
    """Data set."""
    model: str | None = None
    """Network; by default one that suits the data: digits-cnn, resnet19 (CIFAR), sew-resnet34 (ImageNet)."""
    timesteps: int = 4
    """T, the steps a network is run for; 1 for a network that doesn't spike."""
    epochs: int = 50
    """Passes over the training images."""
    batch_size: int = 50
    """Images a step."""
    optimizer: Literal["adam", "sgd"] = "adam"
    """Adam as in the official code, or SGD."""
    learning_rate: float = 2e-3
    """At the first epoch; it falls to zero along a cosine."""
    momentum: float = 0.9
    """SGD's momentum, or Adam's first beta."""
    weight_decay: float = 0.0
    """L2 penalty; none in the paper's recipes."""
    mse_weight: float | None = None
    """The paper's lambda; by default 0.05 with TET and 0 with SDT."""
    mse_target: float = 1.0
    """The paper's phi."""
    label_smoothing: float = 0.0
    """None in the paper's recipes."""
    seed: int = 0
    """Of the weights, the order of the images and their augmentation."""
    train_images: int | None = None
    """Train on so many images, the same for every seed; by default 200 digits, or all."""
    augment: bool = True
    """The paper's augmentation where the data set has one (CIFAR, ImageNet)."""
    spiking: bool = True
    """False: the ReLU twin of the network, at T = 1."""
    norm: Literal["batch", "tdbn"] = "batch"
    """BatchNorm over time and batch, or with tdBN's scaling."""
    decay: float = 0.5
    """Factor on the membrane from step to step."""
    threshold: float = 1.0
    """Firing threshold."""
    surrogate: Literal["triangle", "arctan", "sigmoid", "rectangle", "smooth"] = "triangle"
    """Surrogate derivative; smooth replaces the spike itself by a sigmoid (the paper's Table 2)."""
    width: float = 1.0
    """Of the surrogate: its area over its peak (gamma; 2/alpha; 4/k)."""
    detach_reset: bool = False
    """Cut the gradient through the reset."""
    snapshots: int = 0
    """Keep the weights of every n-th epoch, and of the untrained network, in snapshots/; 0 keeps none."""
    data_root: str | None = None
    """Folder with the data set's files, for those that have files."""
    device: str = "cpu"
    """cpu, cuda, cuda:1 …"""
    quiet: bool = False
    """No progress bar."""


def resolved(config: Config) -> Config:
    """``config`` with the defaults that depend on other fields filled in, checked."""
    if config.epochs < 1 or config.batch_size < 1:
        raise ValueError(f"epochs and batch size must be at least 1, got {config.epochs} and {config.batch_size}")
    if not config.learning_rate > 0:
        raise ValueError(f"the learning rate must be positive, got {config.learning_rate}")
    if config.device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"no CUDA device for --device {config.device}: use --device cpu")
    return replace(
        config,
        model=config.model or DEFAULT_MODEL[config.data],
        timesteps=config.timesteps if config.spiking else 1,
        mse_weight=config.mse_weight if config.mse_weight is not None else {"sdt": 0.0, "tet": 0.05}[config.loss],
    )


def settings(config: Config) -> dict[str, Any]:
    """What defines the run's result: every field but where it lies and how it is shown."""
    return {k: v for k, v in asdict(config).items() if k not in ("out", "quiet", "data_root", "device", "snapshots")}
