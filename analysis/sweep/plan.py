"""A sweep's plan: factors and their levels in a TOML file, as the runs that they ask for.

    data = "digits"                        # any setting of models.train, for all networks
    epochs = 40
    train_images = 200
    vary_data = true                       # each seed has training images of its own, the same for all else
    seeds = 5                              # 0 … 4, or a list of them
    images = 200                           # training images that the landscape is made of
    measures = ["timesteps", "sharpness"]  # by default the whole standard set, which lacks "shifted"

    [factors]
    method = ["sdt", "tet", "tet:mse_weight=0", "sam=sdt:sharpness_aware=0.05"]
    learning_rate = [0.001, 0.002, 0.004]
    model = ["digits-cnn", "digits-cnn?channels=24"]

    [grid]
    share = 0.5                            # of the combinations, drawn at random; each with all seeds
    draw = 0

A factor is any setting of models.train; a method is written as a study's. Each network has a folder of its own, named
by its method, what else it is trained with, and its seed: a plan that grows keeps the networks that are there.
"""

import difflib
import hashlib
import json
import math
import random
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from models.data import NAMES
from models.networks import parse
from models.training import recipe
from models.training.usual import EVENTS

from ..study.flags import LANDSCAPE_IMAGES
from ..study.trainings import checked, folder_name, method
from .flags import Config

STANDARD = ("timesteps", "hessian", "sharpness", "rise", "history")
EVERY = (*STANDARD, "shifted")
_MANY = 2_000  # networks that one has to mean
_LARGEST = 10**6
_SEED = 2**63
_OWN = ("seeds", "images", "measures")
_ELSEWHERE = {"out": "--out", "data_root": "--data-root", "device": "--device", "seed": "seeds", "loss": "method"}
_FUNCTION = ("model", "timesteps", "spiking", "norm", "decay", "threshold", "surrogate", "width")
_CRITERION = ("epochs", "until_loss", "until_loss_of", "phases")


@dataclass(frozen=True)
class Run:
    """One network: how it is trained, and the ``levels`` of the factors that it stands for."""

    config: recipe.Config
    levels: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """All networks, and what they are measured by; ``remarks`` on what their comparison can't say."""

    runs: tuple[Run, ...]
    factors: Mapping[str, Sequence[Any]]
    images: int
    measures: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def criterion(self) -> str:
        """What every network is trained to, in words."""
        one = self.runs[0].config
        if one.until_loss is None:
            return f"{one.epochs} epochs"
        return f"a training loss of {one.until_loss:g} ({one.until_loss_of or 'its own'}), within {one.epochs} epochs"


def read(config: Config) -> Plan:
    """The plan that ``config`` names.

    Raises OSError for no file, ValueError, naming file and key, for what can't be read or trained.
    """
    content = config.plan.read_bytes()
    try:
        return _plan(tomllib.loads(content.decode()), config)
    except (ValueError, OSError) as error:  # of TOML, of settings, of files of the user's own
        raise ValueError(f"{config.plan}: {error}") from error


def _plan(said: Mapping[str, Any], config: Config) -> Plan:
    factors, grid = _part(said, "factors"), _part(said, "grid")
    shared = {key: value for key, value in said.items() if key not in ("factors", "grid")}
    own = {key: shared.pop(key) for key in _OWN if key in shared}
    _check_keys(shared, factors, grid)
    seeds = _seeds(own.get("seeds", 5))
    images, measures = own.get("images", LANDSCAPE_IMAGES), own.get("measures", list(STANDARD))
    if type(images) is not int or images < 1:
        raise ValueError(f"images must be a number from 1, got {images!r}")
    if not isinstance(measures, list):
        raise ValueError(f'measures must be a list, as in measures = ["timesteps"], got {measures!r}')
    if unknown := [name for name in measures if name not in EVERY]:
        raise ValueError(f"there is no measurement {unknown[0]!r} in a sweep; there are {', '.join(EVERY)}")
    data = shared.get("data", recipe.Config.data)
    if "shifted" in measures and data in EVENTS:
        raise ValueError(f'"shifted" is of images that stand still, and {data} are events: leave it out of measures')
    if "shifted" in measures and data not in NAMES:
        raise ValueError(
            f"what black and white are in {data} isn't known, which shifted needs: leave it out of measures, and put "
            "python -m analysis.robustness, --shifts all --pixels BLACK WHITE, to the checkpoints"
        )
    methods = _methods(shared.pop("method", None), factors)
    kinds = get_type_hints(recipe.Config)
    shared = {key: checked(key, value, kinds[key]) for key, value in shared.items()}
    factors = {key: [checked(key, level, kinds[key]) for level in levels] for key, levels in factors.items()}
    _check_apart(factors)
    factors |= {"method": list(methods)} if len(methods) > 1 else {}
    for name, settings in methods.items():
        if twice := sorted(set(settings) & (set(factors) | set(shared))):
            raise ValueError(f"method {name!r} sets {twice[0]}, and so does the plan: say it in one place")
    given = shared | {"data_root": config.data_root, "device": config.device, "quiet": True}
    crossed = factors if "method" in factors else {**factors, "method": list(methods)}
    places = _places(math.prod(len(levels) for levels in crossed.values()), grid)
    if len(seeds) * len(places) > _MANY and not config.yes:
        raise ValueError(f"{len(seeds) * len(places):,} networks: say --yes if that is meant")
    cells = [_cell(crossed, place) for place in places]
    runs = tuple(planned(config.out, given, methods, cell, seed) for seed in seeds for cell in cells)
    _check_trained(runs, factors)
    asked = tuple(dict.fromkeys(["history", *measures]))
    return Plan(runs, factors, images, asked, _remarks(factors))


def _check_trained(runs: Sequence[Run], factors: Mapping[str, Any]) -> None:
    """Raise what training would raise of the settings, before any network is trained."""
    first = runs[0].config
    if same := [key for key in factors if key not in ("method", *recipe.settings(first))]:
        raise ValueError(f"{same[0]} changes nothing of a trained network, so it is no factor")
    for one in runs:
        if one.config.seed == first.seed and not recipe.own_network(made := recipe.resolved(one.config)):
            parse(str(made.model))
    folders = Counter(one.config.out for one in runs)
    if twice := [folder for folder, times in folders.items() if times > 1]:
        raise ValueError(f"two methods would share the folder {twice[0]}: give one of them another name")


def _check_keys(shared: Mapping[str, Any], factors: Mapping[str, Any], grid: Mapping[str, Any]) -> None:
    kinds = get_type_hints(recipe.Config)
    for key in (*shared, *factors):
        if key in _ELSEWHERE:
            raise ValueError(f"{key} is no key of a plan: that is what {_ELSEWHERE[key]} says")
        if key not in kinds:
            near = difflib.get_close_matches(key, [*kinds, *_OWN], 1)
            meant = f": perhaps {near[0]}" if near else ""
            raise ValueError(f"{key!r} is no setting of models.train{meant}")
    if "data" in factors:
        raise ValueError("data is no factor: gaps on other data can't be ranked with these; write a plan for each")
    if twice := sorted(set(shared) & set(factors)):
        raise ValueError(f"{twice[0]} is a factor, and set for all networks too: say it in one place")
    for key, levels in factors.items():
        if not isinstance(levels, list) or len(levels) < 2:
            place = "write it above [factors]" if isinstance(levels, list) and levels else f"write {key} = [A, B]"
            raise ValueError(f"the factor {key} needs two levels or more, got {levels!r}: {place}")
    if unknown := sorted(set(grid) - {"share", "draw"}):
        raise ValueError(f"[grid] knows share and draw, not {unknown[0]!r}")


def _part(said: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = said.get(name, {})
    if not isinstance(part, dict):
        raise ValueError(f"{name} must be a table, a line [{name}] and its keys below it, got {name} = {part!r}")
    return dict(part)


def _check_apart(factors: Mapping[str, Sequence[Any]]) -> None:
    for key, levels in factors.items():
        if len({json.dumps(level) for level in levels}) < len(levels):
            raise ValueError(f"the factor {key} has a level twice: {levels!r}")


def _seeds(said: Any) -> Sequence[int]:
    seeds = list(range(min(said, _LARGEST))) if type(said) is int else said
    if (
        not isinstance(seeds, list)
        or not seeds
        or any(type(seed) is not int or not 0 <= seed < _SEED for seed in seeds)
    ):
        raise ValueError(f"seeds must be how many, or a list of them below 2^63, got {said!r}")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"a seed is there twice: {seeds!r}")
    return seeds


def _methods(shared: Any, factors: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings by method; the factor of methods is taken out of ``factors``."""
    words = factors.pop("method", None) or [shared or "tet"]
    if not all(isinstance(word, str) for word in words):
        raise ValueError(f"a method is a word as a study's, sdt or sam=sdt:sharpness_aware=0.05, got {words!r}")
    _check_apart({"method": words})
    found = dict(map(method, words))
    if len(found) < len(words):
        raise ValueError(f"two methods have one name: {', '.join(words)}; give one another, NAME=…")
    return found


def _places(count: int, grid: Mapping[str, Any]) -> Sequence[int]:
    """Which of so many combinations of levels are taken: all, or a share that ``draw`` draws."""
    share, draw = grid.get("share", 1.0), grid.get("draw", 0)
    if type(share) not in (int, float) or not 0 < share <= 1:
        raise ValueError(f"[grid] share must lie in (0, 1], got {share!r}")
    if type(draw) is not int:
        raise ValueError(f"[grid] draw must be a whole number, got {draw!r}")
    keep = math.ceil(share * count)
    return range(count) if keep == count else sorted(random.Random(draw).sample(range(count), keep))


def _cell(crossed: Mapping[str, Sequence[Any]], place: int) -> dict[str, Any]:
    """The level of every factor in combination number ``place``, the last factor's going fastest."""
    found = {}
    for key, levels in reversed(list(crossed.items())):
        place, level = divmod(place, len(levels))
        found[key] = levels[level]
    return dict(reversed(found.items()))


def planned(
    out: Path, shared: Mapping[str, Any], methods: Mapping[str, Any], cell: Mapping[str, Any], seed: int
) -> Run:
    """The network of one cell: trained as all are, as its method is and as its levels say, in a folder of its own."""
    name = cell["method"]
    settings: dict[str, Any] = {**shared, **methods[name], **cell, "method": name, "seed": seed}
    config = recipe.Config(out=out, **settings)
    usual = recipe.settings(recipe.Config(out=config.out))  # left out: a setting that comes to be renames no folder
    apart = ("seed", "method", "code")
    told = {key: value for key, value in recipe.settings(config).items() if key not in apart and value != usual[key]}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]
    place = out / f"{folder_name(name)}-{digest}-{seed}"
    levels = {key: level for key, level in cell.items() if key != "method"}
    return Run(replace(config, out=place), levels)


def _remarks(factors: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
    """What a reader of the sweep has to know of its factors."""
    functions = [key for key in factors if key in _FUNCTION]
    criteria = [key for key in factors if key in _CRITERION]
    found = [f"{', '.join(functions)}: networks of other functions are ranked together"] if functions else []
    found += [f"{', '.join(criteria)}: networks are not trained to one criterion"] if criteria else []
    return tuple(found)
