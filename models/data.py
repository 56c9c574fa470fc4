"""Data sets by name: two fixed splits and what a network has to know of them.

==================  ==============================================================================================
digits              1797 handwritten digits of 8×8 (scikit-learn), ``train_images`` of them for training
digit-events        the same images in the same splits, seen by a simulated event camera (:mod:`models.events`)
cifar10, cifar100   50,000 + 10,000 images of 32×32 (Krizhevsky 2009), from the files that torchvision reads
imagenet            images in ``train`` and ``val``, in one folder a class
==================  ==============================================================================================

Standardisation: for digits the mean and the population standard deviation of all training pixels; for CIFAR the
constants of Deng et al. 2022, for ImageNet torchvision's; event counts stay as they are. A training subset is a
prefix of one stratified order, so 100 images are among the 200 that the same ``split_seed`` gives.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from sklearn.datasets import load_digits
from torch import Tensor
from torchvision.datasets import CIFAR10, CIFAR100, ImageFolder
from torchvision.datasets.utils import check_integrity

from .events import SENSOR, frames, simulate
from .splits import Augment, FolderSplit, MemorySplit, Split, crop_and_flip, resized_crop_and_flip, stratified_order
from .validation import check

_CIFAR: dict[str, tuple[type[CIFAR10], tuple[float, ...], tuple[float, ...]]] = {
    "cifar10": (CIFAR10, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": (CIFAR100, (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class Data:
    """A data set; ``load(name, **arguments)`` gives it again.

    ``steps`` is the number of frames of an event stream, None for static images. ``augment`` is what a training run
    passes to ``train.batches``, None where the data set has nothing of the kind.
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


def load(name: str, *, root: str | Path | None = None, **arguments: Any) -> Data:
    """The data set ``name``, made from ``arguments`` (those not given have defaults, and are in the result's).

    ``root`` is the folder that holds ``cifar-10-batches-py``, ``cifar-100-python``, or ImageNet's ``train`` and
    ``val``; by default the environment variable SNN_LANDSCAPE_DATA, else ``data``. Data sets without files ignore it.

    ``split_seed`` (all) draws the stored order and which images are for training. ``train_images``: their number
    (digits, digit-events: 200; CIFAR: all). digit-events: ``timesteps``, ``by`` and ``binary`` as in
    :func:`models.events.frames`, ``contrast``, ``noise`` and ``noise_seed`` as in :func:`models.events.simulate`.
    imagenet: ``image_size``, and ``workers``, the number of reading processes, which changes no result and is not
    among the result's arguments.

    Raises ValueError for an unknown name or argument and for values out of range, FileNotFoundError for missing
    files.
    """
    check_arguments(name, arguments)
    if "root" in signature(_SOURCES[name]).parameters:
        arguments["root"] = Path(root or os.environ.get("SNN_LANDSCAPE_DATA", "data"))
    return _SOURCES[name](**arguments)


def check_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    """Raise ValueError for an unknown data set, an argument that it does not take, or one of another type."""
    if name not in _SOURCES:
        raise ValueError(f"there is no data set {name!r}; there are {', '.join(_SOURCES)}")
    known = {key: argument.annotation for key, argument in signature(_SOURCES[name]).parameters.items()}
    known.pop("root", None)
    if unknown := arguments.keys() - known:
        takes = ", ".join(sorted(known))
        raise ValueError(f"{name} takes no argument {', '.join(sorted(unknown))}; it takes {takes}")
    for key, value in arguments.items():
        check(value, known[key], f"the argument {key} of {name}")


def _digits(*, train_images: int = 200, split_seed: int = 0) -> Data:
    images, labels = _digit_images()
    train, test = _digit_parts(labels, train_images, split_seed)
    pixels = images[train].double()
    channel = (pixels.mean().item(),), (pixels.std(correction=0).item(),)
    return Data(
        name="digits",
        arguments={"train_images": train_images, "split_seed": split_seed},
        train=MemorySplit(labels[train], *channel, images[train]),
        test=MemorySplit(labels[test], *channel, images[test]),
        num_classes=10,
        in_channels=1,
        image_size=8,
    )


def _digit_events(
    *,
    train_images: int = 200,
    split_seed: int = 0,
    timesteps: int = 4,
    by: str = "count",
    binary: bool = False,
    contrast: float = 0.3,
    noise: float = 0.0,
    noise_seed: int = 0,
) -> Data:
    images, labels = _digit_images()
    train, test = _digit_parts(labels, train_images, split_seed)
    streams = simulate(images[:, 0].double().numpy() / 16, contrast=contrast, noise=noise, seed=noise_seed)
    cut = torch.stack([frames(stream, timesteps, by=by, binary=binary) for stream in streams])
    seen = {"timesteps": timesteps, "by": by, "binary": binary, "contrast": contrast}
    seen |= {"noise": noise, "noise_seed": noise_seed}
    return Data(
        name="digit-events",
        arguments={"train_images": train_images, "split_seed": split_seed, **seen},
        train=MemorySplit(labels[train], (0.0, 0.0), (1.0, 1.0), cut[train]),
        test=MemorySplit(labels[test], (0.0, 0.0), (1.0, 1.0), cut[test]),
        num_classes=10,
        in_channels=2,
        image_size=SENSOR[0],
        steps=timesteps,
    )


def _digit_images() -> tuple[UInt8[Tensor, "image 1 8 8"], Int[Tensor, "image"]]:
    digits = load_digits()
    images = torch.from_numpy(digits.images.astype(np.uint8)).unsqueeze(1)
    return images, torch.from_numpy(digits.target.astype(np.int64))


def _digit_parts(labels: Tensor, train_images: int, split_seed: int) -> tuple[Tensor, Tensor]:
    _check_count(
        train_images, 10, len(labels) - 10, f"one of each digit for training and testing, {len(labels)} in all"
    )
    order = stratified_order(labels, seed=split_seed)
    return order[:train_images], order[train_images:]


def _check_count(train_images: int, low: int, high: int, why: str) -> None:
    if not low <= train_images <= high:
        raise ValueError(f"train_images must lie between {low} and {high} ({why}), got {train_images}")


def _cifar(name: str, *, root: Path, train_images: int | None = None, split_seed: int = 0) -> Data:
    kind, mean, std = _CIFAR[name]
    channel = tuple(255 * each for each in mean), tuple(255 * each for each in std)
    (images, labels), (test_images, test_labels) = (_cifar_images(kind, root, train) for train in (True, False))
    classes = int(labels.max()) + 1
    if train_images is not None:
        _check_count(train_images, classes, len(labels), "one of each class, and as many as there are")
    train = stratified_order(labels, seed=split_seed)[:train_images]
    test = stratified_order(test_labels, seed=split_seed)
    return Data(
        name=name,
        arguments={"train_images": train_images, "split_seed": split_seed},
        train=MemorySplit(labels[train], *channel, images[train]),
        test=MemorySplit(test_labels[test], *channel, test_images[test]),
        num_classes=classes,
        in_channels=3,
        image_size=32,
        augment=crop_and_flip,
    )


def _cifar_images(
    kind: type[CIFAR10], root: Path, train: bool
) -> tuple[UInt8[Tensor, "image 3 32 32"], Int[Tensor, "image"]]:
    try:
        part = kind(root, train=train, download=False)
    except RuntimeError as error:  # torchvision's, for a file that is missing or whose checksum is wrong
        raise FileNotFoundError(_cifar_complaint(kind, root)) from error
    return torch.from_numpy(part.data).permute(0, 3, 1, 2), torch.tensor(part.targets)


def _cifar_complaint(kind: type[CIFAR10], root: Path) -> str:
    folder = root / kind.base_folder
    files = [*kind.train_list, *kind.test_list, [kind.meta["filename"], kind.meta["md5"]]]
    missing = [name for name, _ in files if not (folder / name).is_file()]
    damaged = [name for name, md5 in files if name not in missing and not check_integrity(folder / name, md5)]
    found = [f"{what}: {', '.join(names)}" for what, names in (("missing", missing), ("damaged", damaged)) if names]
    return (
        f"{kind.__name__} is not complete in {folder.resolve()} ({'; '.join(found)}): unpack {kind.url} in"
        f" {root.resolve()}, or give the folder that holds {folder.name} as data root or in SNN_LANDSCAPE_DATA"
    )


def _imagenet(*, root: Path, image_size: int = 224, workers: int = 0, split_seed: int = 0) -> Data:
    if image_size < 1 or workers < 0:
        raise ValueError(f"image_size must be positive and workers not negative, got {image_size} and {workers}")
    folders = [_class_folders(root / part) for part in ("train", "val")]
    if folders[0].classes != folders[1].classes:
        differing = sorted(set(folders[0].classes) ^ set(folders[1].classes))
        raise ValueError(
            f"train and val in {root.resolve()} do not have the same classes: only one has {differing[:5]}"
        )
    mean, std = (tuple(255 * value for value in each) for each in _IMAGENET)
    splits = []
    for folder in folders:
        labels = torch.tensor(folder.targets)
        order = stratified_order(labels, seed=split_seed)
        splits.append(FolderSplit(labels[order], mean, std, folder, order, image_size, workers))
    return Data(
        name="imagenet",
        arguments={"image_size": image_size, "split_seed": split_seed},
        train=splits[0],
        test=splits[1],
        num_classes=len(folders[0].classes),
        in_channels=3,
        image_size=image_size,
        augment=partial(resized_crop_and_flip, size=image_size),
    )


def _class_folders(folder: Path) -> ImageFolder:
    try:
        return ImageFolder(str(folder))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"no ImageNet images in {folder.resolve()} ({error}): expected a folder of images for each class, from the"
            " archives of https://www.image-net.org; give the folder that holds train and val as data root or in"
            " SNN_LANDSCAPE_DATA"
        ) from error


_SOURCES: dict[str, Callable[..., Data]] = {
    "digits": _digits,
    "digit-events": _digit_events,
    "cifar10": partial(_cifar, "cifar10"),
    "cifar100": partial(_cifar, "cifar100"),
    "imagenet": _imagenet,
}
