"""Checkpoints: everything that an analysis needs to know about a trained network, in one file.

The file is a dict of plain values and tensors, read with ``weights_only=True``, so that opening it runs no code::

    format      2
    model       {name, arguments}: what rebuilds the network; of a user's own (name FILE.py:NAME) also {sha256}
    state_dict  its weights and buffers
    data        {name, arguments}: what it was trained on (not where that lies, but for a user's own files), {sha256}
    training    {loss, method, seed, epochs, every hyperparameter, epochs_done, until_loss_reached (null without
                --until-loss)}
    history     {column: [value per epoch]}
    versions    {package: version}
    resume      {optimizer, schedule, generator}: what a run needs to go on; absent from weights made elsewhere

``loss`` is what was minimized, one of :mod:`models.losses` for networks trained here and any name for others.
``method`` is how the network was trained, a free label by which tables and comparisons know it; where it is not given
it is the loss's name, as in all files of format 1, which had none and are still read.

Snapshots are whole checkpoints too: the optimizer's state holds the learning rate, betas and second moments that decide
how curved a loss it can stand (:mod:`models.training.optimizer`), at the price of two more numbers a weight with Adam.

A checkpoint is written to a temporary file beside its place and renamed, so a reader never sees half of one.
"""

import io
import pickle
import struct
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tables.files import replacing

from . import data
from .code import granted, parse
from .networks import build, own
from .validation import complaint

FORMAT = 2
_READ = (1, FORMAT)
_UNREADABLE = (
    RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError, OSError, pickle.UnpicklingError,
    zipfile.BadZipFile, zlib.error, NotImplementedError, struct.error, AssertionError,
)  # fmt: skip
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_FIELDS = ("model", "state_dict", "data", "training", "history", "versions")


class CheckpointError(ValueError):
    """A file that is no checkpoint, or a checkpoint that does not fit."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and where it comes from; see the module's docstring for the fields.

    A ``training`` without a method gets that of its loss.
    """

    model: dict[str, Any]
    state_dict: dict[str, Tensor]
    data: dict[str, Any]
    training: dict[str, Any]
    history: dict[str, list[float]]
    versions: dict[str, str] = field(default_factory=lambda: {name: version(name) for name in ("torch", "numpy")})
    resume: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if "loss" in self.training and "method" not in self.training:
            object.__setattr__(self, "training", self.training | {"method": self.training["loss"]})

    def network(self, code: Sequence[str] = ()) -> Any:
        """The network with its trained weights, in eval mode: a Network, or the module that a user's own code makes.

        ``code`` is what the command line lets a checkpoint have (:mod:`models.code`): no other code is run.

        Raises CheckpointError where the state dict does not fit the network, or a weight is not finite, and CodeError
        for code that isn't among ``code``. A network of this project that would not fit is never given memory.
        """
        name, arguments = self.model["name"], self.model["arguments"]
        if ":" in name:
            recorded = replace(parse(name), arguments=arguments)
            network = own.build(granted(recorded, self.model["sha256"], code), seed=0)
            _check_fit(network.state_dict(), self.state_dict, name)
            network.load_state_dict(self.state_dict)
            return network.eval()
        try:
            network = build(name, seed=0, device="meta", **arguments)
        except (RuntimeError, OverflowError, TypeError) as failure:  # torch's, for sizes that overflow
            reason = str(failure).partition("\n")[0]
            raise CheckpointError(f"no {name} can be built with the arguments {arguments}: {reason}") from failure
        _check_fit(network.state_dict(), self.state_dict, name)
        network.to_empty(device="cpu").load_state_dict(self.state_dict)
        return network.eval()

    def load_data(self, root: str | None = None, code: Sequence[str] = ()) -> data.Data:
        """The data that the network was trained on; ``root`` is the folder with the files, where there are any.

        ``code`` as in :meth:`network`.
        """
        digest = {"sha256": self.data["sha256"]} if "sha256" in self.data else {}
        return data.load(self.data["name"], root=root, code=code, **self.data["arguments"], **digest)


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write ``checkpoint`` to ``path``, whole or not at all: the same bytes for the same content.

    Raises CheckpointError for what :func:`load` would refuse, OSError where nothing can be written: no space, no
    permission.
    """
    content = {"format": FORMAT} | {name: getattr(checkpoint, name) for name in _FIELDS}
    if checkpoint.resume is not None:
        content["resume"] = checkpoint.resume
    if wrong := complaint(content):
        raise CheckpointError(f"{path} can't be written, since it could not be read: {wrong}")
    buffer = io.BytesIO()  # on a full disk torch.save to a file fails with an internal error that doesn't say so
    torch.save(content, buffer)
    with replacing(path) as partial:
        partial.write_bytes(buffer.getbuffer())


def load(path: Path) -> Checkpoint:
    """Read a checkpoint, on the CPU.

    Raises FileNotFoundError for no file, CheckpointError for one that is truncated, foreign, of another format, or
    lacks a field.
    """
    content = read(path)
    if not isinstance(content, dict) or "format" not in content:
        raise CheckpointError(
            f"{path} was not written by this project: expected a dict with 'format', found {_describe(content)};"
            " put its state dict into a models.checkpoint.Checkpoint, or use landscape on the module directly"
        )
    found = content["format"]
    if type(found) is not int or found not in _READ:
        known = " and ".join(map(str, _READ))
        raise CheckpointError(f"{path} has checkpoint format {found!r}, this version reads formats {known}")
    missing = [name for name in _FIELDS if name not in content]
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}: it has {_describe(content)}")
    wrong = complaint(content)
    if wrong:
        raise CheckpointError(f"{path} is damaged or was not written by this project: {wrong}")
    return Checkpoint(**{name: content[name] for name in _FIELDS}, resume=content.get("resume"))


def read(path: Path) -> Any:
    """What torch.save wrote to ``path``, on the CPU, as far as it is tensors and plain values: no code is run.

    Raises FileNotFoundError for no file, CheckpointError for one that can't be read so.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no checkpoint at {path}: train one with 'python -m models.train --out DIR'")
    try:
        if not _is_legacy(path):
            _check_sums(path)
        with warnings.catch_warnings(action="ignore"):  # of the pickle's age
            return torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as failure:
        reason = str(failure).strip().partition("\n")[0]
        raise CheckpointError(
            f"{path} can't be read as a checkpoint: it is truncated, not written by torch.save, or holds more than "
            f"tensors and plain values ({type(failure).__name__}: {reason})"
        ) from failure


def _is_legacy(path: Path) -> bool:
    """Whether this may be a file of torch before 1.6, a row of pickles that has no checksums."""
    with Path(path).open("rb") as file:
        return file.read(1) == pickle.PROTO


def _check_sums(path: Path) -> None:
    """Raise ValueError where a record's checksum doesn't match, which torch.load doesn't look at."""
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
    if broken:
        raise ValueError(f"the checksum of {broken} is wrong")


def _describe(content: object) -> str:
    if not isinstance(content, dict):
        return f"a {type(content).__name__}"
    keys = [str(key) for key in content]
    return f"the keys {', '.join(keys[:4])}{', …' if len(keys) > 4 else ''}" if keys else "an empty dict"


def _check_fit(expected: dict[str, Tensor], found: dict[str, Tensor], name: str) -> None:
    for key, value in found.items():
        _check_plain(key, value)
    for key in {**expected, **found}:
        want, got = (_shape(side.get(key)) for side in (expected, found))
        if want != got:
            raise CheckpointError(f"the state dict doesn't fit {name}: at {key} expected {want}, found {got}")
    broken = [key for key, value in found.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise CheckpointError(f"weights are not finite: {broken[0]} holds NaN or infinity; the training run diverged")
    negative = [key for key, value in found.items() if key.endswith("running_var") and value.min() < 0]
    if negative:
        raise CheckpointError(f"{negative[0]} holds a negative variance: the file is damaged")


def _check_plain(key: str, value: Tensor) -> None:
    """Raise CheckpointError for a tensor that doesn't hold its numbers one by one."""
    layout = str(value.layout).removeprefix("torch.")
    kinds = {
        f"a tensor laid out as {layout}": value.layout != torch.strided,
        f"a tensor of device {value.device}, which holds no numbers": value.device.type == "meta",
    }
    if found := [kind for kind, applies in kinds.items() if applies]:
        raise CheckpointError(f"{key} in the state dict is {found[0]}; expected a dense one")


def _shape(value: Tensor | None) -> str:
    """Shape, and for what isn't of a usual floating type its dtype too."""
    if value is None:
        return "nothing"
    return f"{list(value.shape)}" if value.dtype in _FLOATS else f"{list(value.shape)} of {value.dtype}"
