"""A model is given back with everything it holds, bit for bit."""

import collections
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from landscape.evaluation import preserved
from landscape.evaluation.resetting import resetting


class Holding(nn.Module):
    """State of every kind that modules keep."""

    buffer: torch.Tensor
    rows: torch.Tensor
    row: torch.Tensor

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer("buffer", torch.zeros(3))
        self.register_buffer("nothing", None)
        self.register_buffer("rows", torch.zeros(2, 3))
        self.register_buffer("row", self.rows[1])
        self.number, self.none, self.tensor = 1.5, None, torch.zeros(2)
        self.nested: dict[str, Any] = {"list": [torch.zeros(2), 1], "deep": {"a": (torch.zeros(1),)}}
        self.queue = collections.deque([torch.zeros(1)])
        self.array = np.zeros(2)
        self.alias = self.weight.data[:2]
        self.itself: list[Any] = []
        self.itself.append(self.itself)

    def forward(self, x):
        self.buffer.add_(1)
        self.row.add_(1)
        self.number += 1
        self.none = x
        self.tensor.add_(1)
        self.nested["list"][0].add_(1)
        self.nested["list"].append(x)
        self.nested["deep"]["a"][0].add_(1)
        self.nested["new"] = x
        self.queue.append(x)
        self.array += 1
        self.fresh = x
        return x * self.alias.sum() + self.rows.sum()


def held(model: Holding) -> list[Any]:
    return [
        model.buffer.tolist(), model.rows.tolist(), model.row.tolist(), model.number, model.none, model.tensor.tolist(),
        [str(part) for part in model.nested["list"]], model.nested["deep"]["a"][0].tolist(), sorted(model.nested),
        len(model.queue), model.array.tolist(), hasattr(model, "fresh"), model.training, list(model._buffers),
    ]  # fmt: skip


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_whatever_a_module_keeps_comes_back(error):
    model = Holding()
    before, identities = held(model), [id(model.buffer), id(model.nested), id(model.tensor), id(model.weight)]

    def use():
        with preserved(model):
            model.eval()
            model(torch.ones(3))
            model(torch.ones(3))
            assert model.number == 3.5
            assert model.rows.tolist() == [[0, 0, 0], [2, 2, 2]]  # a view of a buffer is one of its copy
            model.register_buffer("another", torch.ones(1))
            del model.nothing
            if error:
                raise error

    if error:
        with pytest.raises(error):
            use()
    else:
        use()
    assert held(model) == before
    assert [id(model.buffer), id(model.nested), id(model.tensor), id(model.weight)] == identities


def test_what_shares_memory_with_a_weight_goes_on_following_it():
    model = Holding()
    with preserved(model), torch.no_grad():
        model.weight.fill_(5)
        assert model.alias.tolist() == [5, 5]
        model.weight.fill_(1)


def test_modes_come_back_through_train():
    class Acting(nn.Module):
        def train(self, mode: bool = True):
            outside[mode] += 1
            return super().train(mode)

    outside: collections.Counter[bool] = collections.Counter()
    model = nn.Sequential(Acting(), nn.Dropout())
    model[1].eval()
    with preserved(model):
        model.eval()
    assert outside == {False: 1, True: 1}
    assert [module.training for module in model.modules()] == [True, True, False]


def test_a_scripted_module_comes_back_too():
    class Stepping(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros(1))
            self.count: torch.Tensor

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.count.add_(1)
            return x

    model = torch.jit.script(Stepping())
    with preserved(model):
        model.eval()
        model(torch.ones(1))
        assert model.count.tolist() == [1]
    assert model.count.tolist() == [0]
    assert model.training


def test_no_library_no_reset():
    assert resetting(nn.Sequential(nn.Linear(2, 2), nn.LSTM(2, 2))) is None


def test_gradients_that_were_written_inside_are_not_there_afterwards():
    model = nn.Linear(2, 1)
    model.weight.grad = before = torch.ones(1, 2)
    with preserved(model):
        model(torch.ones(1, 2)).sum().backward()
        model.weight.requires_grad_(False)
    assert model.weight.grad is before
    assert before.tolist() == [[1.0, 1.0]]
    assert model.bias.grad is None
    assert model.weight.requires_grad
