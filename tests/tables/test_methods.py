"""Tables of earlier versions, which have no column method: read as if the loss trained with had been its name."""

import pandas as pd
import pytest

from tables import reading
from tables.methods import with_methods
from tables.schema import IDENTITY
from tests.figure_tables import made_up, write

FRAMES = made_up(seeds=2)


def older(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=[name for name in ("method", "other_method") if name in table])


@pytest.mark.parametrize("name", ["history", "measures", "path"])
def test_what_pictures_read_of_an_older_table_is_what_they_read_of_a_new_one(name, tmp_path):
    new, old = (
        write(tmp_path / age, {name: table}) for age, table in (("new", FRAMES[name]), ("old", older(FRAMES[name])))
    )
    pd.testing.assert_frame_equal(reading.read(new, name), reading.read(old, name))


def test_what_a_comparison_reads_of_an_older_table_is_what_it_reads_of_a_new_one(tmp_path):
    for age, table in (("new", FRAMES["hessian"]), ("old", older(FRAMES["hessian"]))):
        table.to_csv(tmp_path / f"{age}.csv", index=False)
    new, old = (reading.read_file(tmp_path / f"{age}.csv", "hessian") for age in ("new", "old"))
    pd.testing.assert_frame_equal(new, old)
    assert list(new)[:6] == list(IDENTITY)


def test_a_method_that_is_there_stays(tmp_path):
    table = FRAMES["path"].assign(method="NA", other_method="007")
    found = reading.read(write(tmp_path, {"path": table}), "path")
    assert set(found["method"]) == {"NA"}
    assert set(found["other_method"]) == {"007"}
    pd.testing.assert_frame_equal(with_methods(table), table)


def test_an_empty_method_is_refused_with_its_line(tmp_path):
    table = FRAMES["hessian"].copy()
    table.loc[2, "method"] = ""
    with pytest.raises(reading.TableError, match=r"line 4 has '' as method"):
        reading.read(write(tmp_path, {"hessian": table}), "hessian")
    with pytest.raises(ValueError, match=r"line 4 has '' as method; the table looks cut short"):
        reading.read_file(tmp_path / "tables" / "hessian.csv", "hessian")


def test_a_table_without_the_loss_trained_with_has_no_method_either():
    table = pd.DataFrame({"measure": ["x"], "value": [1.0]})
    assert with_methods(table) is table
