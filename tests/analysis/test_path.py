"""The command analysis.path: values against naive twins, resuming by the pair, and pairs that do not fit."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

from analysis.path import Config, main, run
from analysis.path import command as path
from analysis.subject import Subject, correct, per_image
from models.checkpoint import load, save
from models.networks import build
from tables.result import sha256

IMAGES = 60
SMALL: dict[str, Any] = {"points": 5, "steps": 4, "images": IMAGES, "batch_size": 25, "quiet": True}
IDENTITY = ["checkpoint", "network", "data", "method", "training", "seed"]
IDENTITY += ["other", "other_method", "other_training", "other_seed"]


@pytest.fixture(scope="module")
def ends(digits_checkpoint: Callable[..., Path]) -> tuple[Path, Path]:
    return digits_checkpoint("sdt"), digits_checkpoint("tet")


@pytest.fixture(scope="module")
def tables(ends: tuple[Path, Path]) -> dict[str, pd.DataFrame]:
    return run(Config(ends, **SMALL)).tables


def mixed(ends: tuple[Path, Path], t: float) -> Subject:
    """The network with (1 − t)·A + t·B in every entry of its state dict."""
    one, other = (Subject.load(end) for end in ends)
    states = one.network.state_dict(), other.network.state_dict()
    one.network.load_state_dict(
        {
            name: (1 - t) * value + t * states[1][name] if value.is_floating_point() else value
            for name, value in states[0].items()
        }
    )
    return one


@pytest.mark.slow
def test_one_split_is_measured_alone_and_the_same(ends, tables):
    alone = run(Config(ends, kind="line", split="test", **SMALL)).tables["path"]
    assert set(alone["split"]) == {"test"}
    both = tables["path"].query("split == 'test' and kind == 'line'").reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, both)


def naive(ends: tuple[Path, Path], t: float, split: str, *, recalibrated: bool) -> dict[str, torch.Tensor]:
    """Every image's loss and correctness at one point of the line."""
    subject = mixed(ends, t)
    if recalibrated:
        for norm in (module for module in subject.network.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.reset_running_stats()
            norm.momentum = None
        with torch.no_grad():
            subject.network.train()(subject.batch("train", IMAGES)[0])
    images, labels = subject.batch(split, IMAGES)
    with torch.no_grad():
        logits = subject.network.eval()(images)
    return {name: per_image(name)(logits, labels) for name in ("sdt", "tet")} | {"accuracy": correct(logits, labels)}


@pytest.mark.parametrize("recalibrated", [True, False])
def test_values_on_the_line_are_those_of_mixed_state_dicts(ends, tables, recalibrated):
    chosen = {"recalibrate": recalibrated, "kind": "line"}
    table = tables["path"] if recalibrated else run(Config(ends, **SMALL, **chosen)).tables["path"]
    line = table[table["kind"] == "line"].set_index(["split", "loss", "t"])
    assert set(line["statistics"]) == {"recalibrated" if recalibrated else "interpolated"}
    for split, t in (("train", 0.0), ("test", 0.5), ("test", 1.0)):
        expected = naive(ends, t, split, recalibrated=recalibrated)
        for loss in ("sdt", "tet"):
            row = line.loc[(split, loss, t), :]
            assert row["value"] == pytest.approx(float(expected[loss].mean()), rel=1e-5)
            assert row["stderr"] == pytest.approx(float(expected[loss].std()) / IMAGES**0.5, rel=1e-4)
            assert row["accuracy"] == pytest.approx(float(expected["accuracy"].mean()))


def test_barriers_are_the_largest_excess_of_their_path(tables):
    keys = ["kind", "fitted", "split", "loss"]
    paths = tables["path"].groupby(keys)
    assert len(tables["barrier"]) == len(paths) == 12
    for _, row in tables["barrier"].iterrows():
        points = paths.get_group(tuple(row[keys])).set_index("t")
        chord = np.interp(points.index, [0, 1], points["value"].iloc[[0, -1]])
        np.testing.assert_allclose(points["excess"], points["value"] - chord, atol=1e-12)
        top = points.loc[row["position"]]
        assert row["barrier"] == pytest.approx(points["excess"].max())
        assert row["stderr"] == pytest.approx(top["excess_stderr"])
        assert (row["start"], row["end"]) == (points["value"].loc[0.0], points["value"].loc[1.0])
        fair = np.interp(points.index, [0, 1], points["accuracy"].iloc[[0, -1]])
        assert row["accuracy_drop"] == pytest.approx((fair - points["accuracy"]).max())


def test_both_ends_are_named_in_every_row(ends, tables):
    assert set(tables) == {"path", "barrier", "bezier"}
    for table in tables.values():
        assert list(table)[: len(IDENTITY)] == IDENTITY
        assert set(zip(table["checkpoint"], table["other"], strict=True)) == {tuple(map(str, ends))}
        assert set(zip(table["training"], table["other_training"], strict=True)) == {("sdt", "tet")}


def test_distances_run_from_nothing_to_that_of_the_ends(ends, tables):
    one, other = (load(end).network() for end in ends)
    apart = float((parameters_to_vector(one.parameters()) - parameters_to_vector(other.parameters())).detach().norm())
    table = tables["path"]
    assert (table.loc[table["t"] == 0, "distance"] == 0).all()
    np.testing.assert_allclose(table.loc[table["t"] == 1, "distance"], apart, rtol=1e-5)


def test_a_curve_is_trained_under_each_loss(tables):
    bezier = tables["bezier"]
    assert bezier["fitted"].tolist() == ["sdt", "tet"]
    assert (bezier["curve_loss"] < bezier["line_loss"]).all()
    assert (bezier["stretch"] > 1).all()
    assert bezier["steps"].tolist() == [4, 4]


def test_a_curve_is_trained_on_batches_normalised_by_themselves(ends, tables):
    places, shares = np.polynomial.legendre.leggauss(5)
    expected = 0.0
    for t, share in zip((places + 1) / 2, shares / 2, strict=True):
        subject = mixed(ends, t)
        with torch.no_grad():
            subject.network.train()
            losses = [per_image("tet")(subject.network(x), y) for x, y in subject.batches("train", IMAGES, 25)]
        expected += share * float(torch.cat(losses).mean())
    assert tables["bezier"]["line_loss"].iloc[1] == pytest.approx(expected, rel=1e-4)


def test_a_pair_that_is_done_is_not_measured_again_and_others_are_kept(ends, tmp_path, monkeypatch):
    settings = SMALL | {"kind": "line", "points": 3, "out": tmp_path}
    run(Config(ends, **settings))
    first = pd.read_csv(tmp_path / "path.csv")
    assert run(Config(ends[::-1], **settings)).to_frame().shape[0] == 2 * len(first)

    def refuse(*_: object) -> dict[str, pd.DataFrame]:
        raise AssertionError

    monkeypatch.setattr(path, "measure", refuse)
    table = run(Config((*ends, *ends[::-1]), **settings)).to_frame()
    pd.testing.assert_frame_equal(table[: len(first)], first)
    both = pd.read_csv(tmp_path / "path.csv")
    pd.testing.assert_frame_equal(table, both, check_exact=True)


def test_a_run_that_stopped_ends_as_one_that_did_not(ends, tmp_path, monkeypatch):
    settings, pairs = SMALL | {"kind": "line", "points": 3}, (*ends, *ends[::-1])
    whole = run(Config(pairs, **settings, out=tmp_path / "whole"))
    original = path.measure

    def stops(first: Subject, *rest: Any) -> dict[str, pd.DataFrame]:
        if first.path == ends[1]:
            raise KeyboardInterrupt
        return original(first, *rest)

    stopped = Config(pairs, **settings, out=tmp_path / "stopped")
    monkeypatch.setattr(path, "measure", stops)
    with pytest.raises(KeyboardInterrupt):
        run(stopped)
    monkeypatch.setattr(path, "measure", original)
    run(stopped)
    for name in ("path", "barrier"):
        assert (tmp_path / f"stopped/{name}.csv").read_bytes() == (tmp_path / f"whole/{name}.csv").read_bytes()
    assert list(whole.tables) == ["path", "barrier"]


def test_a_pair_is_measured_again_when_a_checkpoint_has_changed(ends, tmp_path):
    start = tmp_path / "ckpt.pt"
    save(load(ends[0]), start)
    settings = SMALL | {"kind": "line", "points": 3, "out": tmp_path / "tables"}
    before = run(Config((start, ends[1]), **settings)).to_frame()
    checkpoint = load(ends[0])
    halved = {name: value / 2 if "weight" in name else value for name, value in checkpoint.state_dict.items()}
    save(replace(checkpoint, state_dict=halved), start)
    after = run(Config((start, ends[1]), **settings)).to_frame()
    assert len(after) == len(before)
    assert not np.allclose(after["distance"], before["distance"])


def test_pairs_of_an_earlier_version_stay_beside_new_ones(ends, tmp_path, digits_checkpoint):
    settings = {"kind": "line", "points": 3, "images": 20, "out": tmp_path, "quiet": True}
    run(Config(ends, **settings))
    for name in ("path", "barrier"):
        older = pd.read_csv(tmp_path / f"{name}.csv").drop(columns=["method", "other_method"])
        older.to_csv(tmp_path / f"{name}.csv", index=False)
    for name in ("path", "barrier"):
        record = json.loads((tmp_path / f"{name}.json").read_text())
        record["tables"] = {one: sha256(tmp_path / f"{one}.csv") for one in record["tables"]}
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    named = load(ends[1])
    save(replace(named, training=named.training | {"method": "NA"}), tmp_path / "named.pt")
    run(Config((ends[0], tmp_path / "named.pt"), **settings))
    written = pd.read_csv(tmp_path / "path.csv", dtype=str, na_filter=False)
    assert list(written)[: len(IDENTITY)] == IDENTITY
    found = written.groupby("other", sort=False)[["method", "other_method", "other_training"]].agg(set)
    assert found.to_numpy().tolist() == [[{"sdt"}, {"tet"}, {"tet"}], [{"sdt"}, {"NA"}, {"tet"}]]
    again = run(Config((ends[0], tmp_path / "named.pt"), **settings)).to_frame()
    assert set(again["other_method"]) == {"tet", "NA"}


class TestBadInput:
    """One line on stderr, status 1."""

    def refused(self, argv: list[object], capsys: pytest.CaptureFixture[str]) -> str:
        assert main([*map(str, argv), "--quiet", "--images", "20", "--points", "3"]) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("python -m analysis.path: error: ")
        assert shown.err.count("\n") == 1
        return shown.err

    def test_a_number_of_checkpoints_that_makes_no_pairs(self, ends, capsys):
        assert "no checkpoint given" in self.refused([], capsys)
        assert "in pairs, A B or A B C D; got 1" in self.refused(ends[:1], capsys)

    def test_a_missing_checkpoint(self, ends, tmp_path, capsys):
        assert "no checkpoint at" in self.refused([ends[0], tmp_path / "gone.pt"], capsys)

    def test_other_architectures(self, ends, tmp_path, capsys):
        checkpoint = load(ends[1])
        arguments = checkpoint.model["arguments"] | {"timesteps": 2, "decay": 0.25}
        save(replace(checkpoint, model=checkpoint.model | {"arguments": arguments}), tmp_path / "other.pt")
        said = self.refused([ends[0], tmp_path / "other.pt"], capsys)
        assert "no path leads from" in said
        assert "decay is 0.5 and 0.25; timesteps is 4 and 2" in said

    def test_another_network(self, ends, tmp_path, capsys):
        network = build("cnn5", seed=0, image_size=32)
        other = replace(
            load(ends[1]), model={"name": "cnn5", "arguments": network.arguments}, state_dict=dict(network.state_dict())
        )
        save(other, tmp_path / "other.pt")
        assert "network is digits-cnn and cnn5" in self.refused([ends[0], tmp_path / "other.pt"], capsys)

    def test_other_data(self, ends, tmp_path, capsys):
        checkpoint = load(ends[1])
        save(replace(checkpoint, data={"name": "digits", "arguments": {"train_images": 50}}), tmp_path / "other.pt")
        assert "train_images is" in self.refused([ends[0], tmp_path / "other.pt"], capsys)

    def test_memory_that_runs_out(self, ends, monkeypatch, capsys):
        def full(*_: object) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB. And more")

        monkeypatch.setattr(path, "measure", full)
        said = self.refused(list(ends), capsys)
        assert "out of memory on cpu (9 GiB asked for): a smaller --chunk needs less" in said

    def test_the_same_weights(self, ends, tmp_path, capsys):
        save(load(ends[0]), tmp_path / "same.pt")
        assert "hold the same weights" in self.refused([ends[0], tmp_path / "same.pt"], capsys)

    def test_settings_that_go_nowhere(self, ends, capsys):
        assert "goes with --kind line" in self.refused([*ends, "--no-recalibrate"], capsys)
        assert "at least 1 step" in self.refused([*ends, "--kind", "bezier", "--steps", "0"], capsys)
        assert main([*map(str, ends), "--points", "2", "--quiet"]) == 1
        assert "at least 3 points" in capsys.readouterr().err

    def test_tables_made_with_other_settings(self, ends, tmp_path, capsys):
        run(Config(ends, kind="line", points=3, images=20, out=tmp_path, quiet=True))
        said = self.refused([*ends, "--out", tmp_path, "--kind", "line", "--seed", "3"], capsys)
        assert "was made with other settings (seed is 0 and 3 now)" in said
