from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis import history
from models import checkpoint


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


def test_missing_checkpoint_is_one_line_and_exit_1(tmp_path, capsys):
    assert history.main([str(tmp_path / "none.pt")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
