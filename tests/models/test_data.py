"""Splits, batches and augmentation; readers on files in their own formats, and on the real ones where there are any."""

import hashlib
import json
import os
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits
from torch import Generator
from torchvision.datasets import CIFAR10, CIFAR100

from models.data import Data, Described, described, load
from models.data.augment import crop_and_flip
from models.data.event_frames import frames
from models.data.events import simulate
from models.data.splits import MemorySplit, Split, stratified_order

DIGITS = load_digits()


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def stored(split: Split) -> torch.Tensor:
    assert isinstance(split, MemorySplit)
    return split.images


def collected(split, **options) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zip(*split.batches(64, **options), strict=True)
    return torch.cat(images, 1 if images[0].ndim == 5 else 0), torch.cat(labels)


def pairs(images, labels) -> Counter:
    """Each image's bytes with its label, counted."""
    return Counter((np.asarray(image).tobytes(), int(label)) for image, label in zip(images, labels, strict=True))


@pytest.fixture(scope="module")
def in_memory() -> dict[str, Data]:
    return {name: load(name) for name in ("digits", "digit-events")}


# Order


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.integers(0, 1000))
def test_every_prefix_of_a_stratified_order_holds_the_classes_in_proportion(labels, seed):
    labels = torch.tensor(labels)
    order = stratified_order(labels, seed=seed)
    assert sorted(order.tolist()) == list(range(len(labels)))
    counts = torch.bincount(labels)
    share = counts / len(labels)
    slack = 0.5 + share * (counts > 0).sum() / 2 + 1e-6
    for n in range(1, len(labels) + 1):
        held = torch.bincount(labels[order[:n]], minlength=len(counts))
        assert ((held - n * share).abs() <= slack).all()


def test_a_stratified_order_is_random_within_and_among_classes():
    labels = torch.arange(10).repeat_interleave(20)
    orders = [stratified_order(labels, seed=seed) for seed in range(200)]
    firsts = Counter(int(order[0]) for order in orders)
    assert len(firsts) > 80
    assert max(firsts.values()) < 12


# Digits


def test_digit_splits_are_disjoint_and_together_all_of_the_digits():
    data = load("digits", train_images=211, split_seed=4)
    parts = [pairs(stored(split), split.labels) for split in (data.train, data.test)]
    assert (len(data.train), len(data.test)) == (211, 1586)
    assert parts[0] + parts[1] == pairs(DIGITS.images.astype(np.uint8)[:, None], DIGITS.target)


def test_digit_splits_and_their_prefixes_hold_the_classes_in_proportion():
    data = load("digits")
    share = np.bincount(DIGITS.target) / len(DIGITS.target)
    for split in (data.train, data.test):
        for n in (10, 50, len(split)):
            assert np.abs(np.bincount(split.labels[:n], minlength=10) - n * share).max() <= 1.5


def test_digits_are_standardised_with_the_training_pixels():
    data = load("digits", train_images=100)
    images, _ = collected(data.train, dtype=torch.float64)
    assert images.shape == (100, 1, 8, 8)
    assert abs(images.mean()) < 1e-12
    assert abs(images.std(correction=0) - 1) < 1e-12
    raw = stored(data.train).numpy() / 16
    test, _ = collected(data.test, dtype=torch.float64)
    expected = (stored(data.test).numpy() / 16 - raw.mean()) / raw.std()
    np.testing.assert_allclose(test.numpy(), expected, atol=1e-12)


def test_a_seed_fixes_the_split_and_a_smaller_training_set_is_part_of_a_larger():
    small, large, other = load("digits", train_images=100), load("digits"), load("digits", split_seed=1)
    assert torch.equal(stored(large.train)[:100], stored(small.train))
    assert torch.equal(stored(load("digits").test), stored(large.test))
    assert not torch.equal(stored(other.train), stored(large.train))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("digits", {"train_images": 50, "split_seed": 3}),
        (
            "digit-events",
            {"timesteps": 3, "by": "time", "binary": True, "contrast": 0.5, "noise": 9.0, "noise_seed": 2},
        ),
    ],
)
def test_arguments_are_plain_values_that_rebuild_the_data_exactly(name, arguments):
    data = load(name, **arguments)
    assert arguments.items() <= data.arguments.items()
    again = load(data.name, **json.loads(json.dumps(data.arguments)))
    for a, b in ((data.train, again.train), (data.test, again.test)):
        assert torch.equal(stored(a), stored(b))
        assert torch.equal(a.labels, b.labels)
    assert data.arguments == again.arguments


def test_digit_events_are_the_frames_of_the_digits_in_the_same_splits(in_memory):
    data, digits = in_memory["digit-events"], in_memory["digits"]
    assert (data.steps, data.in_channels, data.image_size, data.num_classes) == (4, 2, 16, 10)
    assert data.augment is None
    for part, other in ((data.train, digits.train), (data.test, digits.test)):
        images, labels = next(part.batches(6))
        assert images.shape == (4, 6, 2, 16, 16)
        assert images.is_contiguous()
        assert torch.equal(labels, other.labels[:6])
        streams = simulate(stored(other)[:6, 0].double().numpy() / 16)
        assert torch.equal(images, torch.stack([frames(stream, 4, size=(16, 16)) for stream in streams], 1))


# Batches


def test_batches_in_stored_order_hold_every_image_once_and_end_ragged():
    split = load("digits").train
    batches = list(split.batches(128))
    assert [len(labels) for _, labels in batches] == [128, 72]
    assert torch.equal(torch.cat([labels for _, labels in batches]), split.labels)
    images, labels = batches[0]
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)


@pytest.mark.parametrize("name", ["digits", "digit-events"])
def test_shuffled_batches_are_a_permutation_that_the_generator_fixes(in_memory, name):
    split = in_memory[name].train
    unshuffled, labels = collected(split)
    first, first_labels = collected(split, generator=seeded(7))
    again, _ = collected(split, generator=seeded(7))
    axis = 1 if name == "digit-events" else 0
    assert torch.equal(first, again)
    assert not torch.equal(first, unshuffled)
    assert pairs(first.movedim(axis, 0), first_labels) == pairs(unshuffled.movedim(axis, 0), labels)


def test_one_generator_shuffles_each_epoch_anew():
    split, generator = load("digits").train, seeded(0)
    assert not torch.equal(collected(split, generator=generator)[1], collected(split, generator=generator)[1])


def test_a_limit_takes_the_first_images_and_shuffles_within_them():
    split = load("digits").test
    images, labels = collected(split, limit=70)
    assert torch.equal(labels, split.labels[:70])
    shuffled, shuffled_labels = collected(split, limit=70, generator=seeded(1))
    assert pairs(images, labels) == pairs(shuffled, shuffled_labels)


@pytest.mark.parametrize("name", ["digits", "digit-events"])
def test_drawn_batches_are_the_first_of_an_order_each(in_memory, name):
    split, generator = in_memory[name].train, seeded(3)
    orders = [torch.randperm(30, generator=generator)[:20] for _ in range(4)]
    stored, labels = collected(split)
    axis = 1 if name == "digit-events" else 0
    found = list(split.batches(20, generator=seeded(3), limit=30, draws=4))
    for (images, classes), order in zip(found, orders, strict=True):
        assert torch.equal(images, stored.index_select(axis, order))
        assert torch.equal(classes, labels[order])


def test_nothing_draws_from_the_global_generator(folders):
    with torch.random.fork_rng():
        torch.manual_seed(11)
        before = torch.get_rng_state()
        for data in (load("digit-events", noise=5.0), load("imagenet", root=folders, image_size=16)):
            for _ in data.train.batches(8, generator=seeded(0), augment=data.augment, limit=9):
                pass
        assert torch.equal(torch.get_rng_state(), before)


def test_augmentation_sees_raw_pixels_and_draws_from_the_generator():
    split = load("digits").train
    seen = []

    def augment(images, generator):
        seen.append(images)
        return (torch.rand(images.shape, generator=generator) * 16).to(torch.uint8)

    images, _ = next(split.batches(200, generator=seeded(2), augment=augment))
    assert seen[0].dtype == torch.uint8
    generator = seeded(2)
    torch.randperm(200, generator=generator)
    drawn = (torch.rand(200, 1, 8, 8, generator=generator) * 16).to(torch.uint8)
    torch.testing.assert_close(images, (drawn.float() - split.mean[0]) / split.std[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 0}, "at least one image, got size 0"),
        ({"size": 4, "limit": 0}, "ask for 1 to 200, not 0"),
        ({"size": 4, "limit": 201}, "ask for 1 to 200, not 201"),
        ({"size": 4, "augment": crop_and_flip}, "generator"),
        ({"size": 4, "draws": 2}, "pass one, or no draws"),
        ({"size": 201, "draws": 2, "generator": seeded(0)}, "can't draw 2 batches of 201 from 200 images"),
        ({"size": 4, "draws": 0, "generator": seeded(0)}, "can't draw 0 batches of 4"),
    ],
)
def test_batches_that_cannot_be_are_refused_at_once(options, words):
    with pytest.raises(ValueError, match=words):
        load("digits").train.batches(**options)


# Errors of load


def test_an_unknown_name_lists_the_names():
    with pytest.raises(
        ValueError, match="'mnist'; there are digits, digit-events, cifar10, cifar100, imagenet, cifar10-dvs"
    ):
        load("mnist")


def test_an_unknown_argument_lists_the_arguments():
    with pytest.raises(ValueError, match="digits takes no argument timesteps; it takes split_seed, train_images"):
        load("digits", timesteps=4)


@pytest.mark.parametrize("count", [-1, 0, 9, 1788, 1797])
def test_a_training_set_without_every_class_or_leaving_no_test_images_is_refused(count):
    with pytest.raises(ValueError, match=f"train_images must lie between 10 and 1787 .* got {count}"):
        load("digits", train_images=count)


def test_the_smallest_training_and_test_sets_hold_every_digit():
    for count in (10, 1787):
        data = load("digits", train_images=count)
        assert len(data.train.labels.unique()) == len(data.test.labels.unique()) == 10


@pytest.mark.parametrize("arguments", [{"by": "size"}, {"contrast": 0.0}, {"noise": -2.0}, {"train_images": 0}])
def test_digit_events_refuse_what_the_sensor_refuses(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        load("digit-events", **arguments)


# CIFAR's files


def write_cifar(monkeypatch, root: Path, kind: type[CIFAR10], key: str, classes: int) -> dict[str, np.ndarray]:
    """A small data set in CIFAR's format under ``root``, with the checksums that torchvision will ask for."""
    random, folder, written = np.random.default_rng(0), root / kind.base_folder, {}
    folder.mkdir()

    def write(name: str, content: dict) -> list[str]:
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    def batch(name: str) -> list[str]:
        pixels, labels = random.integers(0, 256, (2 * classes, 3072), dtype=np.uint8), list(range(classes)) * 2
        written[name] = pixels.reshape(-1, 3, 32, 32)
        return write(name, {"data": pixels, key: labels})

    monkeypatch.setattr(kind, "train_list", [batch(name) for name, _ in kind.train_list])
    monkeypatch.setattr(kind, "test_list", [batch(name) for name, _ in kind.test_list])
    name, md5 = write(kind.meta["filename"], {kind.meta["key"]: [str(i) for i in range(classes)]})
    monkeypatch.setattr(kind, "meta", {**kind.meta, "filename": name, "md5": md5})
    return written


@pytest.fixture
def cifar10(monkeypatch, tmp_path):
    return tmp_path, write_cifar(monkeypatch, tmp_path, CIFAR10, "labels", 10)


def test_cifar_files_give_the_pixels_that_were_written(cifar10):
    root, written = cifar10
    data = load("cifar10", root=root)
    assert (len(data.train), len(data.test), data.num_classes, data.in_channels, data.image_size) == (
        100,
        20,
        10,
        3,
        32,
    )
    labels = list(range(10)) * 10
    train = np.concatenate([written[f"data_batch_{i}"] for i in range(1, 6)])
    assert pairs(stored(data.train), data.train.labels) == pairs(train, labels)
    assert pairs(stored(data.test), data.test.labels) == pairs(written["test_batch"], labels[:20])
    assert data.augment is crop_and_flip
    assert data.steps is None
    images, _ = collected(data.test)
    mean, std = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2023, 0.1994, 0.2010])
    expected = (stored(data.test).numpy() / 255 - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(images, expected, atol=1e-5)


def test_cifar_training_subsets_are_stratified_nested_and_rebuilt_by_their_arguments(cifar10):
    root, _ = cifar10
    small, large = load("cifar10", root=root, train_images=20), load("cifar10", root=root, train_images=50)
    assert torch.bincount(small.train.labels).tolist() == [2] * 10
    assert torch.equal(stored(large.train)[:20], stored(small.train))
    assert len(small.test) == 20
    again = load("cifar10", root=root, **small.arguments)
    assert torch.equal(stored(again.train), stored(small.train))


@pytest.mark.parametrize("count", [0, 9, 101])
def test_cifar_training_subsets_out_of_range_are_refused(cifar10, count):
    with pytest.raises(ValueError, match=f"between 10 and 100 .* got {count}"):
        load("cifar10", root=cifar10[0], train_images=count)


def test_the_environment_names_the_folder_unless_root_does(cifar10, monkeypatch, tmp_path):
    monkeypatch.setenv("SNN_LANDSCAPE_DATA", str(cifar10[0]))
    assert len(load("cifar10").train) == 100
    with pytest.raises(FileNotFoundError):
        load("cifar10", root=tmp_path / "elsewhere")


def test_cifar100_has_fine_labels(monkeypatch, tmp_path):
    write_cifar(monkeypatch, tmp_path, CIFAR100, "fine_labels", 100)
    data = load("cifar100", root=tmp_path)
    assert data.num_classes == 100
    assert data.train.mean == pytest.approx([255 * x for x in (0.5071, 0.4867, 0.4408)])


def known(data: Data | Described) -> dict[str, object]:
    return {name: getattr(data, name) for name in ("name", "arguments", "in_channels", "num_classes", "image_size")}


@pytest.mark.parametrize("name", ["digits", "digit-events"])
def test_data_without_files_are_described_as_they_are(name, in_memory):
    assert known(described(name)) == known(in_memory[name])
    with pytest.raises(ValueError, match="train_images must lie between"):
        described(name, train_images=3)


@pytest.mark.parametrize("arguments", [{}, {"train_images": 20, "split_seed": 3}])
def test_cifar_is_described_without_its_files(arguments, cifar10):
    assert known(described("cifar10", **arguments)) == known(load("cifar10", root=cifar10[0], **arguments))
    assert described("cifar100").num_classes == 100


def test_imagenet_is_described_without_its_files_but_for_its_classes(folders):
    expected = known(load("imagenet", root=folders, image_size=16, workers=1))
    assert known(described("imagenet", image_size=16, workers=1)) == expected | {"num_classes": None}


def test_what_cannot_be_described_is_refused():
    with pytest.raises(ValueError, match="there is no data set 'mnist'"):
        described("mnist")
    with pytest.raises(ValueError, match="cifar10 takes no argument depth"):
        described("cifar10", depth=3)


def test_missing_files_say_where_they_were_sought_and_how_to_get_them(tmp_path):
    with pytest.raises(FileNotFoundError) as failure:
        load("cifar10", root=tmp_path / "nothing")
    message = str(failure.value)
    assert "\n" not in message
    for words in (str(tmp_path / "nothing" / "cifar-10-batches-py"), "missing: data_batch_1", CIFAR10.url, "DATA"):
        assert words in message


def test_a_damaged_file_is_named(cifar10):
    root, _ = cifar10
    path = root / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileNotFoundError, match=r"\(damaged: data_batch_3\)"):
        load("cifar10", root=root)


def real_cifar() -> Path:
    root = Path(os.environ.get("SNN_LANDSCAPE_DATA", "data"))
    if not (root / "cifar-10-batches-py" / "data_batch_1").is_file():
        pytest.skip(f"no CIFAR-10 in {root.resolve()}: SNN_LANDSCAPE_DATA may name the folder that holds it")
    return root


def test_the_real_cifar10_is_read_whole_and_its_pixels_have_the_stated_mean():
    data = load("cifar10", root=real_cifar())
    assert torch.bincount(data.train.labels).tolist() == [5000] * 10
    assert torch.bincount(data.test.labels).tolist() == [1000] * 10
    first = np.array(CIFAR10(real_cifar(), train=False)[0][0]).transpose(2, 0, 1)
    assert (stored(data.test) == torch.from_numpy(first)).flatten(1).all(1).sum() == 1
    means = torch.stack([images.double().mean((0, 2, 3)) for images, _ in data.train.batches(5000)])
    assert means.mean(0).abs().max() < 1e-3
    images, _ = next(data.train.batches(128, generator=seeded(0), augment=data.augment))
    assert images.shape == (128, 3, 32, 32)


# ImageNet's folders


@pytest.fixture
def folders(tmp_path):
    """Three classes of five training images and one of each for validation; an image's mean colour tells its class."""
    random = np.random.default_rng(0)
    for part, count in (("train", 5), ("val", 1)):
        for c, name in enumerate(("n01", "n02", "n03")):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(80 * c, 80 * c + 60, (20 + 3 * i, 30 - 2 * i, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{i}.{'png' if i % 2 else 'jpeg'}")
    return tmp_path


def test_folders_give_labelled_standardised_views_in_a_fixed_stratified_order(folders):
    data = load("imagenet", root=folders, image_size=16)
    assert (data.num_classes, data.in_channels, data.image_size, len(data.train), len(data.test)) == (3, 3, 16, 15, 3)
    images, labels = collected(data.train)
    assert images.shape == (15, 3, 16, 16)
    assert torch.bincount(labels[:6]).tolist() == [2, 2, 2]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = 255 * (images * std.view(3, 1, 1) + mean.view(3, 1, 1))
    assert torch.equal((pixels.mean((1, 2, 3)) / 80).long(), labels)
    again, _ = collected(load("imagenet", root=folders, **data.arguments).train)
    assert torch.equal(images, again)


def test_drawn_batches_of_folders_are_the_first_of_an_order_each(folders):
    train, generator = load("imagenet", root=folders, image_size=16).train, seeded(3)
    orders = [torch.randperm(len(train), generator=generator)[:4] for _ in range(3)]
    stored, labels = collected(train)
    for (images, classes), order in zip(train.batches(4, generator=seeded(3), draws=3), orders, strict=True):
        assert torch.equal(images, stored[order])
        assert torch.equal(classes, labels[order])


def test_views_of_folders_are_drawn_from_the_generator_whatever_reads_them(folders):
    data, parallel = (load("imagenet", root=folders, image_size=16, workers=workers) for workers in (0, 2))
    options = {"generator": seeded(5), "augment": data.augment}
    images, labels = collected(data.train, **options)
    other, _ = collected(data.train, **options)
    options["generator"] = seeded(5)
    again, again_labels = collected(parallel.train, **options)
    assert torch.equal(images, again)
    assert torch.equal(labels, again_labels)
    assert not torch.equal(images, other)
    assert "workers" not in data.arguments


def test_processes_that_could_hand_nothing_over_are_refused(folders, monkeypatch):
    data, parallel = (load("imagenet", root=folders, image_size=16, workers=workers) for workers in (0, 2))
    monkeypatch.setattr("multiprocessing.util.get_temp_dir", lambda: "/long" * 20)
    with pytest.raises(ValueError, match="too long a path for processes that read data: set TMPDIR to a shorter one"):
        collected(parallel.train)
    collected(data.train)


def test_the_views_of_one_image_differ_from_draw_to_draw(folders):
    data, generator = load("imagenet", root=folders, image_size=16), seeded(0)
    draws = [next(data.train.batches(1, generator=generator, augment=data.augment, limit=1))[0] for _ in range(4)]
    assert all(not torch.equal(draws[0], draw) for draw in draws[1:])


@pytest.mark.parametrize("gone", ["train", "val", "val/n02/0.jpeg"])
def test_missing_folders_say_where_they_were_sought(folders, gone):
    (folders / gone).rename(folders / "away")
    with pytest.raises(FileNotFoundError) as failure:
        load("imagenet", root=folders)
    assert "\n" not in str(failure.value)
    assert str(folders / gone.split("/")[0]) in str(failure.value)
    assert "image-net.org" in str(failure.value)


def test_training_and_validation_folders_must_have_the_same_classes(folders):
    (folders / "val" / "n02").rename(folders / "val" / "n09")
    with pytest.raises(ValueError, match=r"n02.*n09"):
        load("imagenet", root=folders)


def test_an_image_that_cannot_be_read_is_named(folders):
    path = folders / "val" / "n01" / "0.jpeg"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(OSError, match=str(path)):
        list(load("imagenet", root=folders, image_size=16).test.batches(3))


def test_an_impossible_image_size_is_refused(folders):
    with pytest.raises(ValueError, match="image_size"):
        load("imagenet", root=folders, image_size=0)
