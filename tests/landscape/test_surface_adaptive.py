"""Surfaces of few points and few examples, beside all points and all examples computed one by one."""

import sys
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline
from scipy.stats import chi2
from torch import nn

from landscape.deadline import Deadline
from landscape.surfaces import grid, surface
from landscape.surfaces.adaptive import Search
from landscape.surfaces.bounds import field_quantile, seen_bound
from landscape.surfaces.cells import Cells
from landscape.surfaces.field import Field
from landscape.surfaces.known import Known
from landscape.surfaces.levels import Levels

SIZE = 1000


def smooth(x, y, a, b):
    """Losses of examples with parameters a and b."""
    return a * (1 - torch.exp(-((x - b / 5) ** 2) - 2 * y**2)) + b * torch.sin(2 * x + y) / 5


def step(x, y, a, b):
    return smooth(x, y, a, b) + a * (x + 0.31 * y > 0.33)


def infinite(x, y, a, b):
    return torch.where(x**2 + y**2 > 1.2, torch.inf, smooth(x, y, a, b))


class Weights(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.w, self.function = nn.Parameter(torch.zeros(2, dtype=torch.float64)), function

    def forward(self, examples):
        return self.function(*self.w, *examples.T)


def examples(seed=0):
    generator = torch.Generator().manual_seed(100 + seed)
    return torch.randn(SIZE, 2, generator=generator, dtype=torch.float64).mul(0.3).exp()


def metrics(output, _):
    return {"loss": output, "high": (output > 1).double()}


def measured(function, points, seed=0, tolerance=0.02, dimension=2, **more):
    data = examples(seed)
    axis = grid(-1.0, 1.0, points)
    return surface(
        Weights(function), metrics, [(part, part) for part in data.split(50)],
        list(torch.eye(2, dtype=torch.float64)[:dimension]), axis, axis if dimension > 1 else None,
        tolerance={"loss": tolerance}, seed=seed, **more,
    )  # fmt: skip


def naive(function, points, seed=0, dimension=2):
    axis, data = grid(-1.0, 1.0, points), examples(seed)
    others = axis if dimension > 1 else [0.0]
    return np.array([[float(function(torch.tensor(x), torch.tensor(y), *data.T).mean()) for y in others] for x in axis])


def off(found, whole):
    """Root mean square distance where both are finite."""
    apart = found.mean["loss"] - whole
    return float(np.sqrt(np.square(apart[np.isfinite(whole)]).mean()))


@pytest.mark.parametrize("dimension", [1, 2])
def test_a_smooth_surface_takes_few_points_and_few_examples_and_keeps_its_error(dimension):
    points = 33 if dimension > 1 else 101
    found, whole = measured(smooth, points, dimension=dimension), naive(smooth, points, dimension=dimension)
    error = found.errors["loss"]
    assert error.converged
    assert off(found, whole) <= error.error <= 0.02 * error.range
    assert error.range == pytest.approx(np.ptp(whole), rel=0.05)
    assert (~found.interpolated).mean() < (0.12 if dimension > 1 else 0.3)
    assert found.images.sum() < whole.size * SIZE / (12 if dimension > 1 else 4)
    assert np.array_equal(found.interpolated, found.images == 0)
    assert found.images[points // 2, points // 2 if dimension > 1 else 0] == SIZE
    assert error.held_out == (24 if dimension > 1 else 8)
    assert (np.abs(found.mean["loss"] - whole) < 3.5 * found.sampling_stderr["loss"] + 4 * error.largest + 1e-9).all()


def test_the_metric_without_a_tolerance_has_its_error_said():
    found = measured(smooth, 33)
    data, axis = examples(), grid(-1.0, 1.0, 33)
    whole = np.array(
        [[float((smooth(torch.tensor(x), torch.tensor(y), *data.T) > 1).double().mean()) for y in axis] for x in axis]
    )
    assert np.sqrt(np.square(found.mean["high"] - whole).mean()) <= found.errors["high"].error
    assert found.errors["high"].converged == (found.errors["high"].error <= 0.02 * found.errors["high"].range)


@pytest.mark.slow
def test_a_cliff_is_noticed_and_evaluated_more_densely_there():
    found, whole, plain = measured(step, 33), naive(step, 33), measured(smooth, 33)
    error = found.errors["loss"]
    assert error.converged
    assert off(found, whole) <= error.error
    assert (~found.interpolated).sum() > 3 * (~plain.interpolated).sum()
    x, y = np.meshgrid(found.alphas, found.betas, indexing="ij")
    near = np.abs(x + 0.31 * y - 0.33) < 0.1
    assert (~found.interpolated)[near].mean() >= (~found.interpolated)[~near].mean()


def test_infinity_far_out_is_where_it_is_and_nothing_is_interpolated_beside_it():
    found, whole = measured(infinite, 33), naive(infinite, 33)
    assert np.array_equal(np.isinf(found.mean["loss"]), np.isinf(whole))
    assert not found.interpolated[np.isinf(whole)].any()
    assert off(found, whole) <= found.errors["loss"].error
    assert found.errors["loss"].converged


def test_steps_everywhere_are_all_evaluated():
    def noise(x, y, a, b):
        return a * (torch.sin(1e4 * x + 7e3 * y) > 0) + 0 * b

    found = measured(noise, 17)
    assert not found.interpolated.any()
    assert found.errors["loss"].held_out == 0
    assert off(found, naive(noise, 17)) <= found.errors["loss"].error


def test_a_constant_surface_is_itself():
    found = measured(lambda x, y, a, b: a + 0 * x * y * b, 21)
    np.testing.assert_allclose(found.mean["loss"], float(examples()[:, 0].mean()), rtol=1e-12)
    assert found.errors["loss"].converged


@pytest.mark.slow
def test_the_stated_error_holds_on_19_of_20_surfaces():
    held = []
    for seed in range(20):
        found = measured(smooth, 21, seed=seed, tolerance=0.03)
        held.append(off(found, naive(smooth, 21, seed=seed)) <= found.errors["loss"].error)
    assert np.mean(held) >= 0.95


def test_the_seed_draws_the_points_held_out():
    one, again, other = measured(smooth, 21), measured(smooth, 21), measured(smooth, 21, seed=1)
    assert np.array_equal(one.mean["loss"], again.mean["loss"])
    assert not np.array_equal(one.interpolated, other.interpolated)


def test_an_origin_off_the_grid_is_no_point_of_it():
    found = measured(smooth, 20)
    assert found.images.shape == (20, 20)
    assert off(found, naive(smooth, 20)) <= found.errors["loss"].error


def test_coordinates_that_do_not_increase_are_refused():
    with pytest.raises(ValueError, match="increase along each axis"):
        surface(
            Weights(smooth), metrics, [(examples(), examples())], [torch.ones(2, dtype=torch.float64)],
            [1.0, 0.0, -1.0], tolerance={"loss": 0.1},
        )  # fmt: skip


def searched(seed=0):
    """A search on a line of 41 points with two metrics, and what it knows in the end."""
    generator = np.random.default_rng(seed)
    places = np.linspace(-1, 1, 41)[:, None]
    slopes = generator.normal(size=(2, 1, 400))
    rises = np.transpose(slopes * places.T[..., None] ** 2 + np.sin(3 * places.T[..., None]), (1, 0, 2))
    known = Known(
        places, 41, 20, np.zeros((2, 400)),
        lambda wanted: {place: rises[place][:, :count] for place, count in wanted.items()},
    )  # fmt: skip
    search = Search(known, (41,), np.full(2, 0.02), np.array([True, False]), np.zeros((2, 400)), seed, Deadline(None))
    return known, search.run(), rises


def test_points_held_out_are_evaluated_and_in_no_interpolant():
    known, found, _ = searched()
    assert len(known.held) == 8
    assert not set(known.held) & {place for level in known.levels for place in level}
    assert found.evaluated[known.held].all()


def test_heights_are_put_together_from_the_levels_surpluses():
    """By hand with scipy's natural spline: what the levels before foresee, of as many examples as each level has."""
    known, _, _ = searched()
    levels = known.fit()
    heights, done = {20: np.zeros(2)}, [20]
    for level, count in zip(known.levels[1:], levels.counts[1:], strict=True):
        order = sorted(done)
        for place in level:
            if len(order) < 2:
                heights[place] = known.rises[place][:, :count].mean(1)
                continue
            x = known.places[order, 0]
            each = CubicSpline(x, [known.rises[at][:, :count].mean(1) for at in order], bc_type="natural")
            below = CubicSpline(x, [heights[at] for at in order], bc_type="natural")
            at = known.places[place, 0]
            heights[place] = below(at) + known.rises[place][:, :count].mean(1) - each(at)
        done += level
    expected = [heights[place] for level in known.levels for place in level]
    np.testing.assert_allclose(levels.heights(), expected, atol=1e-9)


@pytest.mark.slow
def test_the_sampling_variance_is_that_of_examples_drawn_anew():
    """Two levels with 60 and 20 of 100 examples, drawn 4,000 times."""
    generator = np.random.default_rng(0)
    places = np.array([[0.0], [1.0], [2.0]])
    whole = np.stack([np.zeros(100), generator.normal(size=100), generator.normal(size=100)])
    levels = [[0], [2], [1]]

    def of(order, first, second):
        cut = {0: whole[0][order], 1: whole[1][order][:second], 2: whole[2][order][:first]}
        return Levels(places, levels, {at: each[None] for at, each in cut.items()}, 100)

    drawn = np.array([of(generator.permutation(100), 60, 20).heights()[2, 0] for _ in range(4000)])
    everything = of(np.arange(100), 100, 100)
    parts = everything.contributions(np.arange(3))
    expected = sum(w * p[1, 0].var(ddof=1) for w, p in zip(everything.weights([100, 60, 20]), parts, strict=True))
    assert drawn.var() == pytest.approx(expected, rel=0.1)
    assert drawn.mean() == pytest.approx(whole[1].mean(), abs=4 * (expected / 4000) ** 0.5)
    raised = (1 + 200**-0.5) ** 2
    mean = Field(everything).mean([100, 60, 20])[0] / raised
    assert mean == pytest.approx(np.mean([
        sum(w * p[at, 0].var(ddof=1) for w, p in zip(everything.weights([100, 60, 20]), parts, strict=True))
        for at in range(3)
    ]))  # fmt: skip


def test_the_cheapest_examples_are_those_of_a_search():
    levels = Levels(np.zeros((12, 1)), [[0, 1], list(range(2, 12))], {at: np.zeros((1, 9)) for at in range(12)}, 10**6)
    variances, wanted = [1.0, 0.1], 1e-3
    found = levels.counts_for(variances, wanted)
    prices = {
        (first, second): 2 * first + 10 * second
        for first in range(900, 3000, 4) for second in range(50, first, 4)
        if np.dot(levels.weights([first, second]), variances) <= wanted
    }  # fmt: skip
    assert np.dot(levels.weights(found), variances) <= wanted * 1.001
    assert np.dot(found, [2, 10]) == pytest.approx(min(prices.values()), rel=0.01)


def test_bounds_hold_as_often_as_they_say():
    generator = np.random.default_rng(0)
    normal = generator.normal(size=(4000, 24))
    assert 0.94 < np.mean([seen_bound(each, 0.95) >= 1 for each in normal]) < 0.995
    assert seen_bound(np.ones(24), 0.95) == pytest.approx(24 / chi2.ppf(0.05, 24))
    assert seen_bound(np.array([]), 0.95) == seen_bound(np.array([1.0, np.inf]), 0.95) == float("inf")
    factors = generator.normal(size=(50, 3)) * [3.0, 1.0, 0.3]
    squares = np.square(generator.normal(size=(20000, 3)) @ factors.T).mean(1)
    claimed = field_quantile(factors, 0.95) * np.square(factors).sum(1).mean()
    assert 0.93 < (squares <= claimed).mean() < 0.97
    assert field_quantile(np.zeros((4, 2)), 0.95) == 1.0


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 14), min_size=1, max_size=2), st.randoms(use_true_random=False))
def test_cells_that_are_cut_to_the_end_hold_every_point_of_the_grid(shape, random):
    cells = Cells(tuple(shape))
    surplus: dict[tuple[int, ...], float] = {}
    found = set(cells.corners())
    while points := cells.cut(surplus, 0.5):
        found |= set(points)
        surplus |= {point: random.random() for point in points}
    assert found == set(product(*map(range, shape)))


def test_only_cells_with_a_large_surplus_are_cut():
    cells = Cells((17, 17))
    assert len(cells.corners()) == 9
    centres = cells.cut({}, 0.5)
    assert centres == [(4, 4), (4, 12), (12, 4), (12, 12)]
    cut = cells.cut(dict.fromkeys(centres, 0.1) | {(4, 12): 1.0}, 0.5)
    assert cut == [(0, 12), (4, 8), (4, 16), (8, 12)]


class Paced:
    """Carries tasks out, each taking so many seconds a batch on a clock of its own."""

    def __init__(self, seconds: float):
        self.seconds, self.now = seconds, 0.0

    def __call__(self, tasks, evaluate):
        for task in tasks:
            self.now += self.seconds * (task.stop - task.start)
            yield evaluate(task)

    def time(self):
        return self.now


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize(("function", "tolerance"), [(smooth, 0.001), (step, 0.02), (infinite, 0.02)])
def test_when_the_time_is_up_the_surface_has_the_error_that_it_has(function, tolerance, monkeypatch):
    def run(seconds):
        paced = Paced(0.01)
        clocked = partial(Deadline, clock=paced.time)
        monkeypatch.setattr("landscape.surfaces.known.time.perf_counter", paced.time)
        monkeypatch.setattr(sys.modules["landscape.surfaces.surface"], "Deadline", clocked)
        return measured(function, 21, tolerance=tolerance, run=paced, seconds=seconds), paced.now

    (found, needed), whole = run(None), naive(function, 21)
    same, _ = run(2 * needed)
    np.testing.assert_array_equal(same.mean["loss"], found.mean["loss"])
    for part in (0.2, 0.6):
        few, spent = run(part * needed)
        assert spent < max(part, 0.35) * needed * 1.25  # batches are whole
        assert few.images.sum() < found.images.sum()
        assert part > 0.5 or not few.errors["loss"].converged
        assert off(few, whole) <= few.errors["loss"].error


def test_time_without_a_tolerance_is_refused():
    with pytest.raises(ValueError, match="without one all points are needed"):
        surface(Weights(smooth), metrics, [(e := examples(), e)], [torch.ones(2).double()], [0.0, 1.0], seconds=1.0)
