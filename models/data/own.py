"""Data of the user's own: arrays in a file, images in folders, or whatever a function of theirs returns.

============================  ==========================================================================================
``mine.npz``                  arrays x and y, and x_test and y_test; without these ``test_share`` of the examples, drawn
                              by ``split_seed``, tests. Pixels in uint8 are standardised by channel with the mean and
                              the standard deviation of the training images; other numbers stay as they are
a folder                      with ``train`` and ``test`` (or ``val``), in each one folder of images a class;
                              standardised with ImageNet's constants, resized and cut to ``image_size``
``mine.py:data``              a function that returns (train, test), two Datasets of pairs (x, y), or a ``Data``
============================  ==========================================================================================

Integer y, one an example, are class labels; any other y is kept as it is. Examples are put in an order that spreads
the classes, or at random, by ``split_seed``, of which ``train_images`` takes the first. With ``frames`` the first axis
of an example is time, and a batch is [time, batch, …]; by default where an example has four axes.
"""

import struct
import tokenize
import zipfile
import zlib
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from .. import code
from .dataset import Data, check_count
from .examples import ExampleSplit, integers, of_datasets, spread

TEST_SHARE = 0.2
_UNREADABLE = (zipfile.BadZipFile, zlib.error, tokenize.TokenError, struct.error, NotImplementedError, MemoryError)


def is_own(name: str) -> bool:
    """Whether ``name`` is that of data of the user's own."""
    return name.endswith(".npz") or code.is_code(name) or Path(name).is_dir()


def arrays(
    path: Path, *, split_seed: int = 0, train_images: int | None = None, test_share: float = TEST_SHARE,
    frames: bool | None = None,
) -> Data:  # fmt: skip
    """The data of an .npz file. Raises FileNotFoundError, and ValueError for what is no such file."""
    x, y, x_test, y_test = _loaded(path)
    arguments: dict[str, Any] = {}
    if x_test is None or y_test is None:
        if not 0 < test_share < 1:
            raise ValueError(f"test_share of {path} must lie between 0 and 1, got {test_share}")
        order, count = spread(y, split_seed), round(test_share * len(y))
        check_count(len(y) - count, 1, len(y) - 1, f"some of {len(y)} examples for training and testing")
        x, y, x_test, y_test = x[order[count:]], y[order[count:]], x[order[:count]], y[order[:count]]
        arguments = {"test_share": test_share}
    data = of_datasets(
        path.name, TensorDataset(x, y), TensorDataset(x_test, y_test), split_seed=split_seed,
        train_images=train_images, frames=frames,
    )  # fmt: skip
    data = replace(data, arguments=data.arguments | arguments)
    return _standardised(data) if x.dtype == torch.uint8 and x.ndim >= 4 else data


def of_code(
    named: code.Named, *, split_seed: int = 0, train_images: int | None = None, frames: bool | None = None,
    workers: int = 0,
) -> Data:  # fmt: skip
    """What the user's function returns. Raises CodeError for anything but two Datasets or a Data."""
    found = code.made(named)
    if isinstance(found, Data):
        if train_images is not None or frames is not None:
            raise code.CodeError(
                f"{named} returns a Data, which is taken as it is: leave out --train-images and --frames"
            )
        return replace(found, name=str(named), arguments={"split_seed": split_seed})
    if (
        not isinstance(found, tuple | list)
        or len(found) != 2
        or not all(hasattr(each, "__getitem__") for each in found)
    ):
        kinds = ", ".join(type(each).__name__ for each in found) if isinstance(found, tuple) else ""
        got = f"({kinds})" if kinds else f"a {type(found).__name__}"
        raise code.CodeError(f"{named} returns {got}, expected two Datasets: write return train, test")
    return of_datasets(
        str(named), *found, split_seed=split_seed, train_images=train_images, frames=frames, workers=workers
    )


def _loaded(path: Path) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    if not path.is_file():
        alike = get_close_matches(path.name, [one.name for one in path.parent.glob("*.npz")], 1)
        raise FileNotFoundError(f"no file {path}{f': perhaps {path.with_name(alike[0])}' if alike else ''}")
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: torch.from_numpy(file[name]) for name in ("x", "y", "x_test", "y_test") if name in file}
            there = ", ".join(file.files)
        if any(not array.ndim for array in found.values()):
            raise ValueError("a single number is no list of examples")
    except (*_UNREADABLE, ValueError, OSError, TypeError, EOFError, AttributeError) as error:
        raise ValueError(f"{path} can't be read as arrays of numbers ({error}): write it with np.savez") from error
    if "x" not in found or "y" not in found or ("x_test" in found) != ("y_test" in found):
        raise ValueError(f"{path} holds {there or 'nothing'}, expected x and y, and x_test and y_test or neither")
    for part in ("", "_test"):
        counts = [len(found[name + part]) for name in "xy" if name + part in found]
        if len(set(counts)) > 1:
            raise ValueError(f"{path} holds {counts[0]} x{part} and {counts[1]} y{part}, expected as many")
    if not len(found["x"]):
        raise ValueError(f"{path} is empty: expected at least one x and y")
    y_test = found.get("y_test")
    return found["x"], integers(found["y"]), found.get("x_test"), None if y_test is None else integers(y_test)


def _standardised(data: Data) -> Data:
    """Pixels counted from the training images' mean by channel, in their standard deviations."""
    train = data.train
    assert isinstance(train, ExampleSplit)
    assert isinstance(train.dataset, TensorDataset)
    pixels = train.dataset.tensors[0][train.numbers].double()
    axes = [axis for axis in range(pixels.ndim) if axis != pixels.ndim - 3]
    mean = tuple(pixels.mean(axes).tolist())
    std = tuple(value or 1.0 for value in pixels.std(axes, correction=0).tolist())
    splits = {part: replace(getattr(data, part), mean=mean, std=std) for part in ("train", "test")}
    return replace(data, **splits, white=255.0)
