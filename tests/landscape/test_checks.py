"""What is no function of the weights and the batch is refused, by name; what can be put right is, unasked."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from landscape.curvature import Hessian
from landscape.evaluation import recalibrate
from landscape.evaluation.means import is_mean
from landscape.objective import Objective, Parameters
from landscape.sharpness import average_rise
from landscape.surfaces import grid, random_direction, surface
from landscape.surfaces.points import Points

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(20, 6, generator=GENERATOR, dtype=torch.float64)
Y = torch.randint(3, (20,), generator=GENERATOR)
BATCHES = [(X[:8], Y[:8]), (X[8:16], Y[8:16]), (X[16:], Y[16:])]


def each(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(output, target, reduction="none")


def metrics(output: Tensor, target: Tensor) -> dict[str, Tensor]:
    return {"loss": each(output, target)}


def network(middle: nn.Module) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(6, 5), middle, nn.Linear(5, 3)).double()


class Dropping(nn.Module):
    def forward(self, x):
        return F.dropout(torch.tanh(x), 0.3)


class Clocked(nn.Module):
    """Draws from a generator of its own."""

    def __init__(self):
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, x):
        return x + torch.randn(x.shape, generator=self.generator, dtype=x.dtype)


class Leaky(nn.Module):
    def __init__(self):
        super().__init__()
        self.v: Any = 0.0

    def forward(self, x):
        self.v = 0.5 * (self.v if torch.is_tensor(self.v) and self.v.shape == x.shape else 0.0) + x
        return torch.tanh(self.v)


class InPlace(Leaky):
    """The same state, in a list and written in place."""

    def __init__(self):
        super().__init__()
        self.kept = [torch.zeros(1)]

    def forward(self, x):
        if self.kept[0].shape != x.shape:
            self.kept[0] = torch.zeros_like(x)
        self.kept[0].mul_(0.5).add_(x.detach())
        return torch.tanh(self.kept[0] + x - x.detach())


class Buffered(nn.Module):
    """The same state in a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("v", torch.zeros(0))
        self.v: Tensor

    def forward(self, x):
        self.v = 0.5 * (self.v if self.v.shape == x.shape else torch.zeros_like(x)) + x
        return torch.tanh(self.v)


class Counting(nn.Module):
    """Another network from the third call on."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return torch.tanh(x) if self.calls < 3 else torch.tanh(2 * x)


QUESTIONS = {
    "objective": lambda model: Objective(model, each, BATCHES),
    "surface": lambda model: surface(
        model, metrics, BATCHES, [random_direction(Parameters(model), seed=0)], grid(-1.0, 1.0, 3)
    ),
    "recalibrate": lambda model: recalibrate(nn.Sequential(nn.BatchNorm1d(6).double(), model), BATCHES),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("middle", [Leaky, InPlace, Buffered])
def test_a_state_that_nothing_clears_is_refused_with_numbers_and_its_place(middle, question):
    model = network(middle())
    with pytest.raises(ValueError, match=r"depends on the batches before it.*(v|kept) of module '.*1' \(") as refused:
        QUESTIONS[question](model)
    assert "reset=" in str(refused.value)
    alone = float(each(model(X[8:16]), Y[8:16]).mean())
    if question == "objective":
        assert f"alone {alone:.5g}" in str(refused.value)


def test_told_how_to_clear_it_the_state_is_cleared_before_every_batch():
    model = network(Leaky())

    def reset(network: nn.Module) -> None:
        assert network is model
        model[1].__dict__["v"] = 0.0

    objective = Objective(model, each, BATCHES, reset=reset)
    alone = [float(each(network(Leaky())(x), y).sum()) for x, y in BATCHES]
    assert objective.value() == pytest.approx(sum(alone) / 20, rel=1e-12)
    found = surface(
        model, metrics, BATCHES, [random_direction(Parameters(model), seed=0)], grid(-1.0, 1.0, 3), reset=reset
    )
    assert found.mean["loss"][1, 0] == pytest.approx(sum(alone) / 20, rel=1e-12)
    assert Hessian(objective).symmetry < 1e-12
    assert model[1].v == 0.0


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("middle", [Dropping, Clocked])
def test_randomness_is_refused_and_named(middle, question):
    with pytest.raises(ValueError, match="the loss is not deterministic") as refused:
        QUESTIONS[question](network(middle()))
    said = "' (Dropping) draws at random" if middle is Dropping else "one of the model's own"
    assert said in str(refused.value)


def test_a_loss_that_draws_is_refused():
    with pytest.raises(ValueError, match=r"not deterministic.*The loss or forward draws"):
        Objective(network(nn.Tanh()), lambda z, y: each(z + torch.randn_like(z), y), BATCHES)


def test_noise_a_millionth_of_the_loss_is_noise():
    def noisy(output: Tensor, target: Tensor) -> Tensor:
        return each(output, target) + 1e-6 * torch.rand(len(target), dtype=torch.float64)

    with pytest.raises(ValueError, match="not deterministic"):
        Objective(network(nn.Tanh()), noisy, BATCHES)


def test_unchecked_the_same_passes():
    assert Objective(network(Dropping()), each, BATCHES, check=False).value() > 0


def test_the_check_takes_three_passes_of_one_batch():
    passes: list[int] = []
    model = network(nn.Tanh())
    model.register_forward_hook(lambda _model, inputs, _output: passes.append(len(inputs[0])))
    Objective(model, each, BATCHES)
    assert passes == [8, 8, 8]
    passes.clear()
    Points(model, metrics, BATCHES, [random_direction(Parameters(model), seed=0)])
    assert passes == [8, 8, 8]


def test_inputs_and_targets_that_are_written_to_are_given_as_copies():
    class Writing(nn.Module):
        def forward(self, x):
            return torch.tanh(x.sub_(0.3).mul_(3))

    class Shifting(nn.Linear):
        def forward(self, x):
            return super().forward(x.mul_(2))

    def loss(output: Tensor, target: Tensor) -> Tensor:
        return each(output, target.add_(1).remainder_(3))

    plain = nn.Sequential(Shifting(6, 5), Writing(), nn.Linear(5, 3)).double()
    batches = [(x.clone(), y.clone()) for x, y in BATCHES]
    objective = Objective(plain, loss, batches)
    expected = float(loss(plain(X.clone()), Y.clone()).mean())
    assert [objective.value(), objective.value()] == pytest.approx([expected, expected], rel=1e-12)
    direction = random_direction(Parameters(plain), seed=0)
    found = surface(plain, lambda z, y: {"loss": loss(z, y)}, batches, [direction], grid(-1.0, 1.0, 3))
    assert found.mean["loss"][1, 0] == pytest.approx(expected, rel=1e-12)
    moved = copy.deepcopy(plain)
    Parameters(moved).assign(Parameters(moved).vector() + direction)
    assert found.mean["loss"][2, 0] == pytest.approx(float(loss(moved(X.clone()), Y.clone()).mean()), rel=1e-12)
    assert all(torch.equal(x, a) and torch.equal(y, b) for (x, y), (a, b) in zip(batches, BATCHES, strict=True))


def test_a_model_that_writes_to_its_weights_is_refused_and_given_back():
    model = nn.Sequential(nn.Embedding(9, 4, max_norm=0.5), nn.Flatten(), nn.Linear(12, 3)).double()
    before = copy.deepcopy(model.state_dict())
    tokens = torch.arange(30).view(10, 3) % 9
    with pytest.raises(ValueError, match=r"writes to its own weight '0\.weight'"):
        Objective(model, each, [(tokens, Y[:10])])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Merging(nn.Linear):
    """An adapter that is folded into the frozen weight for evaluation (Hu et al. 2022, as loralib does)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs)
        self.weight.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(2, inputs))
        self.up = nn.Parameter(torch.randn(outputs, 2))
        self.merged = False

    def train(self, mode: bool = True):
        super().train(mode)
        if mode == self.merged:
            self.weight.data += (-1 if mode else 1) * self.up.data @ self.down.data
            self.merged = not mode
        return self

    def forward(self, x):
        output = super().forward(x)
        return output if self.merged else output + x @ self.down.T @ self.up.T


class Switching(Merging):
    """The same, by its mode alone."""

    def forward(self, x):
        output = F.linear(x, self.weight, self.bias)
        return output + x @ self.down.T @ self.up.T if self.training else output


def adapted(kind: type[Merging]) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(kind(6, 5), nn.Dropout(0.5), nn.Tanh(), kind(5, 3)).double()


def test_adapters_that_merge_are_measured_unmerged_and_given_back_bit_for_bit():
    model = adapted(Merging)
    before = copy.deepcopy(model.state_dict())
    weights, direction = Parameters(model), random_direction(Parameters(model), seed=0)
    objective = Objective(model, each, BATCHES)
    found = surface(model, metrics, BATCHES, [direction], grid(-1.0, 1.0, 3)).mean["loss"].ravel().tolist()
    rise = average_rise(objective, radii=[0.3], draws=2).value[0]
    right = []
    for step in (-1, 0, 1):
        twin = adapted(Merging)
        Parameters(twin).assign(weights.vector() + step * direction)
        right.append(float(each(twin.eval()(X), Y).mean()))
    assert found == pytest.approx(right, rel=1e-9)
    assert objective.value() == pytest.approx(right[1], rel=1e-9)
    assert rise != 0
    assert objective.gradient().norm() > 0
    assert Hessian(objective).symmetry < 1e-12
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert not model[0].merged


def test_adapters_handed_over_merged_or_switched_by_mode_alone_are_refused():
    merged = adapted(Merging).eval()
    before = copy.deepcopy(merged.state_dict())
    with pytest.raises(ValueError, match=r"handed over with weights folded.*model\.train\(\)"):
        Objective(merged, each, BATCHES)
    assert all(torch.equal(value, before[name]) for name, value in merged.state_dict().items())
    assert merged[0].merged
    with pytest.raises(ValueError, match="which weights should move can't be told"):
        Objective(adapted(Switching), each, BATCHES)


def test_a_frozen_batch_norm_keeps_its_own_train():
    class Frozen(nn.BatchNorm1d):
        def train(self, mode: bool = True):
            return super().train(False)

    model = nn.Sequential(nn.Linear(6, 5), Frozen(5), nn.Linear(5, 3)).double().train()
    objective = Objective(model, each, BATCHES, mode="train")
    assert objective.value() == pytest.approx(float(each(model(X), Y).mean()), rel=1e-12)
    assert [module.training for module in model] == [True, False, True]


LOSSES = {
    "mean": (lambda z, y: F.cross_entropy(z, y), True),
    "smoothed mean": (lambda z, y: F.cross_entropy(z, y, label_smoothing=0.1), True),
    "mean squares": (lambda z, y: F.mse_loss(z, F.one_hot(y, 3).double()), True),
    "mean plus a constant": (lambda z, y: F.cross_entropy(z, y) + 3, True),
    "sum": (lambda z, y: F.cross_entropy(z, y, reduction="sum"), False),
    "class weights": (lambda z, y: F.cross_entropy(z, y, weight=torch.tensor([1.0, 5.0, 0.1]).double()), False),
    "ignored labels": (lambda z, y: F.cross_entropy(z, y.where(y > 0, -100)), False),
    "root": (lambda z, y: F.mse_loss(z, F.one_hot(y, 3).double()).sqrt(), False),
    "broadcast": (lambda z, y: F.mse_loss(z[:, :1], y.double()), False),
    "variance": (lambda z, y: z.var(0).sum(), False),
    "largest": (lambda z, y: each(z, y).max(), False),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.filterwarnings("ignore:var")
def test_a_scalar_is_taken_for_a_mean_only_where_it_is_one(name):
    loss, mean = LOSSES[name]
    model = network(nn.Tanh())
    output = model(X)
    assert is_mean(loss, output, Y, 20) is mean
    if mean:
        assert Objective(model, loss, BATCHES).value() == pytest.approx(float(loss(output, Y).detach()), rel=1e-12)
    else:
        with pytest.raises(ValueError, match=r"not the mean over the examples.*reduction='none'"):
            Objective(model, loss, BATCHES)


def test_ignored_labels_in_a_later_batch_alone_are_seen_as_soon_as_it_is_evaluated():
    labels = Y.clone()
    labels[9:12] = -100
    objective = Objective(network(nn.Tanh()), F.cross_entropy, [(X[:8], labels[:8]), (X[8:], labels[8:])])
    with pytest.raises(ValueError, match="not the mean over the examples"):
        objective.value()


def test_the_batchs_dimension_may_be_any_and_outputs_may_be_nested():
    logits = torch.randn(4, 7, 4, generator=GENERATOR)  # time, batch, class; as many steps as classes
    labels = torch.arange(7) % 4

    def loss(output: dict[str, Tensor], target: Tensor) -> Tensor:
        return F.cross_entropy(output["logits"].mean(0), target)

    assert is_mean(loss, {"logits": logits, "hidden": torch.zeros(3)}, labels, 7)
    square = torch.randn(4, 4, 4, generator=GENERATOR)  # nothing tells the dimensions apart but the loss
    assert is_mean(loss, {"logits": square}, torch.arange(4), 4)
    assert not is_mean(lambda z, y: loss(z, y) * len(y), {"logits": square}, torch.arange(4), 4)


class Aliased(nn.Module):
    """A weight used under another name."""

    def __init__(self, detach: bool, use: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 18, dtype=torch.float64).view(3, 6))
        alias = self.weight.view(6, 3)
        self.alias = alias.detach() if detach else alias
        self.use = use

    def forward(self, x):
        return x @ (self.weight.T + (self.alias if self.use else 0))


@pytest.mark.parametrize("detach", [False, True])
def test_a_weight_seen_by_another_name_moves_with_it(detach):
    model = Aliased(detach)
    direction = random_direction(Parameters(model), seed=0)
    found = surface(model, metrics, BATCHES, [direction], grid(-1.0, 1.0, 3)).mean["loss"].ravel()
    for step, value in zip((-1, 0, 1), found.tolist(), strict=True):
        weight = (model.weight.detach().flatten() + step * direction).view(3, 6)
        assert value == pytest.approx(float(each(X @ (weight.T + weight.view(6, 3)), Y).mean()), rel=1e-12)


def test_a_path_without_a_gradient_is_refused_where_gradients_are_asked_for():
    objective = Objective(Aliased(detach=True), each, BATCHES)
    assert objective.value() > 0
    for question in (objective.gradient, objective.examples_and_gradient, lambda: Hessian(objective)):
        with pytest.raises(ValueError, match="'alias' shares memory with a weight, detached"):
            question()
    assert Hessian(Objective(Aliased(detach=False), each, BATCHES)).symmetry < 1e-12
    assert Hessian(Objective(Aliased(detach=True, use=False), each, BATCHES)).symmetry < 1e-12
