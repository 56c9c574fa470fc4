"""Table counts through the comparison: which side's rows are whose, rows that pair otherwise, what Holm is over."""

import numpy as np
import pandas as pd
import pytest

from analysis import compare

from .test_compare import tables, write

TOP = {"sdt": [10.0, 11, 12, 13], "tet": [5.0, 5.5, 6.5, 7]}


def test_a_row_whose_seeds_do_not_pair_leaves_the_count_to_those_that_do(tmp_path):
    found = tables(TOP)
    trace = found["hessian"].query("rank == 1").drop(columns=["rank", "converged"])
    trace = trace.rename(columns={"eigenvalue": "trace"})
    steps, other = found["timesteps"], trace["method"].eq("tet")
    steps = steps[steps["method"] == "tet"]
    steps = steps.assign(seed=steps["seed"] + 10, checkpoint="t-" + steps["checkpoint"])
    trace.loc[other, "checkpoint"], trace.loc[other, "seed"] = "t-" + trace["checkpoint"], trace["seed"] + 10
    found |= {"trace": trace, "timesteps": pd.concat([found["timesteps"], steps], ignore_index=True)}
    write(tmp_path, found)
    result = compare.run(compare.Config((tmp_path,), resamples=20))
    named = result.to_frame().query("side == 'flatness'").set_index("measure")
    assert named["paired"].to_dict() == {"top_eigenvalue[hessian]": True, "trace[hessian]": False}
    assert (named["flatter"] == "tet").all()
    (count,) = result.tables["counts"].to_dict("records")
    assert (count["rows"], count["method_rows"], count["reference_rows"]) == (1, 1, 0)


def robust(better: str) -> dict[str, pd.DataFrame]:
    """Tables of networks of which one side's survive more."""
    low, high = (0.3, 0.9) if better == "method" else (0.9, 0.3)
    rng, rows = np.random.default_rng(0), []
    runs = tables(TOP)["hessian"].drop_duplicates("checkpoint")
    for run in runs.drop(columns=["loss", "operator", "rank", "eigenvalue", "converged"]).to_dict("records"):
        end = (low if run["method"] == "sdt" else high) + rng.normal(0, 0.01)
        for strength, accuracy in ((0.0, 0.95), (0.3, end)):
            place = {"split": "test", "perturbation": "lost_spikes", "strength": strength, "loss": "sdt"}
            place |= {"value": 1 - accuracy, "accuracy": accuracy, "accuracy_stderr": 0.0, "draws": 1, "images": 90}
            rows.append(run | place)
    return tables(TOP) | {"robustness": pd.DataFrame(rows)}


@pytest.mark.parametrize("better", ["reference", "method"])
def test_each_side_s_rows_and_chance_are_its_own_whichever_values_are_better(better, tmp_path):
    """Accuracy under noise is better where higher, what it loses and the loss's rise where lower."""
    write(tmp_path, robust(better))
    result = compare.run(compare.Config((tmp_path,), resamples=20))
    side = result.to_frame().query("side == 'robustness'")
    name = "tet" if better == "method" else "sdt"
    assert set(side["better"]) == {"lower", "higher"}
    assert (side["more_robust"] == name).all()
    count = result.tables["counts"].set_index("side").loc["robustness"]
    other = "reference" if better == "method" else "method"
    assert (count["rows"], count[f"{better}_rows"], count[f"{other}_rows"]) == (3, 3, 0)
    assert count[f"p_{better}"] == pytest.approx(0.05, abs=0.01)  # three rows that are one: called together, or not
    assert count[f"p_{other}"] == 1


def test_holm_is_over_the_rows_about_one_question(tmp_path):
    found = robust("method")
    rng, steps = np.random.default_rng(1), found["timesteps"]
    for column in ("accuracy_cumulative", "loss_sdt", "loss_tet"):
        steps[column] += rng.normal(0, 0.01, len(steps))
    write(tmp_path, found)
    table = compare.run(compare.Config((tmp_path,), resamples=20)).to_frame()
    questions = [table["side"] == "flatness", table["side"] == "robustness"]
    questions.append(~questions[0] & ~questions[1])
    assert [int(about.sum()) for about in questions[:2]] == [1, 3]
    assert table.loc[questions[2], "p"].notna().sum() > 5
    for about in questions:
        known = table[about & table["p"].notna()].sort_values("p")
        largest = 0.0
        for place, (_, row) in enumerate(known.iterrows()):
            largest = max(largest, (len(known) - place) * row["p"])
            assert row["p_adjusted"] == pytest.approx(min(1.0, largest))


@pytest.mark.parametrize("shift", [0, 10])
@pytest.mark.parametrize("seeds", [2, 3])
def test_no_side_is_named_for_fewer_than_three_seeds_however_sure_they_look(seeds, shift, tmp_path):
    """Paired, and between groups that share no seed: the interval is there, and says nothing of a side."""
    found = robust("method")
    for name, table in found.items():
        other = table["method"] == "tet"
        kept = table[table["seed"] < seeds].copy()
        kept.loc[other, "checkpoint"] += "-other"
        kept.loc[other, "seed"] += shift
        found[name] = kept
    write(tmp_path, found)
    result = compare.run(compare.Config((tmp_path,), resamples=20))
    rows = result.to_frame().query("side in ('flatness', 'robustness')")
    assert (rows["paired"] == (shift == 0)).all()
    assert (rows["n"] == seeds).all()
    assert (rows["high"].lt(0) | rows["low"].gt(0)).any()
    named = (rows["flatter"] != "") | (rows["more_robust"] != "")
    assert named.any() == ("counts" in result.tables) == (seeds > 2)
    assert rows["trust"].str.contains("fewer than three seeds").all() == (seeds < 3)
