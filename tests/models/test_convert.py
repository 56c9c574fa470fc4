"""Weights of other projects give here the logits that they give there; what has no equal here is refused and listed."""

import contextlib
import signal
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from spikingjelly.activation_based import functional, neuron, surrogate
from spikingjelly.activation_based.model import sew_resnet, spiking_resnet, spiking_vgg
from torch import Tensor, nn

from analysis import hessian, timesteps
from analysis.subject import Subject
from models import convert, elsewhere
from models.checkpoint import Checkpoint, CheckpointError, load, save
from models.foreign import SOURCES
from models.networks import build
from models.networks.layers import Network
from models.neurons.lif import Neuron
from models.nodes import Node

from ..foreign_networks import TetResNet19, TetVGG, lively
from ..killed import shoot_at, starter

TET = Neuron()


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def converted(network: nn.Module, name: str, neuron: Neuron, timesteps: int | None = None) -> Network:
    return convert.converted(dict(network.state_dict()), SOURCES[name], neuron, timesteps).network()


def same(ours: Tensor, theirs: Tensor) -> None:
    """Equal to 1e-5, and alive: logits differ from step to step and from image to image."""
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert theirs.isfinite().all()
    assert (theirs[:, 0] - theirs[:, 1]).abs().max() > 1e-2
    if len(theirs) > 1:
        assert (theirs[0] - theirs[1]).abs().max() > 1e-2


class TestTheTetCodesNetworks:
    @pytest.mark.parametrize("pooled", [True, False])
    def test_vggsnn(self, pooled):
        torch.manual_seed(0)
        frames = 2 * images(3, 2, 2, 16, 16).abs()
        theirs = lively(TetVGG(16, pooled), [frames.transpose(0, 1)])
        ours = converted(theirs, "vggsnn" if pooled else "vggsnn-stride", TET)
        with torch.no_grad():
            same(ours(frames), theirs(frames.transpose(0, 1)).transpose(0, 1))
        assert ours.arguments["image_size"] == 16
        assert ours.timesteps == 10

    def test_vggsnn_at_its_own_size(self):
        theirs = TetVGG()
        assert sum(weight.numel() for weight in theirs.parameters()) == 9_271_498
        found = convert.converted(dict(theirs.state_dict()), SOURCES["vggsnn"], TET)
        assert found.model["arguments"]["image_size"] == 48

    def test_resnet19_under_its_415_names(self):
        torch.manual_seed(0)
        x = images(2, 3, 8, 8)
        shown = x.unsqueeze(1).expand(-1, 3, -1, -1, -1)
        theirs = lively(TetResNet19(7), [shown])
        state = theirs.state_dict()
        assert (len(state), len({tensor.data_ptr() for tensor in state.values()})) == (415, 124)
        ours = converted(theirs, "resnet19", TET, 3)
        with torch.no_grad():
            same(ours(x), theirs(shown).transpose(0, 1))
        assert ours.arguments["num_classes"] == 7


def jelly(make: Callable[..., nn.Module], node: type[nn.Module], **settings: Any) -> nn.Module:
    torch.manual_seed(0)
    network = make(spiking_neuron=node, num_classes=5, **settings)
    functional.set_step_mode(network, "m")
    return network.double()


def agrees(theirs: nn.Module, name: str, x: Tensor, steps: int = 4) -> None:
    """Conversion with the settings read off their neurons gives their logits."""
    shown = x.expand(steps, *x.shape)
    lively(theirs, [shown])
    functional.reset_net(theirs)
    ours = converted(theirs, name, Node.of_all(theirs).neuron(), steps).double()
    with torch.no_grad():
        same(ours(x), theirs(shown))
    functional.reset_net(theirs)


class TestSpikingJellysNetworks:
    def test_a_spiking_resnet_of_leaky_neurons_that_divide_their_input(self):
        # tau 3 is no power of two, and a block's shortcut reaches the neuron past every BatchNorm
        theirs = jelly(spiking_resnet.spiking_resnet18, neuron.LIFNode, tau=3.0, v_threshold=0.6)
        agrees(theirs, "spiking-resnet18", images(2, 3, 32, 32).double())

    def test_a_sew_resnet_of_integrators(self):
        theirs = jelly(sew_resnet.sew_resnet18, neuron.IFNode, cnf="ADD", surrogate_function=surrogate.ATan())
        agrees(theirs, "sew-resnet18", images(2, 3, 32, 32).double())

    def test_bottlenecks(self):
        theirs = sew_resnet.SEWResNet(
            sew_resnet.Bottleneck, [3, 4, 6, 3], num_classes=5, cnf="ADD", spiking_neuron=neuron.IFNode
        )
        functional.set_step_mode(theirs, "m")
        agrees(theirs.double(), "sew-resnet50", images(2, 3, 32, 32).double(), 3)

    @pytest.mark.slow(keep=1)
    @pytest.mark.parametrize("name", ["spiking-vgg11", "spiking-vgg11-bn"])
    def test_a_vgg(self, name):
        with torch.device("meta"):  # its linear layers are a hundred million weights: here are narrower ones
            theirs = jelly(getattr(spiking_vgg, name.replace("-", "_")), neuron.LIFNode, tau=2.0)
            wide = list(theirs.classifier)
            wide[0], wide[3], wide[6] = nn.Linear(25088, 24), nn.Linear(24, 24), nn.Linear(24, 5)
            theirs.classifier = nn.Sequential(*wide)
        theirs = theirs.to_empty(device="cpu").double()
        generator = torch.Generator().manual_seed(1)
        for key, value in theirs.state_dict().items():
            noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            ones = "running_var" in key or "tracked" in key
            value.copy_(1 if ones else noise * 6 / value[0].numel() ** 0.5 if value.ndim > 1 else noise / 10)
        agrees(theirs, name, images(2, 3, 64, 64).double())

    @pytest.mark.parametrize(
        ("function", "alpha"), [(surrogate.Sigmoid, 3.0), (surrogate.ATan, 2.5), (surrogate.PiecewiseQuadratic, 0.8)]
    )
    @pytest.mark.parametrize("settings", [{"tau": 3.0}, {"tau": 3.0, "decay_input": False}, None])
    @pytest.mark.parametrize("detached", [False, True])
    def test_a_neurons_gradient_and_second_derivatives_are_theirs(self, function, alpha, settings, detached):
        common = {"surrogate_function": function(alpha), "v_threshold": 0.7, "detach_reset": detached, "step_mode": "m"}
        theirs = neuron.IFNode(**common) if settings is None else neuron.LIFNode(**settings, **common)
        ours = Node.of(theirs).neuron().build()
        weights = images(5, 40, seed=1).double()
        results = []
        for node in (theirs, ours):
            current = (1.2 + images(5, 40)).double().requires_grad_()
            spikes = node(current)
            (slope,) = torch.autograd.grad((weights * spikes).sum(), current, create_graph=True)
            (second,) = torch.autograd.grad((slope * weights.flip(0)).sum(), current)
            results.append((spikes, slope, second))
        assert 0.2 < results[0][0].mean() < 0.95
        assert results[0][2].abs().max() > 0.1
        for found, expected in zip(results[1], results[0], strict=True):
            torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)

    def test_at_a_tie_they_fire_and_we_do_not(self):
        current = torch.ones(1, 1)
        theirs = neuron.IFNode(step_mode="m")
        assert theirs(current).item() == 1
        assert Node.of(theirs).neuron().build()(current).item() == 0


def test_torchvisions_networks_have_one_step_and_no_spikes():
    torch.manual_seed(0)
    x = images(2, 3, 40, 40)
    theirs = lively(torchvision.models.resnet50(num_classes=6), [x])
    ours = converted(theirs, "resnet50", Neuron(spiking=False))
    with torch.no_grad():
        same(ours(x), theirs(x)[None])
    assert ours.timesteps == 1


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """torchvision's ResNet-18 for digits: one channel, ten classes."""
    torch.manual_seed(0)
    network = torchvision.models.resnet18(num_classes=10)
    network.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    lively(network, [images(20, 1, 8, 8)])
    path = tmp_path_factory.mktemp("theirs") / "resnet18.pth"
    torch.save(network.state_dict(), path)
    return path


def die_at_the_end(before: bool, argv: list[str]) -> int:
    """Convert, and be killed just before or after the checkpoint takes its place."""
    shoot_at(1, before=before)
    return convert.main(argv)


FLAGS = ("--as", "resnet18", "--data", "digits", "--loss", "sdt")


class TestTheCommand:
    @pytest.mark.slow
    def test_a_network_may_be_trained_with_any_loss_and_be_called_anything(self, plain, tmp_path):
        out = tmp_path / "ckpt.pt"
        flags = ["--as", "resnet18", "--data", "digits", "--train-images", "40"]
        assert convert.main([str(plain), *flags, "--loss", "ce", "--method", "ce, mixup/0.2", "--out", str(out)]) == 0
        assert {name: load(out).training[name] for name in ("loss", "method")} == {
            "loss": "ce",
            "method": "ce, mixup/0.2",
        }
        identity = Subject.load(out).identity
        assert (identity["method"], identity["training"]) == ("ce, mixup/0.2", "ce")
        assert convert.main([str(plain), *flags, "--loss", "ce", "--out", str(out)]) == 0
        assert load(out).training["method"] == "ce"

    @pytest.mark.parametrize("flag", ["--loss", "--method"])
    def test_a_name_that_no_table_could_show_is_one_line(self, flag, plain, tmp_path, capsys):
        argv = [str(plain), *FLAGS, flag, "two\nlines", "--out", str(tmp_path / "out" / "ckpt.pt")]
        assert f"{flag} must be a name of 1 to 200 characters on one line" in refused(argv, capsys)
        assert not (tmp_path / "out").exists()

    @pytest.mark.slow
    def test_the_checkpoint_says_where_it_is_from_and_works_with_analyses(self, plain, tmp_path, capsys):
        out = tmp_path / "run" / "ckpt.pt"
        flags = ["--batch-size", "50", "--momentum", "0.9", "--seed", "3", "--train-images", "40"]
        assert convert.main([str(plain), *FLAGS, *flags, "--out", str(out)]) == 0
        assert "122 tensors, T = 1; from" in capsys.readouterr().out
        made = load(out)
        assert made.model["name"] == "spiking-resnet18"
        assert made.data == {"name": "digits", "arguments": {"train_images": 40, "split_seed": 0}}
        assert made.training["source_project"] == "torchvision"
        assert len(made.training["source_sha256"]) == 64
        few = ["--images", "4", "--quiet", "--out", str(tmp_path / "tables")]
        assert timesteps.main([str(out), *few]) == 0
        alone = ["--no-trace", "--no-density", "--no-radius", "--max-products", "3"]
        assert hessian.main([str(out), *few, "--loss", "sdt", "--top", "1", "--bottom", "0", *alone]) == 0
        assert "spiking-resnet18-relu" in (tmp_path / "tables/hessian.csv").read_text()

    @pytest.mark.slow(keep=1)
    @pytest.mark.parametrize("before", [True, False])
    def test_killed_while_it_writes_and_started_again_it_leaves_the_same_checkpoint(self, before, plain, tmp_path):
        out = tmp_path / "run" / "ckpt.pt"
        argv = [str(plain), *FLAGS, "--out", str(out)]
        child = starter("tests.models.test_convert")(die_at_the_end, before, argv)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        assert out.exists() != before
        assert convert.main(argv) == 0
        assert [path.name for path in out.parent.iterdir()] == ["ckpt.pt"]
        assert convert.main([str(plain), *FLAGS, "--out", str(tmp_path / "undisturbed.pt")]) == 0
        expected = load(tmp_path / "undisturbed.pt").state_dict
        assert all(torch.equal(value, expected[name]) for name, value in load(out).state_dict.items())

    def test_it_is_made_again_over_itself_and_over_nothing_else(self, plain, tmp_path, capsys, digits_checkpoint):
        out = tmp_path / "ckpt.pt"
        command = [str(plain), *FLAGS, "--out"]
        assert convert.main([*command, str(out)]) == 0
        first = out.read_bytes()
        assert convert.main([*command, str(out)]) == 0
        assert out.read_bytes() == first
        capsys.readouterr()
        other = tmp_path / "other.pt"
        other.write_bytes(digits_checkpoint("sdt").read_bytes())
        assert "holds a checkpoint of other weights" in refused([*command, str(other)], capsys)

    def test_settings_of_neurons_reach_the_network(self, tmp_path, capsys):
        torch.manual_seed(0)
        network = spiking_resnet.spiking_resnet18(spiking_neuron=neuron.LIFNode, num_classes=10)
        network.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
        torch.save({"net": network.state_dict(), "epoch": 3}, tmp_path / "jelly.pt")
        flags = ["--as", "spiking-resnet18", "--data", "digits", "--loss", "tet", "--timesteps", "2"]
        node = ["--node", "LIFNode", "--tau", "4.0", "--surrogate", "ATan", "--detach-reset"]
        assert convert.main([str(tmp_path / "jelly.pt"), *flags, *node, "--out", str(tmp_path / "ckpt.pt")]) == 0
        found = load(tmp_path / "ckpt.pt").model["arguments"]
        expected = {"decay": 0.75, "threshold": 4.0, "surrogate": "arctan", "width": 4.0, "detach_reset": True}
        assert expected.items() <= found.items()
        assert found["timesteps"] == 2

    @pytest.mark.parametrize("wrapped", ["state_dict", "model"])
    def test_wrappers_prefixes_half_precision_and_old_files(self, plain, tmp_path, wrapped):
        state = {
            f"module.{key}": value.half() if value.is_floating_point() else value
            for key, value in torch.load(plain).items()
            if "num_batches_tracked" not in key
        }
        theirs = tmp_path / "theirs.pth"
        torch.save({wrapped: state, "epoch": 4}, theirs, _use_new_zipfile_serialization=wrapped == "model")
        assert convert.main([str(theirs), *FLAGS, "--out", str(tmp_path / "ckpt.pt")]) == 0
        found = load(tmp_path / "ckpt.pt").state_dict
        assert torch.equal(found["stem.conv.weight"], state["module.conv1.weight"].float())
        assert found["stem.norm.num_batches_tracked"] == 0

    @pytest.mark.slow
    def test_weights_in_every_layout_with_what_was_taken_in_a_line(self, plain, tmp_path, capsys):
        raw = torch.load(plain)
        mean = {name: value + 1 if value.is_floating_point() else value for name, value in raw.items()}
        timm = {"state_dict": raw, "state_dict_ema": {f"module.{name}": value for name, value in mean.items()}}
        torch.save(timm | {"arch": "x", "args": Namespace(lr=0.1, T=4)}, tmp_path / "timm.pth")
        save_file({f"model.{name}": value for name, value in raw.items()}, tmp_path / "theirs.safetensors")
        torch.save({f"snn.{name}": value for name, value in raw.items()} | {"loss.w": torch.ones(1)}, tmp_path / "l.pt")
        for name, flags, expected, said in (
            ("timm.pth", [], raw, "the weights under 'state_dict'; beside them 'state_dict_ema' (weights ema)"),
            (
                "timm.pth",
                ["--weights", "ema"],
                mean,
                "'state_dict_ema', without the prefix 'module.'; beside them 'state",
            ),
            ("theirs.safetensors", [], raw, "all of its weights, without the prefix 'model.'"),
            ("l.pt", ["--prefix", "snn."], raw, "all of its weights, without the prefix 'snn.'"),
        ):
            out = tmp_path / "out" / "".join([name, *flags]) / "ckpt.pt"
            assert convert.main([str(tmp_path / name), *FLAGS, *flags, "--out", str(out)]) == 0
            assert said in capsys.readouterr().out.splitlines()[0]
            assert torch.equal(load(out).state_dict["body.head.bias"], expected["fc.bias"])
        assert (
            load(tmp_path / "out" / "timm.pth--weightsema" / "ckpt.pt").training["source_weights"] == "state_dict_ema"
        )
        assert "no weights lie under 'best'" in refused(
            [str(tmp_path / "timm.pth"), *FLAGS, "--weights", "best", "--out", str(tmp_path / "new.pt")], capsys
        )

    def test_other_weights_of_the_same_file_are_other_weights(self, plain, tmp_path, capsys):
        raw = torch.load(plain)
        torch.save({"state_dict": raw, "state_dict_ema": raw}, tmp_path / "timm.pth")
        argv = [str(tmp_path / "timm.pth"), *FLAGS, "--out", str(tmp_path / "ckpt.pt")]
        assert convert.main(argv) == 0
        capsys.readouterr()
        assert "holds a checkpoint of other weights" in refused([*argv, "--weights", "ema"], capsys)
        earlier = load(tmp_path / "ckpt.pt")
        del earlier.training["source_weights"]
        save(earlier, tmp_path / "ckpt.pt")
        assert convert.main(argv) == 0

    def test_no_data_files_are_needed_until_something_is_measured(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setenv("SNN_LANDSCAPE_DATA", str(tmp_path / "nowhere"))
        torch.save(torchvision.models.resnet18(num_classes=10).state_dict(), tmp_path / "theirs.pth")
        out = tmp_path / "ckpt.pt"
        flags = ["--as", "resnet18", "--loss", "ce", "--out", str(out)]
        assert convert.main([str(tmp_path / "theirs.pth"), *flags, "--data", "cifar10"]) == 0
        assert load(out).data == {"name": "cifar10", "arguments": {"train_images": None, "split_seed": 0}}
        capsys.readouterr()
        assert timesteps.main([str(out), "--images", "4", "--out", str(tmp_path / "tables"), "--quiet"]) == 1
        assert "CIFAR10 is not complete in " in capsys.readouterr().err
        said = refused([str(tmp_path / "theirs.pth"), *flags, "--data", "cifar100"], capsys)
        assert "the network takes num_classes 10, --data cifar100 has 100" in said

    def test_the_key_and_the_prefix_that_would_fit_are_named(self, plain, tmp_path, capsys):
        raw = torch.load(plain)
        torch.save({"model": {"w": torch.ones(1)}, "teacher": raw}, tmp_path / "two.pth")
        torch.save({f"snn.{name}": value for name, value in raw.items()}, tmp_path / "prefixed.pth")
        for name, said in (
            ("two.pth", "; the weights under 'teacher' would fit (weights teacher)\n"),
            ("prefixed.pth", "; 122 of 122 would be named as expected with prefix 'snn.'\n"),
        ):
            assert refused([str(tmp_path / name), *FLAGS, "--out", str(tmp_path / "c.pt")], capsys).endswith(said)


def refused(argv: list[str], capsys) -> str:
    """One line on stderr, status 1."""
    assert convert.main(argv) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("python -m models.convert: error: ")
    assert shown.err.count("\n") == 1
    return shown.err


class TestWhatIsRefused:
    def changed(self, plain: Path, tmp_path: Path, change: Callable[[dict[str, Tensor]], None]) -> list[str]:
        state = torch.load(plain)
        change(state)
        torch.save(state, tmp_path / "theirs.pth")
        return [str(tmp_path / "theirs.pth"), *FLAGS, "--out", str(tmp_path / "out" / "ckpt.pt")]

    def test_missing_unknown_and_misshapen_tensors_all_listed(self, plain, tmp_path, capsys):
        def change(state):
            del state["layer1.0.bn1.weight"]
            state["extra.bias"] = torch.ones(3)
            state["layer2.0.conv1.weight"] = torch.ones(2, 2)
            state["layer3.0.bn1.bias"] = torch.ones(256, dtype=torch.int64)

        said = refused(self.changed(plain, tmp_path, change), capsys)
        assert "layer1.0.bn1.weight: expected [64], found nothing; " in said
        assert "extra.bias: expected nothing, found [3]" in said
        assert "layer2.0.conv1.weight: expected [128, 64, 3, 3], found [2, 2]; " in said
        assert "layer3.0.bn1.bias: expected [256], found [256] of torch.int64" in said
        assert not (tmp_path / "out").exists()

    def test_data_of_another_shape(self, plain, tmp_path, capsys):
        def change(state):
            state["fc.weight"], state["fc.bias"] = state["fc.weight"][:7], state["fc.bias"][:7]

        said = refused(self.changed(plain, tmp_path, change), capsys)
        assert "the network takes num_classes 7, --data digits has 10" in said

    def test_of_many_ten_are_listed(self, plain, tmp_path, capsys):
        def change(state):
            for key in [key for key in state if key.startswith("layer4") and "tracked" not in key]:
                del state[key]

        said = refused(self.changed(plain, tmp_path, change), capsys)
        assert said.count("expected") == 10
        assert "; and 15 more" in said

    def test_names_of_one_tensor_that_differ(self):
        torch.manual_seed(0)
        state = {key: value.clone() for key, value in TetResNet19().state_dict().items()}
        state["layer1.1.conv2_s.bn.bn.weight"][3] += 1
        with pytest.raises(
            ValueError, match=r"layer1\.1\.conv2_s\.bn\.bn\.weight: expected what layer1\.1\.bn2\.bn\.weight"
        ):
            convert.converted(state, SOURCES["resnet19"], TET)

    def test_weights_that_are_not_finite(self, plain, tmp_path, capsys):
        said = refused(self.changed(plain, tmp_path, lambda state: state["fc.bias"].fill_(torch.inf)), capsys)
        assert "body.head.bias holds NaN or infinity" in said

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ({}, "found an empty dict"),
            ([1], "found a list"),
            ({"epoch": 3, "best": 0.5}, "found a dict of epoch (int), best (float)"),
            ({1: torch.ones(1)}, "holds no state dict"),
            ({"w": torch.eye(2).to_sparse()}, "holds no state dict"),
        ],
    )
    def test_files_without_a_state_dict(self, content, said, tmp_path, capsys):
        torch.save(content, tmp_path / "theirs.pth")
        assert said in refused([str(tmp_path / "theirs.pth"), *FLAGS, "--out", str(tmp_path / "ckpt.pt")], capsys)

    @pytest.mark.parametrize("zipped", [True, False])
    def test_a_pickle_that_would_run_code_is_not_run(self, zipped, tmp_path, capsys):
        marker = tmp_path / "ran"

        class Bomb:
            def __reduce__(self):
                return Path.touch, (marker,)

        path = tmp_path / "theirs.pth"
        torch.save({"state_dict": {"w": torch.ones(1)}, "args": Bomb()}, path, _use_new_zipfile_serialization=zipped)
        said = refused([str(path), *FLAGS, "--out", str(tmp_path / "ckpt.pt")], capsys)
        assert "holds more than tensors and plain values" in said
        assert not marker.exists()
        torch.load(path, weights_only=False)
        assert marker.exists()  # it would have been

    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (["--as", "spiking-resnet18", "--node", "LIFNode", "--v-reset", "None"],
             "v_reset: expected 0.0, found None (a soft reset)"),
            (["--as", "spiking-resnet18", "--node", "IFNode", "--v-reset", "-0.1"],
             "v_reset: expected 0.0, found -0.1"),
            (["--as", "spiking-resnet18", "--node", "LIFNode", "--tau", "1.0"],
             "tau: expected more than 1 and finite, found 1.0"),
            (["--as", "spiking-resnet18", "--node", "LIFNode", "--alpha", "0"], "alpha: expected positive"),
            (["--as", "spiking-resnet18"], "give --node for spiking-resnet18"),
            (["--as", "resnet19", "--tau", "0.5"], "the TET code's tau, a factor on the membrane, is --decay"),
            (["--as", "resnet19", "--v-reset", "0.2"], "v_reset: expected 0.0, found 0.2"),
            (["--as", "resnet18", "--timesteps", "4"], "doesn't spike and has one timestep"),
            (["--as", "resnet20"], "--as resnet20 is no network known elsewhere; there are vggsnn, "),
            (["--as", "resnet50"], "is no resnet50 of torchvision: the state dict doesn't fit: "),
            (["--as", "resnet18", "--data", "mnist"], "there is no data set 'mnist'"),
        ],
    )  # fmt: skip
    def test_settings_without_an_equal_here(self, flags, said, plain, tmp_path, capsys):
        argv = [str(plain), "--data", "digits", "--loss", "sdt", *flags, "--out", str(tmp_path / "out" / "ckpt.pt")]
        assert said in refused(argv, capsys)
        assert not (tmp_path / "out").exists()

    @given(zipped=st.booleans(), end=st.floats(0, 1), place=st.floats(0, 0.999999), bit=st.integers(0, 7))
    def test_damaged_files_never_give_a_traceback(self, zipped, end, place, bit, tmp_path_factory):
        path = tmp_path_factory.mktemp("damaged") / "theirs.pth"
        content = {"state_dict": {"conv1.weight": torch.ones(4, 3)}, "epoch": 3}
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        damaged = bytearray(path.read_bytes())
        damaged[int(place * len(damaged))] ^= 1 << bit
        path.write_bytes(damaged[: int(end * len(damaged)) + 1])
        with contextlib.suppress(CheckpointError):
            elsewhere.read(path)

    def test_no_file(self, tmp_path, capsys):
        assert "no checkpoint at" in refused([str(tmp_path / "gone"), *FLAGS, "--out", str(tmp_path / "c.pt")], capsys)


class TestNeuronsOfAModule:
    def test_those_without_an_equal_are_listed_by_path(self):
        network = nn.Sequential(neuron.LIFNode(v_reset=None), neuron.IFNode(v_reset=0.5), neuron.IFNode())
        with pytest.raises(ValueError) as caught:
            Node.of_all(network)
        assert "0.v_reset: expected 0.0, found None (a soft reset); 1.v_reset: expected 0.0, found 0.5" in str(
            caught.value
        )

    def test_neurons_that_differ_are_refused(self):
        with pytest.raises(ValueError, match=r"1: expected Node\(.*tau=2\.0.*\) as 0, found Node\(.*tau=3\.0"):
            Node.of_all(nn.Sequential(neuron.LIFNode(tau=2.0), neuron.LIFNode(tau=3.0)))

    @pytest.mark.parametrize(
        ("node", "said"),
        [
            (neuron.ParametricLIFNode(), "0.class: expected IFNode or LIFNode, found ParametricLIFNode"),
            (neuron.IFNode(surrogate_function=surrogate.Erf()), "0.surrogate_function: expected Sigmoid, ATan, .* Erf"),
            (neuron.IFNode(surrogate_function=surrogate.Sigmoid(spiking=False)), "found Sigmoid without spikes"),
            (nn.ReLU(), "Sequential has no neurons of SpikingJelly's"),
        ],
    )
    def test_other_neurons_are_refused(self, node, said):
        with pytest.raises(ValueError, match=said):
            Node.of_all(nn.Sequential(node))

    def test_a_learned_tau_shows_in_the_state_dict(self):
        network = sew_resnet.sew_resnet18(spiking_neuron=neuron.ParametricLIFNode, cnf="ADD", num_classes=3)
        with pytest.raises(
            ValueError, match=r"sn1\.w: expected nothing, found a ParametricLIFNode's learned tau of 2;"
        ):
            convert.converted(dict(network.state_dict()), SOURCES["sew-resnet18"], TET)


def test_every_source_names_every_tensor_of_its_network_once():
    for source in SOURCES.values():
        state = build(source.network, seed=0, device="meta", **source.arguments).state_dict()
        names = [name for key in state for name in source.names(key)]
        assert len(set(names)) == len(names)


def test_a_checkpoint_of_weights_in_memory(tmp_path):
    network = torchvision.models.resnet18(num_classes=3)
    made = convert.converted(dict(network.state_dict()), SOURCES["resnet18"], Neuron(spiking=False))
    whole = Checkpoint(made.model, made.state_dict, {"name": "digits", "arguments": {}}, {"loss": "sdt", "seed": 0}, {})
    save(whole, tmp_path / "ckpt.pt")
    assert load(tmp_path / "ckpt.pt").network().num_classes == 3


def test_one_of_two_networks_in_a_file_is_converted(plain, tmp_path, capsys):
    raw = torch.load(plain)
    both = {f"net.{name}": value for name, value in raw.items()}
    both |= {f"ema_net.{name}": value * 2 if value.is_floating_point() else value for name, value in raw.items()}
    torch.save({"state_dict": both}, tmp_path / "two.ckpt")
    argv = [str(tmp_path / "two.ckpt"), *FLAGS, "--out", str(tmp_path / "c.pt")]
    assert "with a prefix: 122 with 'net.' (weights net), 122 with 'ema_net.' (weights ema_net)" in refused(
        argv, capsys
    )
    assert convert.main([*argv, "--weights", "ema_net"]) == 0
    capsys.readouterr()
    made = load(tmp_path / "c.pt")
    assert made.training["source_weights"] == "state_dict.ema_net"
    torch.testing.assert_close(made.state_dict["stem.conv.weight"], 2 * raw["conv1.weight"])
    assert "holds a checkpoint of other weights" in refused([*argv, "--weights", "net"], capsys)
