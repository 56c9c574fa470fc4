"""The command's axes, splits and statistics, each against its own way of computing them."""

import numpy as np
import pandas as pd
import pytest
import torch

from analysis import surface
from analysis.subject import Subject, correct, per_image
from analysis.surface.planes import axes
from landscape.evaluation import recalibrate
from landscape.objective import Parameters

SMALL = {"images": 20, "draws": 1, "points": 3, "plane_points": 3, "extent": 0.5, "quiet": True, "dtype": "float64"}


@pytest.fixture(scope="module")
def tiny(digits_checkpoint):
    return digits_checkpoint("tet")


def values_at(subject, directions, point, batch, loss):
    """Losses and hits of a moved network, image by image."""
    weights = Parameters(subject.network)
    with weights.restored() as before, torch.no_grad():
        weights.assign(before + sum(c * d for c, d in zip(point, directions, strict=True)))
        logits = subject.network.eval()(batch[0])
        return per_image(loss)(logits, batch[1]).numpy(), correct(logits, batch[1]).numpy()


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("kind", ["random", "gradient", "adam"])
def test_every_kind_of_axes_is_measured_under_both_losses_with_errors(kind, tiny):
    found = surface.run(surface.Config((tiny,), directions=kind, **SMALL)).tables
    table, described = found["surface"], found["surface_axes"]
    assert set(table["directions"]) == set(described["directions"]) == {kind}
    assert not table.duplicated(["loss", "kind", "draw", "alpha", "beta"]).any()
    subject = Subject.load(tiny, dtype="float64")
    batch = subject.batch("train", 20)
    planes = list(axes(kind, subject, [batch], count=2))
    assert table.loc[table["kind"] == "plane", "draw"].nunique() == len(planes)
    for draw, spanned in enumerate(planes):
        assert set(described.loc[(described["kind"] == "plane") & (described["draw"] == draw), "axes_loss"]) == {
            spanned.loss
        }
        for loss in ("sdt", "tet"):
            chosen = table[(table["kind"] == "plane") & (table["draw"] == draw) & (table["loss"] == loss)]
            row = chosen[(chosen["alpha"] == 0.5) & (chosen["beta"] == -0.5)].iloc[0]
            losses, hits = values_at(subject, spanned.directions, (0.5, -0.5), batch, loss)
            assert row["value"] == pytest.approx(losses.mean(), abs=1e-9)
            assert row["stderr"] == pytest.approx(losses.std(ddof=1) / 20**0.5, abs=1e-9)
            assert row["accuracy"] == pytest.approx(hits.mean())
            assert row["accuracy_stderr"] == pytest.approx(hits.std(ddof=1) / 20**0.5)
            assert row["images"] == 20


def test_both_splits_are_the_tables_of_each(tiny):
    tables = {
        split: surface.run(surface.Config((tiny,), split=split, **SMALL)).to_frame()
        for split in ("train", "test", "both")
    }
    for split in ("train", "test"):
        part = tables["both"][tables["both"]["split"] == split].reset_index(drop=True)
        pd.testing.assert_frame_equal(part, tables[split])
    assert not np.allclose(tables["train"]["value"], tables["test"]["value"])


def test_statistics_are_taken_anew_at_every_point_from_training_images(tiny):
    found = surface.run(surface.Config((tiny,), split="test", recalibrate=True, plane_draws=0, **SMALL)).to_frame()
    subject = Subject.load(tiny, dtype="float64")
    (line,) = axes("random", subject, [], count=1)
    weights = Parameters(subject.network)
    weights.assign(weights.vector() + 0.5 * line.directions[0])
    recalibrate(subject.network, [subject.batch("train", 20)])
    losses, _ = values_at(subject, line.directions, (0.0,), subject.batch("test", 20), "tet")
    row = found[(found["alpha"] == 0.5) & (found["loss"] == "tet")].iloc[0]
    assert row["value"] == pytest.approx(losses.mean(), abs=1e-9)


def test_a_trajectory_brings_its_own_range_and_path(digits_checkpoint):
    path = digits_checkpoint("tet", snapshots=1)
    found = surface.run(surface.Config((path,), directions="trajectory", **SMALL | {"extent": 1.0})).tables
    steps = found["surface_path"]
    assert set(steps["kind"]) == {"line", "plane"}
    plane = found["surface"][found["surface"]["kind"] == "plane"]
    assert plane["alpha"].min() < steps["alpha"].min()
    assert steps["alpha"].max() <= plane["alpha"].max()


def test_no_snapshots_is_one_line(tiny, tmp_path, capsys):
    flags = ["--directions", "trajectory", "--out", str(tmp_path / "out"), "--quiet"]
    assert surface.main([str(tiny), *flags]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()
