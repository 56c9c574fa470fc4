"""Norms of layers against numpy, and turns of filters against their angle."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from landscape.objective import Parameters
from landscape.sharpness import UNSCALED, norms, squared_distance
from landscape.sharpness.norms import FROM_START


def model(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(20, 4))


def matrices(network):
    return [network[0].weight.detach().numpy().reshape(5, -1), network[3].weight.detach().numpy()]


def test_they_are_numpy_s():
    now, start = model(0), model(1)
    found = norms(Parameters(now), list(start.parameters()))
    weights, moves = matrices(now), [a - b for a, b in zip(matrices(now), matrices(start), strict=True)]
    fro, spec = ([np.linalg.norm(weight.astype(float), kind) ** 2 for weight in weights] for kind in ("fro", 2))
    expected = {
        "param_norm": sum(fro),
        "sum_of_fro": 2 * math.sqrt(fro[0] * fro[1]),
        "sum_of_spec": 2 * math.sqrt(spec[0] * spec[1]),
        "fro_over_spec": fro[0] / spec[0] + fro[1] / spec[1],
        "fro_dist": sum(np.linalg.norm(move, "fro") ** 2 for move in moves),
        "dist_spec_init": sum(np.linalg.norm(move, 2) ** 2 for move in moves),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)


def test_the_turn_is_twice_the_sine_of_half_the_angle():
    now, start = model(0), model(1)
    found = norms(Parameters(now), list(start.parameters()))["filter_turn"]
    angles = []
    for after, before in zip(matrices(now), matrices(start), strict=True):
        cosines = (after * before).sum(1) / np.linalg.norm(after, axis=1) / np.linalg.norm(before, axis=1)
        angles += np.arccos(cosines).tolist()
    assert found == pytest.approx(np.sqrt(np.mean(4 * np.sin(np.array(angles) / 2) ** 2)), rel=1e-5)


@given(factors=st.lists(st.floats(0.01, 100), min_size=5, max_size=5).filter(lambda f: max(f) > 1.1 * min(f)))
def test_rescaled_filters_change_all_but_the_turn(factors):
    start = list(model(1).parameters())
    plain = norms(Parameters(model()), start)
    network = model()
    network[0].weight.data *= torch.tensor(factors)[:, None, None, None]
    rescaled = norms(Parameters(network), start)
    assert {name for name in plain if rescaled[name] == pytest.approx(plain[name], rel=1e-5)} == UNSCALED


def test_without_a_start_what_needs_one_is_missing():
    found = norms(Parameters(model()))
    assert {name for name, value in found.items() if math.isnan(value)} == set(FROM_START)


def test_a_filter_of_zeros_has_no_turn():
    now, start = model(0), model(1)
    plain = norms(Parameters(now), list(start.parameters()))
    now[0].weight.data[2] = 0
    kept = [row for row in range(9) if row != 2]
    found = norms(Parameters(now), list(start.parameters()))["filter_turn"]
    pairs = zip(matrices(now), matrices(start), strict=True)
    with np.errstate(invalid="ignore"):
        units = [[side / np.linalg.norm(side, axis=1, keepdims=True) for side in pair] for pair in pairs]
    turns = np.concatenate([np.linalg.norm(after - before, axis=1) for after, before in units])[kept]
    assert found == pytest.approx(np.sqrt(np.mean(turns**2)), rel=1e-5)
    assert found != plain["filter_turn"]


def test_nothing_has_moved_from_itself():
    network = model()
    found = norms(Parameters(network), list(network.parameters()))
    assert [found[name] for name in FROM_START] == pytest.approx([0, 0, 0], abs=1e-12)


def test_the_squared_distance_is_over_all_parameters():
    now, start = model(0), model(1)
    start[1].bias.data += 2
    vectors = [nn.utils.parameters_to_vector(each.parameters()).detach().double() for each in (now, start)]
    assert squared_distance(Parameters(now)) == pytest.approx((vectors[0] ** 2).sum().item(), rel=1e-6)
    found = squared_distance(Parameters(now), list(start.parameters()))
    assert found == pytest.approx(((vectors[0] - vectors[1]) ** 2).sum().item(), rel=1e-6)


def test_another_network_s_start_and_a_model_without_layers_are_refused():
    with pytest.raises(ValueError, match="one tensor for each parameter"):
        norms(Parameters(model()), list(model().parameters())[:-1])
    with pytest.raises(ValueError, match="no weight matrix"):
        norms(Parameters(nn.BatchNorm2d(3)))
