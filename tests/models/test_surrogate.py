"""Surrogates against integrals, textbook antiderivatives and hand values; spike against its definition."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from models.neurons.surrogate import Arctan, Rectangle, Sigmoid, Smooth, Triangle, spike, surrogate

NAMES = ("triangle", "arctan", "sigmoid", "rectangle", "smooth")
PULSES = (Triangle(0.7), Arctan(3.0), Sigmoid(5.0), Rectangle(1.4), Smooth(6.0))
SMOOTH_PULSES = (Triangle(0.7), Arctan(3.0), Sigmoid(5.0), Smooth(6.0))
# No point on a corner of any pulse above.
GRID = torch.linspace(-2, 2, 40, dtype=torch.float64)


def value(pulse, x):
    return float(pulse(torch.tensor(x, dtype=torch.float64)))


def second_derivative(pulse, x):
    x = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(spike(x, pulse).sum(), x, create_graph=True)
    return torch.autograd.grad(first.sum(), x)[0]


@pytest.mark.parametrize("pulse", PULSES, ids=repr)
def test_every_pulse_has_unit_area(pulse):
    edges = [0.0, 0.7, 3.0, math.inf]  # the corners of the two pulses that have any
    half = sum(quad(lambda x: value(pulse, x), low, high)[0] for low, high in pairwise(edges))
    assert 2 * half == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("pulse", PULSES, ids=repr)
def test_every_pulse_is_even_and_highest_at_zero(pulse):
    torch.testing.assert_close(pulse(GRID), pulse(-GRID))
    assert (pulse(GRID) <= value(pulse, 0.0)).all()


@pytest.mark.parametrize(
    ("pulse", "peak"), [(Triangle(0.7), 1 / 0.7), (Arctan(3.0), 1.5), (Sigmoid(5.0), 1.25), (Rectangle(1.4), 1 / 1.4)]
)
def test_peaks_are_the_stated_ones(pulse, peak):
    assert value(pulse, 0.0) == pytest.approx(peak)


@pytest.mark.parametrize(
    ("pulse", "antiderivative"),
    [
        (Arctan(3.0), lambda x: np.arctan(math.pi * 3.0 / 2 * x) / math.pi),
        (Sigmoid(5.0), lambda x: 1 / (1 + np.exp(-5.0 * x))),
        (Triangle(0.7), lambda x: np.sign(x) * (0.7 * abs(x) - x**2 / 2) / 0.49 if abs(x) < 0.7 else np.sign(x) / 2),
    ],
    ids=["arctan", "sigmoid", "triangle"],
)
def test_pulses_are_the_slopes_of_their_antiderivatives(pulse, antiderivative):
    for x in GRID.tolist():
        slope = (antiderivative(x + 1e-6) - antiderivative(x - 1e-6)) / 2e-6
        assert value(pulse, x) == pytest.approx(slope, abs=1e-6)


def test_pulses_with_an_edge_are_zero_on_it():
    assert value(Triangle(0.5), 0.5) == value(Triangle(0.5), -0.5) == 0
    assert value(Rectangle(0.5), 0.25) == value(Rectangle(0.5), -0.25) == 0
    assert value(Rectangle(0.5), 0.2499) == 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [0.3, 1.0, 4.0])
def test_by_name_the_peak_is_one_over_the_width(name, width):
    assert value(surrogate(name, width), 0.0) == pytest.approx(1 / width)


def test_width_one_is_the_usual_setting():
    assert [surrogate(name) for name in NAMES] == [
        Triangle(1.0),
        Arctan(2.0),
        Sigmoid(4.0),
        Rectangle(1.0),
        Smooth(4.0),
    ]


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match="'tringle'; there are triangle, arctan, sigmoid, rectangle, smooth"):
        surrogate("tringle", 1.0)


@pytest.mark.parametrize("width", [0.0, -1.0, math.inf, math.nan])
def test_widths_that_make_no_pulse_are_refused(width):
    for make in (lambda w: surrogate("arctan", w), Triangle, Arctan, Sigmoid, Rectangle, Smooth):
        with pytest.raises(ValueError, match="must be positive and finite"):
            make(width)


def test_a_spike_is_a_strict_step():
    x = torch.tensor([-1.0, -1e-30, -0.0, 0.0, 1e-30, 2.0])
    for pulse in (Triangle(), Arctan(), Sigmoid(), Rectangle()):
        assert spike(x, pulse).tolist() == [0, 0, 0, 0, 1, 1]
    assert spike(x.double(), Triangle()).dtype == torch.float64


def test_a_smooth_spike_is_the_logistic_function_and_has_its_true_derivatives():
    torch.testing.assert_close(spike(GRID, Smooth(6.0)), 1 / (1 + torch.exp(-6 * GRID)))
    x = GRID.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: spike(x, Smooth(6.0)), x)
    assert torch.autograd.gradgradcheck(lambda x: spike(x, Smooth(6.0)), x)


@pytest.mark.parametrize("pulse", PULSES, ids=repr)
def test_the_gradient_of_a_spike_is_the_pulse(pulse):
    x, upstream = GRID.clone().requires_grad_(), torch.linspace(1, 3, 40, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(spike(x, pulse), x, upstream)
    torch.testing.assert_close(gradient, upstream * pulse(GRID))


@pytest.mark.parametrize("pulse", SMOOTH_PULSES, ids=repr)
def test_the_second_derivative_of_a_spike_is_the_slope_of_the_pulse(pulse):
    slope = (pulse(GRID + 1e-6) - pulse(GRID - 1e-6)) / 2e-6
    torch.testing.assert_close(second_derivative(pulse, GRID), slope, atol=1e-7, rtol=1e-6)


def test_the_triangle_has_no_second_derivative_on_its_corners():
    corners = torch.tensor([-0.5, 0.0, 0.5], dtype=torch.float64)
    assert second_derivative(Triangle(0.5), corners).tolist() == [0, 0, 0]
    beside = second_derivative(Triangle(0.5), torch.tensor([-0.6, -0.4, -0.1, 0.1, 0.4, 0.6], dtype=torch.float64))
    assert beside.tolist() == [0, 4, 4, -4, -4, 0]


@pytest.mark.parametrize("pulse", PULSES, ids=repr)
def test_forward_mode_agrees_with_reverse_mode(pulse):
    tangent = torch.linspace(-1, 1, 40, dtype=torch.float64)
    results = torch.func.jvp(lambda x: spike(x, pulse), (GRID,), (tangent,))
    torch.testing.assert_close(results[0], spike(GRID, pulse))
    torch.testing.assert_close(results[1], tangent * pulse(GRID))


@pytest.mark.parametrize("pulse", SMOOTH_PULSES, ids=repr)
@pytest.mark.parametrize("outer", [torch.func.jacfwd, torch.func.jacrev])
@pytest.mark.parametrize("inner", [torch.func.jacfwd, torch.func.jacrev])
def test_second_derivatives_agree_in_every_mode(pulse, outer, inner):
    curvature = outer(inner(lambda x: spike(x, pulse).square().sum() + spike(x, pulse).sum()))(GRID)
    s, first, second = spike(GRID, pulse), pulse(GRID), second_derivative(pulse, GRID)
    torch.testing.assert_close(curvature, torch.diag(2 * first**2 + (2 * s + 1) * second))


def test_third_derivatives_agree_too():
    def third(mode):
        return mode(mode(mode(lambda x: spike(x.square(), Arctan()))))(torch.tensor(0.3, dtype=torch.float64))

    assert third(torch.func.jacrev).abs() > 1
    torch.testing.assert_close(third(torch.func.jacfwd), third(torch.func.jacrev))


def test_forward_mode_works_without_torch_func():
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(GRID, torch.ones_like(GRID))
        tangent = torch.autograd.forward_ad.unpack_dual(spike(dual, Triangle())).tangent
    torch.testing.assert_close(tangent, Triangle()(GRID))


def test_vmap_gives_what_a_loop_gives():
    rows = GRID.view(4, 10)
    both = torch.func.vmap(lambda row: spike(row, Triangle()))(rows)
    assert torch.equal(both, torch.stack([spike(row, Triangle()) for row in rows]))
    gradients = torch.func.vmap(torch.func.grad(lambda row: spike(row, Arctan()).sum()))(rows)
    torch.testing.assert_close(gradients, Arctan()(rows))
