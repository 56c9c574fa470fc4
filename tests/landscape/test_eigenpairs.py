"""Eigenpairs in a file: read as they were written, whole or not at all, and nothing else is taken for such a file."""

import multiprocessing
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from landscape.objective import Parameters
from landscape.spectrum import Eigenpairs, lanczos, save
from landscape.spectrum.eigenpairs import load

from ..killed import shoot_at
from ..oracles import Dense, symmetric

MODEL = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).double()
ABOUT = {"loss": "tet", "sha256": "ab" * 32, "images": 100}


@pytest.fixture(scope="module")
def pairs() -> Eigenpairs:
    return lanczos(Dense(symmetric(np.linspace(-1, 2, 23) ** 3)), top=2, bottom=1)


@pytest.fixture
def path(pairs, tmp_path) -> Path:
    save(tmp_path / "pairs.pt", pairs, Parameters(MODEL), about=ABOUT)
    return tmp_path / "pairs.pt"


def assert_same(one: Eigenpairs, other: Eigenpairs) -> None:
    for name in ("values", "residuals", "converged", "ranks"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    assert torch.equal(one.vectors, other.vectors)
    assert (one.products, one.tolerance) == (other.products, other.tolerance)
    np.testing.assert_equal(one.asymmetry, other.asymmetry)


def complaint(path: Path) -> str:
    try:
        load(path)
    except ValueError as failure:
        return str(failure)
    return ""


def test_what_was_saved_is_loaded_to_the_bit_and_by_weight(pairs, path):
    found = load(path, Parameters(MODEL))
    assert_same(found.pairs, pairs)
    assert found.about == ABOUT
    assert {name: list(one.shape) for name, one in found.vectors.items()} == {
        "0.weight": [3, 3, 4], "0.bias": [3, 3], "1.weight": [3, 2, 3], "1.bias": [3, 2],
    }  # fmt: skip
    for row in range(3):
        parts = [found.vectors[name][row] for name, _ in MODEL.named_parameters()]
        assert torch.equal(Parameters(MODEL).flatten(parts), pairs.vectors[row])
    assert [file.name for file in path.parent.iterdir()] == ["pairs.pt"]


def test_without_names_the_vectors_are_in_one(pairs, tmp_path):
    save(tmp_path / "new" / "pairs.pt", pairs)
    found = load(tmp_path / "new" / "pairs.pt")
    assert_same(found.pairs, pairs)
    assert torch.equal(found.vectors[""], pairs.vectors)
    assert found.about == {}


def test_weights_of_other_shapes_are_refused_by_name(pairs, path, tmp_path):
    other = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 5)).double()
    with pytest.raises(ValueError, match=r"of other weights: '1.weight' has shape \[2, 3\], expected \[5, 3\]"):
        load(path, Parameters(other))
    with pytest.raises(ValueError, match=r"'2.bias' has shape None, expected \[2\]"):
        load(
            path,
            Parameters(
                nn.ModuleDict({"0": MODEL[0], "1": nn.Linear(3, 2, bias=False), "2": MODEL[1]}).double(),
                ["0.weight", "0.bias", "1.weight", "2.bias"],
            ),
        )
    with pytest.raises(ValueError, match="vectors of 23 entries aren't of 15 weights"):
        save(tmp_path / "other.pt", pairs, Parameters(MODEL[0]))
    assert not (tmp_path / "other.pt").exists()


def test_every_damaged_byte_is_refused_in_one_line_or_changes_nothing(pairs, path):
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for place in generator.choice(len(whole), 300, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(bytes(damaged))
        said = complaint(path)
        refused += bool(said)
        assert not said or ("\n" not in said and str(path) in said)
        if not said:
            assert_same(load(path).pairs, pairs)
            assert load(path).about == ABOUT
    assert refused > 100


@pytest.mark.parametrize("kept", [0, 1, 100, 1000])
def test_a_file_cut_short_is_refused(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="is damaged, or holds no eigenpairs"):
        load(path)


class Malicious:
    def __reduce__(self):
        return Path.touch, (Path("ran"),)


def test_what_is_no_such_file_is_refused(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = torch.load(path, weights_only=True)
    for found, said in (
        ({"state_dict": 1}, "holds no eigenpairs"),
        ([1, 2], "holds no eigenpairs"),
        ({"ranks": [1], "eigenvalues": [2.0], "vectors": {}}, "was written by an earlier version: write it again"),
        (content | {"format": 3}, "has format 3, this version reads 2"),
        (content | {"eigenvalues": [1.0, 2.0, 3.0]}, "is damaged: its content"),
        ({name: one for name, one in content.items() if name != "ranks"}, "is damaged: its content"),
    ):
        torch.save(found, path)
        with pytest.raises(ValueError, match=said):
            load(path)
    path.write_bytes(pickle.dumps(Malicious(), protocol=2))
    with pytest.raises(ValueError, match="is damaged, or holds no eigenpairs"):
        load(path)
    assert not Path("ran").exists()
    with pytest.raises(FileNotFoundError, match="no eigenpairs at"):
        load(tmp_path / "nowhere.pt")


def _killed(path: Path, pairs: Eigenpairs, before: bool) -> None:
    shoot_at(1, before=before)
    save(path, pairs)


@pytest.mark.parametrize("before", [True, False])
def test_a_kill_while_it_is_written_leaves_the_old_file_or_the_new_one(pairs, tmp_path, before):
    path = tmp_path / "pairs.pt"
    old = lanczos(Dense(np.eye(5)), top=1)
    save(path, old)
    process = multiprocessing.get_context("fork").Process(target=_killed, args=(path, pairs, before))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert_same(load(path).pairs, old if before else pairs)


def test_a_write_that_fails_leaves_what_was_there(pairs, path, monkeypatch):
    def full(self, *_):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        save(path, lanczos(Dense(np.eye(5)), top=1))
    assert_same(load(path).pairs, pairs)
    assert [file.name for file in path.parent.iterdir()] == ["pairs.pt"]
