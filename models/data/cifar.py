"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), from the files that torchvision reads; constants of Deng et al. 2022."""

from functools import partial
from pathlib import Path

import torch
from jaxtyping import Int, UInt8
from torch import Tensor
from torchvision.datasets import CIFAR10, CIFAR100
from torchvision.datasets.utils import check_integrity

from .augment import crop_and_flip
from .dataset import Data, check_count
from .splits import MemorySplit, stratified_order

_CIFAR: dict[str, tuple[type[CIFAR10], tuple[float, ...], tuple[float, ...]]] = {
    "cifar10": (CIFAR10, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": (CIFAR100, (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}


def _cifar(name: str, *, root: Path, train_images: int | None = None, split_seed: int = 0) -> Data:
    """CIFAR-10 or CIFAR-100 from ``root``; ``train_images`` of it drawn by ``split_seed`` are for training, or all."""
    kind, mean, std = _CIFAR[name]
    channel = tuple(255 * each for each in mean), tuple(255 * each for each in std)
    (images, labels), (test_images, test_labels) = (_images(kind, root, train) for train in (True, False))
    classes = int(labels.max()) + 1
    if train_images is not None:
        check_count(train_images, classes, len(labels), "one of each class, and as many as there are")
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
        white=255.0,
    )


cifar10, cifar100 = (partial(_cifar, name) for name in _CIFAR)


def _images(
    kind: type[CIFAR10], root: Path, train: bool
) -> tuple[UInt8[Tensor, "image 3 32 32"], Int[Tensor, " image"]]:
    try:
        part = kind(root, train=train, download=False)
    except RuntimeError as error:  # torchvision's, for a file that is missing or whose checksum is wrong
        raise FileNotFoundError(_complaint(kind, root)) from error
    return torch.from_numpy(part.data).permute(0, 3, 1, 2), torch.tensor(part.targets)


def _complaint(kind: type[CIFAR10], root: Path) -> str:
    folder = root / kind.base_folder
    files = [*kind.train_list, *kind.test_list, [kind.meta["filename"], kind.meta["md5"]]]
    missing = [name for name, _ in files if not (folder / name).is_file()]
    damaged = [name for name, md5 in files if name not in missing and not check_integrity(folder / name, md5)]
    found = [f"{what}: {', '.join(names)}" for what, names in (("missing", missing), ("damaged", damaged)) if names]
    return (
        f"{kind.__name__} is not complete in {folder.resolve()} ({'; '.join(found)}): unpack {kind.url} in"
        f" {root.resolve()}, or give the folder that holds {folder.name} as data root or in SNN_LANDSCAPE_DATA"
    )
