"""What gradients by timestep are asked with."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from ..flags import OneSplit


@dataclass(frozen=True)
class Config(OneSplit):
    """Gradient and momentum statistics by timestep, and realised against predicted decrease of the loss."""

    batches: int = 20
    """K, the batches that the gradient is taken on."""
    batch_size: int = 0
    """Images in a batch; 0 takes as many as in training (50 where that isn't known), or all where they are fewer."""
    chunk: int = 50
    """Images in one backward: the error signals of chunk / batch size timesteps go together, of one at least."""
    beta: float | None = None
    """Decay of the moving average; by default the optimizer's momentum (Adam: the first beta), 0.9 where unknown."""
    mode: Literal["train", "eval"] = "train"
    """BatchNorm's: each batch's own statistics as in training, or the running ones."""
    relative_steps: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
    """Steps of the descent, as length relative to the weights'; none leaves it out."""
    layers: bool = False
    """Each layer by itself, too."""
    steps: int = 0
    """K, steps to train on from the checkpoint, on a copy, with each of the losses; 0 takes none."""
    step_rate: float | None = None
    """Learning rate of the first of them; by default a quarter of training's first rate."""

    less_memory: ClassVar[str] = "a smaller --batch-size"

    def amount(self, training: Mapping[str, Any]) -> int:
        """Images of a batch: its errors and gradients are all of the cost that grows."""
        return self.batch_size or int(training.get("batch_size", 50))

    def on_few(self, images: int, chunk: int) -> "Config":
        """The same with batches of so many."""
        return replace(super().on_few(self.images or 0, chunk), images=self.images, batch_size=images)
