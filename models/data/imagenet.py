"""ImageNet: images in ``train`` and ``val``, one folder a class, standardised with torchvision's constants."""

from functools import partial
from pathlib import Path

import torch
from torchvision.datasets import ImageFolder

from .augment import resized_crop_and_flip
from .dataset import Data
from .splits import FolderSplit, stratified_order

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def imagenet(*, root: Path, image_size: int = 224, workers: int = 0, split_seed: int = 0) -> Data:
    """The images in ``root``, read by ``workers`` processes as training goes."""
    return class_folders(root, "val", image_size=image_size, workers=workers, split_seed=split_seed)


def class_folders(root: Path, test: str, *, image_size: int, workers: int, split_seed: int) -> Data:
    """The images in ``train`` and ``test`` of ``root``, in each one folder a class."""
    if image_size < 1 or workers < 0:
        raise ValueError(f"image_size must be positive and workers not negative, got {image_size} and {workers}")
    folders = [_class_folders(root / part) for part in ("train", test)]
    if folders[0].classes != folders[1].classes:
        differing = sorted(set(folders[0].classes) ^ set(folders[1].classes))
        raise ValueError(
            f"train and {test} in {root.resolve()} do not have the same classes: only one has {differing[:5]}"
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
