"""Blocks, restarts and warm starts against dense matrices; residuals are the true ones through all of it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from landscape.spectrum import Eigenpairs, Ritz, lanczos
from landscape.spectrum.basis import Basis
from landscape.spectrum.krylov import Krylov

from ..oracles import Dense, symmetric
from .test_lanczos import SPREAD, true_residuals

BULK = np.linspace(-1, 1, 60)
SKEW = np.triu(np.random.default_rng(0).normal(size=(100, 100)), 1)


class Diagonal(Dense):
    """Large, with unit vectors for eigenvectors."""

    def __init__(self, diagonal: np.ndarray):
        super().__init__(np.zeros((len(diagonal), 0)))
        self.diagonal = torch.as_tensor(diagonal)

    def __matmul__(self, vector: Tensor) -> Tensor:
        self.products += vector[..., 0].numel()
        return self.diagonal * vector


def drifted(diagonal: np.ndarray, distance: float, kept: int) -> tuple[Diagonal, Tensor]:
    """The operator, and the first ``kept`` eigenvectors of another whose eigenvectors have turned by ``distance``."""
    old = torch.eye(kept, len(diagonal), dtype=torch.float64)
    noise = torch.randn(kept, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    old[:, :30] += distance * noise / 30**0.5
    return Diagonal(diagonal), torch.linalg.qr(old.T)[0].T


def assert_exact(pairs: Eigenpairs, operator: Dense, values: list[float], atol: float) -> None:
    assert pairs.converged.all()
    np.testing.assert_allclose(pairs.values, values, atol=atol)
    np.testing.assert_allclose(pairs.residuals, true_residuals(operator, pairs), atol=1e-10)
    gram = pairs.vectors @ pairs.vectors.T
    torch.testing.assert_close(gram, torch.eye(len(gram), dtype=gram.dtype), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("outliers", "block"), [([9, 9, 5], 2), ([9, 9, 9, 5, 5], 3), ([9, 5, 5, 5], 3)])
def test_eigenvalues_repeated_no_more_often_than_the_block_come_with_all_their_copies(outliers, block):
    operator = Dense(symmetric([*outliers, *BULK]))
    pairs = lanczos(operator, top=len(outliers), tolerance=1e-7, block=block)
    assert_exact(pairs, operator, outliers, atol=1e-9)
    assert pairs.products < 50  # before the space is exhausted
    assert pairs.products == operator.products


@pytest.mark.parametrize("block", [1, 3])
def test_what_rounding_leaves_of_an_exhausted_space_is_not_taken_for_more_of_it(block):
    """Six distinct eigenvalues: after six products of a single vector the rest is noise, amplified by each division."""
    generator = np.random.default_rng(0)
    for seed in range(10):
        rest = generator.choice([1.0, 2.0, -1.0, 0.3, 1e-2, 3e-4], size=generator.integers(4, 25))
        operator = Dense(symmetric([5.0, 5.0, 5.0, *rest]))
        pairs = lanczos(operator, top=3, tolerance=1e-6, block=block, seed=seed)
        assert_exact(pairs, operator, [5, 5, 5], atol=1e-5)


def test_a_cluster_is_resolved_into_its_members():
    cluster = [9 * (1 + 2e-6), 9 * (1 + 1e-6), 9.0, 5.0]
    operator = Dense(symmetric([*cluster, *BULK]))
    assert_exact(lanczos(operator, top=4, tolerance=1e-8, block=3), operator, cluster, atol=1e-9)


def test_start_vectors_that_enter_one_by_one_give_the_projected_matrix():
    krylov = Krylov(Dense(SPREAD))
    krylov.begin(torch.randn(3, 100, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    for _ in range(12):
        krylov.grow()
    basis = torch.stack(list(krylov.basis)).numpy()
    np.testing.assert_allclose(basis @ basis.T, np.eye(12), atol=1e-13)
    projected = basis @ SPREAD @ basis.T
    np.testing.assert_allclose(krylov.matrix, projected, atol=1e-11)
    values, shapes = krylov.ritz()
    left = SPREAD @ basis.T @ shapes - values * (basis.T @ shapes)
    np.testing.assert_allclose(krylov.residuals(values, shapes), np.linalg.norm(left, axis=0), rtol=1e-9)


@pytest.mark.parametrize("apart", [1e-4, 1e-8, 1e-12])
def test_start_vectors_that_nearly_lie_in_the_space_still_give_an_orthonormal_basis(apart):
    """One pass of orthogonalization leaves 1e-16/apart of the others: it goes on until a pass no longer halves."""
    krylov, generator = Krylov(Dense(SPREAD)), torch.Generator().manual_seed(0)
    first, *others = torch.randn(6, 100, generator=generator, dtype=torch.float64)
    krylov.begin(torch.stack([first, *(first + apart * other for other in others[:2])]))
    for _ in range(6):
        krylov.grow()
    for _ in range(2):
        inside = torch.stack(list(krylov.basis)).sum(0)
        krylov.begin(torch.stack([inside + apart * other for other in others[2:]]))
        for _ in range(12):
            krylov.grow()
    basis = torch.stack(list(krylov.basis))
    torch.testing.assert_close(basis @ basis.T, torch.eye(30, dtype=torch.float64), rtol=0, atol=1e-14)
    values, shapes = krylov.ritz()
    turned = torch.as_tensor(shapes.T) @ basis
    left = turned @ torch.as_tensor(SPREAD) - torch.as_tensor(values)[:, None] * turned
    np.testing.assert_allclose(krylov.residuals(values, shapes), left.norm(dim=1), atol=1e-10)


@given(
    st.lists(st.floats(-10, 10, width=16), min_size=2, max_size=30),
    st.integers(1, 4),
    st.integers(0, 20),
    st.data(),
)
def test_any_block_and_any_bound_on_memory_find_the_ends_with_true_residuals(spectrum, block, spare, data):
    top = data.draw(st.integers(0, min(3, len(spectrum))))
    bottom = data.draw(st.integers(int(top == 0), min(3, len(spectrum) - top)))
    block = min(block, len(spectrum))
    operator, size = Dense(symmetric(spectrum)), max(map(abs, spectrum))
    pairs = lanczos(
        operator, top=top, bottom=bottom, tolerance=1e-7, block=block, max_products=3000,
        max_basis=2 * (top + bottom) + block + spare,
    )  # fmt: skip
    assert pairs.products == operator.products
    np.testing.assert_allclose(pairs.residuals, true_residuals(operator, pairs), atol=1e-11 * size)
    np.testing.assert_allclose(pairs.vectors @ pairs.vectors.T, np.eye(top + bottom), atol=1e-9)
    truth = np.linalg.eigvalsh(operator.matrix)
    for value in pairs.values[pairs.converged]:
        assert np.abs(truth - value).min() <= 1e-7 * size
    if pairs.converged.all() and np.diff(truth).min(initial=size) > 1e-3 * size:
        np.testing.assert_allclose(pairs.values, [*truth[::-1][:top], *truth[:bottom]], atol=1e-7 * size)


@pytest.mark.parametrize("block", [1, 2])
@pytest.mark.parametrize("max_basis", [12, 20, 40])
def test_with_memory_bounded_the_same_pairs_are_found_in_more_products(block, max_basis, monkeypatch):
    held: list[int] = []
    append = Basis.append

    def spy(self: Basis, vector: Tensor) -> None:
        append(self, vector)
        held.append(len(self))

    monkeypatch.setattr(Basis, "append", spy)
    operator = Dense(SPREAD)
    arguments = {"top": 4, "bottom": 1, "tolerance": 1e-8, "block": block}
    whole = lanczos(Dense(SPREAD), **arguments)
    held.clear()
    bounded = lanczos(operator, **arguments, max_basis=max_basis, max_products=2000)
    assert max(held) <= max_basis
    assert bounded.products >= whole.products
    assert bounded.products > whole.products or max_basis == 40
    truth = np.linalg.eigvalsh(SPREAD)
    assert_exact(bounded, operator, [*truth[::-1][:4], truth[0]], atol=1e-10)


def test_multiplicities_survive_a_restart():
    operator = Dense(symmetric([5.0, 5.0, 5.0] + [1.0, -1.0, 2.0] * 4))
    pairs = lanczos(operator, top=3, tolerance=1e-9, max_basis=8, max_products=300)
    assert_exact(pairs, operator, [5, 5, 5], atol=1e-9)


@pytest.mark.parametrize("arguments", [{}, {"block": 3}, {"max_basis": 12}])
def test_the_residual_of_an_asymmetric_matrix_shows_its_asymmetry(arguments):
    operator = Dense(SPREAD + 0.03 * SKEW)
    pairs = lanczos(operator, top=3, tolerance=1e-6, max_products=60, **arguments)
    assert not pairs.converged.any()
    np.testing.assert_allclose(
        pairs.residuals, true_residuals(operator, pairs), rtol=0.4 if "max_basis" in arguments else 1e-6
    )


def test_on_the_whole_space_the_asymmetry_is_that_of_the_matrix():
    for scale in (0.0, 1e-6, 0.1, 1.0):
        matrix = SPREAD + scale * SKEW
        found = lanczos(Dense(matrix), top=1, tolerance=1e-300, max_products=100)
        expected = np.linalg.norm(matrix - matrix.T) / np.linalg.norm(matrix)
        assert found.asymmetry == pytest.approx(expected, rel=1e-6, abs=1e-14)


def test_a_dozen_products_already_tell_asymmetry_from_rounding():
    right, wrong = (lanczos(Dense(SPREAD + s * SKEW, torch.float32), max_products=12).asymmetry for s in (0, 1e-3))
    assert right < 1e-6 < 1e-5 < wrong
    assert np.isnan(lanczos(Dense(SPREAD), top=1, max_products=1).asymmetry)


TOPS = [28.6, 24.3, 22.4, 16.5, 13.6]
REST = [9.0, 7.5, 6.5, 5.5, 5, 4.2, 3.6, 3.2, 2.9, 2.5, *(2.2 / np.arange(1, 10_000) ** 0.7)]


def test_old_eigenvectors_save_products_and_wrong_ones_cost_next_to_none():
    operator, old = drifted(np.array([*TOPS, *REST]), 0.1, kept=5)
    wrong = torch.eye(5, operator.dimension, dtype=torch.float64).flip(1)
    products = {}
    for name, start in {"cold": None, "warm": old, "wrong": wrong}.items():
        runs = [lanczos(operator, tolerance=1e-3, start=start, seed=seed) for seed in range(5)]
        products[name] = np.mean([found.products for found in runs])
        for found in runs:
            np.testing.assert_allclose(found.values, TOPS, rtol=1e-4)
    assert products["warm"] <= products["cold"] - 1
    assert products["wrong"] <= products["cold"] + 1


@pytest.mark.parametrize("new", [40.0, 26.0, 20.0])
def test_a_new_eigenvalue_whose_vector_the_old_ones_do_not_know_is_found(new):
    operator, old = drifted(np.array([*TOPS, *REST, new]), 0.1, kept=5)
    expected = sorted([*TOPS, new])[::-1][:5]
    for seed in range(10):
        found = lanczos(operator, tolerance=1e-3, start=old, seed=seed)
        assert found.converged.all()
        np.testing.assert_allclose(found.values, expected, rtol=1e-4)


def test_watching_shows_the_wanted_pairs_after_every_product():
    seen: list[Ritz] = []
    pairs = lanczos(Dense(SPREAD), top=2, bottom=1, tolerance=1e-6, watch=seen.append)
    assert [one.products for one in seen] == list(range(1, pairs.products + 1))
    assert [one.ranks.tolist() for one in seen[:3]] == [[1], [1, 2], [1, 2, -1]]
    assert seen[0].size == pytest.approx(abs(seen[0].values[0]))
    np.testing.assert_array_equal(seen[-1].values, pairs.values)
    np.testing.assert_array_equal(seen[-1].residuals, pairs.residuals)
    assert seen[-1].worst == pytest.approx((pairs.residuals / np.abs(pairs.values)).max(), rel=1e-6)
    assert seen[-1].worst <= 1e-6 < seen[-2].worst
    blocks: list[Ritz] = []
    lanczos(Dense(SPREAD), top=0, bottom=2, block=2, max_products=5, watch=blocks.append)
    assert [one.products for one in blocks] == [2, 4, 5]
    assert blocks[0].ranks.tolist() == [-1, -2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"block": 0}, "block must lie between 1 and the dimension, 100; got 0"),
        ({"block": 101}, "block must lie between"),
        ({"max_basis": 10}, "max_basis must be at least 2 × 5 eigenvalues"),
        ({"start": torch.zeros(1, 100, dtype=torch.float64)}, "start vector is zero, or not finite"),
        ({"start": torch.ones(2, 99, dtype=torch.float64)}, r"expected a vector of 100 entries.*got shape \[2, 99\]"),
        ({"start": torch.ones(2, 100)}, "expected a vector of 100 entries"),
    ],
)
def test_bad_arguments_are_refused_before_any_product(arguments, message):
    operator = Dense(SPREAD)
    with pytest.raises(ValueError, match=message):
        lanczos(operator, **arguments)
    assert operator.products == 0


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 40])
def test_a_basis_is_its_rows_in_one_matrix(rows):
    generator = torch.Generator().manual_seed(0)
    matrix, vector = (torch.randn(n, 70_000, generator=generator, dtype=torch.float64) for n in (rows, 1))
    basis = Basis(70_000, torch.float64, torch.device("cpu"))
    for row in matrix:
        basis.append(row)
    torch.testing.assert_close(torch.stack(list(basis)), matrix, rtol=0, atol=0)
    np.testing.assert_allclose(basis.overlaps(vector[0]), matrix @ vector[0], rtol=1e-9)
    shapes = torch.randn(rows, max(1, rows - 3), generator=generator, dtype=torch.float64)
    torch.testing.assert_close(basis.combined(shapes), shapes.T @ matrix)
    basis.replace(shapes)
    torch.testing.assert_close(torch.stack(list(basis)), shapes.T @ matrix)
    basis.append(vector[0])
    assert torch.equal(list(basis)[-1], vector[0])
    assert len(basis) == max(1, rows - 3) + 1
