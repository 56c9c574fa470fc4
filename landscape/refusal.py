"""What can't be measured, in one line: refusals, and exceptions of code that isn't ours turned into them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch


class Refusal(ValueError):
    """What a model, a loss or a batch does that can't be measured, in one line."""


@contextmanager
def explained(what: str, cure: Callable[[], str] | str = "") -> Iterator[None]:
    """Turn an exception of code that isn't ours into a :class:`Refusal`.

    Memory that runs out, files that can't be read and connections that break stay what they are.
    """
    try:
        yield
    except Exception as error:
        if exhausted(error) or isinstance(error, Refusal | OSError):
            raise
        words = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
        advice = cure if isinstance(cure, str) else cure()
        raise Refusal(f"{what}: {type(error).__name__}: {words.rstrip('.')}{'. ' if advice else ''}{advice}") from error


def exhausted(error: BaseException) -> bool:
    """Whether ``error`` says that memory ran out. On a CPU torch raises a plain RuntimeError, known by its words."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )
