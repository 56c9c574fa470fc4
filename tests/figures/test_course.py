"""Courses of momentum, the switch of losses, and layers: their artists hold the tables' numbers, taken the slow way."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from figures.pictures import course, momentum, momentum_layers, switch
from tables.reading import TableError
from tests.drawing import caption_of

pytestmark = pytest.mark.filterwarnings("error")


def panel(figure, title):
    return next(ax for ax in figure.axes if ax.get_title().startswith(title))


@pytest.mark.parametrize(
    ("draw", "table", "x", "columns"),
    [
        (course.steps, "momentum_steps", "step", course.SHARED),
        (course.epochs, "momentum_history", "epoch", course.EPOCHS),
    ],
)
def test_courses_are_of_the_whole_gradient_of_the_loss_trained_with(draw, table, x, columns, tables, figure):
    curves = draw(figure, tables[table])
    rows = tables[table].query("method == 'tet' and loss == 'tet' and timestep == 0")
    for column in columns:
        means = [rows.loc[rows[x] == at, column].mean() for at in range(1, 13)]
        np.testing.assert_allclose(curves[column, "tet"].line.get_ydata(), means)


def test_the_decrease_is_summed_up_before_it_is_divided(tables, figure):
    one = course.steps(figure, tables["momentum_steps"])["ratio", "sdt"]
    rows = tables["momentum_steps"].query("method == 'sdt' and loss == 'sdt' and timestep == 0")
    quotients = [
        [seed["realised"].iloc[: at + 1].sum() / seed["predicted"].iloc[: at + 1].sum() for at in range(12)]
        for _, seed in rows.groupby("seed")
    ]
    np.testing.assert_allclose(one.line.get_ydata(), np.mean(quotients, axis=0))


def test_noise_and_the_smooth_loss_are_drawn_to_compare_with(tables, figure):
    course.steps(figure, tables["momentum_steps"])
    levels = {
        title: [line.get_ydata()[0] for line in panel(figure, title).lines if list(line.get_xdata()) == [0, 1]]
        for title in ("cosine", "realised")
    }
    assert levels == {"cosine": [0], "realised": [1]}
    (null,) = (line for line in panel(figure, "part").lines if line.get_label() == "_null")
    np.testing.assert_allclose(null.get_ydata(), [at**-0.5 for at in range(1, 13)])
    low, high = panel(figure, "part").get_ylim()
    assert low <= min(null.get_ydata()) < max(null.get_ydata()) <= high


def test_tables_from_before_batches_were_independent_have_no_coherence_of_noise(tables, figure):
    rows = tables["momentum"]
    assert momentum.nulls(rows) == pytest.approx([np.sqrt(0.1 / 1.9)], abs=1e-6)
    assert momentum.nulls(rows.drop(columns="coherence_null_sampled")) == []


def test_a_fresh_optimizer_is_said_to_be_one(tables, figure):
    course.steps(figure, tables["momentum_steps"])
    assert "fresh" not in caption_of(figure)
    mixed = tables["momentum_steps"].assign(state=lambda frame: np.where(frame["seed"] == 0, "fresh", "checkpoint"))
    course.steps(figure, mixed)
    assert "Some began with a fresh optimizer" in caption_of(figure)


def test_wild_first_ratios_do_not_set_the_scale(tables, figure):
    frame = tables["momentum_steps"].copy()
    frame.loc[(frame["step"] == 1) & (frame["timestep"] == 0), "realised"] = 10.0
    frame.loc[(frame["step"] == 2) & (frame["timestep"] == 0), "realised"] = -10.0
    course.steps(figure, frame)
    assert panel(figure, "realised").get_ylim()[1] < 100


def test_the_switch_is_drawn_as_changes_of_each_network_since_training_ended(tables, figure):
    curves = switch.switch(figure, tables["switch"])
    rows = tables["switch"].query("method == 'sdt'")
    for loss in ("sdt", "tet"):
        part = rows[(rows["loss"] == loss) & (rows["split"] == "test")]
        changes = [seed["loss_tet"].to_numpy() - seed["loss_tet"].iloc[0] for _, seed in part.groupby("seed")]
        np.testing.assert_allclose(curves["loss_tet", "test", loss].line.get_ydata(), np.mean(changes, axis=0))
        far = rows[(rows["loss"] == loss) & (rows["split"] == "train")].groupby("step")["relative_distance"].mean()
        np.testing.assert_allclose(curves["relative_distance", "train", loss].line.get_ydata(), 100 * far)
    assert np.asarray(curves["accuracy", "test", "sdt"].line.get_ydata())[0] == 0
    assert panel(figure, "SDT loss, training").get_title() == "SDT loss, training, from 0.1"
    assert "200 training, 1000 test examples" in caption_of(figure)


def test_where_the_first_method_has_no_networks_the_next_is_drawn(tables, figure):
    curves = switch.switch(figure, tables["switch"].query("method == 'tet'"))
    assert set(curves) == set(switch.switch(Figure(), tables["switch"]))
    assert "Changes since training with TET ended" in caption_of(figure)


def test_a_switch_with_two_starts_is_refused(tables, figure):
    with pytest.raises(TableError, match="several rows of its start"):
        switch.switch(figure, pd.concat([tables["switch"], tables["switch"]]))


def test_layers_stand_in_order_and_their_parts_add_up(tables, figure):
    curves = momentum_layers.layers(figure, tables["momentum_layers"], tables["descent_layers"])
    names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert names == ["stem.conv1", "body.conv2", "body.head"]
    rows = tables["momentum_layers"].query("method == 'sdt' and loss == 'sdt' and timestep == 0")
    parts = [seed["gradient_norm"] ** 2 / (seed["gradient_norm"] ** 2).sum() for _, seed in rows.groupby("seed")]
    np.testing.assert_allclose(curves["part", "sdt"].line.get_ydata(), np.mean([one.to_numpy() for one in parts], 0))
    assert sum(curves["part", "sdt"].line.get_ydata()) == pytest.approx(1)
    np.testing.assert_allclose(curves["coherence", "tet"].line.get_ydata(), [0.25, 0.5, 0.75])


def test_the_ratio_of_a_layer_is_that_of_the_step_nearest_a_hundredth(tables, figure):
    descent = tables["descent_layers"]
    one = momentum_layers.layers(figure, tables["momentum_layers"], descent)["ratio", "tet"]
    rows = descent.query("method == 'tet' and loss == 'tet' and direction == 'gradient' and relative_step == 0.01")
    expected = [rows.loc[rows["layer"] == name, "ratio"].mean() for name in ("stem.conv1", "body.conv2", "body.head")]
    np.testing.assert_allclose(one.line.get_ydata(), expected)
