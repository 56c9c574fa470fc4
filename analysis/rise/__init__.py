"""How far the loss rises with the distance from the weights, as it is and with logits at one scale."""

from .command import Config, main, measure, run

__all__ = ["Config", "main", "measure", "run"]
