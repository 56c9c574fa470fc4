"""Handwritten digits of 8×8 (scikit-learn's 1797), as images and as a simulated event camera sees them.

Images are standardised by the mean and the population standard deviation of all training pixels; event counts stay as
they are.
"""

import numpy as np
import torch
from jaxtyping import Int, UInt8
from sklearn.datasets import load_digits
from torch import Tensor

from .dataset import Data, check_count
from .event_frames import frames
from .events import SENSOR, simulate
from .splits import MemorySplit, stratified_order


def digits(*, train_images: int = 200, split_seed: int = 0) -> Data:
    """The images, of which ``train_images`` drawn by ``split_seed`` are for training."""
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
        white=16.0,
    )


def digit_events(
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
    """The same images in the same splits, seen by the camera of :mod:`models.data.events`, cut into frames."""
    images, labels = _digit_images()
    train, test = _digit_parts(labels, train_images, split_seed)
    streams = simulate(images[:, 0].double().numpy() / 16, contrast=contrast, noise=noise, seed=noise_seed)
    cut = torch.stack([frames(stream, timesteps, by=by, binary=binary, size=SENSOR) for stream in streams])
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


def _digit_images() -> tuple[UInt8[Tensor, "image 1 8 8"], Int[Tensor, " image"]]:
    digits = load_digits()
    images = torch.from_numpy(digits.images.astype(np.uint8)).unsqueeze(1)
    return images, torch.from_numpy(digits.target.astype(np.int64))


def _digit_parts(labels: Tensor, train_images: int, split_seed: int) -> tuple[Tensor, Tensor]:
    check_count(train_images, 10, len(labels) - 10, f"one of each digit for training and testing, {len(labels)} in all")
    order = stratified_order(labels, seed=split_seed)
    return order[:train_images], order[train_images:]
