"""What an analysis is put to: a network with its data and losses, from Python, from a file, or from a checkpoint."""

from .answers import correct, per_image
from .examples import Unsuited, complex_weight
from .foreign import in_network
from .recognised import likely, recognised
from .sources import Batch
from .spiking import Spiking
from .subject import Subject
from .targets import Subjects, listed, subjects

__all__ = [
    "Batch",
    "Spiking",
    "Subject",
    "Subjects",
    "Unsuited",
    "complex_weight",
    "correct",
    "in_network",
    "likely",
    "listed",
    "per_image",
    "recognised",
    "subjects",
]
