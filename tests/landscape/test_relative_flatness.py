"""Relative flatness against its definition, pair by pair of neurons, on a dense Hessian."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, hessian

from landscape.objective import Objective, Parameters
from landscape.sharpness import relative_flatness, weight_matrix
from tests.rises import Spikes, convolutional, cross_entropy


def network():
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    for weight in model.parameters():
        weight.data = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    inputs = torch.randn(20, 4, generator=generator, dtype=torch.float64)
    return model, inputs, torch.randint(3, (20,), generator=generator)


def of(problem, name):
    model, inputs, target = problem
    batches = [(inputs[:13], target[:13]), (inputs[13:], target[13:])]
    return Objective(model, cross_entropy, batches, parameters=Parameters(model, [name]))


def by_definition(problem, name):
    """Σ ⟨w_s, w_s'⟩ tr(H_ss') with each block taken from the dense Hessian."""
    model, inputs, target = problem

    def loss(weight):
        return cross_entropy(functional_call(model, {name: weight}, (inputs,)), target).mean()

    weight = model.get_parameter(name).detach()
    rows, entries = weight.shape
    dense = hessian(loss)(weight).detach()
    return sum(
        float(weight[s] @ weight[other]) * sum(float(dense[s, i, other, i]) for i in range(entries))
        for s in range(rows)
        for other in range(rows)
    )


@pytest.mark.parametrize("name", ["0.weight", "2.weight"])
def test_it_is_the_sum_over_pairs_of_neurons(name):
    problem = network()
    found = relative_flatness(of(problem, name))
    assert found.value == pytest.approx(by_definition(problem, name), rel=1e-10)
    assert (found.stderr, found.exact, found.name) == (0.0, True, name)
    assert found.products == problem[0].get_parameter(name).numel()


def test_on_the_output_layer_it_is_the_closed_form_of_softmax():
    """There H = mean (diag p − ppᵀ) ⊗ φφᵀ, so that κ = mean ‖φ‖² tr(WWᵀ(diag p − ppᵀ))."""
    model, inputs, target = network()
    features = model[:2](inputs)
    p, weight = model(inputs).softmax(1), model[2].weight
    curved = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    expected = (features.square().sum(1) * (curved * (weight @ weight.T)).sum((1, 2))).mean()
    assert relative_flatness(of((model, inputs, target), "2.weight")).value == pytest.approx(expected.item(), rel=1e-10)


def test_random_vectors_estimate_it_within_their_error():
    problem = network()
    exact = relative_flatness(of(problem, "0.weight")).value
    found = [
        relative_flatness(of(problem, "0.weight"), exact=False, probes=6, keep_graph=False, seed=seed)
        for seed in range(12)
    ]
    assert not found[0].exact
    assert all(0 < one.stderr < abs(exact) for one in found)
    mean = sum(one.value for one in found) / 12
    assert abs(mean - exact) < 4 * max(one.stderr for one in found) / 12**0.5


@pytest.mark.parametrize("activation", [nn.Tanh(), Spikes()])
@pytest.mark.parametrize("name", ["0.weight", "4.weight"])
def test_it_does_not_change_when_filters_before_a_batchnorm_are_rescaled(activation, name):
    values = []
    for factor in (1.0, 3.0):
        whole = convolutional(activation, factor)
        pairs = [(inputs, target) for _, inputs, target in whole.batches()]
        part = Objective(whole.model, whole.loss, pairs, parameters=Parameters(whole.model, [name]))
        values.append(relative_flatness(part).value)
    assert values[0] == pytest.approx(values[1], rel=1e-9)
    assert abs(values[0]) > 1e-6


def test_a_layer_is_known_by_its_name_and_the_last_is_the_default():
    parameters = convolutional(nn.Tanh()).parameters
    assert weight_matrix(parameters) == "4.weight"
    assert weight_matrix(parameters, "0") == "0.weight"
    for name in ("1", "5", ""):
        with pytest.raises(ValueError, match=f"no layer '{name}' with a weight matrix; there are 0, 4"):
            weight_matrix(parameters, name)
    model = nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="there are none"):
        weight_matrix(Parameters(model))


def test_other_parameters_than_one_weight_matrix_are_refused():
    model, inputs, target = network()
    for objective in (Objective(model, cross_entropy, [(inputs, target)]), of((model, inputs, target), "0.bias")):
        with pytest.raises(ValueError, match="expected an objective of one weight matrix"):
            relative_flatness(objective)


def test_the_frame_holds_the_result():
    found = relative_flatness(of(network(), "2.weight"))
    (row,) = found.to_frame().to_dict("records")
    assert (row["name"], row["value"], row["exact"]) == ("2.weight", found.value, True)
