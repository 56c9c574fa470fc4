"""Trained curves: around a known hill, against scipy's optimum of the same integral, and its gradient."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from landscape.objective import Objective
from landscape.surfaces import Fit, Path, barrier, fit_bezier

START, END = (torch.tensor(point, dtype=torch.float64) for point in ([1.0, 0.0], [-0.96, 0.28]))


RADII = torch.tensor([0.7, 0.8, 0.9, 1.0, 0.9, 1.1, 0.9, 1.8, 0.9], dtype=torch.float64)


class Ring(nn.Module):
    """Weights (x, y) with output x² + y² for every example: near the unit circle for targets whose mean is 1."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([0.3, 0.4], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.weights.square().sum().expand(len(x))


def ring(loss: Callable[[Tensor, Tensor], Tensor] = lambda output, target: (output - target) ** 2) -> Objective:
    """Ragged batches of unlike targets: 7 with a mean of 0.9, 2 with one of 1.35."""
    return Objective(Ring(), loss, [(RADII[:7], RADII[:7]), (RADII[7:], RADII[7:])])


def integral(control: np.ndarray) -> float:
    t = np.linspace(0, 1, 2001)[:, None]
    points = (1 - t) ** 2 * START.numpy() + 2 * t * (1 - t) * control + t**2 * END.numpy()
    height = ((points**2).sum(1) - 1) ** 2 + float(RADII.var(correction=0))
    return float(np.trapezoid(height, t[:, 0]))


@pytest.fixture(scope="module")
def fit() -> Fit:
    return fit_bezier(ring(), START, END, steps=600, learning_rate=0.05)


def test_the_curve_goes_around_the_hill(fit):
    def rises(path: Path) -> Tensor:
        values = [(path(t).square().sum() - 1).square().expand(2) for t in np.linspace(0, 1, 21).tolist()]
        return torch.stack(values)

    positions = np.linspace(0, 1, 21)
    assert barrier(positions, rises(Path(torch.stack([START, END])))).height > 0.9
    assert barrier(positions, rises(fit.path)).height < 0.05
    assert fit.path.stretch() > 1.3
    assert fit.converged


def test_the_curve_is_the_one_that_scipy_finds(fit):
    best = minimize(integral, np.array([0.3, 1.5]))
    np.testing.assert_allclose(fit.path.points[1], best.x, atol=0.05)
    assert fit.curve.loss == pytest.approx(best.fun, rel=0.05)


def test_expected_losses_and_gradient_norms_are_the_integral_s(fit):
    for expected, control in ((fit.line, (START + END) / 2), (fit.curve, fit.path.points[1])):
        at = control.numpy()
        assert expected.loss == pytest.approx(integral(at), rel=1e-4)
        slope = [(integral(at + step) - integral(at - step)) / 2e-4 for step in 1e-4 * np.eye(2)]
        assert expected.gradient_norm == pytest.approx(float(np.linalg.norm(slope)), rel=1e-3, abs=1e-6)


def test_a_seed_means_one_curve_and_the_model_comes_back():
    objective: Any = ring()
    one, other, third = (fit_bezier(objective, START, END, steps=8, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.path.points, other.path.points)
    assert not torch.equal(one.path.points, third.path.points)
    assert np.array_equal(one.losses, other.losses)
    assert one.losses.shape == (8,)
    assert objective.model.weights.tolist() == [0.3, 0.4]
    assert objective.model.weights.grad is None


def test_a_curve_that_still_falls_has_not_converged():
    assert not fit_bezier(ring(), START, END, steps=40, learning_rate=0.002).converged


def test_a_step_is_counted():
    counted: list[int] = []
    fit_bezier(ring(), START, END, steps=5, progress=counted.append)
    assert counted == [1] * 5


@pytest.mark.parametrize(("steps", "rate"), [(0, 0.1), (10, 0.0), (10, float("nan"))])
def test_settings_that_train_nothing_are_refused(steps, rate):
    with pytest.raises(ValueError, match="at least 1 step and a positive learning rate"):
        fit_bezier(ring(), START, END, steps=steps, learning_rate=rate)


def test_a_loss_that_is_not_finite_is_refused():
    objective = ring(lambda output, target: target / (output - START @ START).clamp(min=0))
    with pytest.raises(ValueError, match=r"the loss is (inf|nan) at step 1"):
        fit_bezier(objective, START, END, steps=5)
