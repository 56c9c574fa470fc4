"""Networks compared by a factor that their runs record: right, or refused."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from analysis import compare
from analysis.compare.measures import KEYS

from .test_compare import tables, write

TOP = [10.0, 11, 12, 13]


def sweep(name: str, values: Sequence[object], *, methods=("sdt",), **more) -> dict[str, pd.DataFrame]:
    """Four networks of each method at each value of the factor ``name``, half as sharp at every next one."""
    parts = []
    for method in methods:
        for place, value in enumerate(values):
            found = tables({method: TOP}, train_accuracy={method: 1.0}, train_loss={method: 0.1})
            found = {key: one.assign(checkpoint=f"{place}-" + one["checkpoint"]) for key, one in found.items()}
            found["hessian"]["eigenvalue"] /= 2.0**place * (1 + methods.index(method))
            runs = found["hessian"].drop_duplicates("checkpoint")[KEYS]
            found["settings"] = runs.assign(**{name: value}, **{key: one[place] for key, one in more.items()})
            parts.append(found)
    return {key: pd.concat([part[key] for part in parts], ignore_index=True) for key in parts[0]}


def compared(folder, found, **settings):
    write(folder, found)
    return compare.run(compare.Config((folder,), resamples=20, **settings))


def top(result) -> pd.DataFrame:
    return result.to_frame().query("measure == 'top_eigenvalue[hessian]'")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.1, 0.2], ["0.1", "0.2"]),
        ([50, 200], ["50", "200"]),
        ([10**6, 10**6 + 1], ["1000000", "1000001"]),  # six digits would make them one
        ([0.12345678, 0.12345679], ["0.12345678", "0.12345679"]),
        ([1e-7, 3e-7], ["1e-07", "3e-07"]),
    ],
)
def test_a_number_is_its_own_group(values, words, tmp_path):
    found = top(compared(tmp_path, sweep("learning_rate", values), by="learning_rate")).iloc[0]
    assert [found["reference"], found["method"]] == words
    assert (found["n"], found["flatter"], found["difference"]) == (4, words[1], -np.mean(TOP) / 2)


@pytest.mark.parametrize(("name", "values"), [("optimizer", ["sgd", "adam"]), ("vary_data", [True, False])])
def test_words_and_flags_are_factors_too(name, values, tmp_path):
    found = top(compared(tmp_path, sweep(name, values), by=name)).iloc[0]
    assert [found["reference"], found["method"], found["flatter"]] == [str(values[k]) for k in (0, 1, 1)]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("learning_rate", [0.1, 0.2, np.nan]),
        ("learning_rate", [np.nan, 0.2, 0.1]),
        ("optimizer", ["sgd", "adam", ""]),
        ("vary_data", [True, False, None]),
        ("a factor of one's own", ["x", "y", " "]),
    ],
)
def test_a_network_of_which_the_settings_say_nothing_is_refused(name, values, tmp_path):
    missing = next(place for place, value in enumerate(values) if pd.isna(value) or not str(value).strip())
    with pytest.raises(ValueError, match=f"settings says nothing of {name} for {missing}-sdt-0"):
        compared(tmp_path, sweep(name, values), by=name)


@pytest.mark.parametrize("by", ["checkpoint", "seed", "network", "data", "training", "epochs"])
def test_what_is_no_factor_is_refused_with_those_there_are(by, tmp_path):
    found = sweep("learning_rate", [0.1, 0.2], batch_size=[50, 50])
    with pytest.raises(ValueError, match=f"no factor '{by}': table settings has learning_rate, batch_size; method is"):
        compared(tmp_path, found, by=by)


def test_a_twin_without_the_setting_is_a_reference_all_the_same(tmp_path):
    found = sweep("decay", [0.1, 0.2])
    twin = tables({"sdt": [2.0]}, train_accuracy={"sdt": 1.0}, train_loss={"sdt": 0.1})
    for name, table in twin.items():
        table["network"], table["checkpoint"] = "digits-cnn-relu", "relu"
        found[name] = pd.concat([found[name], table], ignore_index=True)
    runs = twin["hessian"].drop_duplicates("checkpoint")[KEYS]
    found["settings"] = pd.concat([found["settings"], runs.assign(decay=np.nan)], ignore_index=True)
    assert top(compared(tmp_path, found, by="decay"))["twin_mean"].tolist() == [2.0]


def test_each_method_s_networks_are_compared_apart_and_rows_say_whose_they_are(tmp_path):
    result = compared(tmp_path, sweep("learning_rate", [0.1, 0.2], methods=("sdt", "tet")), by="learning_rate")
    found = top(result).set_index("within")["difference"]
    assert found.to_dict() == {"sdt": -np.mean(TOP) / 2, "tet": -np.mean(TOP) / 4}
    for name in ("counts", "correlation"):
        assert set(result.tables[name]["within"]) == {"sdt", "tet"}
    heads = [line for line in compare.verdict(result.to_frame(), result.tables).splitlines() if line[0] != " "]
    assert heads == ["0.2 against 0.1, sdt:", "0.2 against 0.1, tet:"]
    write(tmp_path / "methods", tables({"sdt": TOP, "tet": TOP}))
    assert set(compare.run(compare.Config((tmp_path / "methods",), resamples=20)).to_frame()["within"]) == {""}


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize(
    ("name", "values", "doubted"),
    [
        ("batch_size", [50, 100], True),
        ("optimizer", ["sgd", "adam"], True),
        ("batch_size", [50, np.nan], True),
        ("batch_size", [50, 50], False),
        ("batch_size", [np.nan, np.nan], False),
        ("epochs_done", [10, 12], False),  # what follows
        ("parameters", [100, 400], False),
    ],
)
def test_a_row_whose_sides_differ_in_another_setting_too_carries_that_doubt(name, values, doubted, tmp_path):
    found = sweep("learning_rate", [0.1, 0.2], **{name: values})
    rows = compared(tmp_path / "one", found, by="learning_rate").to_frame()
    assert rows["trust"].str.contains("other settings differ too").eq(doubted).all()
    found["settings"]["method"] = ["a"] * 4 + ["b"] * 4
    for one in ("hessian", "timesteps"):
        found[one]["method"] = np.where(found[one]["checkpoint"].str.startswith("0"), "a", "b")
    rows = compared(tmp_path / "two", found).to_frame()  # methods may differ in anything
    assert not rows["trust"].str.contains("other settings").any()


def test_the_verdict_speaks_of_each_network_apart(tmp_path):
    first = tables({"sdt": TOP, "tet": [value / 2 for value in TOP]})
    second = tables({"sdt": TOP, "tet": [value * 2 for value in TOP]}, train_accuracy={"sdt": 0.8, "tet": 0.8})
    for table in second.values():
        table["network"], table["checkpoint"] = "resnet19", "r-" + table["checkpoint"]
    second["timesteps"].loc[second["timesteps"]["method"] == "tet", "accuracy_cumulative"] -= 0.25
    write(tmp_path / "a", first)
    write(tmp_path / "b", second)
    result = compare.run(compare.Config((tmp_path / "a", tmp_path / "b"), resamples=20))
    said = compare.verdict(result.to_frame(), result.tables)
    one, other = said.split("tet against sdt, ")[1:]
    assert one.startswith("digits-cnn:\n  test accuracy +0.00 points")
    assert other.startswith("resnet19:\n  test accuracy -25.00 points")
    assert "tet in 1" in one
    assert "sdt in 1" in other
    assert one.count("flatter") == other.count("flatter") == 1
