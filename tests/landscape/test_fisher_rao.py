"""The Fisher–Rao norm against dense Fisher matrices, closed forms of homogeneous networks, and rescaling."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev

from landscape.curvature import EmpiricalFisher, GaussNewton
from landscape.objective import Objective
from landscape.sharpness import fisher_rao
from tests.rises import Spikes, convolutional, cross_entropy, quadratic, squares


def flat_jacobian(model, inputs):
    """J of every example: [example, output, weight]."""
    names = [name for name, _ in model.named_parameters()]
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    found = jacrev(lambda given: functional_call(model.eval(), given, (inputs,)))(weights)
    return torch.cat([found[name].flatten(2) for name in names], 2)


def test_it_is_the_form_of_the_dense_fisher_matrices():
    objective = convolutional(nn.Tanh())
    ((_, inputs, target),) = objective.batches()
    jacobian, weights = flat_jacobian(objective.model, inputs), objective.parameters.vector()
    p = objective.model(inputs).softmax(1)
    curved = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    error = p - nn.functional.one_hot(target, 3)
    for name, fisher in (
        ("gauss_newton", torch.einsum("nkw,nkl,nlv->wv", jacobian, curved, jacobian) / 24),
        ("empirical", torch.einsum("nkw,nk,nl,nlv->wv", jacobian, error, error, jacobian) / 24),
    ):
        expected = float(weights @ fisher @ weights)
        assert fisher_rao(objective, fisher=name).value == pytest.approx(expected, rel=1e-9)


def test_the_error_is_the_spread_of_the_examples_own_forms():
    objective = convolutional(nn.Tanh())
    ((_, inputs, target),) = objective.batches()
    for name in ("gauss_newton", "empirical"):
        found = fisher_rao(objective, fisher=name)
        parts = [
            fisher_rao(
                Objective(objective.model, objective.loss, [(inputs[i : i + 1], target[i : i + 1])]), fisher=name
            )
            for i in range(24)
        ]
        values = torch.tensor([part.value for part in parts], dtype=torch.float64)
        assert (found.value, found.stderr) == pytest.approx((values.mean().item(), values.std().item() / 24**0.5))
        assert found.examples == 24


@pytest.mark.parametrize(("name", "operator"), [("gauss_newton", GaussNewton), ("empirical", EmpiricalFisher)])
def test_on_spikes_and_ragged_batches_it_is_the_form_of_the_operator(name, operator):
    whole = convolutional(Spikes())
    ((_, inputs, target),) = whole.batches()
    objective = Objective(whole.model, whole.loss, [(inputs[:9], target[:9]), (inputs[9:], target[9:])])
    weights = objective.parameters.vector()
    expected = float(weights @ (operator(objective) @ weights))
    assert fisher_rao(objective, fisher=name).value == pytest.approx(expected, rel=1e-9)


def test_a_homogeneous_network_has_the_closed_form():
    """Without biases f(cw) = c² f(w), so that the empirical norm is 4 E⟨∂ℓ/∂z, z⟩² (theorem 3.1, depth 2)."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 3, bias=False)).double()
    inputs = torch.randn(20, 4, generator=generator, dtype=torch.float64)
    target = torch.randint(3, (20,), generator=generator)
    output = model(inputs)
    error = output.softmax(1) - nn.functional.one_hot(target, 3)
    expected = 4 * (error * output).sum(1).square().mean().item()
    found = fisher_rao(Objective(model, cross_entropy, [(inputs, target)]), fisher="empirical")
    assert found.value == pytest.approx(expected, rel=1e-9)


def test_of_a_linear_regression_it_is_the_mean_square_of_the_output():
    objective, *_ = quadratic()
    outputs = torch.cat([objective.model(inputs) for _, inputs, _ in objective.batches()])
    assert fisher_rao(objective).value == pytest.approx(outputs.square().sum(1).mean().item(), rel=1e-9)


@pytest.mark.parametrize("activation", [nn.Tanh(), Spikes()])
@pytest.mark.parametrize("name", ["gauss_newton", "empirical"])
def test_it_does_not_change_when_filters_before_a_batchnorm_are_rescaled(activation, name):
    plain, rescaled = (fisher_rao(convolutional(activation, factor), fisher=name) for factor in (1.0, 3.0))
    assert plain.value == pytest.approx(rescaled.value, rel=1e-9)
    assert plain.value > 1e-6


def test_the_frame_holds_the_result_and_what_has_no_norm_is_refused():
    objective, *_ = quadratic()
    found = fisher_rao(objective)
    (row,) = found.to_frame().to_dict("records")
    assert (row["fisher"], row["value"], row["stderr"]) == ("gauss_newton", found.value, found.stderr)
    with pytest.raises(ValueError, match="fisher must be one of gauss_newton, empirical, got 'true'"):
        fisher_rao(objective, fisher="true")
    for name in ("gauss_newton", "empirical"):
        objective.loss = lambda output, target: squares(output, target).mean()
        with pytest.raises(ValueError, match="reduction='none'"):
            fisher_rao(objective, fisher=name)
