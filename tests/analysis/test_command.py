"""What every analysis shares: identity columns, provenance, loops over checkpoints, failures as one line."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from analysis import line
from analysis.command import Config, analyse
from analysis.subject import Subject, correct, per_image
from models.checkpoint import load, save
from models.losses import sdt_loss, tet_loss
from tables.files import check_writable
from tables.record import sha256
from tables.result import Result
from tests.commands import ANALYSES

ENDS = {"path": 2}  # the checkpoints that an analysis takes at least, where that is more than one


def measure(subject: Subject, config: Config) -> dict[str, pd.DataFrame]:
    return {"answer": pd.DataFrame({"value": [1.0, 2.0]}), "extra": pd.DataFrame({"other": [3]})}


def test_every_row_names_its_checkpoint(digits_checkpoint, tmp_path):
    paths = (digits_checkpoint("sdt"), digits_checkpoint("tet"))
    table = analyse(Config(paths, quiet=True), measure).to_frame()
    assert list(table) == ["checkpoint", "network", "data", "method", "training", "seed", "value"]
    assert table["checkpoint"].tolist() == [path.as_posix() for path in paths for _ in range(2)]
    assert table["training"].tolist() == ["sdt", "sdt", "tet", "tet"]
    assert set(table["network"]) == {"digits-cnn"}
    assert set(table["data"]) == {"digits"}
    assert set(table["seed"]) == {0}


def test_tables_are_saved_with_their_provenance(digits_checkpoint, tmp_path):
    path = digits_checkpoint("tet")
    analyse(Config((path,), out=tmp_path / "tables", images=17, quiet=True), measure)
    assert sorted(file.name for file in (tmp_path / "tables").iterdir()) == [
        "answer.csv", "answer.json", "extra.csv", "extra.json",
    ]  # fmt: skip
    record = json.loads((tmp_path / "tables/answer.json").read_text())
    assert record["checkpoints"] == {path.as_posix(): sha256(path)}
    assert record["settings"]["images"] == 17
    assert record["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert record["seconds"] >= 0
    assert pd.read_csv(tmp_path / "tables/answer.csv")["value"].tolist() == [1.0, 2.0]


def test_a_checkpoint_that_is_done_is_on_disk_when_the_next_one_fails(digits_checkpoint, tmp_path):
    (tmp_path / "bad.pt").write_text("no checkpoint")
    with pytest.raises(ValueError, match=r"bad\.pt"):
        analyse(Config((digits_checkpoint("tet"), tmp_path / "bad.pt"), out=tmp_path / "tables", quiet=True), measure)
    assert len(pd.read_csv(tmp_path / "tables/answer.csv")) == 2


def test_a_missing_checkpoint_is_noticed_before_the_others_are_measured(digits_checkpoint, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.pt"):
        analyse(Config((digits_checkpoint("tet"), tmp_path / "gone.pt"), out=tmp_path / "tables"), measure)
    assert not (tmp_path / "tables").exists()


def test_batches_are_the_first_images_and_at_most_all(digits_checkpoint):
    subject = Subject.load(digits_checkpoint("tet"), dtype="float64")
    pairs = subject.batches("train", 50, 20)
    assert [len(y) for _, y in pairs] == [20, 20, 10]
    assert pairs[0][0].dtype == torch.float64
    whole, _ = subject.batch("train", 10**6)
    assert len(whole) == subject.count("train") == len(subject.train)
    assert torch.equal(torch.cat([x for x, _ in pairs]), whole[:50])
    with pytest.raises(ValueError, match="at least 1"):
        subject.batches("train", 0, 10)


def test_the_landscape_s_losses_have_no_regulariser_and_one_value_per_image():
    logits, labels = torch.randn(3, 5, 10), torch.arange(5)
    for name, loss in (("sdt", sdt_loss), ("tet", tet_loss)):
        values = per_image(name)(logits, labels)
        assert values.shape == (5,)
        torch.testing.assert_close(values.mean(), loss(logits, labels, mse_weight=0.0))


def test_an_image_is_correct_when_the_mean_output_says_so():
    logits = torch.tensor([[[5.0, 0.0], [0.0, 1.0]], [[0.0, 6.0], [0.0, 1.0]]])  # steps disagree on the first image
    assert correct(logits, torch.tensor([1, 1])).tolist() == [1.0, 1.0]
    assert correct(logits, torch.tensor([0, 0])).tolist() == [0.0, 0.0]


def test_a_result_s_main_table_is_put_in_its_place_last_and_every_record_after_its_table(tmp_path, monkeypatch):
    placed, original = [], Path.replace

    def record(partial: Path, path: Path) -> Path:
        placed.append(path.name)
        return original(partial, path)

    monkeypatch.setattr(Path, "replace", record)
    Result({"main": pd.DataFrame({"m": [1]}), "other": pd.DataFrame({"o": [1]})}, {}).save(tmp_path)
    assert placed == ["other.csv", "other.json", "main.csv", "main.json"]


def test_whether_a_folder_can_be_written_is_known_before_the_work(tmp_path):
    check_writable(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        check_writable(tmp_path / "file" / "folder")


@pytest.mark.parametrize("name", ["main.csv", "other.csv", "other.json"])
def test_a_folder_in_a_table_s_place_is_said_and_no_table_is_written(name, tmp_path):
    (tmp_path / name).mkdir()
    (tmp_path / "main.json").write_text("old")
    result = Result({"main": pd.DataFrame({"m": [1]}), "other": pd.DataFrame({"o": [1]})}, {})
    with pytest.raises(OSError, match=f"{tmp_path / name} is a folder, and a file is to be written there: move it$"):
        result.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {name, "main.json"}
    assert (tmp_path / "main.json").read_text() == "old"


@pytest.mark.parametrize("name", ANALYSES)
class TestBadInputToEveryAnalysis:
    """One line on stderr, status 1, nothing written."""

    def refused(self, name: str, checkpoint: Path | None, capsys, *flags: object) -> str:
        module = importlib.import_module(f"analysis.{name}")
        checkpoints = [] if checkpoint is None else [checkpoint] * ENDS.get(name, 1)
        assert module.main([*map(str, (*checkpoints, *flags)), "--quiet"]) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith(f"python -m analysis.{name}: error: ")
        assert shown.err.count("\n") == 1
        return shown.err

    def test_no_checkpoint(self, name, capsys):
        assert "no checkpoint given" in self.refused(name, None, capsys)

    def test_a_missing_checkpoint(self, name, tmp_path, capsys):
        said = self.refused(name, tmp_path / "gone.pt", capsys, "--out", tmp_path / "out")
        assert "no checkpoint at" in said
        assert not (tmp_path / "out").exists()

    def test_a_foreign_file(self, name, tmp_path, capsys):
        torch.save({"w": torch.ones(2)}, tmp_path / "other.pt")
        assert "not written by this project" in self.refused(name, tmp_path / "other.pt", capsys)

    def test_weights_that_are_not_finite(self, name, digits_checkpoint, tmp_path, capsys):
        checkpoint = load(digits_checkpoint("tet"))
        broken = {
            key: value * float("nan") for key, value in checkpoint.state_dict.items() if value.is_floating_point()
        }
        save(replace(checkpoint, state_dict=checkpoint.state_dict | broken), tmp_path / "nan.pt")
        assert "NaN or infinity" in self.refused(name, tmp_path / "nan.pt", capsys)

    def test_an_out_that_cannot_be_written(self, name, digits_checkpoint, tmp_path, capsys):
        (tmp_path / "file").write_text("")
        self.refused(name, digits_checkpoint("tet"), capsys, "--out", tmp_path / "file" / "out")

    def test_an_unusable_flag_is_status_2(self, name, capsys):
        module = importlib.import_module(f"analysis.{name}")
        assert module.main(["ckpt.pt", "--seed", "mse"]) == 2
        assert capsys.readouterr().err.count("\n") == 1

    def test_a_loss_that_is_not_there_is_named_beside_those_that_are(self, name, digits_checkpoint, capsys):
        if name in ("energy", "history", "stability", "timesteps"):
            pytest.skip("takes every loss there is, or none")
        self.refused(name, digits_checkpoint("tet"), capsys, "--loss", "mse")


def test_the_table_goes_to_stdout_and_remarks_to_stderr(digits_checkpoint, capsys):
    def run(config: Config) -> Result:
        return analyse(config, measure)

    assert line.main(Config, run, [str(digits_checkpoint("tet")), "--images", "20"], "prog") == 0
    shown = capsys.readouterr()
    assert "value" in shown.out
    assert "digits-cnn trained with tet (seed 0) on digits; measured in float32" in shown.err
