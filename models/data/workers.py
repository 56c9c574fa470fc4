"""Batches that other processes read."""

from collections.abc import Iterator
from multiprocessing import util
from typing import Any

from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset

_LONGEST = 100  # characters of a socket's path: 107 on Linux, 103 on macOS
_NAME = len("/listener-12345678")


def read(dataset: Dataset[Tensor], workers: int, **how: Any) -> Iterator[Tensor]:
    """What a DataLoader of ``workers`` processes reads; it draws from no generator but its own.

    Raises ValueError where these couldn't hand tensors over, which is by a socket in the temporary folder: its path may
    be too long for one, and nothing would ever come.
    """
    if workers and len(util.get_temp_dir()) + _NAME > _LONGEST:
        raise ValueError(
            f"the temporary folder {util.get_temp_dir()} has too long a path for processes that read data: set TMPDIR "
            "to a shorter one, or workers to 0"
        )
    return iter(DataLoader(dataset, num_workers=workers, generator=Generator(), **how))
