"""What a subject's network answers: the layout of its output, its losses, and what of it counts as right."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from models.checkpoint import Checkpoint
from models.losses import LOSSES
from models.networks.layers import Network

from . import outputs
from .examples import Examples, Unsuited
from .outputs import Layout, Loss, through
from .passes import Seen, look
from .single import held
from .words import ALL

if TYPE_CHECKING:
    from .subject import Subject


_OWN = "; give one value per example: losses={'mine': lambda output, target: …}"


@dataclass(frozen=True, eq=False)
class Answers(Examples):
    """What the network says of its examples, and how that is judged."""

    _: KW_ONLY
    losses: Mapping[str, Loss] | None = None
    output: Callable[[Any], Tensor] | None = None
    checkpoint: Checkpoint | None = None

    @cached_property
    def _seen(self) -> Seen:
        return look(cast("Subject", self))

    @property
    def layout(self) -> Layout:
        """What the network's output says, seen on its first batch."""
        return self._seen.layout

    @property
    def has_losses(self) -> bool:
        """Whether losses were given, or the output has some by itself."""
        return bool(self.losses or self._seen.usual)

    def class_logits(self, returned: Any) -> Float[Tensor, "batch class"]:
        """What the network returned, as the logits of one distribution over classes: of steps their mean."""
        return self.time_first(returned).mean(0)

    def time_first(self, returned: Any) -> Float[Tensor, "time batch *answer"]:
        """What the network returned, as [time, batch, …], with one step where there is no time.

        Raises Unsuited where that isn't one tensor.
        """
        if not self._seen.tensor:
            raise Unsuited(f"{self.title}: its network returns {self._seen.shown}; pick a tensor with output=")
        return self.layout.time_first(self._seen.pick(returned))

    @property
    def score(self) -> Loss | None:
        """What counts as accuracy, one value per example, of what the network returns; None where nothing does."""
        found = outputs.score(self.layout)
        return None if found is None else self._seen.through(found)

    def asked(self, loss: str) -> dict[str, Loss]:
        """The landscape's losses that ``loss`` names, as functions of what the network returns; "both", "all": each.

        Raises ValueError for a name that there isn't, and where no loss is known.
        """
        own = {name: held(name, one) for name, one in (self.losses or {}).items()}
        every = own or {name: self._seen.through(one) for name, one in self._seen.usual.items()}
        if not every:
            raise ValueError(
                f"subject {self.title}: which loss? Its output, {self._seen.shown}, doesn't say"
                f"{self._seen.advice or _OWN}"
            )
        if self.losses and self.output:
            every = {name: partial(through, self.output, function) for name, function in every.items()}
        if loss in ALL:
            return every
        if loss not in every:
            raise ValueError(f"no loss {loss!r}: {self.title} has {', '.join(every)}")
        return {loss: every[loss]}

    def timed(self, loss: str) -> Loss:
        """One of its losses as a function of [time, batch, …], one step where there is no time.

        Raises Unsuited where the losses take something else than one tensor.
        """
        if not self._seen.tensor:
            raise Unsuited(f"{self.title}: its network returns {self._seen.shown}; pick a tensor with output=")
        function = held(loss, self.losses[loss]) if self.losses else self._seen.usual[loss]
        ours = isinstance(self.network, Network)
        return per_image(loss) if ours and self.checkpoint else partial(_back, function, self.layout.time)

    def scored(self, output: Tensor, target: Any) -> Float[Tensor, "time batch"] | None:
        """The score of what the first T' steps say, of an output time first; None where nothing counts as right."""
        found = outputs.score(self.layout)
        if found is None:
            return None
        return torch.stack(
            [_back(found, self.layout.time, output[: t + 1], target).double() for t in range(len(output))]
        )


def _back(function: Loss, time: int | None, output: Tensor, target: Any) -> Tensor:
    return function(output.squeeze(0) if time is None else output.movedim(0, time), target)


def per_image(loss: str) -> Loss:
    """The landscape's loss ("sdt": equation 7, "tet": equation 9; no regulariser), one value per image."""
    return partial(LOSSES[loss], reduction="none")


def correct(logits: Tensor, labels: Tensor) -> Tensor:
    """1 where the class with the largest mean output is the label, else 0; NaN without one; shape ``[batch]``."""
    mean = logits.mean(0)
    return outputs.where_known(mean.argmax(1) == labels, mean, 1)
