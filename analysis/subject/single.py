"""A loss of the user's own, held to one value for each example of every batch."""

from functools import partial
from typing import Any

from torch import Tensor

from landscape.evaluation import described, examples
from landscape.refusal import Refusal

from .outputs import Loss


def held(name: str, loss: Loss) -> Loss:
    """``loss``, which raises Refusal where it returns something else than one value for each example."""
    return partial(_held, name, loss)


def _held(name: str, loss: Loss, output: Any, target: Any) -> Tensor:
    found = loss(output, target)
    try:
        count = examples(None, target)
    except ValueError:  # it can't be told, as of a target that isn't there
        count = None
    if isinstance(found, Tensor) and found.ndim == 1 and count in (None, len(found)):
        return found
    got = f"shape {list(found.shape)}" if isinstance(found, Tensor) else described(found)
    expected = "batch" if count is None else count
    raise Refusal(f"loss {name} must be one value per example ([{expected}]: reduction='none', no mean), got {got}")
