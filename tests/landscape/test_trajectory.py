"""Principal components of a path: numpy's SVD, projections, and what a random walk explains."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from landscape.surfaces import principal_components, trajectory


def path(count: int, dimension: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(count, dimension, generator=generator, dtype=torch.float64).cumsum(0) + 5
    return weights, weights[-1] + 0.1 * torch.randn(dimension, generator=generator, dtype=torch.float64)


@given(count=st.integers(3, 9), dimension=st.integers(9, 40), seed=st.integers(0, 99), block=st.sampled_from([7, 1000]))
def test_directions_and_shares_are_those_of_numpy_s_svd(count, dimension, seed, block):
    weights, final = path(count, dimension, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trajectory, "_BLOCK", block)
        found = principal_components(weights, final, components=2)
    steps = (weights - final).numpy()
    _, singular, rows = np.linalg.svd(steps, full_matrices=False)
    np.testing.assert_allclose(found.explained, (singular**2 / (singular**2).sum())[:2], rtol=1e-10)
    directions = found.directions.numpy()
    np.testing.assert_allclose(np.abs((directions * rows[:2]).sum(1)), 1, rtol=1e-9)
    np.testing.assert_allclose(directions @ directions.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(found.coordinates, steps @ directions.T, atol=1e-10)
    np.testing.assert_allclose(
        found.off_plane, np.linalg.norm(steps - found.coordinates @ directions, axis=1), atol=1e-10
    )
    np.testing.assert_allclose(found.distance, np.linalg.norm(steps, axis=1))


def test_all_components_explain_everything_and_leave_nothing_off_the_plane():
    weights, final = path(5, 20)
    found = principal_components(weights, final, components=5)
    assert found.explained.sum() == pytest.approx(1)
    assert found.off_plane == pytest.approx(0, abs=1e-10)


def test_no_plane_through_the_final_weights_fits_better():
    weights, final = path(6, 15)
    found = principal_components(weights, final)
    centred = torch.linalg.svd(weights - weights.mean(0), full_matrices=False).Vh[:2]
    steps = weights - final
    assert (found.off_plane**2).sum() < float((steps - steps @ centred.T @ centred).square().sum())


def test_a_random_walk_explains_as_much_as_theory_says():
    weights, _ = path(150, 8000)
    found = principal_components(weights, weights[-1], components=3)
    np.testing.assert_allclose(found.explained, 8 / np.pi**2 / np.array([1, 9, 25]), rtol=0.03)


def test_signs_are_fixed():
    weights, final = path(6, 15)
    one, other = principal_components(weights, final), principal_components(2 * final - weights, final)
    for found in (one, other):
        assert (found.coordinates.max(0) >= -found.coordinates.min(0)).all()
    torch.testing.assert_close(one.directions, -other.directions)


def test_directions_have_the_weights_dtype():
    weights, final = path(6, 15)
    exact, rounded = (principal_components(weights.to(d), final.to(d)) for d in (torch.float64, torch.float32))
    assert rounded.directions.dtype == torch.float32
    np.testing.assert_allclose(exact.coordinates, rounded.coordinates, rtol=1e-4)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (torch.randn(1, 5), "at least 2 snapshots"),
        (torch.ones(3, 5), "do not extend along 2 axes"),
        (torch.arange(3.0)[:, None] * torch.ones(5), "do not extend along 2 axes"),
        (torch.tensor([[1.0, float("nan")], [0.0, 0.0]]), "NaN or infinity"),
    ],
)
def test_what_is_no_path_is_refused(weights, said):
    with pytest.raises(ValueError, match=said):
        principal_components(weights, torch.ones(weights.shape[1]))
