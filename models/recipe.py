"""What defines a training run: the data, the network and every hyperparameter, as one dataclass of flags.

Defaults suit the embedded digits on a CPU; they are not the paper's recipes (300 epochs on CIFAR, batches of 128 and
more). From the paper come Adam, the cosine to zero, λ = 0.05 with TET (0.001 on ImageNet), φ = 1, decay, threshold and
surrogate. Silent in its body, and so chosen: the learning rate, and that the last epoch's weights are the result.
"""

from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, Literal

from .device import device

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
    """Passes over the training images, at most; the learning rate's cosine spans them all."""
    until_loss: float | None = None
    """End at the first epoch after which the training loss (eval mode, all images, no regulariser) is at most this."""
    until_loss_of: Literal["sdt", "tet"] | None = None
    """Which loss --until-loss is about; by default the one trained with."""
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
    """The paper's lambda; by default 0 with SDT, and with TET 0.05, or 0.001 on ImageNet."""
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
    """Keep a checkpoint of every n-th epoch, the last, and the untrained network in snapshots/; 0 keeps none."""
    workers: int = 0
    """Processes that read images, for data read from files as training goes (ImageNet). Changes no result."""
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
    if not 0 < config.learning_rate < inf:
        raise ValueError(f"the learning rate must be positive and finite, got {config.learning_rate}")
    for name, limit in (("momentum", 1.0), ("label_smoothing", 1.0), ("weight_decay", inf)):
        if not 0 <= getattr(config, name) < limit:
            raise ValueError(f"{name} must lie in [0, {limit}), got {getattr(config, name)}")
    if not -(2**63) <= config.seed < 2**63 or config.snapshots < 0:
        raise ValueError(f"seed must fit 64 bits and snapshots be at least 0, got {config.seed} and {config.snapshots}")
    if config.workers < 0:
        raise ValueError(f"workers must be at least 0, got {config.workers}")
    if config.until_loss is not None and not 0 < config.until_loss < inf:
        raise ValueError(f"--until-loss must be positive and finite, got {config.until_loss}")
    if config.until_loss is None and config.until_loss_of:
        raise ValueError("--until-loss-of says which loss --until-loss is about, and that is not given")
    device(config.device)
    return replace(
        config,
        model=config.model or DEFAULT_MODEL[config.data],
        timesteps=config.timesteps if config.spiking else 1,
        mse_weight=config.mse_weight if config.mse_weight is not None else _usual_weight(config),
        until_loss_of=None if config.until_loss is None else config.until_loss_of or config.loss,
    )


def _usual_weight(config: Config) -> float:
    """The paper's λ, which goes with TET alone."""
    if config.loss == "sdt":
        return 0.0
    return 0.001 if config.data == "imagenet" else 0.05


def settings(config: Config) -> dict[str, Any]:
    """What defines the run's result: every field but where it lies and how it is shown."""
    aside = ("out", "quiet", "data_root", "device", "snapshots", "workers")
    return {name: value for name, value in asdict(config).items() if name not in aside}
