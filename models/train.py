"""Train a network with SDT or TET and keep what every analysis needs.

    python -m models.train --loss tet --data digits --out runs/tet-0

writes ``ckpt.pt`` (see :mod:`models.checkpoint`) and ``history.csv`` (one row per epoch: both losses and the accuracy
on training and test images in eval mode, the learning rate, seconds). The result is the last epoch's weights, never
the best test epoch's. Started again with the same settings it goes on where it stopped, to the same weights, bit for
bit on a CPU; a finished run is left alone.
"""

import csv
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from .checkpoint import Checkpoint, check_writable, load, replacing, save
from .cli import command
from .data import Data
from .data import load as load_data
from .layers import Network
from .losses import LOSSES, sdt_loss, tet_loss
from .networks import accepted, build
from .recipe import Config, resolved, settings

_HISTORY = ("train_loss_sdt", "train_loss_tet", "test_loss_sdt", "test_loss_tet", "train_accuracy", "test_accuracy")


def run(config: Config) -> Checkpoint:
    """Train, or go on training, and return the finished checkpoint.

    Raises ValueError for unusable settings, for a folder that holds another run, and when the loss stops being finite
    (the last good checkpoint stays).
    """
    config = resolved(config)
    check_writable(config.out)
    path = config.out / "ckpt.pt"
    previous = _previous(path, config)
    if previous and previous.training["epochs_done"] == config.epochs:
        print(f"{path}: finished already, nothing to do", file=sys.stderr)
        return previous
    return _Run(config, previous).finish(path)


class _Run:
    """A training run between two epochs: network, optimizer, generator, history."""

    def __init__(self, config: Config, previous: Checkpoint | None):
        self.config = config
        self.data = load_data(config.data, root=config.data_root, **_data_arguments(config))
        self.network = _network(config, self.data).to(config.device)
        self.optimizer = _optimizer(config, self.network)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, config.epochs)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.history: dict[str, list[float]] = {name: [] for name in ("epoch", *_HISTORY, "learning_rate", "seconds")}
        if previous:
            self._continue(previous, previous.resume or {})

    def _continue(self, previous: Checkpoint, states: dict[str, Any]) -> None:
        self.network.load_state_dict(previous.state_dict)
        self.optimizer.load_state_dict(states["optimizer"])
        self.schedule.load_state_dict(states["schedule"])
        self.generator.set_state(states["generator"])
        self.history = {name: list(values) for name, values in previous.history.items()}

    def finish(self, path: Path) -> Checkpoint:
        """Train to the last epoch, saving after each."""
        config, done = self.config, len(self.history["epoch"])
        self._snapshot(done)
        bar = tqdm(total=config.epochs, initial=done, unit="epoch", desc=str(config.out), disable=config.quiet)
        with bar:
            for epoch in range(done + 1, config.epochs + 1):
                self._epoch(epoch)
                _write_history(self.history, config.out / "history.csv")  # first: a finished checkpoint has all of it
                save(self.checkpoint(resumable=True), path)
                self._snapshot(epoch)
                bar.set_postfix(accuracy=f"{self.history['test_accuracy'][-1]:.3f}")
                bar.update()
        return self.checkpoint(resumable=True)

    def _epoch(self, epoch: int) -> None:
        started, rate = time.perf_counter(), self.schedule.get_last_lr()[0]
        self.network.train()
        for step, (images, labels) in enumerate(self._training_batches(), 1):
            loss = self._loss(self.network(images), labels)
            self._check_finite(float(loss.detach()), epoch, f"at step {step}")
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        self.schedule.step()
        found = self._evaluate()
        self._check_finite(sum(found.values()), epoch, "after the last step")
        row = {"epoch": epoch, **found, "learning_rate": rate, "seconds": time.perf_counter() - started}
        for name, number in row.items():
            self.history[name].append(float(number))

    def _check_finite(self, loss: float, epoch: int, where: str) -> None:
        if not math.isfinite(loss):
            kept = f"the checkpoint holds epoch {epoch - 1}" if epoch > 1 else "nothing was saved"
            raise ValueError(f"the loss is {loss} in epoch {epoch} {where}: lower --learning-rate ({kept})")

    def _training_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        config = self.config
        augment = self.data.augment if config.augment else None
        return self.data.train.batches(
            config.batch_size, generator=self.generator, augment=augment, device=config.device
        )

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        config = self.config
        return LOSSES[config.loss](
            logits,
            labels,
            mse_weight=config.mse_weight,
            mse_target=config.mse_target,
            label_smoothing=config.label_smoothing,
        )

    def _evaluate(self) -> dict[str, float]:
        return {
            f"{split}_{name}": value
            for split, images in (("train", self.data.train), ("test", self.data.test))
            for name, value in evaluate(self.network, images.batches(500, device=self.config.device)).items()
        }

    def checkpoint(self, resumable: bool) -> Checkpoint:
        """The present state; ``resumable`` adds what a run needs to go on."""
        states = {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
        }
        weights = {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}
        return Checkpoint(
            model={"name": self.config.model, "arguments": self.network.arguments},
            state_dict=weights,
            data={"name": self.data.name, "arguments": self.data.arguments},
            training=settings(self.config) | {"epochs_done": len(self.history["epoch"])},
            history={name: list(values) for name, values in self.history.items()},
            resume=states if resumable else None,
        )

    def _snapshot(self, epoch: int) -> None:
        every = self.config.snapshots
        path = self.config.out / "snapshots" / f"epoch-{epoch:04d}.pt"
        if every and (epoch % every == 0 or epoch == self.config.epochs) and not path.exists():
            save(self.checkpoint(resumable=False), path)


@torch.no_grad()
def evaluate(network: Network, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Both losses and the accuracy of the mean output, in eval mode, as means over all images."""
    network.eval()
    total, images = torch.zeros(3, dtype=torch.float64), 0
    for inputs, labels in batches:
        logits = network(inputs)
        correct = (logits.mean(0).argmax(1) == labels).float().mean()
        means = torch.stack([sdt_loss(logits, labels), tet_loss(logits, labels), correct])
        total += len(labels) * means.double().cpu()
        images += len(labels)
    return dict(zip(("loss_sdt", "loss_tet", "accuracy"), (total / images).tolist(), strict=True))


def _previous(path: Path, config: Config) -> Checkpoint | None:
    """The checkpoint of an interrupted or finished run with these very settings, if there is one."""
    if not path.exists():
        return None
    previous = load(path)
    changed = [
        f"{name} was {previous.training.get(name)!r}, now {value!r}"
        for name, value in settings(config).items()
        if previous.training.get(name) != value
    ]
    if changed:
        raise ValueError(f"{path} holds a run with other settings ({'; '.join(changed)}): choose another --out")
    if previous.resume is None and previous.training["epochs_done"] < config.epochs:
        raise ValueError(
            f"{path} holds weights without the optimizer's state, nothing to go on from: choose another --out"
        )
    return previous


def _data_arguments(config: Config) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if config.train_images is not None:
        arguments["train_images"] = config.train_images
    if config.data == "digit-events":
        arguments["timesteps"] = config.timesteps
    return arguments


def _network(config: Config, data: Data) -> Network:
    names = ("timesteps", "norm", "spiking", "decay", "threshold", "surrogate", "width", "detach_reset")
    arguments = {name: getattr(config, name) for name in names}
    shape: dict[str, Any] = {"num_classes": data.num_classes, "in_channels": data.in_channels}
    if "image_size" in accepted(str(config.model)):
        shape["image_size"] = data.image_size
    return build(str(config.model), seed=config.seed, **shape, **arguments)


def _optimizer(config: Config, network: Network) -> torch.optim.Optimizer:
    common: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    if config.optimizer == "sgd":
        return torch.optim.SGD(network.parameters(), momentum=config.momentum, **common)
    return torch.optim.Adam(network.parameters(), betas=(config.momentum, 0.999), **common)


def _write_history(history: dict[str, list[float]], path: Path) -> None:
    with replacing(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(history)
        writer.writerows(zip(*history.values(), strict=True))


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return command(Config, run, argv, "python -m models.train")


if __name__ == "__main__":
    sys.exit(main())
