"""Eigenpairs against dense eigendecompositions, and residuals that are what they say."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import eigsh

from landscape.curvature import Recorded, Scaled
from landscape.spectrum import Eigenpairs, Ritz, Wanted, lanczos, relative
from landscape.spectrum.density import tridiagonalize
from landscape.spectrum.krylov import Krylov
from landscape.spectrum.lanczos import _explored

from ..oracles import Dense, symmetric, textbook_lanczos

SPREAD = symmetric(np.concatenate([np.linspace(-1, 1, 95), [3.0, 4.0, 6.0, 10.0, 100.0]]), seed=1)
VALUES = st.one_of(st.just(0.0), st.floats(0.0625, 10, width=16), st.floats(-10, -0.0625, width=16))
SPECTRA = st.lists(VALUES, min_size=2, max_size=12)
REPEATED = st.lists(st.integers(-3, 3), min_size=2, max_size=14)


def true_residuals(operator: Dense, pairs: Eigenpairs) -> list[float]:
    values = torch.as_tensor(pairs.values).to(operator.dtype)
    return [
        float((operator.matrix @ vector - value * vector).norm())
        for value, vector in zip(values, pairs.vectors, strict=True)
    ]


@given(SPECTRA, st.data())
def test_the_ends_of_any_spectrum_are_found_with_true_residuals(spectrum, data):
    top = data.draw(st.integers(0, len(spectrum)))
    bottom = data.draw(st.integers(top == 0, len(spectrum) - top))
    operator = Dense(symmetric(spectrum))
    pairs = lanczos(operator, top=top, bottom=bottom, tolerance=1e-9)
    size = max(map(abs, spectrum))
    truth = np.linalg.eigvalsh(operator.matrix)
    assert pairs.converged.all()
    np.testing.assert_allclose(pairs.residuals, true_residuals(operator, pairs), atol=1e-12 * size)
    for value in pairs.values:
        assert np.abs(truth - value).min() <= 1e-9 * size
    np.testing.assert_allclose(pairs.vectors.norm(dim=1), 1, rtol=1e-12)
    if top + bottom == len(spectrum):
        np.testing.assert_allclose(np.sort(pairs.values), truth, atol=1e-9 * size)


@given(REPEATED, st.integers(0, 5), st.integers(0, 3))
def test_few_distinct_eigenvalues_come_with_their_multiplicities(spectrum, top, bottom):
    top = min(top, len(spectrum))
    bottom = min(max(bottom, int(top == 0)), len(spectrum) - top)
    pairs = lanczos(Dense(symmetric(spectrum)), top=top, bottom=bottom, tolerance=1e-9)
    ordered = sorted(spectrum)
    np.testing.assert_allclose(pairs.values, [*ordered[::-1][:top], *ordered[:bottom]], atol=1e-9)
    assert pairs.converged.all()
    gram = pairs.vectors @ pairs.vectors.T
    torch.testing.assert_close(gram, torch.eye(len(gram), dtype=gram.dtype), rtol=0, atol=1e-9)


@given(REPEATED, st.integers(1, 5))
def test_the_largest_in_size_come_from_both_ends_ranked_from_their_own(spectrum, largest):
    largest = min(largest, len(spectrum))
    pairs = lanczos(Dense(symmetric(spectrum)), largest=largest, tolerance=1e-9)
    np.testing.assert_allclose(np.abs(pairs.values), sorted(map(abs, spectrum), reverse=True)[:largest], atol=1e-9)
    assert pairs.converged.all()
    assert len(set(pairs.ranks)) == largest
    if pairs.products == len(spectrum):  # ranks count within the space that was grown: here all of it
        ordered = np.sort(spectrum)
        np.testing.assert_allclose(
            pairs.values, [ordered[-rank if rank > 0 else -rank - 1] for rank in pairs.ranks], atol=1e-9
        )


@pytest.mark.parametrize("max_basis", [None, 20])
def test_the_largest_in_size_are_those_of_arpack(max_basis):
    matrix = symmetric(np.concatenate([np.linspace(-1, 1, 95), [3.0, -4.0, 6.0, -10.0, 100.0]]), seed=1)
    pairs = lanczos(Dense(matrix), largest=4, tolerance=1e-9, max_basis=max_basis, max_products=400)
    expected = eigsh(matrix, k=4, which="LM", return_eigenvectors=False)
    assert pairs.converged.all()
    assert pairs.ranks.tolist() == [1, -1, 2, -2]
    np.testing.assert_allclose(pairs.values, sorted(expected, key=abs, reverse=True), rtol=1e-9)


@pytest.mark.parametrize(
    ("spectrum", "top", "bottom", "values", "products"),
    [
        ([3.0] * 10, 3, 2, [3, 3, 3, 3, 3], 5),
        ([0.0] * 10, 2, 0, [0, 0], 2),
        ([5.0, 5.0] + [0.0] * 20, 2, 0, [5, 5], 4),
        ([5.0, 4.0] + [0.0] * 20, 3, 0, [5, 4, 0], 4),
        ([5.0] + [0.0] * 20 + [-2.0, -2.0], 1, 3, [5, -2, -2, 0], 8),
    ],
)
def test_low_rank_and_degenerate_matrices_take_few_products(spectrum, top, bottom, values, products):
    pairs = lanczos(Dense(symmetric(spectrum)), top=top, bottom=bottom)
    np.testing.assert_allclose(pairs.values, values, atol=1e-12)
    assert pairs.converged.all()
    assert pairs.products <= products


def test_a_repeated_eigenvalue_is_seen_once_when_the_others_converge_before_the_space_is_exhausted():
    pairs = lanczos(Dense(symmetric([9.0, 9.0, 5.0, *np.linspace(-1, 1, 80)])), top=2, tolerance=1e-4)
    np.testing.assert_allclose(pairs.values, [9, 5], rtol=1e-6)
    assert pairs.products < 40


def test_a_run_cut_off_before_the_multiplicity_is_known_is_not_converged():
    pairs = lanczos(Dense(symmetric([5.0, 5.0] + [0.0] * 20)), top=2, max_products=2)
    np.testing.assert_allclose(pairs.values, [5, 0], atol=1e-12)
    assert not pairs.converged.any()


def test_a_larger_matrix_agrees_with_arpack():
    matrix = symmetric(np.random.default_rng(0).normal(size=300) ** 3, seed=2)
    pairs = lanczos(Dense(matrix), top=4, bottom=3, tolerance=1e-8, max_products=300)
    assert pairs.converged.all()
    np.testing.assert_allclose(pairs.values[:4], np.sort(eigsh(matrix, 4, which="LA")[0])[::-1], rtol=1e-10)
    np.testing.assert_allclose(pairs.values[4:], np.sort(eigsh(matrix, 3, which="SA")[0]), rtol=1e-10)
    assert pairs.ranks.tolist() == [1, 2, 3, 4, -1, -2, -3]


def test_too_few_products_are_reported_and_not_exceeded():
    operator = Dense(SPREAD)
    pairs = lanczos(operator, top=5, bottom=2, tolerance=1e-6, max_products=9)
    assert pairs.products == operator.products == 9
    assert pairs.converged[0]
    assert not pairs.converged[-1]
    np.testing.assert_allclose(pairs.residuals, true_residuals(operator, pairs), atol=1e-10)
    assert (pairs.converged == (pairs.residuals <= 1e-6 * np.abs(pairs.values))).all()


def test_each_eigenvalue_converges_against_its_own_size():
    """The bottom of a spectrum that ends near zero: beside the largest its residual would be small long before."""
    spectrum = np.concatenate([[100.0, 60.0, 40.0], np.linspace(0.05, 5, 80), [0.01]])
    operator = Dense(symmetric(spectrum, seed=1))
    cut = lanczos(operator, top=1, bottom=1, tolerance=1e-2, max_products=12)
    assert cut.residuals[-1] <= 1e-2 * 100  # which is nothing to go by: it is off by more than all of itself
    assert cut.values[-1] > 2 * 0.01
    assert cut.converged.tolist() == [True, False]
    np.testing.assert_allclose(cut.relative_residuals, cut.residuals / cut.values)
    whole = lanczos(operator, top=1, bottom=1, tolerance=1e-2)
    assert whole.converged.all()
    assert whole.values[-1] == pytest.approx(0.01, rel=1e-2)
    assert (whole.relative_residuals <= 1e-2).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_eigenvalue_that_is_zero_to_rounding_counts_as_converged(dtype):
    pairs = lanczos(Dense(symmetric([5.0, 4.0, 3.0, *[0.0] * 30]), dtype), top=5)
    np.testing.assert_allclose(pairs.values, [5, 4, 3, 0, 0], atol=64 * torch.finfo(dtype).eps * 5)
    assert pairs.converged.all()
    assert pairs.products < 15


def test_ratios_with_zero_are_zero_or_infinite():
    pairs = lanczos(Dense(np.zeros((4, 4))), top=2)
    assert pairs.relative_residuals.tolist() == [0, 0]
    assert relative(np.array([1.0, 0.0, 1.0]), np.array([0.0, 0.0, -4.0])).tolist() == [np.inf, 0, 0.25]


def test_an_exhausted_space_is_left_for_what_is_small_beside_the_matrix_but_not_beside_the_smallest_found():
    """A start within three eigenspaces: the smallest of all lies in another, and is a thousandth of the largest."""
    operator = Dense(np.diag([100.0, 50.0, 1e-3, -0.05, -0.04]))
    start = torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    krylov = Krylov(operator)
    krylov.begin(start)
    while krylov.grow():
        pass
    assert len(krylov.basis) == 3
    wanted = Wanted(0, 1, 0, 1e-2)
    values, shapes = krylov.ritz()
    found = Ritz(3, np.array([-1]), values[:1], krylov.residuals(values[:1], shapes[:, :1]), 100.0, krylov.rounding)
    krylov.begin(torch.randn(1, 5, generator=generator, dtype=torch.float64))
    krylov.grow()
    assert _explored(krylov, found, wanted) == (True, False)


class Semidefinite(Dense):
    semidefinite = True


class TestSemidefinite:
    @staticmethod
    def operator(dimension: int = 100) -> Dense:
        return Semidefinite(symmetric(np.linspace(0, 1, dimension) ** 4))

    @pytest.mark.parametrize("wrap", [lambda one: one, lambda one: Scaled(one, torch.ones(100, dtype=one.dtype))])
    def test_the_smallest_of_a_big_one_is_no_question(self, wrap):
        with pytest.raises(ValueError, match=r"positive semi-definite: its smallest .* Leave bottom out") as said:
            lanczos(wrap(self.operator()), top=2, bottom=1, max_products=60)
        assert "\n" not in str(said.value)

    def test_the_largest_are_and_so_is_the_smallest_of_a_small_one(self):
        assert lanczos(self.operator(), top=2, max_products=60).converged.all()
        small = lanczos(self.operator(40), top=1, bottom=1, max_products=60)
        assert small.converged.all()
        np.testing.assert_allclose(small.values, [1, 0], atol=1e-12)

    def test_a_recorded_one_is_one(self, tmp_path):
        assert Recorded(self.operator(), tmp_path).semidefinite
        assert not Recorded(Dense(SPREAD), tmp_path / "other").semidefinite


def test_it_stops_as_soon_as_all_are_converged():
    operator = Dense(SPREAD)
    pairs = lanczos(operator, top=4, tolerance=1e-3)
    assert pairs.converged.all()
    assert pairs.products == operator.products
    assert not lanczos(Dense(SPREAD), top=4, tolerance=1e-3, max_products=pairs.products - 1).converged.all()


def test_an_eigenvalue_is_off_by_no_more_than_its_residual():
    pairs = lanczos(Dense(SPREAD), top=5, bottom=5, tolerance=1e-2)
    truth = np.linalg.eigvalsh(SPREAD)
    for value, residual in zip(pairs.values, pairs.residuals, strict=True):
        assert np.abs(truth - value).min() <= residual + 1e-12


def test_in_float32_values_hold_and_residuals_are_still_true():
    operator = Dense(SPREAD, torch.float32)
    pairs = lanczos(operator, top=5, bottom=1, tolerance=1e-4)
    assert pairs.vectors.dtype == torch.float32
    assert pairs.converged.all()
    truth = np.linalg.eigvalsh(SPREAD)
    np.testing.assert_allclose(pairs.values, [*truth[::-1][:5], truth[0]], atol=1e-4)
    np.testing.assert_allclose(pairs.residuals, true_residuals(operator, pairs), atol=3e-5)


def test_a_tolerance_below_rounding_is_never_met_and_says_so():
    pairs = lanczos(Dense(SPREAD, torch.float32), top=1, tolerance=1e-12, max_products=60)
    assert not pairs.converged.any()
    assert pairs.products == 60


def test_the_residual_of_an_asymmetric_operator_shows_its_asymmetry():
    operator = Dense(SPREAD + 0.1 * np.random.default_rng(0).normal(size=SPREAD.shape))
    pairs = lanczos(operator, top=2, tolerance=1e-6, max_products=60)
    assert not pairs.converged.any()
    np.testing.assert_allclose(pairs.residuals, true_residuals(operator, pairs), rtol=1e-6)


def test_a_few_steps_give_the_textbooks_tridiagonal_matrix():
    start = torch.randn(100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (krylov,) = tridiagonalize(Dense(SPREAD), start[None], 8)
    expected = textbook_lanczos(SPREAD, start.numpy(), 8)
    np.testing.assert_allclose(krylov.matrix, expected, rtol=1e-8, atol=1e-11)


def test_the_basis_stays_orthonormal_where_the_textbooks_loses_it():
    start = torch.randn(100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (krylov,) = tridiagonalize(Dense(SPREAD), start[None], 80)
    basis = torch.stack(list(krylov.basis))
    torch.testing.assert_close(basis @ basis.T, torch.eye(80, dtype=torch.float64), rtol=0, atol=1e-13)
    values, _ = krylov.ritz()
    assert (values > 50).sum() == 1
    assert (np.linalg.eigvalsh(textbook_lanczos(SPREAD, start.numpy(), 80)) > 50).sum() > 1  # the well-known ghosts


def test_the_seed_decides_and_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first, again, other = (lanczos(Dense(SPREAD), top=2, seed=seed, max_products=5) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.values.tolist() == again.values.tolist()
    assert first.values.tolist() != other.values.tolist()


def test_progress_hears_of_every_product():
    calls: list[int] = []
    pairs = lanczos(Dense(SPREAD), top=1, progress=calls.append)
    assert sum(calls) == pairs.products


def test_the_frame_holds_the_columns_of_the_table():
    frame = lanczos(Dense(SPREAD), top=2, bottom=1).to_frame()
    assert list(frame.columns) == ["rank", "eigenvalue", "residual", "relative_residual", "converged", "products"]
    np.testing.assert_allclose(frame["relative_residual"], frame["residual"] / frame["eigenvalue"].abs())
    assert frame["rank"].tolist() == [1, 2, -1]
    assert frame["eigenvalue"].iloc[0] == pytest.approx(100)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"top": 101}, r"101 eigenvalues need as many dimensions \(100\)"),
        ({"top": 60, "bottom": 41}, r"101 eigenvalues"),
        ({"top": 5, "max_products": 4}, r"products \(4\)"),
        ({"top": 0}, "nor all zero"),
        ({"top": -1, "bottom": 3}, "must not be negative"),
        ({"largest": 2, "bottom": 3}, "give top and bottom, or largest"),
        ({"largest": 101}, r"101 eigenvalues need"),
        ({"largest": 3, "max_basis": 12}, "at least 2 × 6 eigenvalues"),
        ({"tolerance": 0.0}, r"tolerance must be positive, got 0\.0"),
    ],
)
def test_bad_arguments_are_refused_before_any_product(arguments, message):
    operator = Dense(SPREAD)
    with pytest.raises(ValueError, match=message):
        lanczos(operator, **arguments)
    assert operator.products == 0


def test_a_product_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="product 1 of the operator with a unit vector is not finite"):
        lanczos(Dense(np.full((3, 3), np.nan)), top=1)


def test_a_start_of_zeros_is_refused():
    with pytest.raises(ValueError, match="start vector is zero"):
        tridiagonalize(Dense(SPREAD), torch.zeros(1, 100, dtype=torch.float64), 3)
