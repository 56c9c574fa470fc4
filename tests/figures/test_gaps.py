"""Sentences about numbers: their statistics against SciPy, and that no sentence says more than its interval."""

import contextlib
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy import stats

from figures.page import published, sections, summary
from figures.pictures import catalogue, correlation
from figures.words import gaps, verdicts
from figures.words.comparison import comparison
from figures.words.prose import number, sentence
from tables import reading as tables
from tests.figure_rows import LOSSES
from tests.figure_tables import complete, identity, made_up

CLAIMS = ("higher with TET", "lower with TET", "lower with SDT", "above 0", "below 0", "above 1", "below 1")
MEASURED = [
    "value", "accuracy", "accuracy_cumulative", "ratio", "ece", "joules", "coherence", "gradient_norm", "barrier",
    "tau", "low", "high", "difference", "second_difference", "train_loss_sdt", "gain", "kept", "loss_sdt",
]  # fmt: skip
READINGS = {one.name: one.reading for one in catalogue.PICTURES}
FEW = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def frames():
    return complete(seeds=4)


def rows(sdt, tet, shift=0):
    """One row a seed; TET's seeds begin at ``shift``."""
    sides = {"sdt": list(enumerate(sdt)), "tet": list(enumerate(tet, shift))}
    found = [{"method": name, "seed": seed, "x": x} for name, side in sides.items() for seed, x in side]
    return pd.DataFrame(found, columns=["method", "seed", "x"])


def test_a_paired_gap_is_the_paired_t_interval():
    sdt, tet = [1.0, 2.0, 4.0, 3.5], [1.5, 2.2, 4.9, 3.9]
    found = gaps.gap(rows(sdt, tet), "x")
    expected = stats.ttest_rel(tet, sdt).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert (found.reference, found.method, found.n) == (np.mean(sdt), pytest.approx(np.mean(tet)), 4)


@pytest.mark.parametrize("swapped", [False, True])
def test_sides_are_cut_to_the_seeds_that_both_have(swapped):
    more, fewer = {0: 1.0, 1: 2.0, 2: 4.0, 3: 50.0, 7: 9.0}, {1: 2.2, 2: 4.9, 3: 51.0, 9: 400.0}
    sdt, tet = (pd.Series(side) for side in ((fewer, more) if swapped else (more, fewer)))
    found, common = gaps.between(sdt, tet), [1, 2, 3]
    expected = stats.ttest_rel(tet[common], sdt[common]).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert (found.reference, found.method) == pytest.approx((sdt[common].mean(), tet[common].mean()))
    assert found.difference == pytest.approx(found.method - found.reference)
    assert found.n == 3


def test_an_unpaired_interval_is_welchs():
    sdt, tet = [1.0, 2.0, 4.0, 3.5, 2.5], [5.0, 6.5, 5.5]
    found = gaps.gap(rows(sdt, tet, shift=10), "x")
    expected = stats.ttest_ind(tet, sdt, equal_var=False).confidence_interval(0.95)
    assert found.difference == pytest.approx(np.mean(tet) - np.mean(sdt))
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert found.n == 3


def test_repeats_of_a_seed_count_once_and_infinite_values_are_a_doubt():
    table = rows([1.0, 2.0, 3.0], [2.0, 3.5, 4.0])
    more = pd.concat([table, table.assign(x=table["x"] + 2)])
    assert gaps.gap(more, "x").difference == pytest.approx(gaps.gap(table, "x").difference)
    assert gaps.gap(more, "x").n == 3
    lost = pd.concat([table, rows([np.inf], [])])
    assert gaps.gap(lost, "x").doubts == ("infinite values left out",)


@given(FEW, FEW, st.integers(0, 3))
def test_no_sentence_is_stronger_than_its_interval(sdt, tet, shift):
    one = gaps.gap(rows(sdt, tet, shift), "x")
    text = verdicts.told("it", {"": one})
    contains = not one.n >= 3 or one.low <= 0 <= one.high
    assert ("higher" in text) == (not contains and one.low > 0)
    assert ("lower" in text) == (not contains and one.high < 0)
    assert ("can't be told apart" in text) == (one.n >= 3 and contains)
    assert ("no interval" in text) == (one.n < 3)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.05036, "0.0504"),
        (-1.5, "−1.5"),
        (12345.6, "12346"),
        (1e-5, "1·10⁻⁵"),
        (2.34e-7, "2.34·10⁻⁷"),
        (-3e12, "−3·10¹²"),
        (0.0, "0"),
        (np.nan, "–"),
        (np.inf, "infinite"),
    ],
)
def test_numbers_in_prose(value, text):
    assert number(value) == text


def test_claims_are_grouped_by_verdict_and_shared_doubts_stand_at_the_end():
    up = gaps.Gap(1, 2, 1, 0.5, 1.5, 5, ("a doubt", "its own"), LOSSES)
    flat = gaps.Gap(1, 1, 0, -1, 1, 5, ("a doubt",), LOSSES)
    text = sentence(verdicts.told("the height", {"at A": up, "at B": flat}))
    assert text == (
        "The height is higher with TET than with SDT at A (TET 2, SDT 1; difference 1, 95 % interval 0.5 … 1.5, n = 5; "
        "in doubt: its own), and can't be told apart between SDT and TET at B (TET 1, SDT 1; difference 0, 95 % "
        "interval −1 … 1, n = 5); in doubt: a doubt."
    )


def test_the_doubts_of_the_comparison_are_in_the_sentence(frames):
    table = frames["compare"].assign(
        n=5, low=1.0, high=2.0, difference=1.5, trust="training losses differ; not converged"
    )
    text = READINGS["eigenvalues"]({"compare": table})
    assert text.endswith("; in doubt: training losses differ, not converged.")
    clear = READINGS["eigenvalues"]({"compare": table.assign(trust="")})
    assert "doubt" not in clear
    said = READINGS["momentum"](frames | {"compare": table})
    assert "training losses differ" in said
    assert "not converged" not in said
    assert "unknown without the comparison" in READINGS["momentum"]({"momentum": frames["momentum"]})


def test_flat_rows_are_counted_by_verdict_with_what_chance_would_decide(frames):
    table = frames["compare"].iloc[:5].assign(n=5, trust="", side="flatness")
    table = table.assign(
        difference=[1.0, -1, -1, 1, np.nan], low=[0.5, -2, -2, -1, np.nan], high=[2, -0.5, -0.5, 2, np.nan]
    )
    table.loc[table.index[1], "trust"] = "not converged"
    assert READINGS["flatness"]({"compare": table}) == (
        "Of 5 measures of flatness (lower is flatter), 2 are lower with TET, 1 is lower with SDT, 1 can't be told "
        "apart and 1 was not measured on both sides (chance alone would decide 0.2 of 4); 1 of the 3 decided is "
        "in doubt: not converged."
    )


def test_accuracy_differences_are_scipys(frames):
    text = READINGS["scalability"]({name: frame for name, frame in frames.items() if name != "compare"})
    assert "over seeds alone" not in text
    table = frames["timesteps"].query("split == 'test' and timesteps == 4 and statistics == 'trained'")
    sides = [100 * table[table["method"] == name].sort_values("seed")["accuracy_cumulative"] for name in LOSSES]
    low, high = stats.ttest_rel(sides[1], sides[0]).confidence_interval(0.95)
    assert f"at T = 4 ({(sides[1].mean() - sides[0].mean()):.3g}; {low:.3g} … {high:.3g} points)" in text.replace(
        "\u00a0", " "
    )


def test_at_the_t_trained_with_the_accuracy_s_interval_is_the_comparison_s(frames):
    row = frames["compare"].query("measure == 'test_accuracy'").iloc[0]
    text = READINGS["scalability"](frames).replace("\u00a0", " ")
    low, high = 100 * row["low"], 100 * row["high"]
    assert f"at T = 4 ({100 * row['difference']:.3g}; {low:.3g} … {high:.3g} points)" in text
    assert "at T = 1, over seeds alone (" in text


def test_each_trainings_mean_is_compared_with_its_reference():
    table = made_up(seeds=3)["descent"]
    table = table.assign(ratio=table["seed"].map({0: 0.4, 1: 0.5, 2: 0.6}))
    table.loc[table["method"] == "tet", "ratio"] += 0.5
    text = READINGS["descent"]({"descent": table})
    assert "0.5 with SDT (0.252 … 0.748, n = 3: below 1)" in text
    assert "1 with TET (0.752 … 1.25, n = 3: can't be told from 1)" in text


@pytest.mark.parametrize("name", READINGS)
def test_two_seeds_make_no_claim(name):
    frames = complete(seeds=2)
    frames["compare"] = frames["compare"].assign(n=2)
    frames["correlation"] = frames["correlation"].assign(n=2, low=0.5, high=0.9)
    ends = dict.fromkeys(("low", "high", "granulated_low", "granulated_high"), np.nan)
    frames["generalization"] = frames["generalization"].assign(seeds=2, **ends)  # as analysis.generalization has it
    try:
        text = READINGS[name](frames)
    except tables.TableError:
        assert name == "surfaces"  # the made-up comparison has no such row
        return
    assert text.endswith(".")
    assert not any(claim in text for claim in CLAIMS)
    assert "positive for" not in text or "positive for 0, negative for 0" in text
    if name in ("flatness", "sharpness", "layers", "momentum-layers"):
        assert "none can be decided: " in text


@pytest.mark.parametrize(
    "name", ["robustness", "scalability", "calibration", "momentum", "energy", "training", "switch"]
)
def test_exchanging_the_sides_exchanges_the_verdicts(name, frames):
    def exchanged(frame):
        other = {"sdt": "tet", "tet": "sdt"}
        if name == "switch":
            return frame.assign(loss=frame["loss"].map(other)) if "loss" in frame else frame
        columns = {key: frame[key].map(other) for key in ("method", "training", "loss") if key in frame}
        columns |= {key: frame[key].replace(other) for key in ("loss",) if "title" in frame}
        named = {"train_loss_sdt": "train_loss_tet", "train_loss_tet": "train_loss_sdt"}
        return frame.assign(**columns).rename(columns=named)

    frames = {key: frame for key, frame in frames.items() if key != "compare"}  # whose differences have one direction
    here = READINGS[name](frames)
    there = READINGS[name]({key: exchanged(frame) for key, frame in frames.items()})
    count = {
        word: (here.count(word), there.count(word))
        for word in ("higher with TET", "lower with TET", "can't be told apart")
    }
    assert count["higher with TET"] == tuple(reversed(count["lower with TET"]))
    assert count["can't be told apart"][0] == count["can't be told apart"][1]


@pytest.mark.parametrize("name", READINGS)
def test_without_its_table_a_reading_says_which(name):
    with pytest.raises(tables.TableError, match="needs the table"):
        READINGS[name]({})


@pytest.mark.parametrize("methods", [("sdt",), ("tet",)])
def test_one_side_alone_is_no_comparison(methods):
    frames = complete(seeds=3, methods=methods)
    for name in ("scalability", "energy", "training", "momentum", "robustness"):
        text = READINGS[name](frames)
        assert "was not measured on both sides" in text
        assert not any(claim in text for claim in CLAIMS)


def test_the_formal_value_is_looked_for_in_every_radius_interval():
    heads = [identity("sdt", seed) | {"loss": "sdt", "direction": "top", "draw": 0} for seed in range(3)]
    values = {0.01: (-100.0, 0.0, 130.0), 0.1: (9.0, 10.0, 11.0), 1.0: (4.9, 5.0, 5.1)}
    found = [
        head | {"radius": 10 * at, "relative_radius": at, "second_difference": value, "formal": 10.0}
        for at, triple in values.items()
        for head, value in zip(heads, triple, strict=True)
    ]
    text = READINGS["radius"]({"radius": pd.DataFrame(found)})
    assert "with SDT the formal value 10 lies in the interval of the true second difference at 2 of 3 radii" in text
    assert "(relative radius 0.01 to 0.1), and that interval reaches below zero at 1." in text


def test_radii_with_a_hole_between_are_no_range():
    heads = [
        identity("sdt", seed) | {"loss": "sdt", "direction": "top", "draw": 0, "formal": 10.0} for seed in range(3)
    ]
    values = {0.001: 10.0, 0.01: 10.1, 0.1: 30.0, 1.0: 9.9}
    found = [
        head | {"radius": 10 * at, "relative_radius": at, "second_difference": value + apart}
        for at, value in values.items()
        for head, apart in zip(heads, (-1.0, 0.0, 1.0), strict=True)
    ]
    text = READINGS["radius"]({"radius": pd.DataFrame(found)})
    assert "at 3 of 4 radii (relative radius 0.001 to 0.01 and 1), and that interval nowhere reaches below zero" in text


def test_a_correlation_of_few_checkpoints_decides_nothing(frames):
    table = frames["correlation"].assign(tau=0.8, low=0.6, high=0.9)
    sure = READINGS["gap-in-loss"]({"correlation": table.assign(n=6)})
    said = (
        "of 4 measures of flatness or complexity on the SDT loss the rank correlation with the gap in loss is positive"
    )
    assert f"(n = 6), {said} for 4" in sure
    chance = "the larger the gap; chance alone would decide 0.2; by p with Holm's adjustment"
    assert f"{chance} 4)" in READINGS["gap-in-loss"]({"correlation": table.assign(n=6, p_adjusted=0.01)})
    assert f"{chance} 0)" in READINGS["gap-in-loss"]({"correlation": table.assign(n=6, p_adjusted=1.0)})
    few = READINGS["gap-in-loss"]({"correlation": table.assign(n=5)})
    assert "positive for 0, negative for 0" in few
    assert "too few checkpoints" in few


def test_the_caption_counts_the_measures_that_are_drawn_and_those_there_are(frames):
    figure = Figure(figsize=(7, 6), layout="constrained")
    correlation.gap_in_loss(figure, frames["measures"], frames["correlation"])
    drawn, total = re.findall(r"(\d+) of (\d+) measures of flatness", " ".join(figure.get_supxlabel().split()))[0]
    assert int(drawn) == len(figure.axes[0].get_yticks())
    rows = frames["correlation"].query("gap == 'loss' and loss == 'sdt'")
    assert int(drawn) <= int(total) <= rows["measure"].nunique()


def test_barriers_of_one_pair_have_no_interval():
    frame = made_up(seeds=1)["barrier"]
    text = READINGS["paths"]({"barrier": frame})
    assert "on the straight line from SDT to TET (one pair, no interval)" in text
    assert "± 0.01 over examples" in text


def test_networks_of_another_t_are_not_counted_together(frames):
    table = frames["compare"].assign(timesteps="4")
    both = pd.concat([table, table.iloc[:2].assign(timesteps="2")])
    assert len(comparison({"compare": both})) == len(table)


def spoilt(frames, rng):
    """Tables of which some are missing, and others lack rows, a side, seeds, or finite numbers."""
    for name, frame in frames.items():
        lost = {column: rng.choice([np.nan, np.inf, -np.inf, 0.0]) for column in MEASURED if column in frame}
        ways = (
            frame.head(0),
            frame.head(1),
            frame.sample(frac=0.1, random_state=int(rng.integers(1000))),
            frame.query("method == 'sdt'") if "method" in frame and "checkpoint" in frame else frame,
            frame.query("seed == 0") if "seed" in frame else frame,
            frame.assign(**lost),
            frame,
        )
        chosen = ways[rng.integers(len(ways))]
        if len(chosen):
            yield name, chosen


@pytest.mark.slow(keep=1)
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(8))
def test_partial_tables_cost_a_sentence_at_most(seed, frames):
    left = dict(spoilt(frames, np.random.default_rng(seed)))
    for picture in catalogue.PICTURES:
        with contextlib.suppress(tables.TableError):
            assert picture.reading(left).endswith(".")
        with contextlib.suppress(tables.TableError):
            assert picture.read(left).endswith(".")
    for alone in (True, False):
        assert all(one.endswith(".") for one in summary.answers(left, alone=alone).values())
    assert len(published.beside(left)) == len(published.entries())
    assert sections.networks(left)
    assert sections.comparison(left)
