"""Networks of this project with arguments on the command line, ``--model digits-cnn?channels=24``."""

import pytest

from analysis import history
from analysis.subject import Subject
from models import checkpoint, train
from models.networks import build
from models.training import recipe

SMALL = {
    "data": "digits",
    "loss": "sdt",
    "epochs": 1,
    "train_images": 20,
    "batch_size": 20,
    "timesteps": 2,
    "quiet": True,
}


def test_a_network_s_arguments_are_recorded_and_come_back(tmp_path):
    for model in ("digits-cnn", "digits-cnn?channels=5"):
        train.run(recipe.Config(tmp_path / model, model=model, **SMALL))
    wide, narrow = (checkpoint.load(tmp_path / model / "ckpt.pt") for model in ("digits-cnn", "digits-cnn?channels=5"))
    assert wide.model["name"] == narrow.model["name"] == "digits-cnn"
    assert (wide.model["arguments"]["channels"], narrow.model["arguments"]["channels"]) == (12, 5)
    assert narrow.training["model"] == "digits-cnn?channels=5"
    told = history.run(history.Config(tuple(tmp_path.glob("*/ckpt.pt")), quiet=True)).tables["settings"]
    assert dict(zip(told["checkpoint"].str.contains("[?]"), told["channels"], strict=True)) == {False: 12, True: 5}
    assert not {"num_classes", "in_channels", "model"} & set(told)
    by_hand = build("digits-cnn", seed=0, channels=5, timesteps=2)
    subject = Subject.load(tmp_path / "digits-cnn?channels=5" / "ckpt.pt")
    assert [value.shape for value in subject.network.parameters()] == [value.shape for value in by_hand.parameters()]


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("digits-cnn?chanels=5", "network 'digits-cnn' takes no argument 'chanels'; it takes num_classes, in_channels"),
        ("digits-cnn?channels=many", "the argument channels of network 'digits-cnn'"),
        ("digits-cnn?channels", "arguments are KEY=VALUE, with & between them"),
        ("digits-cnn?timesteps=3", "timesteps is set by the data or a flag of its own: leave it out"),
        ("digits-cnn?num_classes=3", "num_classes is set by the data"),
        ("digit-cnn?channels=5", "no network named 'digit-cnn'"),
    ],
)
def test_what_a_network_does_not_take_is_one_line(model, says, tmp_path, capsys):
    flags = [
        word for key, value in SMALL.items() if key != "quiet" for word in (f"--{key.replace('_', '-')}", str(value))
    ]
    assert train.main([*flags, "--quiet", "--model", model, "--out", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not (tmp_path / "out" / "ckpt.pt").exists()
