"""Both Fisher matrices against closed forms, gradients taken one example at a time, jets, and Gauss–Newton."""

import copy
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from landscape.curvature import EmpiricalFisher, Fisher, GaussNewton, Operator, categorical
from landscape.objective import Objective, Parameters

from ..oracles import (
    OnceDifferentiable,
    SilentlyCut,
    Spike,
    StoredSlope,
    column_by_column,
    cross_entropy_over_time,
    dense_gauss_newton,
    dense_second_moment,
    formal_loss,
    spiking_net,
)
from .test_operators import (
    X,
    Y,
    assert_as_found,
    assert_same,
    batches,
    conv_net,
    images,
    smooth_net,
    snapshot,
    splits,
    vector_for,
)

losses = partial(cross_entropy, reduction="none")


def mean_logits_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the mean over time, of each example."""
    return cross_entropy(logits.mean(0), labels, reduction="none")


def of_mean_logits(logits: Tensor, generator: torch.Generator) -> Tensor:
    return categorical(logits.mean(0), generator)


def fisher(objective: Objective, **arguments: Any) -> Fisher:
    return Fisher(objective, categorical, **arguments)


BOTH = pytest.mark.parametrize("matrix", [EmpiricalFisher, fisher])


def test_least_squares_weighs_its_inputs_by_the_squared_errors():
    model, target = nn.Linear(3, 1, bias=False).double(), X.sum(1, keepdim=True).sin()

    def squares(output: Tensor, target: Tensor) -> Tensor:
        return (output - target).square().squeeze(1)

    objective = Objective(model, squares, [(X[:5], target[:5]), (X[5:], target[5:])])
    errors = (model(X) - target).detach().squeeze(1)
    assert_same(EmpiricalFisher(objective), 4 / 12 * (X.T * errors**2) @ X)


def test_softmax_regression_has_its_textbook_gradients():
    model = nn.Linear(3, 3, bias=False).double()
    errors = (model(X).softmax(1) - torch.eye(3, dtype=torch.float64)[Y]).detach()
    gradients = torch.einsum("ni,na->nia", errors, X).reshape(12, 9)
    assert_same(EmpiricalFisher(Objective(model, losses, batches([7, 5]))), gradients.T @ gradients / 12)


@given(sizes=splits(), seed=st.integers(0, 99))
def test_any_split_into_batches_gives_the_second_moment_of_single_gradients(sizes, seed):
    model = smooth_net()
    operator = EmpiricalFisher(Objective(model, losses, batches(sizes)), check=False)
    vector = vector_for(operator, seed)
    torch.testing.assert_close(operator @ vector, dense_second_moment(model, losses, X, Y) @ vector, rtol=0, atol=1e-13)


@given(sizes=splits(), draws=st.integers(1, 3), seed=st.integers(0, 99))
def test_any_split_into_batches_draws_the_same_labels(sizes, draws, seed):
    model = smooth_net()
    whole, split = (
        fisher(Objective(model, losses, batches(cut)), draws=draws, seed=seed, check=False) for cut in ([12], sizes)
    )
    vector = vector_for(whole, seed)
    torch.testing.assert_close(split @ vector, whole @ vector, rtol=0, atol=1e-13)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_gradients_of_a_spiking_net_are_those_of_its_jets(seed):
    net, x, y = spiking_net(seed)
    gradients = np.array([formal_loss(net, x[i : i + 1], y[i : i + 1]).gradient for i in range(len(y))])
    operator = EmpiricalFisher(Objective(net, cross_entropy_over_time, batches([2, 3], x, y)))
    assert_same(operator, gradients.T @ gradients / len(y))
    assert operator.symmetry < 1e-12


@pytest.mark.parametrize("keep_graph", [False, True])
def test_a_net_with_batch_norm_has_the_second_moment_of_its_images(keep_graph):
    model, (x, y) = conv_net().eval(), images()
    operator = EmpiricalFisher(Objective(model, losses, batches([4, 3], x, y)), keep_graph=keep_graph)
    assert_same(operator, dense_second_moment(copy.deepcopy(model), losses, x, y), atol=1e-12)


def test_in_train_mode_each_loss_has_the_gradient_that_its_batch_gives_it():
    model, (x, y) = conv_net(), images()
    operator = EmpiricalFisher(Objective(model, losses, [(x, y)], mode="train"))
    twin = copy.deepcopy(model).train()
    together = [torch.autograd.grad(value, list(twin.parameters()), retain_graph=True) for value in losses(twin(x), y)]
    rows = torch.stack([torch.cat([part.flatten() for part in gradient]) for gradient in together])
    assert_same(operator, rows.T @ rows / 7, atol=1e-12)
    assert float((rows.T @ rows / 7 - dense_second_moment(twin.eval(), losses, x, y)).norm()) > 0.1


def test_with_the_exact_expectation_the_fisher_is_gauss_newton():
    """Probabilities 1/2, 1/4, 1/4 everywhere, and four draws that take each label as often as that."""
    model, drawn = smooth_net(), iter([0, 0, 1, 2])
    offset = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64).log() - model(X).detach()

    def shifted(output: Tensor, target: Tensor) -> Tensor:
        return losses(output + offset, target)

    objective = Objective(model, shifted, [(X, Y)])
    operator = Fisher(objective, lambda output, _: torch.full((len(output),), next(drawn)), draws=4)
    expected = dense_gauss_newton(model, shifted, X, Y)
    assert float(expected.norm()) > 0.1
    assert_same(operator, expected)
    assert_same(GaussNewton(objective), expected)


@pytest.mark.slow
def test_sampled_labels_give_gauss_newton_on_average():
    net, x, y = spiking_net(3)
    objective = Objective(net, mean_logits_losses, batches([2, 3], x, y))
    gauss_newton, vector = GaussNewton(objective), vector_for(GaussNewton(objective, check=False))
    forms = [
        float(vector @ (Fisher(objective, of_mean_logits, seed=seed, check=False) @ vector)) for seed in range(200)
    ]
    expected, stderr = float(vector @ (gauss_newton @ vector)), np.std(forms, ddof=1) / 200**0.5
    assert stderr < 0.1 * expected
    assert np.mean(forms) == pytest.approx(expected, abs=4 * stderr)
    assert float(vector @ (EmpiricalFisher(objective) @ vector)) != pytest.approx(expected, abs=8 * stderr)
    together = Fisher(objective, of_mean_logits, draws=200)
    assert float(vector @ (together @ vector)) == pytest.approx(expected, abs=4 * stderr)


def test_labels_are_drawn_once_from_their_own_seed():
    objective = Objective(smooth_net(), losses, batches([5, 7]))
    torch.manual_seed(0)
    state = torch.get_rng_state()
    operator, again = fisher(objective, seed=4), fisher(objective, seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    vector = vector_for(operator)
    assert torch.equal(operator @ vector, operator @ vector)
    assert torch.equal(operator @ vector, again @ vector)
    assert not torch.equal(operator @ vector, fisher(objective, seed=5) @ vector)
    other = fisher(Objective(smooth_net(), losses, batches([5, 7], X, (Y + 1) % 3)), seed=4)
    assert torch.equal(operator @ vector, other @ vector)  # the data's labels have no part in it


@given(st.lists(st.floats(-4, 4), min_size=2, max_size=5), st.integers(0, 99))
def test_labels_are_drawn_as_often_as_softmax_says(logits, seed):
    rows = torch.tensor([logits], dtype=torch.float64).expand(4000, -1)
    found = np.bincount(categorical(rows, torch.Generator().manual_seed(seed)), minlength=len(logits))
    expected = 4000 * rows[0].softmax(0).numpy()
    assert stats.chisquare(found, expected).pvalue > 1e-6


def test_a_certain_label_is_always_drawn():
    logits = torch.tensor([[-800.0, 800.0, -800.0], [800.0, -800.0, -800.0], [-800.0, -800.0, 800.0]])
    for seed in range(20):
        assert categorical(logits, torch.Generator().manual_seed(seed)).tolist() == [1, 0, 2]


@BOTH
def test_a_part_of_the_weights_gives_the_block_of_the_matrix(matrix):
    model = smooth_net()
    whole = column_by_column(matrix(Objective(model, losses, batches([12]))))
    part = Objective(model, losses, batches([12]), parameters=Parameters(model, ["2.weight"]))
    assert_same(matrix(part), whole[16:28, 16:28])


@BOTH
def test_kept_graphs_give_identical_products_also_after_the_weights_have_moved(matrix):
    objective = Objective(smooth_net(), losses, batches([5, 7]))
    fresh, kept = matrix(objective), matrix(objective, keep_graph=True)
    before = fresh @ vector_for(fresh)
    assert torch.equal(kept @ vector_for(kept), before)
    with objective.parameters.restored() as weights:
        objective.parameters.assign(1.1 * weights)
        assert torch.equal(kept @ vector_for(kept), fresh @ vector_for(fresh))
        assert not torch.equal(kept @ vector_for(kept), before)


@BOTH
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_model_is_left_as_found(matrix, mode):
    model, (x, y) = conv_net(), images()
    model[1].eval()
    model[6].weight.grad = torch.ones(3, 8, dtype=torch.float64)
    before = snapshot(model)
    operator = matrix(Objective(model, losses, batches([4, 3], x, y), mode=mode))
    operator @ vector_for(operator)
    assert_as_found(model, before)


@BOTH
def test_both_are_positive_semidefinite_operators_that_count_their_products(matrix):
    operator = matrix(Objective(smooth_net(), losses, batches([5, 7])))
    assert isinstance(operator, Operator)
    assert operator.products == 2
    dense = column_by_column(operator)
    assert operator.products == 33
    values = torch.linalg.eigvalsh(dense)
    assert values[0] > -1e-14
    assert (values > 1e-12).sum() <= 12  # one direction an example


@BOTH
@pytest.mark.parametrize("spike", [OnceDifferentiable, SilentlyCut])
@pytest.mark.parametrize("seed", range(3))
def test_a_first_order_kernel_is_refused(matrix, spike, seed):
    net, x, y = spiking_net(seed, spike)
    objective = Objective(net, mean_logits_losses, [(x, y)])
    with pytest.raises(ValueError, match=r"not symmetric .* first-order only.*differentiable version"):
        Fisher(objective, of_mean_logits) if matrix is fisher else matrix(objective)


def test_a_slope_stored_in_the_forward_does_no_harm():
    """Only first derivatives are taken of the model."""
    (stored, x, y), (right, _, _) = spiking_net(spike=StoredSlope), spiking_net(spike=Spike)
    found, expected = (
        column_by_column(EmpiricalFisher(Objective(net, cross_entropy_over_time, [(x, y)]))) for net in (stored, right)
    )
    assert torch.equal(found, expected)


@BOTH
def test_a_loss_that_returns_a_mean_is_refused(matrix):
    objective = Objective(smooth_net(), cross_entropy, batches([12]))
    with pytest.raises(ValueError, match=r"single examples, got shape \[\]: use reduction='none'"):
        matrix(objective)


def test_a_loader_that_shuffles_is_refused():
    class Shuffled:
        def __iter__(self):
            order = torch.randperm(12)
            yield X[order], Y[order]

    with pytest.raises(ValueError, match="another order at every reading"):
        fisher(Objective(smooth_net(), losses, Shuffled()), draws=4)


@BOTH
def test_a_loss_that_is_not_finite_is_refused(matrix):
    model = smooth_net()
    model.state_dict()["2.bias"][0] = torch.nan
    with pytest.raises(ValueError, match="the loss is nan"):
        matrix(Objective(model, losses, batches([12])))


def test_no_draws_are_refused():
    with pytest.raises(ValueError, match="draws must be at least 1, got 0"):
        fisher(Objective(smooth_net(), losses, batches([12])), draws=0)


@pytest.mark.slow
def test_any_predictive_distribution_may_be_sampled():
    """A Gaussian of variance 1/2 has the squared error for its −log p, and the Fisher matrix 2 XᵀX/N."""
    model = nn.Linear(3, 1, bias=False).double()

    def gaussian(output: Tensor, generator: torch.Generator) -> Tensor:
        return output + 0.5**0.5 * torch.randn(output.shape, generator=generator, dtype=output.dtype)

    def squares(output: Tensor, target: Tensor) -> Tensor:
        return mse_loss(output, target, reduction="none").squeeze(1)

    operator = Fisher(Objective(model, squares, [(X, X[:, :1])]), gaussian, draws=5000)
    expected = 2 / 12 * X.T @ X
    assert float((column_by_column(operator) - expected).norm() / expected.norm()) < 0.05


@BOTH
def test_several_vectors_at_once_give_each_its_product(matrix):
    operator = matrix(Objective(smooth_net(), losses, batches([5, 7])))
    vectors = torch.stack([vector_for(operator, seed) for seed in range(3)])
    assert torch.equal(operator @ vectors, torch.stack([operator @ vector for vector in vectors]))
