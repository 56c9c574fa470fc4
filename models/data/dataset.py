"""What a data set is: two fixed splits, and what a network has to know of them."""

from dataclasses import dataclass
from typing import Any

from .augment import Augment
from .splits import Split


@dataclass(frozen=True, eq=False)
class Data:
    """A data set; ``load(name, **arguments)`` gives it again.

    ``steps`` is the number of frames of an event stream, None for static images. ``augment`` is what a training run
    passes to ``train.batches``, None where the data set has nothing of the kind. Of a user's own data ``num_classes``,
    ``in_channels`` and ``image_size`` are 0 where it has none, and ``sha256`` is that of the file or the code,
    or the digest of the folder. ``white`` is a white pixel's value as stored, black being 0, where data are images of
    which that is known.
    """

    name: str
    arguments: dict[str, Any]
    train: Split
    test: Split
    num_classes: int
    in_channels: int
    image_size: int
    steps: int | None = None
    augment: Augment | None = None
    sha256: str | None = None
    white: float | None = None


@dataclass(frozen=True)
class Described:
    """What is known of a data set without its files: what it is made from, and what a network has to know of it.

    None where only the files tell.
    """

    name: str
    arguments: dict[str, Any]
    in_channels: int
    num_classes: int | None
    image_size: int | None


def check_count(train_images: int, low: int, high: int, why: str) -> None:
    """Raise ValueError unless ``train_images`` lies between ``low`` and ``high``, for the reason ``why``."""
    if not low <= train_images <= high:
        raise ValueError(f"train_images must lie between {low} and {high} ({why}), got {train_images}")
