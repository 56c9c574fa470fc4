"""A model evaluated on batches: the one way by which everything in this package does it, checked when it is made.

What the checks assure is that the loss of a batch is a function of the weights and of that batch: see
:mod:`landscape.evaluation.checks`. What the evaluation itself sees to:

- the model is in the mode asked for, and given back as found (:mod:`landscape.evaluation.state`);
- the state of SpikingJelly's and snnTorch's neurons is cleared before every batch, that of others by ``reset``;
- a forward that writes to its inputs gets copies of them;
- weights that autocast has rounded before don't outlive a move of the weights;
- what torch.compile has compiled runs as it was written;
- an exception of the model or the loss becomes a ValueError that says where it came from.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import islice
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..refusal import exhausted, explained
from .batches import Batch, Batches, Source, copied
from .guessing import Keywords
from .resetting import resetting
from .state import is_compiled, preserved, uncompiled
from .structure import described

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
Way = Callable[[Any], Arguments]


class Reading(TypedDict, total=False):
    """How batches are read and the model is run; the arguments of :class:`Evaluation`."""

    unpack: Callable[[Any], tuple[Any, Any]] | None
    forward: Callable[[nn.Module, Any], Any] | None
    size: Callable[[Any], int] | None
    reset: Callable[[nn.Module], object] | None
    check: bool


class Evaluation:
    """``model`` on ``batches``, in ``mode`` ("eval" or "train"), and what a pass needs before and after it.

    - ``unpack(batch)`` returns (input, target) of what the loader yields; by default it is guessed, and refused where
      it can't be: :mod:`landscape.evaluation.batches`
    - ``forward(model, inputs)`` returns the output; by default model(inputs), or with the parts of a tuple or mapping
      as arguments where the model takes them only so
    - ``size(batch)`` is the number of examples in what the loader yields; by default that of its tensors
    - ``reset(model)`` clears what the model keeps from batch to batch, and is called before each
    - ``check``: whether batches are compared with the first reading, and the model checked

    Raises ValueError for an unknown mode and for what :class:`~landscape.evaluation.Batches` refuses.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Source,
        *,
        device: torch.device,
        mode: str = "eval",
        unpack: Callable[[Any], tuple[Any, Any]] | None = None,
        forward: Callable[[nn.Module, Any], Any] | None = None,
        size: Callable[[Any], int] | None = None,
        reset: Callable[[nn.Module], object] | None = None,
        check: bool = True,
    ):
        if mode not in ("eval", "train"):
            raise ValueError(f"mode must be 'eval' or 'train', got {mode!r}")
        self.mode, self.checked = mode, check
        self.model = getattr(model, "_orig_mod", model)
        self._compiled = is_compiled(model)
        if check and self._compiled:
            warnings.warn(
                "the model goes through torch.compile: it is measured as the module it was made from", stacklevel=4
            )
        self.batches = Batches(batches, device=device, unpack=unpack, size=size, watched=check)
        self.watching: Callable[[], AbstractContextManager[object]] = torch.no_grad  # around what is only evaluated
        self.alias = ""  # a tensor through which the loss depends on a weight and no gradient comes
        self.writes = False
        self.by_attribute = False  # whether modes are set past train(), which would fold weights into others
        self._forward, self._given_reset = forward, reset
        self._reset = reset
        self._way: Way | None = None
        self.sized = size is not None  # by the caller, from what the loader yields

    @property
    def writes(self) -> bool:
        """Whether forward or loss writes to what it is given, and therefore gets copies."""
        return self.batches.written

    @writes.setter
    def writes(self, written: bool) -> None:
        self.batches.written = written

    @contextmanager
    def evaluating(self) -> Iterator[nn.Module]:
        """The model in its mode; given back as found."""
        with preserved(self.model) as model, uncompiled() if self._compiled else nullcontext(), _plain_paths():
            self._reset = self._given_reset or resetting(model)
            self.set_mode()
            torch.clear_autocast_cache()  # it may hold weights as they were, rounded
            try:
                yield model
            finally:
                torch.clear_autocast_cache()

    def set_mode(self) -> None:
        """Bring the model to its mode."""
        train = self.mode == "train"
        if self.by_attribute:
            for module in self.model.modules():
                module.training = train
            return
        try:
            self.model.train() if train else self.model.eval()
        except NotImplementedError:  # an exported program has the mode that it was exported in
            return

    def output(self, inputs: Any) -> Any:
        """What the model makes of one batch's input. Call it inside :meth:`evaluating`."""
        inputs = self.ready(inputs)
        with explained("the model fails on a batch", partial(self._cure, inputs)):
            if self._forward:
                return self._forward(self.model, inputs)
            return self._called(inputs)

    def _called(self, inputs: Any) -> Any:
        """The model's output, by the first of the ways to give it its input that works, and by that from then on."""
        if self._way is not None:
            arguments, keywords = self._way(inputs)
            return self.model(*arguments, **keywords)
        possible, failed = ways(self.model, inputs), Exception()
        for place, way in enumerate(possible):
            arguments, keywords = way(inputs)
            try:
                output = self.model(*arguments, **keywords)
            except Exception as error:
                if len(possible) == 1 or exhausted(error):
                    raise
                failed = error if place == 0 else failed
                if self._reset:
                    self._reset(self.model)
            else:
                self._way = way
                return output
        raise failed

    def ready(self, inputs: Any) -> Any:
        """``inputs`` as the model may be given them, its state cleared."""
        if self._reset:
            self._reset(self.model)
        return self.given(inputs)

    def given(self, value: Any) -> Any:
        """``value``, or copies where the model writes to what it is given."""
        return copied(value) if self.writes else value

    def _cure(self, inputs: Any) -> str:
        """What to look at, or write, if the model fails on these."""
        if isinstance(inputs, Keywords):
            names = ", ".join(inputs)
            return f"Say how it takes {names}: forward=lambda model, inputs: model(inputs[{next(iter(inputs), '')!r}])"
        if isinstance(inputs, tuple | list | Mapping):
            stars = "**" if isinstance(inputs, Mapping) else "*"
            shown = described(inputs)
            return f"Its input is {shown}: say how it takes it, forward=lambda model, inputs: model({stars}inputs)"
        kinds = {weight.dtype for weight in self.model.parameters()}
        if isinstance(inputs, Tensor) and inputs.is_floating_point() and inputs.dtype not in kinds:
            return f"Its input is {inputs.dtype}, its weights are {', '.join(map(str, kinds))}"
        return f"Its input is {described(inputs)}{_span(inputs)}"

    def first(self, count: int) -> list[Batch]:
        """The first ``count`` batches, or as many as there are, read anew."""
        return list(islice(self.batches.kept(), count))


def _span(inputs: Any) -> str:
    """The smallest and the largest of whole numbers, which may be indices."""
    whole = isinstance(inputs, Tensor) and not (inputs.is_floating_point() or inputs.is_complex())
    return f" of {inputs.min()} … {inputs.max()}" if whole and inputs.numel() else ""


@contextmanager
def _plain_paths() -> Iterator[None]:
    """Without what computes otherwise than the modules say, or remembers weights that have moved.

    That is the fast path of torch's attention layers, taken only where no gradient is (it sets padded places to zero),
    and the cache of parametrizations.
    """
    fast, cached = torch.backends.mha.get_fastpath_enabled(), parametrize._cache_enabled
    torch.backends.mha.set_fastpath_enabled(False)
    parametrize._cache_enabled = 0
    try:
        yield
    finally:
        parametrize._cache_enabled = cached
        torch.backends.mha.set_fastpath_enabled(fast)


def ways(model: nn.Module, inputs: Any) -> list[Way]:
    """How ``model`` may take ``inputs``, likeliest first, by its forward's signature.

    As one argument; as the parts of a tuple or the entries of a mapping; a batch that is a mapping by the names of its
    entries, or as its only one.
    """
    found: list[Way] = [_whole]
    if isinstance(inputs, Keywords):
        found = [_named, *([_parts_of] if len(inputs) == 1 else [])]
    elif isinstance(inputs, Mapping):
        found.append(_named)
    elif isinstance(inputs, tuple | list):
        found.append(_parts_of)
    try:
        signature = inspect.signature(model.forward)
    except (TypeError, ValueError):
        return found
    return [way for way in found if _fits(signature, way(inputs))] or found[:1]


def _whole(inputs: Any) -> Arguments:
    return (inputs,), {}


def _named(inputs: Any) -> Arguments:
    return (), {str(key): value for key, value in inputs.items()}


def _parts_of(inputs: Any) -> Arguments:
    return tuple(inputs.values() if isinstance(inputs, Mapping) else inputs), {}


def _fits(signature: inspect.Signature, way: Arguments) -> bool:
    try:
        signature.bind(*way[0], **way[1])
    except TypeError:
        return False
    return True
