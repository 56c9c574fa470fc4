"""The quadrature against the exact spectral measure of small matrices."""

import numpy as np
import pytest
import torch

from landscape.spectrum import density, trace

from ..oracles import Dense, symmetric
from .test_deadline import SPREAD, Slow

MATRIX = symmetric(np.linspace(-2, 3, 12) ** 3, seed=3)


def signs(seed: int, probes: int, dimension: int) -> np.ndarray:
    """The probes, found by asking the trace estimator for the products it makes."""
    seen = []

    class Spy(Dense):
        def __matmul__(self, vector):
            seen.append(vector.numpy())
            return super().__matmul__(vector)

    trace(Spy(np.eye(dimension)), method="hutchinson", probes=probes, seed=seed)
    return np.array(seen)


def test_with_as_many_steps_as_dimensions_nodes_and_weights_are_the_exact_measure():
    found = density(Dense(MATRIX), probes=3, steps=12, seed=1)
    values, vectors = np.linalg.eigh(MATRIX)
    for probe, nodes, weights in zip(signs(1, 3, 12), found.nodes, found.weights, strict=True):
        np.testing.assert_allclose(nodes, values, atol=1e-10)
        np.testing.assert_allclose(weights, (vectors.T @ probe) ** 2 / 12, atol=1e-10)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_moments_are_exact_up_to_twice_the_steps_less_one(steps):
    found = density(Dense(MATRIX), probes=2, steps=steps, seed=5)
    for probe, nodes, weights in zip(signs(5, 2, 12), found.nodes, found.weights, strict=True):
        for power in range(2 * steps):
            expected = probe @ np.linalg.matrix_power(MATRIX, power) @ probe / 12
            assert (weights * nodes**power).sum() == pytest.approx(expected, rel=1e-9)
        beyond = probe @ np.linalg.matrix_power(MATRIX, 2 * steps) @ probe / 12
        assert (weights * nodes ** (2 * steps)).sum() < 0.9999 * beyond


def test_averaged_over_probes_the_first_two_moments_are_those_of_the_spectrum():
    found = density(Dense(MATRIX), probes=300, steps=3, seed=0)
    for power in (1, 2):
        samples = (found.weights * found.nodes**power).sum(1)
        truth = np.trace(np.linalg.matrix_power(MATRIX, power)) / 12
        assert abs(samples.mean() - truth) < 3 * samples.std() / 300**0.5


def test_the_free_trace_is_hutchinsons_over_the_same_probes():
    free = density(Dense(MATRIX), probes=6, steps=4, seed=9).trace
    hutchinson = trace(Dense(MATRIX), method="hutchinson", probes=6, seed=9)
    assert free.value == pytest.approx(hutchinson.value, rel=1e-12)
    assert free.stderr == pytest.approx(hutchinson.stderr, rel=1e-10)
    assert free.probes == 6


def test_the_smoothed_density_integrates_to_one_and_carries_its_error():
    found = density(Dense(MATRIX), probes=4, steps=6, seed=0)
    grid = np.linspace(-20, 40, 6001)
    mean, stderr = found.smoothed(grid, width=0.5)
    assert np.trapezoid(mean, grid) == pytest.approx(1, abs=1e-9)
    per_probe = np.array([density_of_one(grid, *row) for row in zip(found.nodes, found.weights, strict=True)])
    np.testing.assert_allclose(mean, per_probe.mean(0), atol=1e-12)
    np.testing.assert_allclose(stderr, per_probe.std(0, ddof=1) / 2, atol=1e-12)


def density_of_one(grid: np.ndarray, nodes: np.ndarray, weights: np.ndarray, width: float = 0.5) -> np.ndarray:
    curve = np.zeros_like(grid)
    for node, weight in zip(nodes, weights, strict=True):
        curve += weight * np.exp(-(((grid - node) / width) ** 2) / 2) / np.sqrt(2 * np.pi) / width
    return curve


def test_a_space_exhausted_early_keeps_the_measure_and_spends_no_more_products():
    operator = Dense(np.diag([2.0] * 3 + [-1.0] * 5))
    found = density(operator, probes=2, steps=6, seed=0)
    assert operator.products == 4
    frame = found.to_frame()
    np.testing.assert_allclose(frame["node"], [-1, 2, -1, 2], atol=1e-12)
    np.testing.assert_allclose(frame["weight"], [5 / 8, 3 / 8, 5 / 8, 3 / 8], atol=1e-12)
    assert (found.trace.value, found.trace.stderr) == pytest.approx((1, 0), abs=1e-10)


def test_in_float32_the_weights_still_sum_to_one():
    found = density(Dense(MATRIX, torch.float32), probes=2, steps=12, seed=0)
    np.testing.assert_allclose(found.weights.sum(1), 1, atol=1e-12)
    np.testing.assert_allclose(found.nodes[0], np.linalg.eigvalsh(MATRIX), atol=1e-4)


def test_the_frame_has_a_row_for_every_node():
    found = density(Dense(MATRIX), probes=2, steps=5)
    frame = found.to_frame()
    assert list(frame.columns) == ["probe", "node", "weight"]
    assert frame.groupby("probe")["weight"].sum().tolist() == pytest.approx([1, 1])
    assert len(frame) == 10


def test_products_are_probes_times_steps_and_are_reported():
    operator = Dense(MATRIX)
    calls: list[int] = []
    density(operator, probes=3, steps=5, progress=calls.append)
    assert operator.products == len(calls) == 15


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="probes must be at least 2"):
        density(Dense(MATRIX), probes=1)
    with pytest.raises(ValueError, match="between 1 and the dimension, 12; got 13"):
        density(Dense(MATRIX), steps=13)
    with pytest.raises(ValueError, match=r"width must be positive, got 0\.0"):
        density(Dense(MATRIX), steps=2).smoothed(np.zeros(1), 0.0)


@pytest.mark.parametrize("block", [2, 3, 7])
def test_probes_that_advance_together_give_the_same(block):
    one, many = Dense(MATRIX), Dense(MATRIX)
    calls: list[int] = []
    alone, together = (
        density(one, probes=5, steps=6),
        density(many, probes=5, steps=6, block=block, progress=calls.append),
    )
    np.testing.assert_allclose(together.nodes, alone.nodes, rtol=1e-9)
    np.testing.assert_allclose(together.weights, alone.weights, atol=1e-11)
    assert one.products == many.products == sum(calls) == 30
    assert max(calls) == min(block, 5)


def test_probes_whose_spaces_are_exhausted_early_let_the_others_go_on():
    class Split(Dense):
        def __matmul__(self, vector):
            self.products += vector[..., 0].numel()
            return vector @ self.matrix

    matrix = np.zeros((6, 6))
    matrix[:2, :2] = np.ones((2, 2))
    operator = Split(matrix)
    together = density(operator, probes=8, steps=4, block=8)
    for row in range(8):
        alone = density(Dense(matrix), probes=8, steps=4)
        np.testing.assert_allclose(together.weights[row], alone.weights[row], atol=1e-12)
    assert operator.products < 24


def test_a_block_of_none_is_refused():
    with pytest.raises(ValueError, match="block must be at least 1, got 0"):
        density(Dense(MATRIX), block=0)


@pytest.mark.parametrize(("seconds", "probes"), [(0.01, 2), (0.5, 2)])
def test_when_the_time_is_up_the_first_two_probes_have_fewer_steps_and_it_says_so(seconds, probes):
    found = density(Slow(0.04), probes=6, steps=30, seconds=seconds)
    assert len(found.nodes) == probes
    assert not found.complete
    assert not found.trace.converged
    np.testing.assert_allclose(found.weights.sum(1), 1)
    made = (found.weights > 0).sum(1)
    assert (made == 1).all() if seconds < 0.1 else ((made > 2) & (made < 20)).all()


def test_of_later_probes_only_whole_ones_are_kept():
    whole = density(Dense(SPREAD), probes=6, steps=5)
    found = density(Slow(0.02), probes=6, steps=5, seconds=0.3)
    assert 2 <= len(found.nodes) < 6
    assert not found.complete
    np.testing.assert_allclose(found.nodes, whole.nodes[: len(found.nodes)], rtol=1e-9, atol=1e-9)


def test_time_enough_changes_nothing_beyond_rounding():
    plain, timed = (density(Dense(SPREAD), probes=3, steps=5, seconds=seconds) for seconds in (None, 100.0))
    assert plain.complete
    assert timed.complete
    np.testing.assert_allclose(timed.nodes, plain.nodes, rtol=1e-9, atol=1e-9)
