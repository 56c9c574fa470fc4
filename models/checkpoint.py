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
    digest      SHA-256 of all of this (:mod:`models.digest`); absent from files of earlier versions

``loss`` is what was minimized, one of :mod:`models.losses` for networks trained here and any name for others.
``method`` is how the network was trained, a free label by which tables and comparisons know it; where it is not given
it is the loss's name, as in all files of format 1, which had none and are still read.

Snapshots are whole checkpoints too: the optimizer's state holds the learning rate, betas and second moments that decide
how curved a loss it can stand (:mod:`models.training.optimizer`), at the price of two more numbers a weight with Adam.

A checkpoint is written to a temporary file beside its place and renamed, so a reader never sees half of one.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from tables.files import replacing

from . import data
from .code import granted, parse
from .data import Data
from .digest import digest
from .networks import build, own
from .networks.layers import Network
from .reading import CheckpointError, Diverged, naming, read
from .validation import complaint

FORMAT = 2
_READ = (1, FORMAT)
_MOST_BEYOND = 2**26  # bytes
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_FIELDS = ("model", "state_dict", "data", "training", "history", "versions")


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and where it comes from; see the module's docstring for the fields.

    A ``training`` without a method gets that of its loss. ``path`` is the file that it was read from, which refusals
    name; of one made in memory None.
    """

    model: dict[str, Any]
    state_dict: dict[str, Tensor]
    data: dict[str, Any]
    training: dict[str, Any]
    history: dict[str, list[float]]
    versions: dict[str, str] = field(default_factory=lambda: {name: version(name) for name in ("torch", "numpy")})
    resume: dict[str, Any] | None = None
    path: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if "loss" in self.training and "method" not in self.training:
            object.__setattr__(self, "training", self.training | {"method": self.training["loss"]})

    def network(self, code: Sequence[str] = ()) -> Any:
        """The network with its trained weights, in eval mode: a Network, or the module that a user's own code makes.

        ``code`` is what the command line lets a checkpoint have (:mod:`models.code`): no other code is run.

        Raises CheckpointError where the state dict does not fit the network, or a weight is not finite, and CodeError
        for code that isn't among ``code``. A network that would not fit is never given memory; of the user's own where
        it would be far larger, and its code can make it on ``meta``.
        """
        name, arguments = self.model["name"], self.model["arguments"]
        with naming(self.path):
            if ":" in name:
                recorded = replace(parse(name), arguments=arguments)
                named = granted(recorded, self.model["sha256"], code)
                _check_size(own.declared(named), self.state_dict, name)
                network = own.build(named, seed=0)
                _check_fit(network.state_dict(), self.state_dict, name)
                network.load_state_dict(self.state_dict)
                return network.eval()
            network = _built(name, arguments)
            _check_fit(network.state_dict(), self.state_dict, name)
        weights = {
            name: torch.empty(there.shape, dtype=there.dtype).copy_(self.state_dict[name])
            for name, there in network.state_dict().items()
        }
        network.load_state_dict(weights, assign=True)  # to_empty would do, and import sympy for it
        return network.eval()

    def load_data(self, root: str | None = None, code: Sequence[str] = ()) -> Data:
        """The data that the network was trained on; ``root`` is the folder with the files, where there are any.

        ``code`` as in :meth:`network`.
        """
        digest = {"sha256": self.data["sha256"]} if "sha256" in self.data else {}
        with naming(self.path):
            return data.load(self.data["name"], root=root, code=code, **self.data["arguments"], **digest)

    def check_data(self, root: str | None = None) -> None:
        """Raise CheckpointError where the user's own file or folder of its data isn't what it was; not where it's gone.

        ``root`` as in :meth:`load_data`.
        """
        recorded, path = self.data.get("sha256"), self.data["arguments"].get("path")
        if recorded is None or not isinstance(path, str):
            return
        with naming(self.path):
            if data.digest_now(self.data["name"], root=root, path=path) not in (None, recorded):
                raise CheckpointError(
                    f"it was trained on what {self.data['name']} held before it changed: put that back, or train anew, "
                    "with another --out"
                )


def _built(name: str, arguments: dict[str, Any]) -> Network:
    """The network's shapes, without memory for its weights."""
    try:
        return build(name, seed=0, device="meta", **arguments)
    except (RuntimeError, OverflowError, TypeError) as failure:  # torch's, for sizes that overflow
        reason = str(failure).partition("\n")[0]
        raise CheckpointError(f"no {name} can be built with the arguments {arguments}: {reason}") from failure


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
    try:
        content["digest"] = digest(content)
    except ValueError as failure:
        raise CheckpointError(f"{path} can't be written, since it could not be read: {failure}") from failure
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
            " make a checkpoint of it with 'python -m models.convert', or load it into its own module with"
            " models.elsewhere.load_into"
        )
    found = content["format"]
    if type(found) is not int or found not in _READ:
        known = " and ".join(map(str, _READ))
        raise CheckpointError(f"{path} has checkpoint format {found!r}, this version reads formats {known}")
    missing = [name for name in _FIELDS if name not in content]
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}: it has {_describe(content)}")
    wrong = complaint(content) or _altered(content)
    if wrong:
        raise CheckpointError(f"{path} is damaged or was not written by this project: {wrong}")
    return Checkpoint(**{name: content[name] for name in _FIELDS}, resume=content.get("resume"), path=Path(path))


def _altered(content: dict[str, Any]) -> str:
    """How ``content`` shows that it isn't what was saved: by its digest, or without one by what no version wrote."""
    rest = {name: value for name, value in content.items() if name != "digest"}
    if "digest" not in content:
        unknown = rest.keys() - {"format", "resume", *_FIELDS}
        return f"it has no digest, and {min(unknown, key=str)!r}, which is no field of a checkpoint" if unknown else ""
    try:
        same = digest(rest) == content["digest"]
    except ValueError as failure:
        return str(failure)
    return "" if same else "it holds other content than was saved, by its digest"


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
        raise Diverged(f"weights are not finite: {broken[0]} holds NaN or infinity; the training run diverged")
    negative = [key for key, value in found.items() if key.endswith("running_var") and value.min() < 0]
    if negative:
        raise CheckpointError(f"{negative[0]} holds a negative variance: the file is damaged")


def _check_size(declared: nn.Module | None, found: dict[str, Tensor], name: str) -> None:
    """Raise CheckpointError where a network would take far more memory than the weights that it is to hold."""
    if declared is None:
        return
    sizes = [
        weight.numel() * weight.element_size()
        for weight in (*declared.parameters(), *declared.buffers())
        if not is_lazy(weight)
    ]
    if sum(sizes) > _MOST_BEYOND + 2 * sum(value.numel() * value.element_size() for value in found.values()):
        _check_fit(declared.state_dict(), found, name)


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
