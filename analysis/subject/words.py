"""The words and functions that a subject is made of, checked: what is wrong is said before anything is measured."""

from typing import TYPE_CHECKING

from torch import nn

from models.validation import check_label, check_printed

from .given import refused, uneven, unpaired
from .spiking import Spiking

if TYPE_CHECKING:
    from .subject import Subject

ALL = ("both", "all")


def check_words(subject: "Subject") -> None:
    """Raise ValueError for what a subject can't be made of, with what was got."""
    if not isinstance(subject.network, nn.Module):
        raise ValueError(f"a subject's network must be a torch.nn.Module, got a {type(subject.network).__name__}")
    if subject.train is None and subject.test is None:
        raise ValueError(f"subject {subject.title}: give train=, test= or both: Datasets, loaders or lists of batches")
    for split in ("train", "test"):
        source = getattr(subject, split)
        if source is None:
            continue
        if why := refused(source) or ("" if subject.unpack else unpaired(source) or uneven(source, subject.axis)):
            raise ValueError(f"subject {subject.title}: its {split} data {why}")
    if subject.spiking is not None and not isinstance(subject.spiking, Spiking):
        raise ValueError(
            f"subject {subject.title}: spiking must say how the network is asked, got {subject.spiking!r}: "
            "spiking=Spiking(neurons=(MyLIF,)), or nothing, and it is found out"
        )
    for name in ("name", "data", "method", "architecture"):
        if not isinstance(getattr(subject, name), str):
            raise ValueError(f"a subject's {name} must be a word, got {getattr(subject, name)!r}")
        check_printed(getattr(subject, name), f"a subject's {name}")
    check_label(subject.method, "a subject's method")
    if type(subject.seed) is not int:
        raise ValueError(f"subject {subject.title}: seed must be a whole number, got {subject.seed!r}")
    for name, loss in (subject.losses or {}).items():
        if not callable(loss) or not isinstance(name, str) or name in (*ALL, "accuracy", ""):
            raise ValueError(
                f"subject {subject.title}: losses must be functions (output, target) by a name, as in losses={{'mse': "
                f"lambda output, target: (output - target).square().mean(1)}}; got {name!r}: {loss!r}"
            )
    for name, value in subject.factors.items():
        if not isinstance(value, bool | int | float | str):
            raise ValueError(f"subject {subject.title}: factor {name} must be a number or a word, got {value!r}")
