"""Flags of every analysis. What is imported here, a command imports before it knows what is asked: no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import tyro

C = TypeVar("C", bound="Config")


@dataclass(frozen=True)
class Config:
    """Flags of every analysis."""

    checkpoints: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Checkpoint files, folders of runs that hold one, or subjects of your own: FILE.py:FUNCTION."""
    out: Path | None = None
    """Folder for the tables; without it they are only printed."""
    loss: str = "both"
    """The loss that the landscape is made of, whatever the network was trained with: sdt, tet, both of them, or one of
    a subject's own; both then stands for all of those."""
    images: int | None = 1000
    """How many images of a split, the first ones; None takes all."""
    chunk: int = 250
    """Images in one pass, which bounds memory and changes no result beyond rounding."""
    seed: int = 0
    """Of everything random."""
    device: str = "cpu"
    """cpu, cuda, cuda:1 …"""
    dtype: Literal["float32", "float64", "bfloat16"] = "float32"
    """Precision of weights and images. bfloat16, which carries three digits, only with --low-precision."""
    tf32: bool = False
    """Let CUDA round the factors of float32 products to ten bits: faster, and three digits instead of seven."""
    low_precision: bool = False
    """Accept --dtype bfloat16, and what it does to differences and eigenvalues."""
    data_root: str | None = None
    """Folder with the data set's files, for those that have files."""
    code: tuple[str, ...] = ()
    """Files of your own that checkpoints trained with them may run: mine.py. No other code is ever run."""
    network: str | None = None
    """A network of your own, mine.py:Net?width=32, for files that hold its weights in any layout; with --data."""
    data: str | None = None
    """Data for --network: a data set's name, mine.npz, a folder of images by class, mine.py:data."""
    weights: str = "raw"
    """Which weights of a file for --network: raw, ema (their moving average), the key that they lie under, or what
    their names begin with, as ema_net beside net."""
    dry_run: bool = False
    """Measure on a few images, and say what those asked for would take: passes, seconds, memory. Nothing is written."""
    quiet: bool = False
    """No progress and no remarks on stderr."""

    less_memory: ClassVar[str] = "a smaller --chunk"
    of_folders: ClassVar[bool] = False
    """Whether a run's folder is more to the analysis than the checkpoint in it."""

    def __post_init__(self) -> None:
        given: Any = self.checkpoints
        given = (given,) if isinstance(given, str | Path) else tuple(given)
        for one in given:
            if not isinstance(one, str | Path):
                raise ValueError(
                    f"checkpoints are files, got a {type(one).__name__}: subjects are given beside the settings, "
                    "run(Config(), [subject])"
                )
        object.__setattr__(self, "checkpoints", tuple(map(Path if self.of_folders else held, given)))
        if self.dry_run:
            object.__setattr__(self, "out", None)

    @property
    def measured(self) -> tuple[str, ...]:
        """The splits that are measured."""
        return ("train",)

    def amount(self, _training: Mapping[str, Any]) -> int | None:
        """Images of a split that cost grows with; None for all there are."""
        return self.images

    def on_few(self: C, images: int, chunk: int) -> C:
        """The same on so many of them, in pieces of ``chunk``, with no limit of time and nothing written."""
        changed: dict[str, Any] = {"images": images, "chunk": chunk, "out": None, "quiet": True, "dry_run": False}
        if hasattr(self, "seconds"):
            changed["seconds"] = None
        return replace(self, **changed)

    def without_graphs(self: C) -> C:
        """The same, where graphs of gradients may be kept, without."""
        off: dict[str, Any] = {"keep_graph": False}
        return replace(self, **off) if getattr(self, "keep_graph", False) is not False else self


def held(given: str | Path) -> Path:
    """The checkpoint that a run's folder holds; any other path as it is."""
    path = Path(given)
    return path / "ckpt.pt" if (path / "ckpt.pt").is_file() else path


@dataclass(frozen=True)
class OneSplit(Config):
    """Flags of an analysis of training images or of test images."""

    split: Literal["train", "test"] = "train"
    """Images to measure on."""

    @property
    def measured(self) -> tuple[str, ...]:
        """The split asked for."""
        return (self.split,)


@dataclass(frozen=True)
class BothSplits(Config):
    """Flags of an analysis that can take both in one go."""

    split: Literal["train", "test", "both"] = "both"
    """Images to measure on."""

    @property
    def splits(self) -> tuple[Literal["train", "test"], ...]:
        """The splits asked for."""
        return ("train", "test") if self.split == "both" else (self.split,)

    @property
    def measured(self) -> tuple[str, ...]:
        """The splits asked for."""
        return self.splits
