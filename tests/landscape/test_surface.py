"""Surfaces against a closed form, and against copying the model and setting its weights."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from landscape.objective import Objective, Parameters
from landscape.surfaces import grid, random_direction, surface
from landscape.surfaces.points import Points
from landscape.surfaces.surface import evaluate_points


def squares(output, target):
    return (output - target).square().sum(1) / 2


def metrics(output, target):
    losses = F.cross_entropy(output, target, reduction="none")
    return {"loss": losses, "accuracy": (output.argmax(1) == target).float()}


def convolutional():
    """A small net with BatchNorm statistics that are not the initial ones, and a ragged split of its data."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 3), nn.Dropout(0.0)
        )
        inputs, target = torch.randn(23, 1, 6, 6), torch.randint(3, (23,))
        model(inputs)
    batches = [(inputs[:9], target[:9]), (inputs[9:18], target[9:18]), (inputs[18:], target[18:])]
    parameters = Parameters(model)
    return model, batches, [random_direction(parameters, seed=seed) for seed in (0, 1)]


def quadratic():
    generator = torch.Generator().manual_seed(0)
    model = nn.Linear(4, 2, bias=False).double()
    model.weight.data = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    inputs, target = (torch.randn(30, width, generator=generator, dtype=torch.float64) for width in (4, 2))
    return model, inputs, target


def copied(model, batches, directions, point, mode):
    """Per-example metrics of a deep copy whose weights were set one by one."""
    twin = copy.deepcopy(model).train(mode == "train")
    position = 0
    for weight in twin.parameters():
        size = weight.numel()
        step = sum(c * d[position : position + size] for c, d in zip(point, directions, strict=True))
        weight.data = weight.data + step.view_as(weight)
        position += size
    with torch.no_grad():
        values = [metrics(twin(inputs), target) for inputs, target in batches]
    return {name: torch.cat([value[name] for value in values]).double().numpy() for name in ("loss", "accuracy")}


def test_a_quadratic_loss_is_its_paraboloid():
    model, inputs, target = quadratic()
    directions = [random_direction(Parameters(model), seed=seed) for seed in (0, 1)]
    found = surface(
        model, lambda o, t: {"loss": squares(o, t)}, [(inputs, target)], directions, grid(-2.0, 2.0, 5), [-1.0, 0.5]
    )
    hessian = torch.block_diag(*[inputs.T @ inputs / 30] * 2)
    gradient = ((inputs @ model.weight.detach().T - target).T @ inputs / 30).reshape(-1)
    value = squares(inputs @ model.weight.detach().T, target).mean()
    for i, alpha in enumerate((-2.0, -1.0, 0.0, 1.0, 2.0)):
        for j, beta in enumerate((-1.0, 0.5)):
            step = alpha * directions[0] + beta * directions[1]
            expected = value + gradient @ step + step @ hessian @ step / 2
            assert found.mean["loss"][i, j] == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_surface_equals_evaluating_copies_of_the_model(mode):
    model, batches, directions = convolutional()
    alphas, betas = grid(-1.0, 1.0, 3), np.array([-0.5, 0.0, 2.0])
    found = surface(model, metrics, batches, directions, alphas, betas, mode=mode)
    centre = copied(model, batches, directions, (0.0, 0.0), mode)
    assert found.examples == 23
    for i, alpha in enumerate(alphas):
        for j, beta in enumerate(betas):
            values = copied(model, batches, directions, (alpha, beta), mode)
            for name in ("loss", "accuracy"):
                rise = values[name] - centre[name]
                assert found.mean[name][i, j] == pytest.approx(values[name].mean(), rel=1e-6, abs=1e-6)
                assert found.stderr[name][i, j] == pytest.approx(values[name].std(ddof=1) / 23**0.5, rel=1e-5)
                assert found.rise_stderr[name][i, j] == pytest.approx(rise.std(ddof=1) / 23**0.5, rel=1e-4, abs=1e-7)


def test_the_centre_is_the_objectives_value_and_its_rise_has_no_error():
    model, batches, directions = convolutional()
    found = surface(model, metrics, batches, directions, grid(-1.0, 1.0, 3), grid(-1.0, 1.0, 3))
    objective = Objective(model, lambda output, target: metrics(output, target)["loss"], batches)
    assert found.mean["loss"][1, 1] == objective.examples().double().mean().item()
    assert found.mean["loss"][1, 1] == pytest.approx(objective.value(), rel=1e-6)
    assert found.rise_stderr["loss"][1, 1] == 0


def test_near_the_centre_the_paired_error_is_much_smaller():
    model, batches, directions = convolutional()
    found = surface(model, metrics, batches, directions[:1], [0.01])
    assert found.rise_stderr["loss"].item() < 0.1 * found.stderr["loss"].item()


def test_a_line_is_a_plane_at_beta_zero():
    model, batches, directions = convolutional()
    line = surface(model, metrics, batches, directions[:1], grid(-1.0, 1.0, 5))
    plane = surface(model, metrics, batches, directions, grid(-1.0, 1.0, 5), [0.0, 1.0])
    assert line.mean["loss"].shape == (5, 1)
    assert line.betas.tolist() == [0.0]
    assert np.array_equal(line.mean["loss"][:, 0], plane.mean["loss"][:, 0])


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_model_comes_back_bit_for_bit(mode):
    model, batches, directions = convolutional()
    model.train()
    model[4].eval()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    before, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    surface(model, metrics, batches, directions, grid(-1.0, 1.0, 2), grid(-1.0, 1.0, 3), mode=mode)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(model[0].weight.grad, torch.ones_like(model[0].weight))


def test_the_model_comes_back_bit_for_bit_from_an_exception():
    model, batches, directions = convolutional()
    before, calls = copy.deepcopy(model.state_dict()), []

    def failing(output, target):
        calls.append(not torch.equal(model[0].weight, before["0.weight"]))
        if len(calls) == 8:
            raise KeyError("in the middle of a moved point")
        return metrics(output, target)

    with pytest.raises(ValueError, match="the metrics fail on a batch: KeyError: 'in the middle of a moved point'"):
        surface(model, failing, batches, directions, grid(0.5, 1.0, 2), grid(0.5, 1.0, 2), mode="train")
    assert calls == 3 * [False] + [False, False, False, True, True]  # first the check, then the centre
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_between_points_the_model_is_as_it_was_found():
    model, batches, directions = convolutional()
    before = copy.deepcopy(model.state_dict())
    for _ in evaluate_points(model, metrics, batches, directions, [(1.0, 1.0), (0.5, 2.0)], mode="train"):
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert model.training


def test_points_can_be_taken_in_any_order_and_in_parts():
    model, batches, directions = convolutional()
    points = [(0.1 * k, -0.2 * k) for k in range(6)]
    whole = dict(evaluate_points(model, metrics, batches, directions, points))
    part = dict(evaluate_points(model, metrics, batches, directions, points[:2:-1]))
    assert list(whole) == list(range(6))
    for index in range(3):
        assert torch.equal(part[index]["loss"], whole[5 - index]["loss"])


def test_one_forward_pass_a_point_gives_every_metric_and_progress_counts_points():
    model, batches, directions = convolutional()
    passes: list[int] = []
    done: list[int] = []
    model.register_forward_hook(lambda *_: passes.append(1))
    surface(model, metrics, batches, directions, grid(-1.0, 1.0, 3), grid(-1.0, 1.0, 3), progress=done.append)
    assert len(passes) == 3 + 9 * len(batches)  # three passes are the check's
    assert done == list(range(1, 10))
    done.clear()
    surface(model, metrics, batches, directions[:1], [0.5, 1.0], progress=done.append)
    assert done == [1, 2]


def test_only_weights_with_a_direction_move():
    model, batches, directions = convolutional()
    biases = {name: value.clone() for name, value in model.named_parameters() if value.ndim < 2}
    seen = []

    def watching(output, target):
        seen.append(all(torch.equal(dict(model.named_parameters())[name], bias) for name, bias in biases.items()))
        return metrics(output, target)

    surface(model, watching, batches, directions[:1], [-1.0, 1.0])
    assert all(seen)


def test_a_loss_that_overflows_stays_in_the_result():
    model, inputs, target = quadratic()
    direction = random_direction(Parameters(model), seed=0)
    found = surface(model, lambda o, t: {"loss": squares(o, t)}, [(inputs, target)], [direction], [-1e200, 0.0, 1e200])
    assert np.isinf(found.mean["loss"][[0, 2], 0]).all()
    assert np.isfinite(found.mean["loss"][1, 0])
    assert np.isinf(found.to_frame()["value"]).sum() == 2


def test_batches_are_read_before_the_first_point_and_not_again():
    model, batches, directions = convolutional()
    read: list[int] = []

    class Loader:
        def __iter__(self):
            read.append(1)
            return iter(batches)

    space = Points(model, metrics, Loader(), directions)
    before = len(read)
    space.values((0.0, 0.0))
    space.values((1.0, 0.5))
    assert len(read) == before
    with pytest.raises(ValueError, match="read only once"):
        surface(model, metrics, iter(batches), directions[:1], [-1.0, 0.0, 1.0])


def test_a_single_example_has_no_standard_error():
    model, inputs, target = quadratic()
    direction = random_direction(Parameters(model), seed=0)
    found = surface(model, lambda o, t: {"loss": squares(o, t)}, [(inputs[:1], target[:1])], [direction], [0.0, 1.0])
    assert np.isnan(found.stderr["loss"]).all()


def test_the_frame_has_a_row_for_each_metric_and_point():
    model, batches, directions = convolutional()
    found = surface(model, metrics, batches, directions, [0.0, 0.5, 1.0], [0.0, 2.0])
    frame = found.to_frame().set_index(["metric", "alpha", "beta"])
    assert len(frame) == 12
    assert frame.loc[("loss", 0.5, 2.0), "value"] == found.mean["loss"][1, 1]
    assert frame.loc[("accuracy", 1.0, 0.0), "stderr"] == found.stderr["accuracy"][2, 0]
    assert frame.loc[("loss", 1.0, 2.0), "rise_stderr"] == found.rise_stderr["loss"][2, 1]


@given(stop=st.floats(1e-6, 1e6), half=st.integers(1, 50))
def test_an_odd_symmetric_grid_holds_zero_and_both_ends_exactly(stop, half):
    points = grid(-stop, stop, 2 * half + 1)
    assert (points[0], points[half], points[-1]) == (-stop, 0.0, stop)
    assert np.array_equal(points, -points[::-1])
    assert np.allclose(np.diff(points), stop / half)


def test_a_grid_without_symmetry_is_evenly_spaced():
    assert grid(0.0, 3.0, 4).tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize(("start", "stop", "count"), [(-1.0, 1.0, 1), (-1.0, 1.0, 0), (1.0, 1.0, 3), (0.0, np.inf, 3)])
def test_a_grid_that_is_no_grid_is_refused(start, stop, count):
    with pytest.raises(ValueError, match="a grid"):
        grid(start, stop, count)


def test_what_does_not_fit_is_refused():
    model, batches, directions = convolutional()
    with pytest.raises(ValueError, match="each direction needs coordinates: got 2 directions"):
        surface(model, metrics, batches, directions, [0.0, 1.0])
    with pytest.raises(ValueError, match="each direction needs coordinates"):
        surface(model, metrics, batches, directions[:1], [])
    with pytest.raises(ValueError, match="finite numbers, got 3"):
        surface(model, metrics, batches, [torch.ones(3)], [0.0])
    with pytest.raises(ValueError, match="finite numbers"):
        surface(model, metrics, batches, [directions[0] * float("inf")], [0.0])
    with pytest.raises(ValueError, match="mode"):
        surface(model, metrics, batches, directions[:1], [0.0], mode="test")
    with pytest.raises(ValueError, match="hold no example"):
        surface(model, metrics, [], directions[:1], [0.0])
    with pytest.raises(ValueError, match="a direction is zero"):
        surface(model, metrics, batches, [directions[0] * 0], [0.0])
    with pytest.raises(ValueError, match="'loss' must be one value per example"):
        surface(model, lambda o, t: {"loss": F.cross_entropy(o, t)}, batches, directions[:1], [0.0])
