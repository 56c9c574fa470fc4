"""What an analysis is put to: a checkpoint with its network and images, and the snapshots of its training."""

from .subject import TWIN, Batch, Subject, correct, per_image

__all__ = ["TWIN", "Batch", "Subject", "correct", "per_image"]
