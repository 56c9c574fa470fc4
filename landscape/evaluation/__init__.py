"""A model on batches: read, checked once, evaluated, and given back as found."""

from .batches import WRITTEN, Batch, Batches, Source
from .checks import check
from .checksum import checksum
from .evaluation import Evaluation, Reading
from .guessing import examples, guessed
from .means import check_mean
from .recalibrate import recalibrate
from .resetting import resetting
from .state import preserved
from .structure import described, leaves, mapped, on_device, same_bits

__all__ = [
    "WRITTEN",
    "Batch",
    "Batches",
    "Evaluation",
    "Reading",
    "Source",
    "check",
    "check_mean",
    "checksum",
    "described",
    "examples",
    "guessed",
    "leaves",
    "mapped",
    "on_device",
    "preserved",
    "recalibrate",
    "resetting",
    "same_bits",
]
