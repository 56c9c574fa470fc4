from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis import history
from models import checkpoint
from tables.schema import IDENTITY


def test_table_is_the_checkpoints_history_with_its_identity(digits_checkpoint, tmp_path, capsys):
    paths = [digits_checkpoint("sdt"), digits_checkpoint("tet")]
    assert history.main([*map(str, paths), "--out", str(tmp_path), "--quiet"]) == 0
    table = pd.read_csv(tmp_path / "history.csv")
    assert list(table["training"]) == ["sdt"] * 4 + ["tet"] * 4
    for path, rows in table.groupby("checkpoint"):
        for name, values in checkpoint.load(Path(str(path))).history.items():
            assert list(rows[name]) == pytest.approx(values, rel=1e-12)
    assert "learning_rate" in capsys.readouterr().out


def test_table_is_what_training_wrote(digits_checkpoint):
    path = digits_checkpoint("tet")
    found = history.run(history.Config((path,), quiet=True)).to_frame()
    written = pd.read_csv(path.with_name("history.csv"))
    pd.testing.assert_frame_equal(found[written.columns], written, check_dtype=False)


def test_every_row_says_how_the_network_was_trained(digits_checkpoint, tmp_path):
    table = history.run(history.Config((digits_checkpoint("sdt"), digits_checkpoint("tet")), quiet=True)).to_frame()
    assert dict(zip(table["training"], table["mse_weight"], strict=True)) == {"sdt": 0.0, "tet": 0.05}
    found = checkpoint.load(digits_checkpoint("tet"))
    assert set(table["train_images"]) == {len(found.load_data().train)}
    assert set(table["augmented"]) == {0}  # digits have no augmentation
    silent = replace(found, training={n: v for n, v in found.training.items() if n not in ("mse_weight", "augment")})
    checkpoint.save(silent, tmp_path / "ckpt.pt")
    table = history.run(history.Config((tmp_path / "ckpt.pt",), quiet=True)).to_frame()
    assert table["mse_weight"].isna().all()
    assert (table["augmented"] == 0).all()


def settings_of(*paths: Path) -> pd.DataFrame:
    return history.run(history.Config(paths, quiet=True)).tables["settings"]


def test_settings_are_what_the_checkpoint_says_of_training_network_and_data(digits_checkpoint):
    path = digits_checkpoint("tet", train_images=60, weight_decay=1e-3, decay=0.25, timesteps=2, split_seed=3)
    found = checkpoint.load(path)
    (row,) = settings_of(path, digits_checkpoint("sdt")).head(1).to_dict("records")
    usual = [*IDENTITY, *history.SETTINGS]
    assert list(row)[: len(usual)] == usual
    assert {"sharpness_aware", "trt_eta"} & set(list(row)[len(usual) :])  # what else there is to vary
    same = ("optimizer", "momentum", "batch_size", "epochs_done", "label_smoothing", "weight_decay", "mse_weight")
    assert {name: row[name] for name in same} == {name: found.training[name] for name in same}
    assert row["learning_rate"] == found.history["learning_rate"][0] == 1e-2
    assert {name: row[name] for name in ("timesteps", "decay", "surrogate", "spiking")} == {
        "timesteps": 2, "decay": 0.25, "surrogate": "triangle", "spiking": True,
    }  # fmt: skip
    assert (row["train_images"], row["split_seed"], row["augmented"], row["image_size"]) == (60, 3, False, 8)
    assert row["parameters"] == 8974
    assert row["until_loss"] is row["until_loss_reached"] is row["cut"] is None


def test_settings_hold_what_others_wrote_into_their_training(digits_checkpoint, tmp_path):
    found = checkpoint.load(digits_checkpoint("tet"))
    theirs = {"loss": "ce", "method": "sam, ρ = 0.05", "seed": 7, "rho": 0.05, "adaptive": True, "network": "x"}
    checkpoint.save(replace(found, training=theirs, history={}, resume=None), tmp_path / "ckpt.pt")
    (row,) = settings_of(tmp_path / "ckpt.pt").to_dict("records")
    assert {name: row[name] for name in ("rho", "adaptive", "training", "method", "network")} == {
        "rho": 0.05, "adaptive": True, "training": "ce", "method": "sam, ρ = 0.05", "network": "digits-cnn",
    }  # fmt: skip
    assert (row["timesteps"], row["train_images"]) == (4, 200)
    assert row["learning_rate"] is None


def test_settings_of_events_tell_how_they_were_cut(digits_checkpoint):
    path = digits_checkpoint("tet", data="digit-events", timesteps=2, train_images=60, batch_size=10)
    (row,) = settings_of(path).to_dict("records")
    assert (row["cut"], row["binary_frames"], row["timesteps"]) == ("count", False, 2)


def test_settings_come_back_from_the_file_whichever_of_them_are_empty(digits_checkpoint, tmp_path):
    paths = (digits_checkpoint("sdt"), digits_checkpoint("tet", until_loss=0.5, epochs=2))
    assert history.main([*map(str, paths), "--out", str(tmp_path), "--quiet"]) == 0
    table = pd.read_csv(tmp_path / "settings.csv")
    assert table["until_loss"].isna().tolist() == [True, False]
    assert table["until_loss"][1] == 0.5
    assert str(table["until_loss_reached"][1]) == str(checkpoint.load(paths[1]).training["until_loss_reached"])
    assert table["train_images"].tolist() == [200, 200]


def test_missing_checkpoint_is_one_line_and_exit_1(tmp_path, capsys):
    assert history.main([str(tmp_path / "none.pt")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
