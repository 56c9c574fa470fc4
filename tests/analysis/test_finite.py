"""Outputs and losses that are no numbers, or not one for each example: refused by all, and counted nowhere."""

import importlib
import warnings
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from analysis import energy, momentum, path, robustness, sharpness, timesteps
from analysis.subject import NotFinite, Subject
from analysis.subject.outputs import Layout, score
from analysis.sweep.network import measured
from analysis.timesteps.agreement import agreement
from analysis.timesteps.anytime import anytime
from analysis.timesteps.curves import curve
from figures.words.gaps import Gap
from figures.words.verdicts import told

INF, NAN = float("inf"), float("nan")
X, Y = torch.randn(40, 4, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 3
SMALL: dict[str, dict[str, Any]] = {
    "timesteps": {},
    "energy": {"images": 20},
    "hessian": {"images": 20, "top": 1, "radius": False, "density": False, "trace": False},
    "robustness": {"images": 20, "draws": 2, "weight_noise": (0.1,), "rounding": (), "input_noise": (0.1,)},
    "momentum": {"images": 20, "batches": 2, "batch_size": 10},
    "rise": {"images": 20, "draws": 2, "radii": (0.1,), "along": ("noise",)},
    "sharpness": {"images": 20, "measures": ("average",), "draws": 2},
    "surface": {"images": 20, "points": 3, "plane_draws": 0, "draws": 1},
}
OF_THE_LOSS = [name for name in SMALL if name != "energy"]
OF_TEST = ["timesteps", "energy", "robustness"]


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def put(name, made, **more):
    module = importlib.import_module(f"analysis.{name}")
    return module.run(module.Config(quiet=True, **SMALL[name] | more), [made])


def refused(name, made, said, **more):
    with pytest.raises(ValueError, match=said) as refusal:
        put(name, made, **more)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def each(output, target):
    return cross_entropy(output, target, reduction="none")


@pytest.mark.parametrize("name", OF_TEST)
@pytest.mark.parametrize("lost", [1, 40])
def test_examples_without_an_answer_are_refused_with_split_and_number(name, lost):
    x = X.clone()
    x[:lost] = NAN
    shown = min(lost, SMALL[name].get("images", 40))
    of = SMALL[name].get("images", 40)
    said = refused(name, Subject(network(), train=(X, Y), test=(x, Y), name="x"), "^x, test data: the outputs of")
    assert f"the outputs of {shown} of {of} examples aren't finite" in said
    assert said.endswith(f"; the inputs of {shown} hold NaN or infinity")


@pytest.mark.parametrize("name", SMALL)
def test_weights_that_are_no_numbers_are_refused(name):
    made = network()
    made[0].weight.data[0, 0] = NAN
    refused(name, Subject(made, train=(X, Y), test=(X, Y), name="x"), r"NaN or infinity|nan")


def lost_at_the_end(number: float) -> nn.Sequential:
    made = network()
    made[2].weight.data[0, 0] = number
    return made


@pytest.mark.parametrize("number", [NAN, INF])
@pytest.mark.parametrize("measure", get_args(sharpness.flags.Measure))
def test_every_measure_of_sharpness_refuses_them(measure, number):
    one = Subject(lost_at_the_end(number), train=(X, Y), name="x")
    with pytest.raises(NotFinite, match=r"^x, train data: the loss ce is nan at the weights.*; 2\.weight holds NaN"):
        put("sharpness", one, measures=(measure, "average"), m=(5,), draws=2)


@pytest.mark.parametrize("name", ["hessian", "rise", "sharpness", "surface", "momentum"])
def test_a_sweep_can_tell_that_they_diverged(name):
    with pytest.raises(NotFinite):
        put(name, Subject(lost_at_the_end(NAN), train=(X, Y), test=(X, Y), name="x"))


@pytest.mark.parametrize("kind", ["line", "bezier", "both"])
@pytest.mark.parametrize("lost", [0, 1])
def test_a_path_has_two_ends_with_a_loss(kind, lost):
    ends = [Subject(network(seed), train=(X, Y), test=(X, Y), name=f"n{seed}") for seed in range(2)]
    ends[lost] = Subject(lost_at_the_end(NAN), train=(X, Y), test=(X, Y), name=f"n{lost}")
    with pytest.raises(NotFinite, match=f"^n{lost}, train data: the loss ce is nan at the weights"):
        path.run(path.Config(kind=kind, points=3, steps=2, images=20, quiet=True), ends)


@pytest.mark.parametrize("name", OF_THE_LOSS)
def test_a_loss_of_nan_is_refused_where_nothing_disturbs(name):
    made = Subject(network(), train=(X, Y), test=(X, Y), losses={"own": lambda o, y: each(o, y) * NAN})
    refused(name, made, "nan|not finite")


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("how", ["mean", "half", "stack"])
def test_a_loss_that_is_not_one_value_per_example_is_refused_alike(name, how):
    change: Any = {"mean": torch.mean, "half": lambda v: v[::2], "stack": lambda v: torch.stack([v, v])}[how]
    made = Subject(network(), train=(X, Y), test=(X, Y), losses={"own": lambda o, y: change(each(o, y))})
    refused(name, made, r"loss own must be one value per example \(\[8\].*, got shape \[")


@pytest.mark.parametrize("name", ["timesteps", "momentum", "robustness"])
def test_a_loss_of_another_length_in_large_batches_alone_is_refused_alike(name):
    own = {"own": lambda o, y: each(o, y).repeat(1 + (len(y) > 8))}
    refused(name, Subject(network(), train=(X, Y), test=(X, Y), losses=own), r"loss own must be one value per example")


def test_an_infinite_loss_is_a_number():
    own = {"own": lambda o, y: each(o, y) + torch.where(y == 0, INF, 0.0)}
    found = put("timesteps", Subject(network(), train=(X, Y), losses=own)).tables["timesteps"]
    assert found["loss_own"].tolist() == [INF]
    assert found["accuracy_cumulative"].notna().all()


def test_a_network_that_overflows_when_disturbed_is_not_right():
    class Brittle(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.held = network(), network()[0].weight.detach().clone()

        def forward(self, x):
            out = self.inner(x)
            return out if torch.equal(self.inner[0].weight, self.held) else out * INF * 0

    found = put("robustness", Subject(Brittle(), train=(X, Y), test=(X, Y)), input_noise=()).tables["robustness"]
    rows = found[found["split"] == "test"].set_index("strength")
    right = (network()(X[:20]).argmax(1) == Y[:20]).double().mean()
    assert rows.loc[0.0, "accuracy"] == pytest.approx(float(right))
    assert rows.loc[0.1, "accuracy"] == 0
    assert np.isnan(rows.loc[0.1, "value"])


def test_noise_is_not_scaled_to_inputs_that_are_no_numbers():
    class Forgiving(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, x):
            return self.inner(x.nan_to_num(0))

    x = X.clone()
    x[3] = NAN
    refused("robustness", Subject(Forgiving(), train=(X, Y), test=(x, Y)), "test data: inputs hold NaN or infinity")


@pytest.mark.parametrize("wrong", [NAN, INF])
def test_columns_of_an_output_that_says_no_class_are_empty(wrong):
    logits = torch.tensor([[[1.0, 0.0]], [[wrong, 0.0]], [[0.0, 9.0]]], dtype=torch.float64)
    found = curve(logits, torch.tensor([0]))
    for name in ("accuracy_cumulative", "class_cumulative", "confidence"):
        assert found[name][:, 0].isnan().tolist() == [False, True, True]
    assert found["accuracy_at_step"][[0, 2], 0].tolist() == [1, 0]
    told = agreement(found["class_cumulative"], found["class_at_step"])
    assert all(values.isnan().all() for values in told.values())
    stops = anytime(found["confidence"].numpy(), found["accuracy_cumulative"].numpy(), (0.5, 1.0))
    assert stops["accuracy"].tolist()[0] == 1  # it stopped before
    assert stops["accuracy"].isna().tolist() == [False, True]


def test_a_class_that_is_ruled_out_is_no_missing_answer():
    out, y = torch.tensor([[-INF, 1.0, 0.0], [-INF, -INF, -INF], [NAN, 1.0, 0.0]]), torch.tensor([1, 1, 1])
    found = score(Layout(None, 1, "classes"))
    assert found is not None
    torch.testing.assert_close(found(out, y), torch.tensor([1, NAN, NAN]), equal_nan=True)
    labels = score(Layout(None, 1, "labels"))
    assert labels is not None
    torch.testing.assert_close(
        labels(torch.tensor([[NAN, 1.0], [INF, -1.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])),
        torch.tensor([NAN, 1.0]),
        equal_nan=True,
    )


def test_a_network_of_a_sweep_whose_outputs_are_no_numbers_has_diverged(tmp_path):
    made = Subject(network(), train=(X * INF, Y), name="x")
    config = timesteps.Config(quiet=True)
    found = measured(tmp_path, lambda: {"timesteps": (lambda settings: timesteps.run(settings, [made]), config)})
    assert found.status == "diverged"
    assert "x, train data: the outputs of 40 of 40 examples" in found.reason


@pytest.mark.parametrize("analysis", [timesteps, energy, robustness])
def test_one_example_has_no_standard_error_and_no_warning(analysis):
    made = Subject(network(), train=(X[:1], Y[:1]), test=(X[:1], Y[:1]))
    name = analysis.__name__.rpartition(".")[2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = [table for key, table in put(name, made).tables.items() if key == name]
    column = {"timesteps": "accuracy_cumulative_stderr", "energy": "joules_stderr"}.get(name, "accuracy_images_stderr")
    assert found[column].isna().all()


def test_batchnorm_of_one_example_in_training_says_the_way_out():
    made = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    one = Subject(made, train=(X[:1], Y[:1]))
    refused("momentum", one, "--mode eval", batch_size=1)
    assert isinstance(momentum.run(momentum.Config(quiet=True, batches=2, mode="eval"), [one]).to_frame(), pd.DataFrame)


MINE = """
import torch
import snntorch
from torch import nn
from analysis.subject import Subject


class Net(nn.Module):
    def __init__(self, how, num_steps=4):
        super().__init__()
        torch.manual_seed(0)
        self.num_steps, self.how = num_steps, how
        self.a, self.leaky, self.b = nn.Linear(4, 8), snntorch.Leaky(beta=0.9), nn.Linear(8, 3)

    def forward(self, x):
        if self.how == "long" and self.num_steps < 3:
            raise ValueError("too short")
        state, found = self.leaky.init_leaky(), 0
        for _ in range(self.num_steps):
            spikes, state = self.leaky(self.a(2 * x), state)
            found = found + self.b(spikes)
        return found[:, :2] if self.how == "two" and self.num_steps == 2 else found
"""


@pytest.mark.parametrize("analysis", ["timesteps", "energy"])
@pytest.mark.parametrize(
    ("how", "steps", "said"),
    [
        ("two", [1, 3, 4], "T = 2 is left out, where its own T is 4: its output there isn't of the shape"),
        ("long", [3, 4], "T = 1, 2 are left out, where its own T is 4: ValueError: too short"),
    ],
)
def test_what_fails_at_another_number_of_steps_is_left_out_and_said(analysis, how, steps, said, capsys):
    pytest.importorskip("snntorch")
    held: dict[str, Any] = {}
    exec(MINE, held)
    module = {"timesteps": timesteps, "energy": energy}[analysis]
    subject = Subject(held["Net"](how), train=(X, Y), test=(X, Y), name="x")
    table = module.run(module.Config(max_timesteps=4), [subject]).tables[analysis]
    assert table["timesteps"].unique().tolist() == steps
    assert f"x: {said}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("doubts", "said"),
    [(("not finite",), "test loss isn't finite on both sides"), ((), "test loss was not measured on both sides")],
)
def test_what_was_measured_and_is_not_finite_is_not_called_unmeasured(doubts, said):
    assert told("test loss", {"": Gap(NAN, 1.0, NAN, NAN, NAN, 3, doubts)}) == said
