"""Tables are checked before anything is drawn: what is wrong is said with file, line and column."""

import numpy as np
import pandas as pd
import pytest

from tables.reading import TableError, available, path, read
from tables.rows import families, one_split
from tables.schema import SCHEMA
from tests.figure_tables import complete, write


@pytest.fixture(scope="module")
def frames():
    return complete(seeds=2)


def saved(tmp_path, text, name="timesteps"):
    path(tmp_path, name).parent.mkdir(parents=True, exist_ok=True)
    path(tmp_path, name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return tmp_path


def test_a_table_comes_back_as_saved(tmp_path, frames):
    write(tmp_path, frames)
    assert set(available(tmp_path)) == set(frames) <= set(SCHEMA)
    for name, frame in frames.items():
        found = read(tmp_path, name)
        assert list(found) == list(frame)
        numbers = frame.select_dtypes("number").columns
        np.testing.assert_allclose(found[numbers].to_numpy(float), frame[numbers].to_numpy(float))
    assert read(tmp_path, "hessian")["converged"].tolist() == frames["hessian"]["converged"].tolist()


def test_a_missing_table_says_where_it_was_looked_for(tmp_path):
    assert available(tmp_path) == ()
    with pytest.raises(FileNotFoundError, match=r"tables/energy\.csv"):
        read(tmp_path, "energy")


@pytest.mark.parametrize("content", ["", "\n\n", b"\x89PNG\r\n\x1a\n\xff\xfe\x00", 'a,b\n"1,2\n3'])
def test_what_is_no_csv_is_said_to_be_none(tmp_path, content):
    with pytest.raises(TableError, match=r"timesteps\.csv: (not a CSV|line \d has)"):
        read(saved(tmp_path, content), "timesteps")


def test_missing_columns_are_named(tmp_path, frames):
    text = frames["timesteps"].drop(columns=["seed", "images"]).to_csv(index=False)
    with pytest.raises(TableError, match="lacks the columns seed, images; has checkpoint"):
        read(saved(tmp_path, text), "timesteps")


def test_a_table_without_rows_is_refused(tmp_path, frames):
    text = frames["timesteps"].head(0).to_csv(index=False)
    with pytest.raises(TableError, match="a header and no rows"):
        read(saved(tmp_path, text), "timesteps")


def test_a_word_in_a_number_column_is_named_with_its_line(tmp_path, frames):
    frame = frames["timesteps"].astype({"accuracy_cumulative": object})
    frame.loc[3, "accuracy_cumulative"] = "0.9x"
    with pytest.raises(TableError, match=r"line 5 has '0.9x' as accuracy_cumulative, not a number"):
        read(saved(tmp_path, frame.to_csv(index=False)), "timesteps")


def test_a_flag_that_is_neither_is_named(tmp_path, frames):
    frame = frames["hessian"].assign(converged="maybe")
    with pytest.raises(TableError, match="line 2 has 'maybe' as converged, neither true nor false"):
        read(saved(tmp_path, frame.to_csv(index=False), "hessian"), "hessian")


def test_a_table_cut_short_is_noticed(tmp_path, frames):
    text = frames["timesteps"].to_csv(index=False)
    lines = text.splitlines()
    cut = "\n".join([*lines[:6], lines[6][: lines[6].index("digits,")]])
    with pytest.raises(TableError, match=r"line 7 has 3 fields, the header 21; .*cut short"):
        read(saved(tmp_path, cut), "timesteps")


def test_rows_that_are_numbered_may_be_more_in_one_checkpoint_and_in_any_order_but_have_no_hole(tmp_path):
    place = {"network": "n", "data": "d", "method": "m", "training": "sdt", "seed": 0, "correct": 1, "loss_sdt": 0.5}
    sizes = {("a", "train"): 4, ("a", "test"): 3, ("b", "test"): 5}
    rows = [
        {"checkpoint": checkpoint, "split": split, "image": image} | place
        for (checkpoint, split), number in sizes.items()
        for image in range(number)
    ]
    whole = pd.DataFrame(rows).sample(frac=1, random_state=0)
    assert len(read(saved(tmp_path, whole.to_csv(index=False), "outcomes"), "outcomes")) == 12
    for image in range(4):  # all but the last, which nothing here counts
        holed = whole[(whole["checkpoint"] != "b") | (whole["image"] != image)]
        with pytest.raises(TableError, match=f"split test, checkpoint b: image {image + 1} is .* cut short"):
            read(saved(tmp_path, holed.to_csv(index=False), "outcomes"), "outcomes")
    twice = pd.concat([whole, whole[whole["checkpoint"] == "b"].head(1)])
    with pytest.raises(TableError, match=r"split test, checkpoint b: image \d is there twice"):
        read(saved(tmp_path, twice.to_csv(index=False), "outcomes"), "outcomes")


def test_an_unknown_split_is_refused(tmp_path, frames):
    text = frames["timesteps"].replace({"split": {"test": "tost"}}).to_csv(index=False)
    with pytest.raises(TableError, match="'tost' as split, expected one of train, test"):
        read(saved(tmp_path, text), "timesteps")


def test_numbers_may_be_missing_or_infinite(tmp_path, frames):
    frame = frames["timesteps"].copy()
    frame.loc[[0, 1, 2], "accuracy_cumulative"] = [np.nan, np.inf, -np.inf]
    found = read(saved(tmp_path, frame.to_csv(index=False)), "timesteps")
    np.testing.assert_array_equal(found["accuracy_cumulative"].head(3), [np.nan, np.inf, -np.inf])


def test_networks_and_data_sets_are_never_averaged(frames):
    two = pd.concat([frames["energy"], frames["energy"].assign(network="vgg snn/2")])
    assert [suffix for suffix, _ in families(frames["energy"])] == [""]
    parts = dict(families(two))
    assert set(parts) == {"-digits-cnn-digits", "-vgg-snn-2-digits"}
    assert all(part["network"].nunique() == 1 for part in parts.values())


def test_splits_are_never_averaged(frames):
    split, rows = one_split(frames["timesteps"], "test")
    assert (split, set(rows["split"])) == ("test", {"test"})
    assert one_split(rows, "train")[0] == "test"
