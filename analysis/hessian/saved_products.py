"""Products kept in a folder until the tables are written, so that a run that was killed goes on where it was.

Every matrix has a folder of its own in ``--record``, named by checkpoint, loss, operator, coordinates, and layer or
timestep. A folder of the same name that was made with other images, in another precision or from another checkpoint is
refused. Other flags may change: what was computed of the same matrix is used. See
:mod:`landscape.curvature.saved_products`.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from landscape.curvature import Operator, Recorded
from landscape.objective import Objective
from models import processes

from ..subject import Subject
from .flags import Config

_DIGITS = 12


def kept(
    operator: Operator, subject: Subject, objective: Objective, config: Config, key: Mapping[str, str | int]
) -> Operator:
    """``operator``, with its products kept in a folder named by ``key`` where ``config.record`` asks for it."""
    if config.record is None:
        return operator
    about = {
        **key,
        "sha256": subject.sha256,
        "split": config.split,
        "images": objective.size,
        "dtype": config.dtype,
        "tf32": int(config.tf32),
        "label_draws": config.label_draws,
        "seed": config.seed,
    }
    name = "-".join([subject.sha256[:_DIGITS], *map(str, key.values())])
    return Recorded(operator, config.record / name, about=about, write=processes.is_main())


def forget(folder: Path, digests: Iterable[str]) -> None:
    """Delete what :func:`kept` wrote of the checkpoints with these sha256, and ``folder`` if nothing else is in it.

    What a kill left half-written goes too. Another process may be doing the same.
    """
    for digest in digests:
        for record in folder.glob(f"{digest[:_DIGITS]}-*"):
            for file in [*record.glob("*.product*"), *record.glob("about.json*")]:
                file.unlink(missing_ok=True)
            _remove_empty(record)
    _remove_empty(folder)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # something else is in it, or it is gone
        folder.rmdir()
