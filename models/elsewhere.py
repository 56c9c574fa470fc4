"""Weights that were trained elsewhere: found in whatever file holds them, and put into the module that they are of.

    from models.elsewhere import load_into

    network = load_into(Net(), "theirs.pth")                    # says in a line on stderr which weights it took
    network = load_into(Net(), "theirs.pth", weights="ema")     # their moving average, where the file has one
    network = load_into(Net(), "last.ckpt", weights="ema_net")  # of names beginning with net. and ema_net. the latter

Read unasked, with what projects call it:

===============================================  ======================================================================
the state dict itself, safetensors               TET's code, MPBN, TMC, TRT
{model, optimizer, lr_scheduler, epoch, args}    SpikingJelly, SEW, IMP, Spikformer, QKFormer, SDT-V2 and V3
{state_dict, state_dict_ema, arch, args}         timm, and with it Spikformer and QKFormer on CIFAR
{net, …}, {best_net, …}, …                       SLTT, TWCE: any key that holds tensors by name, down to a dict in it
===============================================  ======================================================================

Names may begin with ``module.``, ``_orig_mod.``, ``model.`` and ``net.``, in any order and number, in the file or in
the module: wrappers' names count for nothing where two names are compared. Numbers in other precisions become those of
the module. No code of the file's is run (:mod:`models.reading`).
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from . import reading
from .fitting import State, fit, shared_prefix
from .reading import CheckpointError, naming

__all__ = ["Found", "State", "fit", "load_into", "read"]

Module = TypeVar("Module", bound=nn.Module)
_USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "best_net", "best_model", "weights")
_AVERAGED = re.compile(r"(^|[._])(ema|swa|averaged?)([._]|$)")
_FEW = 6
_ASIDE = ("optim", "sched", "scaler", "criterion", "loss", "resume")


class Found(NamedTuple):
    """Weights of a file, the key in it that they lie under ("" for the whole file), and the choice in a sentence.

    Where it was asked for by what names begin with, that is behind the key.

    ``others`` are the keys of other weights in it.
    """

    state: State
    key: str
    chosen: str
    others: tuple[str, ...]


def load_into(
    network: Module, path: Path | str, weights: str = "raw", *, prefix: str = "", quiet: bool = False
) -> Module:
    """``network`` with the weights in the file ``path``; it stays in its mode, on its device, in its precision.

    ``weights`` and ``prefix`` as in :func:`read`. Which weights were taken is one line on stderr unless ``quiet``.
    Raises FileNotFoundError, and CheckpointError, naming the file, for what :func:`read` and :func:`fit` refuse; the
    network then is as it was.
    """
    found = read(path, weights, prefix=prefix)
    with naming(Path(path)):
        try:
            state = fit(found.state, network)
        except CheckpointError as failure:
            remedy = suggestion(path, found, lambda other: fit(other, network))
            raise CheckpointError(f"{failure}{remedy}") from failure
    network.load_state_dict(state)
    if not quiet:
        print(found.chosen, file=sys.stderr)
    return network


def read(path: Path | str, weights: str = "raw", *, prefix: str = "") -> Found:
    """The weights in a file, without what wrappers put before all names.

    ``weights``: "raw", "ema" (their moving average) or, where several lie in one file, the key of those that are meant,
    or what their names begin with, as "ema_net" beside "net" in a file of Lightning's.
    With ``prefix`` only the names that begin with it, without it. Raises FileNotFoundError, and CheckpointError, naming
    the file, where there are no such weights, or several.
    """
    path = Path(path)
    content = reading.read(path)
    with naming(path):
        held = dict(_held(content))
        if not held:
            usual = ", ".join(_USUAL)
            raise CheckpointError(
                f"{path} holds no state dict: expected tensors by name, or a dict with them under {usual} or another "
                f"key; found {_described(content)}"
            )
        key, under = _named(held, weights)
        if under:
            held[key] = {name.removeprefix(under): one for name, one in held[key].items() if name.startswith(under)}
        held[key] = _of_average(held[key])
        taken = _beginning(held[key], prefix)
        state = {name.removeprefix(taken): value for name, value in held[key].items() if name.startswith(taken)}
        if not state:
            raise CheckpointError(f"no name begins with the prefix {prefix!r}: the first is {next(iter(held[key]))!r}")
    others = tuple(other for other in held if other != key)
    chosen = f"the weights under {key!r}" if key else "all of its weights"
    chosen += f", without the prefix {under + taken!r}" if under + taken else ""
    chosen += f"; beside them {_listed(others, held)}" if others else ""
    return Found(state, ".".join(filter(None, [key, under.rstrip(".")])), f"{path}: {chosen}", others)


def suggestion(path: Path | str, found: Found, fits: Callable[[State], object]) -> str:
    """Where those that were ``found`` don't fit: which others in the file do, as the end of a sentence; else ""."""
    for other in found.others:
        try:
            fits(read(path, other).state)
        except ValueError:
            continue
        return f"; the weights under {other!r} would fit (weights {other})"
    return ""


def _held(content: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, State]]:
    """Every state dict in ``content``, by its dotted key; an optimizer's and the like are none."""
    if not isinstance(content, Mapping) or depth > 3:
        return
    if content and all(isinstance(name, str) and _is_plain(value) for name, value in content.items()):
        yield key, dict(content)
        return
    for name, value in content.items():
        if isinstance(name, str) and not any(part in name.lower() for part in _ASIDE):
            yield from _held(value, f"{key}.{name}" if key else name, depth + 1)


def _named(held: Mapping[str, State], weights: str) -> tuple[str, str]:
    """The key of the weights that are meant, and what the names of those begin with where several share a key."""
    if weights in held or weights in ("raw", "ema"):
        return _key(held, weights), ""
    under = f"{weights.rstrip('.')}."
    keys = [key for key, state in held.items() if any(name.startswith(under) for name in state)]
    return (keys[0], under) if len(keys) == 1 else (_key(held, weights), "")


def _key(held: Mapping[str, State], weights: str) -> str:
    """Which of the weights in a file are meant."""
    if weights in held:
        return weights
    there = ("one set of weights alone" if "" in held else _listed(held, held)) + _parts(held)
    if weights not in ("raw", "ema"):
        raise CheckpointError(f"no weights lie under {weights!r}, there are {there}")
    meant = _group(held, averaged=weights == "ema")
    usual = [key for key in meant if key in _USUAL]
    if len(meant) == 1 or len(usual) == 1:
        return (usual or meant)[0]
    if meant:
        raise CheckpointError(f"which weights are meant? There are {there}")
    what = "no moving average of the weights" if weights == "ema" else "nothing but averaged weights"
    raise CheckpointError(f"it holds {what}: there are {there}")


def _parts(held: Mapping[str, State]) -> str:
    """What the names in each set of weights begin with, where that is two things and more; as the end of a sentence."""
    begun = [dict.fromkeys(name.partition(".")[0] for name in state) for state in held.values()]
    parts = [part for one in begun if 1 < len(one) <= _FEW for part in one]
    return f", of which names begin with {', '.join(map(repr, parts))}" if parts else ""


def _listed(keys: Iterable[str], held: Iterable[str]) -> str:
    return ", ".join(f"{key!r} (weights {_asked(key, held)})" for key in keys)


def _beginning(names: Iterable[str], prefix: str) -> str:
    """What comes off ``names``: ``prefix``, and what wrappers put before it and behind it."""
    names = list(names)
    start = prefix if any(name.startswith(prefix) for name in names) else shared_prefix(names) + prefix
    return start + shared_prefix([name.removeprefix(start) for name in names if name.startswith(start)])


def _of_average(state: State) -> State:
    """Without the count that torch's AveragedModel keeps beside what it wraps."""
    rest = {name: value for name, value in state.items() if name != "n_averaged"}
    wrapped = rest and all(name.startswith("module.") for name in rest)
    return rest if wrapped else state


def _group(held: Iterable[str], *, averaged: bool) -> list[str]:
    return [key for key in held if bool(_AVERAGED.search(key.lower())) == averaged]


def _asked(key: str, held: Iterable[str]) -> str:
    """The value of ``weights`` that takes those under ``key``."""
    averaged = bool(_AVERAGED.search(key.lower()))
    word = "ema" if averaged else "raw"
    return word if _group(held, averaged=averaged) == [key] else key


def _is_plain(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout is torch.strided and value.device.type == "cpu"


def _described(content: object) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    kinds = [f"{key} ({type(value).__name__})" for key, value in content.items()]
    return f"a dict of {', '.join(kinds[:4])}{', …' if len(kinds) > 4 else ''}" if kinds else "an empty dict"
