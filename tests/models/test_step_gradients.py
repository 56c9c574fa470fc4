"""Gradients by timestep: batched and one by one; and what momentum keeps of vectors that come one at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from models.losses import LOSSES
from models.networks import build
from models.training.nulls import coherence_null
from models.training.step_gradients import Kept, statistics, step_gradients

LABELS = torch.tensor([3, 1, 4, 1, 5])


def network(**settings) -> nn.Module:
    return build("digits-cnn", seed=0, timesteps=4, width=2.0, **settings).double().train()


def images() -> torch.Tensor:
    return torch.randn(5, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def found(model: nn.Module, *, at_once: int = 1, loss: str = "tet", **settings) -> dict[int, torch.Tensor]:
    weights = tuple(model.parameters())
    steps = step_gradients(
        model(images()),
        LABELS,
        lambda logits, labels: LOSSES[loss](logits, labels, **settings),
        weights,
        at_once=at_once,
    )
    return {t: gradient for t, _, gradient in steps}


@pytest.mark.parametrize("at_once", [2, 3, 4, 9])
@pytest.mark.parametrize("settings", [{}, {"surrogate": "smooth"}, {"detach_reset": True}, {"spiking": False}])
def test_batched_backwards_give_what_single_ones_do(settings, at_once):
    if "spiking" in settings:
        settings = settings | {"timesteps": 1}
    model = build("digits-cnn", seed=0, **({"timesteps": 4} | settings)).double().train()
    single, batched = (found(model, at_once=number) for number in (1, at_once))
    assert list(single) == list(batched)
    assert all(torch.allclose(single[t], batched[t], rtol=1e-10, atol=1e-15) for t in single)


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_a_regularised_objective_comes_apart_too_as_values_or_as_a_mean(reduction):
    model = network()
    settings = {"mse_weight": 0.05, "label_smoothing": 0.1}
    gradients = found(model, at_once=2, reduction=reduction, **settings)
    whole = torch.autograd.grad(LOSSES["tet"](model(images()), LABELS, **settings), tuple(model.parameters()))
    truth = torch.cat([part.flatten() for part in whole])
    assert torch.allclose(gradients[0], truth, rtol=1e-9, atol=1e-14)
    assert torch.allclose(sum(gradients[t] for t in (1, 2, 3, 4)), truth, rtol=1e-9, atol=1e-14)


class Refusing(torch.autograd.Function):
    """The identity on logits, whose first backward fails with a message."""

    @staticmethod
    def forward(ctx, x, message):
        ctx.messages = [message]
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        if ctx.messages:
            raise RuntimeError(ctx.messages.pop())
        return gradient, None


class Steps(nn.Module):
    """Three steps of logits, each linear in weights of its own."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(6.0).view(3, 2))

    def forward(self, x):
        return x.unsqueeze(0) * self.weight.unsqueeze(1)


def test_a_backward_that_can_not_be_batched_is_done_one_by_one():
    model, x, labels = Steps(), torch.ones(2, 2), torch.tensor([0, 1])
    truth = list(step_gradients(model(x), labels, LOSSES["tet"], (model.weight,)))
    logits = Refusing.apply(model(x), "Batching rule not implemented for it")
    for (_, _, one), (_, _, other) in zip(
        truth, step_gradients(logits, labels, LOSSES["tet"], (model.weight,), at_once=2), strict=True
    ):
        assert torch.equal(one, other)
    logits = Refusing.apply(model(x), "something else")
    with pytest.raises(RuntimeError, match="something else"):
        list(step_gradients(logits, labels, LOSSES["tet"], (model.weight,), at_once=2))


def test_a_weight_without_a_part_counts_as_zero():
    model = Steps()
    idle = nn.Parameter(torch.ones(3))
    logits = model(torch.ones(2, 2))
    labels = torch.tensor([0, 1])
    steps = list(step_gradients(logits, labels, LOSSES["sdt"], (idle, model.weight), at_once=2))
    assert all(torch.equal(gradient[:3], torch.zeros(3)) for _, _, gradient in steps)
    assert all(gradient[3:].abs().sum() > 0 for _, _, gradient in steps)


@given(st.integers(1, 8), st.integers(1, 5), st.floats(0, 0.99), st.integers(0, 2**31 - 1))
def test_the_part_kept_is_that_of_the_weighted_sums(count, dimension, beta, seed):
    vectors = np.random.default_rng(seed).normal(1, 1, (count, dimension))
    kept = Kept(beta)
    for vector in vectors:
        kept.add(torch.from_numpy(vector))
    weights = beta ** np.arange(count - 1, -1, -1.0)
    truth = np.linalg.norm(weights @ vectors) / (weights @ np.linalg.norm(vectors, axis=1))
    assert kept.part == pytest.approx(truth, rel=1e-9)
    assert kept.null == coherence_null(beta, count)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_noise_keeps_its_null_and_a_constant_gradient_all(beta):
    generator = torch.Generator().manual_seed(0)
    noise, constant = Kept(beta), Kept(beta)
    for _ in range(40):
        noise.add(torch.randn(20_000, generator=generator))
        constant.add(torch.ones(7))
    assert noise.part == pytest.approx(noise.null, rel=0.03)
    assert constant.part == pytest.approx(1)


def test_nothing_and_zeros_keep_no_number():
    kept = Kept(0.9)
    assert np.isnan([kept.part, kept.null]).all()
    kept.add(torch.zeros(3))
    assert np.isnan(kept.part)
    assert kept.null == 1


def test_a_gradient_is_not_changed_by_being_kept():
    gradient, kept = torch.ones(3), Kept(0.5)
    kept.add(gradient)
    kept.add(torch.ones(3))
    assert torch.equal(gradient, torch.ones(3))


def test_statistics_of_orthogonal_steps():
    steps = {1: torch.tensor([3.0, 0.0]), 2: torch.tensor([0.0, 4.0])}
    table = statistics(steps | {0: steps[1] + steps[2]}, {1: 1.0, 2: 2.0, 0: 0.5})
    assert table[1] == pytest.approx(
        {"error_norm": 1, "gradient_norm": 3, "gain": 3, "cosine_to_total": 0.6, "share": 9 / 25}
    )
    assert table[0]["share"] == table[0]["cosine_to_total"] == pytest.approx(1)
    assert np.isnan(statistics({0: torch.zeros(2)}, {0: 0.0})[0]["share"])
