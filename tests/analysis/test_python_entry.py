"""What a session that calls analyses keeps: gradients, random numbers, the network; and labels of every whole kind."""

import importlib

import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import IterableDataset, TensorDataset

from analysis import energy, hessian, momentum, robustness, sharpness, surface, timesteps
from analysis.subject import Subject
from analysis.subject.passes import passes

X = torch.randn(24, 4, generator=torch.Generator().manual_seed(1))
Y = torch.arange(24) % 2
SETTINGS = {
    "timesteps": timesteps.Config(quiet=True),
    "hessian": hessian.Config(
        quiet=True, images=20, top=1, bottom=0, probes=2, steps=4, max_products=15, radius=False, trace_tolerance=0.5
    ),
    "surface": surface.Config(quiet=True, images=20, draws=1, plane_draws=0, points=3),
    "sharpness": sharpness.Config(
        quiet=True, images=20, measures=("average", "worst"), draws=2, noise=(0.1,), magnitude=(), absolute=(),
        worst=(0.1,), steps=2, restarts=1,
    ),
    "momentum": momentum.Config(quiet=True, batches=3, batch_size=8, steps=2),
    "robustness": robustness.Config(quiet=True, images=20, draws=2, weight_noise=(0.1,), rounding=(), input_noise=()),
    "energy": energy.Config(quiet=True, images=10),
}  # fmt: skip


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)).train()


class Timed(nn.Module):
    """Two steps, [time, batch, class]."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.inner(x), 2 * self.inner(x)])


def run(name: str, subject: Subject) -> dict[str, pd.DataFrame]:
    found = importlib.import_module(f"analysis.{name}").run(SETTINGS[name], subject).tables
    return {table: rows.drop(columns="seconds", errors="ignore") for table, rows in found.items()}


def part(labels: torch.Tensor = Y) -> TensorDataset:
    return TensorDataset(X, labels)


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", SETTINGS)
def test_gradients_may_be_off_and_random_numbers_are_the_user_s(name):
    subject = Subject(network(), train=part(), test=part())
    expected = run(name, subject)
    torch.manual_seed(5)  # what dropout draws in training is of the analysis's seed
    before = torch.get_rng_state()
    with torch.no_grad():
        found = run(name, subject)
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)
    for table, rows in expected.items():
        pd.testing.assert_frame_equal(found[table], rows)


class Stream(IterableDataset):
    def __iter__(self):
        return zip(X, Y, strict=True)


def test_a_stream_draws_nothing_either():
    subject = Subject(network().eval(), train=Stream())
    before = torch.get_rng_state()
    timesteps.run(timesteps.Config(quiet=True), subject)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("make", [network, Timed])
@pytest.mark.parametrize("kind", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.bool])
@pytest.mark.parametrize("name", ["timesteps", "hessian", "momentum", "energy"])
def test_labels_of_every_whole_kind_are_labels(name, kind, make):
    found, expected = (run(name, Subject(make(), train=part(y), test=part(y))) for y in (Y.to(kind), Y))
    for table, rows in expected.items():
        pd.testing.assert_frame_equal(found[table], rows)


def test_a_failure_in_the_middle_of_a_pass_leaves_neither_gradients_nor_the_network_changed():
    """While the error is held, as a notebook holds the last one."""
    made = network()
    state, modes = dict(made.named_buffers()), [module.training for module in made.modules()]
    kept = []

    @torch.no_grad()
    def consume() -> None:
        for _ in passes(Subject(made, train=part()), [(X, Y), (X, Y)], None):
            raise ValueError("in the middle")

    try:
        consume()
    except ValueError as error:
        kept.append(error)
    assert torch.is_grad_enabled()
    assert all(buffer is state[name] for name, buffer in made.named_buffers())
    assert [module.training for module in made.modules()] == modes
    kept.clear()
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("found", [torch.nan, torch.inf])
def test_answers_that_are_no_numbers_are_refused(found):
    """argmax takes NaN for the largest, which would count those of class 0 as right."""

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(3 * torch.eye(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            answer = torch.stack([1 - x[:, 0], x[:, 0]], 1) @ self.weight  # right everywhere
            return torch.where(x[:, 1:] > 0, torch.full_like(answer, found), answer)

    x = torch.stack([Y.float(), torch.arange(24) % 4 // 2], 1)
    data = TensorDataset(x, Y)
    subject = Subject(Odd(), train=data, test=data)
    with pytest.raises(ValueError, match="the outputs of 12 of 24 examples aren't finite, so that they have no answer"):
        run("timesteps", subject)
    with pytest.raises(ValueError, match="the loss ce is nan at the weights"):
        run("surface", subject)


def test_a_network_without_numbers_is_one_line():
    for name in ("timesteps", "hessian", "momentum"):
        with pytest.raises(ValueError, match="its network is on meta, without numbers: build it on a device"):
            run(name, Subject(network().to("meta"), train=part()))
