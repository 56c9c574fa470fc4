"""Robustness: what a trained network still knows when its weights, neurons, spikes or images are not as they were.

    python -m analysis.robustness runs/tet-0/ckpt.pt

Table ``robustness.csv``, after checkpoint, network, data, method, training, seed, one row for each split, perturbation,
strength and loss:

- split ("test", "train"); perturbation and strength, as below; loss ("sdt", "tet": equation 7 or 9 of Deng et al. 2022,
  no regulariser)
- value, the mean of that loss over draws and images; stderr, its standard error over draws; images_stderr, over images
- accuracy, the fraction of images whose mean output is largest at their label, from the same passes and so the same in
  the rows of both losses; accuracy_stderr over draws; accuracy_images_stderr over images
- draws, images: how many

==================  ==================================================================================================
weight_noise        w + strength · D ν, ν standard normal, D the root mean square of each weight's filter: strength is
                    the noise's norm over the filter's (:func:`landscape.surfaces.filter_scale`)
rounding            each filter's weights rounded to strength bits (:mod:`landscape.sharpness.quantize`); 32 are the
                    weights as trained. Nothing is random, so draws is 1
threshold_spread    thresholds that differ from neuron to neuron; strength is their relative spread
decay_spread        decays that do
lost_spikes         every spike lost with probability strength
spurious_spikes     every neuron that is silent at a step seen to spike with probability strength
input_noise         Gaussian noise on every pixel; strength is its standard deviation over that of the channel's pixels,
                    among the images measured. On frames of events too, at every step anew, although a sensor's noise
                    is of another kind. Of inputs of fewer axes a channel is a feature, the last axis
gaussian_noise,     with ``--shifts``: images shifted before they are standardised, in ways and severities of
defocus_blur,       Hendrycks and Dietterich 2019 (:mod:`models.data.shifts`); strength is the severity, 1 … 5. draws is
contrast,           1 where nothing is random: noise and the direction of translation are. Inputs whose black and white
brightness,         aren't known (a subject's own data) need ``--pixels``
pixelate,
translation
==================  ==================================================================================================

The formulas of the neurons and spikes are in :mod:`models.perturbation`. Biases and BatchNorm stay as they are.
Strength 0 is the network as trained (draws 1, standard error over draws 0), which must answer every image in numbers,
else it is refused. A disturbed network whose outputs for an image overflow isn't right there, and its loss is nan.
A network without spikes has no rows about thresholds, decays and spikes. What else a network can't suffer has no rows
either, and a line on stderr says why, as does ``left_out`` in the table's record: inputs that aren't one tensor of real
numbers, neurons whose spikes have sizes, other libraries' neurons of which no threshold or decay is known or that take
one for all (:mod:`models.perturbation.acting` tries it out). Where only some layers of neurons can't suffer it, the
rows are of a perturbation of all others, and line and record name those left out.

Draws come from the seed, whatever the strength and the checkpoint: a curve is one of growing disturbance, and networks
of one structure meet the same ones, so that the difference between them has less error than the values. The two
standard errors are apart because they answer different questions: another draw, other images. Neither is of other
training runs; spread over seeds is.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from math import inf, nan
from typing import Any, NamedTuple

import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor
from tqdm import tqdm

from landscape.deadline import Deadline
from landscape.sharpness import FEWEST, MOST
from models.data.shifts import SEVERITIES
from models.perturbation import Site
from tables.result import Result

from ..budget import check_seconds
from ..command import LEFT_OUT, analyse
from ..subject import Batch, Subject, Subjects, check_answers
from ..subject.passes import passes
from .flags import Config
from .perturbing import channel_spread, perturbed, possible, sites_in
from .shifting import DRAWN, SHIFTS, pixels_of, under

UNROUNDED = 32
_OF_SPIKES = ("threshold_spread", "decay_spread", "lost_spikes", "spurious_spikes")
NAMES = ("weight_noise", "rounding", *_OF_SPIKES, "input_noise")
_RANGES = {"rounding": (FEWEST, MOST), "lost_spikes": (0, 1), "spurious_spikes": (0, 1)}
_ORDER = (*NAMES, *SHIFTS)  # a perturbation's place is part of the seed of its draws


def measure(subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
    """The robustness table of one checkpoint."""
    plan, left_out = _plan(subject, config, sites_in(subject))
    if not config.quiet:
        for name, why in left_out.items():
            print(f"{subject.title}: {name} {why}", file=sys.stderr)
    passes = sum(_draws(name, config) * len(one.strengths) for name, one in plan.items())
    deadline, splits, tables = Deadline(config.seconds), subject.splits(config.splits), []
    with tqdm(total=passes * len(splits), unit="pass", disable=config.quiet) as bar:
        for number, split in enumerate(splits):
            part = Deadline(deadline.seconds and deadline.seconds / (len(splits) - number))
            tables.append(_curves(subject, config, plan, split, part, bar.update))
    table = pd.concat(tables, ignore_index=True)
    table.attrs[LEFT_OUT] = left_out
    return {"robustness": table}


class Planned(NamedTuple):
    """A perturbation's strengths, in rising order, and the layers of neurons that it is of."""

    strengths: list[float]
    sites: Sequence[Site]


def _plan(subject: Subject, config: Config, sites: Sequence[Site]) -> tuple[dict[str, Planned], dict[str, str]]:
    """Every perturbation that is asked for and that this network can suffer, and of what others are left out, and why.

    A layer of neurons that can't suffer one is left out of that alone.
    """
    if config.draws < 2:
        raise ValueError(f"a standard error needs at least 2 draws, got {config.draws}")
    plan, left_out = {}, {}
    for name in NAMES:
        strengths = getattr(config, name)
        least, most = _RANGES.get(name, (0.0, inf))
        if not all(least <= strength <= most and strength < inf for strength in strengths):
            raise ValueError(f"--{name.replace('_', '-')} must lie in {least:g} … {most:g}, got {strengths}")
        if not strengths or (name in _OF_SPIKES and not subject.spikes):
            continue
        able, why = possible(subject, name, sites)
        if why:
            left_out[name] = why
        if able is not None:
            plan[name] = Planned(sorted({float(strength) for strength in strengths} - {0.0}), able)
    plan |= {name: Planned(_severities(config), ()) for name in _shifts(config)}
    if not plan:
        raise ValueError("nothing to measure: give at least one perturbation that this network can suffer")
    return plan, left_out


def _shifts(config: Config) -> list[str]:
    return [name for name in SHIFTS if name in config.shifts or "all" in config.shifts]


def _severities(config: Config) -> list[float]:
    if not config.severities or not set(config.severities) <= set(SEVERITIES):
        raise ValueError(f"--severities are some of 1, 2, 3, 4 and 5, got {config.severities}")
    return sorted({float(severity) for severity in config.severities})


def _draws(name: str, config: Config) -> int:
    return 1 if name == "rounding" or name in set(SHIFTS) - set(DRAWN) else config.draws


def _curves(
    subject: Subject,
    config: Config,
    plan: dict[str, Planned],
    split: str,
    deadline: Deadline,
    done: Callable[[], object],
) -> pd.DataFrame:
    """Draw after draw, each of everything, as long as there is time; two at least."""
    batches = subject.batches(split, config.images, config.chunk)
    losses = list(subject.asked(config.loss))
    undisturbed = _outcomes(subject, batches, config.loss)
    each = dict(zip(losses, undisturbed, strict=False))
    check_answers(subject, split, config.images, right=undisturbed[-1], losses=each)
    clean = _summary([undisturbed], losses)
    spread = channel_spread(batches, subject, split) if "input_noise" in plan else torch.ones(1)
    known = pixels_of(subject, config.pixels) if set(plan) & set(SHIFTS) else None
    found: dict[tuple[str, float], list[Tensor]] = {
        (name, strength): [] for name, one in plan.items() for strength in one.strengths
    }
    draws = 0
    for draw in deadline.pieces(range(config.draws), least=2):
        for (name, strength), outcomes in found.items():
            if draw >= _draws(name, config):
                continue
            seed = (config.seed, _ORDER.index(name), draw)
            if known and name in SHIFTS:
                moved = under(batches, name, int(strength), pixels=known, seed=seed, title=subject.title)
                outcomes.append(_disturbed(_outcomes(subject, moved, config.loss), subject))
            else:
                how: dict[str, Any] = {"pixels": spread, "seed": seed, "sites": plan[name].sites, "axis": subject.axis}
                with perturbed(subject.network, name, strength, **how):
                    outcomes.append(_disturbed(_outcomes(subject, batches, config.loss), subject))
            done()
        draws = draw + 1
    if draws < config.draws and not config.quiet:
        print(f"{subject.title}: {draws} of {config.draws} draws in the time given", file=sys.stderr)
    rows: list[dict[str, Any]] = []
    for name in plan:
        curve = {float(UNROUNDED if name == "rounding" else 0): clean}
        curve |= {strength: _summary(each, losses) for (one, strength), each in found.items() if one == name}
        for strength in sorted(curve):
            head = {"split": split, "perturbation": name, "strength": strength}
            rows += [head | row for row in _rows(curve[strength], losses)]
    return pd.DataFrame(rows)


@torch.no_grad()
def _outcomes(subject: Subject, batches: Sequence[Batch], loss: str) -> Float64[Tensor, "metric image"]:
    """The losses and whether the answer is right, for every image; NaN without an answer, or a right one."""
    losses, right, found = subject.asked(loss).values(), subject.score, []
    for output, target in passes(subject, batches, None):
        values = [function(output, target) for function in losses]
        values.append(values[0].new_full(values[0].shape, nan) if right is None else right(output, target))
        found.append(torch.stack(values))
    return torch.cat(found, dim=1).double().cpu()


def _disturbed(outcomes: Tensor, subject: Subject) -> Tensor:
    """The same, where what the disturbance robbed of its answer isn't right: it is what the disturbance cost."""
    if subject.score is not None:
        outcomes[-1] = outcomes[-1].nan_to_num(0)
    return outcomes


def _summary(outcomes: Sequence[Float64[Tensor, "metric image"]], losses: Sequence[str]) -> dict[str, Any]:
    """Means over draws and images with both standard errors, by metric; the one over draws is 0 without draws."""
    values = torch.stack(list(outcomes))
    draws, metrics, images = values.shape
    by_draw, by_image = values.mean(2), values.mean(0)
    stderr = by_draw.std(0) / draws**0.5 if draws > 1 else torch.zeros(metrics)
    over_images = by_image.std(1) / images**0.5 if images > 1 else torch.full((metrics,), nan)
    columns = zip([*losses, "accuracy"], by_draw.mean(0).tolist(), stderr.tolist(), over_images.tolist(), strict=True)
    return {name: numbers for name, *numbers in columns} | {"draws": draws, "images": images}


def _rows(summary: dict[str, Any], losses: Sequence[str]) -> Iterator[dict[str, Any]]:
    accuracy = dict(zip(("accuracy", "accuracy_stderr", "accuracy_images_stderr"), summary["accuracy"], strict=True))
    for loss in losses:
        value = dict(zip(("value", "stderr", "images_stderr"), summary[loss], strict=True))
        yield {"loss": loss} | value | accuracy | {"draws": summary["draws"], "images": summary["images"]}


def run(config: Config, subjects: Subjects = ()) -> Result:
    """The table robustness of every subject."""
    check_seconds(config.seconds)
    return analyse(config, measure, subjects)
