"""From a device's name to a device that computes."""

import torch


def device(name: str) -> torch.device:
    """The device ``name``: cpu, cuda, cuda:1 …

    Raises ValueError for one that torch does not know, that this machine lacks, or that holds no numbers (meta).
    """
    try:
        found = torch.device(name)
        torch.zeros(1, device=found).item()
    except (RuntimeError, AssertionError, ImportError, AttributeError) as failure:
        # What torch says depends on how it was built; the names on its list of possible devices are rarely there.
        count = torch.cuda.device_count()
        there = f"cuda:0 to cuda:{count - 1}" if count else "no CUDA device"
        raise ValueError(f"can't compute on --device {name}: there is cpu, and {there}") from failure
    return found
