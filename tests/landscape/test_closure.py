"""Objectives of any form: batches of any kind, frozen, shared and complex weights, against dense Hessians."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from landscape.curvature import EmpiricalFisher, GaussNewton, Hessian
from landscape.objective import Closure, Objective
from landscape.spectrum import lanczos

GENERATOR = torch.Generator().manual_seed(0)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


def field() -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).double()


def residual(model: nn.Module, points: Tensor) -> Tensor:
    """Squares of ∂u/∂t + u ∂u/∂x: derivatives with respect to the inputs, no target anywhere."""
    points = points.detach().requires_grad_()
    u = model(points)
    (slope,) = torch.autograd.grad(u.sum(), points, create_graph=True)
    return (slope[:, 1] + u[:, 0] * slope[:, 0]).square()


def dense(model: nn.Module, value) -> Tensor:
    """The Hessian of ``value(model with other weights)`` in all real weights that train."""
    names = [name for name, weight in model.named_parameters() if weight.requires_grad]
    weights = [model.get_parameter(name).detach() for name in names]

    def flat(vector: Tensor) -> Tensor:
        parts = vector.split([weight.numel() for weight in weights])
        moved = {name: part.view_as(weight) for name, part, weight in zip(names, parts, weights, strict=True)}
        return value(lambda *inputs: functional_call(model, moved, inputs))

    return torch.autograd.functional.hessian(flat, torch.cat([weight.flatten() for weight in weights]))


def matrix(operator) -> Tensor:
    return torch.stack([operator @ row for row in torch.eye(operator.dimension, dtype=operator.dtype)])


@pytest.mark.parametrize("sizes", [[10], [7, 3], [1, 4, 5]])
def test_collocation_points_have_a_hessian_however_they_are_split(sizes):
    model, points = field(), normal(10, 2)
    objective = Closure(model, residual, points.split(sizes))
    expected = dense(model, lambda moved: residual(moved, points).mean())
    torch.testing.assert_close(matrix(Hessian(objective)), expected)
    assert objective.value() == pytest.approx(residual(model, points).mean().item())


def test_a_closures_losses_of_examples_give_the_empirical_fisher():
    model, points = field(), normal(6, 2)
    operator = EmpiricalFisher(Closure(model, residual, points.split([4, 2])))
    gradients = torch.stack([Closure(model, residual, [point[None]]).gradient() for point in points])
    torch.testing.assert_close(matrix(operator), gradients.T @ gradients / 6)


def test_batches_of_any_kind_count_by_their_size():
    model = field()
    batches = [{"inside": normal(4, 2), "edge": normal(1, 2)}, {"inside": normal(2, 2), "edge": normal(3, 2)}]

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return residual(model, batch["inside"]).mean() + model(batch["edge"]).square().mean()

    objective = Closure(model, loss, batches, size=lambda batch: len(batch["inside"]))
    values = [loss(model, batch).item() for batch in batches]
    assert objective.value() == pytest.approx((4 * values[0] + 2 * values[1]) / 6)
    assert lanczos(Hessian(objective), top=2).converged.all()
    with pytest.raises(ValueError, match=r"batch of type dict\? Pass size="):
        Closure(model, loss, batches)


def test_a_matrix_that_needs_an_output_says_so():
    with pytest.raises(ValueError, match="needs the model's output"):
        GaussNewton(Closure(field(), residual, [normal(3, 2)]))


def test_inputs_may_be_dicts_and_tuples():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(normal(3))

        def forward(self, x: dict[str, Tensor]) -> Tensor:
            return x["a"] * self.weight + x["b"][0]

    a = normal(4, 3)
    objective = Objective(Two(), lambda z, y: (z - y).square().sum(1), [({"a": a, "b": (normal(4, 3),)}, normal(4, 3))])
    torch.testing.assert_close(matrix(Hessian(objective)), (2 * a.square().mean(0)).diag())


def test_frozen_weights_have_no_rows_and_stay_frozen():
    model, x, y = field(), normal(8, 2), normal(8, 1)
    model[0].requires_grad_(False)
    operator = Hessian(Objective(model, nn.MSELoss(), [(x, y)]))
    assert operator.dimension == 5
    torch.testing.assert_close(matrix(operator), dense(model, lambda moved: nn.functional.mse_loss(moved(x), y)))
    assert not model[0].weight.requires_grad


def test_a_shared_weight_counts_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 3, bias=False).double()
            self.second = self.first

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x).tanh())

    model, x, y = Tied(), normal(6, 3), normal(6, 3)
    operator = Hessian(Objective(model, nn.MSELoss(), [(x, y)]))
    assert operator.dimension == 9
    weight = model.first.weight.detach()

    def value(vector: Tensor) -> Tensor:
        w = vector.view(3, 3)
        return nn.functional.mse_loss((x @ w.T).tanh() @ w.T, y)

    torch.testing.assert_close(matrix(operator), torch.autograd.functional.hessian(value, weight.flatten()))


class Rotor(nn.Module):
    """|x · z + c|² with complex z and c, times a real weight."""

    def __init__(self, z: Tensor, c: Tensor, scale: Tensor):
        super().__init__()
        self.z, self.c, self.scale = nn.Parameter(z), nn.Parameter(c), nn.Parameter(scale)

    def forward(self, x: Tensor) -> Tensor:
        out = x.to(self.z.dtype) @ self.z + self.c
        return self.scale * (out * out.conj()).real + out.imag


def test_complex_weights_are_pairs_of_real_ones():
    z, c = torch.complex(normal(3, 2), normal(3, 2)), torch.complex(normal(2), normal(2))
    scale, x, y = normal(1), normal(5, 3), normal(5, 2)
    model = Rotor(z, c, scale)
    objective = Objective(model, nn.MSELoss(), [(x[:3], y[:3]), (x[3:], y[3:])])
    parameters = objective.parameters
    assert parameters.dimension == 12 + 4 + 1
    assert parameters.dtype == torch.float64

    def value(vector: Tensor) -> Tensor:
        (zr, zi), (cr, ci) = vector[:12].view(3, 2, 2).unbind(-1), vector[12:16].view(2, 2).unbind(-1)
        real, imaginary = x @ zr + cr, x @ zi + ci
        return nn.functional.mse_loss(vector[16] * (real**2 + imaginary**2) + imaginary, y)

    weights = parameters.vector()
    torch.testing.assert_close(parameters.flatten(parameters.split(weights)), weights)
    assert float(value(weights)) == pytest.approx(objective.value())
    torch.testing.assert_close(objective.gradient(), torch.autograd.functional.jacobian(value, weights))
    torch.testing.assert_close(matrix(Hessian(objective)), torch.autograd.functional.hessian(value, weights))
    with parameters.restored():
        parameters.assign(2 * weights)
        assert float(value(2 * weights)) == pytest.approx(objective.value())
    assert torch.equal(model.z.detach(), z)
