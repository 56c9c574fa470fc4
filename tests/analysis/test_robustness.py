"""The robustness table: zero strength, closed forms, the same draws for all, seeds, what is left out, bad input."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from analysis import robustness
from analysis.robustness import NAMES, Config, perturbed, run
from analysis.subject import Spiking, Subject, correct, per_image
from landscape.objective import Parameters
from landscape.surfaces import filter_scale
from models.networks import build
from models.neurons.lif import LIF
from models.perturbation import noisy

NONE = dict.fromkeys(NAMES, ())
SMALL = NONE | {"images": 60, "draws": 3, "quiet": True}
ALL = {
    "weight_noise": (0.3,), "rounding": (3,), "threshold_spread": (0.4,), "decay_spread": (0.8,),
    "lost_spikes": (0.3,), "spurious_spikes": (0.2,), "input_noise": (0.5,),
}  # fmt: skip


def table_of(path, **settings) -> pd.DataFrame:
    return run(Config((path,), **SMALL | settings)).to_frame()


@pytest.fixture(scope="module")
def path(digits_checkpoint):
    return digits_checkpoint("tet")


@pytest.fixture(scope="module")
def table(path) -> pd.DataFrame:
    return table_of(path, **ALL)


def test_the_columns_are_those_of_the_docstring(table):
    assert list(table) == [
        "checkpoint", "network", "data", "method", "training", "seed", "split", "perturbation", "strength", "loss",
        "value", "stderr", "images_stderr", "accuracy", "accuracy_stderr", "accuracy_images_stderr", "draws", "images",
    ]  # fmt: skip
    assert list(table["perturbation"].unique()) == list(NAMES)
    assert set(table["split"]) == {"test"}
    assert set(table["images"]) == {60}


def test_strength_zero_and_32_bits_are_the_network_as_trained(path, table):
    subject = Subject.load(path)
    images, labels = subject.batch("test", 60)
    with torch.no_grad():
        logits = subject.network(images)
    unperturbed = table[table["strength"] == np.where(table["perturbation"] == "rounding", 32, 0)]
    assert len(unperturbed) == 2 * len(NAMES)
    for loss in ("sdt", "tet"):
        rows = unperturbed[unperturbed["loss"] == loss]
        values = per_image(loss)(logits, labels).double()
        assert (rows["value"] == float(values.mean())).all()
        assert (rows["accuracy"] == float(correct(logits, labels).double().mean())).all()
        assert rows["images_stderr"].tolist() == pytest.approx([float(values.std()) / 60**0.5] * len(rows))
    assert (unperturbed[["stderr", "accuracy_stderr"]] == 0).all(axis=None)
    assert (unperturbed["draws"] == 1).all()


def test_everything_disturbs(table):
    for name, rows in table[table["loss"] == "sdt"].groupby("perturbation"):
        assert rows["value"].nunique() == 2, name
        assert set(rows["draws"]) == ({1} if name == "rounding" else {1, 3})


def test_means_and_errors_are_those_of_the_draws(path, table):
    """Each draw made again through the public context; errors over draws and over images by their definitions."""
    subject = Subject.load(path)
    images, labels = subject.batch("test", 60)
    pixels = images.transpose(0, 1).flatten(1).std(1, correction=0)
    for name in ("weight_noise", "input_noise", "lost_spikes"):
        values, right = [], []
        for draw in range(3):
            seed = (0, NAMES.index(name), draw)
            with perturbed(subject.network, name, ALL[name][0], pixels=pixels, seed=seed), torch.no_grad():
                logits = subject.network(images)
            values.append(per_image("tet")(logits, labels).double().numpy())
            right.append(correct(logits, labels).double().numpy())
        row = table[(table["perturbation"] == name) & (table["loss"] == "tet") & (table["draws"] == 3)].iloc[0]
        for column, found in (("value", np.array(values)), ("accuracy", np.array(right))):
            errors = (
                ("stderr", "images_stderr") if column == "value" else (f"{column}_stderr", f"{column}_images_stderr")
            )
            assert row[column] == pytest.approx(found.mean())
            assert row[errors[0]] == pytest.approx(found.mean(1).std(ddof=1) / 3**0.5)
            assert row[errors[1]] == pytest.approx(found.mean(0).std(ddof=1) / 60**0.5)


def test_weight_noise_on_a_linear_model_has_the_closed_form_s_variance():
    """z = w·x with noise s·D·ν: the output's variance is s²‖w‖²/n · ‖x‖² for n inputs."""
    model = torch.nn.Linear(5, 1, bias=False).double()
    x = torch.arange(1.0, 6.0, dtype=torch.float64)
    centre, found = float(model(x).detach()), []
    for draw in range(1000):
        with perturbed(model, "weight_noise", 0.3, pixels=torch.ones(1), seed=(0, 0, draw)), torch.no_grad():
            found.append(float(model(x)))
    variance = 0.09 * float(model.weight.detach().square().mean() * x.square().sum())
    assert np.var(found) == pytest.approx(variance, rel=4 * (2 / 1000) ** 0.5)
    assert np.mean(found) == pytest.approx(centre, abs=4 * (variance / 1000) ** 0.5)
    assert float(model(x).detach()) == centre


def test_draws_are_the_same_at_every_strength_and_in_every_checkpoint(digits_checkpoint):
    offsets = []
    for loss, strength in (("sdt", 0.1), ("sdt", 0.4), ("tet", 0.1)):
        network = Subject.load(digits_checkpoint(loss), dtype="float64").network
        parameters = Parameters(network)
        before, scale = parameters.vector(), filter_scale(parameters)
        with perturbed(network, "weight_noise", strength, pixels=torch.ones(1), seed=(0, 0, 0)):
            moved = parameters.vector() - before
        offsets.append((moved / scale / strength)[scale > 0])
        assert torch.equal(parameters.vector(), before)
    torch.testing.assert_close(offsets[0], offsets[1])
    torch.testing.assert_close(offsets[0], offsets[2])


def test_the_seed_decides_and_the_chunk_does_not(path, table):
    drawn = table["draws"] > 1
    again, chunked, other = (table_of(path, **ALL, **more) for more in ({}, {"chunk": 17}, {"seed": 1}))
    pd.testing.assert_frame_equal(again, table)
    pd.testing.assert_frame_equal(chunked, table, rtol=1e-4, atol=1e-5)
    assert (other.loc[drawn, "value"] != table.loc[drawn, "value"]).all()
    assert other.loc[~drawn, "value"].tolist() == table.loc[~drawn, "value"].tolist()


def test_the_network_is_given_back_as_found(path):
    subject = Subject.load(path)
    before = {name: value.clone() for name, value in subject.network.state_dict().items()}
    robustness.measure(subject, Config((path,), **SMALL | ALL))
    assert all(torch.equal(value, before[name]) for name, value in subject.network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in subject.network.modules())
    assert not subject.network.training


def test_a_network_without_spikes_has_no_rows_about_them(digits_checkpoint):
    found = table_of(digits_checkpoint("tet", spiking=False), **ALL)
    assert set(found["perturbation"]) == {"weight_noise", "rounding", "input_noise"}


def test_noise_on_frames_is_relative_to_each_channel(path, monkeypatch):
    frames = torch.rand(3, 20, 2, 8, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor([[[1.0]], [[5.0]]])
    labels = torch.arange(20) % 10
    network = build("digits-cnn", seed=0, in_channels=2, timesteps=3, threshold=0.1).eval()
    monkeypatch.setattr(Subject, "batches", lambda *_: [(frames[:, :12], labels[:12]), (frames[:, 12:], labels[12:])])
    subject = replace(Subject.load(path), network=network, spiking=Spiking((LIF,), 0, 0, "timesteps"))
    found = robustness.measure(subject, Config((path,), **SMALL | {"input_noise": (0.5,), "loss": "tet"}))["robustness"]
    scale = 0.5 * torch.stack([frames[:, :, channel].std(correction=0) for channel in range(2)])
    values = []
    for draw in range(3):
        with noisy(network, scale=scale, seed=(0, NAMES.index("input_noise"), draw)), torch.no_grad():
            values.append(float(per_image("tet")(network(frames), labels).mean()))
    assert found["value"].iloc[1] == pytest.approx(np.mean(values), rel=1e-5)
    assert found["value"].iloc[0] != found["value"].iloc[1]


def test_noise_on_volumes_is_relative_to_each_channel():
    volumes = (
        torch.rand(10, 2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
        * torch.tensor([1.0, 5.0])[:, None, None, None]
    )
    labels = torch.arange(10) % 2
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv3d(2, 3, 2), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    network(volumes)
    one = Subject(network, test=[(volumes[:6], labels[:6]), (volumes[6:], labels[6:])], name="volumes")
    found = run(Config(**SMALL | {"input_noise": (0.5,)}), [one]).to_frame()
    values = []
    for draw in range(3):
        normal = np.random.default_rng([0, NAMES.index("input_noise"), draw]).standard_normal(volumes.shape)
        scale = volumes.std((0, 2, 3, 4), correction=0)[:, None, None, None]
        with torch.no_grad():
            moved = network(volumes + 0.5 * scale * torch.from_numpy(normal).float())
        values.append(float(torch.nn.functional.cross_entropy(moved, labels)))
    assert found["value"].iloc[1] == pytest.approx(np.mean(values), rel=1e-5)


def test_both_splits_and_one_loss(path):
    found = table_of(path, split="both", loss="tet", rounding=(4,))
    assert found[["split", "strength", "loss"]].to_numpy().tolist() == [
        ["train", 4, "tet"], ["train", 32, "tet"], ["test", 4, "tet"], ["test", 32, "tet"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--draws", "1"], "a standard error needs at least 2 draws, got 1"),
        (["--rounding", "1"], "--rounding must lie in 2 … 16"),
        (["--lost-spikes", "0.5", "1.2"], "--lost-spikes must lie in 0 … 1, got (0.5, 1.2)"),
        (["--weight-noise", "-0.1"], "--weight-noise must lie in 0 … inf"),
        (["--input-noise", "inf"], "--input-noise must lie in 0 … inf"),
        (["--threshold-spread", "nan"], "--threshold-spread must lie in"),
        ([f"--{name.replace('_', '-')}" for name in NAMES], "nothing to measure"),
    ],
)
def test_bad_input_is_one_line(path, flags, says, capsys):
    assert robustness.main([str(path), "--images", "20", "--quiet", *flags]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_the_command_writes_the_table(path, tmp_path, capsys):
    flags = ["--images", "20", "--draws", "2", "--out", str(tmp_path), "--quiet"]
    assert robustness.main([str(path), *flags]) == 0
    written = pd.read_csv(tmp_path / "robustness.csv")
    assert set(written["perturbation"]) == set(NAMES)
    assert "weight_noise" in capsys.readouterr().out


def test_in_little_time_there_are_two_draws_of_everything_the_same_as_of_all(path, capsys):
    asked = SMALL | {"weight_noise": (0.2, 0.4), "lost_spikes": (0.2,), "rounding": (4,), "split": "both"}
    two = run(Config((path,), **asked | {"draws": 2})).to_frame()
    capsys.readouterr()
    few = run(Config((path,), **asked | {"draws": 9, "quiet": False}, seconds=1e-6)).to_frame()
    assert capsys.readouterr().err.count("2 of 9 draws in the time given") == 2
    pd.testing.assert_frame_equal(few, two)
    plenty = run(Config((path,), **asked | {"draws": 2}, seconds=1e6)).to_frame()
    pd.testing.assert_frame_equal(plenty, two)
