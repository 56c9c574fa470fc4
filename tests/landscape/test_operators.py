"""Products against closed forms, dense matrices and jets; and the matrices that must be refused.

Autograd checked against autograd proves little, so the matrices of a spiking net are also compared with ones that it
took no part in.
"""

import copy
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pyhessian
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy, mse_loss, scaled_dot_product_attention

from landscape.curvature import GaussNewton, Hessian, Operator
from landscape.objective import Objective, Parameters
from landscape.spectrum import lanczos

from ..oracles import (
    OnceDifferentiable,
    SilentlyCut,
    Spike,
    StoredSlope,
    column_by_column,
    cross_entropy_over_time,
    dense_gauss_newton,
    dense_hessian,
    formal_gauss_newton,
    formal_loss,
    spiking_net,
)

BOTH = pytest.mark.parametrize("matrix", [Hessian, GaussNewton])
X = torch.randn(12, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(12) % 3


def smooth_net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()


def conv_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten(),
        nn.Linear(8, 3),
    ).double()  # fmt: skip


def images() -> tuple[Tensor, Tensor]:
    return torch.randn(7, 1, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64), torch.arange(7) % 3


def batches(sizes: list[int], x: Tensor = X, y: Tensor = Y) -> list[tuple[Tensor, Tensor]]:
    return list(zip(x.split(sizes), y.split(sizes), strict=True))


def assert_same(operator: Any, expected: Any, atol: float = 1e-13) -> None:
    torch.testing.assert_close(column_by_column(operator), torch.as_tensor(expected), rtol=0, atol=atol)


def vector_for(operator: Any, seed: int = 0) -> Tensor:
    return torch.randn(operator.dimension, generator=torch.Generator().manual_seed(seed), dtype=operator.dtype)


def snapshot(model: nn.Module) -> dict[str, Any]:
    return {
        "state": {name: value.clone() for name, value in model.state_dict().items()},
        "gradients": [None if weight.grad is None else weight.grad.clone() for weight in model.parameters()],
        "required": [weight.requires_grad for weight in model.parameters()],
        "modes": [module.training for module in model.modules()],
    }


def assert_as_found(model: nn.Module, before: dict[str, Any]) -> None:
    torch.testing.assert_close(snapshot(model), before, rtol=0, atol=0)


@BOTH
def test_least_squares_has_the_curvature_of_its_inputs(matrix):
    target = X.sum(1, keepdim=True)
    objective = Objective(nn.Linear(3, 1, bias=False).double(), mse_loss, [(X[:5], target[:5]), (X[5:], target[5:])])
    assert_same(matrix(objective), 2 / 12 * X.T @ X)


@BOTH
def test_softmax_regression_has_its_textbook_curvature(matrix):
    model = nn.Linear(3, 3, bias=False).double()
    p = model(X).softmax(1).detach()
    outer = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    expected = torch.einsum("nij,na,nb->iajb", outer, X, X).reshape(9, 9) / 12
    assert_same(matrix(Objective(model, cross_entropy, batches([7, 5]))), expected)


@st.composite
def splits(draw) -> list[int]:
    """Sizes of consecutive batches that add up to twelve."""
    cuts = sorted(draw(st.sets(st.integers(1, 11), max_size=4)))
    return [end - start for start, end in zip([0, *cuts], [*cuts, 12], strict=True)]


@BOTH
@given(sizes=splits(), seed=st.integers(0, 99))
def test_any_split_into_batches_gives_the_matrix_of_the_whole(matrix, sizes, seed):
    model = smooth_net()
    dense = {Hessian: dense_hessian, GaussNewton: dense_gauss_newton}[matrix](model, cross_entropy, X, Y)
    operator = matrix(Objective(model, cross_entropy, batches(sizes)), check=False)
    vector = vector_for(operator, seed)
    torch.testing.assert_close(operator @ vector, dense @ vector, rtol=0, atol=1e-13)


@pytest.mark.slow(keep=1)
@BOTH
@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("keep_graph", [False, True])
def test_a_net_with_batch_norm_has_its_dense_matrix_in_either_mode(matrix, mode, keep_graph):
    model, (x, y) = conv_net(), images()
    model.train(mode == "train")
    dense = {Hessian: dense_hessian, GaussNewton: dense_gauss_newton}[matrix]
    parts = [dense(copy.deepcopy(model), cross_entropy, x[part], y[part]) for part in (slice(4), slice(4, 7))]
    operator = matrix(Objective(model, cross_entropy, batches([4, 3], x, y), mode=mode), keep_graph=keep_graph)
    assert_same(operator, 4 / 7 * parts[0] + 3 / 7 * parts[1], atol=1e-12)


def test_gauss_newton_is_positive_semidefinite_and_the_hessian_need_not_be():
    objective = Objective(smooth_net(), cross_entropy, batches([12]))
    assert torch.linalg.eigvalsh(column_by_column(GaussNewton(objective))).min() > -1e-14
    assert torch.linalg.eigvalsh(column_by_column(Hessian(objective))).min() < -1e-3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_formal_hessian_of_a_spiking_net_is_that_of_its_jets_and_symmetric(seed):
    net, x, y = spiking_net(seed)
    operator = Hessian(Objective(net, cross_entropy_over_time, batches([2, 3], x, y)))
    dense = column_by_column(operator)
    assert float((dense - dense.T).norm() / dense.norm()) < 1e-10
    jet = formal_loss(net, x, y)
    assert np.abs(jet.hessian[:12]).max() > 1e-3  # the first layer sees spikes of the second: nothing here is idle
    assert_same(operator, jet.hessian)
    assert_same(operator, dense_hessian(net, cross_entropy_over_time, x, y))
    assert operator.symmetry < 1e-12


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gauss_newton_of_a_spiking_net_uses_the_surrogate_jacobian(seed):
    net, x, y = spiking_net(seed)
    operator = GaussNewton(Objective(net, cross_entropy_over_time, batches([2, 3], x, y)))
    assert_same(operator, formal_gauss_newton(net, x))
    assert_same(operator, dense_gauss_newton(net, cross_entropy_over_time, x, y))


@BOTH
@pytest.mark.parametrize("spike", [OnceDifferentiable, SilentlyCut])
@pytest.mark.parametrize("seed", range(5))
def test_a_first_order_kernel_is_refused(matrix, spike, seed):
    net, x, y = spiking_net(seed, spike)
    reference, _, _ = spiking_net(seed, Spike)
    objective = Objective(net, cross_entropy_over_time, [(x, y)])
    right = Objective(reference, cross_entropy_over_time, [(x, y)])
    assert torch.equal(objective.gradient(), right.gradient())  # the gradient gives no warning
    with pytest.raises(ValueError, match=r"not symmetric .* first-order only.*differentiable version"):
        matrix(objective)


@BOTH
def test_a_first_order_kernel_above_all_the_weights_is_refused(matrix):
    net, x, y = spiking_net(spike=SilentlyCut, timesteps=1)
    objective = Objective(net, cross_entropy_over_time, [(x, y)], parameters=Parameters(net, ["layers.1.weight"]))
    with pytest.raises(ValueError, match="does not depend on the weights"):
        matrix(objective)


def test_a_slope_stored_in_the_forward_passes_unseen_because_its_hessian_is_symmetric():
    net, x, y = spiking_net(spike=StoredSlope)
    objective = Objective(net, cross_entropy_over_time, [(x, y)])
    wrong, right = column_by_column(Hessian(objective)), torch.as_tensor(formal_loss(net, x, y).hessian)
    assert float((wrong - wrong.T).norm()) < 1e-14
    assert float((wrong - right).norm() / right.norm()) > 0.1
    assert_same(GaussNewton(objective), formal_gauss_newton(net, x))


class Attention(nn.Linear):
    def forward(self, x):
        query, key, value = super().forward(x).chunk(3, -1)
        return scaled_dot_product_attention(query, key, value).flatten(1)


def test_fused_attention_is_computed_by_its_plain_kernel():
    torch.manual_seed(0)
    model, x, y = Attention(4, 12).double(), torch.randn(4, 2, 5, 4).double(), torch.zeros(4, 40).double()
    with sdpa_kernel(SDPBackend.MATH):
        right = dense_hessian(model, mse_loss, x, y)
    assert_same(Hessian(Objective(model, mse_loss, [(x[:3], y[:3]), (x[3:], y[3:])])), right)


def test_an_operation_without_second_derivative_is_refused_in_torchs_words():
    class Fused(nn.Linear):
        def forward(self, x):
            with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
                query, key, value = super().forward(x).chunk(3, -1)
                return scaled_dot_product_attention(query, key, value).flatten(1)

    x = torch.randn(4, 2, 5, 8)
    objective = Objective(Fused(8, 24), mse_loss, [(x, torch.zeros(4, 80))])
    with pytest.raises(ValueError, match=r"can't be differentiated again: .*not implemented.*first-order only"):
        Hessian(objective)


def test_dropout_in_train_mode_is_refused_and_in_eval_mode_is_not():
    model = nn.Sequential(smooth_net(), nn.Dropout(0.1))
    assert Hessian(Objective(model, cross_entropy, batches([12]))).symmetry < 1e-12
    with pytest.raises(ValueError, match=r"not deterministic.*dropout"):
        Hessian(Objective(model, cross_entropy, batches([12]), mode="train"))


def test_batches_drawn_anew_are_refused():
    class Augmented:
        def __iter__(self):
            yield X + 0.01 * torch.randn_like(X), Y

    with pytest.raises(ValueError, match=r"other batches at every reading.*augments"):
        GaussNewton(Objective(smooth_net(), cross_entropy, Augmented()))


@pytest.mark.parametrize("worst", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_refused(worst):
    def loss(output: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(output, target) + worst  # its gradient is finite

    with pytest.raises(ValueError, match=f"the loss is {worst}"):
        Hessian(Objective(smooth_net(), loss, batches([12])))


def test_a_product_that_is_not_finite_is_refused():
    model = nn.Linear(3, 1, bias=False)
    nn.init.zeros_(model.weight)

    def loss(output: Tensor, _: Tensor) -> Tensor:
        return output.square().pow(0.75).mean()

    operator = Hessian(Objective(model, loss, [(torch.ones(2, 3), torch.zeros(2))]), check=False)
    with pytest.raises(ValueError, match=r"the product is not finite; at these weights the loss is 0\.0"):
        operator @ torch.ones(3)


@BOTH
def test_products_are_counted_with_the_checks_own(matrix):
    objective = Objective(smooth_net(), cross_entropy, batches([5, 7]))
    checked, unchecked = matrix(objective), matrix(objective, check=False)
    assert (checked.products, unchecked.products) == (2, 0)
    assert math.isnan(unchecked.symmetry)
    for _ in range(4):
        unchecked @ vector_for(unchecked)
    assert unchecked.products == 4
    assert lanczos(checked, top=2).products == checked.products - 2


@BOTH
def test_kept_graphs_give_identical_products_also_after_the_weights_have_moved(matrix):
    net, x, y = spiking_net()
    objective = Objective(net, cross_entropy_over_time, batches([2, 3], x, y))
    fresh, kept = matrix(objective), matrix(objective, keep_graph=True)
    before = fresh @ vector_for(fresh)
    assert torch.equal(kept @ vector_for(kept), before)
    with objective.parameters.restored() as weights:
        objective.parameters.assign(1.1 * weights)
        assert torch.equal(kept @ vector_for(kept), fresh @ vector_for(fresh))
        assert not torch.equal(kept @ vector_for(kept), before)
    assert torch.equal(kept @ vector_for(kept), before)


CHANGES = {
    "weights by data": lambda model, loss, x: [weight.data.mul_(1.5) for weight in model.parameters()],
    "a frozen weight": lambda model, loss, x: model.frozen.data.add_(1),
    "a buffer": lambda model, loss, x: model[1].running_mean.add_(1),
    "a number": lambda model, loss, x: setattr(model[2], "negative_slope", 0.9),
    "a tuple of whole numbers": lambda model, loss, x: setattr(model, "factors", (3,)),
    "a list that was empty": lambda model, loss, x: model.more.append(2.0),
    "a list of numbers": lambda model, loss, x: model.scales.append(2.0),
    "a tensor in a list": lambda model, loss, x: model.shifts[0].add_(1),
    "a function": lambda model, loss, x: setattr(model, "last", torch.sin),
    "a module": lambda model, loss, x: model.__setitem__(2, nn.Tanh()),
    "a hook": lambda model, loss, x: model[0].register_forward_hook(lambda _m, _i, output: 2 * output),
    "the loss": lambda model, loss, x: setattr(loss, "label_smoothing", 0.3),
    "an input": lambda model, loss, x: x.mul_(2),
}


class Changing(nn.Sequential):
    """A network in which everything that may change matters."""

    def __init__(self):
        super().__init__(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.LeakyReLU(0.3), nn.Linear(4, 3))
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        self.factors, self.more = (1,), []
        self.scales, self.shifts, self.last = [0.5], [torch.zeros(3, dtype=torch.float64)], torch.tanh

    def forward(self, x):
        return self.last(
            super().forward(x) * self.frozen * self.factors[0] * sum(self.scales, sum(self.more)) + self.shifts[0]
        )


@BOTH
@pytest.mark.parametrize("change", CHANGES)
def test_kept_graphs_are_built_anew_once_when_anything_has_changed_and_that_is_said(matrix, change):
    torch.manual_seed(0)
    model, loss, x = Changing().double(), nn.CrossEntropyLoss(reduction="none"), X.clone()
    objective = Objective(model, loss, [(x[:5], Y[:5]), (x[5:], Y[5:])])
    operator = matrix(objective, keep_graph=True)
    vector = vector_for(operator)
    before = operator @ vector
    CHANGES[change](model, loss, x)
    with pytest.warns(UserWarning, match="they are built anew"):
        found = operator @ vector
    right = matrix(Objective(model, loss, [(x, Y)]), check=False) @ vector
    torch.testing.assert_close(found, right, rtol=1e-9, atol=1e-12)
    assert change == "the loss" or not torch.allclose(found, before)  # smoothed labels leave Gauss–Newton alone
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(operator @ vector, found)


def test_kept_graphs_do_not_run_the_model_again():
    calls: list[int] = []
    model = smooth_net()
    operator = Hessian(Objective(model, cross_entropy, batches([5, 7])), keep_graph=True, check=False)
    model.register_forward_hook(lambda *_: calls.append(1))
    for _ in range(3):
        operator @ vector_for(operator)
    assert len(calls) == 2


@BOTH
@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("keep_graph", [False, True])
def test_a_product_leaves_the_model_as_found(matrix, mode, keep_graph):
    model, (x, y) = conv_net(), images()
    model[1].eval()
    model[0].bias.requires_grad_(False)
    model[6].weight.grad = torch.ones(3, 8, dtype=torch.float64)
    before = snapshot(model)
    operator = matrix(Objective(model, cross_entropy, batches([4, 3], x, y), mode=mode), keep_graph=keep_graph)
    operator @ vector_for(operator)
    assert_as_found(model, before)


@BOTH
def test_a_product_that_fails_leaves_the_model_as_found(matrix):
    model, (x, y) = conv_net(), images()
    calls: list[int] = []

    def loss(output: Tensor, target: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) == 2:
            raise OSError("on the way")
        return cross_entropy(output, target, reduction="none")

    operator = matrix(Objective(model, loss, batches([4, 3], x, y), mode="train", check=False), check=False)
    before = snapshot(model.eval())
    with pytest.raises(OSError, match="on the way"):
        operator @ vector_for(operator)
    assert_as_found(model, before)


def test_a_part_of_the_weights_gives_the_block_of_the_matrix():
    model = smooth_net()
    objective = Objective(model, cross_entropy, batches([12]), parameters=Parameters(model, ["0.weight"]))
    assert_same(Hessian(objective), dense_hessian(model, cross_entropy, X, Y)[:12, :12])


def test_a_weight_that_the_loss_does_not_use_has_no_curvature():
    model = nn.Sequential(smooth_net())
    model.register_parameter("idle", nn.Parameter(torch.ones(2, dtype=torch.float64)))
    operator = Hessian(Objective(model, cross_entropy, batches([12])))
    assert operator.dimension == 33
    assert column_by_column(operator)[:2].abs().max() == 0
    assert column_by_column(operator)[:, :2].abs().max() == 0


def test_a_product_is_detached_and_needs_no_gradient_mode():
    operator = Hessian(Objective(smooth_net(), cross_entropy, batches([12])))
    vector = vector_for(operator).requires_grad_()
    with torch.no_grad():
        product = operator @ vector
    assert not product.requires_grad
    assert torch.equal(product, operator @ vector.detach())


@BOTH
def test_a_vector_of_another_kind_is_refused(matrix):
    operator = matrix(Objective(smooth_net(), cross_entropy, batches([12])))
    for vector in (torch.zeros(5, dtype=torch.float64), torch.zeros(31)):
        with pytest.raises(ValueError, match=r"expected a vector of 31 entries, torch\.float64 on cpu; got shape"):
            operator @ vector


def test_both_are_operators():
    objective = Objective(smooth_net().float(), cross_entropy, [(X.float(), Y)])
    for matrix in (Hessian, GaussNewton):
        operator = matrix(objective)
        assert isinstance(operator, Operator)
        assert operator.symmetry < 1e-5


@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")  # PyHessian's own
def test_the_top_eigenvalue_of_a_relu_net_is_pyhessians():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))
    x, y = torch.randn(40, 5), torch.arange(40) % 3
    ragged: list[tuple[Tensor, Tensor]] = batches([16, 16, 8], x, y)
    pairs = lanczos(Hessian(Objective(model, cross_entropy, ragged)), top=1, tolerance=1e-5)
    criterion: Callable[[Tensor, Tensor], Tensor] = cross_entropy
    other = pyhessian.hessian(copy.deepcopy(model), criterion, dataloader=ragged, cuda=False)
    values, _ = other.eigenvalues(maxIter=1000, tol=1e-7, top_n=1)
    assert pairs.converged.all()
    assert values[0] == pytest.approx(pairs.values[0], rel=1e-4)


@BOTH
@pytest.mark.parametrize("keep_graph", [False, True])
def test_several_vectors_at_once_give_each_its_product_for_one_pass_of_the_model(matrix, keep_graph):
    calls: list[int] = []
    net, x, y = spiking_net()
    operator = matrix(
        Objective(net, cross_entropy_over_time, batches([2, 3], x, y)), keep_graph=keep_graph, check=False
    )
    vectors = torch.stack([vector_for(operator, seed) for seed in range(3)])
    net.register_forward_hook(lambda *_: calls.append(1))
    expected = torch.stack([operator @ vector for vector in vectors])
    calls.clear()
    assert torch.equal(operator @ vectors, expected)
    assert len(calls) == (0 if keep_graph else 2)  # batches
    assert operator.products == 6


@BOTH
def test_no_vectors_at_all_are_refused(matrix):
    operator = matrix(Objective(smooth_net(), cross_entropy, batches([12])))
    with pytest.raises(ValueError, match=r"expected a vector of 31 entries.* got shape \[0, 31\]"):
        operator @ torch.zeros(0, 31, dtype=torch.float64)
