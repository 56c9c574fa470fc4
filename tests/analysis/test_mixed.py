"""Tables that were measured of several contents of one checkpoint: doubted where rows join them, and named."""

import json

import pandas as pd
import pytest

from analysis import compare
from tables.answer import answer
from tables.record import provenance
from tables.result import Result

from .test_methods import VALUES, of, recorded

MIXED = "tables are of different contents of a checkpoint"


def measured_again(folder, names, checkpoint: str) -> None:
    """Every table of all checkpoints, those called ``names`` when ``checkpoint`` had another content."""
    for file in (folder / "tables").glob("*.csv"):
        paths = dict.fromkeys(pd.read_csv(file)["checkpoint"], "old")
        record = json.loads(file.with_suffix(".json").read_text())
        paths |= {checkpoint: "new"} if file.stem in names else {}
        file.with_suffix(".json").write_text(json.dumps(record | {"checkpoints": paths}))


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize(
    ("names", "sides"),
    [
        ([], set()),
        (["hessian"], {"top_eigenvalue"}),  # joins training accuracies, in table timesteps
        (["timesteps", "outcomes", "settings"], {"top_eigenvalue"}),
        (
            ["outcomes"],
            {"test_accuracy", "train_accuracy", "test_loss", "train_loss", "gap_in_loss", "gap_in_accuracy"},
        ),
        (["settings"], None),
        (["rise"], {"top_eigenvalue"}),
        (["hessian", "timesteps", "outcomes", "settings", "rise"], set()),
    ],
)
def test_rows_that_join_several_contents_of_a_checkpoint_carry_that_doubt_and_no_others(names, sides, tmp_path, capsys):
    recorded(tmp_path)
    measured_again(tmp_path, names, "tet-1")
    result = compare.run(compare.Config((tmp_path,), resamples=20))
    found = result.to_frame()
    expected = found["measure"].str.partition("[")[0].isin(sides) if sides is not None else True
    assert found["trust"].str.contains(MIXED).eq(expected).all()
    several = sides is None or len(sides) > 0
    assert ("contents" in result.provenance) is several
    flat = found.loc[found["side"] == "flatness", "trust"].str.contains(MIXED).any()
    assert (f"{MIXED} (tet)".casefold() in answer(result.tables).doubt.casefold()) == flat
    assert compare.main([str(tmp_path)]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "tet-1 had one content in " in line]
    assert len(lines) == several
    for name in names if several else ():
        assert f"{name}.csv" in lines[0]


def test_methods_of_one_content_are_not_doubted_for_that_of_others(tmp_path):
    found = of(VALUES)
    for name, table in found.items():
        Result({name: table}, provenance({}, {}, 0.0)).save(tmp_path / "tables")
    measured_again(tmp_path, ["hessian"], "tet-1")
    frame = compare.run(compare.Config((tmp_path,), resamples=20)).to_frame()
    own = frame[frame["measure"] == "top_eigenvalue[hessian]"].set_index("method")["trust"]
    assert own.str.contains(MIXED).to_dict() == {"tet": True, "third": False}
