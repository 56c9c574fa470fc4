"""Data sets by name: two fixed splits and what a network has to know of them.

==================  ====================================================================================
digits              1797 handwritten digits of 8×8 (scikit-learn), ``train_images`` of them for training
digit-events        the same images in the same splits, seen by a simulated event camera (:mod:`.events`)
cifar10, cifar100   50,000 + 10,000 images of 32×32 (Krizhevsky 2009), from the files that torchvision reads
imagenet            images in ``train`` and ``val``, in one folder a class
cifar10-dvs         10,000 recordings of CIFAR-10 images that move before an event camera (:mod:`.event_data`)
dvs128-gesture      1,464 recordings of 11 gestures of 29 people
n-mnist             60,000 + 10,000 recordings of MNIST
FILE.npz, a folder  the user's own, as what ``mine.py:data`` returns (:mod:`.own`)
==================  ====================================================================================

Standardisation: for digits the mean and the population standard deviation of all training pixels; for CIFAR the
constants of Deng et al. 2022, for ImageNet torchvision's; event counts stay as they are. A training subset is a
prefix of one stratified order, so 100 images are among the 200 that the same ``split_seed`` gives.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from .. import code as named_code
from ..validation import check, check_timesteps
from . import own
from .dataset import Data, Described
from .file_digest import digest
from .relabelled import relabelled

_SOURCES = {
    "digits": "digits:digits",
    "digit-events": "digits:digit_events",
    "cifar10": "cifar:cifar10",
    "cifar100": "cifar:cifar100",
    "imagenet": "imagenet:imagenet",
    "cifar10-dvs": "event_data:cifar10_dvs",
    "dvs128-gesture": "event_data:dvs128_gesture",
    "n-mnist": "event_data:n_mnist",
}
"""Where each is made: a module, imported when its data is asked for, and with it scikit-learn or torchvision."""

__all__ = ["Data", "Described", "check_arguments", "described", "digest_now", "load"]

_SHAPES: dict[str, tuple[int, int | None, int | None]] = {  # channels, classes, pixels a side, where files say them
    "cifar10": (3, 10, 32),
    "cifar100": (3, 100, 32),
    "imagenet": (3, None, None),
    "cifar10-dvs": (2, 10, None),
    "dvs128-gesture": (2, 11, None),
    "n-mnist": (2, 10, None),
}


NAMES = tuple(_SOURCES)


def _source(name: str) -> Callable[..., Data]:
    """What makes the data set ``name``."""
    return _made(_SOURCES[name])


def _made(place: str) -> Callable[..., Data]:
    module, _, function = place.partition(":")
    made: Callable[..., Data] = getattr(import_module(f"{__name__}.{module}"), function)
    return made


def load(name: str, *, root: str | Path | None = None, code: Sequence[str] = (), **arguments: Any) -> Data:
    """The data set ``name``, made from ``arguments`` (those not given have defaults, and are in the result's).

    ``root`` is the folder that holds ``cifar-10-batches-py``, ``cifar-100-python``, ImageNet's ``train`` and ``val``,
    or a folder named as an event data set (or what that would hold, see :mod:`models.data.recordings`); by default the
    environment variable SNN_LANDSCAPE_DATA, else ``data``. Data sets without files ignore it.

    ``split_seed`` (all) draws the stored order and, but where ``split`` says otherwise, which images are for training.
    ``train_images``: their number (digits, digit-events: 200; else all). All events: ``timesteps``, ``by`` and
    ``binary`` as in :func:`models.data.event_frames.frames`. digit-events: ``contrast``, ``noise`` and ``noise_seed``
    as in :func:`models.data.events.simulate`. Recorded events: ``image_size``, ``split``, ``files`` and
    ``keep_invalid`` as in :mod:`models.data.event_data`; frames are kept in the folder SNN_LANDSCAPE_CACHE, by default
    ``frames`` beside the recordings (:mod:`models.data.event_cache`). imagenet: ``image_size``. ``workers`` (imagenet,
    recorded events) is the number of reading processes, which changes no result and is not among the result's
    arguments.

    A user's own data (:func:`load_own`) that is code has to be among ``code``, which is what the command line names.

    ``random_labels`` (a share, 0) of the training images get labels drawn by ``label_seed`` (0): :mod:`.relabelled`.

    Raises ValueError for an unknown name or argument and for values out of range, FileNotFoundError for missing
    files.
    """
    share, seed = arguments.pop("random_labels", 0.0), arguments.pop("label_seed", 0)
    check(share, float, "random_labels")
    check(seed, int, "label_seed")
    return relabelled(_loaded(name, root, code, arguments), share, seed)


def _loaded(name: str, root: str | Path | None, code: Sequence[str], arguments: dict[str, Any]) -> Data:
    if name not in _SOURCES and ("path" in arguments or own.is_own(name)):
        return load_own(name, root=root, code=code, **arguments)
    check_arguments(name, arguments)
    if "root" in signature(_source(name)).parameters:
        arguments["root"] = Path(root or os.environ.get("SNN_LANDSCAPE_DATA", "data"))
    return _source(name)(**arguments)


def described(name: str, **arguments: Any) -> Described:
    """What ``load(name, **arguments)`` would be, without the data set's files.

    Recordings' digest (``files``) and ImageNet's number of classes, which only files tell, are None. Raises ValueError
    as :func:`load` does, but for numbers of images, where there are files.
    """
    check_arguments(name, arguments)
    known = signature(_source(name)).parameters
    if "root" not in known:
        data = load(name, **arguments)
        return Described(name, data.arguments, data.in_channels, data.num_classes, data.image_size)
    taken = {key: argument.default for key, argument in known.items()} | arguments
    kept = {key: value for key, value in taken.items() if key not in ("name", "root", "workers")}
    channels, classes, size = _SHAPES[name]
    return Described(name, kept, channels, classes, kept.get("image_size", size))


def load_own(
    name: str, *, root: str | Path | None = None, code: Sequence[str] = (), path: str | None = None,
    sha256: str | None = None, **arguments: Any,
) -> Data:  # fmt: skip
    """Data of the user's own, under the name of its file, folder or function; the result's arguments give it again.

    Files lie at ``path``, or in the folder ``root`` where that is given. ``sha256`` is what file, folder
    (:mod:`.file_digest`) or code had, and what has another now is refused. Arguments are those of :mod:`.own`, and of a
    function its own besides.

    Raises CodeError for code that isn't among ``code``.
    """
    if path is None and named_code.is_code(name):
        return _of_code(name, code, sha256, arguments)
    place = _place(name, root, path)
    if not (place.is_file() or place.is_dir()):  # a device or a pipe never ends
        raise FileNotFoundError(f"no data at {place}: give the folder that holds {place.name} as --data-root")
    found = digest(place)
    if sha256 not in (None, found):
        kind = "folder" if place.is_dir() else "file"
        raise ValueError(
            f"{place} is not the {kind} that the checkpoint was made with: its sha256 is {found}, not {sha256}"
        )
    data = _made("folders:own")(place, **arguments) if place.is_dir() else own.arrays(place, **arguments)
    return replace(data, arguments=data.arguments | {"path": path or name}, sha256=found)


def digest_now(name: str, *, root: str | Path | None = None, path: str | None = None) -> str | None:
    """What :func:`load` would record as the digest of a user's own file or folder; None of all else, and of no file."""
    if name in _SOURCES or (path is None and named_code.is_code(name)):
        return None
    place = _place(name, root, path)
    return digest(place) if place.is_file() or place.is_dir() else None


def _place(name: str, root: str | Path | None, path: str | None) -> Path:
    return Path(root) / name if root is not None and path is not None else Path(path or name)


def _of_code(name: str, code: Sequence[str], sha256: str | None, arguments: dict[str, Any]) -> Data:
    said = named_code.parse(name)
    ours = {key: arguments.pop(key) for key in ("split_seed", "train_images", "frames", "workers") if key in arguments}
    if clash := said.arguments.keys() & {"split_seed", "train_images", "frames", "workers"}:
        raise ValueError(f"{said}: {', '.join(clash)} is an argument of every data set here: call yours otherwise")
    recorded = replace(said, arguments={**said.arguments, **arguments})
    named = named_code.granted(recorded, sha256, code)
    digest = named_code.sha256(named.where)
    data = own.of_code(named, **ours)
    return replace(data, name=str(said), arguments=data.arguments | dict(recorded.arguments), sha256=digest)


def check_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    """Raise ValueError for an unknown data set, an argument that it does not take, or one of another type."""
    if name not in _SOURCES:
        raise ValueError(f"there is no data set {name!r}; there are {', '.join(_SOURCES)}")
    known = {key: argument.annotation for key, argument in signature(_source(name)).parameters.items()}
    known.pop("root", None)
    if unknown := arguments.keys() - known:
        takes = ", ".join(sorted(known))
        raise ValueError(f"{name} takes no argument {', '.join(sorted(unknown))}; it takes {takes}")
    for key, value in arguments.items():
        check(value, known[key], f"the argument {key} of {name}")
        if key == "timesteps":
            check_timesteps(value, f"timesteps of {name}")
