"""Any number of methods, whatever they are called, or the values of a factor, against one reference."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis import compare
from analysis.compare import measures as made
from analysis.compare.difference import holm
from tables.measures import MEASURES
from tables.record import provenance
from tables.result import Result

from .test_compare import row, tables, write

VALUES = {"sdt": [10.0, 11, 12, 13], "tet": [5.0, 5.5, 6.5, 7], "third": [10.2, 10.9, 12.3, 12.8]}


def of(top: dict[str, list[float]]) -> dict[str, pd.DataFrame]:
    """Tables of methods with these top eigenvalues by seed, trained with either loss."""
    same = dict.fromkeys(top, 1.0)
    found = tables(top, train_accuracy=same, train_loss=same)
    for table in found.values():
        table["training"] = np.where(table["method"] == next(iter(top)), "sdt", "tet")
    return found


def compared(folder, found, **settings) -> Result:
    write(folder, found)
    return compare.run(compare.Config((folder,), resamples=20, **settings))


def test_each_method_has_a_row_against_the_reference_and_holm_is_over_all_of_them(tmp_path):
    result = compared(tmp_path, of(VALUES))
    top = result.to_frame().query("measure == 'top_eigenvalue[hessian]'").set_index("method")
    assert list(top.index) == ["tet", "third"]
    assert (top["reference"] == "sdt").all()
    assert top["flatter"].to_dict() == {"tet": "tet", "third": ""}
    np.testing.assert_allclose(top["p_adjusted"], holm(top["p"].to_numpy()))
    assert set(result.tables["counts"]["method"]) == {"tet", "third"}
    assert set(result.tables["correlation"]["among"]) == {"all", "within", "sdt", "tet", "third"}


def test_another_reference_turns_the_signs(tmp_path):
    one = row(compared(tmp_path / "a", of(VALUES)), "top_eigenvalue[hessian]")
    result = compared(tmp_path / "b", of(VALUES), reference="tet")
    other = result.to_frame().query("measure == 'top_eigenvalue[hessian]' and method == 'sdt'").iloc[0]
    assert (other["difference"], other["low"]) == pytest.approx((-one["difference"], -one["high"]))
    assert other["flatter"] == one["flatter"] == "tet"


@pytest.mark.parametrize("name", ["a,b", 'say "tet"', "a/b", "über λ = 0", "x" * 200, "TET", "007", "NA"])
def test_a_method_may_be_called_anything(name, tmp_path):
    result = compared(tmp_path, of({"tet": VALUES["sdt"], name: VALUES["tet"]}))
    result.save(tmp_path / "out")
    found = row(result, "top_eigenvalue[hessian]")
    assert (found["reference"], found["method"], found["flatter"]) == ("tet", name, name)
    back = pd.read_csv(tmp_path / "out" / "compare.csv", dtype=str, keep_default_na=False)
    assert set(back["method"]) == {name}


@pytest.mark.parametrize(
    ("top", "settings", "says"),
    [
        ({"sdt": [1.0, 2]}, {}, "nothing to compare 'sdt' with: it is the only method in the tables"),
        (VALUES, {"reference": "TET"}, "no method 'TET' in the tables: there are sdt, tet, third"),
        (VALUES, {"by": "learning_rate"}, "no factor 'learning_rate': table settings has none; method is always"),
        ({"sdt": [1.0, 2], "all": [1.0, 2]}, {}, "a method can't be called all"),
    ],
)
def test_what_cannot_be_compared_is_said(top, settings, says, tmp_path):
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        compared(tmp_path, of(top), **settings)


def test_methods_of_unequal_seeds_are_paired_by_those_that_they_share(tmp_path):
    five = {f"m{k}": [float(k + seed) for seed in range(2 + k)] for k in range(5)}
    top = compared(tmp_path, of(five)).to_frame().query("measure == 'top_eigenvalue[hessian]'")
    assert top["n"].tolist() == [2, 2, 2, 2]
    assert top["paired"].all()


def test_a_factor_that_the_runs_record_is_compared_within_a_method(tmp_path):
    found = of({"sdt": VALUES["sdt"]})
    other = {name: table.assign(checkpoint="fast-" + table["checkpoint"]) for name, table in found.items()}
    other["hessian"]["eigenvalue"] /= 2
    both = {name: pd.concat([found[name], other[name]], ignore_index=True) for name in found}
    runs = both["hessian"].drop_duplicates("checkpoint")[made.KEYS]
    both["settings"] = runs.assign(learning_rate=np.where(runs["checkpoint"].str.startswith("fast"), 0.1, 0.002))
    top = row(compared(tmp_path, both, by="learning_rate"), "top_eigenvalue[hessian]")
    assert (top["reference"], top["method"], top["flatter"]) == ("0.002", "0.1", "0.1")
    third = {name: table.assign(method="m", checkpoint="m-" + table["checkpoint"]) for name, table in both.items()}
    with pytest.raises(ValueError, match="have network, data, T, method and seed in common"):
        compared(tmp_path / "again", {name: pd.concat([both[name], third[name]]) for name in both})


def test_a_wording_changes_no_number(tmp_path, monkeypatch):
    found = of(VALUES)
    one = compared(tmp_path / "a", found).tables
    for name, measure in MEASURES.items():
        title = f"otherwise {{0}} {name}" if "{" in measure.title else name
        monkeypatch.setitem(MEASURES, name, replace(measure, title=title))
    other = compared(tmp_path / "b", found).tables
    for name, table in one.items():
        unworded = [column for column in table if column != "title"]
        pd.testing.assert_frame_equal(table[unworded], other[name][unworded])
        assert "title" not in table or (table["title"] != other[name]["title"]).any()


DOUBT = "a table was changed since it was written"


def recorded(folder) -> None:
    """Every table that rows and their doubts are made of, each with its record."""
    found = of({"sdt": VALUES["sdt"], "tet": VALUES["tet"]})
    runs = found["hessian"].drop_duplicates("checkpoint")[made.KEYS]
    found["settings"] = runs.assign(until_loss_reached=True, learning_rate=0.1)
    found["timesteps"]["images"] = 2
    steps = found["timesteps"]
    own = steps[steps["timesteps"] == 2].rename(columns={"accuracy_cumulative": "correct"})
    own = own[[*made.KEYS, "split", "correct", "loss_sdt", "loss_tet"]]
    found["outcomes"] = pd.concat([own.assign(image=image) for image in (0, 1)], ignore_index=True)
    scored = found["outcomes"]["correct"].copy()
    found["outcomes"]["correct"] = (scored > 0.95).astype(int)
    at_two = steps["timesteps"] == 2
    steps.loc[at_two, "accuracy_cumulative"] = (steps.loc[at_two, "accuracy_cumulative"] > 0.95).astype(float)
    rise = [{"radius": radius, "rise": radius} for radius in (0.1, 0.5)]
    place = {"loss": "sdt", "logits": "plain", "split": "train", "along": "plane", "draw": 0, "images": 9, "value": 1.0}
    rows = [head | place | row for head in runs.to_dict("records") for row in rise]
    found["rise"] = pd.DataFrame(rows).assign(rise=lambda table: table["rise"] + 0.01 * table["seed"])
    for name, table in found.items():
        Result({name: table}, provenance({}, {}, 0.0)).save(folder / "tables")


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("hessian", {"top_eigenvalue"}),
        ("timesteps", None),
        ("outcomes", {"test_accuracy", "train_accuracy", "test_loss", "train_loss", "gap_in_loss", "gap_in_accuracy"}),
        ("settings", None),
        ("rise", {"top_eigenvalue"}),
    ],
)
def test_rows_made_of_a_changed_table_carry_that_doubt_and_no_others(name, sides, tmp_path, capsys):
    recorded(tmp_path)
    whole = compare.run(compare.Config((tmp_path,), resamples=20))
    assert "changed" not in whole.provenance
    assert not any(whole.tables[table]["trust"].str.contains(DOUBT).any() for table in ("compare", "crossovers"))
    file = tmp_path / "tables" / f"{name}.csv"
    head, *lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([head, *lines[1:], lines[0]]))  # the same numbers, in other bytes
    result = compare.run(compare.Config((tmp_path,), resamples=20))
    found = result.to_frame()
    expected = found["measure"].str.partition("[")[0].isin(sides) if sides else True
    assert found["trust"].str.contains(DOUBT).eq(expected).all()
    assert result.tables["crossovers"]["trust"].eq(DOUBT if name == "rise" else "").all()
    told = {"timesteps", "outcomes", "settings", "rise"}  # what a verdict's own lines, accuracy and radii, are made of
    assert ("in doubt: " + DOUBT in compare.verdict(found, result.tables)) is (name in told)
    assert result.provenance["changed"] == [f"{tmp_path}: {name}.csv"]
    assert compare.main([str(tmp_path)]) == 0
    assert f"changed since they were written: {tmp_path}: {name}.csv" in capsys.readouterr().err


def test_a_table_that_is_gone_is_named(tmp_path):
    recorded(tmp_path)
    (tmp_path / "tables" / "hessian.csv").unlink()
    result = compare.run(compare.Config((tmp_path,), resamples=20))
    assert result.provenance["changed"] == [f"{tmp_path}: hessian.csv"]


def test_nothing_of_an_earlier_comparison_stays_beside_a_new_one(tmp_path):
    recorded(tmp_path)
    own = {"compare", "counts", "correlation", "measures", "rise_curves", "crossovers"}
    before = {file.name for file in (tmp_path / "tables").iterdir()}
    assert compare.main([str(tmp_path), "--resamples", "20"]) == 0
    written = {f"{name}.{kind}" for name in own for kind in ("csv", "json")}
    assert {file.name for file in (tmp_path / "tables").iterdir()} == before | written
    for kind in ("csv", "json"):
        (tmp_path / "tables" / f"rise.{kind}").unlink()
    assert compare.main([str(tmp_path), "--resamples", "20"]) == 0
    gone = {f"{name}.{kind}" for name in ("rise", "rise_curves", "crossovers") for kind in ("csv", "json")}
    assert {file.name for file in (tmp_path / "tables").iterdir()} == (before | written) - gone


def test_a_changed_factor_is_doubted_in_every_row(tmp_path):
    recorded(tmp_path)
    file = tmp_path / "tables" / "settings.csv"
    table = pd.read_csv(file).assign(until_loss_reached="")
    table["method"], table["learning_rate"] = "sdt", np.where(table["method"] == "sdt", 0.1, 0.2)
    table.to_csv(file, index=False)
    for name in ("hessian", "timesteps", "rise"):
        one = pd.read_csv(tmp_path / "tables" / f"{name}.csv").assign(method="sdt")
        Result({name: one}, provenance({}, {}, 0.0)).save(tmp_path / "tables")
    found = compare.run(compare.Config((tmp_path,), by="learning_rate", resamples=20)).to_frame()
    assert found["trust"].str.contains(DOUBT).all()


def test_the_same_tables_give_the_same_rows_wherever_checkpoints_lie(tmp_path, monkeypatch):
    write(tmp_path, of(VALUES))
    one = compare.run(compare.Config((tmp_path,), resamples=20)).tables
    monkeypatch.chdir(tmp_path)
    for name in set(one["measures"]["checkpoint"]):
        (tmp_path / name).write_bytes(b"no checkpoint")
    other = compare.run(compare.Config((tmp_path,), resamples=20)).tables
    for name, table in one.items():
        pd.testing.assert_frame_equal(table, other[name])
