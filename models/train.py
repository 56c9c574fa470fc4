"""Train a network with SDT or TET and keep what every analysis needs.

    python -m models.train --loss tet --data digits --out runs/tet-0

writes ``ckpt.pt`` (see :mod:`models.checkpoint`) and ``history.csv`` (one row per epoch: both losses and the accuracy
on training and test images in eval mode, the learning rate, seconds). The result is the last epoch's weights, never
the best test epoch's. ``--until-loss`` ends a run by its training loss instead of its length: :mod:`models.stopping`.

Started again with the same settings it goes on after the last epoch saved, to the same weights, bit for bit on a CPU,
however it ended: killed, also while saving; SIGTERM (status 143); a full disk; a loss that is no number. The last good
checkpoint stays, and temporary files are removed at the next start. A finished run is left alone.
"""

import csv
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from . import optimizer
from .checkpoint import Checkpoint, check_writable, load, remove_leftovers, replacing, save
from .cli import command
from .data import Data
from .data import load as load_data
from .layers import Network
from .losses import LOSSES, sdt_loss, tet_loss
from .networks import accepted, build
from .recipe import Config, resolved, settings
from .stopping import AGAIN, Terminated, finished, kept, reached, terminable, warn_unreached

_HISTORY = ("train_loss_sdt", "train_loss_tet", "test_loss_sdt", "test_loss_tet", "train_accuracy", "test_accuracy")


def run(config: Config) -> Checkpoint:
    """Train, or go on training, and return the finished checkpoint.

    Raises ValueError for unusable settings, for a folder that holds another run, and when the loss stops being finite;
    OSError when something can't be saved; Terminated (a SystemExit) at SIGTERM. The last good checkpoint stays.
    """
    config = resolved(config)
    check_writable(config.out)
    path = config.out / "ckpt.pt"
    previous = _previous(path, config)
    remove_leftovers(config.out, "ckpt.pt", "history.csv", ".writable")
    remove_leftovers(config.out / "snapshots", "epoch-*.pt")
    if previous and finished(previous.training):
        print(f"{path}: finished already, nothing to do", file=sys.stderr)
        checkpoint = previous
    else:
        checkpoint = _Run(config, previous).finish(path)
    warn_unreached(checkpoint, config.out)
    return checkpoint


class _Run:
    """A training run between two epochs: network, optimizer, generator, history."""

    def __init__(self, config: Config, previous: Checkpoint | None):
        self.config = config
        self.data = load_data(config.data, root=config.data_root, **_data_arguments(config))
        self.network = _network(config, self.data).to(config.device)
        self.optimizer = optimizer.build(config, self.network)
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

    @property
    def done(self) -> int:
        """Epochs trained so far."""
        return len(self.history["epoch"])

    def finish(self, path: Path) -> Checkpoint:
        """Train to the end, saving after each epoch. Stopped in an epoch, it leaves what the last one saved."""
        config, checkpoint = self.config, self.checkpoint()
        bar = tqdm(total=config.epochs, initial=self.done, unit="epoch", desc=str(config.out), disable=config.quiet)
        with bar, terminable() as check_terminated:
            try:
                if not self.done:
                    self._snapshot(checkpoint)
                while not finished(checkpoint.training):
                    self._epoch(self.done + 1, check_terminated)
                    checkpoint = self.checkpoint()
                    self._save(checkpoint, path)
                    bar.set_postfix(accuracy=f"{self.history['test_accuracy'][-1]:.3f}")
                    bar.update()
            except Terminated:
                print(f"{config.out}: terminated in epoch {self.done + 1}; {kept(path)}; {AGAIN}", file=sys.stderr)
                raise
            except OSError as failure:
                raise OSError(f"{failure}; {kept(path)}; {AGAIN}") from failure
        return checkpoint

    def _save(self, checkpoint: Checkpoint, path: Path) -> None:
        """The checkpoint last: where it says that a run is finished, all else is there."""
        _write_history(self.history, self.config.out / "history.csv")
        self._snapshot(checkpoint)
        save(checkpoint, path)

    def _epoch(self, epoch: int, check_terminated: Callable[[], None]) -> None:
        started, rate = time.perf_counter(), self.schedule.get_last_lr()[0]
        self.network.train()
        for step, (images, labels) in enumerate(self._training_batches(), 1):
            check_terminated()
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
            last = kept(self.config.out / "ckpt.pt")
            raise ValueError(f"the loss is {loss} in epoch {epoch} {where}: lower --learning-rate ({last})")

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

    def checkpoint(self) -> Checkpoint:
        """The present state, with what a run needs to go on."""
        states = {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
        }
        weights = {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}
        training = settings(self.config) | {"epochs_done": self.done}
        return Checkpoint(
            model={"name": self.config.model, "arguments": self.network.arguments},
            state_dict=weights,
            data={"name": self.data.name, "arguments": self.data.arguments},
            training=training | {"until_loss_reached": reached(training, self.history)},
            history={name: list(values) for name, values in self.history.items()},
            resume=states,
        )

    def _snapshot(self, checkpoint: Checkpoint) -> None:
        every = self.config.snapshots
        if every and (self.done % every == 0 or finished(checkpoint.training)):
            save(checkpoint, self.config.out / "snapshots" / f"epoch-{self.done:04d}.pt")


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
    if previous.resume is None and not finished(previous.training):
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
    if config.data == "imagenet":
        arguments["workers"] = config.workers
    return arguments


def _network(config: Config, data: Data) -> Network:
    names = ("timesteps", "norm", "spiking", "decay", "threshold", "surrogate", "width", "detach_reset")
    arguments = {name: getattr(config, name) for name in names}
    shape: dict[str, Any] = {"num_classes": data.num_classes, "in_channels": data.in_channels}
    if "image_size" in accepted(str(config.model)):
        shape["image_size"] = data.image_size
    return build(str(config.model), seed=config.seed, **shape, **arguments)


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
