"""The neuron against hand-computed values, a scalar loop, and a smooth net made of each spike's local parabola."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call

from models.losses import LOSSES
from models.neurons.lif import LIF, Neuron, Rate
from models.neurons.surrogate import Triangle

CURRENTS = st.lists(st.floats(-3, 3, allow_subnormal=False), min_size=1, max_size=12)


def train(*currents, dtype=torch.float64):
    """Currents into one neuron: [time, 1]."""
    return torch.tensor(currents, dtype=dtype).unsqueeze(1)


def scalar_lif(currents, decay, threshold):
    """One neuron in plain Python, as the equations read."""
    membrane, spikes = 0.0, []
    for current in currents:
        membrane = decay * membrane + current
        fires = membrane > threshold
        spikes.append(float(fires))
        if fires:
            membrane = 0.0
    return spikes


@given(CURRENTS, st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.sampled_from([0.3, 1.0, 1.7]))
def test_spikes_are_those_of_the_scalar_loop(currents, decay, threshold):
    spikes = LIF(decay=decay, threshold=threshold)(train(*currents))
    assert spikes.squeeze(1).tolist() == scalar_lif(currents, decay, threshold)


@given(CURRENTS, st.sampled_from([0.25, 4.0]))
def test_only_the_ratio_of_current_and_threshold_matters(currents, factor):
    scaled = LIF(threshold=factor)(factor * train(*currents))
    assert torch.equal(scaled, LIF()(train(*currents)))


def test_a_membrane_at_the_threshold_does_not_fire_and_one_above_it_does():
    assert LIF()(train(1.0, 0.5 + 2**-40)).squeeze(1).tolist() == [0, 1]


def test_the_current_of_a_step_counts_unscaled_at_that_step():
    assert LIF()(train(1.01)).item() == 1


def test_neurons_do_not_see_each_other():
    current = torch.randn(5, 3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    spikes = LIF()(current)
    assert spikes.shape == current.shape
    for index in ((0, 0, 0, 0), (2, 3, 1, 1), (1, 2, 0, 1)):
        one = current[(slice(None), *index)]
        assert torch.equal(spikes[(slice(None), *index)], LIF()(one.unsqueeze(1)).squeeze(1))


def test_nothing_is_carried_to_the_next_batch():
    neuron, current = LIF(), train(0.9, 0.9, 0.9)
    assert torch.equal(neuron(current), neuron(current))
    assert not list(neuron.parameters())
    assert not list(neuron.buffers())


@pytest.mark.parametrize(("detach_reset", "expected"), [(False, -0.3185), (True, 0.0)])
def test_the_gradient_through_the_reset_is_the_worked_example(detach_reset, expected):
    current = train(1.3, 0.7).requires_grad_()
    spikes = LIF(detach_reset=detach_reset)(current)
    assert spikes.squeeze(1).tolist() == [1, 0]
    gradient = torch.autograd.grad(spikes[1].sum(), current)[0]
    # σ'(−0.3) · 0.5 · (−1.3 σ'(0.3)) with the triangle's σ' = 0.7 at both
    assert gradient[0].item() == pytest.approx(expected, abs=1e-12)
    assert gradient[1].item() == pytest.approx(0.7)


def test_the_reset_detached_or_not_gives_the_same_spikes():
    current = torch.randn(6, 50, generator=torch.Generator().manual_seed(1)) + 0.6
    assert torch.equal(LIF()(current), LIF(detach_reset=True)(current))


# --- second derivatives: two layers of neurons, three weight matrices, either loss


class SavedValue(torch.autograd.Function):
    """A broken spike: its backward uses σ'(x) saved as a number, so a second backward sees none of σ''."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(Triangle()(x))
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, *gradients):
        return gradients[0] * ctx.saved_tensors[0]


class Parabolas:
    """Each spike as s + σ'(x₀)(x − x₀) + σ''(x₀)/2 (x − x₀)² about the membranes met on the first run."""

    def __init__(self):
        self.centres, self.calls = [], 0

    def __call__(self, x):
        call, self.calls = self.calls, self.calls + 1
        if call == len(self.centres):
            self.centres.append(x.detach())
        centre = self.centres[call]
        step, inside = (centre > 0).to(x.dtype), (centre.abs() < 1).to(x.dtype)
        slope, bend = inside * (1 - centre.abs()), -inside * centre.sign()
        return step + slope * (x - centre) + bend / 2 * (x - centre) ** 2


def looped(spike):
    """A layer of neurons in plain tensor operations, with ``spike`` for the spike."""

    def layer(current):
        membrane, spikes = torch.zeros_like(current[0]), []
        for step in current:
            membrane = 0.5 * membrane + step
            spikes.append(spike(membrane - 1))
            membrane = membrane * (1 - spikes[-1])
        return torch.stack(spikes)

    return layer


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(4, 6, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (6,), generator=generator)
    weights = 0.9 * torch.randn(5 * 6 + 6 * 4 + 4 * 3, generator=generator, dtype=torch.float64)
    return images, labels, weights


def loss_of(weights, images, labels, loss, layer):
    first, second, head = weights.split([30, 24, 12])
    hidden = layer(layer(images @ first.view(5, 6)) @ second.view(6, 4))
    return LOSSES[loss](hidden @ head.view(4, 3), labels)


def gradient_and_hessian(problem, loss, layer, reset=lambda: None):
    images, labels, weights = problem

    def value(weights):
        reset()
        return loss_of(weights, images, labels, loss, layer)

    gradient = torch.autograd.grad(value(at := weights.clone().requires_grad_()), at)[0]
    return gradient, torch.autograd.functional.hessian(value, weights)


def parabola_hessian(problem, loss):
    spikes = Parabolas()
    return gradient_and_hessian(problem, loss, looped(spikes), lambda: setattr(spikes, "calls", 0))


@pytest.mark.parametrize("loss", ["sdt", "tet"])
def test_double_backward_is_the_hessian_of_the_net_of_local_parabolas(problem, loss):
    gradient, hessian = gradient_and_hessian(problem, loss, LIF())
    expected_gradient, expected = parabola_hessian(problem, loss)
    torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-12)
    torch.testing.assert_close(hessian, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(hessian, hessian.T, rtol=0, atol=1e-12)
    assert hessian[:30, :30].norm() > 0.1  # the hidden weights' block is not trivially zero


def test_the_net_of_parabolas_is_smooth_and_autograd_reads_its_curvature(problem):
    images, labels, weights = problem
    spikes = Parabolas()
    direction = torch.randn(66, generator=torch.Generator().manual_seed(4), dtype=torch.float64)

    def value(shift):
        spikes.calls = 0
        return loss_of(weights + shift * direction, images, labels, "tet", looped(spikes))

    middle = value(0.0)
    second_difference = (value(1e-4) - 2 * middle + value(-1e-4)) / 1e-8
    quadratic = direction @ gradient_and_hessian(problem, "tet", LIF())[1] @ direction
    assert second_difference.item() == pytest.approx(quadratic.item(), rel=1e-5)


def test_a_surrogate_value_saved_in_the_forward_gives_the_same_gradient_and_another_hessian(problem):
    gradient, hessian = gradient_and_hessian(problem, "tet", LIF())
    broken_gradient, broken = gradient_and_hessian(problem, "tet", looped(SavedValue.apply))
    torch.testing.assert_close(broken_gradient, gradient, rtol=0, atol=1e-12)
    assert (broken - hessian).norm() > 0.1 * hessian.norm()


def test_a_smooth_neuron_has_true_derivatives():
    current = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64).requires_grad_()
    neuron = LIF(surrogate="smooth", width=0.4)
    assert torch.autograd.gradcheck(neuron, current)
    assert torch.autograd.gradgradcheck(neuron, current)


# --- without gradients: the same spikes by another way


def both_ways(current, **settings):
    """Spikes with gradients on, by the differentiable loop, and off, by the in-place one."""
    neuron = LIF(**settings)
    with torch.no_grad():
        fast = neuron(current)
    return fast, neuron(current)


@given(
    CURRENTS,
    st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.9, 1.0]),
    st.sampled_from([0.3, 1.0, 1.7]),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]),
)
def test_without_gradients_the_spikes_are_the_same_to_the_bit(currents, decay, threshold, dtype):
    fast, slow = both_ways(train(*currents, dtype=dtype), decay=decay, threshold=threshold)
    assert fast.dtype == dtype
    assert torch.equal(fast, slow)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("threshold", [0.3, 0.7, 1.0, 1.1, 1e-3])
def test_without_gradients_a_membrane_at_the_threshold_does_not_fire_and_its_neighbours_do_as_before(threshold, dtype):
    at = torch.tensor(threshold, dtype=dtype)
    current = torch.stack([torch.nextafter(at, at - 1), at, torch.nextafter(at, at + 1)]).expand(2, 3)
    fast, slow = both_ways(current, threshold=threshold)
    assert torch.equal(fast, slow)


@pytest.mark.parametrize("decay", [0.9, 0.3, 0.5, 0.25])
def test_without_gradients_a_membrane_next_to_the_threshold_is_rounded_as_before(decay):
    first = 0.99 * torch.rand(20000, generator=torch.Generator().manual_seed(0))
    rest = 1 - decay * first
    second = torch.cat([torch.nextafter(rest, rest - 1), rest, torch.nextafter(rest, rest + 1)])
    fast, slow = both_ways(torch.stack([first.repeat(3), second]).unsqueeze(1), decay=decay)
    assert torch.equal(fast, slow)
    assert 0.01 < slow[1].mean() < 0.99


def test_without_gradients_what_is_not_finite_fires_as_before():
    odd = torch.tensor([float("nan"), float("inf"), -float("inf"), 2.0, 0.4, -0.0])
    current = torch.cartesian_prod(odd, odd, odd, odd).T
    for decay in (0.0, 0.5, 0.9, 1.0):
        fast, slow = both_ways(current, decay=decay)
        assert torch.equal(fast, slow)


@pytest.mark.parametrize("neurons", [0, 1, 2**15, 2**15 + 1])
def test_without_gradients_pieces_and_layouts_change_nothing(neurons):
    current = torch.randn(3, 2, neurons, generator=torch.Generator().manual_seed(0)) + 0.5
    static = current[0].expand(4, 2, neurons)
    for case in (current, static, current.transpose(1, 2)):
        fast, slow = both_ways(case)
        assert torch.equal(fast, slow)
    maps = (torch.randn(6, 5, 4, 3, generator=torch.Generator().manual_seed(1)) + 0.5).contiguous(
        memory_format=torch.channels_last
    )
    fast, slow = both_ways(maps.unflatten(0, (2, 3)))
    assert torch.equal(fast, slow)
    assert fast.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_without_gradients_the_currents_are_left_alone_and_a_smooth_spike_stays_graded():
    current = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    before = current.clone()
    with torch.no_grad():
        LIF()(current)
        graded = LIF(surrogate="smooth")(current)
    assert torch.equal(current, before)
    assert torch.equal(graded, LIF(surrogate="smooth")(current))
    assert ((graded > 0) & (graded < 1)).all()


def test_without_gradients_tangents_and_batches_of_functions_still_pass():
    current = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.func.jvp(LIF(), (current,), (current,))
    with torch.no_grad():
        found = torch.func.jvp(LIF(), (current,), (current,))
        stacked = torch.func.vmap(LIF())(torch.stack([current, 2 * current]))
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(current, current)
            tangent = torch.autograd.forward_ad.unpack_dual(LIF()(dual)).tangent
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(tangent, expected[1])
    assert torch.equal(stacked[1], LIF()(2 * current))


# --- torch.func


@pytest.fixture
def module():
    torch_module = nn.Sequential(nn.Linear(5, 6), LIF(), nn.Linear(6, 3)).double()
    generator = torch.Generator().manual_seed(6)
    for weight in torch_module.parameters():
        weight.data = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    return torch_module


def functional(module, problem):
    images, labels, _ = problem
    return lambda weights: LOSSES["tet"](functional_call(module, weights, (images,)), labels)


def weights_of(module):
    return {name: weight.detach() for name, weight in module.named_parameters()}


def test_functional_gradients_and_tangents_are_those_of_autograd(module, problem):
    loss, weights = functional(module, problem), weights_of(module)
    tangents = {name: torch.sin(torch.arange(w.numel()).double()).view_as(w) for name, w in weights.items()}
    gradients = torch.func.grad(loss)(weights)
    images, labels, _ = problem
    expected = torch.autograd.grad(LOSSES["tet"](module(images), labels), list(module.parameters()))
    for found, wanted in zip(gradients.values(), expected, strict=True):
        torch.testing.assert_close(found, wanted)
    moved = torch.func.jvp(loss, (weights,), (tangents,))[1]
    torch.testing.assert_close(moved, sum((gradients[name] * tangents[name]).sum() for name in weights))


def test_forward_over_reverse_is_double_backward(module, problem):
    loss, weights = functional(module, problem), weights_of(module)
    tangents = {name: torch.cos(torch.arange(w.numel()).double()).view_as(w) for name, w in weights.items()}
    product = torch.func.jvp(torch.func.grad(loss), (weights,), (tangents,))[1]
    images, labels, _ = problem
    live = list(module.parameters())
    gradients = torch.autograd.grad(LOSSES["tet"](module(images), labels), live, create_graph=True)
    slope = torch.stack([(g * t).sum() for g, t in zip(gradients, tangents.values(), strict=True)]).sum()
    for found, wanted in zip(product.values(), torch.autograd.grad(slope, live), strict=True):
        torch.testing.assert_close(found, wanted)


def test_vmap_over_weights_is_a_loop_over_weights(module, problem):
    loss, weights = functional(module, problem), weights_of(module)
    scales = torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64)
    stacked = {name: torch.stack([scale * w for scale in scales]) for name, w in weights.items()}
    expected = torch.stack([loss({name: scale * w for name, w in weights.items()}) for scale in scales])
    torch.testing.assert_close(torch.func.vmap(loss)(stacked), expected)


# --- settings


def test_a_neuron_builds_what_it_says():
    lif = Neuron(decay=0.9, threshold=0.7, surrogate="arctan", width=0.5, detach_reset=True).build()
    assert isinstance(lif, LIF)
    assert (lif.decay, lif.threshold, lif.detach_reset) == (0.9, 0.7, True)
    assert "Arctan(alpha=4.0)" in repr(lif)
    assert isinstance(Neuron(spiking=False).build(), Rate)


def test_a_rate_neuron_is_a_relu_at_every_step():
    current = train(-1.0, 0.5, 2.0)
    assert Rate()(current).squeeze(1).tolist() == [0, 0.5, 2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decay": -0.1}, "decay must lie in"),
        ({"decay": 1.1}, "decay must lie in"),
        ({"decay": float("nan")}, "decay must lie in"),
        ({"threshold": 0.0}, "threshold must be positive"),
        ({"threshold": float("inf")}, "threshold must be positive"),
        ({"surrogate": "step"}, "no surrogate named 'step'"),
        ({"width": 0.0}, "width must be positive"),
    ],
)
def test_settings_that_make_no_neuron_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LIF(**settings)
