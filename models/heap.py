"""What a process does with memory that it has freed."""

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

_MMAP_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -4, -3, -1  # mallopt's names for them, in glibc's malloc.h
_LARGEST, _KEPT = 2**25, 2**28  # bytes: the largest threshold that glibc takes, and what may stay unused
_SMALLEST = 2**16  # bytes: what is smaller is too many pieces to map each


def keep_freed() -> None:
    """Let this process, which is to train, keep the memory that it frees, and use it again, step after step.

    glibc asks the system anew for every tensor of over 32 MiB and returns it when it is freed. Then each page is
    cleared and mapped again on first use, which takes longer than to fill it. Kept, a step of training finds the memory
    of the last. What is kept leaves gaps: a tenth to two thirds more are resident, the more the sizes differ. Other C
    libraries are left as they are.
    """
    _set({_MMAP_MAX: 0, _TRIM_THRESHOLD: -1})


def keep_some() -> None:
    """Let this process, which is to measure, keep up to 256 MiB of the memory that it frees, in pieces of up to 32.

    Small networks find all their memory again, pass after pass; large ones return theirs as before.
    """
    _set({_MMAP_THRESHOLD: _LARGEST, _TRIM_THRESHOLD: _KEPT})


@contextmanager
def keeping_nothing() -> Iterator[None]:
    """In here what is freed goes back to the system, so that what is resident is what is used; then as in measuring.

    What was kept before goes back, too. A pass of a small network takes a tenth longer.
    """
    _set({_MMAP_THRESHOLD: _SMALLEST, _TRIM_THRESHOLD: _SMALLEST})
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        yield
    finally:
        keep_some()


def _set(options: Mapping[int, int]) -> None:
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no such function, or (Windows) no library without a name
        return
    for option, value in options.items():
        set_option(option, value)
