"""One network of a sweep: trained, unless it is, and measured by what it hasn't been measured by yet."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from models import train
from models.checkpoint import Diverged
from models.code import is_code, parse
from models.training import recipe
from tables.result import Result

from .. import flags, hessian, history, rise, robustness, sharpness, timesteps
from ..study.measuring import finished
from ..subject import NotFinite

Analysis = tuple[Callable[..., Result], flags.Config]
_SHIFTED_IMAGES = 500  # of the test set


@dataclass(frozen=True)
class Outcome:
    """What became of a network: ``status`` is "measured", "diverged" or "failed", ``reason`` why not measured."""

    folder: Path
    status: str
    reason: str
    seconds: float


def carry_out(config: recipe.Config, images: int, measures: Sequence[str]) -> Outcome:
    """Train and measure one network on one thread, for any process that has the file system."""

    def made() -> Mapping[str, Analysis]:
        train.run(config)
        return analyses(config, images, measures)

    return measured(config.out, made)


def measured(folder: Path, made: Callable[[], Mapping[str, Analysis]]) -> Outcome:
    """Make a network in ``folder`` and carry out those of its analyses that aren't finished, on one thread.

    A network whose weights, or whose outputs, are no numbers any more has diverged; it is told so, and not measured.
    """
    torch.set_num_threads(1)
    begun, status, reason = time.perf_counter(), "measured", ""
    try:
        for name, (analysis, settings) in made().items():
            if not finished(name, settings):
                analysis(settings)
    except (Diverged, NotFinite) as error:
        status, reason = "diverged", str(error)
    except (ValueError, OSError) as error:
        status, reason = "failed", str(error)
    return Outcome(folder, status, " ".join(reason.split()), time.perf_counter() - begun)


def analyses(config: recipe.Config, images: int, measures: Sequence[str]) -> dict[str, Analysis]:
    """The standard set, or what of it is asked for: cheap enough for hundreds of networks.

    Under the loss of the mean output, by which a network is used however it was trained; curvature in raw and in
    filter-normalized coordinates; rises with logits as they are and at one scale. Beside it, where asked for, the first
    500 test images under six shifts at three severities.
    """
    words = [str(word) for word in (config.model, config.data, config.loss)]
    how = {
        "data_root": config.data_root,
        "device": config.device,
        "code": tuple(dict.fromkeys(parse(word).where for word in words if is_code(word))),
    }
    return standard(config.out / "ckpt.pt", config.out / "tables", images, measures, how)


def standard(
    checkpoint: Path, out: Path, images: int, measures: Sequence[str], how: Mapping[str, Any], loss: str = "sdt"
) -> dict[str, Analysis]:
    """The same of any checkpoint, its tables in ``out``; ``how`` holds data_root, device and code."""
    shared: dict[str, Any] = {"checkpoints": (checkpoint,), "out": out, "quiet": True, **how}
    nothing: dict[str, Any] = dict.fromkeys(robustness.NAMES, ())
    landscape = shared | {"images": images, "chunk": images, "loss": loss}
    every: dict[str, Analysis] = {
        "history": (history.run, history.Config(**shared)),
        "timesteps": (timesteps.run, timesteps.Config(**shared)),
        "hessian": (
            hessian.run,
            hessian.Config(
                **landscape, coordinates="both", top=1, bottom=0, tolerance=1e-2, trace_tolerance=0.1, density=False,
                radius=False,
            ),
        ),
        "sharpness": (
            sharpness.run,
            sharpness.Config(
                **landscape, measures=("average", "worst", "adaptive", "relative-flatness", "fisher-rao", "norms"),
                draws=5, magnitude=(0.2,), absolute=(), worst=(0.1,), adaptive=(0.01,),
            ),
        ),
        "rise": (rise.run, rise.Config(**landscape, along=("noise",), radii=(0.1, 0.2, 0.5, 1.0), draws=5)),
        "shifted": (
            robustness.run,
            robustness.Config(
                **shared, **nothing, images=_SHIFTED_IMAGES, loss=loss, draws=2,
                shifts=("all",), severities=(1, 3, 5),
            ),
        ),
    }  # fmt: skip
    return {name: every[name] for name in measures}
