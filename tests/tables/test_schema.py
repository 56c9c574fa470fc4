"""The schema: every column defined once, producers held to it, docs made from it, tables of earlier versions read."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.controls.plan import CONTROLS
from tables.columns import COLUMNS
from tables.measures import MEASURES, NORMS, OPERATORS, SHARPNESS, SHIFTS, family
from tables.reading import TableError, read_file
from tables.record import altered, provenance
from tables.result import Result
from tables.schema import IDENTITY, SCHEMA, checked

ROOT = Path(__file__).parents[2]


def smallest(name: str, checkpoints: int = 2) -> pd.DataFrame:
    """A table with the columns that it must have, a row a checkpoint."""
    kinds = {"word": "x", "text": "", "number": 1.5, "whole": 1, "finite": 0.5, "positive": 0.5, "flag": True}
    columns = [SCHEMA[name][column] for column in SCHEMA[name].needed]
    row = {one.name: one.words[0] if one.words else kinds.get(one.kind, "") for one in columns}
    row |= {SCHEMA[name].numbered: 0} if SCHEMA[name].numbered else {}
    frame = pd.DataFrame([row] * checkpoints)
    if "checkpoint" in frame:
        frame["checkpoint"] = [f"runs/{place}/ckpt.pt" for place in range(checkpoints)]
    return frame


def test_every_column_is_used_and_says_what_it_is():
    used = {column.name for table in SCHEMA.values() for column in table.columns}
    assert used == set(COLUMNS)
    assert all(len(column.about) > 2 for column in COLUMNS.values())
    for table in SCHEMA.values():
        names = [column.name for column in table.columns]
        assert len(set(names)) == len(names), table.name
        apart, repeat = table.even or ((), ())
        assert set(apart) | set(repeat) <= set(names), table.name
        assert not table.numbered or {table.numbered, "split", "checkpoint"} <= set(names), table.name


def test_the_docs_are_those_of_the_schema():
    made = subprocess.run([sys.executable, "-m", "tables.schema"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (ROOT / "docs" / "tables.md").read_text() == made.stdout


@pytest.mark.parametrize("name", SCHEMA)
def test_the_smallest_table_is_read_back(name, tmp_path):
    frame = smallest(name)
    checked(name, frame)
    frame.to_csv(tmp_path / "x.csv", index=False)
    found = read_file(tmp_path / "x.csv", name)
    assert len(found) == 2
    for column in frame.columns:
        assert column in found


@pytest.mark.parametrize("name", SCHEMA)
def test_a_column_that_lacks_is_named_by_writer_and_reader(name, tmp_path):
    frame = smallest(name).drop(columns=SCHEMA[name].needed[-1])
    with pytest.raises(ValueError, match=f"table {name} lacks {SCHEMA[name].needed[-1]}"):
        checked(name, frame)
    frame.to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(TableError, match=f"lacks the column {SCHEMA[name].needed[-1]}; .*{SCHEMA[name].command}$"):
        read_file(tmp_path / "x.csv", name)


def test_a_column_that_nobody_knows_is_not_written(tmp_path):
    frame = smallest("trace").assign(guess=1.0)
    with pytest.raises(ValueError, match="table trace has the unknown column guess"):
        Result({"trace": frame}, provenance({}, {}, 0.0)).save(tmp_path)
    assert not list(tmp_path.glob("*.csv"))


def test_tables_of_earlier_versions_have_the_loss_for_a_method(tmp_path):
    frame = smallest("trace").assign(training=["sdt", "tet"], method=["xtrace", "hutchinson"])
    frame.to_csv(tmp_path / "trace.csv", index=False)
    found = read_file(tmp_path / "trace.csv", "trace")
    assert found["method"].tolist() == ["sdt", "tet"]
    assert found["estimator"].tolist() == ["xtrace", "hutchinson"]
    assert "method" not in SCHEMA["trace"].needed
    assert set(IDENTITY) >= {"method", "training"}


def test_measures_have_one_family_each_and_their_table_exists():
    for name, measure in MEASURES.items():
        assert name == measure.id == family(measure.asked("a", "b").id)
        assert measure.table in SCHEMA
        assert measure.better in ("lower", "higher", "")
    assert set(SHARPNESS.values()) <= set(MEASURES)
    titles = [measure.title for measure in MEASURES.values()]
    assert len(set(titles)) == len(titles)


# digests


def edited(text: str, rng: np.random.Generator) -> str:
    """One random edit: a digit, a line lost or doubled, fields or header names exchanged, a stray byte."""
    lines = text.splitlines(keepends=True)
    kind, row = rng.integers(6), int(rng.integers(1, len(lines)))
    if kind == 0:
        place = int(rng.choice([at for at, one in enumerate(text) if one.isdigit()]))
        return text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :]
    if kind == 1:
        return "".join(lines[:row] + lines[row + 1 :])
    if kind == 2:
        return "".join([*lines[: row + 1], *lines[row:]])
    if kind in (3, 4):
        row = 0 if kind == 3 else row
        fields = next(csv.reader([lines[row]]))
        one, other = rng.choice(len(fields), 2, replace=False)
        fields[one], fields[other] = fields[other], fields[one]
        lines[row] = ",".join(fields) + "\n"
        return "".join(lines)
    place = int(rng.integers(len(text)))
    return text[:place] + str(rng.choice(["\0", '"', "-", "x"])) + text[place:]


def test_no_edit_of_a_table_with_a_record_goes_unseen(tmp_path):
    frame = pd.concat([smallest("trace").assign(trace=[480.32, 7.5], seed=seed) for seed in range(4)])
    Result({"trace": frame}, provenance({}, {}, 0.0)).save(tmp_path)
    file, rng = tmp_path / "trace.csv", np.random.default_rng(0)
    whole = file.read_text()
    assert altered(tmp_path) == []
    for _ in range(500):
        text = edited(whole, rng)
        file.write_text(text)
        assert (altered(tmp_path) == ["trace"]) is (text != whole)


def test_no_word_of_a_table_is_one_that_its_readers_take_for_a_missing_value():
    """What pandas reads as NaN unasked: a control or a measure of that name would be gone from a table."""
    words = {*CONTROLS, *MEASURES, *OPERATORS, *SHARPNESS, *NORMS, *SHIFTS, *SCHEMA}
    words |= {word for table in SCHEMA.values() for column in table.columns for word in column.words or ()}
    read = pd.read_csv(io.StringIO("\n".join(["word", *sorted(words - {""})])))
    assert read["word"].notna().all()
