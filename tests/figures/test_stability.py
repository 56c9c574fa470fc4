"""The picture of curvature along training: its numbers are the table's, and what can't be drawn is said."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from figures import paper
from figures.pictures import catalogue
from figures.pictures.stability import stability
from figures.style import look as style
from tables.reading import TableError
from tables.rows import shared_seeds
from tests.figure_tables import write

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def table(tables):
    return tables["stability"]


@pytest.fixture
def figure():
    with style.paper():
        yield Figure(figsize=(3.4, 2.9), layout="constrained")


def test_curves_and_limits_are_means_over_seeds_of_the_objective_of_training(table, figure):
    curves = stability(figure, table)
    assert set(curves) == {("preconditioned", "sdt"), ("preconditioned", "tet")}
    for ax, training in zip(figure.axes, ("sdt", "tet"), strict=True):
        rows = table[(table["method"] == training) & (table["loss"] == "trained")]
        rows = rows[rows["matrix"] == "preconditioned"]
        epochs = sorted(set(rows["epoch"]))
        curve = curves["preconditioned", training]
        for line, column in ((curve.line, "top_eigenvalue"), (ax.lines[0], "limit")):
            means = [np.mean(rows.loc[rows["epoch"] == epoch, column]) for epoch in epochs]
            np.testing.assert_allclose(np.asarray(line.get_xydata()).T, [epochs, means])
        assert curve.band is not None
        assert ax.get_yscale() == "log"
        assert ax.lines[0].get_linestyle() == "--"
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_every_curve_and_the_beginning_of_the_limit_are_inside(table, figure):
    stability(figure, table)
    low, high = figure.axes[0].get_ylim()
    rows = table[(table["loss"] == "trained") & (table["matrix"] == "preconditioned")]
    means = rows.groupby(["method", "epoch"])["top_eigenvalue"].mean()
    assert low < means.min() < means.max() < high
    assert low < rows["limit"].min() < high


def test_each_matrix_with_a_limit_gets_a_row(table, figure):
    plain = table[table["matrix"] == "hessian"].assign(optimizer="sgd", limit=50.0, data="others")
    curves = stability(figure, pd.concat([table, plain[plain["method"] == "sdt"]]))
    assert set(curves) == {("hessian", "sdt"), ("preconditioned", "sdt"), ("preconditioned", "tet")}
    assert len(figure.axes) == 4
    assert [text.get_text() for text in figure.axes[1].texts] == ["not measured"]


def test_a_band_that_reaches_below_zero_leaves_the_scale_alone(table, figure):
    wide = table.assign(top_eigenvalue=table["top_eigenvalue"] * np.where(table["seed"] == 0, 100, 1))
    curves = stability(figure, wide)
    assert any((one.table["low"] < 0).any() for one in curves.values())
    lowest = min(wide["limit"].min(), *(one.table["mean"].min() for one in curves.values()))
    assert figure.axes[0].get_ylim()[0] == pytest.approx(lowest / 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda frame: frame[frame["loss"] != "trained"], "no rows of loss 'trained'"),
        (lambda frame: frame.assign(limit=np.nan), "no finite value of limit"),
        (lambda frame: frame.assign(top_eigenvalue=np.inf), "no finite value of top_eigenvalue"),
    ],
)
def test_a_table_with_nothing_to_see_is_named(table, figure, change, said):
    with pytest.raises(TableError, match=said):
        stability(figure, change(table))


def test_snapshots_of_a_run_are_no_copies_of_it_and_copies_are(table, tmp_path, monkeypatch, capsys):
    assert shared_seeds(table) == 0
    assert shared_seeds(pd.concat([table, table.assign(checkpoint=table["checkpoint"] + "-copy")])) == 12
    monkeypatch.setattr(catalogue, "PICTURES", tuple(one for one in catalogue.PICTURES if one.name == "stability"))
    snapshots = table["checkpoint"] + "-" + table["epoch"].astype(str)
    write(tmp_path, {"stability": table.assign(checkpoint=snapshots)})
    assert paper.main([str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""
