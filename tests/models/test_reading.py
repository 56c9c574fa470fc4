"""A file of tensors is read as it was written or refused in one line, before memory is taken for what it claims."""

import argparse
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn

from models.digest import digest
from models.reading import CheckpointError, read

from ..archives import doubled, overlapping, rebuilt
from ..memory import measured

SAID = "can't be read as a checkpoint: "


def saved(content: Any, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def refusal(content: bytes, tmp_path: Path) -> str:
    """What is said of the file, in one line, within a second and 200 MB."""
    path = tmp_path / "theirs.pth"
    path.write_bytes(content)
    with measured() as cost, pytest.raises(CheckpointError) as caught:
        read(path)
    assert cost.seconds < 1
    assert cost.memory < 200e6
    said = str(caught.value)
    assert said.startswith(f"{path} {SAID}")
    assert "\n" not in said
    return said.removeprefix(f"{path} {SAID}")


WEIGHTS = {"w": torch.arange(300.0), "b": torch.arange(5)}


@pytest.mark.parametrize("kept", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.bool])
def test_safetensors_are_read(kept, tmp_path):
    state = {"a.weight": torch.randn(30, 20).to(kept), "b": torch.tensor(3).to(kept)}
    path = tmp_path / "weights.bin"
    save_file(state, path)
    found = read(path)
    path.write_bytes(bytes(path.stat().st_size))  # what was read is no view of the file
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) and found[name].dtype == kept for name, value in state.items())


@pytest.mark.parametrize(
    "change", [lambda x: x[:-3], lambda x: x + b"0", lambda x: x[:40], lambda x: x[:8] + b"{{" + x[10:]]
)
def test_damaged_safetensors_are_refused(change, tmp_path):
    assert "SafetensorError" in refusal(change(save({"a": torch.ones(4)})), tmp_path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_namespace_beside_the_weights_is_read(zipped, tmp_path):
    arguments = argparse.Namespace(lr=0.1, tau=2.0, names=["a"], inner=argparse.Namespace(T=4))
    (tmp_path / "theirs.pth").write_bytes(saved({"model": WEIGHTS, "args": arguments}, zipped))
    found = read(tmp_path / "theirs.pth")
    assert found["args"] == arguments
    assert torch.equal(found["model"]["w"], WEIGHTS["w"])


class Bomb:
    """Would touch a file where its pickle is run."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


class Setting(argparse.Namespace):
    """A namespace that has code of its own."""


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("place", ["beside", "in the namespace", "as an attribute's name"])
def test_code_is_never_run(place, zipped, tmp_path):
    marker = tmp_path / "ran"
    bomb = Bomb(marker)
    arguments: Any = bomb if place == "beside" else argparse.Namespace()
    vars(arguments).update({"lr": bomb} if place == "in the namespace" else {"__setstate__": bomb, "__class__": 3})
    content = saved({"state_dict": WEIGHTS, "args": arguments}, zipped)
    assert "it holds more than tensors and plain values: " in refusal(content, tmp_path)
    assert not marker.exists()
    torch.load(tmp_path / "theirs.pth", weights_only=False)
    assert marker.exists()  # it would have been


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("other", [Setting(lr=1), nn.Linear(2, 2), Path("x"), Bomb], ids=str)
def test_no_other_class_is_read_and_it_is_named(other, zipped, tmp_path):
    said = refusal(saved({"state_dict": WEIGHTS, "args": other}, zipped), tmp_path)
    assert "it holds more than tensors and plain values: " in said
    assert "whose code reading it would run, and never does. Save the weights alone where they were made, " in said
    assert "torch.save(network.state_dict(), FILE): models.convert and models.elsewhere.load_into take that" in said
    assert "weights_only" not in said


def test_no_refusal_passes_on_the_advice_to_read_a_pickle_all_the_same(tmp_path):
    good = saved({"w": torch.zeros(3)}, False)
    contents = [pickle.dumps({"w": 1}), pickle.dumps(nn.Linear(2, 2)), b"\x80\x02no pickle", good[:40], good[:-9], b""]
    for content in contents:
        said = refusal(content, tmp_path)
        assert "weights_only" not in said
        assert "trust" not in said
        assert "\n" not in said
        assert "load_into" in said


def test_a_compressed_archive_is_refused_whatever_it_would_become(tmp_path):
    zeros = saved({"w": torch.zeros(100_000_000)})  # 400 MB, of which 0.4 are kept
    whole = rebuilt(zeros, lambda _, record: record, zipfile.ZIP_DEFLATED)
    del zeros
    assert len(whole) < 2**20
    assert "is compressed, which torch.save never does" in refusal(whole, tmp_path)


def test_records_that_add_up_to_more_than_the_file_are_refused(tmp_path):
    whole = rebuilt(saved({"w": torch.zeros(2**20)}), lambda _, record: record)
    assert "its records claim " in refusal(overlapping(whole), tmp_path)


def test_two_records_of_one_name_are_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        whole = doubled(saved(WEIGHTS))
    assert "two of its records have one name" in refusal(whole, tmp_path)


def grown(pickled: bytes, number: int, to: int) -> bytes:
    """The integer ``number``, of two bytes in a pickle, as ``to`` of four."""
    old = b"M" + number.to_bytes(2, "little")
    assert old in pickled
    return pickled.replace(old, b"J" + to.to_bytes(4, "little"))


@pytest.mark.parametrize("zipped", [True, False])
def test_storages_that_claim_more_than_the_file_has_are_refused(zipped, tmp_path):
    whole = saved(WEIGHTS, zipped)
    claim: Callable[[str, bytes], bytes] = lambda name, record: (  # noqa: E731
        grown(record, 300, 2**31 - 1) if name == "data.pkl" else record
    )
    refusal(rebuilt(whole, claim) if zipped else grown(whole, 300, 2**31 - 1), tmp_path)


def test_a_storage_that_a_row_of_pickles_never_fills_is_refused(tmp_path):
    whole = saved({"w": torch.arange(300.0)}, False)
    start = whole.rindex(b"\x80\x02]")  # the list of storages that follow
    unfilled = grown(whole[:start], 300, 2**30) + pickle.dumps([], protocol=2)
    assert "its tensors claim 4,294,967,296 bytes, and the file has " in refusal(unfilled, tmp_path)


class Buffer:
    """Pickled as a bytearray of so many zeros, which are not in the file."""

    def __reduce__(self):
        return bytearray, (10**9,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_buffer_of_any_size_is_refused(zipped, tmp_path):
    said = refusal(saved({"w": torch.ones(1), "x": Buffer()}, zipped), tmp_path)
    assert "it holds a bytearray, which torch.load makes as large as the file says" in said


@pytest.mark.parametrize("zipped", [True, False])
def test_a_tensor_made_of_its_size_alone_is_refused(zipped, tmp_path):
    class Sized:
        def __reduce__(self):
            return torch.Tensor, (10**9,)

    assert "its tensors claim 4,000,00" in refusal(saved({"w": torch.ones(1), "x": Sized()}, zipped), tmp_path)


def test_a_tensor_that_shows_far_more_numbers_than_it_holds_is_refused(tmp_path):
    assert "its tensors repeat their numbers over 3,999,999,99" in refusal(
        saved({"w": torch.ones(1).expand(10**9)}), tmp_path
    )
    (tmp_path / "few.pth").write_bytes(saved({"w": torch.ones(1).expand(10**6)}))
    assert read(tmp_path / "few.pth")["w"].shape == (10**6,)


def test_containers_that_hold_each_other_are_looked_at_once(tmp_path):
    nested: list[Any] = [torch.ones(1)]
    for _ in range(60):  # 2⁶⁰ paths
        nested = [nested, nested]
    path = tmp_path / "theirs.pth"
    path.write_bytes(saved({"state_dict": WEIGHTS, "nested": nested}))
    assert torch.equal(read(path)["state_dict"]["w"], WEIGHTS["w"])
    assert len(digest(nested)) == 64
    nested.append(nested)
    with pytest.raises(ValueError, match="hold themselves"):
        digest(nested)


def test_memory_that_is_not_there_is_a_refusal(tmp_path, monkeypatch):
    path = tmp_path / "theirs.pth"
    path.write_bytes(saved(WEIGHTS))

    def full(*_: Any, **__: Any) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(CheckpointError, match="MemoryError: no room"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"PK", bytes(range(7, 250, 3)), b"\x80", b"\x80\x02.", b"{" * 20])
def test_other_bytes_are_refused(content, tmp_path):
    assert "it is truncated, not written by torch.save, or holds more than" in refusal(content, tmp_path)


class TestTheDigest:
    def test_how_a_file_keeps_the_content_leaves_it(self, tmp_path):
        whole = torch.randn(6, 8)
        content = {
            "a": whole,
            "b": [1, 2.5, "x", None, True, (3,)],
            "c": whole.T,
            "d": torch.ones(1).expand(5),
            4: b"y",
        }
        for zipped in (True, False):
            (tmp_path / "c.pt").write_bytes(saved(content, zipped))
            assert digest(read(tmp_path / "c.pt")) == digest(content)
        apart = {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in content.items()}
        assert digest(apart) == digest(content)

    def test_everything_else_has_another(self):
        others: list[Any] = [
            0, 1, True, False, None, 1.0, -0.0, 0.0, "1", b"1", "", (), [], {}, set(), 1j, [[]], [[], []], [1, [2]],
            [[1], 2], {"a": 1}, {"b": 1}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, ["a", 1], torch.float32, torch.ones(1),
            torch.ones(1, 1), torch.ones(()), torch.ones(1).double(), torch.ones(1).int(), torch.ones(2),
            torch.zeros(1), -torch.zeros(1), torch.ones(1, device="meta"), torch.ones(1).to_sparse(), float("nan"),
            float("inf"),
        ]  # fmt: skip
        assert len({digest(each) for each in others}) == len(others)

    def test_one_number_of_many_changes_it(self):
        numbers = torch.arange(1000.0)
        before = digest({"w": numbers})
        for place in (0, 500, 999):
            changed = numbers.clone()
            changed[place] = changed[place].nextafter(torch.tensor(-1.0))
            assert digest({"w": changed}) != before

    def test_what_could_not_be_read_back_has_none(self):
        with pytest.raises(ValueError, match=r"^a\.b\[1\] is a PosixPath"):
            digest({"a": {"b": [1, Path("x")]}})
