"""Every refusal of a checkpoint names its file: a case for each line of models.checkpoint that refuses one."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.momentum.onward import continued
from models import checkpoint as module
from models.checkpoint import CheckpointError, load
from models.training.optimizer import Step

Content = dict[str, Any]
WEIGHT, VARIANCE = "stem.conv1.weight", "stem.norm1.running_var"


@pytest.fixture
def content(digits_checkpoint) -> Content:
    path = digits_checkpoint("tet", timesteps=2, train_images=40, batch_size=20)
    return {name: value for name, value in torch.load(path, weights_only=True).items() if name != "digest"}


def state(change: Callable[[torch.Tensor], Any], key: str = WEIGHT) -> Callable[[Content], None]:
    def changed(content: Content) -> None:
        content["state_dict"][key] = change(content["state_dict"][key])

    return changed


def put(value: Any, *place: Any) -> Callable[[Content], None]:
    def changed(content: Content) -> None:
        inner: Any = content
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = value

    return changed


FILES: dict[str, Callable[[Content], object]] = {
    "no format": lambda content: content.pop("format"),
    "another format": put(99, "format"),
    "a field too few": lambda content: content.pop("history"),
    "another type": put("many", "model", "arguments", "timesteps"),
    "an unknown network": put("transformer", "model", "name"),
    "an unknown argument": put(3, "model", "arguments", "depth"),
    "too many steps": put(10**9, "model", "arguments", "timesteps"),
    "sizes that overflow": put(2**62, "model", "arguments", "num_classes"),
    "another shape": state(lambda value: value[:1]),
    "a name too many": put(torch.ones(1), "state_dict", "extra"),
    "no numbers": state(lambda value: value.to("meta")),
    "not finite": state(lambda value: value * torch.nan),
    "a negative variance": state(lambda value: -1 - value, VARIANCE),
    "unknown data": put("mnist", "data", "name"),
    "an argument that data lack": put(3, "data", "arguments", "depth"),
    "no optimizer": put(None, "resume"),
    "an optimizer without a state": put({}, "resume", "optimizer"),
    "no first moments": lambda content: content["resume"]["optimizer"]["state"][0].pop("exp_avg"),
    "parameters that don't fit": put([0, 99], "resume", "optimizer", "param_groups", 0, "params"),
}


def use(path: Path) -> None:
    """Everything that is built from a checkpoint."""
    found = load(path)
    network = found.network()
    found.load_data()
    Step.of(found)
    continued(found, network)


def lines(failure: BaseException | None) -> Iterator[int]:
    """Where in models.checkpoint the failure and what led to it went through."""
    while failure:
        step = failure.__traceback__
        while step:
            if step.tb_frame.f_code.co_filename == module.__file__:
                yield step.tb_lineno
            step = step.tb_next
        failure = failure.__cause__


def test_what_is_whole_is_used(content, tmp_path):
    torch.save(content, tmp_path / "ckpt.pt")
    use(tmp_path / "ckpt.pt")
    assert load(tmp_path / "ckpt.pt").path == tmp_path / "ckpt.pt"


@pytest.mark.parametrize("name", FILES)
def test_a_refusal_begins_with_the_file(name, content, tmp_path):
    FILES[name](content)
    path = tmp_path / "ckpt.pt"
    torch.save(content, path)
    with pytest.raises(CheckpointError) as caught:
        use(path)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).count(str(path)) == 1


def test_the_cases_reach_every_line_that_refuses_a_file(content, tmp_path):
    reached: set[int] = set()
    path = tmp_path / "ckpt.pt"
    torch.save(content, path)
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[whole.index(content["state_dict"][WEIGHT].numpy().tobytes())] ^= 1
    broken = [whole[:-100], b"\x80", bytes(changed)]
    for written in (*FILES.values(), *broken):
        if isinstance(written, bytes):
            path.write_bytes(written)
        else:
            path.write_bytes(whole)
            fresh = torch.load(path, weights_only=True)
            written(fresh)
            torch.save(fresh, path)
        with pytest.raises(CheckpointError) as caught:
            use(path)
        assert str(caught.value).startswith(str(path))
        reached.update(lines(caught.value))
    held = tmp_path / "mine.npz"
    held.write_bytes(b"other than what was trained on")
    path.write_bytes(whole)
    with pytest.raises(CheckpointError) as caught:
        replace(load(path), data={"name": "mine", "arguments": {"path": str(held)}, "sha256": "0"}).check_data()
    reached.update(lines(caught.value))
    tree = ast.parse(Path(module.__file__).read_text())
    refusals = [
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name != "save"
        for node in ast.walk(function)
        if isinstance(node, ast.Raise) and node.exc and "FileNotFoundError" not in ast.unparse(node)
    ]
    missed = [node.lineno for node in refusals if not reached & set(range(node.lineno, (node.end_lineno or 0) + 1))]
    assert missed == []
