"""Data of the user's own that changed: noticed by every run that would go on, or end, as if they hadn't."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS

from analysis import path, timesteps
from analysis.subject import in_network
from models import data, train
from models.checkpoint import CheckpointError, load, save
from models.data import file_digest
from tests.own_file import own_file

here = own_file(
    "digest_mine.py",
    "from torch import nn\n\n\ndef Images():\n    return nn.Sequential(nn.Flatten(), nn.Linear(192, 2))\n\n\n"
    "def Numbers():\n    return nn.Sequential(nn.Linear(4, 3))\n",
)


def folder(shade=0):
    for part, count in (("train", 4), ("val", 2)):
        for number, name in enumerate("ab"):
            Path("shapes", part, name).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                Image.new("RGB", (8, 8), (100 * number, shade, index)).save(f"shapes/{part}/{name}/{index}.bmp")


def array(seed=0):
    x = np.random.default_rng(seed).normal(size=(30, 4)).astype(np.float32)
    np.savez("mine.npz", x=x, y=np.arange(30) % 3)


def trained(kind, out="run", *words):
    own = {
        "shapes": ["--data", "shapes", "--model", "digest_mine.py:Images", "--image-size", "8"],
        "mine.npz": ["--data", "mine.npz", "--model", "digest_mine.py:Numbers"],
    }[kind]
    return train.main([*own, "--loss", "ce", "--epochs", "1", "--quiet", "--out", out, *words])


CHANGES = {"shapes": (folder, lambda: folder(1)), "mine.npz": (array, lambda: array(1))}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_finished_run_and_every_analysis_notice_that_the_data_changed(kind, capsys):
    before, after = CHANGES[kind]
    before()
    for seed in ("0", "1"):
        assert not trained(kind, f"run{seed}", "--seed", seed)
    assert not trained(kind, "run0")
    pair = ["run0/ckpt.pt", "run1/ckpt.pt", "--code", "digest_mine.py", "--quiet", "--out", "between", "--points", "3"]
    assert not path.main([*pair, "--kind", "line"])
    assert not path.main([*pair, "--kind", "line"])
    after()
    capsys.readouterr()
    assert trained(kind, "run0") == 1
    assert f"run0/ckpt.pt: it was trained on what {kind} held before it changed" in capsys.readouterr().err
    assert path.main([*pair, "--kind", "line"]) == 1
    assert "held before it changed" in capsys.readouterr().err
    assert timesteps.main(["run0/ckpt.pt", "--code", "digest_mine.py", "--quiet"]) == 1
    assert "that the checkpoint was made with" in capsys.readouterr().err
    before()
    assert not trained(kind, "run0")


def test_data_that_are_gone_leave_a_finished_run_alone():
    array()
    assert not trained("mine.npz")
    Path("mine.npz").unlink()
    assert not trained("mine.npz")


def test_checkpoints_without_a_folder_s_digest_are_still_read():
    folder()
    assert not trained("shapes")
    made = load(Path("run/ckpt.pt"))
    del made.data["sha256"]
    save(made, Path("run/ckpt.pt"))
    folder(1)
    assert not trained("shapes")
    assert len(load(Path("run/ckpt.pt")).load_data().train) == 8


def test_a_folder_s_digest_is_that_of_places_sizes_and_contents():
    folder()
    Path("shapes/train/notes.txt").write_text("no image")
    said = hashlib.sha256()
    for image in sorted(Path("shapes/train").rglob("*.bmp")) + sorted(Path("shapes/val").rglob("*.bmp")):
        content = image.read_bytes()
        name = image.relative_to("shapes").as_posix()
        said.update(name.encode() + b"\0" + str(len(content)).encode() + b"\0" + hashlib.sha256(content).digest())
    assert data.load("shapes", image_size=8).sha256 == said.hexdigest()


def renamed():
    Path("shapes/train/a/0.bmp").rename("shapes/train/a/9.bmp")


def removed():
    Path("shapes/val/b/1.bmp").unlink()


def moved():
    Path("shapes/train/a/0.bmp").rename("shapes/train/b/9.bmp")


def rewritten():
    """The same size, another pixel in the middle, the time of change as it was."""
    image = Path("shapes/train/a/0.bmp")
    about, content = image.stat(), bytearray(image.read_bytes())
    content[len(content) // 2] ^= 1
    image.write_bytes(content)
    os.utime(image, ns=(about.st_atime_ns, about.st_mtime_ns + 1))


@pytest.mark.parametrize("change", [renamed, removed, moved, rewritten])
def test_whatever_of_a_folder_changes_is_seen(change):
    folder()
    before = file_digest.digest(Path("shapes"))
    assert file_digest.digest(Path("shapes").resolve()) == before
    change()
    assert file_digest.digest(Path("shapes")) != before


def test_of_large_folders_ends_of_contents_count(monkeypatch):
    folder()
    monkeypatch.setattr(file_digest, "WHOLE", 10)
    monkeypatch.setattr(file_digest, "END", 60)
    file_digest._of_files.cache_clear()
    before = file_digest.digest(Path("shapes"))
    rewritten()
    assert file_digest.digest(Path("shapes")) == before
    image = Path("shapes/train/a/0.bmp")
    image.write_bytes(image.read_bytes()[:-1] + b"\7")
    assert file_digest.digest(Path("shapes")) != before


def test_what_is_measured_of_weights_from_elsewhere_is_told_apart_by_its_data():
    array()
    assert not trained("mine.npz")
    made = load(Path("run/ckpt.pt"))
    torch.save(made.state_dict, "theirs.pt")

    def found():
        return in_network(Path("theirs.pt"), "digest_mine.py:Numbers", "mine.npz", quiet=True).sha256

    before = found()
    assert found() == before
    with np.load("mine.npz") as held:
        x, y = held["x"].copy(), held["y"]
    x[-1] += 1
    np.savez("mine.npz", x=x, y=y)
    assert found() != before


def test_a_changed_file_is_no_damaged_checkpoint():
    array()
    assert not trained("mine.npz")
    array(1)
    with pytest.raises(CheckpointError, match=r"^run/ckpt\.pt: it was trained on what mine\.npz held before"):
        load(Path("run/ckpt.pt")).check_data()


def test_images_are_the_files_that_torchvision_takes_for_images():
    assert set(file_digest.IMAGES) == set(IMG_EXTENSIONS)
