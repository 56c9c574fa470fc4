"""The digest by which a study knows that a subject is as it was: any example or code that changes, and nothing else."""

import importlib
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import ToTensor

from analysis.subject import Subject
from models import data

COUNT = 120


def arrays(changed: bool) -> TensorDataset:
    x, y = torch.arange(4.0 * COUNT).reshape(COUNT, 4), torch.arange(COUNT) % 3
    y[-1] = (y[-1] + changed) % 3
    return TensorDataset(x, y)


class Own(Dataset):
    """A Dataset of the user's, which counts, keeps what it has read, and has parts that say nothing."""

    def __init__(self, inside):
        self.inside, self.read, self.kept, self.x = inside, 0, {}, None
        self.odd = np.array([object(), {1, 2}, "word"], dtype=object)
        self.me, self.change = self, lambda x: x

    def __len__(self):
        return COUNT

    def __getitem__(self, place):
        self.read += 1
        self.kept[place] = self.inside[place]
        return self.kept[place]


def npz(changed: bool):
    x, y = (part.numpy() for part in arrays(changed).tensors)
    np.savez("mine.npz", x=x, y=y)
    return data.load("mine.npz", split_seed=1).train


def of_memory_map(changed: bool):
    x, y = arrays(False).tensors
    np.save("x.npy", x.numpy() + 0.5 * changed * (np.arange(COUNT)[:, None] == COUNT - 1))
    os.utime("x.npy", (1, 1 + changed))
    found = Own(None)
    found.x = np.load("x.npy", mmap_mode="r")
    found.inside = [(torch.from_numpy(row.copy()), label) for row, label in zip(found.x, y, strict=True)]
    return found


def folder(changed: bool):
    for place in range(COUNT):
        path = Path(f"images/{place % 2}/{place:03}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or (changed and place == COUNT - 1):
            Image.fromarray(np.full((2, 2, 3), place + changed, np.uint8)).save(path)
            os.utime(path, (1, 1 + changed))
    return ImageFolder("images", ToTensor())


SOURCES = {
    "arrays": arrays,
    "batches": lambda changed: list(DataLoader(arrays(changed), 50)),
    "loader": lambda changed: DataLoader(arrays(changed), 32),
    "subset": lambda changed: Subset(arrays(changed), range(COUNT)),
    "its indices": lambda changed: Subset(arrays(False), [*range(COUNT - 1), COUNT - 1 - changed]),
    "parts": lambda changed: ConcatDataset([arrays(False), arrays(changed)]),
    "own": lambda changed: Own(arrays(changed)),
    "loader of own": lambda changed: DataLoader(Own(arrays(changed)), 32),
    "npz": npz,
    "memory map": of_memory_map,
    "folder": folder,
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield
    sys.modules.pop("helping", None)


def network(inputs: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 3))


@pytest.mark.parametrize("name", SOURCES)
def test_the_last_example_changes_the_digest_and_the_same_again_does_not(name):
    inputs = 12 if name == "folder" else 4
    one, same, other = (
        Subject(network(inputs), train=SOURCES[name](changed)).sha256 for changed in (False, False, True)
    )
    assert one == same
    assert one != other


class Lazy(Dataset):
    """Examples read from a file of lines, that no attribute names."""

    def __len__(self):
        return COUNT

    def __getitem__(self, place):
        value = float(Path("rows.txt").read_text().split()[place])
        return torch.full((4,), value), place % 3


@pytest.mark.parametrize("place", [0, 80, COUNT - 1])
def test_an_example_that_is_read_when_asked_for_changes_the_digest(place):
    rows = [*map(str, range(COUNT))]
    Path("rows.txt").write_text(" ".join(rows))
    one, same = (Subject(network(), train=Lazy()).sha256 for _ in range(2))
    assert one == same
    rows[place] = "0.5"
    Path("rows.txt").write_text(" ".join(rows))
    assert Subject(network(), train=Lazy()).sha256 != one


class Scaled(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.settings, self.linear = scale, nn.Linear(4, 3)

    def forward(self, x):
        return self.linear(x)


@pytest.mark.parametrize(
    ("one", "other"),
    [(1.0, 3.0), ("relu", "tanh"), ({"scale": [1, 2]}, {"scale": [1, 3]}), (torch.ones(2), torch.zeros(2))],
)
def test_attributes_of_modules_count(one, other):
    found = []
    for settings in (one, one, other):
        torch.manual_seed(0)
        found.append(Subject(nn.Sequential(Scaled(settings)), train=arrays(False)).sha256)
    assert found[0] == found[1]
    assert found[0] != found[2]


HELPING = """
from functools import partial
from torch import nn
from torch.nn.functional import cross_entropy


def scaled(x):
    return x * 2.0


class Net(nn.Module):
    def forward(self, x):
        return scaled(x)


def each(output, target, factor=3.0):
    return cross_entropy(output, target, reduction="none") * factor


def closed(factor):
    return lambda output, target: each(output, target, factor)


class Loss(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, output, target):
        return each(output, target, self.factor)
"""


def helping(text: str = HELPING):
    Path("helping.py").write_text(text)
    sys.modules.pop("helping", None)
    importlib.invalidate_caches()
    sys.dont_write_bytecode = True
    return importlib.import_module("helping")


def digest(module, **more) -> str:
    return Subject(nn.Sequential(network(), module.Net()), train=arrays(False), **more).sha256


def test_what_a_class_calls_in_its_own_file_counts():
    assert digest(helping()) == digest(helping())
    assert digest(helping()) != digest(helping(HELPING.replace("x * 2.0", "x * 5.0")))


@pytest.mark.parametrize("importing", ["import squashing", "from squashing import squash"])
def test_what_its_file_imports_from_the_same_folder_counts(importing):
    found = []
    for squash in ("relu", "relu", "tanh"):
        Path("squashing.py").write_text(f"def squash(x):\n    return x.{squash}()\n")
        sys.modules.pop("squashing", None)
        called = "squash" if "from" in importing else "squashing.squash"
        found.append(digest(helping(importing + HELPING.replace("x * 2.0", f"{called}(x)"))))
    sys.modules.pop("squashing", None)
    assert found[0] == found[1]
    assert found[0] != found[2]


@pytest.mark.parametrize(
    "made",
    [
        lambda file, factor: file.closed(factor),
        lambda file, factor: partial(file.each, factor=factor),
        lambda file, factor: partial(partial(file.closed(factor))),
        lambda file, factor: file.Loss(factor),
        lambda file, factor: file.Loss(factor).forward,
    ],
)
def test_what_a_loss_was_made_with_counts(made):
    file = helping()
    one, same, other = (digest(file, losses={"mine": made(file, factor)}) for factor in (2.0, 2.0, 4.0))
    assert one == same
    assert one != other


def test_a_function_that_holds_itself_has_a_digest():
    def loss(output, target, again=0):
        return loss(output, target, again - 1) if again else output.square().sum(1)

    assert len(digest(helping(), losses={"mine": loss})) == 64
