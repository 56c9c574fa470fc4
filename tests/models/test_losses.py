"""The two losses against the paper's gradients, a naive loop and Jensen's inequality."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.losses import LOSSES, sdt_loss, tet_loss


def example(seed=0, time=4, batch=5, classes=3, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(time, batch, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(classes, (batch,), generator=generator)


def naive_cross_entropy(logits, label):
    total = sum(math.exp(value) for value in logits)
    return -math.log(math.exp(logits[label]) / total)


def naive(kind, logits, labels, weight, target):
    """Per image, in plain Python: (1 − λ) entropy + λ mean over time of the mean square."""
    time, batch, classes = logits.shape
    losses = []
    for image in range(batch):
        steps = [logits[step, image].tolist() for step in range(time)]
        label = int(labels[image])
        mean = [sum(step[c] for step in steps) / time for c in range(classes)]
        if kind == "sdt":
            entropy = naive_cross_entropy(mean, label)
        else:
            entropy = sum(naive_cross_entropy(step, label) for step in steps) / time
        square = sum(sum((value - target) ** 2 for value in step) / classes for step in steps) / time
        losses.append((1 - weight) * entropy + weight * square)
    return torch.tensor(losses, dtype=torch.float64)


@pytest.mark.parametrize("kind", ["sdt", "tet"])
@pytest.mark.parametrize(("weight", "target"), [(0.0, 1.0), (0.05, 1.0), (0.3, -0.5), (1.0, 1.0)])
def test_losses_are_the_naive_ones(kind, weight, target):
    logits, labels = example()
    expected = naive(kind, logits, labels, weight, target)
    each = LOSSES[kind](logits, labels, mse_weight=weight, mse_target=target, reduction="none")
    torch.testing.assert_close(each, expected)
    mean = LOSSES[kind](logits, labels, mse_weight=weight, mse_target=target)
    torch.testing.assert_close(mean, expected.mean())


def gradient(loss, logits, labels):
    logits = logits.clone().requires_grad_()
    return torch.autograd.grad(loss(logits, labels), logits)[0]


def test_the_sdt_gradient_is_equation_8_and_the_same_at_every_step():
    logits, labels = example()
    error = logits.mean(0).softmax(-1) - torch.nn.functional.one_hot(labels, 3)
    torch.testing.assert_close(gradient(sdt_loss, logits, labels), (error / 4 / 5).expand(4, 5, 3))


def test_the_tet_gradient_is_equation_10():
    logits, labels = example()
    error = logits.softmax(-1) - torch.nn.functional.one_hot(labels, 3)
    torch.testing.assert_close(gradient(tet_loss, logits, labels), error / 4 / 5)


@given(st.integers(0, 10**6), st.integers(1, 6), st.floats(0, 30))
def test_sdt_never_exceeds_tet(seed, time, scale):
    logits, labels = example(seed, time=time, scale=scale)
    for_each = {kind: loss(logits, labels, reduction="none") for kind, loss in LOSSES.items()}
    assert (for_each["sdt"] <= for_each["tet"] + 1e-9).all()


@pytest.mark.parametrize("weight", [0.0, 0.1])
def test_the_losses_are_one_at_a_single_step_and_at_constant_logits(weight):
    logits, labels = example(time=1)
    for same in (logits, logits.expand(3, -1, -1)):
        torch.testing.assert_close(sdt_loss(same, labels, mse_weight=weight), tet_loss(same, labels, mse_weight=weight))


def test_label_smoothing_mixes_in_the_uniform_label():
    logits, labels = example()
    for loss in LOSSES.values():
        uniform = sum(loss(logits, torch.full_like(labels, c), reduction="none") for c in range(3)) / 3
        expected = 0.9 * loss(logits, labels, reduction="none") + 0.1 * uniform
        torch.testing.assert_close(loss(logits, labels, label_smoothing=0.1, reduction="none"), expected)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"mse_weight": -0.1}, r"must lie in \[0, 1\], got -0.1"),
        ({"mse_weight": 1.5}, r"must lie in \[0, 1\], got 1.5"),
        ({"mse_weight": math.nan}, r"must lie in \[0, 1\], got nan"),
        ({"reduction": "sum"}, "must be 'mean' or 'none', got 'sum'"),
    ],
)
def test_arguments_without_a_meaning_are_refused(loss, bad, message):
    logits, labels = example()
    with pytest.raises(ValueError, match=message):
        loss(logits, labels, **bad)
