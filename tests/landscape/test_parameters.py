"""The flat weight vector, and a model given back as it was."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from landscape.evaluation import preserved
from landscape.objective import Parameters


def small() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


class Tied(nn.Module):
    """One matrix under two names."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.second = nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight


class Replacing(nn.Module):
    """Puts a new tensor in its buffer's place instead of writing to it."""

    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(()))
        self.count: torch.Tensor

    def forward(self, x):
        self.count = self.count + 1
        return x


def test_the_vector_lists_every_trainable_weight_in_the_models_order():
    model = small()
    parameters = Parameters(model)
    by_hand = [value for weight in model.parameters() for value in weight.flatten().tolist()]
    assert parameters.vector().tolist() == by_hand
    assert parameters.dimension == len(by_hand) == 3 * 4 + 4 + 4 + 4 + 4 * 2 + 2
    assert parameters.names == tuple(name for name, _ in model.named_parameters())


def test_a_shared_weight_is_listed_once():
    assert Parameters(Tied()).dimension == 9


@given(st.lists(st.lists(st.integers(1, 4), min_size=0, max_size=3), min_size=1, max_size=5))
def test_split_undoes_flatten(shapes):
    model = nn.Module()
    for index, shape in enumerate(shapes):
        model.register_parameter(f"w{index}", nn.Parameter(torch.randn(shape)))
    parameters = Parameters(model)
    parts = parameters.split(parameters.vector())
    assert all(torch.equal(part, weight) for part, weight in zip(parts, model.parameters(), strict=True))


def test_a_missing_tensor_flattens_to_zeros():
    parameters = Parameters(nn.Linear(2, 1))
    assert parameters.flatten([None, torch.ones(1)]).tolist() == [0, 0, 1]


def test_the_vector_is_a_copy():
    model = nn.Linear(2, 1)
    Parameters(model).vector().zero_()
    assert model.weight.abs().min() > 0


def test_assign_writes_the_models_own_tensors():
    model = Tied()
    Parameters(model).assign(torch.arange(9.0))
    assert model.second.weight.flatten().tolist() == list(range(9))


def test_names_select_in_the_models_order():
    parameters = Parameters(small(), names=["3.bias", "0.weight"])
    assert parameters.names == ("0.weight", "3.bias")
    assert parameters.dimension == 14


def test_frozen_weights_are_left_out():
    model = small()
    model[0].weight.requires_grad_(False)
    assert "0.weight" not in Parameters(model).names


def test_owner_is_the_module_that_holds_the_weight():
    inner = nn.Linear(1, 1)
    assert Parameters(nn.Sequential(nn.Sequential(inner))).owner("0.0.bias") is inner


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"no trainable parameter named 'wieght'; the model has weight, bias"):
        Parameters(nn.Linear(1, 1), names=["wieght"])


def test_a_model_without_trainable_weights_is_refused():
    with pytest.raises(ValueError, match="no trainable parameter"):
        Parameters(nn.Linear(1, 1).requires_grad_(False))


def test_mixed_dtypes_are_refused():
    with pytest.raises(ValueError, match=r"one device and dtype.*float32.*float64"):
        Parameters(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1).double()))


def test_weights_come_back_bit_for_bit_after_an_exception():
    model = small()
    parameters = Parameters(model)
    before = parameters.vector()

    def move_and_fail():
        with parameters.restored() as yielded:
            assert torch.equal(yielded, before)
            parameters.assign(before / 3)
            raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"):
        move_and_fail()
    assert torch.equal(parameters.vector(), before)


def test_a_preserved_model_comes_back_as_found_after_an_exception():
    model = small()
    model[1].eval()
    model[0].weight.grad = torch.ones(4, 3)
    model[3].bias.requires_grad_(False)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    buffers, gradient = list(model.buffers()), model[0].weight.grad

    def train_and_fail():
        with preserved(model):
            model.train().requires_grad_(True)
            model(torch.randn(6, 3)).sum().backward(inputs=[model[3].bias, model[1].weight])
            model[0].weight.grad = None
            raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"):
        train_and_fail()
    assert [module.training for module in model] == [True, False, True, True]
    assert model[0].weight.grad is gradient
    assert model[1].weight.grad is None
    assert not model[3].bias.requires_grad
    assert all(now is then for now, then in zip(model.buffers(), buffers, strict=True))
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_a_replaced_buffer_comes_back_too():
    model = Replacing()
    buffer = model.count
    with preserved(model):
        model(torch.ones(1))
        assert model.count == 1
    assert model.count is buffer
    assert model.count == 0


def test_a_buffer_shared_by_two_modules_stays_shared_inside():
    first, second = Replacing(), Replacing()
    second.count = first.count
    with preserved(nn.ModuleList([first, second])):
        first.count.add_(1)
        assert second.count == 1
    assert second.count is first.count
    assert first.count == 0
