"""Event data sets on small folders written in their authors' formats, and N-MNIST from real recordings, trained on."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator

from analysis import timesteps
from analysis.subject import Subject
from models import train
from models.data import Data, described, load
from models.data.augment import roll_and_flip
from models.data.event_cache import EventSplit
from models.data.event_frames import frames, resized
from models.data.nmnist import read_bin
from models.data.splits import Split
from tests.event_files import (
    aedat3,
    atis,
    gesture_stream,
    packet,
    random_events,
    real_events,
    write_cifar10_dvs,
    write_gesture,
    write_n_mnist,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder with all three data sets, small."""
    folder = tmp_path_factory.mktemp("events")
    write_cifar10_dvs(folder / "cifar10-dvs")
    write_gesture(folder / "dvs128-gesture")
    write_n_mnist(folder / "n-mnist")
    return folder


def all_of(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zip(*split.batches(50), strict=True)
    return torch.cat(images, 1), torch.cat(labels)


def numbers(split: Split) -> list[int]:
    assert isinstance(split, EventSplit)
    return split.numbers.tolist()


def counted(events, steps: int, rows: int = 128) -> torch.Tensor:
    """Frames by a loop over (row, column, p) in order of time."""
    frames = torch.zeros(steps, 2, rows, rows)
    for n, (row, column, p) in enumerate(events):
        frames[n * steps // len(events), int(p > 0), row, column] += 1
    return frames


# CIFAR10-DVS


def test_cifar10_dvs_is_cut_as_asked_after_a_quarter_turn(tmp_path):
    write_cifar10_dvs(tmp_path, per_class=2)
    data = load("cifar10-dvs", root=tmp_path, image_size=128)
    assert (data.steps, data.in_channels, data.image_size, data.num_classes) == (10, 2, 128, 10)
    assert data.augment is roll_and_flip
    images, labels = all_of(data.train)
    assert images.shape == (10, 10, 2, 128, 128)
    place = numbers(data.train).index(3 * 2)
    assert labels[place] == 3
    written = random_events(60, 128, seed=3000)  # rows are the sensor's x, here from the left, as the official code's
    turned = [(x, 127 - y, p) for _, x, y, p in written]
    assert torch.equal(images[:, place], counted(turned, 10))


@pytest.mark.parametrize(("by", "binary"), [("count", False), ("time", True)])
def test_what_is_kept_on_disk_is_the_frames_made_anew_to_the_bit(root, by, binary):
    data = load("n-mnist", root=root, timesteps=4, by=by, binary=binary)
    images, _ = all_of(data.test)
    files = sorted((root / "n-mnist/Test").glob("*/*.bin"))
    for place, number in enumerate(numbers(data.test)):
        made = frames(read_bin(files[number - 20]), 4, by=by, binary=binary, size=(34, 34))
        assert torch.equal(images[:, place], resized(made, 32))


@pytest.mark.parametrize(("split", "tests"), [("number", {18, 19}), ("number-first", {0, 1})])
def test_by_number_a_tenth_of_each_class_tests(root, split, tests):
    data = load("cifar10-dvs", root=root, split=split, timesteps=2, image_size=16)
    expected = {20 * label + number for label in range(10) for number in tests}
    assert set(numbers(data.test)) == expected
    assert set(numbers(data.train)) == set(range(200)) - expected
    for part in (data.train, data.test):
        assert part.labels.tolist() == [number // 20 for number in numbers(part)]
        assert len(set(part.labels[:10].tolist())) == 10  # a prefix holds the classes in proportion


def test_a_random_split_is_drawn_by_its_seed_with_every_class_in_proportion(root):
    options = {"split": "random", "timesteps": 2, "image_size": 16}
    first, again, other = (load("cifar10-dvs", root=root, split_seed=seed, **options) for seed in (1, 1, 2))
    assert numbers(first.test) == numbers(again.test)
    assert set(numbers(first.test)) != set(numbers(other.test))
    assert sorted(numbers(first.train) + numbers(first.test)) == list(range(200))
    assert torch.bincount(first.test.labels).tolist() == [2] * 10


def test_subsets_are_prefixes_and_splits_share_one_cache(root):
    options = {"root": root, "timesteps": 2, "image_size": 16}
    whole, small = (load("cifar10-dvs", train_images=count, **options) for count in (None, 30))
    assert numbers(small.train) == numbers(whole.train)[:30]
    assert numbers(small.test) == numbers(whole.test)
    for count in (0, 9, 181):
        with pytest.raises(ValueError, match=f"between 10 and 180 .* got {count}"):
            load("cifar10-dvs", train_images=count, **options)
    random = load("cifar10-dvs", split="random", **options)
    assert isinstance(random.train, EventSplit)
    assert isinstance(whole.train, EventSplit)
    assert random.train.frames == whole.train.frames


@pytest.mark.parametrize("name", ["cifar10-dvs", "dvs128-gesture", "n-mnist"])
def test_recordings_are_described_without_their_files_but_for_their_digest(name, root):
    data, found = load(name, root=root, timesteps=3, image_size=16), described(name, timesteps=3, image_size=16)
    assert found.arguments == data.arguments | {"files": None}
    assert [found.in_channels, found.num_classes, found.image_size] == [2, data.num_classes, 16]


def test_arguments_rebuild_the_data_and_notice_other_files(root, tmp_path):
    data = load("cifar10-dvs", root=root, timesteps=2, by="time", binary=True, image_size=16, split="random")
    again = load("cifar10-dvs", root=root / "cifar10-dvs", **data.arguments)
    assert again.arguments == data.arguments
    assert data.arguments["split"] == "random"
    for a, b in ((data.train, again.train), (data.test, again.test)):
        assert torch.equal(all_of(a)[0], all_of(b)[0])
    shutil.copytree(root / "cifar10-dvs", tmp_path / "fewer")
    (tmp_path / "fewer/cat/cifar10_cat_7.aedat").unlink()
    with pytest.raises(ValueError, match=r"fewer are not those that were asked for .* some are missing"):
        load("cifar10-dvs", root=tmp_path / "fewer", **data.arguments)


# DVS128 Gesture


def test_a_gesture_is_the_events_of_its_time(root):
    data = load("dvs128-gesture", root=root, image_size=128, timesteps=3)
    assert (data.num_classes, len(data.train), len(data.test)) == (11, 22, 11)
    images, labels = all_of(data.test)
    stream = gesture_stream(3)
    for label in range(11):
        events = [(y, x, p) for t, x, y, p in stream if 2000 * label <= t < 2000 * label + 1000]
        assert torch.equal(images[:, labels.tolist().index(label)], counted(events, 3))


def test_gestures_are_rolled_but_not_mirrored_since_left_and_right_are_classes(root):
    augment = load("dvs128-gesture", root=root, image_size=16, timesteps=3).augment
    assert isinstance(augment, partial)
    assert (augment.func, augment.keywords) == (roll_and_flip, {"flip": False})


def test_gestures_whose_events_are_not_marked_valid_are_read_on_request(root, tmp_path):
    folder = tmp_path / "dvs128-gesture"
    shutil.copytree(root / "dvs128-gesture", folder, ignore=shutil.ignore_patterns("frames"))
    for file in folder.glob("*.aedat"):
        stream = gesture_stream(1)
        file.write_bytes(aedat3(packet(stream, valid=[0] * len(stream), counted=len(stream))))
    with pytest.raises(ValueError, match=r"user01_led.*keep_invalid=True"):
        load("dvs128-gesture", root=tmp_path, image_size=16)
    data = load("dvs128-gesture", root=tmp_path, image_size=16, keep_invalid=True)
    assert data.arguments["keep_invalid"] is True
    assert len(load("dvs128-gesture", root=tmp_path, **data.arguments).train) == 22


# N-MNIST


def test_n_mnist_has_its_authors_parts_and_its_frames_all_events(root):
    data = load("n-mnist", root=root, image_size=34)
    assert data.augment is None
    for part, count in ((data.train, 20), (data.test, 10)):
        images, labels = all_of(part)
        assert sorted(labels.tolist()) == sorted(list(range(10)) * (count // 10))
        assert (images.sum((0, 2, 3, 4)) == 80).all()


def test_overflow_marks_are_no_part_of_the_sum(tmp_path):
    write_n_mnist(tmp_path)
    (tmp_path / "Test/4/04001.bin").write_bytes(atis([(5, 1, 2, 1), (0, 0, 240, 1), (6, 3, 4, -1)]))
    data = load("n-mnist", root=tmp_path, image_size=34)
    assert all_of(data.test)[0].sum((0, 2, 3, 4))[data.test.labels == 4] == 2


# Refusals


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"timesteps": 0}, "timesteps of n-mnist must be at least 1, got 0"),
        ({"image_size": 0}, "timesteps and image_size must be positive"),
        ({"workers": -1}, "workers not negative, got .* -1"),
        ({"by": "size"}, "argument by of n-mnist is 'size' .*count or time"),
        ({"split": "number"}, "argument split of n-mnist is 'number' .*authors or random"),
        ({"cut": "count"}, "n-mnist takes no argument cut; it takes binary, by"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(root, arguments, words):
    with pytest.raises(ValueError, match=words):
        load("n-mnist", root=root, **arguments)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"123456", "ends within an event"),
        (b"", "holds no events"),
        (atis([(5, 34, 2, 1)]), "events lie off the sensor"),
    ],
)
def test_a_bad_recording_is_named_in_one_line_with_exit_1(tmp_path, capsys, content, words):
    write_n_mnist(tmp_path / "n", events=3)
    bad = tmp_path / "n/Train/4/04000.bin"
    bad.write_bytes(content)
    status = train.main(["--data", "n-mnist", "--data-root", str(tmp_path / "n"), "--out", str(tmp_path / "run")])
    *_, line = capsys.readouterr().err.splitlines()
    assert status == 1
    assert f"{bad}" in line
    assert words in line
    assert not (tmp_path / "run").exists()


def test_one_recording_a_class_cannot_be_split(tmp_path):
    write_cifar10_dvs(tmp_path, per_class=1, events=3)
    with pytest.raises(ValueError, match="10 recordings can't be split in two by 'number'"):
        load("cifar10-dvs", root=tmp_path, image_size=16)


def test_the_environment_names_the_folder_for_frames(root, tmp_path, monkeypatch):
    monkeypatch.setenv("SNN_LANDSCAPE_CACHE", str(tmp_path / "elsewhere"))
    load("n-mnist", root=root, timesteps=2)
    assert [path.name for path in (tmp_path / "elsewhere").glob("*/*.npy")] == ["000000-000030.npy"]


def test_reading_processes_change_nothing(root, tmp_path, monkeypatch):
    monkeypatch.setenv("SNN_LANDSCAPE_CACHE", str(tmp_path))
    options = {"root": root, "timesteps": 3, "image_size": 16}
    made = load("dvs128-gesture", workers=2, **options)
    monkeypatch.setenv("SNN_LANDSCAPE_CACHE", str(tmp_path / "other"))
    alone = load("dvs128-gesture", **options)
    assert "workers" not in made.arguments
    read = [
        next(data.train.batches(22, generator=Generator().manual_seed(0), augment=data.augment))[0]
        for data in (made, alone)
    ]
    assert torch.equal(*read)


# From files to tables


@pytest.fixture(scope="module")
def real_n_mnist(tmp_path_factory) -> Path:
    """Thirty real recordings, three a digit, laid out as N-MNIST: two for training, one for testing."""
    source, root = real_events() / "nmnist_slayer_bs2", tmp_path_factory.mktemp("real")
    found: dict[str, int] = {}
    for line in (source / "labels.txt").read_text().splitlines()[1:]:
        number, label = line.split()
        found[label] = found.get(label, 0) + 1
        folder = root / "n-mnist" / ("Test" if found[label] == 3 else "Train") / label
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / f"{number}.bs2", folder / f"{int(number):05d}.bin")
    return root


def trained(root: Path, out: Path, *options: str) -> Path:
    flags = ["--data", "n-mnist", "--data-root", str(root), "--out", str(out), "--model", "digits-cnn", "--quiet"]
    assert train.main([*flags, "--timesteps", "4", "--batch-size", "5", *options]) == 0
    return out / "ckpt.pt"


def rebuilt(path: Path, root: Path, expected: Data) -> None:
    subject = Subject.load(path, data_root=str(root))
    images, labels = subject.batch("test", None)
    assert torch.equal(images, all_of(expected.test)[0])
    assert torch.equal(labels, expected.test.labels)


def test_a_run_trains_and_its_checkpoint_rebuilds_the_data_for_analyses(root, tmp_path, capsys):
    options = ("--epochs", "1", "--cut", "time", "--binary-frames", "--split", "random", "--split-seed", "3")
    path = trained(root, tmp_path / "run", *options)
    rebuilt(path, root, load("n-mnist", root=root, timesteps=4, by="time", binary=True, split="random", split_seed=3))
    assert timesteps.main([str(path), "--data-root", str(root), "--out", str(tmp_path / "tables"), "--quiet"]) == 0
    assert (tmp_path / "tables/timesteps.csv").exists()


def test_flags_that_the_data_does_not_take_are_refused(tmp_path, capsys):
    assert train.main(["--data", "digits", "--split", "random", "--out", str(tmp_path / "run")]) == 1
    assert "digits takes no argument split" in capsys.readouterr().err


def test_real_recordings_are_learned(real_n_mnist, tmp_path):
    path = trained(real_n_mnist, tmp_path / "run", "--epochs", "8", "--learning-rate", "0.01")
    rebuilt(path, real_n_mnist, load("n-mnist", root=real_n_mnist, timesteps=4))
    history = np.genfromtxt(tmp_path / "run/history.csv", delimiter=",", names=True)
    assert history["train_accuracy"].max() > 0.4  # of ten classes


def test_frames_of_real_recordings_hold_all_of_their_events(real_n_mnist):
    data = load("n-mnist", root=real_n_mnist, image_size=34)
    total = sum(all_of(part)[0].sum().item() for part in (data.train, data.test))
    assert total == sum(file.stat().st_size // 5 for file in real_n_mnist.glob("n-mnist/T*/*/*.bin"))
