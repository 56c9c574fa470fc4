"""What a comparison says of robustness, of many rows, of numbers of images, of other T, of runs that stopped short."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis import compare
from analysis.compare.measures import measures
from models.checkpoint import load, save

from .test_compare import SEEDS, identity, row, tables, write


def curves(
    accuracy: dict[str, dict[float, float]], perturbation: str = "lost_spikes", **columns: object
) -> pd.DataFrame:
    """A robustness table: accuracy by strength for each training loss, 1 % more for each seed; loss 1 − accuracy."""
    rows = [
        identity(training, seed)
        | {"split": "test", "perturbation": perturbation, "strength": strength, "loss": loss}
        | {"value": (1 - right - 0.01 * seed) * (1 + (loss == "tet")), "accuracy": right + 0.01 * seed}
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
    assert first.loc[("accuracy under lost spikes up to 0.4", ""), "value"] == pytest.approx(mean)
    assert first.loc[("accuracy lost to lost spikes up to 0.4", ""), "value"] == pytest.approx(0.9 - mean)
    rise = first.loc["rise of loss under lost spikes up to 0.4"]
    assert rise["value"].to_dict() == pytest.approx({"sdt": 0.9 - mean, "tet": 2 * (0.9 - mean)})
    assert first["robust"].tolist() == ["higher", "lower", "lower", "lower"]
    assert not found["flatness"].any()


def test_rounding_is_averaged_over_bits_and_some_strengths_are_quoted():
    bits = curves({"sdt": {3: 0.5, 4: 0.8, 32: 0.9}}, "rounding")
    noise = curves({"sdt": {0: 0.9, 0.2: 0.6}}, "weight_noise", split="train")
    found = measures({"robustness": pd.concat([bits, noise])}).query("seed == 0 and loss == ''")
    assert found.set_index("measure")["value"].to_dict() == pytest.approx(
        {
            "accuracy under rounding to 3, 4 bits": 0.65,
            "accuracy lost to rounding to 3, 4 bits": 0.25,
            "accuracy under rounding to 4 bits": 0.8,
            "accuracy under weight noise, training images up to 0.2": 0.75,
            "accuracy lost to weight noise, training images up to 0.2": 0.15,
            "accuracy under weight noise, training images of 0.2": 0.6,
        }
    )


def test_a_curve_without_the_unperturbed_network_has_no_rise():
    found = measures({"robustness": curves({"sdt": {0.1: 0.7, 0.4: 0.3}})}).set_index("measure")["value"]
    assert found["accuracy under lost spikes up to 0.4"].iloc[0] == pytest.approx(0.5)
    assert found.filter(regex="lost to|rise").isna().all()


@pytest.mark.parametrize(("sdt", "tet", "who"), [(0.3, 0.5, "tet"), (0.5, 0.3, "sdt")])
def test_the_more_robust_side_is_named_whichever_way_the_measure_runs(sdt, tet, who, tmp_path):
    table = curves({"sdt": {0: 0.9, 0.1: sdt}, "tet": {0: 0.9, 0.1: tet}})
    table["accuracy"] += np.random.default_rng(0).normal(0, 1e-3, len(table) // 2).repeat(2)
    write(tmp_path, {"robustness": table})
    result = compare.run(compare.Config((tmp_path,), resamples=20))
    found = result.to_frame()
    accuracies = found[found["measure"].str.startswith("accuracy")]
    assert accuracies["robust"].tolist() == ["higher", "lower"]
    assert (accuracies["more_robust"] == who).all()
    assert (found["flatter"] == "").all()
    assert f"{who} more robust" in compare.table(found)


def test_p_is_adjusted_among_rows_about_the_same_question(tmp_path):
    found = tables({"sdt": [10.0, 11, 12, 13], "tet": [5.0, 5.5, 6.5, 7]})
    lost = curves({"sdt": {0: 0.9, 0.1: 0.5}, "tet": {0: 0.9, 0.1: 0.6}})
    lost[["accuracy", "value"]] += np.random.default_rng(0).normal(0, 0.05, (len(lost), 2))
    write(tmp_path, found | {"robustness": lost})
    result = compare.run(compare.Config((tmp_path,), resamples=20)).to_frame()
    robust = result[result["robust"] != ""].sort_values("p")
    flat = result[result["lower_is_flatter"]]
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
            measure="average", radius=0.1 + k, value=5 + row[: len(table) // 2], rescaling="invariant"
        )
        for k, row in enumerate(noise)
    ]  # fmt: skip
    write(tmp_path, {"timesteps": found["timesteps"], "hessian": table, "sharpness": pd.concat(sharp)})
    result = compare.run(compare.Config((tmp_path,), resamples=20))
    top = row(result, "top eigenvalue, formal Hessian")
    assert top["p"] < 0.05 < top["p_adjusted"]
    assert top["flatter"] == "tet"
    assert "one of many rows: not below 5 % after Holm's adjustment" in top["trust"].split("; ")


def test_the_number_of_intervals_that_chance_explains_is_said(tmp_path):
    write(tmp_path, tables({"sdt": [10.0, 11, 12, 13], "tet": [5.0, 5.5, 6.5, 7]}))
    found = compare.run(compare.Config((tmp_path,), resamples=20)).to_frame()
    tested = int(found["p"].notna().sum())
    assert f"{0.05 * tested:.1f} of {tested} intervals" in compare.table(found)
    assert "flatter of 1 rows: sdt in 0, tet in 1" in compare.table(found)


def test_the_images_of_a_gap_are_stated_and_must_agree(tmp_path):
    found = tables({"sdt": [1.0, 2, 3], "tet": [2.0, 3, 4]})
    steps = found["timesteps"]
    steps["images"] = np.where(steps["split"] == "train", 200, 1597)
    write(tmp_path / "a", found)
    gap = row(compare.run(compare.Config((tmp_path / "a",), resamples=20)), "generalization gap in loss (test - train)")
    assert gap["images"] == "200 train, 1597 test"
    assert "numbers of images differ" not in gap["trust"]
    steps.loc[(steps["split"] == "test") & (steps["training"] == "tet"), "images"] = 500
    write(tmp_path / "b", found)
    gap = row(compare.run(compare.Config((tmp_path / "b",), resamples=20)), "generalization gap in loss (test - train)")
    assert gap["images"] == "200 train, 1597 test, or 200 train, 500 test"
    assert "numbers of images differ" in gap["trust"]


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
    assert "timesteps" in compare.table(result.to_frame())


def test_two_runs_of_one_name_are_refused(tmp_path, capsys):
    first, second = (tables({"sdt": [1.0, 2, 3], "tet": [2.0, 3, 4]}) for _ in range(2))
    for table in second.values():
        table["checkpoint"] = "again-" + table["checkpoint"]
    write(tmp_path, {name: pd.concat([first[name], second[name]]) for name in first})
    assert compare.main([str(tmp_path)]) == 1
    assert "compare them apart" in capsys.readouterr().err


def test_a_run_short_of_the_loss_asked_for_is_doubted(tmp_path, digits_checkpoint):
    trained = load(digits_checkpoint("tet"))
    found = tables({"sdt": [9.0, 10, 11], "tet": [1.0, 2, 3]})
    for reached in (True, False):
        folder = tmp_path / str(reached)
        folder.mkdir()
        path = folder / "ckpt.pt"
        training = {"until_loss": 0.1, "until_loss_of": "tet", "until_loss_reached": reached}
        save(replace(trained, training=trained.training | training), path)
        for table in found.values():
            table["checkpoint"] = table["checkpoint"].where(
                ~((table["seed"] == 1) & (table["training"] == "tet")), path.as_posix()
            )
        write(folder, found)
        trust = row(compare.run(compare.Config((folder,), resamples=20)), "top eigenvalue, formal Hessian")["trust"]
        assert ("training loss asked for not reached" in trust.split("; ")) is not reached
