"""ImageNet: images in ``train`` and ``val``, one folder a class, standardised with torchvision's constants."""

from pathlib import Path

from .dataset import Data
from .folders import class_folders


def imagenet(*, root: Path, image_size: int = 224, workers: int = 0, split_seed: int = 0) -> Data:
    """The images in ``root``, read by ``workers`` processes as training goes."""
    return class_folders(root, "val", image_size=image_size, workers=workers, split_seed=split_seed)
