"""What controls are asked with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass(frozen=True)
class Config:
    """Put measures to controls whose answers are known: on networks trained for it, or on yours."""

    checkpoints: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Your networks, for the controls that train none: rescaled, confident, halves. Without any, digits are trained."""
    out: Path = Path("runs/controls")
    """Folder for checkpoints and tables."""
    only: tuple[str, ...] = ()
    """Controls: sam, rescaled, random-labels, halves, confident, counter, forced; by default all that can be had."""
    data: str = "digits"
    """Data set that networks are trained on, as models.train takes it."""
    model: str | None = None
    """Network, as models.train takes it; by default one that suits the data."""
    method: str = "sdt"
    """How networks are trained, but for what a control changes; with settings as in sdt:learning_rate=0.001."""
    seeds: int = 5
    """Seeds that each control has, 0, 1, …; each with training images of its own where they can be drawn."""
    null_seeds: int = 8
    """Seeds that are split into halves, of the unchanged method."""
    epochs: int = 60
    """Of all networks, those with random labels too, which have to be memorised in that time."""
    train_images: int | None = None
    """Images to train on; by default 200 digits, or all."""
    sam: tuple[float, ...] = (0.05, 0.1)
    """Radii of SAM."""
    asam: tuple[float, ...] = (0.5, 1.0)
    """Radii of ASAM."""
    forced: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2)
    """Radii of SAM by which flatness is forced, beside 0."""
    counter: float = 2.0
    """Counter-examples have the learning rate, and the batch size, divided and multiplied by this."""
    logits: tuple[float, ...] = (2.0, 0.5)
    """What logits are multiplied by."""
    gap: Literal["loss", "accuracy"] = "loss"
    """The generalization gap that counter-examples and forced flatness are set against."""
    images: int = 200
    """Training images that the landscape is made of."""
    loss: str = "sdt"
    """The loss that the landscape is made of; ce for networks of yours without time."""
    measures: tuple[str, ...] = ("timesteps", "hessian", "sharpness", "rise")
    """Analyses that measures are taken from: timesteps, hessian, sharpness, rise."""
    jobs: int = 2
    """Processes at a time, one thread each; each takes a network, trains it and measures it."""
    executor: str | None = None
    """Where that is done instead: FILE.py:FUNCTION, which returns a concurrent.futures.Executor."""
    data_root: str | None = None
    """Folder with the data set's files, for those that have files."""
    code: tuple[str, ...] = ()
    """Files of your own that checkpoints trained with them may run."""
    device: str = "cpu"
    """cpu, cuda, cuda:1 …"""
    dry_run: bool = False
    """Train nothing that is kept: say how many networks and hours."""
