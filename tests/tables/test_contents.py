"""Which tables were measured of which content of a checkpoint: against a look at every pair of tables."""

import json
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.contents import contents, joined, mixed, records, said
from tables.record import Record

NAMES, PATHS = ("hessian", "timesteps", "rise", "energy"), ("a.pt", "b.pt", "c.pt")
DIGESTS = st.dictionaries(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(PATHS), st.sampled_from("xyz")))


def recorded(digests: dict[str, dict[str, str]]) -> list[tuple[str, Record]]:
    return [(name, Record({}, paths, {}, "m", 1.0, {})) for name, paths in digests.items()]


@given(DIGESTS, st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(PATHS)))
def test_tables_join_several_contents_where_two_of_them_differ_about_one_checkpoint(digests, names, paths):
    found = mixed(recorded(digests))
    apart = {
        (path, *sorted(pair))
        for pair in combinations(digests, 2)
        for path in PATHS
        if len({digests[name].get(path) for name in pair} - {None}) > 1
    }
    assert set(found) == {path for path, *_ in apart}
    assert joined(found, paths, names) == any(path in paths and {one, other} <= names for path, one, other in apart)
    for path, parts in found.items():
        assert sorted(name for part in parts for name in part) == sorted(n for n in digests if path in digests[n])
    assert bool(said(found)) == bool(found)
    assert contents(recorded(digests)).keys() == {path for own in digests.values() for path in own}


def test_checkpoints_that_differ_alike_are_named_together():
    digests = {
        "hessian": {f"{seed}.pt": "old" for seed in range(5)},
        "rise": {f"{seed}.pt": "new" for seed in range(4)},
    }
    digests["energy"] = {"4.pt": "other"}
    assert said(mixed(recorded(digests))) == (
        "0.pt, 1.pt and 2 more had one content in hessian.csv, another in rise.csv; "
        "4.pt had one content in hessian.csv, another in energy.csv: what was trained again has to be measured again."
    )
    assert said({}) == ""


@pytest.mark.parametrize("inside", [True, False])
def test_tables_without_a_record_say_nothing_and_folders_are_read_together(inside, tmp_path):
    for folder, name, digest in (
        ("one", "hessian", "x"),
        ("one", "norms", ""),
        ("two", "rise", "y"),
        ("two", "trace", "z"),
    ):
        place = tmp_path / folder / "tables" if inside else tmp_path / folder
        place.mkdir(parents=True, exist_ok=True)
        if name != "trace":  # a record whose table is gone
            (place / f"{name}.csv").write_text("")
        whole = {"settings": {}, "checkpoints": {"a.pt": digest}, "versions": {}, "machine": "m", "seconds": 1}
        (place / f"{name}.json").write_text(json.dumps(whole) if digest else "{")
    found = mixed(records([tmp_path / "one", tmp_path / "two"], ("hessian", "norms", "rise", "trace", "energy")))
    assert found == {"a.pt": [["hessian"], ["rise"]]}
