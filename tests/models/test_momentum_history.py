"""What momentum keeps in the course of training: the table, and that recording it changes nothing."""

import csv
from pathlib import Path

import pandas as pd
import pytest
import torch

from analysis import history
from models.checkpoint import load
from models.train import main, run
from models.training.momentum import COLUMNS, NAME, MomentumHistory, first_moment
from models.training.nulls import epoch_nulls
from models.training.recipe import Config

from ..interrupted import interrupted

SHORT = {"epochs": 3, "train_images": 60, "batch_size": 20, "timesteps": 2, "quiet": True, "record_momentum": True}


def short(out: Path, **changes) -> Config:
    return Config(out=out, **(SHORT | changes))


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load(path).state_dict


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """The folder of a run of three epochs of three steps."""
    folder = tmp_path_factory.mktemp("recorded")
    run(short(folder))
    return folder


def test_every_epoch_has_a_row_a_timestep_and_one_of_the_whole(recorded):
    table = pd.read_csv(recorded / NAME)
    assert list(table.columns) == list(COLUMNS)
    assert table[["epoch", "timestep"]].to_numpy().tolist() == [[e, t] for e in (1, 2, 3) for t in (1, 2, 0)]
    assert set(table["loss"]) == {"tet"}
    assert set(table["images"]) == {2}
    shares = table[table["timestep"] > 0].groupby("epoch")["share"].sum()
    assert shares.to_numpy() == pytest.approx(1, abs=1e-5)
    whole = table[table["timestep"] == 0]
    assert set(whole["steps"]) == {3}
    low, high = epoch_nulls(0.9, (20, 20, 20))
    assert whole["kept_null_low"].to_numpy() == pytest.approx(low)
    assert whole["kept_null"].to_numpy() == pytest.approx(high)
    assert whole["kept"].between(0, 1).all()
    assert table.loc[table["timestep"] > 0, ["momentum_norm", "kept", "steps", "kept_null_low"]].isna().all(axis=None)


def test_the_last_row_is_that_of_the_saved_weights_and_optimizer(recorded):
    checkpoint = load(recorded / "ckpt.pt")
    network = checkpoint.network().train()
    images, labels = next(checkpoint.load_data().train.batches(2, limit=2))
    logits = network(images)
    entropy = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.repeat(2))
    objective = 0.95 * entropy + 0.05 * (logits - 1).square().mean()
    gradient = torch.cat([part.flatten() for part in torch.autograd.grad(objective, list(network.parameters()))])
    moments = (checkpoint.resume or {})["optimizer"]["state"].values()
    momentum = torch.cat([each["exp_avg"].flatten() / (1 - 0.9 ** float(each["step"])) for each in moments])
    last = pd.read_csv(recorded / NAME).iloc[-1]
    cosine = gradient @ momentum / gradient.norm() / momentum.norm()
    found = last[["gradient_norm", "momentum_norm", "cosine_to_momentum"]].astype(float).to_numpy()
    assert found == pytest.approx([float(gradient.norm()), float(momentum.norm()), float(cosine)], rel=1e-4)


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_recording_changes_no_weight_and_no_state_and_resumes_bit_for_bit(optimizer, tmp_path):
    run(short(tmp_path / "plain", optimizer=optimizer, record_momentum=False))
    run(short(tmp_path / "whole", optimizer=optimizer))
    with interrupted():
        run(short(tmp_path / "cut", optimizer=optimizer))
    run(short(tmp_path / "cut", optimizer=optimizer))
    plain, whole, cut = (load(tmp_path / name / "ckpt.pt") for name in ("plain", "whole", "cut"))
    for other in (whole, cut):
        assert all(torch.equal(plain.state_dict[name], other.state_dict[name]) for name in plain.state_dict)
        assert torch.equal(*((one.resume or {})["generator"] for one in (plain, other)))
        assert other.training == plain.training
    assert (tmp_path / "whole" / NAME).read_bytes() == (tmp_path / "cut" / NAME).read_bytes()
    assert not (tmp_path / "plain" / NAME).exists()


def test_an_averaged_gradient_is_the_momentum_of_either_optimizer():
    gradients = [torch.tensor([1.0, -2.0]), torch.tensor([3.0, 0.5]), torch.tensor([0.0, 1.0])]
    weight = torch.nn.Parameter(torch.zeros(2))
    for optimizer, scale in (
        (torch.optim.Adam([weight], betas=(0.8, 0.9)), 1 - 0.8**3),
        (torch.optim.SGD([weight], lr=0.1, momentum=0.8), 1.0),
    ):
        assert first_moment(optimizer) is None
        for gradient in gradients:
            weight.grad = gradient.clone()
            optimizer.step()
        average = 0.2 * (0.64 * gradients[0] + 0.8 * gradients[1] + gradients[2])
        assert torch.allclose(first_moment(optimizer), average / scale)
    assert first_moment(torch.optim.SGD([weight], lr=0.1)) is None


def test_the_table_becomes_one_of_the_analysis(recorded, tmp_path):
    assert history.main([str(recorded / "ckpt.pt"), "--out", str(tmp_path), "--quiet"]) == 0
    table = pd.read_csv(tmp_path / "momentum_history.csv")
    assert list(table.columns) == ["checkpoint", "network", "data", "method", "training", "seed", *COLUMNS]
    pd.testing.assert_frame_equal(table[list(COLUMNS)], pd.read_csv(recorded / NAME))


def test_a_table_from_before_the_lower_null_goes_on(recorded, tmp_path):
    run(short(tmp_path, epochs=1))
    checkpoint, table = load(tmp_path / "ckpt.pt"), pd.read_csv(tmp_path / NAME)
    table.drop(columns="kept_null_low").to_csv(tmp_path / NAME, index=False)
    assert history.main([str(tmp_path / "ckpt.pt"), "--out", str(tmp_path / "tables"), "--quiet"]) == 0
    read = pd.read_csv(tmp_path / "tables" / NAME)
    assert read["kept_null_low"].isna().all()
    split = checkpoint.load_data().train
    MomentumHistory(checkpoint.network(), split, beta=0.9, batch_size=20, path=tmp_path / NAME, done=1).save()
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / NAME), table.assign(kept_null_low=float("nan")))


@pytest.mark.parametrize("damage", ["header", "cut", "word"])
def test_a_damaged_table_is_one_line_and_exit_1(damage, recorded, tmp_path, capsys):
    run(short(tmp_path, epochs=1))
    lines = (recorded / NAME).read_text().splitlines()
    if damage == "header":
        lines[0] = "a,b"
    elif damage == "cut":
        lines[-1] = lines[-1][:7]
    else:
        lines[-1] = "x" + lines[-1]
    (tmp_path / NAME).write_text("\n".join(lines))
    capsys.readouterr()
    assert history.main([str(tmp_path / "ckpt.pt"), "--quiet"]) == 1
    error = capsys.readouterr().err
    assert "is damaged or another file" in error
    assert error.count("\n") == 1
    network = load(tmp_path / "ckpt.pt").network()
    split = load(tmp_path / "ckpt.pt").load_data().train
    with pytest.raises(ValueError, match="is damaged or another file"):
        MomentumHistory(network, split, beta=0.9, batch_size=20, path=tmp_path / NAME, done=1)


def test_the_flag_is_one_of_the_command(tmp_path):
    flags = "--epochs 1 --train-images 40 --timesteps 2 --record-momentum --quiet --out"
    assert main([*flags.split(), str(tmp_path)]) == 0
    with (tmp_path / NAME).open() as file:
        assert len(list(csv.DictReader(file))) == 3
