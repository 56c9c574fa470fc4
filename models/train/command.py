"""Train a network with SDT or TET and keep what every analysis needs.

    python -m models.train --loss tet --data digits --out runs/tet-0
    python -m models.train --recipe cifar100-resnet19-tet --timesteps 6 --device cuda --out runs/c100-tet-0

writes ``ckpt.pt`` (see :mod:`models.checkpoint`) and ``history.csv`` (one row per epoch: both losses and the accuracy
on training and test images in eval mode, the learning rate, seconds). The result is the last epoch's weights, never the
best test epoch's. ``--until-loss`` ends a run by its training loss instead of its length:
:mod:`models.training.stopping`. ``--recipe`` starts from a row of the paper's tables (:mod:`models.training.recipes`),
``--phases`` changes loss, T or learning rate on the way (:mod:`models.training.phases`), torchrun makes it several
processes (:mod:`models.training.parallel`), and ``--dry-run`` says what it would cost (:mod:`models.training.cost`).
``--method NAME`` is what tables and comparisons call this way of training, by default the loss's name; ``--vary-data``
draws the training images with the seed.

Started again with the same settings it goes on after the last epoch saved, to the same weights, bit for bit on a CPU,
however it ended: killed, also while saving; SIGTERM (status 143); a full disk; a loss that is no number. The last good
checkpoint stays, and temporary files are removed at the next start. A finished run is left alone.
"""

import sys
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path

from tables.files import alone, remove_leftovers

from .. import heap, processes
from ..checkpoint import Checkpoint, load
from ..training import cost, phases
from ..training.recipe import resolved, settings, timeline
from ..training.run import Run
from ..training.stopping import finished, near, warn_unreached
from .flags import Config


def run(config: Config) -> Checkpoint:
    """Train, or go on training, and return the finished checkpoint.

    Raises ValueError for unusable settings, for a folder that holds another run, and when the loss stops being finite;
    OSError when something can't be saved or another process trains there; Terminated (a SystemExit) at SIGTERM. The
    last good checkpoint stays.
    """
    with processes.joined(config.device):
        config = resolved(_settled(config))
        with alone(config.out) if processes.is_main() else nullcontext():
            return _finish(config)


def _settled(config: Config) -> Config:
    """The settings with the folders that they name as they are now, whatever folder the user's code goes to."""
    root = config.data_root and str(Path(config.data_root).absolute())
    return replace(config, out=config.out.absolute(), data_root=root)


def done(config: Config) -> bool:
    """Whether a run is finished, so that :func:`run` would find nothing to do. Raises what it would."""
    config = resolved(config)
    with alone(config.out):
        previous = _found(config)
    if previous is None or not finished(previous.training):
        return False
    warn_unreached(previous, config.out)
    return True


def _finish(config: Config) -> Checkpoint:
    previous = processes.shared(_found(config) if processes.is_main() else None)
    if previous and finished(previous.training):
        _say(f"{near(config.out) / 'ckpt.pt'}: finished already, nothing to do")
        checkpoint = previous
    else:
        if config.phases:
            _say(f"{near(config.out)}: {phases.described(timeline(config))}")
        checkpoint = Run(config, previous).finish(config.out / "ckpt.pt")
    if processes.is_main():
        warn_unreached(checkpoint, near(config.out))
    return checkpoint


def _say(line: str) -> None:
    if processes.is_main():
        print(line, file=sys.stderr)


def _found(config: Config) -> Checkpoint | None:
    """What lies in the run's folder, without what a kill left half-written."""
    previous = _previous(config.out / "ckpt.pt", config)
    remove_leftovers(config.out, "ckpt.pt", "history.csv", "momentum_history.csv", ".writable")
    remove_leftovers(config.out / "snapshots", "epoch-*.pt")
    return previous


def _previous(path: Path, config: Config) -> Checkpoint | None:
    """The checkpoint of an interrupted or finished run with these very settings, if there is one."""
    if not path.exists():
        return None
    previous = load(path)
    usual = {field.name: field.default for field in fields(Config)} | {"code": None}  # of settings younger than it
    changed = [
        f"{name} was {before!r}, now {value!r}"
        for name, value in settings(config).items()
        if (before := previous.training.get(name, usual[name])) != value
    ]
    if changed:
        raise ValueError(f"{near(path)} holds a run with other settings ({'; '.join(changed)}): choose another --out")
    previous.check_data()
    if previous.resume is None and not finished(previous.training):
        raise ValueError(
            f"{near(path)} holds weights without the optimizer's state, nothing to go on from: choose another --out"
        )
    return previous


def show(config: Config) -> None:
    """Train, or print what that would cost."""
    if config.dry_run:
        print(cost.estimate(resolved(config)))
    else:
        if config.keep_spikes == "values":  # as bits they are to save memory, and what is kept leaves gaps
            heap.keep_freed()
        run(config)
