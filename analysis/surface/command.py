"""Loss surfaces around a checkpoint in one and two dimensions: random, along curvature, along the path of training.

    python -m analysis.surface runs/tet-0/ckpt.pt
    python -m analysis.surface runs/tet-0/ckpt.pt --directions top --split both --tolerance 0.02

The surface is L(w + α d₁ + β d₂) of the *true* loss (steps and all). By default d₁ and d₂ are Gaussian, every filter
scaled to the norm of the weights' filter (Li, Xu, Taylor, Studer, Goldstein 2018, section 4); other axes are those of
:mod:`analysis.surface.planes`. Biases and BatchNorm stay put, its statistics as trained unless ``--recalibrate``. One
forward at a point gives the loss under SDT and under TET and the accuracy. The paper's figure 2 is this plane for α, β
in [−1, 1], one draw, weights trained with SDT and with TET, losses SDT and TET.

With ``--tolerance 0.02`` only some points are evaluated, and on only some images, drawn at random: as many of both as
bring the root mean square error, against the surface of all points and all images, to 2 % of its range with 95 %
confidence, under each loss (:mod:`landscape.surfaces.adaptive`). In between it is interpolated. Where it is rough, with
steps, cliffs or infinity, all points are evaluated. The accuracy comes along as it is, and its error is stated.

A run that was stopped goes on when the same command is given again (:mod:`analysis.surface.journal`), and its table is
the same to the bit. ``torchrun -m analysis.surface`` splits the points over processes; the table is the same to the bit
where each process has as many threads.

Table ``surface.csv``, after checkpoint, network, data, method, training, seed:

- loss, split; directions (random, top, …) and axes_loss (the loss they were made from, or "any"); kind ("line" or
  "plane"), draw (numbers the lines and the planes of a split), alpha, beta (0 on a line)
- value; stderr (of the value, over images); rise_stderr (of value − value at the origin, over the same images: much
  smaller); sampling_stderr (for not having taken all images asked for; 0 without ``--tolerance``)
- accuracy, accuracy_stderr (over images); images (how many the point took, 0 where it is interpolated); interpolated

With ``--tolerance`` also table ``surface_errors.csv``: what was evaluated, and how far each surface may be off
(:mod:`analysis.surface.errors`).

Tables ``shapes.csv``, each surface in a few numbers, and ``minima.csv``, its local minima and how they merge: see
:mod:`analysis.surface.shapes`.
Table ``surface_axes.csv``: the directions, see :meth:`analysis.surface.planes.Axes.to_frame` (its kind, loss and seed
are here directions, axes_loss and axes_seed; kind and draw are those of surface.csv). With ``--directions trajectory``
also ``surface_path.csv``: epoch, alpha, beta, distance, off_plane of the snapshots on each of its lines and planes.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from landscape.deadline import Deadline
from landscape.evaluation import recalibrate
from landscape.surfaces import Found, Surface, Task, grid, surface
from tables.record import sha256
from tables.result import Result

from .. import command
from ..budget import check_seconds
from ..command import analyse
from ..subject import Batch, NotFinite, Subject, Subjects, check_weights
from .errors import ordered, stated
from .flags import Config
from .journal import Journal
from .planes import Axes, axes
from .shapes import minima, shapes
from .tasks import carried_out

_BLOCK = 50  # images that a tolerance adds at once
_RENAMED = {"kind": "directions", "loss": "axes_loss", "seed": "axes_seed"}  # beside the checkpoint's own seed


@dataclass(frozen=True)
class _Sheet:
    """One line or plane on one split."""

    kind: str
    draw: int
    split: str
    axes: Axes


def measure(subject: Subject, config: Config, journal: Callable[[], Journal]) -> dict[str, pd.DataFrame]:
    """The tables of one checkpoint."""
    if config.draws < 1 or config.plane_draws < 0:
        raise ValueError(f"draws must be at least 1 and plane draws at least 0, got {config.draws, config.plane_draws}")
    check_weights(subject)
    sheets, losses = list(_sheets(subject, config)), list(subject.asked(config.loss))
    frames, errors = [], []
    with tqdm(unit="point", total=0, smoothing=0.05, disable=config.quiet) as bar:
        if config.tolerance is None:
            bar.total = sum(_size(sheet, config) for sheet in sheets)
        deadline, left = Deadline(config.seconds), sum(_size(sheet, config) for sheet in sheets)
        for sheet in sheets:
            seconds = None if config.seconds is None else (deadline.seconds or 0) * _size(sheet, config) / left
            left -= _size(sheet, config)
            label: list[str | int] = [subject.sha256, sheet.split, sheet.kind, sheet.draw]
            run = partial(carried_out, journal(), label, bar)
            found = _measured(subject, sheet, config, run, seconds)
            _check(subject, sheet, found, losses)
            frames.append(_rows(found, sheet, config, losses))
            errors.append(stated(found, losses).assign(**_place(sheet, config)))
    table = pd.concat(frames, ignore_index=True)
    said = {} if config.tolerance is None else {"surface_errors": ordered(pd.concat(errors, ignore_index=True))}
    return {"surface": table, **said, "shapes": shapes(table), "minima": minima(table), **_about(sheets)}


def _check(subject: Subject, sheet: _Sheet, found: Surface, losses: Sequence[str]) -> None:
    """Raise NotFinite where a loss at the centre, the weights as they are, isn't finite."""
    table = found.to_frame()
    centre = table[(table["alpha"] == 0) & (table["beta"] == 0)].set_index("metric")["value"]
    for name in losses if len(centre) else ():
        if not math.isfinite(centre[name]):
            said = f"the loss {name} is {centre[name]} at the weights: there is no rise to measure from it"
            raise NotFinite(f"{subject.title}, {sheet.split} data: {said}")


def _sheets(subject: Subject, config: Config) -> Iterator[_Sheet]:
    """Every line, then every plane, each on every split. Grids are checked before directions are made."""
    for count in (1, 2) if config.plane_draws else (1,):
        _grids(config, ((-1.0, 1.0),), count)
    splits = subject.splits(config.splits)
    batches = subject.batches(splits[0], config.images, config.chunk)
    for kind, count, draws in (("line", 1, config.draws), ("plane", 2, config.plane_draws)):
        if draws:
            found = axes(
                config.directions, subject, batches,
                losses=list(subject.asked(config.loss)), count=count, draws=draws, seed=config.seed,
            )  # fmt: skip
            for draw, spanned in enumerate(found):
                yield from (_Sheet(kind, draw, split, spanned) for split in splits)


def _grids(config: Config, ranges: Iterable[tuple[float, float]], count: int) -> list[Any]:
    points = config.points if count == 1 else config.plane_points
    return [grid(low * config.extent, high * config.extent, points) for low, high in ranges]


def _size(sheet: _Sheet, config: Config) -> int:
    return config.points if sheet.kind == "line" else config.plane_points**2


def _measured(
    subject: Subject,
    sheet: _Sheet,
    config: Config,
    run: Callable[[Sequence[Task], Callable[[Task], Found]], list[Found]],
    seconds: float | None,
) -> Surface:
    grids = _grids(config, sheet.axes.ranges, len(sheet.axes.ranges))
    return surface(
        subject.network,
        metrics(subject, config.loss),
        _batches(subject, sheet.split, config),
        sheet.axes.directions,
        grids[0],
        grids[1] if len(grids) > 1 else None,
        prepare=_recalibration(subject, config) if config.recalibrate else None,
        channels_last=True,
        tolerance=None if config.tolerance is None else dict.fromkeys(subject.asked(config.loss), config.tolerance),
        run=run,
        seed=config.seed,
        seconds=seconds,
        **subject.reading,
    )


def _batches(subject: Subject, split: str, config: Config) -> list[Batch]:
    """The images asked for; in random order and small parts where few may do."""
    size = subject.cached(split, config.chunk)
    if config.tolerance is None:
        return subject.batches(split, config.images, size)
    generator = torch.Generator().manual_seed(config.seed)
    return subject.batches(split, config.images, min(size, _BLOCK), generator=generator)


def _recalibration(subject: Subject, config: Config) -> Callable[[nn.Module], object]:
    """BatchNorm's statistics on training images, whatever the split: test images are not for fitting."""
    return partial(recalibrate, batches=subject.batches("train", config.images, config.chunk), check=False)


def _rows(found: Surface, sheet: _Sheet, config: Config, losses: Sequence[str]) -> pd.DataFrame:
    """One row per loss and point, the accuracy beside it."""
    table = found.to_frame()
    accuracy = table[table["metric"] == "accuracy"]
    beside: dict[str, Any] = {"accuracy": math.nan, "accuracy_stderr": math.nan}
    if len(accuracy):
        beside = {"accuracy": accuracy["value"].to_numpy(), "accuracy_stderr": accuracy["stderr"].to_numpy()}
    parts = [table[table["metric"] == name].assign(**beside) for name in losses]
    rows = pd.concat(parts, ignore_index=True).rename(columns={"metric": "loss"})
    rows, place = rows.assign(**_place(sheet, config)), _place(sheet, config)
    measured = ["value", "stderr", "rise_stderr", "sampling_stderr", *beside, "images", "interpolated"]
    return rows[["loss", *place, "alpha", "beta", *measured]]


def _place(sheet: _Sheet, config: Config) -> dict[str, Any]:
    return {
        "split": sheet.split, "directions": config.directions, "axes_loss": sheet.axes.loss,
        "kind": sheet.kind, "draw": sheet.draw,
    }  # fmt: skip


def _about(sheets: Sequence[_Sheet]) -> dict[str, pd.DataFrame]:
    """The axes of the sheets, and their paths where they have one."""
    spanned = {(sheet.kind, sheet.draw): sheet.axes for sheet in sheets}
    frames = [
        found.to_frame().rename(columns=_RENAMED).assign(kind=kind, draw=draw)
        for (kind, draw), found in spanned.items()
    ]
    paths = [found.path.assign(kind=kind) for (kind, _), found in spanned.items() if found.path is not None]
    tables = {"surface_axes": pd.concat([frame.dropna(axis=1, how="all") for frame in frames], ignore_index=True)}
    return tables | ({"surface_path": pd.concat(paths, ignore_index=True)} if paths else {})


def metrics(subject: Subject, loss: str) -> Callable[[Any, Any], dict[str, Tensor]]:
    """What one forward gives, image by image: each loss asked for, and whether the answer is right, if any can be."""
    right = subject.score
    functions = subject.asked(loss) | ({} if right is None else {"accuracy": right})
    return lambda output, target: {name: function(output, target) for name, function in functions.items()}


def run(config: Config, subjects: Subjects = ()) -> Result:
    """The table surface of every subject, taken up where a run of the same settings was stopped."""
    check_seconds(config.seconds, together=True)
    if config.seconds is not None and config.tolerance is None:
        raise ValueError("--seconds goes with --tolerance: without one all points on all images are needed")
    kept: list[Journal] = []
    with ExitStack() as closing:

        def journal() -> Journal:
            """Opened when the first checkpoint has been read, so that nothing lies about after a refusal."""
            if not kept:
                origin = {path.as_posix(): sha256(path) for path in config.checkpoints if path.is_file()}
                versions = {"torch": torch.__version__, "threads": torch.get_num_threads()}
                kept.append(Journal(config.out, "surface", command.recorded(config) | origin | versions))
                closing.callback(kept[0].close)
            return kept[0]

        result = analyse(config, partial(measure, journal=journal), subjects, shared=True)
        for each in kept:
            each.remove()
    return result
