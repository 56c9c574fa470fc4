"""Every command and every snippet of the README does what it says, in the order it stands there."""

import ast
import re
from pathlib import Path

import pytest
import torch
import torchvision

from tests.blocks import ROOT, blocks, carry_out

README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture" / "index.md").read_text()
BLOCKS = blocks(README)
NETWORK = """
import torch
from torch import nn
from torch.utils.data import TensorDataset

x, y = torch.randn(48, 5, generator=torch.Generator().manual_seed(0)), torch.arange(48) % 3
train, test = TensorDataset(x[:24], y[:24]), TensorDataset(x[24:], y[24:])


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
"""


def provide(folder: Path) -> None:
    """What a reader has: a network with data and weights, and files that torchvision's ResNet-18 was trained to."""
    (folder / "my_network.py").write_text(NETWORK)
    (folder / "weights").mkdir()
    for number, name in enumerate(f"{method}-{seed}" for method in ("adam", "sgd") for seed in range(3)):
        torch.manual_seed(number)
        net = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
        torch.save({"state_dict": net.state_dict()}, folder / "weights" / f"{name}.pth")
    for name in ("sgd", "sam"):
        net = torchvision.models.resnet18(num_classes=10)
        net.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)  # digits have one channel
        torch.save(net.state_dict(), folder / f"{name}.pth")


def test_there_are_commands_and_snippets():
    assert {kind for kind, _ in BLOCKS} == {"sh", "python"}
    assert len(BLOCKS) == README.count("\n```") // 2  # none is marked otherwise, and left out


def test_it_is_short():
    assert len(README.splitlines()) <= 150


@pytest.mark.slow
def test_they_run(tmp_path):
    provide(tmp_path)
    carry_out(README, tmp_path)
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()
    assert (tmp_path / "runs" / "report.html").is_file()


def test_its_numbers_are_those_of_the_results():
    """Every cell of its table stands in the page that has all rows."""
    pages = [(ROOT / "docs" / "results" / f"{name}.md").read_text() for name in ("digits", "cifar10")]
    rows = [line.strip("| ").split(" | ") for line in README.splitlines() if line.count(" | ") == 6]
    assert len(rows) == 6
    for row, *cells in rows[1:]:
        for page, three in zip(pages, (cells[:3], cells[3:]), strict=True):
            assert f"| {row} | {' | '.join(three)} |" in page, row


def test_the_two_commands_come_first():
    kind, first = BLOCKS[0]
    assert (kind, [line.partition("#")[0].strip() for line in first.splitlines()]) == ("sh", ["make demo", "make test"])


def test_its_pictures_and_links_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_the_file_tree_is_the_tree():
    """Every package and every room in it stands in the architecture's tree, and no folder that isn't there does."""
    tree = ARCHITECTURE[ARCHITECTURE.index("```text") :].partition("```\n\n")[0]
    packages = ("tables", "landscape", "models", "analysis", "figures")
    for package in packages:
        named = re.search(rf"^{package}/ .*?(?=^\S)", tree + "\nend", re.MULTILINE | re.DOTALL)
        assert named, package
        rooms = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        assert set(re.findall(r"(?:^  | )(\w+)/", named.group(), re.MULTILINE)) - {"recipes"} == rooms, package


@pytest.mark.parametrize("package", ["tables", "landscape", "models", "analysis", "figures"])
def test_every_module_says_in_its_first_line_what_it_is_for(package):
    for path in (ROOT / package).rglob("*.py"):
        doc = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert 8 < len(doc.splitlines()[0]) <= 117, path
