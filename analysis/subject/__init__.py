"""What an analysis is put to: a network with its data and losses, from Python, from a file, or from a checkpoint."""

from .answers import correct, per_image
from .examples import Unsuited
from .foreign import in_network
from .recognised import recognised
from .sources import Batch
from .spiking import Spiking
from .subject import Subject
from .targets import subjects

__all__ = [
    "Batch",
    "Spiking",
    "Subject",
    "Unsuited",
    "correct",
    "in_network",
    "per_image",
    "recognised",
    "subjects",
]
