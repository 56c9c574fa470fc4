"""Rounding weights: against a loop over filters and levels, its error bound, and what must not change."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from landscape.objective import Parameters
from landscape.sharpness import rounded

BITS = st.integers(2, 16)


def network(seed: int, dtype: torch.dtype = torch.float32) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4)).to(dtype)


def after(model: nn.Module, bits: int) -> dict[str, torch.Tensor]:
    parameters = Parameters(model)
    return dict(zip(parameters.names, parameters.split(rounded(parameters, bits)), strict=True))


def test_it_is_the_nearest_level_of_each_filter():
    model, bits = network(0, torch.float64), 4
    found = after(model, bits)
    for name in ("0.weight", "3.weight"):
        for row, quantized in zip(model.get_parameter(name), found[name], strict=True):
            step = float(row.detach().abs().max()) / 7
            levels = [step * k for k in range(-7, 8)]
            nearest = np.abs(np.subtract.outer(row.detach().flatten().numpy(), levels)).argmin(1)
            expected = [levels[k] for k in nearest]
            assert quantized.flatten().tolist() == pytest.approx(expected, abs=1e-14)


@given(BITS, st.integers(0, 100))
def test_no_weight_moves_by_more_than_half_a_step_and_the_largest_not_at_all(bits, seed):
    model = network(seed)
    found = after(model, bits)
    for name in ("0.weight", "3.weight"):
        rows, quantized = (w.detach().flatten(1).double() for w in (model.get_parameter(name), found[name]))
        largest = rows.abs().amax(1, keepdim=True)
        half = largest / (2 ** (bits - 1) - 1) / 2
        assert ((quantized - rows).abs() <= half + 1e-7 * largest).all()  # the result is in float32
        assert torch.equal(quantized.abs().amax(1, keepdim=True), largest)
        assert max(len(row.unique()) for row in quantized) <= 2**bits - 1


@given(BITS, st.integers(0, 100), st.sampled_from([torch.float32, torch.float64]))
def test_rounding_again_changes_nothing_and_signs_only_sign(bits, seed, dtype):
    model = network(seed, dtype)
    parameters = Parameters(model)
    once = rounded(parameters, bits)
    parameters.assign(-parameters.vector())
    assert torch.equal(rounded(parameters, bits), -once)
    parameters.assign(once)
    assert torch.equal(rounded(parameters, bits), once)


@given(BITS, st.sampled_from([0.25, 8.0]))
def test_a_filter_s_scale_carries_over_to_its_levels_alone(bits, factor):
    model = network(1)
    before = after(model, bits)["0.weight"].clone()
    with torch.no_grad():
        model.get_parameter("0.weight")[1] *= factor
    found = after(model, bits)["0.weight"]
    assert torch.equal(found[1], factor * before[1])
    assert torch.equal(found[[0, 2]], before[[0, 2]])


def test_biases_and_batchnorm_stay_and_nothing_is_assigned():
    model = network(2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = after(model, 2)
    for name in ("0.bias", "1.weight", "1.bias", "3.bias"):
        assert torch.equal(found[name], before[name])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_two_bits_are_three_levels_and_zeros_stay_zero():
    model = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -0.6, 0.4, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    assert after(model, 2)["weight"].tolist() == [[1.0, -1.0, 0.0, 0.0], [0.0] * 4]


@pytest.mark.parametrize("bits", [1, 17])
def test_too_few_or_too_many_bits_are_refused(bits):
    with pytest.raises(ValueError, match=f"2 … 16 bits, got {bits}"):
        rounded(Parameters(network(0)), bits)


def test_weights_that_are_not_finite_are_refused():
    model = network(0)
    with torch.no_grad():
        model.get_parameter("0.weight")[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="NaN or infinity"):
        rounded(Parameters(model), 4)
