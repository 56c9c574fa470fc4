"""Temporal scalability: what one network says as it is given more or fewer steps.

    python -m analysis.timesteps runs/tet-0/ckpt.pt

measures every T' up to twice the trained T from one pass; ``--recalibrate`` and ``--recut`` add other ways of giving
the network T' steps, which take a pass for each (:mod:`analysis.timesteps.curves`). Steps beyond the trained T show
the same static image for longer; a stream of events just ends. Several checkpoints trained at several T make Figure 4A
of Deng et al. 2022.

A row for T' is what the network says when it is given T' steps, which is tried for each on a few images: a T' at which
it fails, or its output has another shape, is left out, as a line on stderr and ``left_out`` in the table's record say.
Where one is, there is no table anytime, which is of all steps. Where nothing sets T, T' are its first steps.

Table ``timesteps.csv``, after checkpoint, network, data, method, training, seed, one row for each split, way and T':

- split ("train", "test"), frames ("repeated": a static image; "truncated": the first T' of the stream's frames;
  "recut"), statistics (BatchNorm's, "trained" or "recalibrated"), timesteps T', trained_timesteps, images
- accuracy_cumulative, of the mean of O(1) … O(T'); accuracy_at_step, of O(T') alone
- loss_sdt, loss_tet: equations 7 and 9 with T' for T (Deng et al. 2022), no regulariser; loss_at_step, the
  cross-entropy of O(T') alone
- agreement_cumulative, agreement_at_step, settling: :mod:`analysis.timesteps.agreement`, "final" meaning at the
  largest T'
- confidence, the largest softmax probability of the mean; ece, ece_null, bins: :mod:`analysis.timesteps.calibration`
- each of these but the null with its ``_stderr`` over images: the sample standard deviation over √images, which for an
  accuracy p is √(p(1−p)/(images−1)), and for the ece the bootstrap's. It says nothing of other training runs; spread
  over seeds does.

The network as it is must answer every image in numbers, else it is refused. At other T what an image's output that
isn't finite goes into is empty.

Table ``anytime.csv``: split, trained_timesteps, limit (the largest T'), images, and the columns of
:mod:`analysis.timesteps.anytime`, a row for each threshold. Of the first way alone: statistics of T' steps, or frames
of a T'-th of the stream, take knowing T' before beginning.

Table ``outcomes.csv``: every image's outcome at the T trained with (:mod:`analysis.timesteps.outcomes`), where the
largest T' reaches it.
"""

import numpy as np
import pandas as pd
import torch

from tables.result import Result

from ..command import LEFT_OUT, analyse
from ..subject import Askable, Subject, Subjects, Unsuited, askable, check_answers, likely
from .agreement import agreement
from .anytime import anytime, check_thresholds
from .calibration import calibration
from .curves import Curves, Sample, curves, ways
from .flags import Config
from .outcomes import outcomes


def measure(subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
    """The scalability curves of one checkpoint on both splits, its anytime inference, and every image's outcome.

    Raises ValueError for flags out of range, for --recut where there is no stream, where no T can be had, and where the
    network as it is has outputs or a loss that aren't finite.
    """
    check_thresholds(config.thresholds)
    asked, trained = askable(subject, horizon(subject, config.max_timesteps)), subject.trained_timesteps
    sample = Sample(config.images, config.chunk, config.data_root)
    every = ways(subject, recut=config.recut, recalibrated=config.recalibrate)
    left_out = asked.said(subject, quiet=config.quiet)
    found = curves(subject, every, asked, sample, quiet=config.quiet)
    rows = [
        _headed({"split": split, **way._asdict()}, _summary(one, trained, asked, config))
        for way, splits in found.items()
        for split, one in splits.items()
    ]
    for split, one in found[every[0]].items():
        _check(subject, split, one, asked.steps.index(trained) if trained in asked.steps else -1, config)
    named = {"timesteps": rows}
    if subject.layout.time is not None and subject.layout.answers == "classes":
        if left_out:
            left_out["anytime"] = "is left out: it takes every T up to the largest"
        else:
            place = {"trained_timesteps": trained, "limit": asked.steps[-1]}
            splits = found[every[0]]
            named["anytime"] = [_headed({"split": split} | place, _anytime(splits[split], config)) for split in splits]
    if trained in asked.steps:
        splits, row = found[every[0]], asked.steps.index(trained)
        named["outcomes"] = [_headed({"split": split}, outcomes(one, row)) for split, one in splits.items()]
    tables = {name: pd.concat(parts, ignore_index=True) for name, parts in named.items()}
    tables["timesteps"].attrs[LEFT_OUT] = left_out
    return tables


def _check(subject: Subject, split: str, found: Curves, row: int, config: Config) -> None:
    """Raise NotFinite where the network as it is has no answer to an image of ``split``, or a loss of NaN."""
    losses = {name.removeprefix("loss_"): values[row] for name, values in found.items() if _is_loss(name)}
    right = found["accuracy_cumulative"][row]
    check_answers(subject, split, config.images, right=right, losses=losses)


def _is_loss(name: str) -> bool:
    return name.startswith("loss_") and name != "loss_at_step"


def horizon(subject: Subject, asked: int | None) -> int:
    """The largest T to measure: what was asked, else the events' own, 1 without spikes, twice the trained one.

    Raises ValueError for fewer than one step, or more than the events have.
    """
    _check_known(subject)
    longest = subject.longest
    if asked is not None:
        if not 1 <= asked <= (longest or asked):
            limits = f"between 1 and the {longest} steps of the events" if longest else "at least 1"
            raise ValueError(f"--max-timesteps must be {limits}, got {asked}")
        return asked
    if longest:
        return longest
    return 2 * subject.trained_timesteps if subject.spikes else 1


def _check_known(subject: Subject) -> None:
    """Raise Unsuited where a network that spikes can't be asked for other numbers of steps, and T isn't known either.

    Or where later steps change what it says at earlier ones, so that one pass doesn't hold fewer.
    """
    spiking = subject.spiking
    if not subject.spikes or spiking is None or spiking.settable or subject.causal:
        return
    what = (
        "what its network answers at a step depends on later steps"
        if subject.layout.time is not None
        else "its network gives one answer for all its steps"
    )
    named = likely(subject.network)
    found = (
        f"its {named} looks like their number, and was not seen to set it alone. If it does, say so: "
        f'spiking=Spiking(timesteps="{named}")'
        if named
        else "nothing was found that sets their number. Say what does: spiking=Spiking(timesteps='T')"
    )
    raise Unsuited(
        f"{subject.title}: {what}, and {found}, the name of forward's keyword or of an attribute, or a function of "
        "network and T"
    )


def _headed(place: dict[str, str | int], table: pd.DataFrame) -> pd.DataFrame:
    """``table`` with columns before its own that say where it belongs."""
    return pd.DataFrame([place] * len(table)).join(table)


def _summary(found: Curves, trained: int, asked: Askable, config: Config) -> pd.DataFrame:
    """Means over images with their standard errors, one row a T'."""
    measured = {name: values for name, values in found.items() if not name.startswith("class")}
    if "confidence" in found:
        measured |= agreement(found["class_cumulative"], found["class_at_step"])
    steps, images = found["accuracy_cumulative"].shape
    table = pd.DataFrame({"timesteps": asked.steps, "trained_timesteps": trained, "images": images})
    for name, values in measured.items():
        table[name] = values.mean(1).numpy()
        spread = values.std(1) if images > 1 else torch.full((steps,), torch.nan)
        table[f"{name}_stderr"] = spread.numpy() / images**0.5
    return table.join(_calibration(*_certainty(found), config)) if "confidence" in found else table


def _certainty(found: Curves) -> tuple[np.ndarray, np.ndarray]:
    """How confident the mean output is, and whether it is right, [time, image]; NaN where it is no answer."""
    return found["confidence"].numpy(), found["accuracy_cumulative"].numpy()


def _calibration(confidence: np.ndarray, right: np.ndarray, config: Config) -> pd.DataFrame:
    generator = np.random.default_rng(config.seed)
    rows = [
        calibration(sure, hits, generator=generator, bins=config.bins)
        for sure, hits in zip(confidence, right, strict=True)
    ]
    return pd.DataFrame(
        [{"ece": one.ece, "ece_stderr": one.stderr, "ece_null": one.null, "bins": config.bins} for one in rows]
    )


def _anytime(found: Curves, config: Config) -> pd.DataFrame:
    confidence, right = _certainty(found)
    table = anytime(confidence, right, config.thresholds)
    table.insert(0, "images", confidence.shape[1])
    return table


def run(config: Config, subjects: Subjects = ()) -> Result:
    """The tables timesteps, anytime and outcomes of every subject."""
    return analyse(config, measure, subjects)
