"""Methods whose seeds don't pair with the reference's, by radius: told why, and doubted as the others are."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import compare
from figures.pictures.rise import reading
from tables.answer import answer
from tables.reading import read

from .test_compare import identity, write

RADII = (0.1, 0.5, 1.0)
SCALED = "not so with logits at one scale"
SEEDS = {"sdt": range(4), "tet": range(4), "own": range(100, 104)}  # own has none of the reference's seeds


def rises(seeds: dict[str, range], slopes: dict[tuple[str, str], float] | None = None) -> pd.DataFrame:
    """Curves along planes and noise: slope by method and logits (1 for what isn't named), scattered by seed."""
    rng, rows = np.random.default_rng(0), []
    for method, own in seeds.items():
        for seed in own:
            for logits in ("plain", "network"):
                slope = (slopes or {}).get((method, logits), 1.0) + rng.normal(0, 0.05)
                for along in ("plane", "noise"):
                    place = {"loss": "sdt", "split": "train", "along": along, "draw": 0, "images": 9, "value": 1.0}
                    head = identity(method, seed) | place | {"logits": logits}
                    rows += [head | {"radius": radius, "rise": slope * radius} for radius in RADII]
    return pd.DataFrame(rows)


def made(seeds: dict[str, range], rise: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Curvatures, of which that of "own" and "tet" is the smaller, beside the rises."""
    rows = [
        identity(method, seed) | {"loss": "sdt", "operator": "hessian", "rank": 1, "converged": True}
        | {"eigenvalue": (10 if method == "sdt" else 5) * (1 + 0.01 * place)}
        for method, own in seeds.items()
        for place, seed in enumerate(own)
    ]  # fmt: skip
    return {"hessian": pd.DataFrame(rows), "rise": rise}


def compared(folder, seeds, rise):
    write(folder, made(seeds, rise))
    return compare.run(compare.Config((folder,), resamples=20))


def verdict(result, method: str) -> pd.Series:
    frame = result.tables["crossovers"]
    (place,) = np.flatnonzero((frame["method"] == method) & (frame["along"] == "plane") & (frame["logits"] == "plain"))
    return frame.iloc[place]


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize(
    ("own", "says", "n"),
    [
        (range(100, 104), "own and sdt: no seeds in common (curves take pairs; rows are by Welch's interval)", 0),
        (range(3, 7), "own and sdt: one seed in common (curves take pairs; rows are by Welch's interval)", 1),
        (range(2, 6), "own against sdt: 2 seeds are too few to say", 2),
        (range(1, 5), "own against sdt: flatter from 0.1 to 1", 3),
    ],
)
def test_every_method_that_is_compared_has_a_verdict_by_radius_or_the_reason_for_none(own, says, n, tmp_path, capsys):
    seeds = SEEDS | {"own": own}
    result = compared(tmp_path, seeds, rises(seeds, {("own", "plain"): 0.2, ("own", "network"): 0.2}))
    assert set(result.tables["crossovers"]["method"]) == set(result.to_frame()["method"]) == {"tet", "own"}
    found = verdict(result, "own")
    assert (found["verdict"], found["n"]) == (says, n)
    (row,) = result.to_frame().query("method == 'own' and measure == 'top_eigenvalue[hessian]'").to_dict("records")
    assert row["paired"] == (n > 1)
    said = says.partition(": ")[2]
    assert f"  by radius: {'own is ' if n > 2 else ''}{said} (sdt loss)" in compare.verdict(
        result.to_frame(), result.tables
    )
    told = answer(result.tables).flatter
    if n < 2:
        assert f"By radius own has {said.replace('common', 'common with sdt')}. By " in told
        assert "alone, own (−" in told.rpartition(". By ")[2]  # by a row, as the others are by radius
        assert "tet" in told.partition("own has")[0]
    assert "own" in told
    seen = reading(result.tables)
    assert f"with logits as they are own {'is' if n > 2 else 'has no verdict:'} {said}" in seen
    assert "with logits as they are TET is undecided from 0.1 to 1" in seen
    assert compare.main([str(tmp_path)]) == 0
    assert "own" in capsys.readouterr().out.partition("Which generalizes")[0].casefold()


def test_where_no_method_pairs_the_answer_is_a_rows_and_nothing_is_said_of_planes(tmp_path):
    seeds = {"sdt": range(4), "own": range(9, 13)}
    result = compared(tmp_path, seeds, rises(seeds))
    assert "rise_curves" not in result.tables
    told = answer(result.tables)
    assert told.flatter.startswith("By radius own has no seeds in common with sdt (curves take pairs;")
    assert "flatter than sdt" in told.flatter
    assert "planes" not in told.flatter
    result.save(tmp_path / "tables")
    assert read(tmp_path, "crossovers")["verdict"].nunique() == 1


def test_curves_of_seeds_apart_beside_rows_that_pair_claim_no_welch(tmp_path):
    seeds = {"sdt": range(8), "tet": range(8)}
    rise = rises(seeds)
    half = rise[(rise["seed"] < 4) == (rise["method"] == "sdt")]
    found = verdict(compared(tmp_path, seeds, half), "tet")
    assert found["verdict"] == "tet and sdt: no seeds in common (curves take pairs)"


@pytest.mark.parametrize("lacking", ["own", "sdt"])
def test_a_method_without_curves_is_named(lacking, tmp_path):
    seeds = {name: range(4) for name in SEEDS}
    rise = rises(seeds)
    result = compared(tmp_path, seeds, rise[rise["method"] != lacking])
    said = {name: verdict(result, name)["verdict"] for name in ("tet", "own")}
    assert said["own"] == f"own and sdt: the rise of {lacking} wasn't measured here"
    assert (said["tet"] == "tet and sdt: the rise of sdt wasn't measured here") is (lacking == "sdt")
    assert "own" in answer(result.tables).flatter


@pytest.mark.parametrize("slope", [0.2, 1.0])
def test_rows_that_dont_pair_are_doubted_for_the_logits_scale_by_welch_s_interval_at_that_radius(slope, tmp_path):
    slopes = {(name, "network"): slope for name in ("tet", "own")}
    rise = rises(SEEDS, {(name, "plain"): 0.2 for name in ("tet", "own")} | slopes)
    frame = compared(tmp_path, SEEDS, rise).to_frame().query("measure == 'top_eigenvalue[hessian]'")
    assert frame.set_index("method")["flatter"].to_dict() == {"tet": "tet", "own": "own"}
    near = rise.query("along == 'noise' and logits == 'network' and radius == 0.1").groupby("method")["rise"]
    one, other = (near.get_group(name) for name in ("sdt", "own"))
    decided = stats.ttest_ind(one, other, equal_var=False).pvalue < 0.05
    assert decided == (slope < 1)
    for trust in frame["trust"]:
        assert (SCALED in trust) != decided


def test_a_method_that_pairs_is_told_the_same_beside_one_that_doesnt(tmp_path):
    seeds = {name: range(4) for name in ("sdt", "tet")}
    alone = compared(tmp_path / "a", seeds, rises(seeds))
    more = compared(tmp_path / "b", SEEDS, rises(SEEDS))
    for name in ("rise_curves", "crossovers"):
        own = more.tables[name].query("method == 'tet'").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, alone.tables[name], check_dtype=False)
