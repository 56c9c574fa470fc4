"""Networks, data and losses of the user's own train as ours do; what doesn't go together is one line."""

import csv
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from models import data
from models.checkpoint import load
from models.train import main, run
from models.training.recipe import Config
from tests.own_file import own_file

from ..interrupted import interrupted

MINE = '''
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset, TensorDataset

def plain(width=8, classes=3):
    hidden = nn.Linear(5, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.1)
    return nn.Sequential(*hidden, nn.Linear(width, classes))

class Steps(nn.Module):
    """Shows x for three steps, or goes along frames."""
    def __init__(self, classes=3):
        super().__init__()
        self.head = nn.Linear(5, classes)
    def forward(self, x):
        frames = x if x.ndim == 3 else x.expand(3, *x.shape)
        return torch.stack([self.head(frame) * (t + 1) for t, frame in enumerate(frames)])

def regression():
    return nn.Linear(5, 2)

def labels(seed=0, count=60, classes=3):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(count + 30, 5, generator=g)
    y = x[:, :classes].argmax(1)
    return TensorDataset(x[:count], y[:count]), TensorDataset(x[count:], y[count:])

def values():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(90, 5, generator=g)
    y = torch.stack([x.sum(1), x[:, 0]], 1)
    return TensorDataset(x[:60], y[:60]), TensorDataset(x[60:], y[60:])

class Noisy(Dataset):
    def __init__(self, of): self.of = of
    def __len__(self): return len(self.of)
    def __getitem__(self, i): return self.of[i][0] + 0.1 * torch.randn(5), int(self.of[i][1])

def noisy():
    train, test = labels()
    return Noisy(train), test

def timed():
    train, test = labels()
    return [TensorDataset(x[:, None].expand(-1, 2, -1).contiguous(), y) for x, y in (train.tensors, test.tensors)]

def square(output, target, factor=1.0):
    return factor * (output - target).square().mean(1)

def scalar(output, target):
    return F.mse_loss(output, target)

def smoothed(output, target):
    return F.cross_entropy(output, target, reduction="none", label_smoothing=0.1)

def nothing():
    return TensorDataset(torch.zeros(0, 5), torch.zeros(0)), TensorDataset(torch.zeros(1, 5), torch.zeros(1))

def ragged():
    return [(torch.zeros(5), 0), (torch.zeros(4), 0)], [(torch.zeros(5), 0)]

def pictures():
    from PIL import Image
    return [(Image.new("L", (8, 8)), 0)], [(Image.new("L", (8, 8)), 0)]

def no_module():
    return "a network"

def no_weights():
    return nn.ReLU()

def fails():
    class Net(nn.Linear):
        def forward(self, x):
            return self.weight @ x
    return Net(5, 3)
'''
SHORT = ["--epochs", "2", "--batch-size", "20", "--quiet"]


mine = own_file("mine.py", MINE)


def trained(*argv):
    assert main([*SHORT, "--out", "run", *argv]) == 0
    return load(Path("run/ckpt.pt"))


def rows():
    with Path("run/history.csv").open() as file:
        return list(csv.DictReader(file))


OWN = ["--model", "mine.py:plain?width=6", "--data", "mine.py:labels"]


def test_a_network_without_time_trains_with_ce_and_is_read_back_with_its_code():
    made = trained(*OWN, "--loss", "ce", "--method", "mine")
    assert made.model["name"] == "mine.py:plain"
    assert made.model["arguments"] == {"width": 6}
    assert made.data["name"] == "mine.py:labels"
    assert (made.training["loss"], made.training["method"]) == ("ce", "mine")
    assert "timesteps" not in made.training
    assert len(made.training["code"].split()[1]) == 16
    for row in rows():
        assert row["train_loss_sdt"] == row["test_loss_tet"] == ""
        assert 0 <= float(row["test_accuracy"]) <= 1
        assert float(row["train_loss"]) > 0
    network, found = made.network(code=["mine.py"]), made.load_data(code=["mine.py"])
    x, y = next(found.test.batches(30))
    with torch.no_grad():
        accuracy = float((network(x).argmax(1) == y).float().mean())
        loss = float(torch.nn.functional.cross_entropy(network(x), y))
    assert float(rows()[-1]["test_accuracy"]) == pytest.approx(accuracy)
    assert float(rows()[-1]["test_loss"]) == pytest.approx(loss, rel=1e-5)


def test_the_run_is_the_textbook_s_loop_bit_for_bit():
    made = trained(*OWN, "--loss", "mine.py:smoothed", "--seed", "3")
    sys.path.insert(0, str(Path.cwd()))
    theirs: dict[str, Any] = {}
    exec(MINE, theirs)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = theirs["plain"](width=6)
    network[3].p = 0.0
    train, _ = theirs["labels"]()
    order = data.splits.stratified_order(train.tensors[1], seed=0)
    x, y = train.tensors[0][order], train.tensors[1][order]
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 2)
    generator = torch.Generator().manual_seed(3)
    for _ in range(2):
        for chosen in torch.randperm(60, generator=generator).split(20):
            optimizer.zero_grad()
            theirs["smoothed"](network(x[chosen]), y[chosen]).mean().backward()
            optimizer.step()
        schedule.step()
    changed = [name for name, value in network.state_dict().items() if not torch.equal(made.state_dict[name], value)]
    assert changed  # with dropout
    Path("mine.py").write_text(MINE.replace("Dropout(0.1)", "Dropout(0.0)"))
    made = trained(*OWN, "--loss", "mine.py:smoothed", "--seed", "3", "--out", "other")
    made = load(Path("other/ckpt.pt"))
    for name, value in network.state_dict().items():
        torch.testing.assert_close(made.state_dict[name], value, rtol=1e-6, atol=1e-7)


def test_outputs_at_every_step_have_sdt_s_and_tet_s_loss_too():
    made = trained("--model", "mine.py:Steps", "--data", "mine.py:labels", "--loss", "tet")
    assert made.training["mse_weight"] == 0.05
    assert all(float(row["train_loss_sdt"]) <= float(row["train_loss_tet"]) for row in rows())
    assert "train_loss" not in made.history


def test_frames_are_time_first_where_an_example_says_so():
    trained("--model", "mine.py:Steps", "--data", "mine.py:timed", "--loss", "sdt", "--frames", "True")
    x, _ = next(load(Path("run/ckpt.pt")).load_data(code=["mine.py"]).train.batches(7))
    assert x.shape == (2, 7, 5)


def test_a_regression_trains_without_accuracy():
    made = trained("--model", "mine.py:regression", "--data", "mine.py:values", "--loss", "mine.py:square?factor=2.0")
    assert made.training["method"] == "mine.py:square?factor=2.0"
    assert all(row["test_accuracy"] == "" for row in rows())
    network, (x, y) = made.network(code=["mine.py"]), next(made.load_data(code=["mine.py"]).train.batches(60))
    with torch.no_grad():
        expected = 2 * float((network(x) - y).square().mean())
    assert float(rows()[-1]["train_loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(rows()[-1]["train_loss"]) < float(rows()[0]["train_loss"])


@pytest.mark.parametrize("more", [{}, {"sharpness_aware": 0.05}, {"workers": 1}])
def test_a_run_that_was_cut_short_goes_on_to_the_same_weights_also_with_augmentation(more):
    mine = {"model": "mine.py:plain", "data": "mine.py:noisy", "loss": "ce", "epochs": 2, "quiet": True} | more
    torch.manual_seed(1)
    run(Config(out=Path("whole"), **mine))
    with interrupted():
        run(Config(out=Path("cut"), **mine))
    torch.manual_seed(2)
    expected = torch.rand(3)
    torch.manual_seed(2)
    run(Config(out=Path("cut"), **mine))
    assert torch.equal(torch.rand(3), expected)
    whole, cut = (load(Path(name) / "ckpt.pt").state_dict for name in ("whole", "cut"))
    assert all(torch.equal(cut[name], value) for name, value in whole.items())


def test_the_run_lies_where_it_was_asked_for_wherever_the_user_s_code_goes():
    here = Path.cwd()
    moving = "\n\ndef moving():\n    import os\n    os.mkdir('there')\n    os.chdir('there')\n    return labels()\n"
    Path("mine.py").write_text(MINE + moving)
    try:
        asked = ["--model", "mine.py:plain", "--data", "mine.py:moving", "--loss", "ce", "--out", "runs/m"]
        assert main([*SHORT, *asked]) == 0
    finally:
        os.chdir(here)
    assert load(Path("runs/m/ckpt.pt")).training["epochs_done"] == 2
    assert not any(Path("there").iterdir())


def test_code_that_changed_is_another_run(capsys):
    trained(*OWN, "--loss", "ce")
    Path("mine.py").write_text(MINE + "# changed\n")
    assert main([*SHORT, "--out", "run", *OWN, "--loss", "ce"]) == 1
    assert "code was 'mine.py" in capsys.readouterr().err


def test_until_loss_is_about_the_loss_trained_with():
    made = trained(*OWN, "--loss", "ce", "--until-loss", "100")
    assert made.training["until_loss_of"] is None
    assert made.training["until_loss_reached"] is True


# --- files


def digits(**more):
    images, labels = load_digits(return_X_y=True)
    x, y = images.reshape(-1, 1, 8, 8).astype(np.uint8)[:100], labels[:100]
    np.savez("mine.npz", x=x, y=y, **more)
    return x, y


def test_arrays_train_this_project_s_networks_by_a_split_that_is_said(capsys):
    digits()
    argv = ["--model", "digits-cnn", "--data", "mine.npz", "--timesteps", "2", "--epochs", "1", "--out", "run"]
    assert main(argv) == 0
    assert "data: mine.npz, 80 examples for training and 20 for testing (20% of all, drawn" in capsys.readouterr().err
    made = load(Path("run/ckpt.pt"))
    assert made.data["name"] == "mine.npz"
    found = made.load_data()
    x, _ = next(found.train.batches(80))
    assert x.mean().abs() < 1e-5
    assert x.std(correction=0) == pytest.approx(1, abs=1e-5)
    assert sorted(torch.bincount(found.test.labels, minlength=10).tolist())[0] >= 1
    Path("elsewhere").mkdir()
    Path("mine.npz").rename("elsewhere/mine.npz")
    with pytest.raises(FileNotFoundError, match=r"give the folder that holds mine.npz as --data-root"):
        made.load_data()
    assert len(made.load_data(root="elsewhere").train) == 80
    digits(x_test=np.zeros((1, 1, 8, 8)), y_test=np.zeros(1, int))
    with pytest.raises(ValueError, match="is not the file that the checkpoint was made with"):
        made.load_data()


def test_arrays_with_a_test_part_stay_as_they_are_but_for_their_order():
    x = np.arange(40, dtype=np.float32).reshape(20, 2)
    np.savez("mine.npz", x=x, y=np.arange(20) % 2, x_test=x[:4], y_test=np.zeros(4, int))
    found = data.load("mine.npz", split_seed=1, train_images=10)
    got, labels = next(found.train.batches(10))
    assert labels.bincount().tolist() == [5, 5]
    assert all(int(row[0] / 2) % 2 == label for row, label in zip(got, labels, strict=True))
    assert len(found.test) == 4


def test_folders_of_images_are_data_under_their_own_name():
    for part, count in (("train", 4), ("test", 2)):
        for number, name in enumerate("ab"):
            (Path("shapes") / part / name).mkdir(parents=True)
            for index in range(count):
                Image.new("RGB", (12, 10), (100 * number, 0, index)).save(f"shapes/{part}/{name}/{index}.png")
    argv = ["--model", "digits-cnn", "--timesteps", "2", "--image-size", "8", "--data", "shapes", "--loss", "sdt"]
    made = trained(*argv)
    assert made.data["name"] == "shapes"
    found = made.load_data()
    assert (len(found.train), len(found.test), found.num_classes, found.image_size) == (8, 4, 2, 8)
    assert next(found.train.batches(3))[0].shape == (3, 3, 8, 8)


# --- what doesn't go together


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--model", "gone.py:Net"], "no file gone.py"),
        (["--model", "mine.py:Net"], "there is no Net in mine.py; there is plain, Steps"),
        (["--model", "mine.py:no_module"], "mine.py:no_module returns a str, expected a torch.nn.Module"),
        (["--model", "mine.py:no_weights"], "returns a ReLU without weights to train"),
        (["--model", "mine.py:fails"], "in forward: return self.weight @ x: RuntimeError"),
        (["--model", "digits-cnn"], "which mine.py:labels has not: give a network of your own"),
        (["--timesteps", "3"], "--model 'mine.py:plain?timesteps=3'"),
        (["--no-spiking"], "--spiking is for this project's networks"),
        (["--loss", "sdt"], "--loss sdt takes outputs [time, batch, class], and mine.py:plain gives [20, 3]"),
        (["--loss", "sdt"], "write --loss ce"),
        (["--model", "mine.py:Steps"], "--loss ce takes outputs [batch, class], and mine.py:Steps gives [3, 20, 3]"),
        (["--model", "mine.py:regression", "--data", "mine.py:values"], "--loss ce takes class labels, and got y of"),
        (["--data", "mine.py:labels?classes=5"], "labels run from 0 to 4, and mine.py:plain has 3 outputs"),
        (["--data", "mine.py:nothing"], "the training examples of mine.py:nothing are none"),
        (["--data", "mine.py:ragged"], "number 1 has x and y of shapes ((4,), ()), number 0 ((5,), ())"),
        (["--data", "mine.py:pictures"], "number 0 is (Image, int), expected tensors"),
        (["--data", "mine.py:plain"], "returns a Sequential, expected two Datasets: write return train, test"),
        (["--data", "nowhere"], "there is no data set 'nowhere'; there are digits"),
        (["--data", "gone.npz"], "no data at gone.npz"),
        (["--train-images", "61"], "train_images must lie between 1 and 60"),
        (["--record-momentum"], "--record-momentum is about outputs [time, batch, class]"),
        (["--until-loss", "1", "--until-loss-of", "sdt"], "--until-loss-of is about outputs [time, batch, class]"),
        (["--dry-run"], "--dry-run knows this project's networks and data"),
        (["--phases", "1 timesteps=2; 1"], "its --phases can't differ in timesteps"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(argv, said, capsys):
    given = ["--model", "mine.py:plain", "--data", "mine.py:labels", "--loss", "ce"]
    assert main([*SHORT, "--out", "run", *given, *argv]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not Path("run").exists()


def test_a_loss_of_the_wrong_shape_is_told_what_to_write(capsys):
    argv = ["--model", "mine.py:regression", "--data", "mine.py:values", "--loss", "mine.py:scalar"]
    assert main([*SHORT, "--out", "run", *argv]) == 1
    error = capsys.readouterr().err
    assert "--loss mine.py:scalar gives [] for 20 examples, expected one value an example, [20]" in error
    assert "write return value.flatten(1).mean(1)" in error


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"x": np.zeros((3, 2))}, "holds x, expected x and y"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(2)}, "holds 3 x and 2 y, expected as many"),
        ({"x": np.zeros((0, 2)), "y": np.zeros(0)}, "is empty"),
        ({"x": np.array(["a"]), "y": np.zeros(1)}, "can't be read as arrays of numbers"),
        ({"x": np.array([None]), "y": np.zeros(1)}, "can't be read as arrays of numbers"),
    ],
)
def test_arrays_that_are_no_examples_are_one_line(content, said):
    np.savez("mine.npz", **content)
    with pytest.raises(ValueError, match=said):
        data.load("mine.npz")


def test_data_of_the_user_s_own_needs_a_network(capsys):
    assert main(["--out", "run", "--data", "mine.py:labels"]) == 1
    assert "--data mine.py:labels needs --model" in capsys.readouterr().err


def test_a_data_object_is_taken_as_it_is():
    Path("more.py").write_text(
        "from models.data import load\ndef data():\n    return load('digits', train_images=40)\n"
    )
    made = run(Config(out=Path("run"), model="digits-cnn", data="more.py:data", epochs=1, timesteps=2, quiet=True))
    assert made.data["name"] == "more.py:data"
    assert len(made.load_data(code=["more.py"]).train) == 40
