"""What is found out of spiking networks by asking them, what of it has to be said, and what is refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import snntorch
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn

from analysis import robustness, timesteps
from analysis.subject import Spiking, Subject, Unsuited, recognised
from analysis.subject.spiking import Everywhere
from models.networks import build
from models.neurons.lif import LIF
from tests.spiking_networks import (
    MADE,
    STEPS,
    JellyLoop,
    JellyMany,
    Mine,
    Own,
    Returned,
    images,
    linear,
    static,
    subject,
)

QUIET = {"quiet": True}


def made(network: nn.Module, **more: Any) -> Subject:
    torch.manual_seed(0)
    return Subject(**static(network, **more), name="made")


def asked(one: Subject) -> Spiking:
    """What was found out."""
    found = recognised(one).spiking
    assert found is not None
    return found


@pytest.mark.parametrize("name", MADE)
def test_everything_is_found_by_asking(name):
    found = asked(subject(name))
    time = {"jelly LIF, mean": None, "own": 1}.get(name, 0)
    framed = name in ("norse frames", "norse recurrent")
    kinds = {"looped": "T", "many steps": "num_steps", "mean": "num_steps", "cells": "seq_length", "own": "T"}
    setter = next((way for word, way in kinds.items() if word in name), None if framed else "num_steps")
    assert (found.time, found.frames, found.timesteps) == (time, 0 if framed else None, setter)
    assert found.steps == STEPS + 2 * (name == "norse cells")
    assert found.causal == (time is not None)
    words = {"own": {"Mine"}, "snntorch returned": {"Leaky", "Synaptic"}}
    assert {kind.__name__ for kind in found.neurons} <= words.get(name, {*_CLASSES})
    assert found.neurons


_CLASSES = ("IFNode", "LIFNode", "ParametricLIFNode", "Leaky", "Synaptic", "Alpha", "LIFCell", "LIF", "LIFRecurrent")


def test_the_number_of_steps_is_given_back():
    one = made(JellyLoop(neuron.IFNode))
    timesteps.run(timesteps.Config(**QUIET), [one])
    assert one.network.T == STEPS
    assert one.spiking is None


@pytest.mark.slow
def test_no_library_is_imported_for_it():
    code = (
        "import sys, torch; from analysis.subject import Subject, recognised;"
        "x = [(torch.rand(4, 3), torch.tensor([0, 1, 0, 1]))];"
        "recognised(Subject(torch.nn.Linear(3, 2), train=x));"
        "print([name for name in ('spikingjelly', 'snntorch', 'norse') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_this_projects_networks_are_known_without_a_checkpoint():
    x, y = images()
    one = Subject(build("digits-cnn", seed=0), train=[(x.unflatten(1, (1, 8, 8)), y)], name="ours")
    found = asked(one)
    assert found == Spiking((LIF,), 0, None, "timesteps", None, 4, True, True)


class Layered(Own):
    """T is kept by two modules that must agree."""

    def __init__(self) -> None:
        super().__init__()
        self.neuron = Counting()


class Counting(Mine):
    def __init__(self) -> None:
        super().__init__()
        self.T = STEPS

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[1] == self.T
        return super().forward(x)


def test_an_attribute_of_several_modules_is_set_in_all_of_them():
    one = made(Layered(), spiking=Spiking(neurons=(Mine,)))
    assert asked(one).timesteps == Everywhere("T")
    table = timesteps.run(timesteps.Config(**QUIET), [one]).tables["timesteps"]
    assert len(table) == 2 * STEPS
    assert (one.network.T, one.network.neuron.T) == (STEPS, STEPS)


def test_a_function_may_set_it_and_what_t_is_follows_from_how_often_neurons_are_asked():
    def shorten(network: Any, steps: int) -> None:
        network.T = steps

    found = asked(made(Own(), spiking=Spiking(neurons=(Mine,), timesteps=shorten)))
    assert (found.steps, found.time, found.causal) == (STEPS, 1, True)


class Fixed(nn.Module):
    """Steps that nothing sets; ``mixed`` takes the mean over time from every step."""

    def __init__(self, mixed: bool = False, mean: bool = False):
        super().__init__()
        self.mixed, self.mean = mixed, mean
        self.fc1, self.neuron, self.fc2 = linear(64, 6), neuron.LIFNode(v_threshold=0.9), linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        output = torch.stack([self.fc2(self.neuron(self.fc1(x))) for _ in range(4)])
        output = output - output.mean(0) if self.mixed else output
        return output.mean(0) if self.mean else output


def test_steps_that_nothing_sets_are_measured_up_to_their_number():
    found = asked(made(Fixed()))
    assert (found.time, found.timesteps, found.steps, found.causal) == (0, None, 4, True)
    assert len(timesteps.run(timesteps.Config(**QUIET), [made(Fixed())]).tables["timesteps"]) == 4
    with pytest.raises(ValueError, match="--max-timesteps must be between 1 and the 4 steps"):
        timesteps.run(timesteps.Config(max_timesteps=5, **QUIET), [made(Fixed())])


@pytest.mark.parametrize(
    ("network", "says"),
    [(Fixed(mixed=True), "at a step depends on later steps"), (Fixed(mean=True), "one answer for all its steps")],
)
def test_steps_that_one_pass_does_not_hold_are_refused_where_nothing_sets_them(network, says):
    with pytest.raises(Unsuited, match=says) as refusal:
        timesteps.run(timesteps.Config(**QUIET), [made(network)])
    assert "spiking=Spiking(timesteps='T')" in str(refusal.value)


class Hasty(JellyLoop):
    """Shows each image for T steps at a brightness of 1/T: what comes first depends on how long it is to be."""

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = super().forward(3 * x / self.T)
        return output


def test_a_network_that_looks_ahead_takes_a_pass_for_each_number_of_steps():
    one = made(Hasty(neuron.LIFNode))
    assert asked(one).causal is False
    table = timesteps.run(timesteps.Config(**QUIET), [one]).tables["timesteps"]
    x, y = images()
    for steps, (_, row) in enumerate(table.iterrows(), 1):
        vars(one.network)["T"] = steps
        for module in one.network.modules():
            if isinstance(module, neuron.LIFNode):
                module.reset()
        with torch.no_grad():
            logits = one.network(x)
        assert row["loss_at_step"] == pytest.approx(float(nn.functional.cross_entropy(logits[-1], y)), rel=1e-5)
        assert row["loss_sdt"] == pytest.approx(float(nn.functional.cross_entropy(logits.mean(0), y)), rel=1e-5)


class Stream(nn.Module):
    """Frames [batch, time, feature] or, ``first``, [time, batch, feature]."""

    def __init__(self, first: bool):
        super().__init__()
        self.first = first
        self.fc1, self.neuron, self.fc2 = linear(64, 6), Mine(), linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.neuron(self.fc1(x.transpose(0, 1) if self.first else x))
        output: Tensor = self.fc2(spikes)
        return output.transpose(0, 1) if self.first else output


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("steps", [5, 6])
def test_frames_are_told_from_examples_also_where_there_are_as_many(first, steps):
    """Six examples: with six frames shapes alone can't tell."""
    x, y = images(6)
    stream = torch.stack([x * (1 + 0.3 * t) for t in range(steps)])
    data = [(stream if first else stream.transpose(0, 1).contiguous(), y)]
    one = Subject(Stream(first), train=data, spiking=Spiking(neurons=(Mine,)), name="stream")
    found = asked(one)
    assert (found.frames, found.time, found.steps) == (0 if first else 1, 0 if first else 1, steps)
    table = timesteps.run(timesteps.Config(**QUIET), [one]).tables["timesteps"]
    assert table["frames"].unique().tolist() == ["truncated"]
    with torch.no_grad():
        logits = one.network(data[0][0])
    logits = logits if first else logits.transpose(0, 1)
    mean = logits[:2].mean(0)
    assert table["loss_sdt"].iloc[1] == pytest.approx(float(nn.functional.cross_entropy(mean, y)), rel=1e-5)


class Odd(nn.Module):
    """A network of a single neuron layer, whose output's shape depends on T as ``shape`` says."""

    def __init__(self, shape: Callable[[Tensor], Tensor], used: bool = True):
        super().__init__()
        self.num, self.shape, self.used = STEPS, shape, used
        self.fc1, self.neuron, self.fc2 = linear(64, 6), Mine(), linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        steps = self.num if self.used else STEPS
        return self.shape(self.fc2(self.neuron(self.fc1(x.unsqueeze(1).repeat(1, steps, 1)))))


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (Odd(lambda z: z, used=False), "spiking.timesteps='num' changes nothing"),
        (Odd(lambda z: z.repeat(1, 2, 1)), r"with one more its output is \[8, 8, 3\] where it was \[8, 6, 3\]"),
        (Odd(lambda z: z.transpose(1, 2) @ z), "the same shape"),
        (Odd(lambda z: z if z.shape[1] == STEPS else z.mean(1)), "one axis may be another, that of time"),
    ],
)
def test_what_is_said_of_the_steps_is_held_to(network, says):
    one = made(
        network, spiking=Spiking(neurons=(Mine,), timesteps="num"), losses={"one": lambda o, _: o.flatten(1).mean(1)}
    )
    if says == "the same shape":  # an answer for all steps
        assert asked(one).time is None
        return
    with pytest.raises(ValueError, match=says):
        recognised(one)


def test_time_that_lies_elsewhere_than_said_is_refused():
    with pytest.raises(ValueError, match=r"moves axis 1 of the output, and spiking.time is 0"):
        recognised(made(Own(), spiking=Spiking(neurons=(Mine,), timesteps="T", time=0)))


def test_a_neuron_that_nobody_knows_is_shown_with_the_line_to_write(capsys):
    remarks: list[str] = []
    assert recognised(made(Own()), remarks.append).spiking is None
    assert remarks == [
        "made: module 'neuron' (Mine) gives 0s and 1s alone, as neurons that spike do. If it is one, say so, or "
        "nothing is measured of its spikes: spiking=Spiking(neurons=(Mine,))"
    ]
    robustness.run(robustness.Config(split="train", draws=2, input_noise=(), rounding=()), [made(Own())])
    (line, *_) = capsys.readouterr().err.splitlines()
    assert line == remarks[0]


def test_neurons_that_the_network_lacks_are_refused():
    with pytest.raises(ValueError, match=r"spiking.neurons are Mine, and its network has no such module"):
        recognised(made(JellyLoop(neuron.IFNode), spiking=Spiking(neurons=(Mine,))))


class Remembering(Mine):
    """Keeps its membrane from one batch to the next."""

    membrane: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        kept = self.membrane if self.membrane is not None and self.membrane.shape == x[:, 0].shape else 0.5
        self.membrane = x.sum(1) * 0.1 + kept
        return super().forward(x + self.membrane.unsqueeze(1))


def test_state_that_nothing_clears_is_refused_with_the_line_to_write():
    one = made(Own(Remembering), spiking=Spiking(neurons=(Remembering,)))
    with pytest.raises(
        ValueError, match=r"keeps a state.*spiking=Spiking\(neurons=\(MyLIF,\), reset=lambda network: …\)"
    ):
        timesteps.run(timesteps.Config(**QUIET), [one])

    def clear(network: Any) -> None:
        network.neuron.membrane = None

    cleared = replace(one, spiking=Spiking(neurons=(Remembering,), reset=clear))
    assert len(timesteps.run(timesteps.Config(**QUIET), [cleared]).tables["timesteps"]) == 2 * STEPS


def test_a_tuple_of_records_needs_to_be_picked_from():
    with pytest.raises(ValueError, match=r"Subject\(…, output=lambda output: output\[0\]\)"):
        timesteps.run(timesteps.Config(**QUIET), [made(Returned())])


def test_losses_of_what_a_network_returns_need_no_tensor_for_spikes_to_go_astray():
    losses = {"mine": lambda returned, y: (returned[0].mean(0) + returned[1].mean(0)).log_softmax(1)[range(len(y)), y]}
    one = made(Returned(), losses=losses)
    settings = dict.fromkeys(robustness.NAMES, ()) | {"lost_spikes": (0.5,), "split": "train", "draws": 2}
    table = robustness.run(robustness.Config(**settings, **QUIET), [one]).to_frame()
    assert table["value"].nunique() == 2
    assert table["accuracy"].isna().all()


def test_one_line_says_what_the_network_cannot_suffer(capsys):
    settings = {"split": "train", "draws": 2, "weight_noise": (), "rounding": ()}
    table = robustness.run(robustness.Config(**settings), [made(JellyMany(Graded))]).to_frame()
    lines = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert lines == [
        "made: decay_spread is left out: no decay is known of net.1 (Graded)",
        "made: spurious_spikes is left out: the outputs of net.1 (Graded) are others than 0 and 1",
    ]
    assert set(table["perturbation"]) == {"threshold_spread", "lost_spikes", "input_noise"}


class Graded(neuron.IFNode):
    """Spikes of a size of two."""

    def forward(self, *arguments: Any, **more: Any) -> Tensor:
        spikes: Tensor = super().forward(*arguments, **more)
        return 2 * spikes


class Deaf(Mine):
    """Takes its threshold when it is made, and never looks at it again."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Mine()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner.forward(x)


class Strict(Mine):
    """Asks for one threshold for all."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if float(self.thresh) > 0 else x


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Deaf, "neuron (Deaf): another thresh changes nothing"),
        (Strict, "neuron (Strict) takes one thresh for all of its neurons"),
    ],
)
def test_thresholds_that_do_not_act_are_left_out(kind, says, capsys):
    one = made(Own(kind), spiking=Spiking(neurons=(kind,)))
    settings = {"split": "train", "draws": 2, "weight_noise": (), "rounding": (), "decay_spread": (), "input_noise": ()}
    robustness.run(robustness.Config(**settings), [one])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert line.startswith(f"made: threshold_spread is left out: {says}")


def test_noise_on_features_is_relative_to_each_of_them():
    one = made(nn.Linear(64, 3))
    settings = dict.fromkeys(robustness.NAMES, ()) | {"input_noise": (0.5,), "split": "train", "draws": 2}
    table = robustness.run(robustness.Config(**settings, **QUIET), [one]).to_frame()
    x, y = images()
    values = []
    for draw in range(2):
        seed = [0, robustness.NAMES.index("input_noise"), draw]
        normal = torch.from_numpy(np.random.default_rng(seed).standard_normal((24, 64))).float()
        moved = x + 0.5 * x.std(0, correction=0) * normal
        with torch.no_grad():
            values.append(float(nn.functional.cross_entropy(one.network(moved), y)))
    assert table["value"].iloc[1] == pytest.approx(sum(values) / 2, rel=1e-5)


def test_noise_needs_real_numbers(capsys):
    torch.manual_seed(0)
    words = torch.randint(0, 9, (12, 4), generator=torch.Generator().manual_seed(0))
    network = nn.Sequential(nn.Embedding(9, 5), nn.Flatten(), nn.Linear(20, 3))
    one = Subject(network, train=[(words, words.sum(1) % 3)], name="words")
    table = robustness.run(robustness.Config(split="train", draws=2, rounding=()), [one]).to_frame()
    assert set(table["perturbation"]) == {"weight_noise"}
    assert "words: input_noise is left out: its input is" in capsys.readouterr().err


class TwoLayers(nn.Module):
    """A layer of neurons without a decay, whose spikes have a size, and one like any other."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            linear(64, 6, layer.Linear), Graded(v_threshold=0.9), linear(6, 5, layer.Linear),
            neuron.LIFNode(v_threshold=0.5), linear(5, 3, layer.Linear),
        )  # fmt: skip
        functional.set_step_mode(self.net, "m")

    def forward(self, x: Tensor, num_steps: int = STEPS) -> Tensor:
        output: Tensor = self.net(x.expand(num_steps, *x.shape))
        return output


def test_layers_that_cannot_suffer_something_are_left_out_of_that_alone_and_named(tmp_path, capsys):
    one = made(TwoLayers())
    settings = dict.fromkeys(robustness.NAMES, ()) | {"decay_spread": (0.4,), "spurious_spikes": (0.3,)}
    config = robustness.Config(**settings, split="train", draws=3, out=tmp_path)
    table = robustness.run(config, [one]).to_frame()
    said = {
        "decay_spread": "leaves out 1 of 2 layers of neurons: no decay is known of net.1 (Graded)",
        "spurious_spikes": "leaves out 1 of 2 layers of neurons: the outputs of net.1 (Graded) are others than 0 and 1",
    }
    lines = [line for line in capsys.readouterr().err.splitlines() if "leaves out" in line]
    assert lines == [f"made: {name} {why}" for name, why in said.items()]
    assert json.loads((tmp_path / "robustness.json").read_text())["left_out"] == {"made": said}
    # as if the other layer alone were one of neurons
    alone = replace(one, spiking=Spiking(neurons=(neuron.LIFNode,)))
    config = replace(config, out=None)
    pd.testing.assert_frame_equal(robustness.run(config, [alone]).to_frame(), table)
    assert table.groupby("perturbation")["value"].nunique().tolist() == [4, 4]


@pytest.mark.parametrize(("axis", "says"), [(0, "depends on later steps"), (1, "gives one answer for all its steps")])
def test_what_looks_like_the_number_of_steps_is_named_where_it_isnt_taken(axis, says):
    class Less(nn.Module):
        """Without its first step, or with all steps side by side."""

        def __init__(self):
            super().__init__()
            self.num_steps, self.a, self.b, self.lif = 4, nn.Linear(4, 6), nn.Linear(6, 3), snntorch.Leaky(beta=0.9)

        def forward(self, x):
            membrane, outputs = self.lif.init_leaky(), []
            for _ in range(self.num_steps):
                spikes, membrane = self.lif(self.a(3 * x), membrane)
                outputs.append(self.b(spikes))
            return torch.stack(outputs[1:]) if axis == 0 else torch.cat(outputs, 1)

    losses = None if axis == 0 else {"own": lambda output, target: output.square().mean(1)}
    subject = Subject(Less(), train=(torch.rand(12, 4), torch.arange(12) % 3), losses=losses, name="x")
    with pytest.raises(ValueError, match=says) as refusal:
        timesteps.run(timesteps.Config(quiet=True), [subject])
    assert "its num_steps looks like their number" in str(refusal.value)
    assert 'spiking=Spiking(timesteps="num_steps")' in str(refusal.value)
