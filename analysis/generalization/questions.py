"""What is asked of a sweep: each gap, among all networks, among pairs of one method, and among each method's own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from ..compare.correlation import ALL, WITHIN
from .environments import Coupled, coupled
from .flags import Weighting
from .information import Cells, Given, cells_of, information, least, sets
from .pairs import Pairs, pairs_of
from .ranks import deal, p_values
from .reading import Tables
from .references import held_fixed
from .sweep import Sweep
from .weights import weights

FEWEST = 3  # networks
_CHANCE = 99  # deals that K's chance is made of


@dataclass(frozen=True)
class Asked:
    """What the command line says of the statistics."""

    deals: int
    seed: int
    weighting: Weighting | None


@dataclass(frozen=True)
class Question:
    """One gap of some networks: what all measures are set against, and what they have in common then."""

    sweep: Sweep
    target: str
    among: str
    pairs: Pairs
    gap: Float[np.ndarray, " pair"]
    weights: Float[np.ndarray, " pair"]
    weighting: str
    cells: Mapping[Given, Cells]
    coupled: Coupled
    words: Mapping[int, Mapping[str, str]]
    given: Mapping[str, Float[np.ndarray, " pair"]]
    chance: float


def questions(sweep: Sweep, tables: Tables, asked: Asked) -> Iterator[Question]:
    """Those that three networks or more, which differ in some factor, have an answer to."""
    methods = list(dict.fromkeys(sweep.methods))
    parts = [(ALL, sweep, False)]
    if len(methods) > 1:
        own = [(name, sweep.chosen(np.array(sweep.methods) == name), False) for name in methods]
        parts += [(WITHIN, sweep, True), *own]
    for among, part, within in parts:
        if part.levels.empty or len(part.seeds) < FEWEST:
            continue
        of = pairs_of(part, within=within)
        environments = coupled(of, part.settings)
        words = dict(zip(environments.example.tolist(), _words(part, of, environments.example), strict=True))
        given = {name: of.signs(values) for name, values in held_fixed(part).items()}
        for target, gap in part.gaps.items():
            signs = of.signs(gap)
            cells = {held: cells_of(of, held, signs) for held in sets(part.levels.shape[1])}
            weigh, weighting = weights(part, tables, target, of, asked.weighting)
            chance = _chance(part, gap, of, asked) if among == ALL else np.nan
            yield Question(
                part, target, among, of, signs, weigh, weighting, cells, environments, words, given, chance
            )  # fmt: skip


def _words(sweep: Sweep, of: Pairs, examples: Int[np.ndarray, " environment"]) -> Iterator[dict[str, str]]:
    """For each pair the factor in which it differs, its two levels, and the levels of the others."""
    names, words = list(map(str, sweep.levels)), sweep.levels.to_numpy(str)
    for pair in examples:
        own, factor = words[of.first[pair]], of.alone[pair]
        level, other = sorted([own[factor], words[of.second[pair], factor]])
        fixed = ", ".join(
            f"{name} {word}" for at, (name, word) in enumerate(zip(names, own, strict=True)) if at != factor
        )
        yield {"factor": names[factor], "level": str(level), "other_level": str(other), "fixed": fixed}


def _chance(sweep: Sweep, gap: Float[np.ndarray, " network"], of: Pairs, asked: Asked) -> float:
    """The 95th percentile of K for the gap dealt anew."""
    dealt = deal(sweep.settings, sweep.seeds, most=_CHANCE, seed=asked.seed)
    whole = replace(of, block=np.zeros_like(of.block), groups=1)
    cells = {given: cells_of(whole, given, of.signs(gap)) for given in sets(sweep.levels.shape[1])}
    others = (of.signs(gap[order]) for order in dealt.order)
    found = [least({given: information(signs, one) for given, one in cells.items()})[0][0] for signs in others]
    return float(np.quantile(found, 0.95))


def p_of(question: Question, asked: Asked) -> list[float]:
    """Of every measure; networks that lack one are left out of its deals. None within methods, which can't be dealt."""
    sweep, found = question.sweep, np.full(len(question.sweep.measured), np.nan)
    if question.among == WITHIN:
        return found.tolist()
    gap = sweep.gaps[question.target]
    masks = [tuple(~np.isnan(one.values) & ~np.isnan(gap)) for one in sweep.measured]
    for mask in set(masks):
        if sum(mask) >= FEWEST:
            kept, which = np.array(mask), [place for place, one in enumerate(masks) if one == mask]
            own = sweep.chosen(kept)
            of = pairs_of(own) if not own.levels.empty else None
            if of is not None:
                signs = np.array([of.signs(own.measured[place].values) for place in which])
                found[which] = p_values(
                    own.gaps[question.target], signs, of, own.settings, deals=asked.deals, seed=asked.seed
                )
    return found.tolist()
