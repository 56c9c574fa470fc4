"""Networks of others, on pictures and in sentences: without spikes, without time, without classes."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.compare.shown import verdict
from figures.page import ending, sections, summary
from figures.pictures import (
    calibration,
    catalogue,
    energy,
    flatness,
    momentum,
    robustness,
    surface_lines,
    switch,
    training,
)
from figures.report import command as report_command
from figures.style.methods import compared, facing, label, loss_label
from figures.words.units import loss_unit
from tables import rows
from tables.reading import TableError
from tests.drawing import caption_of
from tests.figure_tables import identity, made_up

pytestmark = pytest.mark.filterwarnings("error")
METHODS = ("adam", "sgd")
PICTURES = {one.name: one for one in catalogue.PICTURES}


@pytest.fixture(scope="module")
def foreign():
    """Tables of networks without time that regress, under a loss of the user's own: "huber"."""
    return {name: _foreign(name, frame) for name, frame in made_up(seeds=3, methods=METHODS).items()}


def _foreign(name, frame):
    if "loss" in frame:
        frame = frame[frame["loss"].isin(["sdt", ""])]
        frame = frame.assign(loss=frame["loss"].replace({"sdt": "huber"}))
    if "timesteps" in frame and name != "compare":
        frame = frame[frame["timesteps"] == 1].assign(trained_timesteps=1)
    if "timestep" in frame:
        frame = frame[frame["timestep"] <= 1]
    frame = frame.rename(columns=lambda one: one.replace("loss_sdt", "loss_huber"))
    lost = [one for one in frame if "loss_tet" in one or one == "loss_at_step"]
    accuracies = dict.fromkeys([one for one in frame if "accuracy" in one], np.nan)
    return frame.drop(columns=lost).assign(**accuracies)


@pytest.fixture(autouse=True)
def own():
    with compared(METHODS):
        yield


# names and units


def test_names_stand_as_they_were_written():
    assert [label(name) for name in ("sgd", "SGD", "adam", "sam", "a", "mse")] == [
        "sgd",
        "SGD",
        "adam",
        "sam",
        "a",
        "mse",
    ]
    assert [label(name) for name in ("sdt", "tet", "ce")] == ["SDT", "TET", "CE"]
    assert loss_label("huber") == "huber loss"


@pytest.mark.parametrize(
    ("names", "unit"),
    [
        (["ce"], "nats"),
        (["sdt", "tet", "sdt"], "nats"),
        (["mse"], "units of mse"),
        (["tmc", "tmc"], "units of tmc"),
        (["ce", "mse"], "each loss's own units"),
    ],
)
def test_only_a_cross_entropy_is_in_nats(names, unit):
    assert loss_unit(names) == unit


@pytest.mark.parametrize("name", ["eigenvalues", "radius", "surfaces", "surface-lines", "sharpness", "training"])
def test_no_picture_of_another_loss_speaks_of_nats(name, foreign, figure):
    one = PICTURES[name]
    one.draw(figure, foreign[one.table])
    words = [caption_of(figure)]
    for ax in figure.axes:
        words += [ax.get_title(), ax.get_xlabel(), ax.get_ylabel()]
    assert "units of huber" in " ".join(words)
    assert not [word for word in words if "nats" in word]


# no time


@pytest.mark.parametrize("name", ["scalability", "per-timestep", "agreement", "momentum", "energy"])
def test_nothing_is_drawn_against_time_where_there_is_none(name, foreign, figure):
    one = PICTURES[name]
    known = foreign[one.table].assign(accuracy_cumulative=0.5, accuracy_at_step=0.5, accuracy=0.5)
    with pytest.raises(TableError, match="one timestep alone, T = 1"):
        one.draw(figure, known)


def test_the_only_step_s_gradient_has_no_panel_of_its_own():
    assert momentum.directions(["gradient", "momentum", "step-1"]) == ["gradient", "momentum"]
    assert momentum.directions(["gradient", "step-2", "step-1"]) == ["gradient", "step-1", "step-2"]


def test_calibration_without_time_is_a_point_a_method(foreign, figure):
    rows = foreign["timesteps"].assign(accuracy_cumulative=0.75)
    rows = rows[rows["split"] == "test"].reset_index(drop=True)
    curves = calibration.calibration(figure, rows)
    at = {method: curves["ece", method].line.get_xdata() for method in METHODS}
    assert [len(one) for one in at.values()] == [1, 1]
    assert at["adam"] != at["sgd"]
    for method in METHODS:
        expected = 100 * rows.loc[rows["method"] == method, "ece"].mean()
        assert np.ravel(curves["ece", method].line.get_ydata())[0] == pytest.approx(expected)
    assert "T" not in caption_of(figure).split()
    assert {ax.get_xlabel() for ax in figure.axes} == {"method"}
    with facing(*METHODS):
        assert "T = " not in calibration.reading({"timesteps": rows})


# no accuracy


def test_what_has_no_accuracy_has_no_panel_of_it(foreign, figure):
    assert {panel for panel, _ in surface_lines.lines(figure, foreign["surface"])} == {"huber"}
    assert [ax.get_title() for ax in figure.axes] == ["huber loss"]
    figure.clear()
    assert {panel for panel, *_ in training.history(figure, foreign["history"])} == {"huber"}
    assert [ax.get_title() for ax in figure.axes] == ["huber loss"]
    with facing(*METHODS):
        assert "accuracy" not in training.reading(foreign)


def test_a_switch_without_accuracy_has_three_panels_and_no_nan(foreign, figure):
    rows = foreign["switch"]
    rows = pd.concat([rows, rows.assign(loss="other")], ignore_index=True)
    switch.switch(figure, rows)
    assert len(figure.axes) == 3
    assert not [ax for ax in figure.axes if "nan" in ax.get_title() or "accuracy" in ax.get_title()]
    assert "accuracy" not in switch.reading({"switch": rows})


def test_one_loss_is_no_switch(foreign, figure):
    for call in (lambda: switch.switch(figure, foreign["switch"]), lambda: switch.reading(foreign)):
        with pytest.raises(TableError, match="one loss alone, huber: none to switch to"):
            call()


def test_robustness_is_of_the_loss_where_there_is_no_accuracy(foreign, figure):
    rows = foreign["robustness"]
    curves = robustness.robustness(figure, rows)
    part = rows.query("perturbation == 'weight_noise' and split == 'test'")
    means = part.pivot_table(index="strength", columns="method", values="value")
    first, second = METHODS[:2]
    np.testing.assert_allclose(curves["weight_noise", second].line.get_ydata(), means[second] - means[first])
    assert figure.axes[0].get_ylabel().startswith("test huber loss")
    with facing(*METHODS):
        said = robustness.reading(foreign)
    assert said.startswith("The rise of the test huber loss, averaged over strengths,")
    assert "accuracy" not in said


def test_energy_without_accuracy_says_so(figure):
    rows = made_up(seeds=3, methods=METHODS)["energy"].assign(accuracy=np.nan)
    with pytest.raises(TableError, match="no accuracy to set against the energy"):
        energy.accuracy(figure, rows)


def test_what_does_not_spike_takes_nothing_else_without_spikes(foreign):
    rows = foreign["energy"].assign(twin_joules=foreign["energy"]["joules"])
    with facing(*METHODS):
        said = energy.reading({"energy": rows})
    assert "without spikes" not in said
    assert "T = " not in said


def test_the_verdict_of_a_regression_is_its_test_loss():
    row = {
        "reference": "adam",
        "method": "sgd",
        "loss": "huber",
        "n": 3,
        "title": "",
        "flatter": "",
        "more_robust": "",
        "trust": "",
    }
    row |= {"measure": "test_loss", "difference": 0.25, "low": -0.5, "high": 1.0, "network": "n", "data": "d"}
    row |= {"trust": "interval contains zero"}
    said = verdict(pd.DataFrame([row]), {})
    assert "test loss +0.25 (-0.5 … 1) by huber, n = 3" in said
    assert "accuracy" not in said
    assert "nothing was measured on test data" in verdict(pd.DataFrame([row | {"measure": "trace"}]), {})


def test_curves_in_between_have_no_labels_over_the_others(figure):
    methods = ("low", "middle", "high")
    rows = made_up(seeds=3, methods=methods)["energy"]
    rows["accuracy"] = rows["accuracy"] * 0.5 + rows["method"].map({"low": 0.1, "middle": 0.2, "high": 0.3})
    with compared(methods):
        energy.accuracy(figure, rows)
    (ax,) = figure.axes
    own = {method: 100 * part.query("layer == 'total'").groupby("timesteps")["accuracy"].mean()
           for method, part in rows[rows["split"] == "test"].groupby("method")}  # fmt: skip
    heights = [text.xy[1] for text in ax.texts]
    np.testing.assert_allclose(sorted(heights), sorted([*own["low"], *own["high"]]))
    assert {text.get_va() for text in ax.texts} == {"bottom", "top"}
    assert "the same order on curves between" in caption_of(figure)


# sentences


def test_the_gradient_is_of_the_loss_that_it_is_of(foreign):
    with facing(*METHODS):
        assert momentum.gradient(foreign).startswith("The gradient of the huber loss ")
        ours = made_up(seeds=3, methods=("sdt", "tet"))["momentum"]
        with compared(("sdt", "tet")), facing("sdt", "tet"):
            assert momentum.gradient({"momentum": ours}).startswith("The gradient of the loss trained with ")


def test_where_training_ended_is_told_from_what_was_measured(foreign):
    steps = foreign["timesteps"].assign(accuracy_cumulative=0.75)
    steps.loc[steps["split"] == "train", "loss_huber"] = [1.0, 2.0, 3.0] * 2
    told = {"timesteps": steps, "settings": pd.DataFrame([identity("sgd", 0) | {"spiking": False}])}
    own = {name: frame[frame["method"] == "sgd"] for name, frame in told.items()}
    assert ending.loss_of(told) == "huber"
    half = 4.302652729911275 / 3**0.5  # t(0.975, 2) s / √3, s = 1
    expected = f"2 ({2 - half:.3g} … {2 + half:.3g}, n = 3)".replace("-", "−")
    assert ending.of(own, "huber") == ["no time", ending.UNSAID, expected, "75 % (75 … 75, n = 3)"]
    page = sections.networks(told)
    assert "epochs" not in page  # nobody says
    assert "last training loss (huber loss)" in page
    regression = sections.networks(told | {"timesteps": steps.assign(accuracy_cumulative=np.nan)})
    assert "accuracy" not in regression


def test_a_curve_comes_before_what_was_measured_after_it():
    frames = made_up(seeds=3, methods=METHODS)
    own = {name: frames[name][frames[name]["method"] == "sgd"] for name in ("history", "timesteps")}
    last = own["history"].query("epoch == 30")
    steps, epochs, loss, accuracy = ending.of(own, "sdt")
    assert (steps, epochs) == ("4", "30")
    assert loss.startswith(f"{last['train_loss_sdt'].mean():.3g} (")
    assert accuracy.startswith(f"{100 * last['test_accuracy'].mean():.4g} % (")


def test_a_summary_of_a_regression_does_not_ask_for_accuracy(foreign):
    told = summary.answers(foreign, alone=False)
    assert "accuracy" not in told["Which survives more?"]


# comparisons by a factor


def test_a_comparison_within_each_of_two_methods_is_drawn_and_told_apart():
    frames = made_up(seeds=4, methods=METHODS)
    one = frames["compare"].assign(reference="0.1", method="0.2", within="adam", flatter="")
    other = one.assign(within="sgd", difference=-one["difference"], low=-one["high"], high=-one["low"])
    both = pd.concat([one, other], ignore_index=True)
    parts = dict(rows.families(both))
    assert sorted(parts) == ["-digits-cnn-digits-adam", "-digits-cnn-digits-sgd"]
    assert [rows.place(part) for part in parts.values()] == [f"digits-cnn on digits, within {name}" for name in METHODS]
    for suffix, part in parts.items():
        assert set(part["within"]) == {suffix.rpartition("-")[2]}
        figure = Figure(figsize=(7, 4))
        markers = flatness.forest(figure, part)
        assert len(markers) == (part["side"] == "flatness").sum()
        assert len(rows.same(part, both)) == len(part)
        assert len(rows.same(part, frames["hessian"])) == len(frames["hessian"])
    told = dict(report_command._families({"compare": both, "hessian": frames["hessian"]}))
    assert list(told) == [f"digits-cnn on digits, within {name}" for name in METHODS]
    assert [set(own["compare"]["within"]) for own in told.values()] == [{"adam"}, {"sgd"}]
    assert [name for name, _ in rows.families(one)] == [""]


def test_points_of_all_methods_have_no_correlation_of_one(figure):
    frames = made_up(seeds=4, methods=METHODS)
    taus = pd.concat([frames["correlation"].assign(within=name) for name in METHODS])
    with pytest.raises(TableError, match="within each of several methods"):
        PICTURES["gap-in-loss"].draw(figure, frames["measures"], taus)
