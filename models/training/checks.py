"""Which settings of a training run can't be, in one line each, before anything is done."""

from math import inf
from typing import TYPE_CHECKING

from .. import data, processes
from ..code import is_code
from ..data.own import is_own
from ..device import device
from ..losses import OBJECTIVES
from ..validation import check_label

if TYPE_CHECKING:
    from .recipe import Config

NETWORK = ("timesteps", "norm", "spiking", "decay", "threshold", "surrogate", "width", "detach_reset")
"""What :class:`models.training.recipe.Config` says of this project's networks."""


def check(config: "Config", losses: set[str], drawn: bool) -> None:
    """Raise ValueError for settings that can't be: ``losses`` are those of all phases, ``drawn`` as in recipe."""
    if config.epochs < 1 or config.batch_size < 1:
        raise ValueError(f"epochs and batch size must be at least 1, got {config.epochs} and {config.batch_size}")
    if config.accumulate < 1 or config.batch_size % config.accumulate:
        raise ValueError(f"--accumulate must divide the batch of {config.batch_size} images, got {config.accumulate}")
    if not 0 < config.learning_rate < inf:
        raise ValueError(f"the learning rate must be positive and finite, got {config.learning_rate}")
    for name, limit in (("momentum", 1.0), ("label_smoothing", 1.0), ("weight_decay", inf)):
        if not 0 <= getattr(config, name) < limit:
            raise ValueError(f"{name} must lie in [0, {limit}), got {getattr(config, name)}")
    if not -(2**63) <= config.seed < 2**63 or config.snapshots < 0:
        raise ValueError(f"seed must fit 64 bits and snapshots be at least 0, got {config.seed} and {config.snapshots}")
    _check_method(config, losses)
    _check_own(config)
    if config.method is not None:
        check_label(config.method, "--method")
    if config.vary_data and not drawn:
        raise ValueError(
            f"--vary-data draws training images, and all that {config.data} has train: give --train-images"
        )
    if not 0 <= config.random_labels <= 1:
        raise ValueError(f"--random-labels is a share of the training images, from 0 to 1, got {config.random_labels}")
    if config.workers < 0:
        raise ValueError(f"workers must be at least 0, got {config.workers}")
    if config.evaluate_train is not None and config.evaluate_train < 1:
        raise ValueError(f"--evaluate-train takes at least one image, got {config.evaluate_train}")
    if config.evaluate_every < 1:
        raise ValueError(f"--evaluate-every must be at least 1 epoch, got {config.evaluate_every}")
    if config.evaluate_every > 1 and config.until_loss is not None:
        raise ValueError("--until-loss has to know the loss of every epoch: leave --evaluate-every out")
    if config.until_loss is not None and not 0 < config.until_loss < inf:
        raise ValueError(f"--until-loss must be positive and finite, got {config.until_loss}")
    if config.until_loss is None and config.until_loss_of:
        raise ValueError("--until-loss-of says which loss --until-loss is about, and that is not given")
    device(config.device)


def _check_method(config: "Config", losses: set[str]) -> None:
    """The loss, and how it is lowered."""
    if config.loss not in OBJECTIVES and not is_code(config.loss):
        raise ValueError(f"--loss is one of {', '.join(OBJECTIVES)}, or yours as FILE.py:NAME, got {config.loss!r}")
    rho = config.sharpness_aware
    if rho is not None and not 0 < rho < inf:
        raise ValueError(f"--sharpness-aware takes a positive and finite rho, as 0.05, got {rho}")
    if config.adaptive and rho is None:
        raise ValueError("--adaptive says how sharpness-aware steps go: give their rho too, --sharpness-aware 0.5")
    if not 0 <= config.adaptive_eta < inf:
        raise ValueError(f"--adaptive-eta must be at least 0 and finite, got {config.adaptive_eta}")
    if not 0 <= config.trt_eta <= 1:
        raise ValueError(f"--trt-eta must lie in [0, 1], got {config.trt_eta}")
    for name in ("trt_lambda", "trt_delta"):
        if not 0 <= getattr(config, name) < inf:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 0 and finite, got {getattr(config, name)}")
    if processes.world() > 1 and "tmc" in losses:
        raise ValueError("tmc's ratio is of a whole batch's means, which several processes don't see: train with one")
    if config.record_momentum and "trt" in losses:
        raise ValueError("--record-momentum takes a gradient apart by timestep, and trt's term of the weights has none")


def _check_own(config: "Config") -> None:
    """Data by name or the user's own; a network of the user's own has no settings of this project's networks."""
    own_data = config.data not in data.NAMES
    if own_data and not is_own(config.data):
        raise ValueError(
            f"there is no data set {config.data!r}; there are {', '.join(data.NAMES)}, and yours: a file FILE.npz,"
            " a folder with train and test, or FILE.py:NAME"
        )
    if own_data and config.model is None:
        raise ValueError(f"--data {config.data} needs --model: a network by name, or yours as FILE.py:NAME")
    if config.frames is not None and not own_data:
        raise ValueError(f"--frames is for data of your own, and {config.data} says itself what its frames are")
    own_network = config.model is not None and is_code(config.model)
    if own_network:
        for name in NETWORK:
            if (value := getattr(config, name)) != getattr(type(config), name):
                joint = "&" if "?" in str(config.model) else "?"
                raise ValueError(
                    f"--{name.replace('_', '-')} is for this project's networks: leave it off, or give it to yours as"
                    " an argument that it takes,"
                    f" --model '{config.model}{joint}{name}={value}'"
                )
    if processes.world() > 1 and (own_network or own_data or is_code(config.loss)):
        raise ValueError("a network, data or a loss of your own train in one process: leave torchrun out")
    if config.dry_run and (own_network or own_data):
        raise ValueError("--dry-run knows this project's networks and data: leave it out")
