"""Losses of logits at one scale: against numpy and scipy, and what multiplying the logits does to each."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from torch import nn
from torch.nn import functional as F

from landscape.sharpness import LOGITS, MEAN_SQUARE, mean_square, metric, network_scale, scaled


def entropy(logits, target):
    return F.cross_entropy(logits.mean(0) if logits.ndim == 3 else logits, target, reduction="none")


def by_step(logits, target):
    return torch.stack([F.cross_entropy(step, target, reduction="none") for step in logits]).mean(0)


def drawn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(*shape, generator=generator, dtype=torch.float64) + 3
    return logits, torch.randint(shape[-1], (shape[-2],), generator=generator)


def naive(logits, target, scale):
    """Cross-entropy of the mean output over ``scale``, one example after another."""
    answers = logits.numpy() if logits.ndim == 2 else logits.numpy().mean(0)
    return [-log_softmax(row / scale(row))[label] for row, label in zip(answers, target.tolist(), strict=True)]


@pytest.mark.parametrize("shape", [(7, 5), (4, 7, 5)])
@pytest.mark.parametrize(("centred", "size"), [(True, np.std), (False, lambda row: np.sqrt(np.mean(row**2)))])
def test_each_way_is_its_formula_example_by_example(shape, centred, size):
    logits, target = drawn(*shape)
    found = scaled({"loss": entropy}, 1.7, to=0.8, centred=centred)(logits, target)
    divisors = {"plain": lambda _: 1, "network": lambda _: 1.7 / 0.8, "example": lambda row: size(row) / 0.8}
    for way, divisor in divisors.items():
        assert found[metric("loss", way)].numpy() == pytest.approx(naive(logits, target, divisor), rel=1e-12)
    answers = logits.numpy() if logits.ndim == 2 else logits.numpy().mean(0)
    assert found[MEAN_SQUARE].numpy() == pytest.approx([size(row) ** 2 for row in answers], rel=1e-12)


def test_all_steps_of_an_example_are_divided_by_the_scale_of_their_mean():
    logits, target = drawn(4, 6, 5)
    found = scaled({"steps": by_step}, 1.0)(logits, target)[metric("steps", "example")]
    for place in range(6):
        rows = logits[:, place].numpy() / np.std(logits[:, place].numpy().mean(0))
        assert found[place].item() == pytest.approx(-log_softmax(rows, axis=1)[:, target[place]].mean(), rel=1e-12)


@given(st.floats(0.01, 100), st.floats(-50, 50))
def test_a_factor_and_a_common_part_change_plain_alone(factor, shift):
    logits, target = drawn(9, 4)
    ways = [
        scaled({"loss": entropy}, float(mean_square(each).mean().sqrt()))(each, target)
        for each in (logits, factor * logits + shift)
    ]
    for way in ("network", "example"):
        one, other = (found[metric("loss", way)] for found in ways)
        assert torch.allclose(one, other, rtol=1e-7)
    if abs(factor - 1) > 0.01:
        assert not torch.allclose(*(found[metric("loss", "plain")] for found in ways))


def test_about_zero_a_common_part_counts_as_scale():
    logits, target = drawn(9, 4)
    one, other = (scaled({"loss": entropy}, 1.0, centred=False)(logits + shift, target) for shift in (0, 5))
    assert (one[metric("loss", "example")] - other[metric("loss", "example")]).abs().min() > 1e-3


def test_examples_without_any_preference_stay_so():
    logits = torch.full((3, 5), 2.0)
    logits[1, 0] = 7.0
    found = scaled({"loss": entropy}, 1.0)(logits, torch.zeros(3, dtype=torch.int64))
    losses = found[metric("loss", "example")]
    assert losses[[0, 2]].tolist() == pytest.approx([np.log(5)] * 2)
    assert losses[1] < 1
    assert found[MEAN_SQUARE][[0, 2]].tolist() == [0, 0]


@pytest.mark.parametrize("centred", [True, False])
def test_the_network_s_scale_is_over_all_examples_whatever_the_batches(centred):
    model = nn.Linear(6, 3).double()
    x, y = torch.randn(20, 6, dtype=torch.float64), torch.randint(3, (20,))
    z = model(x).detach().numpy()
    expected = np.sqrt(z.var(axis=1).mean() if centred else (z**2).mean())
    for sizes in ([20], [7, 7, 6], [1, 19]):
        batches = list(zip(x.split(sizes), y.split(sizes), strict=True))
        assert network_scale(model, batches, centred=centred) == pytest.approx(expected, rel=1e-12)


def test_what_has_no_scale_is_refused():
    model = nn.Linear(6, 3)
    nn.init.zeros_(model.weight)
    nn.init.ones_(model.bias)
    batches = [(torch.randn(4, 6), torch.zeros(4, dtype=torch.int64))]
    with pytest.raises(ValueError, match="have the root mean square 0"):
        network_scale(model, batches)
    assert network_scale(model, batches, centred=False) == pytest.approx(1)
    with pytest.raises(ValueError, match="logits must be"):
        mean_square(torch.zeros(4))
    with pytest.raises(ValueError, match="got tuple"):
        mean_square((torch.zeros(4, 3),))
    for network, to in ((0.0, 1.0), (1.0, -1.0), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="scales must be positive"):
            scaled({"loss": entropy}, network, to=to)


def test_every_loss_has_every_way_and_names_are_apart():
    logits, target = drawn(4, 6, 5)
    found = scaled({"sdt": entropy, "tet": by_step}, 1.0)(logits, target)
    assert set(found) == {metric(loss, way) for loss in ("sdt", "tet") for way in LOGITS} | {MEAN_SQUARE}
    assert len(found) == 7
