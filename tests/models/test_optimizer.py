"""What a checkpoint knows of its optimizer: checked against the steps that the optimizer makes."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from models.checkpoint import Checkpoint, CheckpointError
from models.networks import build
from models.training.optimizer import Step

RATE = 3e-3


def state(checkpoint: Checkpoint) -> dict[str, Any]:
    assert checkpoint.resume is not None
    return checkpoint.resume["optimizer"]


def trained(kind: str, steps: int, **options) -> tuple[Checkpoint, torch.Tensor]:
    """A checkpoint after ``steps`` steps along random gradients, and how the last step moved the weights."""
    network, generator = build("digits-cnn", seed=0, timesteps=2), torch.Generator().manual_seed(0)
    weights = list(network.parameters())
    optimizer = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[kind](weights, lr=RATE, **options)
    before = torch.nn.utils.parameters_to_vector(weights).detach()
    for _ in range(steps):
        before = torch.nn.utils.parameters_to_vector(weights).detach()
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()
    checkpoint = Checkpoint(
        model={"name": "digits-cnn", "arguments": network.arguments},
        state_dict=dict(network.state_dict()),
        data={"name": "digits", "arguments": {}},
        training={"loss": "tet", "seed": 0, "optimizer": kind},
        history={"learning_rate": [0.5] * bool(steps)},
        resume={"optimizer": optimizer.state_dict()},
    )
    return checkpoint, torch.nn.utils.parameters_to_vector(weights).detach() - before


@pytest.mark.parametrize("steps", [1, 2, 30])
def test_adam_moves_the_weights_by_its_momentum_over_the_divisor(steps):
    checkpoint, moved = trained("adam", steps, betas=(0.8, 0.99), eps=1e-3)
    found = Step.of(checkpoint)
    momentum = torch.cat([each["exp_avg"].flatten() for each in state(checkpoint)["state"].values()])
    assert found.divisor is not None
    expected = -RATE * momentum.double() / found.divisor
    torch.testing.assert_close(moved.double(), expected, rtol=1e-3, atol=1e-6)
    assert (found.optimizer, found.momentum, found.learning_rate) == ("adam", 0.8, 0.5)


def test_before_the_first_step_adam_divides_by_nothing_yet_and_the_rate_is_the_first_epoch_s():
    found = Step.of(trained("adam", 0)[0])
    assert found.divisor is None
    assert found.learning_rate == RATE


def test_sgd_has_a_momentum_and_no_divisor():
    found = Step.of(trained("sgd", 2, momentum=0.7, weight_decay=0.01)[0])
    assert (found.optimizer, found.momentum, found.weight_decay, found.divisor) == ("sgd", 0.7, 0.01, None)


def test_what_is_missing_is_named():
    checkpoint, _ = trained("adam", 1)
    group = state(checkpoint)["param_groups"][0]
    groups = {"param_groups": [group]}
    small = {0: {"step": torch.tensor(1.0), "exp_avg_sq": torch.ones(2)}}
    none = {key: value for key, value in group.items() if key != "betas"}
    for changed, said in (
        ({"resume": None}, r"the optimizer's state is missing .*learning rate, betas and second moments: train again"),
        ({"resume": {}}, r"resume\.optimizer is missing"),
        ({"resume": {"optimizer": {"state": 3, **groups}}}, r"resume\.optimizer\.state is '?3"),
        ({"resume": {"optimizer": {"state": {}, "param_groups": []}}}, r"param_groups is a list, expected a dict"),
        ({"resume": {"optimizer": {"state": {}, "param_groups": [none]}}}, r"param_groups\.betas is missing"),
        ({"resume": {"optimizer": {"state": {0: {}}, **groups}}}, r"Adam's state of .*\.step is missing"),
        ({"resume": {"optimizer": {"state": {1: {}}, **groups}}}, r"Adam's state of .* is '?None"),
        ({"resume": {"optimizer": {"state": small, **groups}}}, r"second moments of .* shape \[2\], expected \["),
        ({"training": {"loss": "tet", "seed": 0}}, r"training\.optimizer is None, expected adam or sgd"),
    ):
        with pytest.raises(CheckpointError, match=said):
            Step.of(replace(checkpoint, **changed))
