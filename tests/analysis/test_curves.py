"""The other ways of giving a network T' steps: BatchNorm taken anew, streams cut anew."""

import numpy as np
import pandas as pd
import pytest
import torch

from analysis import timesteps
from analysis.subject import Subject
from analysis.timesteps import Config, run
from models.losses import LOSSES


def table_of(path, **settings) -> pd.DataFrame:
    return run(Config((path,), quiet=True, **settings)).to_frame()


@pytest.fixture(scope="module")
def events(digits_checkpoint) -> Subject:
    path = digits_checkpoint("tet", data="digit-events", timesteps=2, train_images=60, batch_size=10)
    return Subject.load(path, dtype="float64")


def measured(subject, **settings) -> dict[str, pd.DataFrame]:
    return timesteps.measure(subject, Config((subject.path,), images=50, quiet=True, **settings))


@pytest.fixture(scope="module")
def tables(events) -> dict[str, pd.DataFrame]:
    return measured(events, recut=True, recalibrate=True)


@pytest.fixture(scope="module")
def recut(tables) -> pd.DataFrame:
    return tables["timesteps"]


def assert_gives(row, network, images, labels, steps):
    with torch.no_grad():
        logits = network(images, timesteps=steps)
    assert row["accuracy_cumulative"] == pytest.approx(float((logits.mean(0).argmax(1) == labels).double().mean()))
    assert row["loss_sdt"] == pytest.approx(float(LOSSES["sdt"](logits, labels)), rel=1e-9)
    assert row["loss_tet"] == pytest.approx(float(LOSSES["tet"](logits, labels)), rel=1e-9)
    assert row["loss_at_step"] == pytest.approx(float(LOSSES["sdt"](logits[-1:], labels)), rel=1e-9)


def test_recalibrated_statistics_are_those_of_the_training_images_at_that_many_steps(digits_checkpoint):
    path = digits_checkpoint("tet")
    table = table_of(path, images=200, recalibrate=True, max_timesteps=3, dtype="float64")
    assert table.groupby("statistics", sort=False).size().to_dict() == {"trained": 6, "recalibrated": 6}
    subject = Subject.load(path, dtype="float64")
    norms = [module for module in subject.network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for steps in (1, 3):
        subject.network.train()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = 1.0  # a single batch: torch's own update is then exact
        with torch.no_grad():
            subject.network(subject.batch("train", 200)[0], timesteps=steps)
        subject.network.eval()
        row = table.query(f"statistics == 'recalibrated' and split == 'test' and timesteps == {steps}").iloc[0]
        assert_gives(row, subject.network, *subject.batch("test", 200), steps)


def test_the_network_comes_back_as_it_was(digits_checkpoint):
    path = digits_checkpoint("sdt")
    subject = Subject.load(path)
    before = {name: value.clone() for name, value in subject.network.state_dict().items()}
    timesteps.measure(subject, Config((path,), images=20, max_timesteps=2, recalibrate=True, quiet=True))
    after = subject.network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not subject.network.training


@pytest.mark.slow
def test_streams_are_cut_into_as_many_frames_as_there_are_steps(events, recut):
    assert recut.groupby(["frames", "statistics"], sort=False).size().to_dict() == {
        ("truncated", "trained"): 4,
        ("recut", "trained"): 4,
        ("truncated", "recalibrated"): 4,
        ("recut", "recalibrated"): 4,
    }
    images, labels = events.batch("test", 50)
    row = recut.query("frames == 'recut' and statistics == 'trained' and split == 'test' and timesteps == 1").iloc[0]
    assert_gives(row, events.network, images.sum(0, keepdim=True), labels, 1)  # one frame holds what the two held


def test_cut_into_as_many_frames_as_trained_with_nothing_differs(recut):
    ends = recut[recut["timesteps"] == 2].set_index(["statistics", "split", "frames"])
    numbers = ends[["accuracy_cumulative", "loss_sdt", "loss_tet", "confidence"]]
    for (statistics, split), one in numbers.groupby(level=[0, 1]):
        assert np.allclose(*(one.loc[statistics, split, frames] for frames in ("truncated", "recut"))), split
    early = recut.query("timesteps == 1 and statistics == 'trained' and split == 'test'")
    assert early["loss_sdt"].nunique() == 2


def test_anytime_inference_and_outcomes_are_of_the_network_and_frames_as_trained(events, tables):
    plain = measured(events)
    for name in ("anytime", "outcomes"):
        pd.testing.assert_frame_equal(tables[name], plain[name])
    first = tables["timesteps"].query("frames == 'truncated' and statistics == 'trained'").reset_index(drop=True)
    exact = [name for name in first if "ece" not in name]
    pd.testing.assert_frame_equal(first[exact], plain["timesteps"][exact])


def test_static_images_cannot_be_cut(digits_checkpoint, tmp_path, capsys):
    arguments = [str(digits_checkpoint("tet")), "--recut", "--out", str(tmp_path)]
    assert timesteps.main(arguments) == 1
    error = capsys.readouterr().err
    assert "--recut needs streams of events" in error
    assert "digits, its images are static" in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("*.csv"))
