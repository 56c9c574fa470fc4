"""What a comparison says of robustness, of many rows, of numbers of images, of other T, of runs that stopped short."""

import numpy as np
import pandas as pd
import pytest

from analysis import compare
from analysis.compare.measures import KEYS, measures

from .test_compare import SEEDS, identity, row, tables, write


def curves(
    accuracy: dict[str, dict[float, float]], perturbation: str = "lost_spikes", **columns: object
) -> pd.DataFrame:
    """A robustness table: accuracy by strength for each training loss, 1 % more for each seed; loss 1 − accuracy."""
    rows = [
        identity(training, seed)
        | {"split": "test", "perturbation": perturbation, "strength": strength, "loss": loss}
        | {"value": (1 - right - 0.01 * seed) * (1 + (loss == "tet")), "accuracy": right + 0.01 * seed}
        | {"accuracy_stderr": 0.0, "draws": 1, "images": 100}
        | columns
        for training, curve in accuracy.items()
        for seed in SEEDS
        for strength, right in curve.items()
        for loss in ("sdt", "tet")
    ]
    return pd.DataFrame(rows)


def test_a_robustness_curve_is_averaged_over_its_strengths():
    found = measures({"robustness": curves({"sdt": {0: 0.9, 0.1: 0.7, 0.4: 0.3}})})
    first = found[found["seed"] == 0].set_index(["measure", "loss"])
    mean = (0.1 * 0.8 + 0.3 * 0.5) / 0.4
    assert first.loc[("accuracy_under[lost_spikes,up to 0.4]", ""), "value"] == pytest.approx(mean)
    assert first.loc[("accuracy_lost[lost_spikes,up to 0.4]", ""), "value"] == pytest.approx(0.9 - mean)
    rise = first.loc["loss_rise[lost_spikes,up to 0.4]"]
    assert rise["value"].to_dict() == pytest.approx({"sdt": 0.9 - mean, "tet": 2 * (0.9 - mean)})
    assert first["better"].tolist() == ["higher", "lower", "lower", "lower"]
    assert (found["side"] == "robustness").all()


def test_rounding_is_averaged_over_bits_and_some_strengths_are_quoted():
    bits = curves({"sdt": {3: 0.5, 4: 0.8, 32: 0.9}}, "rounding")
    noise = curves({"sdt": {0: 0.9, 0.2: 0.6}}, "weight_noise", split="train")
    found = measures({"robustness": pd.concat([bits, noise])}).query("seed == 0 and loss == ''")
    assert found.set_index("measure")["value"].to_dict() == pytest.approx(
        {
            "accuracy_under[rounding,to 3, 4 bits]": 0.65,
            "accuracy_lost[rounding,to 3, 4 bits]": 0.25,
            "accuracy_under[rounding,to 4 bits]": 0.8,
            "accuracy_under[weight_noise train,up to 0.2]": 0.75,
            "accuracy_lost[weight_noise train,up to 0.2]": 0.15,
            "accuracy_under[weight_noise train,of 0.2]": 0.6,
        }
    )


def test_a_curve_without_the_unperturbed_network_has_no_rise():
    found = measures({"robustness": curves({"sdt": {0.1: 0.7, 0.4: 0.3}})}).set_index("measure")["value"]
    assert found["accuracy_under[lost_spikes,up to 0.4]"].iloc[0] == pytest.approx(0.5)
    assert found.filter(regex="accuracy_lost|rise").isna().all()


@pytest.mark.parametrize(("sdt", "tet", "who"), [(0.3, 0.5, "tet"), (0.5, 0.3, "sdt")])
def test_the_more_robust_side_is_named_whichever_way_the_measure_runs(sdt, tet, who, tmp_path):
    table = curves({"sdt": {0: 0.9, 0.1: sdt}, "tet": {0: 0.9, 0.1: tet}})
    table["accuracy"] += np.random.default_rng(0).normal(0, 1e-3, len(table) // 2).repeat(2)
    write(tmp_path, {"robustness": table})
    result = compare.run(compare.Config((tmp_path,), resamples=20))
    found = result.to_frame()
    accuracies = found[found["measure"].str.startswith("accuracy")]
    assert accuracies["better"].tolist() == ["higher", "lower"]
    assert (accuracies["more_robust"] == who).all()
    assert (found["flatter"] == "").all()
    assert f"{who} more robust" in compare.table(found, result.tables)


@pytest.mark.parametrize(("start", "doubted"), [(0.8, True), (0.9, False)])
def test_who_starts_higher_is_a_doubt_of_accuracy_under_and_not_of_what_is_lost(start, doubted, tmp_path):
    table = curves({"sdt": {0: start, 0.1: 0.3}, "tet": {0: 0.9, 0.1: 0.5}})
    table["accuracy"] += np.random.default_rng(1).normal(0, 0.01, len(table) // 2).repeat(2)
    write(tmp_path, {"robustness": pd.concat([table, table.assign(split="train", accuracy=table["accuracy"] / 2)])})
    result = compare.run(compare.Config((tmp_path,), resamples=20))
    found = result.to_frame().set_index("measure")["trust"].str.contains("undisturbed accuracies differ")
    assert found.filter(like="accuracy_under").tolist() == [doubted] * 2
    assert not found.drop(found.filter(like="accuracy_under").index).any()
    said = compare.table(result.to_frame(), result.tables)
    assert ("are in doubt: undisturbed accuracies differ" in said) is doubted


def test_the_last_lines_say_how_many_of_the_decided_rows_are_in_doubt(tmp_path):
    write(tmp_path, tables({"sdt": [10.0, 11, 12, 13], "tet": [5.0, 5.5, 6.5, 7]}))
    result = compare.run(compare.Config((tmp_path,), resamples=20))
    said = compare.table(result.to_frame(), result.tables)
    assert said.endswith("of cases; the one decided is in doubt: changes when weights are rescaled")
    trusted = result.to_frame().assign(trust="")
    assert "in doubt" not in compare.table(trusted, result.tables)


def test_p_is_adjusted_among_rows_about_the_same_question(tmp_path):
    found = tables({"sdt": [10.0, 11, 12, 13], "tet": [5.0, 5.5, 6.5, 7]})
    lost = curves({"sdt": {0: 0.9, 0.1: 0.5}, "tet": {0: 0.9, 0.1: 0.6}})
    lost[["accuracy", "value"]] += np.random.default_rng(0).normal(0, 0.05, (len(lost), 2))
    write(tmp_path, found | {"robustness": lost})
    result = compare.run(compare.Config((tmp_path,), resamples=20)).to_frame()
    robust = result[result["side"] == "robustness"].sort_values("p")
    flat = result[result["side"] == "flatness"]
    assert (len(robust), len(flat)) == (4, 1)
    assert flat["p"].iloc[0] < robust["p"].iloc[0]
    assert flat["p_adjusted"].iloc[0] == flat["p"].iloc[0]
    assert robust["p_adjusted"].iloc[0] == pytest.approx(min(1, 4 * robust["p"].iloc[0]))


def test_an_interval_that_many_rows_explain_is_doubted(tmp_path):
    found = tables({"sdt": [10.0, 11, 12, 13], "tet": [9.5, 10.9, 11.2, 12.4]})
    table = found["hessian"]
    noise = np.random.default_rng(1).normal(size=(15, len(table)))
    sharp = [
        table[table["rank"] == 1].drop(columns=["rank", "eigenvalue", "operator"]).assign(
            split="train", measure="average", radius=0.1 + k, value=5 + row[: len(table) // 2], rescaling="invariant"
        )
        for k, row in enumerate(noise)
    ]  # fmt: skip
    write(tmp_path, {"timesteps": found["timesteps"], "hessian": table, "sharpness": pd.concat(sharp)})
    result = compare.run(compare.Config((tmp_path,), resamples=20))
    top = row(result, "top_eigenvalue[hessian]")
    assert top["p"] < 0.05 < top["p_adjusted"]
    assert top["flatter"] == "tet"
    assert "one of many rows: not below 5 % after Holm's adjustment" in top["trust"].split("; ")


def test_the_number_of_intervals_that_chance_explains_is_said(tmp_path):
    write(tmp_path, tables({"sdt": [10.0, 11, 12, 13], "tet": [5.0, 5.5, 6.5, 7]}))
    result = compare.run(compare.Config((tmp_path,), resamples=20))
    said = compare.table(result.to_frame(), result.tables)
    (count,) = result.tables["counts"].to_dict("records")
    assert (count["rows"], count["reference_rows"], count["method_rows"]) == (1, 0, 1)
    assert 0.01 < count["p_method"] < 0.1
    assert f"flatter: of 1 rows sdt in 0 (p = 1), tet in 1 (p = {count['p_method']:.2g})" in said


def test_the_images_of_a_gap_are_stated_and_must_agree(tmp_path):
    found = tables({"sdt": [1.0, 2, 3], "tet": [2.0, 3, 4]})
    steps = found["timesteps"]
    steps["images"] = np.where(steps["split"] == "train", 200, 1597)
    write(tmp_path / "a", found)
    gap = row(compare.run(compare.Config((tmp_path / "a",), resamples=20)), "gap_in_loss")
    assert gap["images"] == "200 train, 1597 test"
    assert "numbers of examples differ" not in gap["trust"]
    steps.loc[(steps["split"] == "test") & (steps["training"] == "tet"), "images"] = 500
    write(tmp_path / "b", found)
    gap = row(compare.run(compare.Config((tmp_path / "b",), resamples=20)), "gap_in_loss")
    assert gap["images"] == "200 train, 1597 test, or 200 train, 500 test"
    assert "numbers of examples differ" in gap["trust"]


def test_curves_and_surfaces_keep_their_numbers_of_images():
    assert (measures({"robustness": curves({"sdt": {0: 0.9, 0.1: 0.7}}, images=500)})["images"] == "500").all()
    points = [(alpha, 100 if alpha else 50) for alpha in (-1, -0.5, 0, 0.5, 1)]  # fewer sufficed at the centre
    line = {"loss": "sdt", "split": "train", "kind": "line", "draw": 0, "beta": 0.0, "value": 1.0}
    surface = pd.DataFrame([identity("sdt", 0) | line | {"alpha": alpha, "images": n} for alpha, n in points])
    assert "100" in measures({"surface": surface})["images"].tolist()


def test_networks_of_other_timesteps_in_one_folder_are_compared_apart(tmp_path):
    first, second = (tables({"sdt": [1.0, 2, 3], "tet": [2.0, 3, 4]}) for _ in range(2))
    for table in second.values():
        table["checkpoint"] = "t4-" + table["checkpoint"]
    second["timesteps"]["trained_timesteps"] = 4
    write(tmp_path, {name: pd.concat([first[name], second[name]]) for name in first})
    result = compare.run(compare.Config((tmp_path,), resamples=20))
    assert set(result.to_frame()["timesteps"]) == {"2", "4"}
    assert (result.to_frame()["n"] == 3).all()
    assert set(result.tables["correlation"]["timesteps"]) == {"2", "4"}
    assert "timesteps" in compare.table(result.to_frame(), result.tables)


def test_two_runs_of_one_name_are_refused(tmp_path, capsys):
    first, second = (tables({"sdt": [1.0, 2, 3], "tet": [2.0, 3, 4]}) for _ in range(2))
    for table in second.values():
        table["checkpoint"] = "again-" + table["checkpoint"]
    write(tmp_path, {name: pd.concat([first[name], second[name]]) for name in first})
    assert compare.main([str(tmp_path)]) == 1
    assert "compare them apart" in capsys.readouterr().err


def test_a_run_short_of_the_loss_asked_for_is_doubted(tmp_path):
    for reached in (True, False):
        found = tables({"sdt": [9.0, 10, 11], "tet": [1.0, 2, 3]})
        runs = found["hessian"].drop_duplicates("checkpoint")[[*KEYS]]
        short = (runs["seed"] == 1) & (runs["method"] == "tet")
        found["settings"] = runs.assign(learning_rate=0.1, until_loss_reached=reached | ~short)
        write(tmp_path / str(reached), found)
        result = compare.run(compare.Config((tmp_path / str(reached),), resamples=20))
        trust = row(result, "top_eigenvalue[hessian]")["trust"]
        assert ("training loss asked for not reached" in trust.split("; ")) is not reached
