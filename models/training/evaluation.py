"""What a run notes of its network after an epoch: losses and accuracy on training and test images, in eval mode."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from .. import processes
from .epoch import DTYPES, evaluate
from .made import Made
from .recipe import Config


def evaluated(
    config: Config, made: Made, trained_with: Callable[[Tensor, Tensor], Tensor], device: str
) -> dict[str, float]:
    """The row of the history, SPLIT_NAME: value; of ``trained_with`` too where the history tells of it.

    Each process evaluates its part of both splits; training images are ``evaluate_train`` at most.
    """
    size = 500 if made.data.image_size <= 32 else config.batch_size
    shared: dict[str, Any] = {"device": device, "dtype": DTYPES[config.precision], "part": processes.part()}
    loss = trained_with if made.tells_loss else None
    limit = config.evaluate_train and min(config.evaluate_train, len(made.train))
    return {
        f"{split}_{name}": value
        for split, images in (
            ("train", made.train.batches(size, limit=limit, **shared)),
            ("test", made.test.batches(size, **shared)),
        )
        for name, value in evaluate(made.network, images, config.precision, kind=made.kind, loss=loss).items()
    }
