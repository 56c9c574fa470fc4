"""Filter-normalised directions against the definition, filter by filter."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from landscape.objective import Parameters
from landscape.surfaces import filter_scale, random_direction


def network(seed: int = 0, channels: int = 3) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(2, channels, 3), nn.BatchNorm2d(channels), nn.ReLU(), nn.Flatten(), nn.Linear(channels * 4, 5)
        )


def filters(tensor):
    """Every filter as a vector: the slices along dimension 0, or a one-dimensional parameter as a whole."""
    return list(tensor.reshape(len(tensor), -1)) if tensor.ndim > 1 else [tensor]


@given(seed=st.integers(0, 2**31), channels=st.integers(1, 6), bias_and_norm=st.booleans())
def test_each_filter_has_the_norm_of_the_weights_filter(seed, channels, bias_and_norm):
    parameters = Parameters(network(seed % 1000, channels))
    parts = parameters.split(random_direction(parameters, seed=seed, bias_and_norm=bias_and_norm))
    for part, weight in zip(parts, parameters.tensors, strict=True):
        for moved, found in zip(filters(part), filters(weight), strict=True):
            moves = weight.ndim > 1 or bias_and_norm
            assert moved.norm().item() == pytest.approx(found.norm().item() if moves else 0.0, rel=1e-5)


def test_layer_normalisation_matches_whole_parameters_and_none_leaves_standard_normal_numbers():
    parameters = Parameters(network())
    whole = parameters.split(random_direction(parameters, seed=1, normalize="layer"))
    raw = parameters.split(random_direction(parameters, seed=1, normalize="none", bias_and_norm=True))
    assert whole[0].norm().item() == pytest.approx(parameters.tensors[0].norm().item(), rel=1e-5)
    assert (
        len({round((a.norm() / b.norm()).item(), 4) for a, b in zip(whole[0], parameters.tensors[0], strict=True)}) > 1
    )
    generator = torch.Generator().manual_seed(1)
    drawn = [torch.randn(weight.shape, generator=generator, dtype=torch.float64) for weight in parameters.tensors]
    assert torch.equal(torch.cat([part.flatten() for part in raw]), parameters.flatten(drawn).float())


def test_the_filter_keeps_the_drawn_direction():
    parameters = Parameters(network())
    raw = parameters.split(random_direction(parameters, seed=2, normalize="none"))[0]
    normalised = parameters.split(random_direction(parameters, seed=2))[0]
    cosines = torch.cosine_similarity(raw.flatten(1), normalised.flatten(1))
    assert torch.allclose(cosines, torch.ones(3), atol=1e-6)


def test_moving_biases_too_leaves_the_other_entries_alone():
    parameters = Parameters(network())
    weights_only = random_direction(parameters, seed=3)
    everything = random_direction(parameters, seed=3, bias_and_norm=True)
    still = weights_only == 0
    assert torch.equal(weights_only[~still], everything[~still])
    assert int(still.sum()) == sum(weight.numel() for weight in parameters.tensors if weight.ndim < 2)


def test_a_seed_means_one_direction_whatever_the_dtype_and_the_global_generator():
    before = torch.random.get_rng_state()
    single = random_direction(Parameters(network()), seed=4)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(7)
    double = random_direction(Parameters(network().double()), seed=4)
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    assert torch.allclose(single.double(), double, rtol=1e-6, atol=1e-9)


def test_independent_draws_are_nearly_orthogonal():
    parameters = Parameters(nn.Linear(60, 50, bias=False))
    draws = torch.stack([random_direction(parameters, seed=seed) for seed in range(6)])
    units = draws / draws.norm(dim=1, keepdim=True)
    cosines = (units @ units.T).fill_diagonal_(0)
    assert cosines.abs().max() < 5 / 3000**0.5
    assert not torch.equal(draws[0], draws[1])


@given(factor=st.floats(0.01, 100))
def test_a_rescaled_filter_rescales_its_part_of_the_direction_and_of_the_scale(factor):
    parameters = Parameters(network())
    before = [random_direction(parameters, seed=5), filter_scale(parameters)]
    parameters.tensors[0].data[1] *= factor
    after = [random_direction(parameters, seed=5), filter_scale(parameters)]
    for old, new in zip(before, after, strict=True):
        old_filters, new_filters = parameters.split(old)[0], parameters.split(new)[0]
        assert torch.allclose(new_filters[1], factor * old_filters[1], rtol=1e-5)
        assert torch.equal(new_filters[[0, 2]], old_filters[[0, 2]])


def test_the_scale_is_the_root_mean_square_of_each_filter():
    model = nn.Linear(4, 2, bias=True)
    model.weight.data = torch.tensor([[3.0, 0.0, 4.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    model.bias.data = torch.tensor([6.0, 8.0])
    parameters = Parameters(model)
    assert filter_scale(parameters).tolist() == [2.5] * 4 + [1.0] * 4 + [0.0] * 2
    assert filter_scale(parameters, bias_and_norm=True)[-2:].tolist() == pytest.approx([50**0.5] * 2)


def test_scaled_noise_has_on_average_the_filters_norm():
    parameters = Parameters(network())
    scale = filter_scale(parameters)
    noise = scale * torch.randn(2000, parameters.dimension, generator=torch.Generator().manual_seed(0))
    length = parameters.sizes[0] // 3
    for index, row in enumerate(parameters.tensors[0].flatten(1)):
        part = noise[:, index * length : (index + 1) * length]
        assert part.square().sum(1).mean().item() == pytest.approx(row.square().sum().item(), rel=0.05)


def test_a_transposed_convolution_is_normalised_along_its_first_dimension():
    parameters = Parameters(nn.ConvTranspose2d(4, 2, 3, bias=False))
    part = parameters.split(random_direction(parameters, seed=6))[0]
    assert torch.allclose(part.flatten(1).norm(dim=1), parameters.tensors[0].flatten(1).norm(dim=1))


def test_a_filter_of_zeros_does_not_move():
    parameters = Parameters(network())
    parameters.tensors[0].data[1] = 0
    part = parameters.split(random_direction(parameters, seed=7))[0]
    assert not part[1].any()
    assert part[[0, 2]].all()


@pytest.mark.parametrize("draw", [lambda parameters: random_direction(parameters, seed=0), filter_scale])
def test_weights_that_give_no_scale_are_refused(draw):
    zero = nn.Linear(3, 2)
    zero.weight.data.zero_()
    with pytest.raises(ValueError, match="no weight would move"):
        draw(Parameters(zero))
    with pytest.raises(ValueError, match="bias_and_norm=True"):
        draw(Parameters(nn.BatchNorm2d(3)))
    zero.weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="NaN"):
        draw(Parameters(zero))


def test_an_unknown_normalisation_is_refused():
    with pytest.raises(ValueError, match="filter, layer, none, got 'filters'"):
        random_direction(Parameters(network()), seed=0, normalize="filters")
