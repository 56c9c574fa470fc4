"""Several losses of one model's outputs, with one pass at each place of the weights for all of them.

Losses are looked at around the weights in turn, and where draws have one seed they are looked at in the same places.
What the model made of the batches there is kept from the first loss, and the others begin from it.
"""

import hashlib
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .objective import Objective

BUDGET = 2**28


class Outputs:
    """What a model made of its batches, by the weights that it had; at most ``budget`` bytes of it."""

    def __init__(self, budget: int = BUDGET):
        self._left = budget
        self._kept: dict[tuple[bytes, int], Tensor] = {}

    def of(self, objective: Objective, place: bytes, number: int, inputs: Any) -> Any:
        """The output on batch ``number``, kept or computed."""
        kept = self._kept.get((place, number))
        if kept is not None:
            return kept.clone()
        output = objective.output(inputs)
        if type(output) is Tensor and output.numel() * output.element_size() <= self._left:
            self._left -= output.numel() * output.element_size()
            self._kept[place, number] = output.clone()  # it may be a view of what the next batch is written to
        return output


class Sharing(Objective):
    """An objective whose :meth:`examples` come from ``outputs``, which others of other losses have too.

    They must be of the same model, parameters, batches and mode, and nothing but these parameters may move meanwhile.
    """

    def __init__(self, model: nn.Module, *given: Any, outputs: Outputs, **more: Any):
        super().__init__(model, *given, **more)
        self._outputs = outputs

    def examples(self) -> Float[Tensor, " size"]:
        """As :meth:`Objective.examples`, bit for bit."""
        place, values = digest(self.parameters.vector()), []
        with self.evaluating(), self._watching():
            for number, (inputs, target, size) in enumerate(self.evaluation.batches):
                loss = self.losses_of(self._outputs.of(self, place, number, inputs), target, size)
                if loss.ndim == 0:
                    raise ValueError("the loss returns a mean; losses of single examples need reduction='none'")
                values.append(loss.detach().clone())
        return self.gathered(values)


def digest(weights: Float[Tensor, " dimension"]) -> bytes:
    """The bits of ``weights`` in a few."""
    return hashlib.sha256(weights.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()).digest()
