"""What an analysis is put to: a network, its data, the losses of its landscape, and the columns that name it.

A subject is made in Python, comes from a file of the user's (:mod:`analysis.subject.targets`), or from a checkpoint of
this project (:meth:`Subject.load`). Its network is evaluated in eval mode and given back as found.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from landscape.evaluation import Evaluation, Reading, Source
from landscape.objective import Objective, Outputs, Sharing
from models.checkpoint import Checkpoint
from models.data import Data
from models.device import device as usable_device
from tables.record import sha256

from .answers import Answers
from .copying import copied
from .digest import of_content
from .examples import Unsuited
from .given import as_batches
from .mixing import mixed
from .outputs import Loss
from .passes import passes, told
from .sources import Batch
from .words import check_words

_RESET = ". Of a subject that is spiking=Spiking(neurons=(MyLIF,), reset=lambda network: …)"
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
Plain = bool | int | float | str


@dataclass(frozen=True, eq=False)
class Subject(Answers):
    """One network with its data, and the columns that name it in every table.

    - ``train``, ``test``: a Dataset, a loader that doesn't shuffle, a list of batches, or a pair (x, y) of all inputs
      and targets; either may be left out, and an analysis that needs it says so
    - ``losses``: functions (output, target) → one value per example, by name; by default what the output's shape
      says (:mod:`analysis.subject.outputs`)
    - ``name`` (column checkpoint), ``data``, ``method``, ``seed``: words by which tables know it; by default its name
      is METHOD-SEED, and ``architecture`` (column network) the network's class
    - ``factors``: settings that vary from subject to subject, by name: learning rate, width, …
    - ``spiking``: how a network that spikes is asked; recognised where that can be done
    - ``output``: picks, out of what the network returns, the tensor that losses take
    - ``unpack``, ``forward``: how a batch is read and the network called, as in :class:`landscape.Objective`

    ``checkpoint``, ``path`` and ``dataset`` are there for checkpoints of this project alone; ``code`` is the sha256 of
    the file that it comes from, and ``arguments`` what its function was given, where it comes from one.

    Raises ValueError for something else than that.
    """

    _: KW_ONLY
    data: str = "data"
    method: str = "unnamed"
    seed: int = 0
    factors: Mapping[str, Plain] = field(default_factory=dict)
    architecture: str = ""
    forward: Callable[[nn.Module, Any], Any] | None = None
    path: Path | None = None
    dataset: Data | None = None
    code: Mapping[str, str] = field(default_factory=dict)
    arguments: str = ""

    def __post_init__(self) -> None:
        for split in () if self.unpack else ("train", "test"):
            object.__setattr__(self, split, as_batches(getattr(self, split)))
        check_words(self)

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        data_root: str | None = None,
        code: Sequence[str] = (),
    ) -> "Subject":
        """The subject in the checkpoint at ``path`` (:func:`analysis.subject.checkpoints.load`)."""
        from .checkpoints import load  # which makes subjects

        return load(path, device=device, dtype=dtype, data_root=data_root, code=code)

    def on(self, device: str, dtype: str) -> "Subject":
        """The same with its network on ``device`` in ``dtype``: itself where it lies there already, else a copy."""
        place, kind = usable_device(device), DTYPES[dtype]
        here, weights = torch.empty(0, device=place).device, [*self.network.parameters(), *self.network.buffers()]
        there = all(
            weight.device == here and (weight.dtype == kind or not weight.is_floating_point()) for weight in weights
        )
        network = self.network if there else self._copied(device, dtype).to(device=place, dtype=kind)
        return replace(self, network=network, device=device, dtype=kind)

    def _copied(self, device: str, dtype: str) -> nn.Module:
        try:
            return copied(self.network)
        except RuntimeError as error:
            raise ValueError(
                f"subject {self.title}: its network can't be copied to {device} in {dtype} ({error}): move it there "
                "yourself"
            ) from error

    @property
    def title(self) -> str:
        """What it is called: its name, or METHOD-SEED."""
        return self.name or f"{self.method}-{self.seed}"

    @property
    def identity(self) -> dict[str, str | int]:
        """The columns checkpoint, network, data, method (how it was trained), training (with which loss) and seed."""
        told = self.checkpoint.training["loss"] if self.checkpoint else self.factors.get("loss", self.method)
        return {
            "checkpoint": self.title,
            "network": self.architecture or type(self.network).__name__,
            "data": self.data,
            "method": self.method,
            "training": str(told),
            "seed": self.seed,
        }

    @property
    def training(self) -> Mapping[str, Any]:
        """What is known of how it was trained: its checkpoint's ``training``, or its factors."""
        return self.checkpoint.training if self.checkpoint else self.factors

    def trained(self, what: str) -> Checkpoint:
        """The checkpoint, for ``what`` needs one. Raises Unsuited where there is none."""
        if self.checkpoint is None:
            raise Unsuited(f"{what} takes a checkpoint of models.train, which says how the network was trained")
        return self.checkpoint

    @cached_property
    def sha256(self) -> str:
        """Digest of the checkpoint file as it was read; of other subjects of what they are made of (:mod:`.digest`)."""
        return sha256(self.path) if self.path else of_content(self)

    @property
    def there(self) -> tuple[str, ...]:
        """The splits that there are."""
        return tuple(name for name in ("train", "test") if getattr(self, name) is not None)

    def splits(self, asked: Sequence[str]) -> tuple[str, ...]:
        """Those of the splits ``asked`` for that there are, or else the one there is."""
        return tuple(name for name in asked if name in self.there) or self.there

    @property
    def spikes(self) -> bool:
        """Whether it has neurons that spike."""
        return self.spiking is not None and bool(self.spiking.neurons)

    @property
    def trained_timesteps(self) -> int:
        """T of the network as it is, that of its training; 1 without time."""
        return (self.spiking.steps if self.spiking else None) or self.layout.steps

    @property
    def causal(self) -> bool:
        """Whether one pass holds the answer for every smaller number of steps."""
        return self.spiking is None or (self.spiking.causal and self.layout.time is not None)

    @property
    def longest(self) -> int | None:
        """The most steps that its data have, frames of a stream; None where an image can be shown for any number."""
        if self.dataset:
            return self.dataset.steps
        framed = self.spiking is None or self.spiking.timesteps is None or self.spiking.frames is not None
        return self.trained_timesteps if framed else None

    @property
    def reading(self) -> Reading:
        """How landscape is to run the network; batches are pairs of input and target already."""
        found: Reading = {}
        if self.forward:
            found["forward"] = self.forward
        if self.spiking and self.spiking.reset:
            found["reset"] = self.spiking.reset
        if self.axis:
            found["size"] = _labelled
        return found

    def check(self) -> None:
        """Raise ValueError where its data differ between readings, or its losses aren't functions of weights and batch.

        Nor may they depend on the other examples of the batch (:mod:`.mixing`). Costs five passes of a few examples,
        and is for subjects that aren't checkpoints of this project.
        """
        for split in self.there:
            if why := self._images(split).changes():
                raise ValueError(f"subject {self.title}, {split} data: {why}")
            few = self.batches(split, 16, 8)
            for name, loss in self.asked("all").items():
                try:
                    self.objective(loss, few).value()
                    if why := mixed(self, loss, few[0]):
                        raise ValueError(why)
                except ValueError as error:
                    cure = _RESET if "keeps a state" in str(error) else ""
                    raise ValueError(f"subject {self.title}, loss {name}, {split} data: {error}{cure}") from error

    def objective(self, loss: Loss, batches: Source, *, outputs: Outputs | None = None, **more: Any) -> Objective:
        """The loss as a function of the weights, on these batches; losses that share ``outputs`` share passes."""
        if outputs is None:
            return Objective(self.network, loss, batches, **self.reading, **more)
        return Sharing(self.network, loss, batches, outputs=outputs, **self.reading, **more)

    def given(self, steps: int) -> Reading:
        """How landscape is to run the network with T = ``steps``."""
        keyword = self.spiking.keyword(self.network) if self.spiking else ""
        return self.reading | {"forward": partial(told, keyword, steps)} if keyword else self.reading

    def evaluation(self, batches: Source, **more: Any) -> Evaluation:
        """The network in eval mode on these batches, unchecked."""
        weight = next(self.network.parameters(), None)
        place = usable_device(self.device) if weight is None else weight.device
        return Evaluation(self.network, batches, **{**self.reading, "device": place, "check": False, **more})

    def outputs(
        self, batches: Source, steps: int | None = None
    ) -> Iterator[tuple[Float[Tensor, "time batch *answer"], Any]]:
        """What the network says, time first, and the target, of each batch; with T = ``steps`` where given.

        Raises ValueError where the network can't be given so many steps, Unsuited where it doesn't return one tensor.
        """
        for returned, target in passes(self, batches, steps):
            yield self.time_first(returned), target


def _labelled(batch: Batch) -> int:
    """The number of examples of a batch whose inputs begin with time."""
    return len(batch[1])
