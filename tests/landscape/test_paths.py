"""Paths between weights: their ends, their length, and barriers known in closed form."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from landscape.objective import Parameters
from landscape.surfaces import Path, barrier, excess, placed

T = np.linspace(0, 1, 11)


def table(*columns: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack(columns, axis=1))


class TestPath:
    def test_ends_are_exact_in_any_precision(self):
        points = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
        for path in (Path(points[:2]), Path(points)):
            assert torch.equal(path(0.0), points[0])
            assert torch.equal(path(1.0), path.points[-1])

    def test_the_curve_is_bezier_s(self):
        a, b, c = torch.randn(3, 4, dtype=torch.float64)
        for t in (0.2, 0.5, 0.9):
            by_hand = torch.lerp(torch.lerp(a, b, t), torch.lerp(b, c, t), t)  # de Casteljau
            torch.testing.assert_close(Path(torch.stack([a, b, c]))(t), by_hand)
            torch.testing.assert_close(Path(torch.stack([a, c]))(t), torch.lerp(a, c, t))

    def test_length_over_chord(self):
        line = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
        assert Path(line).stretch() == pytest.approx(1)
        parabola = torch.tensor([[-1.0, 0.0], [0.0, 2.0], [1.0, 0.0]], dtype=torch.float64)  # y = 1 − x²
        length = 2 * (5**0.5 / 2 + np.arcsinh(2) / 4)
        assert Path(parabola).stretch(2000) == pytest.approx(length / 2, rel=1e-6)


class TestBarrier:
    def test_of_a_double_well(self):
        """L(w) = (w² − 1)² + s·w between its minima at ±1: the slope is the chord, so E(t) = (w² − 1)²."""
        w = 2 * T - 1
        found = barrier(T, table(*((w**2 - 1) ** 2 + slope * w for slope in (3.0, 2.0, 3.0))))
        assert (found.height, found.position) == (pytest.approx(1), 0.5)
        assert found.stderr == pytest.approx(0, abs=1e-12)
        assert found.crossed == pytest.approx(1)

    def test_error_is_paired(self):
        bump = 4 * T * (1 - T)
        heights, levels = np.array([1.0, 2.0, 3.0, 6.0]), np.array([100.0, -50.0, 7.0, 0.0])
        found = barrier(T, table(*(level + height * bump for level, height in zip(levels, heights, strict=True))))
        assert found.height == pytest.approx(3)
        assert found.stderr == pytest.approx(heights.std(ddof=1) / 2)
        assert found.examples == 4

    def test_maximum_is_biased_upwards_and_crossed_is_not(self):
        """Pure noise between the ends: the true excess is zero everywhere."""
        generator = torch.Generator().manual_seed(0)
        heights, crossed = [], []
        for _ in range(200):
            values = torch.randn(11, 40, generator=generator, dtype=torch.float64)
            values[[0, -1]] = 0
            found = barrier(T, values)
            heights.append(found.height)
            crossed.append(found.crossed)
        assert np.mean(heights) > 5 * np.std(heights) / 200**0.5 > 0
        assert abs(np.mean(crossed)) < 3 * np.std(crossed) / 200**0.5

    def test_crossed_reads_each_half_at_the_other_s_maximum(self):
        """Two examples, whose excess is (0, 4, 1, 0) and (0, 2, 3, 0)."""
        found = barrier([0.0, 0.2, 0.6, 1.0], table(np.array([0.0, 4, 1, 0]), np.array([0.0, 2, 3, 0])))
        assert found.crossed == (2 + 1) / 2
        assert (found.height, found.position) == (3, 0.2)

    def test_no_hill_is_a_barrier_of_zero_at_the_start(self):
        found = barrier(T, table(*[-T * (1 - T)] * 2))
        assert (found.height, found.position, found.stderr) == (0, 0, 0)

    def test_excess_is_exactly_zero_at_the_ends(self):
        over = excess(T, torch.rand(11, 5, dtype=torch.float64))
        assert not over[[0, -1]].any()

    def test_an_infinite_loss_is_an_infinite_barrier(self):
        values = torch.ones(11, 4, dtype=torch.float64)
        values[3, 1] = float("inf")
        assert barrier(T, values).height == float("inf")

    def test_a_single_example_has_no_error(self):
        found = barrier(T, table(T * (1 - T)))
        assert np.isnan([found.stderr, found.crossed]).all()

    @pytest.mark.parametrize("positions", [[0.0, 1.0], [0.0, 0.5, 0.9], [0.1, 0.5, 1.0], [0.0, 0.7, 0.5, 1.0]])
    def test_positions_must_rise_from_0_to_1(self, positions):
        with pytest.raises(ValueError, match="rise from 0 to 1"):
            barrier(positions, torch.zeros(len(positions), 2, dtype=torch.float64))

    def test_every_position_has_its_values(self):
        with pytest.raises(ValueError, match="got 4 values"):
            barrier([0.0, 0.5, 1.0], torch.zeros(4, 2, dtype=torch.float64))


def test_a_model_is_placed_and_given_back():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    weights = Parameters(model)
    with placed(model, weights, torch.zeros(weights.dimension)):
        assert not any(weight.any() for weight in model.parameters())
        assert not model.training
        model[1].get_buffer("running_mean").fill_(7)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
