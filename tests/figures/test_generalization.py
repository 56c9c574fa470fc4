"""Pictures of a sweep: drawn as the tables say, references apart, and read no stronger than intervals."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from figures.pictures import generalization, sign_errors, strongest
from tables.reading import TableError
from tests.figure_tables import made_up


@pytest.fixture(scope="module")
def tables():
    return made_up(seeds=3)


def own(tables, gap="loss"):
    frame = tables["generalization"]
    return frame[(frame["gap"] == gap) & (frame["given"] == "") & frame["loss"].isin(["sdt", ""])].set_index("measure")


@pytest.mark.parametrize("gap", ["loss", "accuracy"])
def test_the_forest_has_every_measure_and_reference_where_it_is(tables, gap):
    markers = generalization.forest(Figure(), tables["generalization"], gap=gap)
    rows = own(tables, gap)
    for column in ("tau", "granulated"):
        found = {name: np.ravel(line.get_xdata())[0] for (name, what), line in markers.items() if what == column}
        assert found == pytest.approx(rows[column].to_dict())
    grey = {name for (name, _), line in markers.items() if line.get_marker() == "D"}
    assert grey == set(rows.index[rows["control"] != ""])
    heights = rows["granulated"].sort_values(ascending=False).index
    assert [np.ravel(markers[name, "tau"].get_ydata())[0] for name in heights] == [*range(len(rows))]


def test_the_forest_s_sentence_counts_intervals(tables):
    frame = tables["generalization"].assign(granulated_low=-0.1, granulated_high=0.3)
    text = generalization.reading({"generalization": frame}, gap="loss")
    assert "Of 5 measures, Ψ with the gap in loss is positive for 0, negative for 0 and undecided for 5" in text
    sure = frame.assign(granulated_low=frame["granulated"] - 0.01, granulated_high=frame["granulated"] + 0.01)
    rows = own(tables).query("control == ''")
    text = generalization.reading({"generalization": sure}, gap="loss")
    above, below = (rows["granulated"] > 0.01).sum(), (rows["granulated"] < -0.01).sum()
    assert f"positive for {above}, negative for {below} and undecided for {5 - above - below}" in text
    assert "reference random: " in text
    assert "intervals are over seeds, for these settings" in text


def test_sign_errors_are_points_and_the_worst_is_told(tables):
    points = sign_errors.environments(Figure(), tables["sign_errors"], tables["generalization"])
    errors = tables["sign_errors"].query("gap == 'loss' and loss in ['sdt', '']")
    assert set(points) == set(own(tables).index)
    for name, found in points.items():
        np.testing.assert_allclose(
            np.asarray(found.get_offsets())[:, 0], errors[errors["measure"] == name]["sign_error"]
        )
    worst = errors.query("control == ''").groupby("title")["sign_error"].max()
    text = sign_errors.reading(tables)
    assert f"{(worst < 0.5).sum()} of 5 measures order more pairs rightly than wrongly in each of 8" in text
    assert f"is that of {worst.idxmin()}, {worst.min():.3g}" in text


def test_the_strongest_three_are_those_of_the_largest_psi(tables):
    figure = Figure()
    points = strongest.scatter(figure, tables["measures"], tables["generalization"])
    assert figure.axes[0].get_ylabel() == "gap in loss (nats)"
    rows = own(tables).query("control == ''")
    chosen = rows["granulated"].abs().sort_values(ascending=False).index[:3]
    assert list(dict.fromkeys(name for name, _ in points)) == list(chosen)
    assert {method for _, method in points} == {"sdt", "tet"}
    values = tables["measures"].query("measure == @chosen[0] and loss == 'sdt' and method == 'tet'")
    offsets = np.asarray(points[chosen[0], "tet"].get_offsets())
    np.testing.assert_allclose(offsets[:, 0], values["value"])
    weak = tables["generalization"].assign(low=-0.5, high=0.5)
    assert strongest.reading({"generalization": weak}).count("can't be told from 0") == 3


@pytest.mark.parametrize("column", ["granulated", "tau"])
def test_nothing_finite_is_said(tables, column):
    with pytest.raises(TableError, match="no measure has a finite τ and Ψ with the gap in loss"):
        generalization.forest(Figure(), tables["generalization"].assign(**{column: np.nan}), gap="loss")
    with pytest.raises(TableError, match="no measure but references"):
        strongest.strongest(tables["generalization"].assign(control="random"))
