"""The command rise: rows against copies of the network, pairing of draws, both ways of comparing, and bad flags."""

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import log_softmax

from analysis import rise
from analysis.compare.crossover import verdict
from analysis.compare.rises import compared
from analysis.subject import Subject
from landscape.objective import Parameters
from landscape.surfaces import random_direction
from tables import answer

SMALL = {"images": 12, "draws": 2, "radii": (0.3, 0.8), "angles": 4, "quiet": True, "dtype": "float64"}


@pytest.fixture(scope="module")
def tiny(digits_checkpoint):
    return digits_checkpoint("tet", timesteps=2, train_images=40, batch_size=10, epochs=8)


@pytest.fixture(scope="module")
def table(tiny):
    return rise.run(rise.Config((tiny,), **SMALL)).to_frame()


def answers(network, images):
    with torch.no_grad():
        return network.eval()(images).mean(0).numpy()


def entropies(logits, labels, scale):
    divisor = logits.std(axis=1, keepdims=True) if scale is None else scale
    return -log_softmax(logits / divisor, axis=1)[np.arange(len(labels)), labels]


def test_there_is_a_row_for_everything_that_is_asked_for(table):
    assert list(table)[6:] == [
        "loss", "logits", "split", "along", "draw", "radius", "rise", "stderr", "images", "value", "rms", "rms_moved",
    ]  # fmt: skip
    sizes = table.groupby(["loss", "logits", "along", "draw", "radius"]).size()
    assert len(sizes) == 2 * 3 * 3 * 2 * 2
    assert (sizes == 1).all()
    assert table["images"].eq(12).all()
    assert (table["stderr"] > 0).all()
    assert table["rms"].nunique() == 1


def test_rows_of_a_line_are_those_of_moved_copies(table, tiny):
    subject = Subject.load(tiny, dtype="float64")
    images, labels = subject.batch("train", 12)
    direction = random_direction(Parameters(subject.network), seed=2)
    centre = answers(subject.network, images)
    rms = np.sqrt(centre.var(axis=1).mean())
    moved = []
    for side in (0.8, -0.8):
        twin = copy.deepcopy(subject.network)
        Parameters(twin).assign(Parameters(twin).vector() + side * direction)
        moved.append(answers(twin, images))
    chosen = table[(table["along"] == "line") & (table["draw"] == 1) & (table["radius"] == 0.8)]
    rows = chosen[chosen["loss"] == "sdt"].set_index("logits")
    for logits, scale in (("plain", 1.0), ("network", rms), ("example", None)):
        before = entropies(centre, labels.numpy(), scale)
        risen = np.mean([entropies(each, labels.numpy(), scale) for each in moved], axis=0) - before
        assert rows.loc[logits, "rise"] == pytest.approx(risen.mean(), abs=1e-9)
        assert rows.loc[logits, "stderr"] == pytest.approx(risen.std(ddof=1) / 12**0.5, abs=1e-9)
        assert rows.loc[logits, "value"] == pytest.approx(before.mean(), abs=1e-9)
        assert rows.loc[logits, "rms"] == pytest.approx(rms)
        assert rows.loc[logits, "rms_moved"] == pytest.approx(np.sqrt(np.mean([z.var(axis=1) for z in moved])))


def test_another_scale_or_centre_changes_scaled_logits_alone(table, tiny):
    for changed in ({"scale": 2.0}, {"centred": False}):
        config = SMALL | {"along": ("line",), "loss": "sdt"} | changed
        other = rise.run(rise.Config((tiny,), **config)).to_frame()
        same = table[(table["along"] == "line") & (table["loss"] == "sdt")].reset_index(drop=True)
        close = np.isclose(same["rise"], other["rise"], rtol=1e-9)
        assert close[same["logits"] == "plain"].all()
        assert not close[same["logits"] != "plain"].any()


def test_chunks_and_splits(table, tiny):
    lines = table[table["along"] == "line"].reset_index(drop=True)
    parts = rise.run(rise.Config((tiny,), **SMALL | {"along": ("line",), "chunk": 7})).to_frame()
    pd.testing.assert_frame_equal(lines, parts, rtol=1e-9)
    test = rise.run(rise.Config((tiny,), **SMALL | {"along": ("line",), "split": "test"})).to_frame()
    assert set(test["split"]) == {"test"}
    assert not np.isclose(test["rise"], lines["rise"]).any()


def test_a_checkpoint_s_rows_don_t_depend_on_its_company(table, tiny, digits_checkpoint):
    other = digits_checkpoint("sdt", timesteps=2, train_images=40, batch_size=10, epochs=8)
    both = rise.run(rise.Config((other, tiny), **SMALL | {"along": ("noise",)})).to_frame()
    own = both[both["checkpoint"] == tiny.as_posix()].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, table[table["along"] == "noise"].reset_index(drop=True))


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--radii"], "radii must be positive and finite, got []"),
        (["--radii", "0", "1"], "radii must be positive"),
        (["--radii", "-0.5"], "radii must be positive"),
        (["--radii", "nan"], "radii must be positive"),
        (["--radii", "0.5", "0.25"], "radii must ascend, got [0.5, 0.25]"),
        (["--radii", "0.5", "0.5"], "radii must ascend"),
        (["--along"], "nothing to measure"),
        (["--draws", "0"], "--draws must be at least 1, got 0"),
        (["--angles", "3"], "angles must be even and at least 4, got 3"),
        (["--scale", "0"], "scales must be positive"),
        (["--seconds", "0"], "--seconds must be positive, got 0.0"),
        (["--images", "0"], "images and chunk must be at least 1"),
    ],
)
def test_unusable_flags_are_one_line(flags, says, tiny, capsys, tmp_path):
    shared = ["--along", "plane", "--radii", "0.5", "--draws", "1"]
    shared = [word for place in range(0, 6, 2) if shared[place] != flags[0] for word in (shared[place : place + 2])]
    assert rise.main([str(tiny), "--quiet", "--out", str(tmp_path / "out"), *shared, *flags]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not list((tmp_path / "out").glob("*"))


# two methods compared


def made_up(seeds=5, draws=3):
    """Plain: TET sharper near by and flatter far out; at one scale sharper everywhere."""
    generator, radii = np.random.default_rng(0), np.array([0.2, 0.4, 0.6, 0.8, 1.0])
    means = {"plain": 0.4 * (0.6 - radii), "network": 0.1 + 0 * radii, "example": 0.2 * radii}
    rows = []
    for logits, mean in means.items():
        for seed in range(seeds):
            for training in ("sdt", "tet"):
                own = radii + 0.02 * generator.standard_normal() + (mean if training == "tet" else 0)
                for draw in range(draws):
                    values = own + 0.01 * generator.standard_normal(5)
                    rows += [
                        {
                            "checkpoint": f"{training}-{seed}", "network": "n", "data": "d",
                            "method": training, "training": training,
                            "seed": seed, "loss": "sdt", "logits": logits, "split": "train", "along": "line",
                            "draw": draw, "radius": radius, "rise": value,
                        }
                        for radius, value in zip(radii, values, strict=True)
                    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_methods_are_paired_by_seed_over_the_mean_of_draws():
    table = made_up()
    curves, verdicts = compared(table.sample(frac=1, random_state=0), "sdt", "tet")
    assert len(curves) == 3 * 5
    means = table.groupby(["logits", "training", "seed", "radius"])["rise"].mean()
    for logits in ("plain", "network", "example"):
        one, other = (means[logits][side].unstack().to_numpy() for side in ("sdt", "tet"))
        expected = verdict(np.array([0.2, 0.4, 0.6, 0.8, 1.0]), one, other)
        rows = curves[curves["logits"] == logits]
        assert rows["difference"].to_numpy() == pytest.approx((other - one).mean(0))
        assert rows["low"].to_numpy() == pytest.approx(expected.band.low)
        assert rows["method_mean"].to_numpy() == pytest.approx(other.mean(0))
        row = verdicts[verdicts["logits"] == logits].iloc[0]
        assert row["verdict"] == expected.sentence("tet", "sdt")
        assert row["n"] == 5


def test_what_the_scale_doesn_t_bear_out_stands_beside_plain_logits():
    _, verdicts = compared(made_up(), "sdt", "tet")
    rows: dict[str, Any] = {str(row["logits"]): row for row in verdicts.to_dict("records")}
    assert rows["plain"]["crossover"] == pytest.approx(0.6, abs=0.1)
    assert rows["plain"]["certain"]
    assert rows["plain"]["crossover_low"] < rows["plain"]["crossover"] < rows["plain"]["crossover_high"]
    assert "flatter to 1" in rows["plain"]["verdict"]
    named = rows["plain"]["depends_on_scale"]
    assert named.count(" to 1") == 2
    assert "network: " in named
    assert "example: " in named
    assert rows["network"]["depends_on_scale"] == ""
    assert np.isnan(rows["network"]["crossover"])


@pytest.mark.parametrize("broken", [np.inf, np.nan])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_curve_goes_as_far_as_all_its_rises_are_finite(broken, place):
    """And the others are what they are: one loss that isn't finite says nothing about other curves or radii."""
    table = made_up()
    radii = np.sort(table["radius"].unique())
    place = min(place, len(radii) - 1)
    one = table.index[(table["logits"] == "plain") & (table["radius"] == radii[place]) & (table["method"] == "tet")][0]
    whole_curves, whole = compared(table, "sdt", "tet")
    table.loc[one, "rise"] = broken
    curves, rows = compared(table, "sdt", "tet")
    own = curves[curves["logits"] == "plain"]
    there = [] if place < 2 else radii[:place].tolist()
    assert own["radius"].tolist() == there
    same = whole_curves[whole_curves["logits"] != "plain"].reset_index(drop=True)
    pd.testing.assert_frame_equal(curves[curves["logits"] != "plain"].reset_index(drop=True), same)
    verdicts = rows[rows["logits"] == "plain"]
    assert (verdicts["beyond"] == radii[place]).all()
    assert len(verdicts) == bool(there)
    assert whole["beyond"].isna().all()
    for said in verdicts["verdict"]:  # what the answer in words claims ends where the curve does
        assert all(end <= radii[place - 1] + 5e-3 for _, _, end in answer.decided(said))


def test_one_radius_is_no_curve():
    table = made_up()
    curves, rows = compared(table[table["radius"] == table["radius"].min()], "sdt", "tet")
    assert curves.empty
    assert rows.empty


def test_curves_of_two_seeds_have_a_band_and_no_side():
    table = made_up(seeds=2)
    table["rise"] += 10.0 * ((table["training"] == "tet") & (table["radius"] > 0.5))
    curves, verdicts = compared(table, "sdt", "tet")
    assert (curves["low"] > 0).any()
    assert (curves["flatter"] == "").all()
    assert (verdicts["verdict"] == "tet against sdt: 2 seeds are too few to say").all()
    assert not verdicts["certain"].any()
    assert (verdicts["depends_on_scale"] == "").all()
    curves, _ = compared(made_up(seeds=3), "sdt", "tet")
    assert (curves["flatter"] != "").any()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: table[table["training"] == "tet"], "no rows of 'sdt', only of tet"),
        (lambda table: table[(table["training"] == "tet") | (table["seed"] < 1)], "two seeds in common"),
        (lambda table: table[(table["training"] == "tet") | (table["radius"] < 1)], "the same radii"),
        (lambda table: pd.concat([table, table.assign(checkpoint="x")]), "the seed of several checkpoints"),
    ],
)
def test_tables_that_don_t_compare_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        compared(change(made_up()), "sdt", "tet")


def test_logits_are_taken_out_of_what_a_network_returns_wherever_time_lies():
    logits = torch.nn.Linear(8, 3)
    x, y = torch.randn(20, 8, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 3

    class Over(torch.nn.Module):
        def __init__(self, shape):
            super().__init__()
            self.logits, self.shape = logits, shape

        def forward(self, x):
            return self.shape(torch.stack([self.logits(x) * step for step in range(1, 5)]))

    def of(shape, **given):
        subject = Subject(Over(shape), train=[(x, y)], method="m", **given)
        return rise.run(rise.Config(radii=(0.5,), draws=1, quiet=True), [subject]).tables["rise"]

    first = of(lambda steps: steps)
    pd.testing.assert_frame_equal(of(lambda steps: steps.movedim(0, 1)), first)
    pd.testing.assert_frame_equal(of(lambda steps: (x, steps), output=lambda pair: pair[1]), first)
    pd.testing.assert_frame_equal(of(lambda steps: {"logits": steps}), first)


def test_in_little_time_there_are_two_draws_the_same_as_of_all(tiny, capsys):
    asked = {**SMALL, "along": ("line", "noise"), "draws": 4, "quiet": False}
    every = rise.run(rise.Config((tiny,), **asked)).to_frame()
    assert "draws of" not in capsys.readouterr().err
    few = rise.run(rise.Config((tiny,), **asked, seconds=1e-6)).to_frame()
    assert capsys.readouterr().err.count("2 of 4 draws of") == 2
    assert len(few) == len(every) / 2
    pd.testing.assert_frame_equal(few, every[every["draw"] < 2].reset_index(drop=True))
