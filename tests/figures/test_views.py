"""Views of surfaces: means, errors and rises against the slow way, and what is not finite."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from figures.views import spanned, views
from tables.reading import TableError

pytestmark = pytest.mark.filterwarnings("error")
GRID = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])


def table(*, seeds=(0, 1, 2), draws=(0, 1), method="tet"):
    rng = np.random.default_rng(0)
    rows = [
        (seed, draw, alpha, beta, 1 + rng.uniform(), *rng.uniform(size=3))
        for seed, draw, alpha, beta in product(seeds, draws, GRID, GRID)
    ]
    columns = ["seed", "draw", "alpha", "beta", "value", "accuracy", "stderr", "rise_stderr"]
    return pd.DataFrame(rows, columns=columns).assign(loss="sdt", split="train", kind="plane", method=method)


def view(found, **key):
    (one,) = (view for view in found if all(view.key[name] == word for name, word in key.items()))
    return one


def cell(frame, seed, draw, alpha, beta):
    rows = frame[
        (frame["seed"] == seed) & (frame["draw"] == draw) & (frame["alpha"] == alpha) & (frame["beta"] == beta)
    ]
    return rows.iloc[0]


def test_there_is_a_view_for_every_seed_and_draw_and_for_their_means():
    keys = [(one.key["seed"], one.key["draw"]) for one in views(table())]
    assert len(keys) == len(set(keys)) == (3 + 1) * (2 + 1)
    assert keys[0] == ("mean", "mean")  # what is seen first
    assert [one.key["seed"] for one in views(table(seeds=(4,), draws=(0,)))] == ["4"]


def test_one_surface_is_as_in_the_table_with_its_error_over_images():
    frame = table()
    one = view(views(frame), seed="1", draw="0")
    for i, j in ((0, 3), (4, 1)):
        there, centre = cell(frame, 1, 0, GRID[j], GRID[i]), cell(frame, 1, 0, 0.0, 0.0)
        assert one.value[i, j] == there["value"]
        assert one.accuracy[i, j] == there["accuracy"]
        assert (one.error[i, j], one.rise_error[i, j]) == (there["stderr"], there["rise_stderr"])
        assert one.rise[i, j] == pytest.approx(there["value"] - centre["value"])
    assert one.note == "standard error over examples"


def test_the_mean_over_seeds_has_their_band_and_draws_are_averaged_first():
    frame = table()
    one = view(views(frame), seed="mean", draw="mean")
    for column, mean, error in (("value", one.value, one.error), ("rise", one.rise, one.rise_error)):
        i, j = 3, 0
        seeds = []
        for seed in range(3):
            values = []
            for draw in range(2):
                at = cell(frame, seed, draw, GRID[j], GRID[i])["value"]
                values.append(at - (cell(frame, seed, draw, 0.0, 0.0)["value"] if column == "rise" else 0))
            seeds.append(np.mean(values))
        assert mean[i, j] == pytest.approx(np.mean(seeds))
        half = stats.t.ppf(0.975, 2) * np.std(seeds, ddof=1) / np.sqrt(3)
        assert error[i, j] == pytest.approx(half)
    assert one.note == "half the 95 % band over 3 seeds"


def test_over_draws_of_one_seed_the_error_is_a_standard_error():
    frame = table(draws=(0, 1, 2))
    one = view(views(frame), seed="2", draw="mean")
    values = [cell(frame, 2, draw, 0.5, -1.0)["value"] for draw in range(3)]
    assert one.value[0, 3] == pytest.approx(np.mean(values))
    assert one.error[0, 3] == pytest.approx(np.std(values, ddof=1) / np.sqrt(3))
    assert one.note == "standard error over 3 draws"


def test_the_rise_nearby_is_the_mean_within_half_a_unit():
    frame = table(seeds=(0, 1), draws=(0,))
    one = view(views(frame), seed="mean")
    near = [(0.0, 0.0), (0.5, 0.0), (-0.5, 0.0), (0.0, 0.5), (0.0, -0.5)]
    means = [
        np.mean([cell(frame, seed, 0, *at)["value"] - cell(frame, seed, 0, 0, 0)["value"] for at in near])
        for seed in (0, 1)
    ]
    half = stats.t.ppf(0.975, 1) * np.std(means, ddof=1) / np.sqrt(2)
    assert one.near == pytest.approx((np.mean(means), half))
    assert f"trained weights: {np.mean(means):.3g} ± {half:.2g}." in one.summary()


def test_an_infinite_loss_is_infinite_in_the_mean_and_a_missing_one_in_none():
    frame = table(draws=(0,))
    frame.loc[(frame["seed"] == 0) & (frame["alpha"] == 1) & (frame["beta"] == 1), "value"] = np.inf
    frame.loc[(frame["seed"] == 1) & (frame["alpha"] == -1) & (frame["beta"] == 1), "value"] = np.nan
    frame.loc[(frame["alpha"] == 1) & (frame["beta"] == -1), "value"] = -np.inf
    one = view(views(frame), seed="mean")
    assert one.value[4, 4] == one.rise[4, 4] == np.inf
    assert np.isnan(one.error[4, 4])
    two = [cell(frame, seed, 0, -1, 1)["value"] for seed in (0, 2)]
    assert one.value[4, 0] == pytest.approx(np.mean(two))
    assert one.error[4, 0] == pytest.approx(stats.t.ppf(0.975, 1) * np.std(two, ddof=1) / np.sqrt(2))
    assert (one.infinite, one.missing) == (1, 1)
    assert "Infinite: 1 of 25 points; not measured: 1." in one.summary()


def test_the_summary_names_the_lowest_point_and_the_range():
    frame = table(seeds=(0,), draws=(0,)).assign(value=lambda rows: 1 + (rows["alpha"] + 0.5) ** 2 + rows["beta"] ** 2)
    (one,) = views(frame)
    expected = "SDT loss on training examples, trained with TET, seed 0: from 1 at α = −0.5, β = 0 to 4.25."
    assert one.summary().startswith(expected)


def test_seeds_with_grids_of_their_own_are_not_averaged():
    frame = table(seeds=(0, 1), draws=(0,))
    frame.loc[frame["seed"] == 1, "alpha"] *= 0.9
    assert [one.key["seed"] for one in views(frame)] == ["0", "1"]


def test_directions_made_from_a_loss_say_so():
    frame = table(seeds=(0,), draws=(0,)).assign(directions="top", axes_loss="tet")
    assert set(spanned(frame, "plane")["directions"]) == {"top of the TET loss"}
    assert set(spanned(frame.assign(axes_loss="any"), "plane")["directions"]) == {"top"}
    assert set(spanned(table(), "plane")["directions"]) == {"random"}


def test_what_cannot_be_seen_is_refused():
    with pytest.raises(TableError, match="no rows of kind 'plane'"):
        views(table().assign(kind="line"))
    with pytest.raises(TableError, match="no finite value"):
        views(table().assign(value=np.nan))
    with pytest.raises(TableError, match="at least 2 by 2 points, got 5 by 1"):
        views(table().query("beta == 0"))
