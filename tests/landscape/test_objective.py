"""L(w) is the mean over examples, however they are cut into batches."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from landscape.objective import Objective, Parameters

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(12, 3, generator=GENERATOR, dtype=torch.float64)
Y = torch.randint(0, 2, (12,), generator=GENERATOR)


def linear(outputs: int = 2) -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(3, outputs, bias=False).double()


def by_example(output: Tensor, target: Tensor) -> Tensor:
    return cross_entropy(output, target, reduction="none")


@st.composite
def splits(draw) -> list[int]:
    """Sizes of consecutive batches that add up to twelve."""
    cuts = sorted(draw(st.sets(st.integers(1, 11), max_size=6)))
    return [end - start for start, end in zip([0, *cuts], [*cuts, 12], strict=True)]


def batches(sizes: list[int]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(X.split(sizes), Y.split(sizes), strict=True))


@given(splits())
def test_any_split_gives_the_loss_and_gradient_of_the_whole(sizes):
    model = linear()
    objective = Objective(model, by_example, batches(sizes))
    whole = cross_entropy(model(X), Y)
    (gradient,) = torch.autograd.grad(whole, model.weight)
    assert objective.value() == pytest.approx(whole.item(), rel=1e-13)
    assert torch.allclose(objective.gradient(), gradient.flatten(), rtol=1e-12, atol=1e-15)
    assert torch.allclose(objective.examples(), by_example(model(X), Y), rtol=1e-13)


def test_the_gradient_of_least_squares_is_its_closed_form():
    model, target = linear(1), X.sum(1, keepdim=True)
    objective = Objective(model, mse_loss, [(X[:5], target[:5]), (X[5:], target[5:])])
    expected = 2 / 12 * X.T @ (X @ model.weight.detach().T - target)
    assert torch.allclose(objective.gradient(), expected.flatten(), rtol=1e-12)


def test_a_mean_and_losses_of_examples_are_the_same_objective():
    assert Objective(linear(), cross_entropy, batches([7, 5])).value() == pytest.approx(
        Objective(linear(), by_example, batches([7, 5])).value(), rel=1e-14
    )


def test_a_mean_has_no_losses_of_examples():
    with pytest.raises(ValueError, match="reduction='none'"):
        Objective(linear(), cross_entropy, batches([12])).examples()


def test_empty_batches_add_nothing():
    with_empty = [(X[:0], Y[:0]), *batches([12]), (X[:0], Y[:0])]
    assert Objective(linear(), cross_entropy, with_empty).value() == Objective(
        linear(), cross_entropy, batches([12])
    ).value()  # fmt: skip


def test_a_parameter_that_the_loss_does_not_use_has_no_slope():
    model = nn.Sequential(linear())
    model.register_parameter("idle", nn.Parameter(torch.ones(2, dtype=torch.float64)))
    gradient = Objective(model, cross_entropy, batches([12])).gradient()
    assert gradient[:2].tolist() == [0, 0]
    assert gradient[2:].norm() > 0


def test_the_gradient_is_taken_even_where_gradients_are_switched_off():
    with torch.no_grad():
        assert Objective(linear(), cross_entropy, batches([12])).gradient().norm() > 0


def test_train_mode_uses_each_batchs_statistics_and_leaves_no_trace():
    model = nn.Sequential(nn.BatchNorm1d(3), linear()).double().eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    train = Objective(model, cross_entropy, batches([12]), mode="train")
    normalised = (X - X.mean(0)) / (X.var(0, correction=0) + 1e-5).sqrt()
    assert train.value() == pytest.approx(cross_entropy(model[1](normalised), Y).item(), rel=1e-12)
    train.gradient()
    assert not model.training
    assert not model[0].training
    assert all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_only_the_parameters_asked_for_are_differentiated():
    model = nn.Sequential(linear(), nn.Linear(2, 2).double())
    objective = Objective(model, cross_entropy, batches([12]), parameters=Parameters(model, ["1.bias"]))
    assert objective.gradient().shape == (2,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "test"}, "mode must be 'eval' or 'train', got 'test'"),
        ({"batches": []}, "no example"),
        ({"batches": iter(batches([12]))}, "read only once"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    arguments = {"batches": batches([12]), **arguments}
    with pytest.raises(ValueError, match=message):
        Objective(linear(), cross_entropy, arguments.pop("batches"), **arguments)


def test_a_loss_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"one value per example \(\[12\]\), got shape \[12, 2\]"):
        Objective(linear(), lambda output, _: output, batches([12])).value()


def test_a_loss_without_a_path_to_the_weights_is_refused():
    with pytest.raises(ValueError, match="has no gradient"):
        Objective(linear(), lambda output, y: cross_entropy(output.detach(), y), batches([12])).gradient()


def test_batches_that_change_in_number_are_refused():
    given_once = batches([7, 5])
    objective = Objective(linear(), cross_entropy, given_once)
    given_once.pop()
    with pytest.raises(ValueError, match="held 12 examples at first and 7 now"):
        objective.value()
