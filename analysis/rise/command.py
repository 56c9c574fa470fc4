"""The rise of the true loss as a curve in the radius, on random lines, planes and under noise, at one scale of logits.

    python -m analysis.rise runs/sdt-0/ckpt.pt runs/tet-0/ckpt.pt --out runs/tables
    python -m analysis.rise runs/tet-0/ckpt.pt --along line --draws 6 --radii 0.25 0.5 0.75 1

Which of two minima is flatter can change on the way out, and far out a confident network rises more because it is
confident. So the table has the whole curve, and has it three times: :mod:`landscape.sharpness.rise_curve` says what
lies at a radius, :mod:`landscape.sharpness.logit_scale` what the scale of logits is. One pass over the images gives all
losses and scales at a point.

Random numbers are those of ``--seed`` alone: every checkpoint is moved by the same, each relative to its own filters,
and lines and planes are those that ``analysis.surface`` draws of the same seed.

Table ``rise.csv``, after checkpoint, network, data, training, seed:

- loss (of the landscape); logits ("plain", "network": over the network's own root mean square at the weights,
  "example": every example's over its own, everywhere); split; along ("line", "plane", "noise"); draw; radius (relative
  to each filter's norm)
- rise (mean over images and over the points at that radius), stderr (over images, paired with the centre, at this
  draw), images; value (of the loss with these logits at the weights)
- rms and rms_moved: root mean square of the plain logits, about their mean over classes, over images, at the weights
  and at this radius
"""

import sys
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from tqdm import tqdm

from landscape.deadline import Deadline
from landscape.objective import Parameters
from landscape.sharpness import (
    LOGITS,
    MEAN_SQUARE,
    RiseCurve,
    Span,
    ascending,
    metric,
    network_scale,
    random_spans,
    rise_curve,
    scaled,
)
from tables.result import Result

from ..budget import check_seconds
from ..command import analyse
from ..subject import Batch, Subject, Subjects, Unsuited, check_value
from .flags import Config


def measure(subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
    """The table of one checkpoint."""
    batches = _batches(subject, config)
    losses = {name: subject.timed(name) for name in subject.asked(config.loss)}
    if subject.layout.answers != "classes":
        raise Unsuited(f"{subject.title} doesn't answer with one of several classes: it has no scale of logits")
    first = subject.time_first
    for name, function in subject.asked(config.loss).items():
        check_value(subject, config.split, config.images, name, subject.objective(function, batches).value())
    rms = network_scale(subject.network, batches, centred=config.centred, pick=first, **subject.reading)
    metrics = scaled(losses, rms, to=config.scale, centred=config.centred, pick=first)
    parameters, frames = Parameters(subject.network), []
    points = sum(config.angles if along == "plane" else 2 for along in config.along)
    with tqdm(total=points * config.draws * len(config.radii), unit="point", disable=config.quiet) as bar:
        deadline = Deadline(config.seconds)
        for number, along in enumerate(config.along):
            directions: Iterable[Span] = random_spans(parameters, along, draws=config.draws, seed=config.seed)
            if deadline.seconds is not None:
                part = Deadline(deadline.seconds / (len(config.along) - number))
                directions = part.pieces(directions, least=2)
            found = rise_curve(
                subject.network, metrics, batches, directions, config.radii,
                angles=config.angles, channels_last=True, progress=bar.update, **subject.reading,
            )  # fmt: skip
            frames.append(_rows(found, list(losses)).assign(along=along))
            _say(subject, along, frames[-1]["draw"].nunique(), config)
    table = pd.concat(frames, ignore_index=True).assign(split=config.split, rms=rms)
    return {"rise": table[_COLUMNS]}


def _say(subject: Subject, along: str, draws: int, config: Config) -> None:
    if draws < config.draws and not config.quiet:
        print(f"{subject.title}: {draws} of {config.draws} draws of {along} in the time given", file=sys.stderr)


_COLUMNS = [
    "loss", "logits", "split", "along", "draw", "radius", "rise", "stderr", "images", "value", "rms", "rms_moved",
]  # fmt: skip


def _batches(subject: Subject, config: Config) -> list[Batch]:
    return subject.batches(config.split, config.images, subject.cached(config.split, config.chunk))


def _rows(found: RiseCurve, losses: Sequence[str]) -> pd.DataFrame:
    """One row per loss, scale of logits, draw and radius."""
    table = found.to_frame().set_index("metric")
    squares = table.loc[[MEAN_SQUARE]]
    moved = np.sqrt((squares["value"] + squares["rise"]).to_numpy())
    frames = [
        table.loc[[metric(loss, logits)]].assign(loss=loss, logits=logits, rms_moved=moved)
        for loss in losses
        for logits in LOGITS
    ]
    return pd.concat(frames, ignore_index=True).assign(images=found.examples)


def run(config: Config, subjects: Subjects = ()) -> Result:
    """The table rise of every checkpoint. Raises ValueError for radii that don't ascend from above zero."""
    if not config.along:
        raise ValueError("nothing to measure: --along takes one or more of line, plane, noise")
    if config.draws < 1:
        raise ValueError(f"--draws must be at least 1, got {config.draws}")
    ascending(config.radii)
    check_seconds(config.seconds)
    return analyse(config, measure, subjects)
