"""The command sharpness: rows against the landscape's own answers, what rescaling does to each, and bad flags."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from analysis import sharpness
from analysis.compare.measures import measures
from analysis.sharpness.norms import UNKNOWN, initial_weights
from analysis.subject import Subject, correct, per_image
from landscape.objective import Objective
from landscape.sharpness import average_rise, noise_borne
from models.checkpoint import load, save
from models.networks import build
from tables.measures import SHARPNESS
from tables.reading import read_file as read

SMALL = {
    "images": 20, "draws": 3, "noise": (0.1, 0.3), "worst": (0.1,), "adaptive": (0.01,), "steps": 3, "m": (5,),
    "sigma_draws": 2, "quiet": True,
}  # fmt: skip
DRAWS = {"average": "draws", "pac_bayes": "draws", "m_sharpness": "groups", "relative_flatness": "probes"}


@pytest.fixture(scope="module")
def tiny(digits_checkpoint):
    return digits_checkpoint("tet", timesteps=2, train_images=40, batch_size=10, epochs=8)


@pytest.fixture(scope="module")
def smooth(digits_checkpoint):
    """Smooth spikes, so that BatchNorm's epsilon makes small differences and not flipped spikes."""
    return digits_checkpoint(
        "sdt", surrogate="smooth", width=4.0, timesteps=2, train_images=40, batch_size=10, epochs=8
    )


@pytest.fixture(scope="module")
def result(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("sharpness")
    found = sharpness.run(sharpness.Config((tiny,), out=out, **SMALL))
    return found, out


def rescaled(path, folder):
    """The checkpoint of the same function with every second filter of the second convolution three times as large."""
    checkpoint = load(path)
    state = dict(checkpoint.state_dict)
    (weight,) = [name for name in state if name.endswith("weight") and state[name].shape == (24, 12, 3, 3)]
    norm = [name for name in state if name.endswith("running_var")][1].removesuffix("running_var")
    factors = torch.tensor([3.0, 1.0] * 12)
    state[weight] = state[weight] * factors[:, None, None, None]
    state[f"{norm}running_mean"] = state[f"{norm}running_mean"] * factors
    state[f"{norm}running_var"] = state[f"{norm}running_var"] * factors**2 + 1e-5 * (factors**2 - 1)
    save(replace(checkpoint, state_dict=state), folder / "rescaled.pt")
    return folder / "rescaled.pt"


@pytest.mark.slow
def test_every_measure_has_its_rows(result):
    found, _ = result
    table = found.to_frame()
    assert list(table)[6:] == [
        "loss", "split", "images", "measure", "radius", "setting", "value", "stderr", "over", "draws", "converged",
        "rescaling",
    ]  # fmt: skip
    sizes = dict.fromkeys(SHARPNESS, 2) | {"average": 4}
    assert table.groupby("measure").size().to_dict() == sizes
    for measure, over in zip(table["measure"], table["over"], strict=True):
        assert over == next((DRAWS[name] for name in DRAWS if str(measure).startswith(name)), "images")
    assert table["value"].notna().all()
    assert (table.loc[table["measure"] != "relative_flatness", "stderr"] > 0).all()
    chosen = table.set_index("measure")
    assert set(chosen.loc["m_sharpness", "setting"]) == {"m = 5"}
    assert set(chosen.loc["m_sharpness", "draws"]) == {4}
    assert set(chosen.loc["pac_bayes_sigma", "setting"]) == {"rise of loss 0.1"}
    assert set(chosen.loc["relative_flatness", "setting"]) == {"layer body.head"}
    assert table["images"].eq(20).all()


def test_rows_are_the_landscape_s_answers(result, tiny):
    table = result[0].to_frame().set_index(["loss", "measure"])
    subject = Subject.load(tiny)
    objective = Objective(subject.network, per_image("tet"), subject.batches("train", 20, 250))
    for noise, radius in (("filter", 0.3), ("magnitude", 0.2), ("absolute", 0.02)):
        rise = average_rise(objective, radii=[radius], draws=3, noise=noise)
        name = "average" if noise == "filter" else f"average_{noise}"
        row = table.loc["tet"].loc[[name]].query("radius == @radius").iloc[0]
        assert (row["value"], row["stderr"]) == pytest.approx((rise.value[0], rise.stderr[0]))
    borne = noise_borne(objective, draws=2)
    assert table.loc[("tet", "pac_bayes_sigma"), "value"] == pytest.approx(borne.value)
    weights = objective.parameters.vector().double()
    start = build("digits-cnn", seed=0, **subject.network.arguments)
    moved = weights - torch.nn.utils.parameters_to_vector(start.parameters()).detach().double()
    for name, vector in (("pac_bayes_orig", weights), ("pac_bayes_init", moved)):
        expected = float(vector @ vector) / (4 * borne.value**2) + math.log(40 / borne.value) + 10
        assert table.loc[("tet", name), "value"] == pytest.approx(expected, rel=1e-6)
        slope = float(vector @ vector) / (2 * borne.value**3) + 1 / borne.value
        assert table.loc[("tet", name), "stderr"] == pytest.approx(slope * borne.stderr, rel=1e-6)


def test_the_rise_may_be_that_of_the_error(tiny):
    config = SMALL | {"measures": ("pac-bayes",), "rise_of": "error", "loss": "sdt"}
    table = sharpness.run(sharpness.Config((tiny,), **config)).to_frame().set_index("measure")
    subject = Subject.load(tiny)
    wrong = Objective(subject.network, lambda z, y: 1 - correct(z, y), subject.batches("train", 20, 250))
    assert table.loc["pac_bayes_sigma", "value"] == pytest.approx(noise_borne(wrong, draws=2).value)
    assert set(table["setting"]) == {"rise of error 0.1"}


@pytest.mark.slow
def test_each_measure_changes_under_rescaling_or_not_as_it_says(smooth, tmp_path):
    config = {**SMALL, "dtype": "float64", "loss": "sdt", "noise": (0.3,)}
    tables = [
        sharpness.run(sharpness.Config((path,), **config)).tables for path in (smooth, rescaled(smooth, tmp_path))
    ]
    for name, label in (("sharpness", "measure"), ("norms", "norm")):
        plain, other = (found[name] for found in tables)
        close = np.isclose(plain["value"], other["value"], rtol=1e-5)
        said = plain["rescaling"] == "invariant"
        assert dict(zip(plain[label], close, strict=True)) == dict(zip(plain[label], said, strict=True))
        assert set(said) == {True, False}


def test_the_adaptive_radius_is_relative_to_the_weights_norm(tiny):
    """At radius r a random point of the ball moves each filter by r of its norm, as the average's noise does."""
    config = SMALL | {
        "noise": (0.2,),
        "adaptive": (0.2,),
        "steps": 4,
        "loss": "sdt",
        "measures": ("average", "adaptive"),
    }
    found = sharpness.run(sharpness.Config((tiny,), **config)).to_frame().set_index("measure")["value"]
    assert found["adaptive_worst"] > found["average"]


def test_groups_larger_than_a_chunk_are_the_same_groups(tiny):
    config = SMALL | {"measures": ("m",), "m": (9,), "dtype": "float64"}
    one, other = (
        sharpness.run(sharpness.Config((tiny,), **config, chunk=chunk)).to_frame()["value"] for chunk in (250, 4)
    )
    np.testing.assert_allclose(one, other, rtol=1e-9)


def test_the_tables_are_read_and_every_measure_is_compared(result):
    found, out = result
    tables = {name: read(out / f"{name}.csv", name) for name in ("sharpness", "norms")}
    values = measures(tables).set_index(["measure", "loss"])
    assert len(values) == len(found.tables["sharpness"]) + 7
    assert not values.index.duplicated().any()
    sigma = found.to_frame().set_index(["measure", "loss"]).loc[("pac_bayes_sigma", "tet"), "value"]
    row = values.loc[[("pac_bayes_sigma[rise of loss 0.1]", "tet")]].iloc[0]
    assert (row["value"], row["unit"]) == (pytest.approx(sigma**-2), "1/weight²")
    assert (row["side"], row["title"]) == ("flatness", "PAC-Bayes 1/σ², rise of loss 0.1")
    assert values.loc[("m_sharpness[m = 5,0.1]", "sdt"), "rescaling"] == "changes"
    assert values.loc[("norm[filter_turn]", ""), "side"] == "complexity"
    assert values["side"].isin(["flatness", "complexity"]).all()


def test_norms_of_weights_made_elsewhere_lack_the_start_and_say_why(tiny, tmp_path):
    checkpoint = load(tiny)
    training = {name: value for name, value in checkpoint.training.items() if name != "epochs_done"}
    save(replace(checkpoint, training=training), tmp_path / "foreign.pt")
    config = sharpness.Config((tmp_path / "foreign.pt",), **SMALL | {"measures": ("norms", "pac-bayes"), "loss": "sdt"})
    tables = sharpness.run(config).tables
    missing = tables["norms"].set_index("norm")
    assert set(missing.index[missing["value"].isna()]) == {"fro_dist", "dist_spec_init", "filter_turn"}
    assert (missing["remark"] == missing["value"].isna().map({True: UNKNOWN, False: ""})).all()
    values = tables["sharpness"].set_index("measure")["value"]
    assert math.isnan(values["pac_bayes_init"])
    assert values["pac_bayes_orig"] > 0


def test_the_start_is_that_of_the_training_run(digits_checkpoint):
    path = digits_checkpoint("sdt", timesteps=2, train_images=40, snapshots=4, seed=3)
    untrained = load(path.parent / "snapshots" / "epoch-0000.pt")
    start = initial_weights(Subject.load(path))
    names = [name for name, _ in Subject.load(path).network.named_parameters()]
    assert start is not None
    assert all(torch.equal(weight, untrained.state_dict[name]) for name, weight in zip(names, start, strict=True))


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--draws", "0"], "at least 2 draws, got 0"),
        (["--noise", "-1"], "radii must be positive"),
        (["--worst", "-0.1"], "radius, steps and restarts must be positive, got -0.1"),
        (["--adaptive", "0"], "must be positive"),
        (["--steps", "0"], "must be positive"),
        (["--m", "21"], "at most half the 40 images"),
        (["--m", "0"], "--m must be at least 1"),
        (["--m-radii", "-1"], "must be positive"),
        (["--rise", "0"], "rise, tolerance and max_steps must be positive"),
        (["--sigma-draws", "1"], "at least 2 draws, got 1"),
        (["--layer", "body.tail"], "no layer 'body.tail' with a weight matrix; there are"),
        (["--measures"], "nothing to measure"),
    ],
)
def test_unusable_flags_are_one_line(flags, says, tiny, capsys, tmp_path):
    measure = {
        "draws": "average", "noise": "average", "worst": "worst", "adaptive": "adaptive", "steps": "worst", "m": "m",
        "m-radii": "m", "rise": "pac-bayes", "sigma-draws": "pac-bayes", "layer": "relative-flatness",
    }.get(flags[0].removeprefix("--"))  # fmt: skip
    chosen = ["--measures", measure] if measure else []
    assert sharpness.main([str(tiny), "--quiet", "--out", str(tmp_path / "out"), *chosen, *flags]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not list((tmp_path / "out").glob("*"))


def test_both_losses_share_the_passes_of_their_draws(tiny, monkeypatch):
    """Both sides of 3 draws at 2 radii, and the centre, pass once for both, and the rows are those of each alone."""
    asked = {"images": 20, "draws": 3, "noise": (0.1, 0.3), "measures": ("average",), "quiet": True}
    passed, original = [], Objective.output

    def output(self, given):
        passed.append(1)
        return original(self, given)

    monkeypatch.setattr(Objective, "output", output)
    tables, counts = {}, {}
    for loss in ("sdt", "tet", "both"):
        passed.clear()
        tables[loss] = sharpness.run(sharpness.Config((tiny,), loss=loss, **asked)).to_frame()
        counts[loss] = len(passed)
    alone = pd.concat([tables["sdt"], tables["tet"]], ignore_index=True)
    pd.testing.assert_frame_equal(tables["both"], alone, check_exact=True)
    assert counts["tet"] > 1 + 3 * 2 * 2
    assert counts["both"] - counts["sdt"] <= 4  # what the second is checked by
