"""Shifted test images: shifted before they are standardised, of digits and of networks of one's own; refusals."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

from analysis import robustness, sweep
from analysis.compare.measures import measures
from analysis.robustness import NAMES, Config, run
from analysis.robustness.flags import Shift
from analysis.subject import Subject
from analysis.sweep.network import analyses
from models.data import load
from models.data.shifts import SHIFTS, shifted
from models.data.splits import stratified_order
from tables.measures import SHIFTS as NAMED

from .test_compare import SEEDS, identity

NONE = dict.fromkeys(NAMES, ())
SMALL = NONE | {"images": 60, "draws": 2, "quiet": True, "loss": "sdt"}


@pytest.fixture(scope="module")
def path(digits_checkpoint):
    return digits_checkpoint("tet")


def test_flags_tables_and_functions_name_the_same_shifts():
    assert get_args(Shift) == ("all", *SHIFTS)
    assert tuple(SHIFTS) == NAMED


def test_pixels_are_shifted_as_stored_and_standardised_after(path):
    """Scikit-learn's own pixels over 16, shifted, and standardised by the training pixels' mean and deviation."""
    table = run(Config((path,), **SMALL, shifts=("all",), severities=(2, 5))).to_frame()
    raw = load_digits()
    order = stratified_order(torch.from_numpy(raw.target), seed=0)
    train, test = raw.images[order[:200]], order[200:260]
    mean, std = train.mean(), train.std()
    images, labels = torch.from_numpy(raw.images[test] / 16)[:, None], torch.from_numpy(raw.target[test])
    network = Subject.load(path).network
    assert list(table["perturbation"].unique()) == list(SHIFTS)
    assert sorted(table["strength"].unique()) == [0, 2, 5]
    for place, name in enumerate(SHIFTS, len(NAMES)):
        drawn = name in ("gaussian_noise", "translation")
        for severity in (2, 5):
            values, right = [], []
            for draw in range(2 if drawn else 1):
                moved = shifted(images, name, severity, seed=[0, place, draw])
                with torch.no_grad():
                    mean_output = network(((16 * moved - mean) / std).float()).mean(0)
                values.append(float(cross_entropy(mean_output, labels)))
                right.append(float((mean_output.argmax(1) == labels).double().mean()))
            row = table[(table["perturbation"] == name) & (table["strength"] == severity)].iloc[0]
            assert row["value"] == pytest.approx(np.mean(values), rel=1e-4)
            assert row["accuracy"] == pytest.approx(np.mean(right))
            assert row["draws"] == len(values)
            assert row["stderr"] == pytest.approx(np.std(values, ddof=1) / 2**0.5 if drawn else 0, abs=1e-6)


def test_the_first_severities_hurt_less_and_chunks_change_nothing(path):
    asked = SMALL | {"shifts": ("gaussian_noise", "translation"), "severities": (5, 1)}
    table = run(Config((path,), **asked)).to_frame()
    pd.testing.assert_frame_equal(run(Config((path,), **asked, chunk=17)).to_frame(), table, rtol=1e-4)
    moved = table[table["perturbation"] == "translation"].set_index("strength")["value"]
    assert moved[0.0] < moved[1.0] < moved[5.0]
    other = run(Config((path,), **asked, seed=1)).to_frame()
    assert (other["value"] != table["value"]).tolist() == [strength > 0 for strength in table["strength"]]


def own(inputs: torch.Tensor, **more: object) -> Subject:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(inputs[0].numel(), 3))
    return Subject(network, test=[(inputs[:5], torch.arange(5) % 3), (inputs[5:], torch.arange(4) % 3)], name="own",
                   **more)  # fmt: skip


@pytest.mark.parametrize(
    ("pixels", "black", "white"),
    [
        ((0.0, 1.0), (0.0, 0.0), (1.0, 1.0)),
        ((-1.0, -2.0, 3.0, 2.0), (-1.0, -2.0), (3.0, 2.0)),
        ((5.0, 1.0), (5.0, 5.0), (1.0, 1.0)),
    ],
)  # fmt: skip
def test_a_network_of_one_s_own_is_told_what_black_and_white_are(pixels, black, white):
    plain = torch.rand(9, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    low, high = (torch.tensor(each)[:, None, None] for each in (black, white))
    one = own(low + (high - low) * plain)
    asked = SMALL | {"loss": "both", "shifts": ("contrast",), "severities": (4,), "pixels": pixels}
    table = run(Config(**asked), [one]).to_frame()
    moved = low + (high - low) * shifted(plain, "contrast", 4, seed=0)
    with torch.no_grad():
        expected = float(cross_entropy(one.network(moved), torch.tensor([0, 1, 2, 0, 1, 0, 1, 2, 0])))
    assert table.loc[table["strength"] == 4, "value"].item() == pytest.approx(expected, rel=1e-5)


IMAGES = torch.rand(9, 2, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("inputs", "flags", "says"),
    [
        (IMAGES, {}, "own: what black and white are in its inputs isn't known: give --pixels BLACK WHITE"),
        (2 * IMAGES, {"pixels": (0.0, 1.0)}, r"own: inputs from 0\.00\d+ to 2 go beyond black or white \(0 and 1\)"),
        (IMAGES, {"pixels": (0.0, 1.0, 2.0)}, "--pixels takes 2 numbers, or 4 for 2 channels, got 3"),
        (IMAGES, {"pixels": (1.0, 1.0)}, "--pixels: black and white must be finite and differ"),
        (IMAGES, {"pixels": (0.0, np.inf)}, "--pixels: black and white must be finite and differ"),
        (IMAGES, {"pixels": (0.0, 1.0), "severities": (0, 1)}, "--severities are some of 1, 2, 3, 4 and 5, got"),
        (IMAGES, {"pixels": (0.0, 1.0), "severities": ()}, "--severities are some of 1, 2, 3, 4 and 5, got"),
        (IMAGES[:, :, 0, 0], {}, r"own: --shifts are of images \[image, channel, height, width\]"),
        (IMAGES[:, :, :2], {"pixels": (0.0, 1.0)}, "own: --shifts are of images .* of 3 pixels a side or more"),
    ],
)  # fmt: skip
def test_inputs_whose_range_is_not_known_are_refused_in_one_line(inputs, flags, says):
    with pytest.raises(ValueError, match=says) as raised:
        run(Config(**SMALL | {"loss": "both", "shifts": ("all",)} | flags), [own(inputs)])
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_events_are_refused(digits_checkpoint):
    with pytest.raises(ValueError, match="--shifts are of images"):
        run(Config((digits_checkpoint("tet", data="digit-events", epochs=1),), **SMALL, shifts=("contrast",)))


def test_bytes_in_a_file_are_images_up_to_255_and_floats_are_not_known(tmp_path):
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (12, 3, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "bytes.npz", x=pixels, y=np.arange(12) % 3)
    np.savez(tmp_path / "floats.npz", x=pixels / 255, y=np.arange(12) % 3)
    assert load(str(tmp_path / "bytes.npz")).white == 255
    assert load(str(tmp_path / "floats.npz")).white is None
    assert load("digits").white == 16


def curves(strengths: dict[str, dict[int, tuple[float, float]]]) -> pd.DataFrame:
    rows = [
        identity("sdt", seed)
        | {"split": split, "perturbation": name, "strength": float(strength), "loss": loss}
        | {"value": value + seed + (loss == "tet"), "accuracy": right, "accuracy_stderr": 0.0, "draws": 1, "images": 90}
        for seed in SEEDS
        for split in ("test", "train")
        for name, curve in strengths.items()
        for strength, (right, value) in curve.items()
        for loss in ("sdt", "tet")
    ]
    return pd.DataFrame(rows)


def test_the_mean_over_shifts_and_severities_leaves_out_the_images_as_they_are():
    made = curves({
        "lost_spikes": {0: (0.9, 0.1), 1: (0.0, 9.0)},
        "contrast": {0: (0.9, 0.1), 1: (0.8, 0.3), 5: (0.6, 0.5)},
        "pixelate": {0: (0.9, 0.1), 1: (0.5, 1.0), 5: (0.1, 2.0)},
    })  # fmt: skip
    made.loc[made["split"] == "train", ["value", "accuracy"]] = 0.0
    found = measures({"robustness": made}).query("seed == 1").set_index(["measure", "loss"])
    asked = "contrast+pixelate,1+5"
    assert found.loc[(f"shifted_accuracy[{asked}]", ""), "value"] == pytest.approx((0.7 + 0.3) / 2)
    assert found.loc[(f"shifted_loss[{asked}]", "sdt"), "value"] == pytest.approx((0.4 + 1.5) / 2 + 1)
    assert found.loc[(f"shifted_loss[{asked}]", "tet"), "value"] == pytest.approx((0.4 + 1.5) / 2 + 2)
    (row,) = found.reset_index().query(f"measure == 'shifted_accuracy[{asked}]'").to_dict("records")
    assert row["title"] == "test accuracy on shifted images (contrast, pixelate; severities 1+5)"
    assert (row["side"], row["better"], row["images"]) == ("generalization", "higher", "90")


def test_networks_under_other_severities_have_other_measures():
    one = curves({name: {0: (0.9, 0.1), 3: (0.5, 1.0)} for name in SHIFTS})
    other = one.assign(strength=one["strength"] * 5 / 3, checkpoint=one["checkpoint"] + "x", method="other")
    names = set(measures({"robustness": pd.concat([one, other])})["measure"])
    assert {name for name in names if name.startswith("shifted")} == {
        "shifted_accuracy[all,3]", "shifted_loss[all,3]", "shifted_accuracy[all,5]", "shifted_loss[all,5]",
    }  # fmt: skip


PLAN = """
data = "digits"
epochs = 1
train_images = 40
timesteps = 2
seeds = 1
measures = ["timesteps", "shifted"]

[factors]
method = ["sdt", "tet"]
"""


@pytest.mark.slow
def test_a_sweep_measures_its_networks_on_shifted_images(tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    config = sweep.Config(tmp_path / "plan.toml", tmp_path / "out", jobs=1)
    assert (sweep.run(config)["status"] == "measured").all()
    table = pd.read_csv(tmp_path / "out/tables/robustness.csv")
    assert set(table["perturbation"]) == set(SHIFTS)
    assert sorted(table["strength"].unique()) == [0, 1, 3, 5]
    assert set(table["images"]) == {500}
    assert (sweep.run(config)["seconds"] == 0).all()  # finished, and not measured again


def test_a_plan_with_shifted_events_is_one_line(tmp_path, capsys):
    (tmp_path / "plan.toml").write_text(PLAN.replace('"digits"', '"digit-events"'))
    assert sweep.main([str(tmp_path / "plan.toml")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert '"shifted" is of images that stand still, and digit-events are events: leave it out of measures' in line


def test_shifted_settings_of_a_sweep_leave_all_else_out(tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    run_of_it = sweep.read(sweep.Config(tmp_path / "plan.toml", tmp_path / "out")).runs[0]
    settings = analyses(run_of_it.config, 20, ("shifted",))["shifted"][1]
    assert isinstance(settings, robustness.Config)
    assert all(getattr(settings, name) == () for name in NAMES)
    assert replace(settings, severities=(1,)).shifts == ("all",)
