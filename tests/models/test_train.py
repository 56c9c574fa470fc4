"""Training: what it leaves, what it resumes to, what it refuses."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from analysis.subject import Subject
from models.checkpoint import load, save
from models.data import load as load_data
from models.losses import sdt_loss, tet_loss
from models.train import main, run
from models.training.epoch import evaluate
from models.training.recipe import Config, settings

from ..interrupted import interrupted

SHORT = {"epochs": 3, "train_images": 60, "batch_size": 20, "timesteps": 2, "quiet": True}


def short(out: Path, **changes) -> Config:
    return Config(out=out, **(SHORT | changes))


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load(path).state_dict


def test_a_run_leaves_a_checkpoint_and_a_history_with_a_row_per_epoch(tmp_path):
    checkpoint = run(short(tmp_path, loss="sdt", seed=7))
    assert checkpoint.training["loss"] == "sdt"
    assert checkpoint.training["seed"] == 7
    assert checkpoint.training["epochs_done"] == 3
    assert checkpoint.data == {"name": "digits", "arguments": checkpoint.load_data().arguments}
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["epoch"]) for row in rows] == [1, 2, 3]
    assert set(rows[0]) == set(checkpoint.history)
    assert all(0 <= float(row["test_accuracy"]) <= 1 and float(row["seconds"]) > 0 for row in rows)


@pytest.mark.slow
def test_the_network_learns(tmp_path):
    history = run(short(tmp_path, epochs=15, train_images=200)).history
    assert history["train_loss_tet"][-1] < history["train_loss_tet"][0] / 2
    assert history["test_accuracy"][-1] > 0.7


def test_the_last_row_of_the_history_is_what_the_saved_weights_give(tmp_path):
    checkpoint = run(short(tmp_path))
    data, network = checkpoint.load_data(), load(tmp_path / "ckpt.pt").network()
    images, labels = next(data.test.batches(len(data.test)))
    with torch.no_grad():
        logits = network(images)
    expected = {
        "test_loss_sdt": float(sdt_loss(logits, labels)),
        "test_loss_tet": float(tet_loss(logits, labels)),
        "test_accuracy": float((logits.mean(0).argmax(1) == labels).float().mean()),
    }
    for name, value in expected.items():
        assert checkpoint.history[name][-1] == pytest.approx(value, abs=1e-5)


def test_evaluation_does_not_depend_on_the_split_into_batches(tmp_path):
    checkpoint = run(short(tmp_path, epochs=1))
    data, network = checkpoint.load_data(), checkpoint.network()
    whole, ragged = (evaluate(network, data.test.batches(size)) for size in (len(data.test), 217))
    assert whole == pytest.approx(ragged, abs=1e-6)


def test_the_learning_rate_falls_along_a_cosine(tmp_path):
    found = run(short(tmp_path, epochs=4, learning_rate=0.01)).history["learning_rate"]
    half = 0.01 / 2
    assert found == pytest.approx([0.01, half * (1 + 2**-0.5), half, half * (1 - 2**-0.5)])


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_run_that_was_cut_short_goes_on_to_the_same_weights_bit_for_bit(optimizer, tmp_path):
    run(short(tmp_path / "whole", optimizer=optimizer))
    with interrupted():
        run(short(tmp_path / "cut", optimizer=optimizer))
    assert load(tmp_path / "cut/ckpt.pt").training["epochs_done"] == 1
    run(short(tmp_path / "cut", optimizer=optimizer))
    whole, cut = weights(tmp_path / "whole/ckpt.pt"), weights(tmp_path / "cut/ckpt.pt")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_a_finished_run_is_left_alone(tmp_path, capsys):
    run(short(tmp_path))
    before = (tmp_path / "ckpt.pt").stat().st_mtime_ns
    run(short(tmp_path))
    assert (tmp_path / "ckpt.pt").stat().st_mtime_ns == before
    assert "finished already" in capsys.readouterr().err


def test_a_folder_with_another_run_is_refused_and_told_what_differs(tmp_path):
    run(short(tmp_path))
    changes = r"loss was 'tet', now 'sdt'; method was 'tet', now 'sdt'; mse_weight was 0\.05, now 0\.0"
    with pytest.raises(ValueError, match=rf"other settings \({changes}\)"):
        run(short(tmp_path, loss="sdt"))


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(short(tmp_path / name, epochs=1, seed=seed))
    a, b, c = (weights(tmp_path / name / "ckpt.pt") for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], c[name]) for name in a)


def test_training_leaves_the_global_random_state_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(short(tmp_path, epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_worker_processes_are_for_data_in_files_and_no_part_of_what_defines_a_run(tmp_path, monkeypatch):
    asked = []

    def load_data(name, **arguments):
        asked.append((name, arguments.get("workers")))
        raise FileNotFoundError("no data")

    monkeypatch.setattr("models.training.made.load", load_data)
    for data in ("imagenet", "digits"):
        with pytest.raises(FileNotFoundError):
            run(short(tmp_path, data=data, workers=3))
    assert asked == [("imagenet", 3), ("digits", None)]
    assert "workers" not in settings(short(tmp_path, workers=3))


def test_snapshots_hold_the_weights_along_the_way(tmp_path):
    run(short(tmp_path, snapshots=2))
    names = sorted(path.name for path in (tmp_path / "snapshots").iterdir())
    assert names == ["epoch-0000.pt", "epoch-0002.pt", "epoch-0003.pt"]
    last, final = (weights(tmp_path / name) for name in ("snapshots/epoch-0003.pt", "ckpt.pt"))
    assert all(torch.equal(last[name], final[name]) for name in last)
    assert load(tmp_path / "snapshots/epoch-0000.pt").training["epochs_done"] == 0


def test_tet_trains_with_the_paper_s_regulariser_and_sdt_without(tmp_path):
    assert run(short(tmp_path / "tet", epochs=1)).training["mse_weight"] == 0.05
    assert run(short(tmp_path / "sdt", epochs=1, loss="sdt")).training["mse_weight"] == 0.0
    assert run(short(tmp_path / "zero", epochs=1, mse_weight=0.0)).training["mse_weight"] == 0.0


def test_the_relu_twin_runs_for_one_step(tmp_path):
    checkpoint = run(short(tmp_path, epochs=1, spiking=False))
    assert len(checkpoint.network()(torch.rand(2, 1, 8, 8))) == 1
    assert checkpoint.history["test_loss_sdt"] == pytest.approx(checkpoint.history["test_loss_tet"])


def test_events_train_too(tmp_path):
    checkpoint = run(short(tmp_path, epochs=1, data="digit-events"))
    assert checkpoint.model["arguments"]["in_channels"] == 2


def test_a_loss_that_diverges_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    with pytest.raises(ValueError, match=r"loss is (nan|inf) in epoch 2 .*: lower --learning-rate .*holds epoch 1\)$"):
        run(short(tmp_path, phases="1; 2 learning_rate=1e30", snapshots=1))
    kept = load(tmp_path / "ckpt.pt")
    assert (kept.training["epochs_done"], len(kept.history["epoch"])) == (1, 1)
    good = weights(tmp_path / "snapshots/epoch-0001.pt")
    assert good.keys() == kept.state_dict.keys()
    for name, value in kept.state_dict.items():
        assert torch.equal(good[name], value)
        assert value.isfinite().all()
    assert sorted(path.name for path in (tmp_path / "snapshots").iterdir()) == ["epoch-0000.pt", "epoch-0001.pt"]


def test_a_loss_that_diverges_at_once_leaves_no_checkpoint(tmp_path):
    with pytest.raises(ValueError, match=r"the loss is (nan|inf) in epoch 1 .*: lower --learning-rate .*nothing was"):
        run(short(tmp_path, learning_rate=1e30))
    assert not (tmp_path / "ckpt.pt").exists()


def test_a_method_is_a_label_beside_the_loss_and_changes_no_weights(tmp_path):
    plain, named = run(short(tmp_path / "plain")), run(short(tmp_path / "named", method="tet, mine/1"))
    assert (plain.training["loss"], plain.training["method"]) == ("tet", "tet")
    assert (named.training["loss"], named.training["method"]) == ("tet", "tet, mine/1")
    assert all(torch.equal(plain.state_dict[name], value) for name, value in named.state_dict.items())
    with pytest.raises(ValueError, match=r"other settings \(method was 'tet', now 'other'\)"):
        run(short(tmp_path / "plain", method="other"))


def test_the_method_is_by_default_the_last_phase_s_loss(tmp_path):
    assert run(short(tmp_path, loss="tet", phases="2; 1 loss=sdt")).training["method"] == "sdt"


def test_with_vary_data_each_seed_has_training_images_of_its_own(tmp_path):
    made = {
        (loss, seed): run(short(tmp_path / f"{loss}-{seed}", loss=loss, seed=seed, epochs=1, vary_data=True))
        for loss, seed in (("sdt", 0), ("sdt", 1), ("tet", 1))
    }
    assert {key: one.data["arguments"]["split_seed"] for key, one in made.items()} == {
        ("sdt", 0): 0, ("sdt", 1): 1, ("tet", 1): 1,
    }  # fmt: skip
    images = {key: Subject.load(tmp_path / "-".join(map(str, key)) / "ckpt.pt").batch("train", None) for key in made}
    assert torch.equal(images["sdt", 1][0], images["tet", 1][0])
    expected = load_data("digits", train_images=60, split_seed=1).train.batches(60)
    assert torch.equal(images["sdt", 1][1], next(expected)[1])
    assert not torch.equal(images["sdt", 0][1], images["sdt", 1][1])
    fixed = run(short(tmp_path / "fixed", epochs=1, seed=1, split_seed=4))
    moved = run(short(tmp_path / "moved", epochs=1, seed=1, split_seed=4, vary_data=True))
    assert (fixed.data["arguments"]["split_seed"], moved.data["arguments"]["split_seed"]) == (4, 5)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--method", ""], "--method must be a name of 1 to 200 characters on one line"),
        (["--method", "two\nlines"], "--method must be a name of 1 to 200 characters on one line"),
        (["--method", "x" * 201], "--method must be a name of 1 to 200 characters on one line"),
        (["--vary-data", "--data", "cifar10"], "all that cifar10 has train: give --train-images"),
        (["--vary-data", "--data", "n-mnist"], "all that n-mnist has train: give --train-images"),
        (["--vary-data", "--seed", str(2**63 - 1), "--split-seed", "1"], "split_seed"),
        (["--timesteps", "0"], "timesteps"),
        (["--epochs", "0"], "epochs and batch size must be at least 1"),
        (["--model", "transformer"], "digits-cnn"),
        (["--train-images", "0"], "train_images"),
        (["--train-images", "99999"], "train_images"),
        (["--learning-rate", "-1"], "learning rate must be positive"),
        (["--learning-rate", "inf"], "learning rate must be positive and finite"),
        (["--momentum", "nan"], "momentum must lie in [0, 1.0), got nan"),
        (["--label-smoothing", "2"], "label_smoothing must lie in [0, 1.0), got 2.0"),
        (["--snapshots", "-1"], "snapshots"),
        (["--workers", "-1"], "workers must be at least 0, got -1"),
        (["--evaluate-every", "0"], "--evaluate-every must be at least 1 epoch, got 0"),
        (["--evaluate-every", "2", "--until-loss", "1"], "--until-loss has to know the loss of every epoch: leave"),
        (["--evaluate-train", "0"], "--evaluate-train takes at least one image, got 0"),
        (["--until-loss", "0"], "--until-loss must be positive and finite, got 0.0"),
        (["--until-loss", "nan"], "--until-loss must be positive and finite, got nan"),
        (["--until-loss-of", "sdt"], "--until-loss-of says which loss --until-loss is about"),
        (["--seed", "99999999999999999999"], "seed must fit 64 bits"),
        (["--device", "cuda"], "can't compute on --device cuda"),
        (["--device", "foo"], "can't compute on --device foo"),
        (["--device", "meta"], "can't compute on --device meta"),
        (["--data", "cifar10", "--data-root", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_gives_one_line_and_writes_nothing(argv, said, tmp_path, capsys):
    if "cuda" in argv and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert main(["--out", str(tmp_path / "run"), "--quiet", *argv]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("more", [{"epochs": 1}, {"epochs": 2, "evaluate_every": 2, "weight_decay": 1e10}])
def test_weights_that_diverge_in_the_last_step_of_an_epoch_are_not_saved(more, tmp_path):
    with pytest.raises(ValueError, match="in epoch 1 after the last step"):
        run(short(tmp_path, batch_size=60, optimizer="sgd", learning_rate=1e38, **more))
    assert not (tmp_path / "ckpt.pt").exists()


def test_an_unfinished_checkpoint_without_the_optimizer_s_state_is_not_overwritten(tmp_path):
    checkpoint = run(short(tmp_path))
    save(replace(checkpoint, resume=None, training=checkpoint.training | {"epochs_done": 1}), tmp_path / "ckpt.pt")
    with pytest.raises(ValueError, match="nothing to go on from"):
        run(short(tmp_path))


@pytest.mark.parametrize("damage", [{}, {"optimizer": {}}, {"generator": None}, {"schedule": 3}])
def test_a_damaged_training_state_is_refused(tmp_path, damage):
    checkpoint = run(short(tmp_path))
    states = {**(checkpoint.resume or {}), **damage} if damage else {}
    unfinished = checkpoint.training | {"epochs_done": 1}
    save(replace(checkpoint, resume=states, training=unfinished), tmp_path / "ckpt.pt")
    with pytest.raises(ValueError, match=r"holds a damaged training state .*: choose another --out"):
        run(short(tmp_path))


def test_a_run_killed_between_history_and_checkpoint_mends_its_history(tmp_path, monkeypatch):
    def stop(checkpoint, path):
        if checkpoint.training["epochs_done"] == 2:
            raise KeyboardInterrupt
        save(checkpoint, path)

    with monkeypatch.context() as patch:
        patch.setattr("models.training.run.save", stop)
        with pytest.raises(KeyboardInterrupt):
            run(short(tmp_path))
    run(short(tmp_path))
    with (tmp_path / "history.csv").open() as file:
        assert [float(row["epoch"]) for row in csv.DictReader(file)] == [1, 2, 3]


def test_an_out_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["--out", str(tmp_path / "file" / "run"), "--quiet", "--epochs", "1", "--train-images", "20"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_second_run_in_the_same_folder_is_refused_and_the_first_goes_on(tmp_path, monkeypatch, capsys):
    argv = ["--epochs", "2", "--train-images", "60", "--timesteps", "2", "--quiet", "--out", str(tmp_path / "both")]
    statuses: list[int] = []

    def save_with_another_at_it(checkpoint, path):
        if not statuses:
            statuses.append(main(argv))
        save(checkpoint, path)

    monkeypatch.setattr("models.training.run.save", save_with_another_at_it)
    assert main(argv) == 0
    assert statuses == [1]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("both is being written by another run: wait for that one, or name another --out")
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["ckpt.pt", "history.csv"]
    alone = run(short(tmp_path / "alone", epochs=2, batch_size=50))
    assert all(torch.equal(alone.state_dict[name], value) for name, value in weights(tmp_path / "both/ckpt.pt").items())


def test_a_run_that_cannot_begin_leaves_no_folder(tmp_path, capsys):
    assert main(["--data", "cifar10", "--data-root", str(tmp_path / "nothing"), "--out", str(tmp_path / "run")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_evaluated_now_and_then_the_history_is_blank_between_and_the_weights_are_the_same(tmp_path):
    all_ = run(short(tmp_path / "all", epochs=5))
    few = run(short(tmp_path / "few", epochs=5, evaluate_every=2))
    assert all(torch.equal(few.state_dict[name], value) for name, value in all_.state_dict.items())
    for name in ("train_loss_sdt", "test_loss_tet", "train_accuracy", "test_accuracy"):
        told = [math.nan, all_.history[name][1], math.nan, *all_.history[name][3:]]
        assert few.history[name] == pytest.approx(told, nan_ok=True, abs=0)
    assert [line.count(",,") > 0 for line in (tmp_path / "few/history.csv").read_text().splitlines()[1:]] == [
        True, False, True, False, False,
    ]  # fmt: skip


@pytest.mark.slow
def test_the_training_loss_can_be_of_a_few_images_and_changes_no_weights(tmp_path):
    longer = {"epochs": 15, "train_images": 200}
    few, all_ = run(short(tmp_path / "few", evaluate_train=20, **longer)), run(short(tmp_path / "all", **longer))
    assert all(torch.equal(few.state_dict[name], value) for name, value in all_.state_dict.items())
    images, labels = next(few.load_data().train.batches(20, limit=20))
    with torch.no_grad():
        logits = few.network()(images)
    assert few.history["train_loss_sdt"][-1] == pytest.approx(float(sdt_loss(logits, labels)), abs=1e-6)
    assert abs(few.history["train_loss_sdt"][-1] - all_.history["train_loss_sdt"][-1]) > 1e-3
    assert few.history["test_loss_sdt"] == all_.history["test_loss_sdt"]
