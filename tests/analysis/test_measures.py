"""Which rows of the analyses' tables each measure is the mean of."""

import numpy as np
import pandas as pd
import pytest

from analysis.compare.measures import KEYS, READ, measures
from tests.figure_tables import complete

HEAD = dict(zip(KEYS, ("a", "digits-cnn", "digits", "sdt", "sdt", 0), strict=True))


def made(name: str, rows: list[dict[str, object]]) -> pd.DataFrame:
    """The measures of one checkpoint's table, by id and loss."""
    found = measures({name: pd.DataFrame([HEAD | row for row in rows])})
    return found.set_index(["measure", "loss"])


def test_the_descent_ratio_is_at_the_step_nearest_to_a_hundredth_on_a_log_scale_and_named_by_it():
    steps = {0.0001: 1.0, 0.003: 2.0, 0.02: 3.0, 1.0: 4.0}  # 0.003 is the nearer one by difference
    rows = [
        {"loss": loss, "direction": direction, "relative_step": step, "ratio": ratio + 10 * (direction != "gradient")}
        for loss in ("sdt", "tet")
        for direction in ("gradient", "momentum")
        for step, ratio in steps.items()
    ]
    found = made("descent", rows)["value"]
    assert found.to_dict() == {("descent_ratio[0.02]", "sdt"): 3.0, ("descent_ratio[0.02]", "tet"): 3.0}


def test_gradients_are_those_of_the_whole_and_not_of_a_timestep():
    rows = [{"loss": "sdt", "timestep": t, "gradient_norm": 1.0 + t, "coherence": 0.5 / (1 + t)} for t in range(4)]
    found = made("momentum", rows)["value"]
    assert found.to_dict() == {("gradient_norm", "sdt"): 1.0, ("coherence", "sdt"): 0.5}


def test_energy_is_the_total_at_the_t_trained_with():
    rows = [
        {"split": "test", "timesteps": t, "trained_timesteps": 2, "layer": layer, "joules": t * joules, "images": 90}
        for t in (1, 2, 4)
        for layer, joules in (("conv", 1.0), ("total", 5.0))
    ]
    found = made("energy", rows)
    assert found["value"].to_dict() == {("energy", ""): 10.0}
    assert found["images"].tolist() == ["90"]


def test_the_top_eigenvalue_is_of_rank_one_and_the_smallest_is_no_measure():
    rows = [
        {"loss": "sdt", "operator": "hessian", "rank": rank, "eigenvalue": value, "converged": rank != -1}
        for rank, value in ((1, 7.0), (2, 3.0), (-1, -9.0))
    ]
    found = made("hessian", rows)
    assert found["value"].to_dict() == {("top_eigenvalue[hessian]", "sdt"): 7.0}
    assert found["converged"].all()


@pytest.mark.parametrize(("measure", "power"), [("pac_bayes_sigma", -2), ("pac_bayes_sigma_magnitude", -2)])
def test_a_noise_that_is_borne_counts_by_its_inverse_square(measure, power):
    rows = [{"loss": "sdt", "split": "train", "images": 9, "measure": measure, "setting": "rise of loss 0.1",
             "radius": np.nan, "value": 0.25, "rescaling": "changes"}]  # fmt: skip
    assert made("sharpness", rows)["value"].to_dict() == {(f"{measure}[rise of loss 0.1]", "sdt"): 0.25**power}


def test_rises_at_one_scale_are_at_half_a_unit_and_logits_are_as_large_as_they_are():
    values = {"plain": 1.0, "network": 10.0, "example": 100.0}
    rows = [
        {"loss": loss, "logits": logits, "split": "train", "along": along, "draw": draw, "radius": radius, "images": 20,
         "rise": value * radius + draw + 1000 * (along == "plane") + 5000 * (along == "line"), "rms": 3.5}
        for loss in ("sdt", "tet")
        for logits, value in values.items()
        for along in ("line", "plane", "noise")
        for draw in (0, 1)
        for radius in (0.2, 0.5, 1.0)
    ]  # fmt: skip
    found = made("rise", rows)
    expected = {("logit_scale", ""): 3.5}
    for loss in ("sdt", "tet"):
        expected |= {("rise_at_one_scale[noise,0.5]", loss): 5.5, ("rise_at_one_scale[plane,0.5]", loss): 1005.5}
    assert found["value"].to_dict() == expected
    assert set(found["images"]) == {"20"}
    assert found.loc[("rise_at_one_scale[noise,0.5]", "sdt"), "title"] == "rise at 0.5 on noise, logits at one scale"
    nowhere = made("rise", [row | {"radius": row["radius"] / 2} for row in rows if row["radius"] != 1.0])  # type: ignore[operator]
    assert list(nowhere.index) == [("logit_scale", "")]


MADE = {
    name: table for name, table in complete(seeds=2).items() if name in READ and name not in ("outcomes", "settings")
}

PLACES = {"alpha", "beta", "radius", "strength", "relative_step", "draw"}  # what says where a number is taken


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", MADE)
def test_a_number_that_is_missing_is_never_averaged_away(name):
    """Each number of a checkpoint's rows in turn: a measure is what it was, or missing, and no other number."""
    table, rng = MADE[name], np.random.default_rng(0)
    table = table[table["checkpoint"] == table["checkpoint"].iloc[0]]
    before = measures({name: table}).set_index(["checkpoint", "measure", "loss"])["value"]
    measured = [column for column in table.select_dtypes("float") if column not in PLACES]
    changed = 0
    for column in measured:
        for place in rng.choice(len(table), min(len(table), 60), replace=False):
            broken = table.astype({column: float})
            broken.iloc[place, broken.columns.get_loc(column)] = np.nan
            after = measures({name: broken}).set_index(["checkpoint", "measure", "loss"])["value"].reindex(before.index)
            told = after.dropna()
            assert told.to_numpy() == pytest.approx(before[told.index].to_numpy()), (column, place)
            changed += len(before) - len(told)
    assert changed
