"""Images in folders, one a class, read from their files as training goes, standardised with torchvision's constants."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Generator, Tensor
from torch.utils.data import Dataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import functional as vision

from .augment import Augment
from .dataset import Data
from .examples import first
from .file_digest import test_part
from .resized import centre_crop, resized_crop_and_flip
from .splits import Split, share, stratified_order
from .workers import read

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class FolderSplit(Split):
    """A split read from files as it goes; ``numbers`` are the folder's numbers of the images in stored order.

    Here ``augment`` works on one image, [channel, height, width], and draws from a generator of the image's own whose
    seed comes from the caller's: what is drawn does not depend on the number of worker processes. Without ``augment``
    images are cropped in the centre.
    """

    folder: ImageFolder
    numbers: Int[Tensor, " image"]
    image_size: int
    workers: int

    def _pixels(
        self, order: Tensor, size: int, augment: Augment | None, generator: Generator | None, part: tuple[int, int]
    ) -> Iterator[Tensor]:
        seeds = torch.randint(2**63 - 1, order.shape, generator=generator) if augment else torch.zeros_like(order)
        requests = [share(each, part) for each in torch.stack([self.numbers[order], seeds], 1).split(size)]
        reader, batches = (
            _Reader(self.folder, augment, self.image_size),
            [each.tolist() for each in requests if len(each)],
        )
        found = read(reader, self.workers, batch_sampler=batches)
        nothing = torch.empty(0, 3, self.image_size, self.image_size, dtype=torch.uint8)
        return (next(found) if len(request) else nothing for request in requests)


@dataclass(frozen=True)
class _Reader(Dataset[Tensor]):
    folder: ImageFolder
    augment: Augment | None
    image_size: int

    def __getitem__(self, request: list[int]) -> Tensor:
        number, seed = request
        try:
            image = vision.pil_to_tensor(self.folder[number][0])
        except OSError as error:
            raise OSError(f"cannot read the image {self.folder.samples[number][0]}: {error}") from error
        if self.augment is None:
            return centre_crop(image, size=self.image_size)
        return self.augment(image, Generator().manual_seed(seed))


def own(
    root: Path, *, image_size: int = 224, workers: int = 0, split_seed: int = 0, train_images: int | None = None
) -> Data:
    """A user's own images, in ``train`` and ``test`` (or ``val``) of the folder ``root``."""
    data = class_folders(root, test_part(root), image_size=image_size, workers=workers, split_seed=split_seed)
    train = data.train if train_images is None else first(data.train, train_images)
    more = {} if train_images is None else {"train_images": train_images}
    return replace(data, name=root.resolve().name, arguments=data.arguments | more, train=train, augment=None)


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
        white=255.0,
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
