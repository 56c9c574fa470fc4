"""What training curves are asked with."""

from dataclasses import dataclass

from .. import flags


@dataclass(frozen=True)
class Config(flags.Config):
    """The training curves that checkpoints carry, and how they were trained."""
