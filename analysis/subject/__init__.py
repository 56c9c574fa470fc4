"""What an analysis is put to: a network with its data and losses, from Python, from a file, or from a checkpoint."""

from .answers import correct, per_image
from .askable import Askable, askable
from .examples import Unsuited, complex_weight
from .finite import NotFinite, check_answers, check_value, check_weights
from .foreign import in_network
from .recognised import recognised
from .setting import likely
from .sources import Batch
from .spiking import Spiking
from .subject import Subject
from .targets import Subjects, listed, subjects

__all__ = [
    "Askable",
    "Batch",
    "NotFinite",
    "Spiking",
    "Subject",
    "Subjects",
    "Unsuited",
    "askable",
    "check_answers",
    "check_value",
    "check_weights",
    "complex_weight",
    "correct",
    "in_network",
    "likely",
    "listed",
    "per_image",
    "recognised",
    "subjects",
]
