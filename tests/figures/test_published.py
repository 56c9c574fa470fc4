"""The paper's numbers: that they are the paper's, and what stands beside them."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from figures.page import published
from tests.figure_tables import complete, made_up


def rows(tables, source):
    return [row for row in published.beside(tables) if row.source == source]


@pytest.fixture(scope="module")
def frames():
    return complete(seeds=4)


def alike(tables):
    """The same tables as of the paper's network, data and epochs."""
    own = {name: tables[name].assign(network="resnet19", data="cifar100") for name in ("timesteps", "history")}
    return own | {"history": own["history"].assign(epoch=10 * own["history"]["epoch"])}


@pytest.fixture(scope="module")
def table1(frames):
    (row,) = rows(frames, "Table 1")
    return row


def test_every_table_and_figure_of_the_papers_results_is_there():
    sources = " ".join(entry["source"] for entry in published.entries())
    for name in ("Table 1", "Table 2", "Table 3", "Figure 2", "Figure 3", "Figure 4A", "Figure 4B"):
        assert name in sources
    for entry in published.entries():
        lists = [
            entry[name]
            for name in ("at", "labels", "sdt", "sdt_spread", "tet", "tet_spread", "values")
            if name in entry
        ]
        assert len({len(one) for one in lists}) == 1, entry["source"]


def test_the_gains_are_those_of_the_papers_text(table1, frames):
    assert table1.paper == ("T = 2: 2.96", "T = 4: 3.25", "T = 6: 3.53")  # its text says 3.25 and 3.53
    (cifar,) = rows(frames, "Table 3, CIFAR-10")
    assert cifar.paper[0] == "T = 2: 1.82"
    (without,) = rows(frames, "Table 2")
    assert without.paper == ("k = 1: −0.37", "k = 10: 0.48", "k = 20: 0.14")


def test_ours_is_the_paired_interval_of_the_test_accuracy(table1, frames):
    table = frames["timesteps"].query("split == 'test' and timesteps == 4 and statistics == 'trained'")
    sides = [100 * table[table["method"] == name].sort_values("seed")["accuracy_cumulative"] for name in ("sdt", "tet")]
    low, high = stats.ttest_rel(sides[1], sides[0]).confidence_interval(0.95)
    middle = sides[1].mean() - sides[0].mean()
    assert table1.ours == (f"T = 4: {middle:.3g} ({low:.3g} … {high:.3g}, n = 4)",)
    assert table1.difference == ()  # of other networks on other data
    (same,) = rows(alike(frames), "Table 1")
    assert same.ours == table1.ours
    assert same.difference == (f"T = 4: −{3.25 - middle:.3g}, outside",)
    assert table1.why == "Network digits-cnn, not ResNet-19, data digits, not CIFAR-100, 30 epochs, not 300"


def test_a_number_inside_the_interval_is_called_that(frames):
    def gain(seed, training):
        return 0.9 + (0.03 + 0.01 * (seed % 2)) * (training == "tet")

    table = frames["timesteps"]
    accuracy = [gain(seed, training) for seed, training in zip(table["seed"], table["method"], strict=True)]
    (row,) = rows(alike({**frames, "timesteps": table.assign(accuracy_cumulative=accuracy)}), "Table 1")
    assert row.difference[0].endswith(", inside")


def test_two_seeds_have_no_interval(frames):
    (row,) = rows(alike({**frames, "timesteps": frames["timesteps"].query("seed < 2")}), "Table 1")
    assert "two seeds, no interval" in row.ours[0]
    assert row.difference[0].endswith(", no interval")
    assert "inside" not in row.difference[0]


def test_the_same_setting_is_called_that(frames):
    (row,) = rows(alike(frames), "Table 1")
    assert row.why == "Same network, data and T"


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"mse_weight": 0.05, "train_images": 50000, "augmented": 1}, ""),
        ({"mse_weight": 0.0}, "λ = 0 (the regulariser's weight), not 0.05"),
        ({"mse_weight": [0.05, 0.0]}, "λ = 0 to 0.05 (the regulariser's weight), not 0.05"),
        ({"train_images": 1e5 / 3}, "33333.3 training images, not 50000"),
        ({"train_images": 5000, "augmented": 0}, "5000 training images, not 50000, images not augmented, theirs were"),
        ({"mse_weight": np.nan, "augmented": np.nan}, ""),
    ],
)
def test_another_recipe_is_named(frames, columns, says):
    history = frames["history"].assign(network="resnet19", data="cifar100", epoch=frames["history"]["epoch"] * 10)
    for name, value in columns.items():
        history[name] = np.resize(value, len(history))
        if name == "mse_weight":
            history.loc[history["method"] == "sdt", name] = 0.0  # which the paper never regularises
    same = {"timesteps": frames["timesteps"].assign(network="resnet19", data="cifar100"), "history": history}
    (row,) = rows(same, "Table 1")
    assert row.why.lower() == (says or "same network, data and T").lower()


def test_an_entry_may_have_another_recipe_than_its_data(frames):
    history = frames["history"].assign(augmented=1)
    without, augmented = rows({**frames, "history": history}, "Table 3 and text, DVS-CIFAR10")
    assert "images augmented, theirs not" in without.why
    assert "augmented, theirs" not in augmented.why


def test_the_nearest_t_stands_beside_theirs_where_none_is_shared(frames):
    (first, _) = rows(frames, "Table 3 and text, DVS-CIFAR10")
    assert first.paper == ("T = 10: 4.03",)
    assert first.ours[0].startswith("T = 4: ")
    assert first.difference == ()
    assert "T = 4, not 10" in first.why


def test_quotients_are_of_geometric_means(frames):
    (row,) = rows(frames, "Figure 4B")
    table = frames["energy"].query("layer == 'total' and timesteps == 2")
    sides = [np.log(table[table["method"] == name].sort_values("seed")["joules"]) for name in ("sdt", "tet")]
    change = 100 * np.expm1(np.mean(sides[1].to_numpy() - sides[0].to_numpy()))
    assert row.paper[0] == f"T = 2: −{100 * (1 - 54.7 / 58.3):.3g}"
    assert row.ours[0].startswith(f"T = 2: {change:.3g}".replace("-", "−"))


def test_longer_inference_is_paired_by_network(frames):
    row = rows(frames, "Figure 4A")[2]
    table = frames["timesteps"].query("split == 'test' and method == 'tet' and statistics == 'trained'")
    at = {
        steps: part.sort_values("seed")["accuracy_cumulative"].to_numpy() for steps, part in table.groupby("timesteps")
    }
    assert row.ours[0].startswith(f"T = 2: {100 * np.mean(at[2] - at[4]):.3g}".replace("-", "−"))
    assert [line.split(":")[0] for line in row.ours] == ["T = 2", "T = 3", "T = 5", "T = 6", "T = 7", "T = 8"]


def test_the_surface_is_read_at_the_papers_point(frames):
    surface = frames["surface"]
    twice = surface.assign(value=np.where(surface["method"] == "tet", 2.0, 1.0))
    points = pd.concat([twice, twice.query("alpha == 0.4").assign(alpha=0.5)])
    (row,) = rows({"surface": points}, "Figure 2, SDT loss")
    assert row.paper == ("T = 10: −50",)
    assert row.ours == ("100 (n = 4, no interval)",)


def test_a_twin_without_spikes_answers_the_papers_question(frames):
    compare = frames["compare"]
    with_twin = compare.assign(twin_mean=np.where(compare["measure"] == "test_accuracy", 0.97, np.nan))
    (row,) = rows({"compare": with_twin}, "Table 3, CIFAR-10, network without spikes")
    assert row.ours == ("T = 4: −2 (n = 5, no interval)",)


def test_what_was_not_asked_is_said_and_not_compared():
    found = published.beside({"history": made_up(seeds=1)["history"]})
    assert len(found) == len(published.entries())
    for row in found:
        assert row.ours == row.difference == ()
        assert re.search(r"[Nn]othing to put beside it: |not (trained|run) here", row.why)
        assert row.paper
