"""One model, one measure: right, refused, WRONG or ERROR."""

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import numpy as np
import torch
from torch import nn

from . import asked
from .entry import Case, Entry
from .given_back import Snapshot, assert_as_found
from .naive import Naive


@dataclass(frozen=True)
class Outcome:
    """``status`` is right, refused, WRONG (also: not given back, refused for nothing) or ERROR."""

    status: str
    sentence: str = ""

    @property
    def good(self) -> bool:
        return self.status in ("right", "refused")


@cache
def twin(entry: Entry) -> Naive:
    return Naive(entry)


def judged(entry: Entry, measure: str) -> Outcome:
    """Put ``measure`` to the project and compare its answer with the twin's."""
    case = entry.build()
    naive = twin(entry)
    before = Snapshot(case.model)
    outcome = _answered(entry, measure, case, naive)
    try:
        assert_as_found(case.model, before)
    except AssertionError as error:
        answered = f"; {outcome.status} {outcome.sentence}" if outcome.status in ("WRONG", "ERROR") else ""
        return Outcome("WRONG", f"{error}{answered}")
    return outcome


def _answered(entry: Entry, measure: str, case: Case, naive: Naive) -> Outcome:
    accepted, pattern = entry.expected(measure)
    try:
        with entry.around():
            answer = getattr(asked, measure)(case, naive)
    except (ValueError, TypeError) as error:
        return _refused(error, pattern)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the table tells
        return Outcome("ERROR", f"{type(error).__name__}: {_line(error)}")
    if not accepted:
        return Outcome("WRONG", f"answered, and was to be refused ({pattern})")
    wrong = _worst(answer, naive, entry) if measure == "worst" else compared(measure, answer, naive, entry)
    return Outcome("WRONG", wrong) if wrong else Outcome("right")


def _refused(error: Exception, pattern: str | None) -> Outcome:
    sentence = str(error)
    if _raw(error):
        return Outcome("ERROR", f"raw {type(error).__name__}: {_line(error)}")
    if not sentence.strip() or "\n" in sentence.strip():
        return Outcome("ERROR", f"not one line: {sentence[:150]!r}")
    if pattern is None:
        return Outcome("WRONG", f"refused what is right: {sentence}")
    if not re.search(pattern, sentence, re.IGNORECASE):
        return Outcome("WRONG", f"refused without {pattern!r}: {sentence}")
    return Outcome("refused", sentence)


_PYTHONS = (
    "values to unpack|required positional|unexpected keyword|has no attribute|not subscriptable|not callable|"
    r"\(position \d\)|len\(\) of|unhashable|object is not"
)


def _raw(error: Exception) -> bool:
    """Whether the error is Python's or torch's own: no sentence of ours."""
    if re.search(_PYTHONS, str(error)):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return not name.startswith("landscape")


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else ""


def compared(measure: str, answer: Any, naive: Naive, entry: Entry) -> str:
    right = _right(entry, measure)
    found = np.asarray(answer, dtype=float)
    if found.shape != right.shape:
        return f"shape {list(found.shape)} for {list(right.shape)}"
    height = abs(float(_right(entry, "value")))
    scale = float(np.ptp(right)) if measure == "surface" else float(np.abs(right).max(initial=0))
    rounding = {torch.float64: 1e-14, torch.float32: 1e-6}.get(entry.dtype, 1e-3)
    floor = rounding * (1 + height) * {"second_difference": 20 / naive.radius**2}.get(measure, 10)
    apart = float(np.abs(found - right).max(initial=0))
    if np.array_equal(found, right, equal_nan=True):
        return ""
    if apart <= entry.tolerance * scale + floor:
        return ""
    return f"off by {apart:.2g}, scale {scale:.2g}: {_short(found)} for {_short(right)}"


@cache
def _right(entry: Entry, measure: str) -> np.ndarray:
    answer = getattr(twin(entry), measure)()
    return np.asarray(answer.detach().numpy() if isinstance(answer, torch.Tensor) else answer, dtype=float)


def _worst(found: Any, naive: Naive, entry: Entry) -> str:
    """The rise is that of its perturbation, which lies in the ball; the first is a plain SAM step's."""
    move = found.perturbation.double()
    rise, sam = naive.rise(move), naive.sam()
    rounding = {torch.float64: 1e-13, torch.float32: 1e-5}.get(entry.dtype, 1e-2)
    slack = max(entry.tolerance, 1e-9) * max(abs(rise), abs(sam)) + rounding * (1 + abs(float(_right(entry, "value"))))
    if float(move.norm()) > naive.radius * (1 + 1e-3 * (entry.dtype != torch.float64) + 1e-9):
        return f"perturbation of {float(move.norm()):.6g} in a ball of {naive.radius:.6g}"
    if abs(found.value - rise) > slack:
        return f"rise {found.value:.6g}, its perturbation's is {rise:.6g}"
    if abs(found.first - sam) > 10 * slack:
        return f"first step {found.first:.6g}, a plain SAM step {sam:.6g}"
    return f"rise {found.value:.6g} less than a plain SAM step's {sam:.6g}" if found.value < sam - slack else ""


def _short(values: np.ndarray) -> str:
    return np.array2string(values.ravel()[:3], precision=5)


def interrupted(entry: Entry, measure: str) -> str:
    """Stop the measure as Ctrl-C would at a random pass; what was not given back then, empty if all was."""
    counted = entry.build()
    with calls(counted.model) as passes:
        _answered(entry, measure, counted, twin(entry))
    if not passes[0]:
        return ""
    case = entry.build()
    stop = Random(zlib.crc32(f"{entry.name} {measure}".encode())).randint(1, passes[0])
    with calls(case.model, stop):
        before = Snapshot(case.model)
        try:
            with entry.around():
                getattr(asked, measure)(case, twin(entry))
        except KeyboardInterrupt:
            pass
        except Exception:  # noqa: BLE001 - judged() speaks of it
            return ""
        try:
            assert_as_found(case.model, before)
        except AssertionError as error:
            return f"{error} (stopped at pass {stop} of {passes[0]} of {measure})"
    return ""


@contextmanager
def calls(model: nn.Module, stop: int | None = None) -> Iterator[list[int]]:
    """Count the passes through ``model``; at number ``stop`` raise KeyboardInterrupt."""
    passes = [0]

    def count(*_: Any) -> None:
        passes[0] += 1
        if passes[0] == stop:
            raise KeyboardInterrupt

    # The innermost that every pass goes through: a hook on the whole would come before the model has done anything.
    last = list(model.modules())[-1]
    plain = [module for module in {model, last} if not isinstance(module, torch.jit.ScriptModule)]  # takes no hook
    handles = [module.register_forward_pre_hook(count) for module in plain]
    try:
        yield passes
    finally:
        for handle in handles:
            handle.remove()
