"""The training curves that a checkpoint carries, and how it was trained, as tables.

    python -m analysis.history runs/tet-0/ckpt.pt

Table ``history.csv``, after checkpoint, network, data, method, training, seed, one row an epoch: epoch (from 1);
train_loss_sdt, train_loss_tet, test_loss_sdt, test_loss_tet, train_accuracy, test_accuracy, each in eval mode, after
the epoch, over all images (of those for training, the ``--evaluate-train`` asked for), without a regulariser, empty
after epochs that ``--evaluate-every`` passes over;
learning_rate (during the epoch); seconds; and, the same in every row, how it was trained: mse_weight (λ; empty where
the checkpoint doesn't say), train_images, and whether they were augmented (1, else 0).

Table ``settings.csv``, after the same six, one row a checkpoint: what may vary from run to run, so that networks can be
compared by any of it from tables alone. A field is empty where the checkpoint doesn't say or it doesn't apply.

- optimizer ("adam", "sgd"), learning_rate (at the first epoch), momentum (Adam's first beta), weight_decay, batch_size,
  accumulate, epochs (at most), epochs_done, phases, until_loss, until_loss_of, until_loss_reached
- mse_weight (λ), mse_target (φ), label_smoothing
- train_images (how many), split_seed (what drew them, or their order), vary_data (whether that goes with the seed),
  random_labels (the share of them with a label drawn at random), augmented (whether they were), image_size; of events
  cut, binary_frames and split
- timesteps (T), spiking, norm, decay, threshold, surrogate, width (the surrogate's), detach_reset, parameters (weights
  of the network, how many)
- precision, evaluate_train, evaluate_every, recipe, recipe_changes
- the network's own arguments, as channels of digits-cnn
- whatever else the checkpoint's ``training`` holds that is a number, a word, True or False: of a network made elsewhere
  the settings that its maker wrote there, and source_project, source_network, source_sha256

What is told of data and network is what they are, not what was asked for. Nothing is measured here, so the flags that
choose images, losses and precision have no effect. Where ``models.train --record-momentum`` left its
``momentum_history.csv`` beside the checkpoint, that becomes a table too, with its columns
(:mod:`models.training.momentum`).
"""

import pandas as pd

from models.training import momentum
from tables.result import Result
from tables.schema import IDENTITY

from ..command import analyse
from ..subject import Subject, Subjects
from .flags import Config

Plain = bool | int | float | str
SETTINGS = (
    *("optimizer", "learning_rate", "momentum", "weight_decay", "batch_size", "accumulate", "epochs", "epochs_done"),
    *("phases", "until_loss", "until_loss_of", "until_loss_reached", "mse_weight", "mse_target", "label_smoothing"),
    *(
        "train_images",
        "split_seed",
        "vary_data",
        "random_labels",
        "augmented",
        "image_size",
        "cut",
        "binary_frames",
        "split",
    ),
    *("timesteps", "spiking", "norm", "decay", "threshold", "surrogate", "width", "detach_reset", "parameters"),
    *("precision", "evaluate_train", "evaluate_every", "recipe", "recipe_changes"),
)
_OF_DATA = {"split_seed": "split_seed", "cut": "by", "binary_frames": "binary", "split": "split"}
_ELSEWHERE = ("loss", "model", "augment", "num_classes", "in_channels", *IDENTITY)  # told by another column, or by data


def settings(subject: Subject) -> dict[str, Plain | None]:
    """How the network was trained: the columns of :data:`SETTINGS`, and what else its checkpoint says."""
    training, data = subject.training, subject.dataset
    found, own = dict(training), dict(getattr(subject.network, "arguments", {})) if subject.checkpoint else {}
    if subject.checkpoint and data:
        usual = {"timesteps": subject.trained_timesteps, "spiking": subject.spikes}
        found |= getattr(subject.network, "arguments", usual)  # a network of the user's own has none
        found |= {name: data.arguments.get(key) for name, key in _OF_DATA.items()}
        found |= {"augmented": _augmented(subject), "image_size": data.image_size}
    else:
        found |= {"timesteps": subject.trained_timesteps, "spiking": subject.spikes}
    found["train_images"] = subject.count("train") if subject.train is not None else None
    found["parameters"] = sum(weight.numel() for weight in subject.network.parameters())
    more = [name for name, value in {**own, **training}.items() if name not in SETTINGS and isinstance(value, Plain)]
    return {name: found.get(name) for name in (*SETTINGS, *more) if name not in _ELSEWHERE}


def _augmented(subject: Subject) -> bool:
    return bool(subject.training.get("augment")) and subject.dataset is not None and subject.dataset.augment is not None


def measure(subject: Subject, _config: Config) -> dict[str, pd.DataFrame]:
    """The history and the settings of one checkpoint."""
    told = settings(subject)
    repeated = {name: told[name] for name in ("mse_weight", "train_images")} | {"augmented": int(_augmented(subject))}
    tables = {"settings": pd.DataFrame([told], dtype=object)}
    if subject.checkpoint is None or subject.path is None:
        return tables
    tables = {"history": pd.DataFrame(subject.checkpoint.history).assign(**repeated)} | tables
    kept = subject.path.parent / momentum.NAME
    if kept.is_file():
        tables["momentum_history"] = pd.DataFrame(momentum.read(kept), columns=list(momentum.COLUMNS))
    return tables


def run(config: Config, subjects: Subjects = ()) -> Result:
    """The tables history and settings of every checkpoint, and momentum_history of those that have one."""
    return analyse(config, measure, subjects)
