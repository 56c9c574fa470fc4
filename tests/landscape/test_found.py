"""What readers who tried to break the measurements found: each once silently wrong, now right or refused."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import IterableDataset

from landscape.curvature import Fisher, GaussNewton, Hessian, categorical
from landscape.evaluation import recalibrate
from landscape.objective import Objective, Parameters
from landscape.surfaces import first_layer, random_direction
from landscape.surfaces.points import Points

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(12, 5, generator=GENERATOR, dtype=torch.float64)
Y = torch.arange(12) % 3
PAIRS = [(X[:4], Y[:4]), (X[4:8], Y[4:8]), (X[8:], Y[8:])]
POINT = (0.7,)


def each(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(output, target, reduction="none")


def metrics(output: Tensor, target: Tensor) -> dict[str, Tensor]:
    return {"loss": each(output, target)}


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def naive(model: nn.Module, direction: Tensor, step: float) -> float:
    twin = copy.deepcopy(model)
    weights = Parameters(twin)
    weights.assign(weights.vector() + step * direction)
    with torch.no_grad():
        return float(each(twin.eval()(X), Y).mean())


class Reusing:
    """A loader that writes every batch into the same memory, as ones that pin it do."""

    def __init__(self) -> None:
        self.x, self.y = np.zeros((4, 5)), np.zeros(4, dtype=np.int64)

    def __iter__(self) -> Any:
        for x, y in PAIRS:
            self.x[:], self.y[:] = x.numpy(), y.numpy()
            yield torch.from_numpy(self.x), torch.from_numpy(self.y)


def test_batches_that_share_their_memory_are_kept_apart():
    model, loader = network(), Reusing()
    direction = random_direction(Parameters(model), seed=0)
    value = float(Points(model, metrics, loader, [direction]).values(POINT)["loss"].mean())
    assert value == pytest.approx(naive(model, direction, POINT[0]), rel=1e-12)
    right = Hessian(Objective(model, each, PAIRS)) @ direction
    kept = Hessian(Objective(model, each, loader), keep_graph=True)
    torch.testing.assert_close(kept @ direction, right)
    torch.testing.assert_close(kept @ direction, right)


def test_padded_attention_has_one_loss_with_gradients_and_without():
    class Padded(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
            self.encoder, self.out = nn.TransformerEncoder(layer, 1), nn.Linear(4, 3)

        def forward(self, inputs):
            return self.out(self.encoder(inputs["x"], src_key_padding_mask=inputs["mask"]).mean(1))

    torch.manual_seed(0)
    mask = torch.zeros(6, 5, dtype=torch.bool)
    mask[:, 3:] = True
    objective = Objective(Padded(), each, [({"x": torch.randn(6, 5, 4), "mask": mask}, Y[:6])])
    assert objective.value() == pytest.approx(float(objective.examples_and_gradient()[0].mean()), rel=1e-6)


def test_a_forward_that_asks_for_gradients_is_refused():
    class Asking(nn.Linear):
        def forward(self, x):
            return super().forward(x) * (1.1 if torch.is_grad_enabled() else 1)

    with pytest.raises(ValueError, match="something else where gradients are taken"):
        Objective(Asking(5, 3).double(), each, PAIRS)


def test_layers_made_by_the_first_pass_are_refused():
    class Late(nn.Module):
        def __init__(self):
            super().__init__()
            self.first: Any = nn.Linear(5, 4).double()
            self.last: Any = None

        def forward(self, x):
            if self.last is None:
                self.last = nn.Linear(4, 3).double()
            return self.last(self.first(x))

    with pytest.raises(ValueError, match=r"parameters come or go.*last\.bias"):
        Objective(Late(), each, PAIRS)


def test_hooks_on_gradients_are_refused_where_gradients_are_asked_for():
    model = network()
    handle = model.get_parameter("0.weight").register_hook(lambda gradient: gradient.clamp(-1e-3, 1e-3))
    objective = Objective(model, each, PAIRS)
    assert objective.value() > 0
    with pytest.raises(ValueError, match=r"'0\.weight' has a hook on its gradient"):
        objective.gradient()
    with pytest.raises(ValueError, match="hook on its gradient"):
        Hessian(objective)
    handle.remove()
    assert objective.gradient().norm() > 0.01


def test_a_batch_other_than_the_first_that_is_written_to_is_refused_and_as_it_was():
    class Clipping(nn.Module):
        def __init__(self):
            super().__init__()
            self.net: Any = network()

        def forward(self, x):
            x[x > 1] = 1
            return self.net(x)

    pairs = [(x.clamp(max=0.9) if place == 0 else x.clone(), y) for place, (x, y) in enumerate(PAIRS)]
    before = [x.clone() for x, _ in pairs]
    model = Clipping()
    with pytest.raises(ValueError, match="writes to a batch that it is given, and not to the first one"):
        Objective(model, each, pairs).value()
    with pytest.raises(ValueError, match="writes to a batch"):
        Points(model, metrics, pairs, [random_direction(Parameters(model), seed=0)]).values(POINT)
    assert all(torch.equal(x, y) for (x, _), y in zip(pairs, before, strict=True))


@pytest.mark.parametrize("size", [100, 1000, 5000])
def test_class_weights_are_seen_in_batches_of_any_size(size):
    torch.manual_seed(0)
    x, y = torch.randn(size, 5), torch.randint(3, (size,))
    for seed in range(5):
        torch.manual_seed(seed)
        loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 10.0, 1.0]))
        with pytest.raises(ValueError, match="not the mean over the examples"):
            Objective(nn.Linear(5, 3), loss, [(x, y)])
        assert Objective(nn.Linear(5, 3), nn.CrossEntropyLoss(), [(x, y)]).size == size


class Masked(nn.Module):
    """Cuts its first layer's weights back to a mask as it runs; at the weights as found that changes nothing."""

    def __init__(self):
        super().__init__()
        self.net: Any = network()
        self.mask: Any = (torch.rand(6, 5, generator=torch.Generator().manual_seed(1)) > 0.5).double()
        self.net.get_parameter("0.weight").data.mul_(self.mask)

    def forward(self, x):
        self.net[0].weight.data.mul_(self.mask)
        return self.net(x)


class Swapping(nn.Module):
    """Runs its first layer with other weights than its own."""

    def __init__(self):
        super().__init__()
        self.net: Any = network()

    def forward(self, x):
        first = torch.func.functional_call(self.net[0], {"weight": torch.tanh(self.net[0].weight)}, (x,))
        return self.net[2](torch.tanh(first))


@pytest.mark.parametrize("kind", [Masked, Swapping])
def test_the_shortcut_leaves_layers_alone_whose_weights_forward_sees_to(kind, monkeypatch):
    model = kind()
    direction = random_direction(Parameters(model), seed=0)
    space = Points(model, metrics, PAIRS, [direction])
    found = [float(space.values((step,))["loss"].mean()) for step in (0.0, 0.5, 1.0)]
    assert found == pytest.approx([naive(model, direction, step) for step in (0.0, 0.5, 1.0)], rel=1e-12)
    monkeypatch.setattr(first_layer, "BUDGET", 0)
    plain = Points(model, metrics, PAIRS, [direction])
    assert found == pytest.approx([float(plain.values((step,))["loss"].mean()) for step in (0.0, 0.5, 1.0)], rel=1e-12)


def test_an_infinite_input_behind_a_bounded_layer_is_no_nan():
    model, x = network(), X.clone()
    x[9, 0] = torch.inf  # in the second batch
    pairs = [(x[:6], Y[:6]), (x[6:], Y[6:])]
    space = Points(model, metrics, pairs, [random_direction(Parameters(model), seed=0)])
    for step in (0.0, 0.5, 0.0):
        assert np.isfinite(float(space.values((step,))["loss"].mean()))


def test_points_laid_out_before_training_are_refused_after_it():
    model = network()
    space = Points(model, metrics, PAIRS, [random_direction(Parameters(model), seed=0)])
    space.values(POINT)
    model.get_parameter("0.weight").data.mul_(2)
    with pytest.raises(ValueError, match="weights have changed since"):
        space.values(POINT)
    assert not torch.equal(model[0].weight, network()[0].weight)


def test_a_loss_that_writes_to_the_logits_has_its_matrices_all_the_same():
    def writing(output: Tensor, target: Tensor) -> Tensor:
        return each(output.div_(2.0), target)

    model = network()
    plain = Objective(model, lambda z, y: each(z / 2, y), PAIRS)
    written = Objective(model, writing, PAIRS)
    vector = random_direction(Parameters(model), seed=0)
    torch.testing.assert_close(GaussNewton(written) @ vector, GaussNewton(plain) @ vector)
    torch.testing.assert_close(
        Fisher(written, categorical, draws=3) @ vector, Fisher(plain, categorical, draws=3) @ vector
    )


def test_a_norm_that_takes_its_input_in_parts_is_refused():
    class Ghost(nn.BatchNorm1d):
        def forward(self, x):
            return torch.cat([super(Ghost, self).forward(part) for part in x.chunk(2)])

    with pytest.raises(ValueError, match="Ghost normalises its input in several parts"):
        recalibrate(nn.Sequential(nn.Linear(5, 4), Ghost(4), nn.Linear(4, 3)).double(), PAIRS)


class Graph:
    """An object of a class of its own, as graph libraries' batches are."""

    def __init__(self, x: Tensor, y: Tensor):
        self.x, self.y = x, y

    def to(self, _device: torch.device) -> "Graph":
        return self


def test_objects_of_any_class_are_compared_by_what_lies_in_them():
    class Redrawn:
        def __iter__(self) -> Any:
            yield Graph(torch.randn(4, 5, dtype=torch.float64), Y[:4]), Y[:4]

    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.net: Any = network()

        def forward(self, graph):
            return self.net(graph.x)

    with pytest.raises(ValueError, match=r"augments|shuffles"):
        Objective(Reader(), each, Redrawn()).value()
    assert Objective(Reader(), each, [(Graph(X, Y), Y)]).value() == pytest.approx(naive(network(), torch.zeros(57), 0))


def test_a_stream_of_examples_and_one_of_batches_are_both_read():
    class Stream(IterableDataset):
        def __init__(self, items: Any):
            self.items = items

        def __iter__(self) -> Any:
            return iter(self.items)

    right = naive(network(), torch.zeros(57), 0)
    assert Objective(network(), each, Stream(PAIRS)).value() == pytest.approx(right, rel=1e-12)
    assert Objective(network(), each, Stream(list(zip(X, Y, strict=True)))).value() == pytest.approx(right, rel=1e-12)


def test_points_of_a_differential_equation_keep_their_gradient():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)).double()
            self.places = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None].requires_grad_()

        def forward(self, x):
            with torch.enable_grad():
                (slope,) = torch.autograd.grad(self.net(self.places).sum(), self.places, create_graph=True)
            return self.net(x) + slope.mean()

    model = Residual()
    assert Hessian(Objective(model, lambda z, _: z[:, 0] ** 2, [(X[:, :1], Y)])).symmetry < 1e-12
    assert model.places.requires_grad
