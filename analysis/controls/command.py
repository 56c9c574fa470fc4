"""Controls whose answer is known beforehand: a measure of flatness is worth believing only where it passes them.

    python -m analysis.controls --out runs/controls                      # trains what it takes, on digits
    python -m analysis.controls --only sam halves --method tet --seeds 8
    python -m analysis.controls runs/*/ckpt.pt --out runs/mine           # your networks: those that train nothing

trains networks as :mod:`analysis.sweep` does (each a task of its own; after a kill the same command goes on), makes
copies of some, measures all by its standard set, and writes ``OUT/tables/controls.csv``: a row for each measure,
control and level, with the verdict, by how much, the interval, and why. The controls, what each says and what not, are
in docs/concepts/controls.md:

- ``sam``: trained to be flat at its radius, SAM and ASAM (:mod:`analysis.controls.compared`)
- ``rescaled``: the same function with weights before BatchNorms rescaled (:mod:`analysis.controls.copies`)
- ``random-labels``: memorised labels at random: the gap is as large as can be
- ``halves``: two halves of one method's seeds (:mod:`analysis.controls.halves`)
- ``confident``: the same decisions with logits multiplied
- ``counter``: learning rate and batch size, which change curvature more than the gap
- ``forced``: SAM at growing radii: does the gap fall with the measure? (:mod:`analysis.controls.forced`)

``python -m analysis.compare DIR --controls OUT/tables/controls.csv`` doubts rows whose measure failed one. Networks
that diverged are told and in no comparison. Where one fails otherwise, the command ends with exit status 1.
"""

import sys
import time
from dataclasses import asdict

import pandas as pd

from tables.files import alone
from tables.record import provenance, sha256
from tables.result import Result
from tables.schema import columns_of

from ..sweep.command import forecast
from .flags import Config
from .networks import Networks, given, levels, trained
from .plan import asked, cells, check, plan
from .rows import rows
from .shown import table


def run(config: Config) -> Result:
    """Table controls.

    Raises ValueError for controls that can't be made, and FileNotFoundError for a checkpoint that isn't there; networks
    that failed are in the provenance, as ``failed``; OSError where others are being made in the same folder.
    """
    controls = asked(config)
    check(config)
    with alone(config.out):
        return _carried_out(config, controls)


def _carried_out(config: Config, controls: tuple[str, ...]) -> Result:
    started = time.perf_counter()
    if config.checkpoints:
        wanted, found = None, given(config, controls)
    else:
        wanted = cells(config, controls)
        found = trained(config, controls, plan(config, controls, wanted), wanted.base)
    _check_copies(found, controls)
    every = rows(found, controls, wanted, config.gap, config.loss)
    if not every:
        raise ValueError(f"no measure of flatness comes from {', '.join(config.measures)}: ask for more --measures")
    frame = pd.DataFrame(every)[columns_of("controls")]
    told = asdict(config)
    digests = {path.as_posix(): sha256(path) for path in config.checkpoints}
    record = provenance(told, digests, time.perf_counter() - started)
    result = Result({"controls": frame}, record | ({"failed": list(found.failed)} if found.failed else {}))
    result.save(config.out / "tables")
    return result


def _check_copies(found: Networks, controls: tuple[str, ...]) -> None:
    """Say which copies could not be had; ValueError where nothing else is asked for and there are none."""
    if found.lost and set(controls) <= {"rescaled", "confident"} and not found.copies:
        raise ValueError(next(iter(found.lost.values())))
    for reason in dict.fromkeys(found.lost.values()):
        print(reason, file=sys.stderr)


def show(config: Config) -> None:
    """Put measures to the controls and print what came of it, or say what it would cost."""
    if config.dry_run:
        print(_forecast(config))
        return
    result = run(config)
    print(table(result.to_frame()))
    print(f"written to {config.out / 'tables'}: controls.csv", file=sys.stderr)
    if failed := result.provenance.get("failed"):
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise ValueError(f"a network failed: {failed[0]}{more}")


def _forecast(config: Config) -> str:
    controls = asked(config)
    check(config)
    each = sum(map(len, levels(config, controls).values()))
    if config.checkpoints:
        return f"{len(config.checkpoints)} networks to measure, and {each} copies of each"
    copies = f", and {each * config.seeds} copies to be measured" if each else ""
    return forecast(plan(config, controls, cells(config, controls)), config.jobs) + copies
