"""A run of the hessian command that was killed goes on from its record, which is gone when the tables are written."""

from pathlib import Path

import pandas as pd
import pytest

from analysis import hessian
from landscape.curvature import Curvature


@pytest.fixture(scope="module")
def path(digits_checkpoint) -> Path:
    return digits_checkpoint("tet", timesteps=2, train_images=40)


def config(path: Path, folder: Path, **more) -> hessian.Config:
    plain = {
        "images": 12, "loss": "tet", "operator": "gauss_newton", "dtype": "float64", "top": 2, "bottom": 0,
        "density": False, "trace_tolerance": 0.5, "radius": False, "per_timestep": True, "quiet": True,
        "max_products": 12,
    }  # fmt: skip
    return hessian.Config((path,), out=folder / "tables", record=folder / "record", **(plain | more))


@pytest.fixture
def counted(monkeypatch) -> list[int]:
    """Counts products; when a limit is put in the list first, the one beyond it is cut short as by Ctrl-C."""
    state: list[int] = []
    original = Curvature.__matmul__

    def product(self, vectors):
        if state and state[0] == len(state):
            raise KeyboardInterrupt
        state.append(0)
        return original(self, vectors)

    monkeypatch.setattr(Curvature, "__matmul__", product)
    return state


@pytest.mark.slow
def test_a_killed_run_loses_one_product_at_most_and_ends_with_the_same_tables(path, tmp_path, counted):
    expected = hessian.run(config(path, tmp_path / "whole")).tables
    whole = len(counted)
    assert not (tmp_path / "whole" / "record").exists()

    limit = whole - 5
    counted[:] = [limit]
    with pytest.raises(KeyboardInterrupt):
        hessian.run(config(path, tmp_path))
    kept = len(list((tmp_path / "record").glob("*/*.product")))
    assert limit - 1 - kept == 2  # the check on construction, made before there is a record
    counted.clear()
    found = hessian.run(config(path, tmp_path)).tables
    assert len(counted) == whole - kept
    assert list(found) == list(expected)
    for name in expected:
        pd.testing.assert_frame_equal(found[name], expected[name])
    assert not (tmp_path / "record").exists()


def test_a_record_of_other_images_is_refused_and_left_alone(path, tmp_path, counted, capsys):
    counted[:] = [10]
    with pytest.raises(KeyboardInterrupt):
        hessian.run(config(path, tmp_path))
    counted.clear()
    before = sorted((tmp_path / "record").rglob("*"))
    argv = [str(path), "--out", str(tmp_path / "t"), "--record", str(tmp_path / "record"), "--images", "13", "--quiet"]
    argv += ["--loss", "tet", "--operator", "gauss_newton", "--dtype", "float64"]
    assert hessian.main(argv) == 1
    error = capsys.readouterr().err
    assert "products of another matrix, with images 12 in place of 13" in error
    assert error.count("\n") == 1
    assert sorted((tmp_path / "record").rglob("*")) == before


def test_other_files_in_the_folder_stay(path, tmp_path):
    (tmp_path / "record").mkdir()
    (tmp_path / "record" / "note.txt").write_text("mine")
    hessian.run(config(path, tmp_path, per_timestep=False, trace=False))
    assert [file.name for file in (tmp_path / "record").iterdir()] == ["note.txt"]


def test_a_record_without_a_place_for_tables_is_refused(path, tmp_path, capsys):
    assert hessian.main([str(path), "--record", str(tmp_path), "--quiet"]) == 1
    assert "--record needs --out" in capsys.readouterr().err
