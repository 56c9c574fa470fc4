"""What a kept graph was built from, and whether the model and its inputs are still that.

A graph of a gradient holds tensors as they were when it was built. ``_version`` counts only some of the ways of writing
to one (not ``weight.data``, nor a fused optimizer), so contents are compared, bit for bit: of all parameters, frozen
ones too, buffers, plain attributes, and the batches that lie in a list.
"""

from typing import Any

from torch import Tensor

from .evaluation import Evaluation
from .structure import same_bits

_PLAIN = (bool, int, float, str)


class Held:
    """A copy of what the model of ``evaluation`` holds now."""

    def __init__(self, evaluation: Evaluation):
        self._tensors = _tensors(evaluation)
        self._copies = [tensor.detach().clone() for tensor in self._tensors]
        self._versions = [weight._version for weight in evaluation.model.parameters()]
        self._weights = list(evaluation.model.parameters())
        self._plain = _plain(evaluation)
        self._batches = evaluation.batches.present()

    def usable(self) -> bool:
        """Whether autograd still takes the graph: no weight was written to under its eyes, not even back and forth."""
        return self._versions == [weight._version for weight in self._weights]

    def changed(self, evaluation: Evaluation) -> bool:
        """Whether anything is other than it was."""
        now = _tensors(evaluation)
        return (
            len(now) != len(self._copies)
            or not all(same_bits(one, other) for one, other in zip(now, self._copies, strict=True))
            or self._plain != _plain(evaluation)
            or self._batches != evaluation.batches.present()
        )


def _tensors(evaluation: Evaluation) -> list[Tensor]:
    attributes = [value for module in evaluation.model.modules() for value in vars(module).values()]
    own = [value for value in attributes if isinstance(value, Tensor)]
    return [*evaluation.model.parameters(), *evaluation.model.buffers(), *own]


def _plain(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in vars(module).items() if isinstance(value, _PLAIN) and name != "training"}
        for module in evaluation.model.modules()
    ]
