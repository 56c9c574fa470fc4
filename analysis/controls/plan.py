"""Which networks the controls need: cells of one setting changed, each with its seeds; those shared are one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.networks import parse
from models.training import recipe

from ..study.trainings import method
from ..sweep.plan import STANDARD, Plan, planned
from .flags import Config

CONTROLS = ("sam", "rescaled", "random-labels", "halves", "confident", "counter", "forced")
UNTRAINED = ("rescaled", "halves", "confident")  # that can be put to networks that are there


@dataclass(frozen=True)
class Cells:
    """Labels of the methods that are compared: ``base``, and for each control its levels, a word, with their labels.

    ``settings`` has models.train's, by label. Of "counter" a level has two labels: less and more of the factor.
    """

    base: str
    settings: Mapping[str, Mapping[str, Any]]
    sam: Mapping[str, str] = field(default_factory=dict)
    forced: Mapping[float, str] = field(default_factory=dict)
    counter: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    random_labels: str = ""


def asked(config: Config) -> tuple[str, ...]:
    """The controls, in their usual order. Raises ValueError for one that there isn't, or that would have to train."""
    there = UNTRAINED if config.checkpoints else CONTROLS
    if unknown := [name for name in config.only if name not in CONTROLS]:
        raise ValueError(f"there is no control {unknown[0]!r}; there are {', '.join(CONTROLS)}")
    if other := [name for name in config.only if name not in there]:
        raise ValueError(f"{other[0]} trains networks of its own: leave the checkpoints out, or --only {other[0]}")
    return tuple(name for name in there if not config.only or name in config.only)


def check(config: Config) -> None:
    """Raise ValueError for settings that no control can be made with."""
    numbers = {"--sam": config.sam, "--asam": config.asam, "--forced": config.forced, "--logits": config.logits}
    for flag, values in numbers.items():
        if not values or any(not 0 < value < float("inf") for value in values) or len(set(values)) < len(values):
            raise ValueError(f"{flag} takes positive numbers, none twice, got {' '.join(map(str, values)) or 'none'}")
    if 1.0 in config.logits:
        raise ValueError("--logits 1 multiplies by nothing: give other factors")
    if not 1 < config.counter < float("inf"):
        raise ValueError(f"--counter must be above 1, got {config.counter:g}")
    if not config.checkpoints and config.seeds < 2:
        raise ValueError(f"--seeds must be at least 2, for differences have to spread, got {config.seeds}")
    if not config.checkpoints and config.loss != "sdt":
        raise ValueError("--loss is for networks of yours: those that are trained here are measured by sdt")
    if config.images < 1 or config.jobs < 1:
        raise ValueError(f"--images and --jobs must be at least 1, got {config.images} and {config.jobs}")
    known = [name for name in STANDARD if name != "history"]
    if unknown := [name for name in config.measures if name not in known]:
        raise ValueError(f"there is no analysis {unknown[0]!r} here; there are {', '.join(known)}")
    if not config.measures:
        raise ValueError(f"--measures names none of {', '.join(known)}")


def cells(config: Config, controls: tuple[str, ...]) -> Cells:
    """What is trained for these controls. Raises ValueError for a method that can't be changed as they ask."""
    base, own = method(config.method)
    settings: dict[str, Mapping[str, Any]] = {base: own}
    if {"sam", "forced"} & set(controls) and own.get("sharpness_aware") is not None:
        raise ValueError(f"method {base} is sharpness-aware already: sam and forced compare with one that isn't")

    def cell(words: str, **changed: Any) -> str:
        settings[f"{base}+{words}"] = {**own, **changed}
        return f"{base}+{words}"

    def sam(rho: float) -> str:
        return cell(f"sam-{rho:g}", sharpness_aware=rho)

    found: dict[str, Any] = {}
    if "sam" in controls:
        found["sam"] = {f"SAM {rho:g}": sam(rho) for rho in config.sam}
        found["sam"] |= {
            f"ASAM {rho:g}": cell(f"asam-{rho:g}", sharpness_aware=rho, adaptive=True) for rho in config.asam
        }
    if "random-labels" in controls:
        found["random_labels"] = cell("random-labels", random_labels=1.0)
    if "counter" in controls:
        found["counter"] = _counter(config, own, cell)
    if "forced" in controls:
        found["forced"] = {0.0: base} | {rho: sam(rho) for rho in sorted(config.forced)}
    return Cells(base, settings, **found)


def _counter(config: Config, own: Mapping[str, Any], cell: Any) -> dict[str, tuple[str, str]]:
    """Less and more of the learning rate and of the batch size."""
    usual = recipe.Config(out=config.out, **own)
    rates = [usual.learning_rate * factor for factor in (1 / config.counter, config.counter)]
    sizes = [max(1, round(usual.batch_size * factor)) for factor in (1 / config.counter, config.counter)]
    by_rate = [cell(f"rate-{rate:g}", learning_rate=rate) for rate in rates]
    by_size = [cell(f"batch-{size}", batch_size=size) for size in sizes]
    return {
        f"learning rate {rates[0]:g} to {rates[1]:g}": (by_rate[0], by_rate[1]),
        f"batch size {sizes[0]} to {sizes[1]}": (by_size[0], by_size[1]),
    }


def plan(config: Config, controls: tuple[str, ...], wanted: Cells) -> Plan:
    """The networks to be trained and measured, as a sweep's plan. Raises what training would raise of the settings."""
    shared = {
        name: getattr(config, name) for name in ("data", "model", "epochs", "train_images", "data_root", "device")
    } | {"quiet": True}
    drawn = recipe.drawn(recipe.Config(out=config.out, **shared | dict(wanted.settings[wanted.base])))
    shared |= {"vary_data": drawn}
    of_base = max(config.seeds, config.null_seeds) if "halves" in controls else config.seeds
    runs = []
    for label, settings in wanted.settings.items():
        for seed in range(of_base if label == wanted.base else config.seeds):
            general = {name: value for name, value in shared.items() if name not in settings}
            runs.append(planned(config.out, general, {label: settings}, {"method": label}, seed))
    for run in runs:
        made = recipe.resolved(run.config)
        if not recipe.own_network(made):
            parse(str(made.model))
    return Plan(tuple(runs), {}, config.images, ("history", *config.measures), ())
