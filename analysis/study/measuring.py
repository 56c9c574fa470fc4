"""What a study measures of each network: every analysis with its settings, and whether its tables are there already."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tables.record import origin, sha256
from tables.result import Result

from .. import command, energy, hessian, history, momentum, rise, robustness, sharpness, surface, timesteps
from ..subject import Subject
from .flags import Config

Analysis = tuple[Callable[..., Result], command.Config]
_TABLES = {"history": "settings", "shifted": "robustness"}  # where it isn't called as the analysis


def analyses(config: Config, folder: Path, checkpoints: Sequence[Path] = ()) -> dict[str, Analysis]:
    """Every analysis of one network, tables in ``folder``: what to call, with which settings."""
    shared: dict[str, Any] = {
        "checkpoints": tuple(checkpoints),
        "out": folder / "tables",
        "data_root": config.data_root,
        "device": config.device,
        "code": config.code,
        "quiet": True,
    }
    landscape = shared | {"images": config.images, "chunk": config.images}
    return {
        "hessian": (
            hessian.run,
            hessian.Config(**landscape, tolerance=0.03, trace_tolerance=0.1, probes=2, steps=10, radius_top=1),
        ),
        "surface": (surface.run, surface.Config(**landscape)),
        "sharpness": (
            sharpness.run,
            sharpness.Config(
                **landscape,
                measures=("average", "worst", "adaptive", "relative-flatness", "fisher-rao", "norms"),
                draws=10,
                magnitude=(),
                absolute=(),
                worst=(0.1,),
                adaptive=(0.01,),
            ),
        ),
        "rise": (rise.run, rise.Config(**landscape)),
        "robustness": (robustness.run, robustness.Config(**shared | {"images": 500}, draws=3)),
        "momentum": (momentum.run, momentum.Config(**shared, layers=True, steps=20)),
        "timesteps": (timesteps.run, timesteps.Config(**shared)),
        "energy": (energy.run, energy.Config(**shared)),
        "history": (history.run, history.Config(**shared)),
    }


def main_table(name: str, out: Path) -> Path:
    """The table in the folder ``out`` by which it is seen that the analysis ``name`` is finished."""
    return out / f"{_TABLES.get(name, name)}.csv"


def finished(name: str, settings: command.Config, subject: Subject | None = None) -> bool:
    """Whether the tables of this analysis lie there, of this checkpoint or ``subject`` and with these settings."""
    try:
        found = origin(main_table(name, settings.out or Path()))
    except (FileNotFoundError, ValueError):  # what is damaged is made again
        return False
    wanted = json.loads(json.dumps(command.recorded(settings), default=str))
    measured = {path.as_posix(): sha256(path) for path in settings.checkpoints}
    measured |= {subject.title: subject.sha256} if subject else {}
    return found["settings"] == wanted and found["checkpoints"] == measured
