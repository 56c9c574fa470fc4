"""What makes a point cheap, each against the plain way: a copy of the model, its weights set, a forward pass."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from landscape.evaluation import recalibrate
from landscape.objective import Parameters
from landscape.surfaces import cached_size, first_layer, random_direction, surface
from landscape.surfaces.points import Points, evaluate_points
from models.losses import sdt_loss
from models.networks import build

POINTS = [(0.0, 0.0), (0.7, -0.4), (-1.0, 1.0)]


def loss(logits, labels):
    return {"loss": sdt_loss(logits, labels, reduction="none")}


def network(dtype=torch.float64, **arguments):
    """A spiking network whose neurons fire, with statistics and images of its own, in two ragged batches."""
    net = build("digits-cnn", seed=0, channels=4, timesteps=3, **arguments).to(dtype)
    images = torch.randn(11, 1, 8, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    labels = torch.arange(11) % 10
    with torch.no_grad():
        net.train()(images)
    net.eval()
    directions = [random_direction(Parameters(net), seed=seed, bias_and_norm=True) for seed in (0, 1)]
    return net, [(images[:7], labels[:7]), (images[7:], labels[7:])], directions


def plain(net, batches, directions, point, metrics=loss):
    twin = copy.deepcopy(net)
    weights = Parameters(twin)
    weights.assign(weights.vector() + sum(c * d for c, d in zip(point, directions, strict=True)))
    with torch.no_grad():
        return torch.cat([metrics(twin(x), y)["loss"] for x, y in batches]).double()


@pytest.fixture
def counted(monkeypatch):
    """Calls of torch's convolution, by the number of channels that go in."""
    calls, original = [], F.conv2d

    def conv2d(images, *arguments, **more):
        calls.append(images.shape[1])
        return original(images, *arguments, **more)

    monkeypatch.setattr(F, "conv2d", conv2d)
    return calls


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("events", [False, True])
def test_in_float64_values_are_the_plain_ones_to_1e_12(channels_last, events):
    net, batches, directions = network()
    if events:
        frames = torch.rand(3, 1, 1, 1, 1, dtype=torch.float64) + 0.5
        batches = [(frames * images, labels) for images, labels in batches]
    for index, found in evaluate_points(net, loss, batches, directions, POINTS, channels_last=channels_last):
        expected = plain(net, batches, directions, POINTS[index])
        torch.testing.assert_close(found["loss"], expected, rtol=0, atol=1e-12)
    assert float(expected.std()) > 0.1


def test_in_float32_values_are_the_plain_ones_to_1e_5_without_spikes():
    net, batches, directions = network(torch.float32, spiking=False)
    for index, found in evaluate_points(net, loss, batches, directions, POINTS, channels_last=True):
        expected = plain(net, batches, directions, POINTS[index])
        torch.testing.assert_close(found["loss"], expected, rtol=1e-5, atol=1e-5)


def test_the_first_convolution_runs_three_times_a_batch_for_any_number_of_points(counted):
    net, batches, directions = network()
    counted.clear()
    space = Points(net, loss, batches, directions)
    space.values((0.3, 0.2))
    before = counted.count(1)
    for step in range(5):
        space.values((0.1 * step, 0.2))
    assert counted.count(1) == before
    assert before == 3 + 3 * len(batches)  # the check, and three outputs of each batch


def test_other_directions_take_batches_that_are_read_and_checked_and_give_what_points_made_anew_give(counted):
    net, batches, (one, other) = network()
    space = Points(net, loss, batches, [one])
    counted.clear()
    along = space.along([other, one])
    assert not counted
    again = Points(net, loss, batches, [other, one])
    for point in POINTS:
        assert torch.equal(along.values(point)["loss"], again.values(point)["loss"])
        torch.testing.assert_close(along.values(point)["loss"], plain(net, batches, [other, one], point))
    torch.testing.assert_close(space.values((0.7,))["loss"], plain(net, batches, [one], (0.7,)))
    with pytest.raises(ValueError, match="a direction is zero"):
        space.along([torch.zeros_like(one)])


def test_a_first_layer_that_would_take_too_much_memory_is_computed_as_usual(counted, monkeypatch):
    monkeypatch.setattr(first_layer, "BUDGET", 1000)
    net, batches, directions = network()
    space = Points(net, loss, batches, directions)
    space.values(POINTS[1])
    before = counted.count(1)
    torch.testing.assert_close(space.values(POINTS[2])["loss"], plain(net, batches, directions, POINTS[2]))
    assert counted.count(1) == before + 2 * len(batches)  # ours and the plain one's


class Standardised(nn.Linear):
    """Not linear in its weights: rows have unit norm."""

    def forward(self, input):  # noqa: A002
        return F.linear(input, self.weight / self.weight.norm(dim=1, keepdim=True), self.bias)


class Twice(nn.Module):
    """Two layers on the input, one of them applied twice: to a view of the input, and to something else."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(6, 6), nn.Linear(6, 6, bias=False)

    def forward(self, x):
        return self.one(x) + self.one(torch.tanh(self.other(x))) + self.one(x.flatten(1))


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(Standardised(6, 5), nn.Tanh(), nn.Linear(5, 3)),
        Twice(),
        nn.Sequential(nn.Tanh(), nn.Linear(6, 3)),
        nn.Sequential(nn.Linear(6, 3)),
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 5)), nn.Tanh(), nn.Linear(5, 3)),
    ],
)
def test_any_model_s_first_layers_are_right(model):
    model = copy.deepcopy(model).double()
    inputs = torch.randn(9, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    batches = [(inputs[:4], torch.arange(4) % 3), (inputs[4:], torch.arange(5) % 3)]
    dimension = Parameters(model).dimension
    generator = torch.Generator().manual_seed(1)
    directions = [torch.randn(dimension, generator=generator, dtype=torch.float64) for _ in range(2)]

    def metrics(output, target):
        return {"loss": F.cross_entropy(output, target, reduction="none")}

    for index, found in evaluate_points(model, metrics, batches, directions, POINTS):
        expected = plain(model, batches, directions, POINTS[index], metrics)
        torch.testing.assert_close(found["loss"], expected, rtol=0, atol=1e-12)
    assert not any("forward" in vars(module) for module in model.modules())


def test_a_frozen_bias_stays_and_counts_once():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    model.get_parameter("0.bias").requires_grad_(False).fill_(0.7)
    inputs, target = torch.eye(3, dtype=torch.float64), torch.tensor([0, 1, 0])
    directions = [random_direction(Parameters(model), seed=seed) for seed in (0, 1)]

    def metrics(output, target):
        return {"loss": F.cross_entropy(output, target, reduction="none")}

    for index, found in evaluate_points(model, metrics, [(inputs, target)], directions, POINTS):
        expected = plain(model, [(inputs, target)], directions, POINTS[index], metrics)
        torch.testing.assert_close(found["loss"], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("channels_last", [False, True])
def test_weights_and_buffers_come_back_in_their_own_memory_when_the_iteration_is_left(channels_last):
    net, batches, directions = network(torch.float32)
    places = {name: value.data_ptr() for name, value in net.state_dict().items()}
    before, buffers = copy.deepcopy(net.state_dict()), dict(net.named_buffers())
    for _ in evaluate_points(net, loss, batches, directions, POINTS, mode="train", channels_last=channels_last):
        break
    after = net.state_dict()
    assert {name: value.data_ptr() for name, value in after.items()} == places
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    assert all(buffer is buffers[name] for name, buffer in net.named_buffers())


class Counting(nn.Linear):
    """Its output depends on how often it was called."""

    def __init__(self):
        super().__init__(2, 2)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, input):  # noqa: A002
        seen = self.get_buffer("seen").add_(1)
        return super().forward(input) * seen


def test_a_module_that_writes_its_buffers_in_eval_mode_does_not_carry_them_to_the_next_point():
    model = Counting()
    batches = [(torch.ones(3, 2), torch.zeros(3, dtype=torch.long))]
    direction = random_direction(Parameters(model), seed=0)
    found = [
        values["loss"]
        for _, values in evaluate_points(
            model, lambda z, y: {"loss": z[:, 0]}, batches, [direction], [(0.5,), (0.5,)],
            reset=lambda model: model.get_buffer("seen").zero_(),
        )
    ]  # fmt: skip
    assert torch.equal(found[0], found[1])
    assert model.get_buffer("seen") == 0


def test_statistics_taken_anew_are_those_of_a_recalibrated_copy():
    net, batches, directions = network()
    prepared = evaluate_points(
        net, loss, batches, directions, POINTS, prepare=lambda model: recalibrate(model, batches)
    )
    for index, found in prepared:
        twin = copy.deepcopy(net)
        weights = Parameters(twin)
        weights.assign(weights.vector() + sum(c * d for c, d in zip(POINTS[index], directions, strict=True)))
        recalibrate(twin, batches)
        torch.testing.assert_close(found["loss"], plain(twin, batches, [0 * directions[0]], (0.0,)), rtol=0, atol=1e-11)


def test_a_point_with_the_wrong_number_of_coordinates_is_refused():
    net, batches, directions = network()
    with pytest.raises(ValueError, match="one coordinate per direction, 2"):
        Points(net, loss, batches, directions).values((1.0,))


def test_a_pass_holds_as_many_examples_as_its_largest_output_allows():
    net = build("digits-cnn", seed=0, channels=4, timesteps=3)
    one = torch.zeros(1, 1, 8, 8)
    largest = 3 * 4 * 8 * 8 * 4  # float32 spikes of the first neurons
    assert cached_size(net, one, limit=10 * largest) == 10
    assert cached_size(net, one, limit=1) == 1


def test_infinity_far_out_is_kept_and_the_rest_is_finite():
    net, batches, directions = network(torch.float32)
    found = surface(net, lambda z, y: {"loss": z.exp().sum((0, 2))}, batches, directions[:1], [0.0, 1e30])
    assert torch.tensor(found.mean["loss"][:, 0]).isfinite().tolist() == [True, False]
