"""Bad input to an operator: one clear reason each, as a ValueError that commands turn into one line."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from landscape.curvature import EmpiricalFisher, GaussNewton, Hessian
from landscape.objective import Objective
from landscape.spectrum import density, lanczos, trace

X, Y = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 2


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def refused(make, said: str) -> None:
    with pytest.raises(ValueError, match=said) as failure:
        make()
    assert "\n" not in str(failure.value)


def test_more_eigenvalues_than_parameters():
    operator = Hessian(Objective(model(), cross_entropy, [(X, Y)]))
    refused(lambda: lanczos(operator, top=7, bottom=2), r"9 .*dimension")


def test_no_trainable_parameter():
    frozen = model().requires_grad_(False)
    refused(lambda: Objective(frozen, cross_entropy, [(X, Y)]), "no trainable parameter")


@pytest.mark.parametrize("matrix", [Hessian, GaussNewton])
def test_unused_parameters_are_rows_of_zeros(matrix):
    net = model().double()
    expected = matrix(Objective(net, cross_entropy, [(X.double(), Y)]))
    net.register_parameter("idle", nn.Parameter(torch.ones(2, dtype=torch.float64)))
    operator = matrix(Objective(net, cross_entropy, [(X.double(), Y)]))
    assert operator.dimension == expected.dimension + 2
    place = operator.objective.parameters.names.index("idle")
    start = sum(operator.objective.parameters.sizes[:place])
    kept = [index for index in range(operator.dimension) if not start <= index < start + 2]
    vector = torch.randn(operator.dimension, dtype=torch.float64)
    product = operator @ vector
    assert product[start : start + 2].tolist() == [0, 0]
    torch.testing.assert_close(product[kept], expected @ vector[kept])


def test_gradients_that_are_nan_where_the_loss_is_not():
    def rooted(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (output - output.detach()).square().sum(1).sqrt()

    refused(lambda: Hessian(Objective(model(), rooted, [(X, Y)])), "gradient is not finite .* a root")


def test_a_loss_that_is_nan():
    refused(lambda: Hessian(Objective(model(), lambda z, y: (z.sum() * 0 - 1).log(), [(X, Y)])), "the loss is nan")


def test_a_loss_that_is_no_scalar():
    refused(lambda: Hessian(Objective(model(), lambda z, y: z, [(X, Y)])), "scalar or one value per example")


def test_an_empty_loader():
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X[:0], Y[:0]))
    refused(lambda: Objective(model(), cross_entropy, loader), "no example")


def test_a_single_probe():
    operator = Hessian(Objective(model(), cross_entropy, [(X, Y)]))
    refused(lambda: trace(operator, probes=1), "probes must be at least 2")
    refused(lambda: density(operator, probes=1), "probes must be at least 2")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("matrix", [Hessian, GaussNewton, EmpiricalFisher])
def test_too_few_digits(matrix, dtype):
    objective = Objective(
        model().to(dtype), lambda z, y: mse_loss(z, z.detach() + 1, reduction="none").mean(1), [(X.to(dtype), Y)]
    )
    refused(lambda: matrix(objective), "too few digits")
    assert matrix(objective, check=False).dtype == dtype
