"""D A D against dense matrices and a change of variables; it does not see the scale of what a BatchNorm follows."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from landscape.curvature import EmpiricalFisher, GaussNewton, Hessian, Operator, Scaled
from landscape.objective import Objective
from landscape.spectrum import lanczos, trace
from landscape.surfaces import filter_scale

from ..oracles import Dense, as_function, column_by_column, symmetric
from .test_operators import X, Y, assert_same, batches, conv_net, images, smooth_net

MATRICES = pytest.mark.parametrize("matrix", [Hessian, GaussNewton, EmpiricalFisher])
losses = partial(cross_entropy, reduction="none")


def trained_net() -> nn.Sequential:
    """With statistics and biases that are not the initial ones."""
    model, (x, _) = conv_net(), images()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias, generator=torch.Generator().manual_seed(2))
    model.train()(x)
    return model.eval()


def rescaled(model: nn.Sequential, factor: float) -> nn.Sequential:
    """The same function: the first convolution times ``factor``, the BatchNorm after it with statistics to match."""
    other = copy.deepcopy(model)
    state, eps = other.state_dict(), 1e-5
    for name in ("0.weight", "0.bias", "1.running_mean"):
        state[name].mul_(factor)
    state["1.running_var"].add_(eps).mul_(factor**2).sub_(eps)
    return other


def curvatures(model: nn.Module, matrix: type[Hessian], *, bias_and_norm: bool) -> tuple[Tensor, Tensor]:
    """Eigenvalues of A and of D A D, all of them."""
    x, y = images()
    operator = matrix(Objective(model, losses, batches([4, 3], x, y)), keep_graph=True)
    scaled = Scaled(operator, filter_scale(operator.objective.parameters, bias_and_norm=bias_and_norm))
    return tuple(torch.linalg.eigvalsh(column_by_column(one)) for one in (operator, scaled))


@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4).filter(any), st.integers(0, 99))
def test_it_is_the_matrix_between_two_diagonal_ones(scale, seed):
    matrix, diagonal = symmetric([5.0, 1.0, 0.0, -2.0], seed), np.diag(scale)
    operator = Scaled(Dense(matrix), torch.tensor(scale, dtype=torch.float64))
    np.testing.assert_allclose(column_by_column(operator), diagonal @ matrix @ diagonal, atol=1e-12)


@pytest.mark.slow(keep=1)
@MATRICES
@pytest.mark.parametrize("bias_and_norm", [False, True])
def test_rescaling_a_convolution_before_batch_norm_changes_nothing(matrix, bias_and_norm):
    model, x = trained_net(), images()[0]
    twin = rescaled(model, 3.0)
    torch.testing.assert_close(twin(x), model(x), rtol=1e-12, atol=1e-12)
    (raw, scaled), (raw_twin, scaled_twin) = (
        curvatures(one, matrix, bias_and_norm=bias_and_norm) for one in (model, twin)
    )
    torch.testing.assert_close(scaled_twin, scaled, rtol=1e-9, atol=1e-12)
    assert float((raw_twin - raw).norm() / raw.norm()) > 0.05
    assert float(scaled[-1]) > 1e-3


def test_it_is_the_curvature_in_units_of_the_filters():
    """Differentiated twice in ν at w + D·ν, without any product."""
    model = smooth_net()
    output, weights = as_function(model, X)
    objective = Objective(model, losses, batches([5, 7]))
    scale = filter_scale(objective.parameters)
    expected = torch.autograd.functional.hessian(
        lambda nu: losses(output(weights + scale * nu), Y).mean(), torch.zeros_like(weights)
    )
    assert_same(Scaled(Hessian(objective), scale), expected)


def test_eigenvalues_and_trace_are_those_of_the_dense_matrix_and_the_matrix_counts():
    inner = Dense(symmetric(np.linspace(-1, 4, 12)))
    scale = torch.linspace(0, 2, 12, dtype=torch.float64)
    operator = Scaled(inner, scale)
    assert isinstance(operator, Operator)
    dense = column_by_column(operator).numpy()
    assert operator.products == inner.products == 12
    pairs = lanczos(operator, top=2, bottom=1, tolerance=1e-10)
    values = np.linalg.eigvalsh(dense)
    np.testing.assert_allclose(pairs.values, values[[-1, -2, 0]], atol=1e-8)
    found = trace(operator, method="hutchinson", probes=200)
    assert abs(found.value - np.trace(dense)) < 4 * found.stderr
    assert operator.products == inner.products == 12 + pairs.products + 200


def test_the_scale_is_the_callers_no_longer():
    operator = Scaled(Dense(np.eye(2)), scale := torch.ones(2, dtype=torch.float64))
    scale.zero_()
    assert (operator @ torch.ones(2, dtype=torch.float64)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        (torch.ones(3, dtype=torch.float64), r"expected a scale of 2 entries, torch\.float64 on cpu; got shape \[3\]"),
        (torch.ones(2), r"got shape \[2\], torch\.float32"),
        (torch.tensor([1.0, torch.inf], dtype=torch.float64), "finite and not zero throughout"),
        (torch.zeros(2, dtype=torch.float64), "finite and not zero throughout"),
    ],
)
def test_a_scale_that_is_none_is_refused(scale, said):
    with pytest.raises(ValueError, match=said):
        Scaled(Dense(np.eye(2)), scale)


def test_several_vectors_at_once_give_each_its_product():
    operator = Scaled(Dense(symmetric(np.arange(6.0))), torch.arange(6, dtype=torch.float64))
    vectors = torch.randn(3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(operator @ vectors, torch.stack([operator @ vector for vector in vectors]))
    assert operator.products == 6
