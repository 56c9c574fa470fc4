"""The answer in three lines: never more than its intervals, for two methods or eight, whatever was measured."""

import pandas as pd
import pytest

from tables.answer import _reach, answer, decided, parts
from tables.headlines import MOST, headlines
from tests.figure_tables import made_up

HOLE = "tet against sdt: sharper from 0.1 to 0.2, undecided to 0.4, sharper to 0.5, undecided to 0.7, flatter to 1"


def row(measure: str, difference: float, low: float, high: float, **others) -> dict[str, object]:
    head: dict[str, object] = {"network": "n", "data": "d", "timesteps": "4", "within": ""}
    head |= {"measure": measure, "title": measure}
    head |= {"loss": "", "side": "", "reference": "sdt", "method": "tet", "reference_mean": 1.0, "n": 5, "trust": ""}
    return head | {"difference": difference, "low": low, "high": high} | others


def crossover(verdict: str, **others) -> dict[str, object]:
    head = {"network": "n", "data": "d", "timesteps": "4", "within": "", "loss": "sdt", "along": "plane"}
    return head | {"logits": "plain", "reference": "sdt", "method": "tet", "verdict": verdict} | others


def told(rows, crossovers=(), **tables):
    frames = {"compare": pd.DataFrame(rows), **tables}
    if crossovers:
        frames["crossovers"] = pd.DataFrame(crossovers)
    return answer(frames)


def test_a_range_has_no_hole():
    assert decided(HOLE) == [("sharper", 0.1, 0.2), ("sharper", 0.4, 0.5), ("flatter", 0.7, 1.0)]
    said = told([row("test_accuracy", 0, -1, 1)], [crossover(HOLE)]).flatter
    assert "sharper than sdt from radius 0.1 to 0.2, sharper from 0.4 to 0.5 and flatter from 0.7 to 1" in said


@pytest.mark.parametrize(
    ("verdict", "says"),
    [
        ("tet and sdt: undecided from 0.1 to 1", "tet can't be told from sdt at any radius from 0.1 to 1."),
        ("tet against sdt: 2 seeds are too few to say", "tet can't be told from sdt by 2 seeds."),
        ("tet against sdt: flatter from 0.1 to 1", "tet is flatter than sdt from radius 0.1 to 1."),
    ],
)
def test_radii_are_told_as_far_as_they_are_decided(verdict, says):
    assert told([row("test_accuracy", 0, -1, 1)], [crossover(verdict)]).flatter == f"On random planes {says}"


def test_without_radii_a_row_chosen_beforehand_speaks_and_without_any_nothing():
    flat = [row("trace[x]", -2, -3, -1, side="flatness"), row("top_eigenvalue[x]", 5, 4, 6, side="flatness")]
    assert told(flat).flatter == "By trace[x] alone, tet (−2; −3 … −1) is flatter than sdt."
    assert told([row("test_accuracy", 0, -1, 1)]).flatter == "No measure of flatness was compared."


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.1, 0.617, "from 0.1 to 0.62"), (0.195, 0.203, "at 0.2 alone"), (1.0, 1.04, "at 1 alone")],
)
def test_ends_between_radii_that_were_measured_are_in_two_digits(low, high, said):
    assert _reach(low, high, "") == said


def test_a_decided_loss_is_not_left_out_beside_an_undecided_accuracy():
    rows = [row("test_accuracy", 0.001, -0.002, 0.004)]
    rows += [row("test_loss", 0.3, 0.2, 0.4, loss="sdt"), row("test_loss", 0.2, 0.1, 0.3, loss="tet")]
    assert told(rows).better == (
        "In test accuracy tet (+0.1 points; −0.2 … 0.4) can't be told from sdt; "
        "in test loss (sdt; by tet too) tet (+0.3; 0.2 … 0.4) is worse than sdt."
    )
    rows[-1] |= {"low": -0.1}
    assert "alike" not in told(rows).better
    assert told([row("test_loss", 0, -1, 1, loss="ce")]).better == "In test loss none can be told apart."
    assert told([row("trace[x]", 0, -1, 1)]).better == "Nothing was measured on test data."


def test_what_holm_does_not_let_pass_is_said_beside_it():
    holm = "one of many rows: not below 5 % after Holm's adjustment"
    said = told([row("test_accuracy", 0.01, 0.005, 0.015, trust=holm)]).better
    assert said == "In test accuracy tet (+1 points; 0.5 … 1.5, one of many rows) is better than sdt."


def test_what_depends_on_the_logits_scale_is_told_of_the_methods_it_concerns():
    plain, scaled = "flatter from 0.1 to 1", "sharper from 0.5 to 1"
    rows = [
        crossover(f"{name} against sdt: {verdict}", method=name, logits=logits, depends_on_scale=depends)
        for name, depends in (("tet", "network: 0.5 to 1"), ("own", ""))
        for logits, verdict in (("plain", plain), ("network", scaled if depends else plain))
    ]
    said = told([row("test_accuracy", 0, -1, 1)], rows).doubt
    assert said.startswith("With logits at one scale tet is sharper than sdt from radius 0.5 to 1:")
    assert "own" not in said
    assert told([row("x", 0, -1, 1)], rows[2:]).doubt.startswith("Which is flatter holds with logits at one scale.")


def test_doubts_are_of_the_methods_that_have_them():
    rows = [
        row("trace", 1, 0.5, 2, side="flatness", trust="training losses differ; not converged"),
        row("trace", 1, 0.5, 2, side="flatness", method="own"),
    ]
    settings = pd.DataFrame({"vary_data": [False]})
    said = told(rows, settings=settings).doubt
    assert said == "Training losses differ (tet). Intervals are over 5 seeds, and one training set."
    assert told([one | {"n": 2} for one in rows]).doubt.endswith("2 seeds a side: too few to tell anything apart.")


def test_networks_are_answered_for_apart():
    rows = [row("test_accuracy", 0, -1, 1), row("test_accuracy", 0.1, 0.05, 0.2, network="m")]
    (first, one), (second, other) = parts({"compare": pd.DataFrame(rows)})
    assert (first, second) == ("m on d", "n on d")
    assert "better than" in answer(one).better
    assert "can't be told" in answer(other).better


@pytest.mark.parametrize("methods", [("a", "b"), tuple("abcdefgh")])
def test_eight_rows_of_every_method_and_in_one_order(methods):
    compare = made_up(seeds=3, methods=methods)["compare"]
    chosen = headlines(compare)
    assert chosen.groupby("method")["measure"].apply(list).map(tuple).nunique() == 1
    assert (chosen.groupby("method").size() <= MOST).all()
    assert set(chosen["method"]) == set(methods[1:])
    assert "test_accuracy" in set(chosen["measure"])
    assert chosen["measure"].value_counts().eq(len(methods) - 1).all()
