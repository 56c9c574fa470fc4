"""Rise against radius: closed forms, copies of the model set weight by weight, and what scaling the logits does."""

import copy
import itertools

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import nn

from landscape.objective import Objective, Parameters
from landscape.sharpness import (
    ALONG,
    LOGITS,
    MEAN_SQUARE,
    average_rise,
    metric,
    network_scale,
    random_spans,
    rise_curve,
    scaled,
)
from landscape.surfaces import filter_scale, grid, mean_rise, random_direction, surface
from tests.rises import cross_entropy, quadratic, squares

RADII = [0.2, 0.7]


class Stepping(nn.Module):
    """[time, batch, class]: a leaky sum of steps, so that steps differ."""

    def __init__(self):
        super().__init__()
        self.hidden, self.head = nn.Linear(5, 8), nn.Linear(8, 4)

    def forward(self, x):
        drive, state, steps = self.hidden(x), 0.0, []
        for _ in range(3):
            state = 0.5 * state + drive
            steps.append(self.head((state > 0.3).to(x.dtype) + torch.tanh(state)))
        return torch.stack(steps)


def entropy(logits, target):
    return cross_entropy(logits.mean(0), target)


def stepping():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Stepping().double()
        x, y = torch.randn(17, 5, dtype=torch.float64), torch.randint(4, (17,))
    return model, [(x[:9], y[:9]), (x[9:], y[9:])]


def moved(model, directions, point):
    """A deep copy whose weights were set one by one."""
    twin = copy.deepcopy(model)
    position = 0
    for weight in twin.parameters():
        for coordinate, direction in zip(point, directions, strict=True):
            weight.data += coordinate * direction[position : position + weight.numel()].view_as(weight)
        position += weight.numel()
    return twin


def losses(model, batches, scale):
    """Cross-entropy of the mean output over ``scale`` (None: each row's own deviation), example by example."""
    with torch.no_grad():
        answers = torch.cat([model(x) for x, _ in batches], dim=1).mean(0).numpy()
    target = torch.cat([y for _, y in batches]).tolist()
    return np.array([
        -log_softmax(row / (np.std(row) if scale is None else scale))[label]
        for row, label in zip(answers, target, strict=True)
    ])  # fmt: skip


def points(along, radius):
    if along != "plane":
        return [(radius,), (-radius,)]
    turns = 2 * np.pi * (np.arange(6) + 0.5) / 6
    return [(radius * np.cos(turn), radius * np.sin(turn)) for turn in turns]


@pytest.mark.parametrize("along", ALONG)
def test_rises_are_those_of_copies_of_the_model_at_every_scale_of_logits(along):
    model, batches = stepping()
    parameters = Parameters(model)
    network = network_scale(model, batches)
    spans = list(random_spans(parameters, along, draws=2, seed=3))
    found = rise_curve(model, scaled({"sdt": entropy}, network), batches, iter(spans), RADII, angles=6)
    with torch.no_grad():
        deviations = torch.cat([model(x) for x, _ in batches], dim=1).mean(0).numpy().var(axis=1)
    assert network == pytest.approx(np.sqrt(deviations.mean()), rel=1e-12)
    assert found.examples == 17
    for way, scale in (("plain", 1.0), ("network", network), ("example", None)):
        name = metric("sdt", way)
        centre = losses(model, batches, scale)
        assert found.centre[name] == pytest.approx(centre.mean(), rel=1e-12)
        for (draw, directions), (place, radius) in itertools.product(enumerate(spans), enumerate(RADII)):
            around = [losses(moved(model, directions, point), batches, scale) for point in points(along, radius)]
            rise = np.mean(around, axis=0) - centre
            assert found.rise[name][draw, place] == pytest.approx(rise.mean(), rel=1e-9, abs=1e-12)
            assert found.stderr[name][draw, place] == pytest.approx(rise.std(ddof=1) / 17**0.5, rel=1e-9)


def test_directions_are_the_surface_s_lines_and_planes_and_the_average_s_noise():
    objective, *_ = quadratic()
    parameters = objective.parameters
    lines, planes = (list(random_spans(parameters, along, draws=2, seed=5)) for along in ("line", "plane"))
    for draw in (0, 1):
        for axis, direction in enumerate(planes[draw]):
            assert torch.equal(direction, random_direction(parameters, seed=5000 + 2 * draw + axis))
        assert torch.equal(lines[draw][0], planes[draw][0])
    assert not torch.equal(lines[0][0], lines[1][0])
    model, batches = objective.model, [(batch.inputs, batch.target) for batch in objective.evaluation.batches]
    spans = random_spans(parameters, "noise", draws=3, seed=5)
    found = rise_curve(model, lambda z, y: {"loss": squares(z, y)}, batches, spans, [0.1, 0.4])
    expected = average_rise(objective, radii=[0.1, 0.4], draws=3, seed=5)
    np.testing.assert_allclose(found.rise["loss"].T, expected.rises, rtol=1e-9)
    assert len(list(random_spans(parameters, "noise", draws=1))) == 1


def test_on_a_quadratic_the_rise_is_half_the_quadratic_form():
    objective, _, hessian, _ = quadratic()
    batches = [(batch.inputs, batch.target) for batch in objective.evaluation.batches]
    for along in ("line", "plane"):
        spans = list(random_spans(objective.parameters, along, draws=3))
        found = rise_curve(objective.model, lambda z, y: {"loss": squares(z, y)}, batches, spans, [0.5, 1.0, 3.0])
        half = [np.mean([(d @ hessian @ d).item() / 2 for d in directions]) for directions in spans]
        assert found.rise["loss"] == pytest.approx(np.outer(half, [0.25, 1, 9]), rel=1e-9)


def test_the_mean_over_a_circle_is_that_of_a_fine_surface():
    model, batches = stepping()
    (span,) = random_spans(Parameters(model), "plane", draws=1)
    metrics = scaled({"sdt": entropy}, 1.0)
    axis = grid(-1.0, 1.0, 13)
    plane = surface(model, metrics, batches, span, axis, axis)
    found = rise_curve(model, metrics, batches, [span], [0.4, 0.9], angles=24)
    for way in LOGITS:
        name = metric("sdt", way)
        expected = [mean_rise(plane.mean[name], axis, axis, radius) for radius in (0.4, 0.9)]
        assert found.rise[name][0] == pytest.approx(expected, rel=0.05, abs=0.02)


def test_a_more_confident_twin_rises_more_and_at_one_scale_the_same():
    """Head and bias times four: four times the logits, here and wherever its filters move by their own size."""
    model, batches = stepping()
    twin = copy.deepcopy(model)
    twin.head.weight.data *= 4
    twin.head.bias.data *= 4
    curves = []
    for each in (model, twin):
        spans = random_spans(Parameters(each), "line", draws=2)
        metrics = scaled({"sdt": entropy}, network_scale(each, batches))
        curves.append(rise_curve(each, metrics, batches, spans, RADII))
    for way in ("network", "example"):
        one, other = (found.rise[metric("sdt", way)] for found in curves)
        assert one == pytest.approx(other, rel=1e-9)
    one, other = (found.rise[metric("sdt", "plain")] for found in curves)
    assert other.mean() > 2 * one.mean() > 0
    squares = [found.centre[MEAN_SQUARE] + found.rise[MEAN_SQUARE] for found in curves]
    assert squares[1] == pytest.approx(16 * squares[0], rel=1e-9)


def test_the_frame_has_a_row_for_each_metric_draw_and_radius():
    model, batches = stepping()
    spans = random_spans(Parameters(model), "line", draws=2)
    done: list[int] = []
    found = rise_curve(model, scaled({"sdt": entropy}, 1.0), batches, spans, RADII, progress=done.append)
    assert done == [1] * 8
    frame = found.to_frame().set_index(["metric", "draw", "radius"])
    assert len(frame) == 4 * 2 * 2
    row = frame.xs((metric("sdt", "example"), 1, 0.7))
    assert row["rise"] == found.rise[metric("sdt", "example")][1, 1]
    assert row["stderr"] == found.stderr[metric("sdt", "example")][1, 1]
    assert row["value"] == found.centre[metric("sdt", "example")]


def test_the_model_comes_back_bit_for_bit():
    model, batches = stepping()
    before = copy.deepcopy(model.state_dict())
    rise_curve(model, scaled({"sdt": entropy}, 1.0), batches, random_spans(Parameters(model), "noise", draws=2), RADII)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_rise_that_overflows_stays_in_the_result():
    objective, *_ = quadratic()
    batches = [(batch.inputs, batch.target) for batch in objective.evaluation.batches]
    spans = random_spans(objective.parameters, "line", draws=1)
    found = rise_curve(objective.model, lambda z, y: {"loss": squares(z, y)}, batches, spans, [1.0, 1e200])
    assert np.isfinite(found.rise["loss"][0, 0])
    assert np.isinf(found.rise["loss"][0, 1])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"radii": []}, "radii must be positive"),
        ({"radii": [0.0, 1.0]}, "radii must be positive"),
        ({"radii": [-0.1, 1.0]}, "radii must be positive"),
        ({"radii": [0.1, float("nan")]}, "radii must be positive"),
        ({"radii": [0.5, 0.2]}, "radii must ascend"),
        ({"radii": [0.5, 0.5]}, "radii must ascend"),
        ({"angles": 5}, "angles must be even and at least 4, got 5"),
        ({"angles": 2}, "angles must be even and at least 4, got 2"),
        ({"spans": []}, "no direction"),
        ({"spans": [[torch.ones(84, dtype=torch.float64)] * 3]}, "one direction or in the plane of two, got 3"),
        ({"spans": [[torch.ones(3)]]}, "a direction must hold 84"),
    ],
)
def test_what_is_no_curve_is_refused(wrong, says):
    model, batches = stepping()
    chosen = {"spans": random_spans(Parameters(model), "line", draws=1), "radii": RADII} | wrong
    with pytest.raises(ValueError, match=says):
        rise_curve(model, scaled({"sdt": entropy}, 1.0), batches, **chosen)


def test_a_loss_that_is_not_finite_at_the_weights_is_refused():
    model, batches = stepping()
    spans = random_spans(Parameters(model), "line", draws=1)
    with pytest.raises(ValueError, match="'loss' is not finite at the weights"):
        rise_curve(model, lambda z, y: {"loss": entropy(z, y) / 0}, batches, spans, RADII)


@pytest.mark.parametrize(("along", "draws", "says"), [("circle", 2, "along must be one of"), ("line", 0, "at least 1")])
def test_unknown_spans_are_refused(along, draws, says):
    with pytest.raises(ValueError, match=says):
        random_spans(Parameters(nn.Linear(2, 2)), along, draws=draws)


def test_noise_has_the_filters_size_on_average():
    parameters = Objective(nn.Linear(400, 3), cross_entropy, [(torch.zeros(2, 400), torch.tensor([0, 1]))]).parameters
    moves = torch.stack([span[0] for span in random_spans(parameters, "noise", draws=200)])
    assert moves[:, :1200].std() == pytest.approx(float(filter_scale(parameters)[:1200].mean()), rel=0.02)
    assert not moves[:, 1200:].any()
