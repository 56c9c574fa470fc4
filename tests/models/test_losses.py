"""The two losses against the paper's gradients, a naive loop and Jensen's inequality."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.losses import LOSSES, OBJECTIVES, ce_loss, lts_loss, sdt_loss, tet_loss, tmc_loss, trt_loss


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
    for name, loss in OBJECTIVES.items():
        if name in ("tmc", "trt"):  # what they add to the entropy is of the label itself
            continue
        logits, labels = example() if name != "ce" else (example()[0][0], example()[1])
        uniform = sum(loss(logits, torch.full_like(labels, c), reduction="none") for c in range(3)) / 3
        expected = 0.9 * loss(logits, labels, reduction="none") + 0.1 * uniform
        torch.testing.assert_close(loss(logits, labels, label_smoothing=0.1, reduction="none"), expected)


@pytest.mark.parametrize("loss", OBJECTIVES.values(), ids=OBJECTIVES.keys())
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
        loss(logits[0] if loss is ce_loss else logits, labels, **bad)


def naive_steps(logits, labels):
    """The cross-entropy of each step and image, in plain Python."""
    return [[naive_cross_entropy(row.tolist(), int(y)) for row, y in zip(step, labels, strict=True)] for step in logits]


def test_lts_is_the_last_step_s_entropy_alone():
    logits, labels = example()
    expected = torch.tensor(naive_steps(logits, labels)[-1], dtype=torch.float64)
    torch.testing.assert_close(lts_loss(logits, labels, reduction="none"), expected)
    assert gradient(lts_loss, logits, labels)[:-1].abs().sum() == 0
    torch.testing.assert_close(lts_loss(logits[-1:], labels), sdt_loss(logits[-1:], labels))


def naive_tmc(logits, labels):
    """As the authors' code: a ratio of means over the batch at every step, the past detached."""
    time, total = len(logits), 0.0
    for t in range(time):
        mean = (logits[:t].detach().sum(0) + logits[t]) / (t + 1)
        p = [mean[i].softmax(0)[y] for i, y in enumerate(labels)]
        right, other = sum(p) / len(p), sum(1 - each for each in p) / len(p)
        total = total + torch.nn.functional.cross_entropy(logits[t], labels) + (right / other) ** ((time - t) / time)
    return total / time


@pytest.mark.parametrize("time", [1, 2, 5])
def test_tmc_is_the_authors_loop_and_so_is_its_gradient(time):
    logits, labels = example(time=time, scale=1.0)
    torch.testing.assert_close(tmc_loss(logits, labels), naive_tmc(logits, labels))
    torch.testing.assert_close(gradient(tmc_loss, logits, labels), gradient(naive_tmc, logits, labels))
    each = tmc_loss(logits, labels, reduction="none") - tet_loss(logits, labels, reduction="none")
    torch.testing.assert_close(each, each[:1].expand(len(labels)))


@pytest.mark.parametrize(("loss", "share"), [(tmc_loss, 1.0), (trt_loss, 0.95)])
def test_what_is_added_to_the_entropy_knows_no_smoothing(loss, share):
    logits, labels = example()
    term = loss(logits, labels) - share * tet_loss(logits, labels)
    smoothed = loss(logits, labels, label_smoothing=0.1) - share * tet_loss(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(term, smoothed)


@pytest.mark.parametrize("eta", [0.0, 0.05, 1.0])
def test_trt_mixes_entropy_and_square_error_to_the_one_hot_label(eta):
    logits, labels = example()
    expected = []
    for image, (y, *entropies) in enumerate(zip(labels, *naive_steps(logits, labels), strict=True)):
        squares = [sum((float(step[image, c]) - float(c == y)) ** 2 for c in range(3)) / 3 for step in logits]
        expected.append(sum((1 - eta) * e + eta * s for e, s in zip(entropies, squares, strict=True)) / len(logits))
    found = trt_loss(logits, labels, eta=eta, reduction="none")
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_trt_refuses_a_share_that_is_none():
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got 1.5"):
        trt_loss(*example(), eta=1.5)


def test_ce_is_sdt_without_time():
    logits, labels = example(time=1)
    for more in ({}, {"mse_weight": 0.2, "mse_target": 0.3, "label_smoothing": 0.1}):
        torch.testing.assert_close(ce_loss(logits[0], labels, **more), sdt_loss(logits, labels, **more))


def test_landscapes_are_made_of_sdt_and_tet():
    assert list(LOSSES) == ["sdt", "tet"]
    assert list(OBJECTIVES) == ["sdt", "tet", "lts", "tmc", "trt", "ce"]
