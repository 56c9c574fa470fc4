"""What a process does with memory that it has freed."""

import ctypes

_MMAP_MAX, _TRIM_THRESHOLD = -4, -1  # mallopt's names for them, in glibc's malloc.h


def keep_freed() -> None:
    """Let this process, which is to train, keep the memory that it frees, and use it again, step after step.

    glibc asks the system anew for every tensor of over 32 MiB and returns it when it is freed. Then each page is
    cleared and mapped again on first use, which takes longer than to fill it. Kept, a step of training finds the memory
    of the last. What is kept leaves gaps: a tenth to two thirds more are resident, the more the sizes differ. Other C
    libraries are left as they are.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no such function, or (Windows) no library without a name
        return
    set_option(_MMAP_MAX, 0)
    set_option(_TRIM_THRESHOLD, -1)
