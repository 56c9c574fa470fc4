"""Frames kept on disk: the same bytes as made, once, whatever kills or shares the making."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator

from models.data.augment import roll_and_flip
from models.data.event_cache import EventSplit, stored

SETTINGS = {"timesteps": 2, "by": "count"}
FORK = multiprocessing.get_context("fork")


def make(items):
    """Counts from an item's number, interpolated ones for odd items from 100 on."""
    for item in items:
        counts = np.random.default_rng(item).poisson(1.0, (2, 2, 5, 5)).astype(np.float32)
        yield torch.from_numpy(counts / 3 if item >= 100 else counts * (300 if item == 7 else 1))


def never(items):
    raise AssertionError("made again")


def logged(items, log: Path, pause: float = 0.0):
    for item, frames in zip(items, make(items), strict=True):
        time.sleep(pause)
        with log.open("a") as file:
            file.write(f"{os.getpid()} {item}\n")
        yield frames


def everything(frames) -> torch.Tensor:
    return frames[list(range(frames.count))].transpose(0, 1)


@pytest.mark.parametrize("first", [0, 100])
def test_what_is_read_is_what_was_made_to_the_bit(tmp_path, first):
    items = range(first, first + 23)
    expected = torch.stack(list(make(items)))
    made = stored(tmp_path, SETTINGS, items, make, chunk=4)
    found = stored(tmp_path, SETTINGS, items, never, chunk=4)
    for frames in (made, found):
        assert torch.equal(everything(frames), expected)
        assert frames[[9, 2, 22, 9]].shape == (2, 4, 2, 5, 5)
        assert torch.equal(frames[[9, 2, 22, 9]].transpose(0, 1), expected[[9, 2, 22, 9]])
        assert frames[[]].shape == (2, 0, 2, 5, 5)


def test_counts_take_no_more_room_than_they_need(tmp_path):
    frames = stored(tmp_path, SETTINGS, range(23), make, chunk=4)
    kinds = {path.name[:6]: np.load(path).dtype for path in frames.folder.glob("*.npy")}
    assert kinds["000000"] == np.uint8
    assert kinds["000004"] == np.uint16  # the seventh reaches beyond 255
    assert np.load(next(stored(tmp_path, SETTINGS, range(100, 104), make).folder.glob("*.npy"))).dtype == np.float32


def test_another_setting_or_another_list_is_another_cache(tmp_path):
    asked = [
        (SETTINGS, range(4)),
        (SETTINGS | {"by": "time"}, range(4)),
        (SETTINGS | {"timesteps": 3}, range(4)),
        (SETTINGS, range(5)),
        (SETTINGS, [0, 1, 3, 2]),
    ]
    folders = {stored(tmp_path, settings, items, make).folder for settings, items in asked}
    assert len(folders) == 5
    assert stored(tmp_path, dict(reversed(SETTINGS.items())), range(4), never).folder in folders
    kept = stored(tmp_path, SETTINGS, range(4), never).folder / "settings.json"
    assert SETTINGS.items() <= json.loads(kept.read_text()).items()


def test_a_killed_build_goes_on_with_what_is_missing(tmp_path):
    log = tmp_path / "log"
    child = FORK.Process(
        target=lambda: stored(tmp_path / "c", SETTINGS, range(20), lambda items: logged(items, log, 0.02), chunk=2)
    )
    child.start()
    while len(done := list((tmp_path / "c").glob("*/0*.npy"))) < 3:
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    done = list((tmp_path / "c").glob("*/0*.npy"))
    assert 3 <= len(done) < 10
    before = {path: path.stat().st_mtime_ns for path in done}
    log.unlink()
    frames = stored(tmp_path / "c", SETTINGS, range(20), lambda items: logged(items, log), chunk=2)
    assert len(log.read_text().splitlines()) == 20 - 2 * len(done)
    assert torch.equal(everything(frames), torch.stack(list(make(range(20)))))
    assert before == {path: path.stat().st_mtime_ns for path in done}


def test_processes_at_once_share_the_making_and_agree(tmp_path):
    log = tmp_path / "log"

    def build():
        stored(tmp_path / "c", SETTINGS, range(24), lambda items: logged(items, log, 0.02), chunk=2)

    children = [FORK.Process(target=build) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    frames = stored(tmp_path / "c", SETTINGS, range(24), never, chunk=2)
    assert torch.equal(everything(frames), torch.stack(list(make(range(24)))))
    made = [line.split() for line in log.read_text().splitlines()]
    assert {int(item) for _, item in made} == set(range(24))
    assert len({process for process, _ in made}) == 2
    assert len(made) < 2 * 24
    assert sorted(path.name for path in frames.folder.iterdir() if path.suffix != ".npy") == ["settings.json"]


def test_worker_processes_make_the_same(tmp_path):
    frames = stored(tmp_path, SETTINGS, range(11), make, chunk=2, workers=2)
    assert torch.equal(everything(frames), torch.stack(list(make(range(11)))))


def broken(items):
    yield from make(items[:1])
    raise ValueError("recording 3 is damaged")


@pytest.mark.parametrize("workers", [0, 2])
def test_what_goes_wrong_in_the_making_is_said_and_leaves_no_half_file(tmp_path, workers):
    with pytest.raises(ValueError, match=r"^recording 3 is damaged$"):
        stored(tmp_path, SETTINGS, range(4), broken, chunk=2, workers=workers)
    assert [path.name for path in tmp_path.glob("*/*")] == ["settings.json"]


def test_only_old_leftovers_are_removed(tmp_path):
    folder = stored(tmp_path, SETTINGS, range(4), make, chunk=2).folder
    (folder / "000000-000002.npy").unlink()
    old, new = folder / ".000000-000002.npy.abcdefgh", folder / ".000000-000002.npy.12345678"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    stored(tmp_path, SETTINGS, range(4), make, chunk=2)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_folder_that_cannot_be_written_says_where_else_to_go(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"can't keep frames in .*file.*SNN_LANDSCAPE_CACHE"):
        stored(tmp_path / "file", SETTINGS, range(4), make)


@pytest.mark.parametrize("damage", [lambda content: content[:-3], lambda content: b"", lambda content: b"x" * 500])
def test_a_damaged_file_is_named(tmp_path, damage):
    frames = stored(tmp_path, SETTINGS, range(4), make)
    path = next(frames.folder.glob("*.npy"))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(OSError, match=rf"{path} can't be read .*: delete it"):
        frames[[0]]


def split_of(folder: Path, workers: int = 0) -> EventSplit:
    labels = torch.arange(10)
    frames = stored(folder, SETTINGS, range(20), make, chunk=4)
    return EventSplit(labels, (0.0, 0.0), (1.0, 1.0), frames, torch.arange(19, -1, -2), workers)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_stored_frames_time_first(tmp_path, workers):
    expected = torch.stack(list(make(range(19, -1, -2))), 1)
    images, labels = zip(*split_of(tmp_path, workers).batches(4), strict=True)
    assert [len(each) for each in labels] == [4, 4, 2]
    assert torch.equal(torch.cat(images, 1), expected)
    assert all(each.is_contiguous() and each.dtype == torch.float32 for each in images)
    order = torch.randperm(10, generator=Generator().manual_seed(3))
    images, labels = zip(*split_of(tmp_path, workers).batches(4, generator=Generator().manual_seed(3)), strict=True)
    assert torch.equal(torch.cat(labels), order)
    assert torch.equal(torch.cat(images, 1), expected[:, order])


@pytest.mark.parametrize("augment", [None, roll_and_flip])
def test_processes_shares_are_the_whole_batch_as_one_process_has_it(tmp_path, augment):
    def batches(part):
        return list(split_of(tmp_path).batches(4, generator=Generator().manual_seed(3), augment=augment, part=part))

    whole, shares = batches((0, 1)), [batches((i, 3)) for i in range(3)]
    for place, (images, labels) in enumerate(whole):
        assert torch.equal(torch.cat([share[place][0] for share in shares], 1), images)
        assert torch.equal(torch.cat([share[place][1] for share in shares]), labels)


def test_workers_change_nothing_that_is_drawn(tmp_path):
    drawn = []
    for workers in (0, 2):
        options = {"generator": Generator().manual_seed(3), "augment": roll_and_flip}
        drawn.append(torch.cat([images for images, _ in split_of(tmp_path, workers).batches(4, **options)], 1))
    assert torch.equal(*drawn)
    plain = torch.cat([images for images, _ in split_of(tmp_path).batches(4, generator=Generator().manual_seed(3))], 1)
    assert not torch.equal(drawn[0], plain)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_frames_need_not_fit_into_memory(tmp_path):
    """Of 128 recordings, 67 MB in one file, reading two takes the memory of two."""
    rows = (torch.rand(4, 2, 128, 128) for _ in range(128))
    frames = stored(tmp_path, SETTINGS, range(128), lambda items: rows)

    def read(report):
        def anonymous() -> int:
            line = next(line for line in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in line)
            return int(line.split()[1])

        before = anonymous()
        frames[[5, 77]]
        report.put(anonymous() - before)

    report = FORK.Queue()
    child = FORK.Process(target=read, args=(report,))
    child.start()
    assert report.get(timeout=60) < 20_000  # kB
    child.join()
