"""Weights are found in every layout that projects write, and put into the module they are of; the rest is refused."""

import argparse
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from models.checkpoint import save as save_checkpoint
from models.elsewhere import fit, load_into, read
from models.reading import CheckpointError

from .test_checkpoint import small

State = dict[str, Tensor]


class Net(nn.Module):
    """A module of a user's: convolution, BatchNorm, linear layer."""

    def __init__(self, channels: int = 3):
        super().__init__()
        self.conv = nn.Conv2d(2, channels, 3)
        self.norm = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(self.conv(x)).mean((-2, -1)))


def seeded(seed: int, make: Any = Net) -> Any:
    torch.manual_seed(seed)
    network = make()
    for name, value in network.state_dict().items():
        if "running" in name:
            value.copy_(torch.rand(value.shape) + 0.5)
    return network


def state(seed: int = 1, prefix: str = "") -> State:
    return {prefix + name: value for name, value in seeded(seed).state_dict().items()}


def written(content: Any, folder: Path) -> Path:
    torch.save(content, folder / "theirs.pth")
    return folder / "theirs.pth"


def optimizer() -> dict[str, Any]:
    """An optimizer's state after a step, which holds tensors by name too."""
    network = Net()
    adam = torch.optim.Adam(network.parameters())
    network(torch.randn(2, 2, 5, 5)).sum().backward()
    adam.step()
    return adam.state_dict()


ARGUMENTS = argparse.Namespace(T=4, lr=0.1, device="cuda:0", tau=2.0)
LAYOUTS: dict[str, Any] = {
    "bare": state(),
    "ordered": OrderedDict(state()),
    "spikingjelly": {
        "model": state(), "optimizer": optimizer(), "lr_scheduler": {"last_epoch": 3}, "epoch": 3, "args": ARGUMENTS,
        "max_test_acc1": 0.9,
    },
    "timm": {
        "epoch": 1, "arch": "x", "state_dict": state(), "state_dict_ema": state(2), "optimizer": optimizer(),
        "args": ARGUMENTS, "metric": 0.5, "version": 2, "amp_scaler": {"scale": torch.ones(1)},
    },
    "sdt-v3": {"model": state(), "optimizer": optimizer(), "scaler": {"scale": torch.ones(1)}, "args": ARGUMENTS},
    "sltt": {"net": state(), "epoch": 3, "max_test_acc": 0.9},
    "twce": {"best_net": state(), "best_acc": 3, "optimizer": optimizer()},
    "tebn": {"model": state(prefix="module."), "acc": 90.0},
    "lightning": {
        "state_dict": state(prefix="model."), "epoch": 1, "global_step": 3, "pytorch-lightning_version": "2.0.0",
        "optimizer_states": [optimizer()], "lr_schedulers": [], "hyper_parameters": {"lr": 0.1}, "callbacks": {},
    },
    "deeper": {"checkpoint": {"network": {"weights": state()}}, "epoch": 1},
    "compiled": {"state_dict": state(prefix="_orig_mod.module.model.net.module.")},
    "under a name of its own": {"snn": state(), "epoch": 0},
    "half": {name: value.bfloat16() if value.is_floating_point() else value for name, value in state().items()},
    "without counts": {name: value for name, value in state().items() if "num_batches" not in name},
}  # fmt: skip


def same(network: nn.Module, expected: State, tolerance: float = 0.0) -> bool:
    found = network.state_dict()
    return found.keys() == expected.keys() and all(
        torch.allclose(found[name], value, atol=0, rtol=tolerance) for name, value in expected.items()
    )


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_read_unasked_and_said_in_a_line(name, zipped, tmp_path, capsys):
    path = tmp_path / "theirs.pth"
    torch.save(LAYOUTS[name], path, _use_new_zipfile_serialization=zipped)
    network = seeded(7).train()
    assert load_into(network, path) is network
    assert same(network, state(), 2**-8 if name == "half" else 0.0)
    assert network.training
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bare", "all of its weights"),
        ("spikingjelly", "the weights under 'model'"),
        ("timm", "the weights under 'state_dict'; beside them 'state_dict_ema' (weights ema)"),
        ("tebn", "the weights under 'model', without the prefix 'module.'"),
        ("deeper", "the weights under 'checkpoint.network.weights'"),
        ("compiled", "the weights under 'state_dict', without the prefix '_orig_mod.module.model.net.module.'"),
    ],
)
def test_the_line_names_key_prefix_and_what_lies_beside(name, said, tmp_path):
    path = written(LAYOUTS[name], tmp_path)
    assert read(path).chosen == f"{path}: {said}"


def test_safetensors_are_a_layout_too(tmp_path):
    save_file(state(prefix="module."), tmp_path / "model.safetensors")
    network = load_into(seeded(7), tmp_path / "model.safetensors", quiet=True)
    assert same(network, state())


def test_the_moving_average_is_taken_where_asked_for(tmp_path, capsys):
    path = written(LAYOUTS["timm"], tmp_path)
    assert same(load_into(seeded(7), path, "ema"), state(2))
    assert "the weights under 'state_dict_ema'; beside them 'state_dict' (weights raw)" in capsys.readouterr().err
    assert same(load_into(seeded(7), path, weights="state_dict_ema", quiet=True), state(2))
    assert capsys.readouterr().err == ""


def test_this_projects_own_checkpoints_are_a_layout(tmp_path):
    save_checkpoint(small(), tmp_path / "ckpt.pt")
    assert torch.equal(read(tmp_path / "ckpt.pt").state["w"], torch.arange(50.0))


@pytest.mark.parametrize(
    ("content", "weights", "said"),
    [
        ({"net": state(1), "best_net": state(2)}, "raw",
         "which weights are meant? There are 'net' (weights net), 'best_net' (weights best_net)"),
        ({"a": state(1), "b": state(2)}, "raw", "which weights are meant? There are 'a' (weights a), 'b' (weights b)"),
        ({"a_ema": state(1), "ema.b": state(2)}, "ema", "which weights are meant? There are 'a_ema' (weights a_ema), "),
        ({"model": state()}, "ema", "it holds no moving average of the weights: there are 'model' (weights raw)"),
        ({"model_ema": state()}, "raw", "it holds nothing but averaged weights: there are 'model_ema' (weights ema)"),
        (state(), "ema", "it holds no moving average of the weights: there are one set of weights alone"),
        ({"model": state()}, "best", "no weights lie under 'best', there are 'model' (weights raw)"),
        ({"epoch": 3, "optimizer": {"state": {}}}, "raw", "holds no state dict: expected tensors by name, or a dict"),
        ({"optimizer": {"a": torch.ones(1)}}, "raw", "holds no state dict"),
        ({}, "raw", "found an empty dict"),
        ([state()], "raw", "found a list"),
        (torch.ones(1), "raw", "found a Tensor"),
        ({"w": 3}, "raw", "found a dict of w (int)"),
        ({1: torch.ones(1)}, "raw", "holds no state dict"),
        ({"w": torch.eye(2).to_sparse()}, "raw", "holds no state dict"),
    ],
)  # fmt: skip
def test_weights_that_are_not_there_or_several_are_refused(content, weights, said, tmp_path):
    path = written(content, tmp_path)
    with pytest.raises(CheckpointError) as caught:
        read(path, weights)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


def test_a_key_chooses_among_several(tmp_path):
    path = written({"net": state(1), "best_net": state(2, "module.")}, tmp_path)
    assert same(load_into(seeded(7), path, "best_net"), state(2))


WORDS = st.lists(st.sampled_from(["module", "_orig_mod", "model", "net"]), max_size=5).map(
    lambda words: "".join(f"{word}." for word in words)
)


@given(words=WORDS)
def test_wrappers_names_come_off_in_any_order_and_number(words, tmp_path_factory):
    path = written({"state_dict": state(prefix=words)}, tmp_path_factory.mktemp("wrapped"))
    assert same(load_into(seeded(7), path, quiet=True), state())


def test_wrappers_inside_the_names_and_on_the_modules_side(tmp_path):
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Net()

    parallel = Net()
    parallel.add_module("conv", nn.DataParallel(parallel.conv))
    inside = {name.replace("conv.", "conv.module."): value for name, value in state().items()}
    assert same(load_into(seeded(7), written(inside, tmp_path), quiet=True), state())
    assert same(load_into(parallel, written(state(), tmp_path), quiet=True), inside)
    assert same(load_into(Wrapped(), written(state(), tmp_path), quiet=True), state(prefix="net."))
    compiled: Any = torch.compile(Net())
    assert same(load_into(compiled, written(state(), tmp_path), quiet=True), state(prefix="_orig_mod."))


def test_names_that_differ_in_a_wrappers_alone_are_taken_as_they_are():
    network = nn.ModuleDict({"model": nn.Linear(2, 2), "net": nn.Linear(2, 2)})
    own = {name: torch.randn(value.shape) for name, value in network.state_dict().items()}
    assert all(torch.equal(value, own[name]) for name, value in fit(own, network).items())
    with pytest.raises(CheckpointError, match=r"model\.bias: expected \[2\], found nothing"):
        fit({"module." + name: value for name, value in own.items()}, network)


class TestWhatDoesNotFit:
    def refused(self, content: Any, folder: Path, network: nn.Module | None = None, **how: Any) -> str:
        path, network = written(content, folder), network or seeded(7)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        with pytest.raises(CheckpointError) as caught:
            load_into(network, path, **how)
        assert same(network, before)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def test_everything_is_listed(self, tmp_path):
        wrong = state() | {"fc.weight": torch.ones(2, 2), "head.bias": torch.ones(1), "norm.bias": torch.ones(3).int()}
        del wrong["conv.bias"]
        said = self.refused(wrong, tmp_path)
        assert "conv.bias: expected [3], found nothing; norm.bias: expected [3], found [3] of torch.int32" in said
        assert "fc.weight: expected [4, 3], found [2, 2]; head.bias: expected nothing, found [1]" in said

    def test_of_many_ten(self, tmp_path):
        said = self.refused({f"{name}x": value for name, value in state().items()}, tmp_path)
        assert said.count("expected") == 10
        assert "; and 7 more" in said  # a count of batches that is missing is 0

    def test_the_prefix_that_would_fit_is_named_and_then_fits(self, tmp_path):
        content = state(prefix="backbone.snn.") | {"criterion.weight": torch.ones(3)}
        said = self.refused(content, tmp_path)
        assert said.endswith("; 9 of 9 would be named as expected with prefix 'backbone.snn.'")
        network = load_into(seeded(7), tmp_path / "theirs.pth", prefix="backbone.snn.", quiet=True)
        assert same(network, state())
        assert "no name begins with the prefix 'spine.'" in self.refused(content, tmp_path, prefix="spine.")

    @pytest.mark.parametrize("prefix", ["snn.", "module.snn.", "module.snn.model."])
    def test_wrappers_before_and_behind_the_prefix_come_off_too(self, prefix, tmp_path):
        content = state(prefix="module.snn.model.") | {"module.loss.weight": torch.ones(3)}
        assert "with prefix 'snn.model.'" in self.refused(content, tmp_path)
        assert same(load_into(seeded(7), tmp_path / "theirs.pth", prefix=prefix, quiet=True), state())

    def test_the_module_that_would_fit_is_named(self, tmp_path):
        whole = nn.ModuleDict({"backbone": Net(), "head": nn.Linear(4, 2)})
        said = self.refused(state(), tmp_path, whole)
        assert said.endswith("; 9 of 9 are names in the module's backbone: load them into that")
        load_into(whole["backbone"], tmp_path / "theirs.pth", quiet=True)
        assert same(whole["backbone"], state())

    def test_the_key_that_would_fit_is_named(self, tmp_path):
        content = {"model": {"w": torch.ones(1)}, "teacher": {"v": torch.ones(1)}, "student": state(2)}
        said = self.refused(content, tmp_path)
        assert said.endswith("; the weights under 'student' would fit (weights student)")
        assert same(load_into(seeded(7), tmp_path / "theirs.pth", "student"), state(2))

    def test_weights_that_are_not_finite(self, tmp_path):
        broken = state() | {"fc.bias": torch.full((4,), torch.nan)}
        assert "fc.bias holds NaN or infinity" in self.refused(broken, tmp_path)
        large = state() | {"fc.bias": torch.full((4,), 1e6)}
        assert "fc.bias holds NaN or infinity" in self.refused(large, tmp_path, seeded(7).half())

    def test_a_mask_of_infinities_is_no_weight(self, tmp_path):
        class Masked(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("mask", torch.zeros(2))

        held = {"mask": torch.tensor([0.0, -torch.inf])}
        assert same(load_into(Masked(), written(held, tmp_path), quiet=True), held)

    def test_a_module_without_numbers(self, tmp_path):
        with torch.device("meta"):
            network = Net()
        with pytest.raises(CheckpointError, match=r"the network's conv\.weight is no tensor with numbers: build it on"):
            load_into(network, written(state(), tmp_path))

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*gone\.pth"):
            load_into(Net(), tmp_path / "gone.pth")


def test_precision_and_place_are_the_modules_own(tmp_path):
    network = load_into(seeded(7).double(), written(LAYOUTS["half"], tmp_path), quiet=True)
    assert network.conv.weight.dtype == torch.float64
    assert torch.equal(network.conv.weight, state()["conv.weight"].bfloat16().double())


def test_numbers_in_half_precision_are_read_whatever_they_count(tmp_path):
    halves = {name: value.half() for name, value in state().items()}
    expected = {name: value.half().to(value) for name, value in state().items()}
    assert same(load_into(seeded(0), written(halves, tmp_path)), expected)
    halves["norm.num_batches_tracked"] += 0.5
    with pytest.raises(CheckpointError, match=r"norm\.num_batches_tracked: expected \[\] of torch\.int64, found \[\]"):
        load_into(seeded(0), written(halves, tmp_path))


@pytest.mark.parametrize("name", ["conv.weight", "norm.running_mean", "norm.running_var"])
def test_what_half_precision_made_infinite_is_refused(name, tmp_path):
    halves = {key: (value * (1e6 if key == name else 1)).half() for key, value in state().items()}
    with pytest.raises(CheckpointError, match=f"{name} holds NaN or infinity"):
        load_into(seeded(0), written(halves, tmp_path))


@pytest.mark.parametrize("weights", ["raw", "ema"])
def test_torch_s_averaged_model_is_a_layout(weights, tmp_path):
    averaged = torch.optim.swa_utils.AveragedModel(seeded(2)).state_dict()
    content = averaged if weights == "raw" else {"model": state(1), "model_ema": averaged}
    assert same(load_into(seeded(0), written(content, tmp_path), weights), state(2))


class TestTwoNetworksInOneStateDict:
    """As Lightning saves a module that holds a network and its moving average, or a student and its teacher."""

    LAYOUTS = (("net.", "ema_net."), ("ema_net.", "net."), ("net.module.", "ema_net.module."), ("teacher.", "student."))

    def file(self, tmp_path, prefixes):
        one, other = (seeded(seed).state_dict() for seed in (1, 2))
        pairs = zip(prefixes, (one, other), strict=True)
        both = {f"{prefix}{name}": value for prefix, part in pairs for name, value in part.items()}
        more = {"ema_net.n_averaged": torch.tensor(5)} if "module" in prefixes[0] else {}
        torch.save({"state_dict": both | more, "pytorch-lightning_version": "2.0", "epoch": 3}, tmp_path / "last.ckpt")
        return tmp_path / "last.ckpt", (one, other)

    @pytest.mark.parametrize("prefixes", LAYOUTS)
    def test_both_are_named_and_each_can_be_taken(self, prefixes, tmp_path):
        path, parts = self.file(tmp_path, prefixes)
        with pytest.raises(CheckpointError, match="of 9 would be named as expected, with a prefix: ") as refusal:
            load_into(seeded(7), path)
        told = str(refusal.value).partition("with a prefix: ")[2]
        assert told == ", ".join(f"9 with {one!r} (weights {one.rstrip('.')})" for one in prefixes)
        for prefix, part in zip(prefixes, parts, strict=True):
            for weights in {prefix.rstrip("."), prefix.partition(".")[0]}:
                assert same(load_into(seeded(7), path, weights, quiet=True), part)
                assert prefix in read(path, weights).chosen

    def test_names_that_begin_otherwise_are_told(self, tmp_path):
        path, _ = self.file(tmp_path, ("net.", "ema_net."))
        for weights in ("student", "ema"):
            with pytest.raises(CheckpointError, match=r"of which names begin with 'net', 'ema_net'$"):
                read(path, weights)
        assert read(path, "net").key != read(path, "ema_net").key
