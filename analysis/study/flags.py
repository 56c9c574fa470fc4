"""What a study is asked with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

LANDSCAPE_IMAGES = 200


@dataclass(frozen=True)
class Config:
    """Train, measure, compare and draw several methods."""

    out: Path = Path("runs/demo")
    """Folder for checkpoints, tables and figures."""
    methods: tuple[str, ...] = ("sdt", "tet", "tet:mse_weight=0")
    """What is trained and compared: [NAME=]LOSS[:SETTING=VALUE,...], the reference first."""
    subjects: tuple[str, ...] | None = None
    """Measure these instead of training: FILE.py:FUNCTION, package.module:FUNCTION, or checkpoints."""
    code: tuple[str, ...] = ()
    """Files of your own that checkpoints among --subjects may run: mine.py. No other code is ever run."""
    reference: str | None = None
    """The method that the others are compared with; by default the first."""
    data: Literal["digits", "digit-events", "cifar10", "cifar100"] = "digits"
    """Data set."""
    model: str | None = None
    """Network; by default one that suits the data."""
    timesteps: int = 4
    """T."""
    epochs: int = 50
    """Passes over the training images."""
    batch_size: int = 50
    """Training images a step."""
    learning_rate: float = 2e-3
    """Adam's, at the first epoch."""
    until_loss: float | None = None
    """End each run at the first epoch after which its training loss is at most this: minima at comparable loss."""
    until_loss_of: str | None = None
    """Which loss --until-loss is about; by default the one trained with, which is not the same for both."""
    mse_weight: float | None = None
    """The paper's lambda for all methods that don't say; by default 0.05 with TET and 0 with SDT."""
    train_images: int | None = None
    """Train on so many images; by default 200 digits, or all."""
    vary_data: bool | None = None
    """Draw them with the seed, so that intervals are over training sets too and not about one; by default wherever not
    all images train."""
    seeds: int = 5
    """Networks a method, seeds 0, 1, 2 …"""
    twins: int = 0
    """Networks without spikes (ReLU, T = 1) for reference, in OUT/relu-0 …"""
    images: int = LANDSCAPE_IMAGES
    """Training images that the landscape is made of."""
    jobs: int = 2
    """Processes at a time, one thread each."""
    executor: str | None = None
    """Where runs are trained and measured instead: FILE.py:FUNCTION, which returns a concurrent.futures.Executor
    (analysis.study.executors). Its workers make --subjects themselves, of the same words in the same folder."""
    data_root: str | None = None
    """Folder with the data set's files, for those that have files."""
    device: str = "cpu"
    """cpu, cuda, cuda:1 …"""
