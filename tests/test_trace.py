"""The trace estimate is unbiased and says truthfully how far off it is."""

import numpy as np
import pytest

from landscape.trace import trace

from .oracles import Dense, symmetric

MATRIX = symmetric(np.linspace(-1, 3, 20))
OFF_DIAGONAL = float(2 * ((MATRIX**2).sum() - (np.diag(MATRIX) ** 2).sum()))


def test_a_diagonal_matrix_has_no_error():
    estimate = trace(Dense(np.diag([1.0, -2.0, 5.0])), probes=3, seed=4)
    assert (estimate.value, estimate.stderr, estimate.probes) == (4.0, 0.0, 3)


def test_over_many_seeds_the_estimate_is_unbiased_and_its_error_is_covered_as_claimed():
    estimates = [trace(Dense(MATRIX), probes=25, seed=seed) for seed in range(400)]
    errors = np.array([estimate.value for estimate in estimates]) - MATRIX.trace()
    stderr = np.array([estimate.stderr for estimate in estimates])
    spread = (OFF_DIAGONAL / 25) ** 0.5  # closed form of Hutchinson's variance
    assert abs(errors.mean()) < 3 * spread / 400**0.5
    assert errors.std() == pytest.approx(spread, rel=0.1)
    assert stderr.mean() == pytest.approx(spread, rel=0.05)
    assert np.mean(np.abs(errors) < stderr) == pytest.approx(0.673, abs=0.07)  # Student's t, 24 degrees of freedom
    assert np.mean(np.abs(errors) < 2 * stderr) == pytest.approx(0.943, abs=0.035)


def test_each_probe_costs_one_product_and_reports_it():
    operator = Dense(MATRIX)
    calls: list[int] = []
    trace(operator, probes=7, seed=0, progress=calls.append)
    assert operator.products == 7
    assert calls == [1] * 7


def test_the_seed_decides():
    first, again, other = (trace(Dense(MATRIX), probes=5, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_single_probe_has_no_error_bar_and_is_refused():
    with pytest.raises(ValueError, match="at least 2 to have a standard error, got 1"):
        trace(Dense(MATRIX), probes=1)


def test_the_frame_holds_the_columns_of_the_table():
    frame = trace(Dense(MATRIX), probes=2).to_frame()
    assert list(frame.columns) == ["trace", "stderr", "probes"]
    assert len(frame) == 1
