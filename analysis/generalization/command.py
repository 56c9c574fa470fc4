"""Whether measures order the networks of a sweep as their generalization gaps do: all, and factor by factor.

    python -m analysis.generalization runs/sweep
    python -m analysis.generalization runs/sweep --factors learning_rate batch_size method --latex table.tex
    python -m analysis.generalization runs/sweep --gap loss shifted_loss

reads the tables in ``runs/sweep/tables`` (and in every other folder named: parts of one sweep), of networks that differ
in the settings that table ``settings`` records, and writes beside them

- ``generalization.csv``, a row for each measure, gap (:mod:`analysis.generalization.gaps`) and choice of networks (all,
  pairs of one method, each method's): Kendall's τ, the granulated Ψ (:mod:`analysis.generalization.granulated`), the
  conditional mutual information K (:mod:`analysis.generalization.information`), mean and worst sign error
  (:mod:`analysis.generalization.environments`); and τ given training loss, logit scale, norm and all of these
  (:mod:`analysis.generalization.ranks`)
- ``psi.csv`` and ``information.csv``: ψ of each factor, Î of each set of factors; ``sign_errors.csv``: each environment
- ``measures.csv``: the numbers that all this is made of, as python -m analysis.compare writes them

Reference measures stand among the others, marked in column control (:mod:`analysis.generalization.references`).
Intervals are over seeds, whose networks are left out together, for these settings
(:mod:`analysis.generalization.jackknife`). Diverged runs are kept: an infinite gap or measure is ranked as the largest,
a network without one is in no rank, and both are counted in every row. No checkpoint is opened.
"""

import math
import time
from dataclasses import asdict, replace

import pandas as pd

from tables.latex import written
from tables.record import provenance
from tables.result import Result, made_of
from tables.schema import columns_of

from .flags import Config
from .questions import Asked
from .reading import read
from .references import references
from .rows import Rows, rows
from .shown import latex, table
from .sweep import sweeps


def run(config: Config) -> Result:
    """The tables generalization, psi, information, sign_errors and measures.

    Raises FileNotFoundError for a folder without tables, ValueError where there is nothing to set against a gap.
    """
    started = time.perf_counter()
    if not 0 < config.noise < math.inf:
        raise ValueError(f"the oracle's noise must be above 0 and finite, got {config.noise:g}: at 0 it is the gap")
    if config.deals < 1:
        raise ValueError(f"at least one deal is needed, got {config.deals}")
    tables, found = read(config.folders), Rows()
    for sweep in sweeps(tables, config.factors, config.gap):
        known = references(sweep, tables, noise=config.noise, seed=config.seed)
        sweep = replace(sweep, measured=(*sweep.measured, *known))
        for name, some in rows(sweep, tables, Asked(config.deals, config.seed, config.weights)).items():
            found.setdefault(name, []).extend(some)
    frames = {name: pd.DataFrame(some, columns=columns_of(name)) for name, some in found.items() if some}
    frames["measures"] = tables.values[columns_of("measures")]
    asked = asdict(config)
    record = provenance(asked, {}, time.perf_counter() - started)
    amiss = {"changed": list(tables.changed), "contents": tables.contents}
    return Result(frames, record | {name: one for name, one in amiss.items() if one})


def show(config: Config) -> None:
    """Set measures against gaps, write the tables, and print the first."""
    result = run(config)
    with written(config.latex, lambda: latex(result.to_frame())):
        made_of(config.folders, result, "generalization", config.out)
    print(table(result.to_frame()))
