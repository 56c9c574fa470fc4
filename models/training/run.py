"""A training run: network, optimizer, generator and history, epoch after epoch, saved after each."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from .. import code, processes
from ..checkpoint import Checkpoint, Diverged, save
from ..networks.layers import Network
from ..neurons.selection import cut, select
from . import history, optimizer, parallel, phases, resuming
from .board import Board
from .cuda_graph import Graphs
from .epoch import DTYPES, steps
from .evaluation import evaluated
from .made import made
from .momentum import NAME, MomentumHistory
from .objective import objective
from .recipe import Config, own_network, settings, timeline
from .recipes.listing import record
from .sharpness_aware import SharpnessAware
from .stopping import AGAIN, Terminated, finished, kept, near, reached, terminable


class Run:
    """A training run between two epochs. ``config`` is resolved; ``previous`` is where an earlier one got to."""

    def __init__(self, config: Config, previous: Checkpoint | None):
        self.config = config
        self.phases = timeline(config)
        self.device = processes.device(config.device)
        self.settings = settings(config) | record(config)
        self.made = made(config, self.device)
        self.train, self.test, self.network = self.made.train, self.made.test, self.made.network
        neuron = select(self.network, config.neuron, str(self.device))
        if config.detach_state:
            cut(self.network)
        for line in self.made.remarks(neuron) if processes.is_main() and not config.quiet else ():
            print(line, file=sys.stderr)
        self.trained = parallel.wrapped(self.network)
        self.generator = torch.Generator().manual_seed(config.seed)
        columns = (*history.COLUMNS, *(history.OWN if self.made.tells_loss else ()))
        self.history: dict[str, list[float]] = {name: [] for name in columns}
        if previous:
            self.history = {name: list(values) for name, values in previous.history.items()}
        self._show(phases.at(self.phases, max(1, self.done)))
        self.momentum = self._momentum() if config.record_momentum else None
        self._begin_leg()
        if previous:
            resuming.restore(
                previous, config.out / "ckpt.pt", self.network, self.optimizer, self.schedule, self.generator
            )

    def _begin_leg(self) -> None:
        """Start the optimizer and the learning rate's cosine that belong to the present phase."""
        start, span = phases.leg(self.phases, self.phase)
        rate = self.phases[start].learning_rate or self.config.learning_rate
        self.optimizer = optimizer.build(replace(self.config, learning_rate=rate), self.network)
        if self.momentum:
            self.momentum.follow(self.optimizer)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, span)

    def _momentum(self) -> MomentumHistory:
        beta, size, path = self.config.momentum, self.config.batch_size, self.config.out / NAME
        return MomentumHistory(self.network, self.train, beta=beta, batch_size=size, path=path, done=self.done)

    @property
    def done(self) -> int:
        """Epochs trained so far."""
        return len(self.history["epoch"])

    def finish(self, path: Path) -> Checkpoint:
        """Train to the end, saving after each epoch. Stopped in an epoch, it leaves what the last one saved."""
        config, checkpoint, main = self.config, self.checkpoint(), processes.is_main()
        board = closing(Board(config.out / "tensorboard")) if config.tensorboard and main else nullcontext()
        with board as writer, self._bar() as bar, terminable() as check_terminated:
            try:
                if not self.done:
                    self._snapshot(checkpoint)
                while not finished(checkpoint.training):
                    with code.lines(), self.made.seeded(self.config.seed, self.done + 1):
                        self._epoch(self.done + 1, bar, check_terminated)
                    checkpoint = self.checkpoint()
                    if main:
                        self._save(checkpoint, path)
                    if writer:
                        writer.write(self.history)
                    bar.set_postfix(history.last(self.history), epoch=str(self.done))
            except Terminated:
                if main:
                    print(
                        f"{near(config.out)}: terminated in epoch {self.done + 1}; {kept(path)}; {AGAIN}",
                        file=sys.stderr,
                    )
                raise
            except OSError as failure:
                raise OSError(f"{failure}; {kept(path)}; {AGAIN}") from failure
        return checkpoint

    def _bar(self) -> "tqdm[Any]":
        """Images a second, evaluation included, and the time left if all epochs took as long as those so far."""
        images, quiet = len(self.train), self.config.quiet or not processes.is_main()
        return tqdm(
            total=self.config.epochs * images,
            initial=self.done * images,
            unit="img",
            unit_scale=True,
            smoothing=0,
            desc=str(near(self.config.out)),
            disable=quiet,
        )

    def _save(self, checkpoint: Checkpoint, path: Path) -> None:
        """The checkpoint last: where it says that a run is finished, all else is there."""
        history.write(self.history, self.config.out / "history.csv")
        if self.momentum:
            self.momentum.save()
        self._snapshot(checkpoint)
        save(checkpoint, path)

    def _epoch(self, epoch: int, bar: "tqdm[Any]", check_terminated: Callable[[], None]) -> None:
        self._enter(phases.at(self.phases, epoch))
        started, rate = time.perf_counter(), self.schedule.get_last_lr()[0]
        self.network.train()
        launched: list[Tensor] = []
        # A loss is looked at when the next step is under way: to ask for it at once would keep a GPU waiting.
        for step, (images, loss) in enumerate(self._steps(check_terminated), 1):
            launched.append(loss)
            if step > 1:
                self._check_finite(float(launched[-2]), epoch, f"at step {step - 1}")
            bar.update(images)
        self._check_finite(float(launched[-1]), epoch, f"at step {len(launched)}")
        if self.momentum:
            self.momentum.record(epoch, self.phases[self.phase].loss, self.loss)
        self.schedule.step()
        asked = epoch % self.config.evaluate_every == 0 or epoch == self.config.epochs
        found = evaluated(self.config, self.made, self.loss, self.device) if asked else {}
        weights = () if asked else self.network.parameters()
        finite = all(bool(weight.isfinite().all()) for weight in weights)
        self._check_finite(sum(found.values(), 0.0) if finite else math.nan, epoch, "after the last step")
        row = {"epoch": epoch, **found, "learning_rate": rate, "seconds": time.perf_counter() - started}
        for name, values in self.history.items():
            values.append(float(row.get(name, math.nan)))

    def _enter(self, number: int) -> None:
        """Go to phase ``number``, if that is not where the run is."""
        if number != self.phase:
            self._show(number)
            if self.phases[number].learning_rate is not None:
                self._begin_leg()

    def _show(self, number: int) -> None:
        """Be in phase ``number``: images are shown for its T."""
        self.phase = number
        if isinstance(self.network, Network) and not own_network(self.config):
            self.network.timesteps = self.network.arguments["timesteps"] = self.phases[number].timesteps
        self.loss = objective(self.config, self.phases[number].loss, self.network)
        self.graphs = self._graphs()

    def _graphs(self) -> Graphs | None:
        """What a phase records of its steps, where it may."""
        asked, quiet = self.config.cuda_graph, self.config.quiet
        ours = isinstance(self.network, Network) and not self.made.tells_loss  # a user's own code may decide as it goes
        possible = torch.device(self.device).type == "cuda" and processes.world() == 1 and ours
        if asked == "on" and not possible:
            where = "one GPU and this project's networks and losses: --device cuda and no torchrun"
            raise ValueError(f"--cuda-graph on is for {where}, or --cuda-graph auto")
        return Graphs(self.network, always=asked == "on", quiet=quiet) if possible and asked != "off" else None

    def _steps(self, before: Callable[[], None]) -> Iterator[tuple[int, Tensor]]:
        config = self.config
        pieces = self.train.batches(
            config.batch_size // config.accumulate,
            generator=self.generator,
            augment=self.made.data.augment if config.augment else None,
            device=self.device,
            dtype=DTYPES[config.precision],
            part=processes.part(),
        )
        return steps(
            self.trained,
            self.optimizer,
            pieces,
            self.loss,
            images=len(self.train),
            batch_size=config.batch_size,
            accumulate=config.accumulate,
            precision=config.precision,
            before=before,
            keep_spikes=config.keep_spikes,
            graphs=self.graphs,
            sharpness_aware=self._sharpness_aware(),
        )

    def _check_finite(self, loss: float, epoch: int, where: str) -> None:
        if not math.isfinite(loss):
            last = kept(self.config.out / "ckpt.pt")
            raise Diverged(f"the loss is {loss} in epoch {epoch} {where}: lower --learning-rate ({last})")

    def _sharpness_aware(self) -> SharpnessAware | None:
        config = self.config
        if config.sharpness_aware is None:
            return None
        return SharpnessAware(self.network, config.sharpness_aware, config.adaptive, config.adaptive_eta)

    def checkpoint(self) -> Checkpoint:
        """The present state, with what a run needs to go on."""
        training = self.settings | {"epochs_done": self.done}
        made = self.made.record()
        return Checkpoint(
            model=made["model"],
            data=made["data"],
            state_dict=resuming.weights(self.network),
            training=training | {"until_loss_reached": reached(training, self.history)},
            history={name: list(values) for name, values in self.history.items()},
            resume=resuming.states(self.optimizer, self.schedule, self.generator),
        )

    def _snapshot(self, checkpoint: Checkpoint) -> None:
        every = self.config.snapshots
        if every and processes.is_main() and (self.done % every == 0 or finished(checkpoint.training)):
            save(checkpoint, self.config.out / "snapshots" / f"epoch-{self.done:04d}.pt")
