"""The estimated norm is as close as it says, and stops at the error asked for."""

import numpy as np
import pytest

from landscape.spectrum import frobenius
from landscape.spectrum.frobenius import FrobeniusEstimate

from ..oracles import Dense, symmetric

SPECTRA = {
    "flat": np.linspace(0.5, 1.5, 60),
    "power law": 1 / np.arange(1, 61),
    "one outlier": np.r_[10, np.full(59, 0.3)],
    "indefinite": np.linspace(-1, 1.5, 60),
}


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", SPECTRA)
def test_over_many_seeds_at_least_19_in_20_are_within_196_standard_errors(name):
    matrix, truth = symmetric(SPECTRA[name]), np.linalg.norm(SPECTRA[name])
    found = [frobenius(Dense(matrix), probes=10, seed=seed) for seed in range(300)]
    errors, stderr = np.array([(one.value - truth, one.stderr) for one in found]).T
    assert np.mean(np.abs(errors) <= 1.96 * stderr) >= 0.93  # 0.95 less 1.6 standard deviations of the count
    assert np.sqrt(np.mean(stderr**2)) < 4 * errors.std()
    assert abs(errors.mean()) < np.mean(stderr**2) / (2 * truth) + 3 * errors.std() / 300**0.5  # the bias stated


def test_it_is_the_root_of_the_sum_of_squares_where_probes_fill_the_space():
    matrix = symmetric(np.linspace(-2, 3, 12))
    found = frobenius(Dense(matrix), probes=12)
    assert (found.probes, found.products, found.stderr, found.converged) == (12, 48, 0.0, True)
    assert found.value == pytest.approx(np.linalg.norm(matrix), rel=1e-12)


def test_its_products_are_all_reported():
    operator = Dense(symmetric(SPECTRA["flat"]))
    made: list[int] = []
    found = frobenius(operator, probes=5, progress=made.append)
    assert operator.products == found.products == sum(made) == 20


def test_it_stops_at_the_relative_error_asked_for():
    matrix = symmetric(SPECTRA["indefinite"])
    first = frobenius(Dense(matrix), probes=6)
    relative = first.stderr / first.value
    assert frobenius(Dense(matrix), probes=6, tolerance=1.01 * relative) == first
    further = frobenius(Dense(matrix), probes=6, tolerance=0.99 * relative)
    assert further.converged
    assert further.probes > 6
    assert further.stderr <= 0.99 * relative * further.value


def test_when_products_run_out_first_it_says_so():
    operator = Dense(symmetric(SPECTRA["indefinite"]))
    found = frobenius(operator, probes=4, tolerance=1e-4, max_products=27)
    assert not found.converged
    assert operator.products == found.products == 24


def test_the_zero_matrix_has_norm_zero():
    assert frobenius(Dense(np.zeros((5, 5)))) == FrobeniusEstimate(0.0, 0.0, 1, 2, True)


def test_the_frame_holds_one_row():
    frame = frobenius(Dense(symmetric(SPECTRA["flat"])), probes=2).to_frame()
    assert list(frame.columns) == ["frobenius", "stderr", "probes", "products", "converged"]
    assert len(frame) == 1


def test_probes_that_share_products_give_the_same():
    alone, together = (frobenius(Dense(symmetric(SPECTRA["indefinite"])), probes=6, block=block) for block in (1, 4))
    assert together.value == pytest.approx(alone.value, rel=1e-12)
    assert together.products == alone.products
