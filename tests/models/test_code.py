"""Code by name: what is read, what is run and what never is, and errors that show the user's line."""

import sys
from pathlib import Path

import pytest
import torch

from models import code
from models.checkpoint import Checkpoint, CheckpointError, load, save
from tests.own_file import own_file

from ..memory import measured

MINE = """
from functools import partial
from os import system
from torch import nn

class Net(nn.Linear):
    def __init__(self, width: int = 3, norm="none"):
        super().__init__(4, width)
        self.norm = norm

def broken(output, target):
    return output.nothing

short = partial(Net, width=2)
number = 3
"""


mine = own_file("mine.py", MINE, always=False)


def test_a_name_with_arguments_is_called_with_them(mine):
    named = code.parse("mine.py:Net?width=5&norm=batch")
    assert (named.where, named.name, dict(named.arguments)) == ("mine.py", "Net", {"width": 5, "norm": "batch"})
    made = code.made(named)
    assert (made.out_features, made.norm) == (5, "batch")
    assert isinstance(made, code.thing(code.parse("mine.py:Net")))
    assert [code.parse(f"mine.py:Net?a={word}").arguments["a"] for word in ("True", "None", "1e-2", "[1]")] == [
        True, None, 0.01, "[1]",
    ]  # fmt: skip


def test_what_names_code_and_what_does_not(mine):
    for word in ("mine.py:Net", "package.module:Net?a=1", "sub/mine.py:data"):
        assert code.is_code(word)
    for word in ("mine.py", "digits", "mine.npz", "runs/a:b/ckpt.pt", "mine.py:3"):
        assert not code.is_code(word)
    with pytest.raises(code.CodeError, match=r"expected FILE\.py:NAME or package\.module:NAME"):
        code.parse("mine")


def test_a_module_of_the_working_directory_is_found(mine):
    (mine.parent / "package_of_mine").mkdir()
    (mine.parent / "package_of_mine/module.py").write_text("def net():\n    return 7\n")
    assert code.made(code.parse("package_of_mine.module:net")) == 7
    with pytest.raises(FileNotFoundError, match="no module package_of_mine"):
        code.made(code.parse("package_of_mine.other:net"))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("gone.py:Net", "no file gone.py"),
        ("mine.py:Nest", "there is no Nest in mine.py; there is Net, broken"),
        ("mine.py:number", "expected a function or a class, got a int"),
        ("mine.py:Net?depth=3", r"unexpected keyword argument 'depth'; it takes \(width: int = 3"),
        ("mine.py:Net?width", "arguments are KEY=VALUE"),
        ("mine.py:Net?width=wide", r"mine\.py, line 8, in __init__: super\(\).__init__\(4, width\): TypeError"),
        ("bad.py:Net", r"bad\.py, line 2: .*: def net\(:"),
        ("fails.py:Net", r"fails\.py, line 3, in <module>: 1 / 0: ZeroDivisionError: division by zero"),
    ],
)
def test_what_can_not_be_had_is_one_line(mine, word, said):
    (mine.parent / "bad.py").write_text("\ndef net(:\n    pass\n")
    (mine.parent / "fails.py").write_text("\n\n1 / 0\n")
    with pytest.raises((code.CodeError, FileNotFoundError), match=said):
        code.made(code.parse(word))


def test_an_error_in_a_call_shows_the_last_of_the_user_s_lines_and_others_are_left_alone(mine):
    function = code.function(code.parse("mine.py:broken"))
    said = r"mine\.py, line 12, in broken: return output\.nothing: AttributeError"
    with pytest.raises(code.CodeError, match=said), code.lines():
        function(torch.ones(3), None)
    with pytest.raises(KeyError), code.lines():
        raise KeyError


def test_a_file_that_changes_is_read_again_and_its_digest_too(mine):
    before = code.sha256("mine.py"), code.thing(code.parse("mine.py:number"))
    mine.write_text(MINE.replace("number = 3", "number = 4"))
    after = code.sha256("mine.py"), code.thing(code.parse("mine.py:number"))
    assert (before[1], after[1]) == (3, 4)
    assert before[0] != after[0]


# --- what a checkpoint says


def checkpoint(name="mine.py:Net", data="digits", sha256="0" * 64, **arguments):
    return Checkpoint(
        model={"name": name, "arguments": arguments, "sha256": sha256},
        state_dict={"weight": torch.ones(3, 4), "bias": torch.ones(3)},
        data={"name": data, "arguments": {}, "sha256": sha256},
        training={"loss": "tet", "seed": 0},
        history={},
    )


def test_a_checkpoint_s_code_is_run_when_it_is_named_and_its_file_is_the_same(mine, tmp_path):
    save(checkpoint(sha256=code.sha256("mine.py")), tmp_path / "ckpt.pt")
    found = load(tmp_path / "ckpt.pt")
    with pytest.raises(CheckpointError, match=r"ckpt\.pt: mine\.py:Net is code, .* add --code mine\.py"):
        found.network()
    for given in ("mine.py", str(mine), "mine.py:Net"):
        network = found.network(code=["other.py", given])
        assert torch.equal(network.weight, torch.ones(3, 4))
        assert not network.training
    mine.write_text(MINE + "\n# changed\n")
    with pytest.raises(CheckpointError, match=r"is not the file .* or take it as it is with --code mine\.py@any"):
        found.network(code=["mine.py"])
    assert torch.equal(found.network(code=["mine.py@any"]).bias, torch.ones(3))


@pytest.mark.parametrize("place", ["model", "data"])
@pytest.mark.parametrize("name", ["evil.py:Net", "evil:Net", "evil_package.evil:Net", "os:system"])
def test_nothing_is_imported_or_run_because_a_checkpoint_says_so(mine, tmp_path, place, name):
    effect = "from pathlib import Path\nPath('effect').touch()\ndef Net(**_):\n    Path('effect').touch()\n"
    (tmp_path / "evil_package").mkdir()
    for path in ("evil.py", "evil_package/__init__.py", "evil_package/evil.py"):
        (tmp_path / path).write_text(effect)
    hostile = checkpoint(**({"name": name} if place == "model" else {"data": name}))
    save(hostile, tmp_path / "ckpt.pt")
    found = load(tmp_path / "ckpt.pt")
    for given in ((), ("mine.py",), ("mine.py@any", "other.py")):
        with pytest.raises(ValueError, match="is code, which is run only when you name it"):
            found.network(code=given) if place == "model" else found.load_data(code=given)
    assert not (tmp_path / "effect").exists()
    assert not {"evil", "evil_package"} & sys.modules.keys()


@pytest.mark.parametrize("name", ["system", "partial", "short", "nn"])
def test_a_file_that_is_named_lends_a_checkpoint_only_what_it_defines(mine, tmp_path, name):
    hostile = checkpoint(f"mine.py:{name}", sha256=code.sha256("mine.py"), command="touch effect")
    with pytest.raises(
        code.CodeError, match=rf"mine\.py doesn't define {name} itself: name it, --code mine\.py:{name}"
    ):
        hostile.network(code=["mine.py"])
    assert not (tmp_path / "effect").exists()


def test_what_is_named_wholly_may_be_anything(mine):
    made = checkpoint("mine.py:short", sha256=code.sha256("mine.py"))
    with pytest.raises(ValueError, match=r"doesn't fit mine\.py:short: at weight expected \[2, 4\], found \[3, 4\]"):
        made.network(code=["mine.py:short"])


def test_a_checkpoint_of_code_without_a_digest_is_refused(mine, tmp_path):
    made = checkpoint()
    del made.model["sha256"]
    with pytest.raises(ValueError, match=r"model\.sha256 is missing"):
        save(made, tmp_path / "ckpt.pt")


OWN_NETWORK = """
from torch import nn
import torch


class Wide(nn.Module):
    def __init__(self, w=8, numbers=False):
        super().__init__()
        self.first = nn.Linear(4, int(w))
        self.scale = float(torch.ones(1)) if numbers else 1.0

    def forward(self, x):
        return self.first(x) * self.scale
"""


@pytest.mark.parametrize("width", [10**11, 1e11, 2**62, 10**9])
def test_a_network_that_is_far_larger_than_the_weights_is_refused_before_it_takes_memory(mine, width):
    Path("wide.py").write_text(OWN_NETWORK)
    weights = {"first.weight": torch.zeros(8, 4), "first.bias": torch.zeros(8)}
    made = Checkpoint(
        {"name": "wide.py:Wide", "arguments": {"w": width}, "sha256": code.sha256("wide.py")}, weights, {}, {}, {}
    )
    with measured() as cost, pytest.raises(ValueError, match=r"wide\.py") as refusal:
        made.network(["wide.py"])
    assert cost.memory < 100e6
    assert "\n" not in str(refusal.value)
    if width < 2**62:
        assert "doesn't fit wide.py:Wide: at first.weight expected" in str(refusal.value)


@pytest.mark.parametrize("arguments", [{}, {"numbers": True}, {"w": 8.0}])
def test_a_network_that_fits_is_built_also_where_it_can_t_be_declared(mine, arguments):
    Path("wide.py").write_text(OWN_NETWORK)
    weights = {"first.weight": torch.randn(8, 4), "first.bias": torch.randn(8)}
    model = {"name": "wide.py:Wide", "arguments": arguments, "sha256": code.sha256("wide.py")}
    found = Checkpoint(model, weights, {}, {}, {}).network(["wide.py"])
    assert torch.equal(found.first.weight, weights["first.weight"])
    assert found.first.weight.device.type == "cpu"
