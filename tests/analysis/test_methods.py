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


def test_rows_made_of_a_changed_table_carry_that_doubt_and_no_others(tmp_path):
    for name, table in of(VALUES).items():
        Result({name: table}, provenance({}, {}, 0.0)).save(tmp_path / "tables")
    doubt = "a table was changed since it was written"
    assert not compare.run(compare.Config((tmp_path,), resamples=20)).to_frame()["trust"].str.contains(doubt).any()
    file = tmp_path / "tables" / "hessian.csv"
    file.write_text(file.read_text().replace(",10.0,", ",10.1,", 1))
    found = compare.run(compare.Config((tmp_path,), resamples=20)).to_frame()
    assert found["trust"].str.contains(doubt).eq(found["measure"].str.startswith("top_eigenvalue")).all()


def test_the_same_tables_give_the_same_rows_wherever_checkpoints_lie(tmp_path, monkeypatch):
    write(tmp_path, of(VALUES))
    one = compare.run(compare.Config((tmp_path,), resamples=20)).tables
    monkeypatch.chdir(tmp_path)
    for name in set(one["measures"]["checkpoint"]):
        (tmp_path / name).write_bytes(b"no checkpoint")
    other = compare.run(compare.Config((tmp_path,), resamples=20)).tables
    for name, table in one.items():
        pd.testing.assert_frame_equal(table, other[name])
