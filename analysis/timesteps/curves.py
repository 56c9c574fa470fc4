"""What a network says of each image when it is given 1, 2, … T steps, in four ways.

In eval mode the logits O(t) depend on the steps up to t alone, so one pass at the largest T holds the answer for every
smaller one: with T' steps the network predicts from the mean of O(1) … O(T'). (Not so in train mode, where BatchNorm
mixes the steps.) A network of which that is not so, which is looked at (:mod:`analysis.subject.askable`), or that
returns one answer for all its steps, takes a pass for each T'; of the latter what it says at a step alone isn't known,
and those columns are empty. A T' that the network can't be given is left out, whatever the first T' steps of a longer
pass say; where nothing sets T there are only these, and T' means them. That is the first way, for a static image shown
for T' steps ("repeated") and for the first T' frames of a stream ("truncated"), BatchNorm's statistics as "trained".
Two others need a pass for each T', and combine:

- "recut": the stream cut into T' frames, each of them longer, where the first T' of T frames end before the stream does
- "recalibrated": BatchNorm's statistics taken anew from training images at T' steps
  (:mod:`landscape.evaluation.recalibrate`). As trained they are means over the trained T, and rates of the first steps
  differ from those of later ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from landscape.evaluation import preserved, recalibrate
from models import data

from ..subject import Askable, Subject
from ..subject.outputs import check_labels, where_known
from ..subject.passes import asked_for
from .own import answered, own_losses

RECUT, RECALIBRATED = "recut", "recalibrated"
Curves = dict[str, Tensor]


class Way(NamedTuple):
    """How the network is given its steps: where the frames come from, and BatchNorm's statistics."""

    frames: str
    statistics: str


@dataclass(frozen=True)
class Sample:
    """What to measure on: the first ``images`` of each split, or all, ``chunk`` in one pass, from files in ``root``."""

    images: int | None
    chunk: int
    root: str | None = None


def ways(subject: Subject, *, recut: bool, recalibrated: bool) -> list[Way]:
    """The way that needs one pass first, then those asked for.

    Raises ValueError where there is no stream to cut.
    """
    static = subject.longest is None or subject.trained_timesteps == 1
    if recut and (subject.dataset is None or "timesteps" not in subject.dataset.arguments):
        what = "its images are static" if static else "its frames were cut elsewhere"
        raise ValueError(f"--recut needs streams of events: {subject.title} was trained on {subject.data}, {what}")
    frames = ["repeated" if static else "truncated", *([RECUT] if recut else [])]
    return [Way(each, kind) for kind in ("trained", *([RECALIBRATED] if recalibrated else [])) for each in frames]


def curve(
    logits: Float[Tensor, "time batch class"], labels: Int[Tensor, " batch"]
) -> dict[str, Float64[Tensor, "time batch"]]:
    """What T' steps give for each image, in row T' − 1: losses in nats, and the classes predicted.

    NaN where the outputs say none. Raises ValueError for a label that is no class.
    """
    logits = logits.double()
    counts = torch.arange(1, len(logits) + 1, dtype=logits.dtype, device=logits.device)[:, None]
    mean = logits.cumsum(0) / counts[:, :, None]
    check_labels(logits.shape[2], labels)
    at_step, said = _entropy(logits, labels), {"cumulative": mean, "at_step": logits}
    return {
        **{f"accuracy_{name}": where_known(one.argmax(2) == labels, one, 2) for name, one in said.items()},
        "loss_sdt": _entropy(mean, labels),
        "loss_tet": at_step.cumsum(0) / counts,
        "loss_at_step": at_step,
        "confidence": mean.softmax(2).amax(2),
        **{f"class_{name}": where_known(one.argmax(2), one, 2) for name, one in said.items()},
    }


def _entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy at each step and image, [time, batch]."""
    return cross_entropy(logits.movedim(0, -1), labels[:, None].expand(-1, len(logits)), reduction="none").T


@torch.no_grad()
def curves(
    subject: Subject, every: Sequence[Way], asked: Askable, sample: Sample, *, quiet: bool
) -> dict[Way, dict[str, Curves]]:
    """The columns of :func:`curve` for all images of each split, each way, on the CPU; a row for each T' ``asked``.

    ``every`` as :func:`ways` gives it. The network comes back as it was.
    """
    first, *others = every
    rows: dict[Way, dict[str, list[Curves]]] = {way: {split: [] for split in subject.there} for way in others}
    for given in tqdm(asked.steps, desc="other ways", unit="T", disable=quiet or not others):
        views = {frames: _view(subject, frames, given, sample) for frames in {way.frames for way in others}}
        for way in others:
            for split, found in _given(views[way.frames], way.statistics, given, sample):
                rows[way][split].append(found)
    stacked = {way: {split: _stacked(found) for split, found in splits.items()} for way, splits in rows.items()}
    return {first: {split: _first(subject, split, asked, sample) for split in subject.there}} | stacked


def _first(subject: Subject, split: str, asked: Askable, sample: Sample) -> Curves:
    """The columns for every T' ``asked``: from one pass, or from one for each where the one doesn't hold them."""
    if asked.held:
        rows = [steps - 1 for steps in asked.steps]
        return {name: row[rows] for name, row in _pass(subject, split, asked.steps[-1], sample).items()}
    return _stacked([{name: row[-1] for name, row in _pass(subject, split, T, sample).items()} for T in asked.steps])


def _pass(subject: Subject, split: str, steps: int, sample: Sample) -> Curves:
    batches = subject.batches(split, sample.images, sample.chunk)
    parts = []
    for output, target in subject.outputs(batches, steps):
        with asked_for(subject, steps):
            parts.append(_columns(subject, output, target))
    return {name: torch.cat([part[name] for part in parts], dim=1).cpu() for name in parts[0]}


def _columns(subject: Subject, output: Tensor, target: Any) -> Curves:
    """The columns of one batch: of classes those of :func:`curve`, equations 7 and 9 where there is time."""
    if subject.layout.answers != "classes":
        return answered(subject, output, target)
    found = curve(output, target.long())
    if subject.layout.time is None:
        found = {name: values for name, values in found.items() if not name.startswith("loss_")}
        if subject.spikes:  # of several steps the answer to all alone is known
            found |= {name: found[name] * torch.nan for name in ("accuracy_at_step", "class_at_step")}
    return found | own_losses(subject, output, target)


def _view(subject: Subject, frames: str, steps: int, sample: Sample) -> Subject:
    """The network with the data that this many frames are taken from."""
    if frames != RECUT or subject.dataset is None or steps == subject.dataset.steps:
        return subject
    arguments = subject.dataset.arguments | {"timesteps": steps}
    found = data.load(subject.dataset.name, root=sample.root, **arguments)
    return replace(subject, dataset=found, train=found.train, test=found.test)


def _given(subject: Subject, statistics: str, steps: int, sample: Sample) -> Iterator[tuple[str, Curves]]:
    """Each split's columns for this many steps."""
    with preserved(subject.network):
        if statistics == RECALIBRATED:
            batches = subject.batches("train", sample.images, sample.chunk)
            recalibrate(subject.network, batches, **subject.given(steps))
        for split in subject.there:
            yield split, {name: values[-1] for name, values in _pass(subject, split, steps, sample).items()}


def _stacked(rows: list[Curves]) -> Curves:
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
