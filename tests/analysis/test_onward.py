"""Training on from a checkpoint: each step against the same step made by hand, and that nothing else is touched."""

import math
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import torch

from analysis import momentum
from analysis.momentum.onward import Plan, continued, onward
from analysis.subject import Subject, per_image
from models.checkpoint import CheckpointError, load, save
from models.losses import LOSSES
from models.training.epoch import evaluate
from models.training.nulls import coherence_null

PLAN = {"steps": 6, "rate": None, "batch_size": 40, "beta": 0.9, "images": 100, "seed": 0, "quiet": True}


def tables(subject: Subject, losses=("sdt",), **changes) -> dict[str, pd.DataFrame]:
    return onward(subject, losses, Plan(**(PLAN | changes)))


def drawn(subject: Subject, size: int, count: int, dtype: torch.dtype) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The batches of seed 0: of each new order of the training images the first."""
    generator, (images, labels) = torch.Generator().manual_seed(0), subject.batch("train", None)
    orders = [torch.randperm(len(labels), generator=generator)[:size] for _ in range(count)]
    return [(images[order].to(dtype), labels[order]) for order in orders]


@pytest.fixture(scope="module")
def subject(digits_checkpoint) -> Subject:
    return Subject.load(digits_checkpoint("sdt"), dtype="float64")


@pytest.fixture(scope="module")
def both(subject) -> dict[str, pd.DataFrame]:
    """Six steps with each loss from one checkpoint."""
    return tables(subject, ("sdt", "tet"))


@pytest.mark.slow
def test_steps_are_those_of_the_checkpoints_own_optimizer(subject, both):
    network = subject.checkpoint.network().double()
    weights = list(network.parameters())
    optimizer = torch.optim.Adam(weights, betas=(0.9, 0.999))
    optimizer.load_state_dict(deepcopy((subject.checkpoint.resume or {})["optimizer"]))
    start = torch.cat([weight.detach().flatten() for weight in weights])
    batches = drawn(subject, 40, 6, torch.float64)
    rows = both["momentum_steps"].query("loss == 'tet' and timestep == 0")
    for (images, labels), (_, row), step in zip(batches, rows.iterrows(), range(5), strict=False):
        rate = 1e-2 / 4 * 4 * 0.5 * (1 + math.cos(math.pi * (2 / 3 + step / 18)))
        optimizer.param_groups[0]["lr"] = rate
        average = [optimizer.state[weight]["exp_avg"].clone() for weight in weights]
        before = [weight.detach().clone() for weight in weights]
        network.train()
        optimizer.zero_grad()
        loss = LOSSES["tet"](network(images), labels)
        loss.backward()
        gradient = torch.cat([weight.grad.flatten() for weight in weights])
        held = torch.cat([one.flatten() for one in average])
        optimizer.step()
        buffers = {name: value.clone() for name, value in network.named_buffers()}
        after = float(LOSSES["tet"](network(images), labels).detach())
        network.load_state_dict(buffers, strict=False)
        moved = torch.cat([(old - new.detach()).flatten() for old, new in zip(before, weights, strict=True)])
        assert row["learning_rate"] == pytest.approx(rate)
        assert row["gradient_norm"] == pytest.approx(float(gradient.norm()), rel=1e-8)
        cosine = float(gradient @ held / gradient.norm() / held.norm())
        assert row["cosine_to_momentum"] == pytest.approx(cosine, rel=1e-8)
        assert row["predicted"] == pytest.approx(float(gradient @ moved), rel=1e-8)
        assert row["realised"] == pytest.approx(float(loss.detach()) - after, rel=1e-6, abs=1e-12)
    now = torch.cat([weight.detach().flatten() for weight in weights])
    at = both["switch"].query("loss == 'tet' and split == 'test' and step == 5").iloc[0]
    assert at["distance"] == pytest.approx(float((now - start).norm()), rel=1e-8)
    assert at["relative_distance"] == pytest.approx(float((now - start).norm() / start.norm()), rel=1e-8)
    truth = evaluate(network, subject.batches("test", 100, 250))
    assert at[list(truth)].to_dict() == pytest.approx(truth, rel=1e-8)


def test_both_losses_begin_at_the_same_weights_and_see_the_same_images(subject, both):
    start = both["switch"].query("step == 0").drop(columns="loss").reset_index(drop=True)
    pd.testing.assert_frame_equal(start.iloc[:2], start.iloc[2:].reset_index(drop=True))
    assert (start["distance"] == 0).all()
    alone = tables(subject, ("tet",))["momentum_steps"]
    rows = both["momentum_steps"].query("loss == 'tet'").reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, alone)


def test_steps_of_each_timestep_add_up_to_the_whole(both):
    rows = both["momentum_steps"]
    parts = rows[rows["timestep"] > 0].groupby(["loss", "step"])[["predicted", "share"]].sum()
    whole = rows[rows["timestep"] == 0].set_index(["loss", "step"])
    np.testing.assert_allclose(parts["predicted"], whole["predicted"], rtol=1e-9)
    np.testing.assert_allclose(parts["share"], 1, rtol=1e-9)
    assert rows["kept_null"].tolist() == pytest.approx([coherence_null(0.9, step) for step in rows["step"]])
    assert rows.loc[rows["step"] == 1, "kept"].to_numpy() == pytest.approx(1)
    assert set(rows["state"]) == {"checkpoint"}
    assert rows.loc[rows["timestep"] > 0, ["realised", "momentum_norm"]].isna().all(axis=None)


def test_a_smooth_network_does_what_its_gradient_predicts(digits_checkpoint):
    smooth = Subject.load(digits_checkpoint("tet", surrogate="smooth", width=0.4, epochs=2), dtype="float64")
    rows = tables(smooth, rate=1e-7, steps=3)["momentum_steps"].query("timestep == 0")
    assert (rows["realised"] / rows["predicted"]).to_numpy() == pytest.approx(1, abs=1e-3)


def test_the_network_itself_stays_as_it_is(subject, both):
    trained = subject.checkpoint.network().double().state_dict()
    assert all(torch.equal(trained[name], value) for name, value in subject.network.state_dict().items())
    assert not subject.network.training


@pytest.mark.slow
def test_losses_are_looked_at_21_times_at_most(digits_checkpoint):
    small = Subject.load(digits_checkpoint("tet"))
    found = tables(small, steps=30, batch_size=4)["switch"]
    assert sorted(set(found["step"])) == [round(1.5 * i) for i in range(21)]
    assert set(tables(small, steps=2, batch_size=4)["switch"]["step"]) == {0, 1, 2}


def test_without_a_state_the_optimizer_begins_anew_and_says_so(digits_checkpoint, tmp_path):
    checkpoint = load(digits_checkpoint("tet"))
    known = {name: checkpoint.training[name] for name in ("loss", "seed", "momentum", "batch_size")}
    for name, changes in (
        ("stripped", {"resume": None, "training": known}),
        ("early", {"resume": (checkpoint.resume or {}) | {"optimizer": {"state": {}, "param_groups": []}}}),
    ):
        save(type(checkpoint)(**(vars(checkpoint) | changes)), tmp_path / f"{name}.pt")
        rows = tables(Subject.load(tmp_path / f"{name}.pt"), steps=2)["momentum_steps"]
        assert set(rows["state"]) == {"fresh"}
        assert set(rows["optimizer"]) == {"adam"}
        assert rows.loc[rows["step"] == 1, "cosine_to_momentum"].isna().all()
        assert rows.loc[rows["step"] == 2, "cosine_to_momentum"].notna().all()


def test_sgd_goes_on_with_its_own_momentum(digits_checkpoint):
    sgd = Subject.load(digits_checkpoint("sdt", optimizer="sgd", epochs=2))
    rows = tables(sgd, steps=1)["momentum_steps"]
    checkpoint = sgd.trained("a state")
    buffers = (checkpoint.resume or {})["optimizer"]["state"].values()
    held = torch.cat([each["momentum_buffer"].flatten() for each in buffers])
    ((images, labels),) = drawn(sgd, 40, 1, torch.float32)
    network = checkpoint.network().train()
    gradients = torch.autograd.grad(per_image("sdt")(network(images), labels).mean(), list(network.parameters()))
    gradient = torch.cat([one.flatten() for one in gradients])
    row = rows[rows["timestep"] == 0].iloc[0]
    assert row["momentum_norm"] == pytest.approx(float((0.1 * (0.9 * held + gradient)).norm()), rel=1e-4)
    assert row["optimizer"] == "sgd"


def test_a_state_that_does_not_fit_is_refused(digits_checkpoint):
    checkpoint = load(digits_checkpoint("tet"))
    first = (checkpoint.resume or {})["optimizer"]["state"][0]
    first["exp_avg"] = first["exp_avg"][:1]
    with pytest.raises(CheckpointError, match=r"no momentum that fits stem.conv1.weight"):
        continued(checkpoint, checkpoint.network())


def test_the_command_writes_two_more_tables(digits_checkpoint, tmp_path):
    flags = ["--batches", "1", "--relative-steps", "--steps", "2", "--images", "60", "--loss", "tet", "--quiet"]
    assert momentum.main([str(digits_checkpoint("tet")), *flags, "--out", str(tmp_path)]) == 0
    names = {path.stem: list(pd.read_csv(path).columns)[6:] for path in tmp_path.glob("*.csv")}
    assert set(names) == {"momentum", "momentum_pairs", "momentum_steps", "switch"}
    assert names["momentum_steps"] == [
        *(
            "loss",
            "optimizer",
            "state",
            "step",
            "learning_rate",
            "batch_size",
            "timestep",
            "error_norm",
            "gradient_norm",
            "gain",
        ),
        *("cosine_to_total", "share", "cosine_to_momentum", "kept", "kept_null", "predicted", "realised"),
        "momentum_norm",
    ]
    assert names["switch"] == [
        *("loss", "step", "split", "images", "loss_sdt", "loss_tet", "accuracy", "distance", "relative_distance")
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--steps", "-1"], "steps can't be negative and their rate is positive, got -1 and None"),
        (["--steps", "1", "--step-rate", "0.0"], "steps can't be negative and their rate is positive, got 1 and 0.0"),
        (["--steps", "3", "--step-rate", "1e38"], "lower --step-rate"),
    ],
)
def test_unusable_steps_are_one_line_and_exit_1(digits_checkpoint, tmp_path, capsys, arguments, complaint):
    shared = ["--batches", "1", "--relative-steps", "--images", "60", "--loss", "tet", "--quiet"]
    shared += ["--out", str(tmp_path)]
    assert momentum.main([str(digits_checkpoint("tet")), *shared, *arguments]) == 1
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("*.csv"))
