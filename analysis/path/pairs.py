"""Questions put to two checkpoints at once: which two fit together, the loop over pairs, the columns that name them.

Checkpoints are given as A B, or as A B C D … for several pairs. Every row of a table begins with the first one's
identity (checkpoint, network, data, method, training, seed) and then names the second: other, other_method,
other_training, other_seed.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from tqdm import tqdm

from models import processes
from models.checkpoint import load
from models.networks.layers import Network
from tables.files import check_writable
from tables.methods import with_methods
from tables.record import origin, provenance, sha256
from tables.result import Result

from ..command import guarded, recorded
from ..failing import Failures
from ..flags import Config
from ..loading import every, loaded, title
from ..precision import check_precision
from ..subject import Subject, Subjects, listed
from ..subject.checkpoints import of as subject_of
from ..turns import check_enough, in_turn

C = TypeVar("C", bound=Config)
Tables = Mapping[str, pd.DataFrame]
_NAMES = (
    *("checkpoint", "network", "data", "method", "training"),
    *("other", "other_method", "other_training"),
)


def analyse_pairs(
    config: C,
    names: Sequence[str],
    measure: Callable[[Subject, Subject, C], Tables],
    subjects: Subjects = (),
) -> Result:
    """Put ``measure`` to every pair of checkpoints and stack its tables: some of ``names``, the first one always.

    Tables grow on disk by the pair. A pair whose rows lie there already, made with the same settings from the same
    files, is not measured again; rows of other pairs stay. Raises ValueError for an odd number of checkpoints, for two
    that do not fit together, and where ``config.out`` holds tables made with other settings.
    """
    config = replace(config, out=config.out and config.out.absolute())  # whatever folder the user's code goes to
    pairs = _pairs(every(config, listed(subjects)))
    code = {file: digest for pair in pairs for one in pair for file, digest in _code(one).items()}
    check_precision(config.dtype, allowed=config.low_precision)
    check_enough(pairs)
    if config.out and processes.is_main():
        check_writable(config.out)
    started = time.perf_counter()
    tables, hashes = _stored(config, names)
    failures = Failures(len(pairs))
    left = [pair for pair in pairs if not _there(pair, config, tables.get(names[0]), hashes)]
    bar = tqdm(total=len(left), unit="pair", disable=config.quiet or len(pairs) == 1 or not processes.is_main())

    def measured(pair: tuple[Path | Subject, Path | Subject]) -> Any:
        return failures.tried(list(map(title, pair)), partial(_measured, pair, config, measure))

    for pair, found in in_turn(left, measured):
        bar.update()
        if failures.kept(found):
            continue
        digests = _digests(pair)
        for name, rows in found.tables.items():
            kept = tables[name][~_of(tables[name], list(digests))] if name in tables else rows[:0]
            tables[name] = pd.concat([kept, rows], ignore_index=True) if len(kept) else rows
        hashes |= digests
        if config.out and processes.is_main():
            _result(tables, config, hashes, code, started).save(config.out)
        if not config.quiet and processes.is_main():
            print(found.remark, file=sys.stderr)
    bar.close()
    return failures.checked(_result(tables, config, hashes, code, started) if tables else None)


def _digests(pair: tuple[Path | Subject, Path | Subject]) -> dict[str, str]:
    return {title(one): one.sha256 if isinstance(one, Subject) else sha256(one) for one in pair}


def _there(
    pair: tuple[Path | Subject, Path | Subject], config: Config, table: pd.DataFrame | None, hashes: Mapping[str, str]
) -> bool:
    """Whether a pair's rows are there, made of these very files, whose data are what they were."""
    digests = _digests(pair)
    if table is None or not _of(table, list(digests)).any() or not digests.items() <= hashes.items():
        return False
    for path in (one for one in pair if isinstance(one, Path) and config.network is None):
        load(path).check_data(config.data_root)
    return True


@dataclass(frozen=True)
class Measured:
    """A pair's tables, and what is told of it."""

    tables: Tables
    remark: str


def _measured(
    pair: tuple[Path | Subject, Path | Subject], config: C, measure: Callable[[Subject, Subject, C], Tables]
) -> Measured:
    begun, (first, second) = time.perf_counter(), _loaded(pair, config)
    found = guarded(partial(measure, first, second, config), config)
    tables = {name: _identified(table, first, second) for name, table in found.items()}
    seconds = time.perf_counter() - begun
    return Measured(tables, f"{title(pair[0])} to {title(pair[1])}: {seconds:.1f} s")


def _result(
    tables: dict[str, pd.DataFrame], config: Config, hashes: dict[str, str], code: dict[str, str], started: float
) -> Result:
    record = provenance(recorded(config), hashes, time.perf_counter() - started)
    return Result(dict(tables), record | ({"code": code} if code else {}))


def _code(one: Path | Subject) -> Mapping[str, str]:
    return one.code if isinstance(one, Subject) else {}


def _pairs(paths: list[Path | Subject]) -> list[tuple[Path | Subject, Path | Subject]]:
    if not paths:
        raise ValueError("no checkpoint given: name two, as 'python -m models.train' writes them, or several pairs")
    if len(paths) % 2:
        raise ValueError(f"a path has two ends: name checkpoints in pairs, A B or A B C D; got {len(paths)}")
    for path in paths:
        if isinstance(path, Path) and not path.is_file():
            raise FileNotFoundError(f"no checkpoint at {path}: train one with 'python -m models.train --out DIR'")
    return list(zip(paths[::2], paths[1::2], strict=True))


def _loaded(pair: tuple[Path | Subject, Path | Subject], config: Config) -> tuple[Subject, Subject]:
    """Both subjects; two checkpoints with the one's data."""
    first = loaded(pair[0], config)
    if isinstance(pair[1], Path) and first.dataset:
        checkpoint = load(pair[1])
        network = checkpoint.network(config.code).to(first.device, first.dtype)
        second = subject_of(pair[1], checkpoint, network, first.dataset, first.device, first.dtype)
    else:
        second = loaded(pair[1], config)
    differences = list(_differences(first, second))
    if differences:
        raise ValueError(f"no path leads from {first.title} to {second.title}: {'; '.join(differences)}")
    weights = zip(first.network.parameters(), second.network.parameters(), strict=True)
    if all(bool((one == other).all()) for one, other in weights):
        raise ValueError(
            f"{first.title} and {second.title} hold the same weights: there is no path between them to speak of"
        )
    return first, second


def _unlike(first: Subject, second: Subject) -> Iterator[str]:
    """The first weight that two networks don't share."""
    one, other = (
        {name: list(weight.shape) for name, weight in each.network.named_parameters()} for each in (first, second)
    )
    for name in one | other:
        if one.get(name) != other.get(name):
            yield f"weight {name} is {one.get(name, 'missing')} and {other.get(name, 'missing')}"
            return


def _differences(first: Subject, second: Subject) -> Iterator[str]:
    """What keeps two checkpoints from being points of one landscape."""
    one, other = first.checkpoint, second.checkpoint
    if one is None or other is None:
        yield from _unlike(first, second)
        return
    for what, here, there in (("network", one.model["name"], other.model["name"]),
                              ("data", one.data["name"], other.data["name"])):  # fmt: skip
        if here != there:
            yield f"{what} is {here} and {there}"
    if one.model["name"] == other.model["name"]:
        yield from _unequal("", _arguments(first), _arguments(second))
    if one.data["name"] == other.data["name"]:
        yield from _unequal("of the data ", one.data["arguments"], other.data["arguments"])


def _arguments(subject: Subject) -> Mapping[str, object]:
    """What the network was made with: of this project's all, of the user's own what its checkpoint says."""
    if isinstance(subject.network, Network):
        return subject.network.arguments
    return subject.trained("its arguments").model["arguments"]


def _unequal(prefix: str, one: Mapping[str, object], other: Mapping[str, object]) -> Iterator[str]:
    for name in sorted(one.keys() | other.keys()):
        if one.get(name) != other.get(name):
            yield f"{prefix}{name} is {one.get(name)} and {other.get(name)}"


def _identified(table: pd.DataFrame, first: Subject, second: Subject) -> pd.DataFrame:
    named = second.identity
    identity = first.identity | {
        "other": named["checkpoint"], "other_method": named["method"], "other_training": named["training"],
        "other_seed": named["seed"],
    }  # fmt: skip
    return pd.concat([pd.DataFrame([identity] * len(table), index=table.index), table], axis=1)


def _of(table: pd.DataFrame, pair: Sequence[str]) -> "pd.Series[bool]":
    """Which rows are of this pair."""
    return (table["checkpoint"] == pair[0]) & (table["other"] == pair[1])


def _stored(config: Config, names: Sequence[str]) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """The tables in ``config.out`` and the hashes of their checkpoints; none where there is no main table."""
    main = config.out / f"{names[0]}.csv" if config.out else None
    if main is None or not (main.exists() and main.with_suffix(".json").exists()):
        return {}, {}
    before = origin(main)
    changed = list(_unequal("", before["settings"], json.loads(json.dumps(recorded(config), default=str))))
    if changed:
        raise ValueError(f"{main} was made with other settings ({'; '.join(changed)} now): choose another --out")
    files = {name: main.with_name(f"{name}.csv") for name in names}
    tables = {name: _table(path) for name, path in files.items() if path.exists()}
    return tables, before["checkpoints"]


def _table(path: Path) -> pd.DataFrame:
    """A table written before; names stay the text that they are, a method "NA" or "01" too."""
    return with_methods(pd.read_csv(path, dtype=dict.fromkeys(_NAMES, str), keep_default_na=False, na_values=[""]))
