"""Intervals over seeds miss nothing no oftener than they say, where networks of a seed are much alike."""

import numpy as np
import pytest

from analysis.compare.rank_interval import tau_interval
from analysis.generalization.environments import coupled, environments
from analysis.generalization.granulated import granulated, psi
from analysis.generalization.jackknife import interval
from analysis.generalization.pairs import pairs_of
from analysis.generalization.ranks import p_values, tau

from .sweeps import sweep

FACTORS = {"method": ("a", "b"), "learning_rate": ("1", "2"), "batch_size": ("1", "2")}
SEEDS, TIMES = 4, 150
MOST = 0.07


def test_an_interval_by_hand():
    """Values without each of three seeds 1 2 3, so S = 3: error √(2/3 · 2), t(0.975; 2) = 4.303."""
    low, high = interval(np.array([2.0, 1, 2, 3]), -9.0, 9.0)
    assert (low, high) == (
        pytest.approx(2 - 4.3027 * np.sqrt(4 / 3), abs=1e-3),
        pytest.approx(2 + 4.3027 * np.sqrt(4 / 3), abs=1e-3),
    )
    assert interval(np.array([0.5, 0.4, 0.5, 0.6]))[1] == pytest.approx(
        min(1.0, 0.5 + 4.3027 * np.sqrt(2 * 0.02 / 3)), abs=1e-3
    )


@pytest.mark.parametrize("leaving", [[1.0, 1, 1, 1], [0.5, 0.5], [0.5, np.nan, 0.4, 0.3], [np.nan]])
def test_what_has_no_interval(leaving):
    assert np.isnan(interval(np.array(leaving))).all()


def test_sizes():
    rng = np.random.default_rng(11)
    wrong: dict[str, list[bool]] = {name: [] for name in ("tau", "partial", "granulated", "sign_error", "p")}
    for _ in range(TIMES):
        gap, measure, other = (
            np.sqrt(0.9) * np.tile(rng.normal(size=SEEDS), 8) + np.sqrt(0.1) * rng.normal(size=8 * SEEDS)
            for _ in range(3)
        )
        one = sweep(gap, factors=FACTORS, seeds=SEEDS)
        of = pairs_of(one)
        ours, theirs, given = of.signs(measure), of.signs(gap), of.signs(other + gap)
        errors = environments(ours, theirs, np.ones(len(ours)), coupled(of, one.settings))
        taus = {
            "tau": tau(of, ours, theirs),
            "partial": tau(of, ours, theirs, given),
            "sign_error": 1 - 2 * errors.mean,
        }
        found = {
            name: tau_interval(float(leaving[0]), leaving[1:], one.methods, one.seeds.tolist(), within=False)
            for name, leaving in taus.items()
        }
        each = [psi(ours, theirs, of, factor) for factor in range(3)]
        found["granulated"] = interval(granulated({at: known for at, known in enumerate(each) if known}))
        for name, (low, high) in found.items():
            wrong[name].append(not low <= 0 <= high)
        (p,) = p_values(gap, ours[None], of, one.settings, deals=99, seed=0)
        wrong["p"].append(p <= 0.05)
    assert {name: rate for name, some in wrong.items() if (rate := float(np.mean(some))) > MOST} == {}
