"""How long an iteration will take is foretold within a factor of two on most spectra, and said in words."""

import math

import numpy as np
import pytest

from landscape.spectrum import Outlook, Ritz, Wanted, lanczos
from landscape.spectrum.forecast import duration, products, remaining, values

from .test_krylov import Diagonal

N = 3000
RANKS = np.arange(1, N + 1)
RNG = np.random.default_rng(0)
SPECTRA = {
    "power law": 30 / RANKS**0.7,
    "steeper power law": 30 / RANKS,
    "five outliers over a bulk": np.r_[30, 24, 20, 15, 12, 1.5 * RNG.normal(size=N - 5)],
    "ten outliers over a bulk with tails": np.r_[np.linspace(40, 8, 10), 0.5 * RNG.laplace(size=N - 10)],
    "ten outliers close together": np.r_[np.linspace(22, 14, 10), 0.7 * RNG.laplace(size=N - 10)],
    "exponential decay": 40 * np.exp(-RANKS / 8),
    "squares of normal numbers": 2 * RNG.normal(size=N) ** 2,
}


def course(name: str, top: int, tolerance: float) -> list[Ritz]:
    seen: list[Ritz] = []
    found = lanczos(Diagonal(SPECTRA[name]), top=top, tolerance=tolerance, watch=seen.append, progress=False)
    assert found.converged.all()
    return seen


@pytest.fixture(scope="module")
def courses() -> dict[tuple[str, int, float], list[Ritz]]:
    """Outer eigenvalues of spectra like networks', to the tolerances that people ask for."""
    wanted = [(top, tolerance) for top in (1, 3, 5, 8) for tolerance in (1e-1, 1e-2, 1e-3)]
    return {(name, *one): course(name, *one) for name in SPECTRA for one in wanted}


def test_before_it_begins_the_products_are_told_within_a_factor_of_two_in_nine_cases_of_ten(courses):
    told = [products(Wanted(top, 0, 0, tolerance)) / seen[-1].products for (_, top, tolerance), seen in courses.items()]
    assert np.mean(np.abs(np.log2(told)) <= 1) >= 0.9
    assert np.abs(np.log2(told)).max() < 1.5


@pytest.mark.parametrize(("share", "within"), [(0.5, 1.8), (0.75, 1.75)])
def test_on_the_way_the_residuals_tell_it_better(courses, share, within):
    told = []
    for (_, top, tolerance), seen in courses.items():
        outlook = Outlook(Wanted(top, 0, 0, tolerance), most=200)
        for one in seen[: max(1, round(share * len(seen)))]:
            outlook.add(one)
        told.append(outlook.total / seen[-1].products)
    assert np.mean(np.abs(np.log2(told)) <= np.log2(within)) >= 0.9


def test_what_has_converged_needs_nothing_more_and_what_stands_still_is_not_about_to_end():
    falling = [(made, 0.5**made) for made in range(1, 11)]
    assert remaining(falling, 20.0, 0.5**10) == 0
    assert remaining(falling, 14.0, 0.5**14) == pytest.approx(4, rel=0.3)
    assert remaining([(made, 0.1) for made in range(1, 21)], 10.0, 1e-3) >= 10
    assert remaining([(1, math.inf)], 20.0, 1e-3) == 19


def test_the_smallest_of_an_indefinite_matrix_are_expected_to_take_longer():
    assert products(Wanted(5, 1, 0, 1e-2)) == products(Wanted(0, 1, 0, 1e-2)) == 30
    assert products(Wanted(0, 0, 5, 1e-2)) == products(Wanted(5, 0, 0, 1e-2)) == pytest.approx(16.55)


def test_it_is_said_in_words_how_long_a_product_and_the_whole_take():
    now = iter([0.0, 4.0, 8.0, 8.0])
    outlook = Outlook(Wanted(5, 0, 0, 1e-2), most=200, clock=lambda: next(now))
    outlook.add(Ritz(1, np.array([1]), np.array([28.0]), np.array([2.8]), 28.0))
    assert outlook.forecast() == "4.0 s a product; five values at 1e-02 take about 17 products, 68 s"
    outlook.add(Ritz(2, np.array([1, 2]), np.array([30.0, 20.0]), np.array([3.0, 10.0]), 30.0))
    assert str(outlook) == "30 20, residual 5e-01, about 60 s left"


def test_no_more_time_is_foretold_than_is_allowed():
    now = iter([0.0, 4.0])
    outlook = Outlook(Wanted(5, 0, 0, 1e-2), most=10, seconds=10.0, clock=lambda: next(now))
    outlook.add(Ritz(1, np.array([1]), np.array([28.0]), np.array([2.8]), 28.0))
    assert outlook.total == 10
    assert outlook.left == 6
    assert outlook.forecast().endswith("about 10 products, 40 s, 10 s allowed")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0123, "0.012 s"), (4.0, "4.0 s"), (80.2, "80 s"), (720.0, "12 min"), (11_160.0, "3.1 h")],
)
def test_durations_are_said_as_people_say_them(seconds, said):
    assert duration(seconds) == said


def test_numbers_are_words_up_to_ten():
    assert [values(count) for count in (1, 5, 12)] == ["one value", "five values", "12 values"]
