import numpy as np
import pandas as pd
import pytest
import torch

from analysis import timesteps
from analysis.subject import Subject
from analysis.timesteps import Config, measure, run
from analysis.timesteps.calibration import calibration
from analysis.timesteps.curves import curve
from models.losses import LOSSES
from tables.record import origin

MEASURES = ("accuracy_cumulative", "accuracy_at_step", "loss_sdt", "loss_tet", "loss_at_step")


def table_of(path, **settings) -> pd.DataFrame:
    return run(Config((path,), quiet=True, **settings)).to_frame()


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("split", ["train", "test"])
def test_one_pass_gives_what_running_at_each_number_of_steps_gives(digits_checkpoint, split):
    path = digits_checkpoint("tet")
    table = table_of(path, dtype="float64", images=200, chunk=70)
    subject = Subject.load(path, dtype="float64")
    images, labels = subject.batch(split, 200)
    rows = table[table["split"] == split].set_index("timesteps")
    assert list(rows.index) == list(range(1, 9))
    for steps, row in rows.iterrows():
        with torch.no_grad():
            logits = subject.network(images, timesteps=steps)
        accuracy = (logits.mean(0).argmax(1) == labels).double().mean()
        assert row["accuracy_cumulative"] == pytest.approx(float(accuracy), abs=1e-12)
        for loss in ("sdt", "tet"):
            assert row[f"loss_{loss}"] == pytest.approx(float(LOSSES[loss](logits, labels)), rel=1e-10)
        last = logits[-1:]
        assert row["accuracy_at_step"] == pytest.approx(float((last[0].argmax(1) == labels).double().mean()), abs=1e-12)
        assert row["loss_at_step"] == pytest.approx(float(LOSSES["sdt"](last, labels)), rel=1e-10)


def test_standard_errors_are_those_of_a_mean_over_images(digits_checkpoint):
    path = digits_checkpoint("tet")
    table = table_of(path, dtype="float64", images=90, max_timesteps=3)
    p, n = table["accuracy_cumulative"], table["images"]
    assert np.allclose(table["accuracy_cumulative_stderr"], np.sqrt(p * (1 - p) / (n - 1)), rtol=1e-10)
    subject = Subject.load(path, dtype="float64")
    images, labels = subject.batch("test", 90)
    with torch.no_grad():
        losses = LOSSES["tet"](subject.network(images, timesteps=3), labels, reduction="none")
    assert table["loss_tet_stderr"].iloc[-1] == pytest.approx(float(losses.std()) / 90**0.5, rel=1e-10)


def test_hand_made_logits():
    # Two steps, one image of class 0: right at the first, wrong at the second and on the whole.
    logits = torch.tensor([[[1.0, 0.0]], [[0.0, 4.0]]], dtype=torch.float64)
    found = {name: values[:, 0].tolist() for name, values in curve(logits, torch.tensor([0])).items()}
    step = [np.log1p(np.exp(-1)), np.log1p(np.exp(4))]
    assert found["accuracy_at_step"] == [1, 0]
    assert found["accuracy_cumulative"] == [1, 0]
    assert found["loss_at_step"] == pytest.approx(step)
    assert found["loss_tet"] == pytest.approx([step[0], (step[0] + step[1]) / 2])
    assert found["loss_sdt"] == pytest.approx([step[0], np.log1p(np.exp(1.5))])


def test_all_images_of_both_splits_up_to_twice_the_trained_steps(digits_checkpoint):
    table = table_of(digits_checkpoint("sdt"))
    assert table.groupby("split")["images"].unique().map(list).to_dict() == {"train": [200], "test": [1597]}
    assert (table["trained_timesteps"] == 4).all()
    assert table["timesteps"].max() == 8
    assert {f"{name}_stderr" for name in MEASURES} | set(MEASURES) <= set(table.columns)
    assert (table["loss_sdt"] <= table["loss_tet"] + 1e-6).all()


def test_a_network_without_spikes_has_one_step(digits_checkpoint):
    table = table_of(digits_checkpoint("tet", spiking=False), images=50)
    assert list(table["timesteps"]) == [1, 1]


def test_events_end_where_the_stream_ends(digits_checkpoint):
    path = digits_checkpoint("tet", data="digit-events", timesteps=2, train_images=60, batch_size=10)
    subject = Subject.load(path)
    assert measure(subject, Config((path,), images=20))["timesteps"]["timesteps"].max() == 2
    with pytest.raises(ValueError, match="between 1 and the 2 steps of the events, got 4"):
        measure(subject, Config((path,), max_timesteps=4))


def test_fewer_than_one_step_is_one_line_and_exit_1(digits_checkpoint, tmp_path, capsys):
    arguments = [str(digits_checkpoint("tet")), "--max-timesteps", "0", "--out", str(tmp_path / "out")]
    assert timesteps.main(arguments) == 1
    error = capsys.readouterr().err
    assert "--max-timesteps must be at least 1, got 0" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "timesteps.csv").exists()


def test_agreement_and_calibration_are_of_the_mean_output(digits_checkpoint):
    path = digits_checkpoint("sdt")
    table = table_of(path, images=150, max_timesteps=3, bins=10, dtype="float64")
    rows = table[table["split"] == "test"].set_index("timesteps")
    subject = Subject.load(path, dtype="float64")
    images, labels = subject.batch("test", 150)
    with torch.no_grad():
        logits = subject.network(images, timesteps=3)
    means = torch.stack([logits[:steps].mean(0) for steps in (1, 2, 3)])
    classes = means.argmax(2)
    for steps in (1, 2, 3):
        row = rows.loc[steps]
        assert row["agreement_cumulative"] == pytest.approx(float((classes[steps - 1] == classes[2]).double().mean()))
        alone = logits[steps - 1].argmax(1)
        assert row["agreement_at_step"] == pytest.approx(float((alone == classes[2]).double().mean()))
        sure = means[steps - 1].softmax(1).amax(1).numpy()
        right = (classes[steps - 1] == labels).numpy()
        assert row["confidence"] == pytest.approx(sure.mean())
        one = calibration(sure, right, generator=np.random.default_rng(5), bins=10)
        assert row["ece"] == pytest.approx(one.ece)
        assert row["ece_null"] == pytest.approx(one.null, rel=0.2)
        assert row["ece_stderr"] == pytest.approx(one.stderr, rel=0.3)
    assert rows["settling"].sum() == pytest.approx(1)
    assert (rows["bins"] == 10).all()


def test_anytime_inference_runs_from_one_step_to_all(digits_checkpoint, tmp_path):
    path = digits_checkpoint("tet")
    arguments = [str(path), "--max-timesteps", "4", "--thresholds", "1", "0", "0.9", "--out", str(tmp_path), "--quiet"]
    assert timesteps.main(arguments) == 0
    fixed, stops = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("timesteps", "anytime"))
    for split in ("train", "test"):
        steps = fixed[fixed["split"] == split].set_index("timesteps")["accuracy_cumulative"]
        rows = stops[stops["split"] == split]
        assert rows["threshold"].tolist() == [0, 0.9, 1]
        assert rows["mean_steps"].tolist() == sorted(rows["mean_steps"])
        assert rows["accuracy"].iloc[[0, -1]].tolist() == pytest.approx([steps[1], steps[4]])
        assert (rows["limit"] == 4).all()


def test_every_image_s_outcome_is_what_the_network_says_of_it_at_the_trained_steps(digits_checkpoint, tmp_path):
    path = digits_checkpoint("tet")
    assert timesteps.main([str(path), "--images", "70", "--chunk", "30", "--quiet", "--out", str(tmp_path)]) == 0
    means, found = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("timesteps", "outcomes"))
    assert origin(tmp_path / "outcomes.csv")["tables"].keys() >= {"timesteps", "outcomes"}
    assert found.groupby("split")["image"].apply(list).to_dict() == {
        split: list(range(70)) for split in ("train", "test")
    }
    subject = Subject.load(path)
    for split, rows in found.groupby("split"):
        images, labels = subject.batch(str(split), 70)
        with torch.no_grad():
            logits = subject.network(images)
        assert rows["image"].tolist() == list(range(70))
        assert rows["correct"].tolist() == (logits.mean(0).argmax(1) == labels).int().tolist()
        mean = means[(means["split"] == split) & (means["timesteps"] == 4)].iloc[0]
        assert rows["correct"].mean() == pytest.approx(mean["accuracy_cumulative"], rel=1e-12)
        for loss in ("loss_sdt", "loss_tet"):
            expected = LOSSES[loss[5:]](logits, labels, reduction="none").numpy()
            np.testing.assert_allclose(rows[loss], expected, rtol=2e-5, atol=1e-7)
            assert rows[loss].mean() == pytest.approx(mean[loss], rel=5e-6)
            assert rows[loss].map(lambda value: float(f"{value:.6g}") == value).all()


def test_fewer_steps_than_trained_with_leave_no_outcomes(digits_checkpoint):
    path = digits_checkpoint("tet")
    assert set(run(Config((path,), quiet=True, images=20, max_timesteps=3)).tables) == {"timesteps", "anytime"}


def test_a_threshold_that_is_no_probability_is_one_line_and_exit_1(digits_checkpoint, capsys):
    assert timesteps.main([str(digits_checkpoint("tet")), "--thresholds", "2"]) == 1
    error = capsys.readouterr().err
    assert "--thresholds takes probabilities between 0 and 1" in error
    assert error.count("\n") == 1
