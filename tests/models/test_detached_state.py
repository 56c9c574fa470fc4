"""Training without gradients through time: the gradient by hand, kernels against the reference, forward the same."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.networks import build, layers
from models.neurons import fused_normalized
from models.neurons.lif import LIF
from models.neurons.selection import cut, select

from .test_neuron import DYNAMICS, FAST, derivatives, neuron, numbers
from .test_normalized import maps as channels_last_maps
from .test_normalized import pair, trained


def detached(implementation, **chosen):
    lif = neuron(implementation, **chosen)
    lif.detach_state = True
    return lif


@pytest.mark.parametrize("implementation", ["reference", *FAST])
@settings(max_examples=12)
@given(chosen=st.fixed_dictionaries(DYNAMICS), seed=st.integers(0, 99))
def test_the_gradient_is_the_pulse_at_each_step_alone_and_moves_by_its_slope(implementation, chosen, seed):
    current, upstream, direction = numbers(3, 4, 2, 5, seed=seed)
    lif = detached(implementation, **chosen)
    spikes, gradient, curvature, tangent, alone = derivatives(lif, current + 0.4, upstream, direction)
    membrane, along = torch.zeros(2, 5, dtype=torch.float64), []
    for step, fired in zip(current + 0.4, spikes, strict=True):
        membrane = chosen["decay"] * membrane + step
        along.append(membrane)
        membrane = membrane * (1 - fired)
    x = (torch.stack(along) - chosen["threshold"]).detach().requires_grad_()
    pulse = lif.surrogate(x)
    slope = torch.autograd.grad(pulse.sum(), x)[0] if pulse.requires_grad else torch.zeros_like(x)
    torch.testing.assert_close(gradient, upstream * pulse, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(alone, upstream * pulse, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(tangent, pulse * direction, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(curvature, upstream * slope * direction, rtol=1e-12, atol=1e-12)
    assert torch.equal(spikes, neuron(implementation, **chosen)(current + 0.4))


@pytest.mark.parametrize("shortcut", [False, True])
def test_batchnorm_and_neuron_in_one_are_the_two_layers(shortcut, monkeypatch):
    monkeypatch.setattr(fused_normalized, "LEAST", 0)
    x = channels_last_maps().requires_grad_()
    plus = channels_last_maps(seed=1).sub(100).requires_grad_() if shortcut else None
    norm, lif = pair(decay=0.9, threshold=0.8, surrogate="arctan")
    through = trained(norm, lif, x, plus)
    lif.detach_state = True
    found = trained(norm, lif, x, plus)
    monkeypatch.setattr(layers, "_one", lambda *_: None)
    lif.implementation = "reference"
    for one, other in zip(found, trained(norm, lif, x, plus), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)
    assert torch.equal(found[0], through[0])
    assert not torch.allclose(found[1], through[1])


def test_a_network_s_gradient_is_that_of_a_loop_whose_membranes_are_detached(monkeypatch):
    network = build("digits-cnn", seed=0, timesteps=3).double()
    cut(network)
    images = numbers(6, 1, 8, 8)

    def gradients():
        return torch.autograd.grad(network(images).square().sum(), list(network.parameters()))

    found = gradients()
    for module in network.modules():
        if isinstance(module, LIF):
            monkeypatch.setattr(module, "forward", partial(naive, lif=module))
    for one, other in zip(found, gradients(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def naive(current, lif):
    """A membrane that starts each step as a constant, in plain operations."""
    before, spikes = torch.zeros_like(current[0]), []
    for step in current:
        x = lif.decay * before + step - lif.threshold
        spikes.append((x > 0).double() + lif.surrogate(x.detach()) * (x - x.detach()))
        before = ((x + lif.threshold) * (1 - (x > 0).double())).detach()
    return torch.stack(spikes)


def test_it_is_no_part_of_a_network_and_needs_neurons():
    network = build("digits-cnn", seed=0)
    before = dict(network.arguments)
    cut(network)
    select(network, "reference")
    assert network.arguments == before
    assert all(module.detach_state for module in network.modules() if isinstance(module, LIF))
    assert not LIF().detach_state
    with pytest.raises(ValueError, match=r"--detach-state cuts the gradient .* DigitsCNN has none: leave it out"):
        cut(build("digits-cnn", seed=0, spiking=False))


def test_a_static_image_s_current_gets_the_sum_over_the_steps():
    lif = detached("reference")
    current = torch.tensor([0.9], dtype=torch.float64).requires_grad_()
    spikes = lif(current.expand(3, 1))
    (gradient,) = torch.autograd.grad(spikes.sum(), current)
    # membranes 0.9, 1.35 (fires), 0.9: pulses 0.9, 0.65, 0.9
    assert gradient.item() == pytest.approx(2.45)
