"""What temporal scalability is asked with."""

from dataclasses import dataclass

from .. import flags

THRESHOLDS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99, 0.999, 1.0)
BINS = 15


@dataclass(frozen=True)
class Config(flags.Config):
    """Accuracy, loss, agreement and calibration against timesteps, and anytime inference.

    On training and on test images, under both losses whatever --loss says.
    """

    images: int | None = None
    """How many of each split, the first ones; None takes all. Both splits are measured, whatever --split says."""
    max_timesteps: int | None = None
    """The largest T; by default twice the trained one, for events the stream's, and 1 without spikes."""
    recalibrate: bool = False
    """Measure with BatchNorm's statistics taken anew at each T too, from the training images in batches of --chunk."""
    recut: bool = False
    """Measure streams of events cut into T frames too, beside the first T of the frames trained with."""
    thresholds: tuple[float, ...] = THRESHOLDS
    """Confidences at which anytime inference stops."""
    bins: int = BINS
    """Bins of the calibration error."""

    @property
    def measured(self) -> tuple[str, ...]:
        """Both splits."""
        return ("train", "test")
