"""Networks that don't take every number of steps: what is measured they say themselves, the rest is left out."""

import json
import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from analysis import energy, hessian, robustness, sharpness, surface, timesteps
from analysis.subject import Spiking, Subject, askable, recognised
from analysis.subject.askable import _listed
from tests.spiking_networks import Mine, images, linear

OWN = 4
Takes = Callable[[int], bool]
QUIET: dict[str, Any] = {"quiet": True}


class Picky(nn.Module):
    """Takes some T alone; its output is [batch, time, class], or the steps' mean, or what ``shape`` makes of it.

    Its first layer is asked once, whatever T is.
    """

    def __init__(self, takes: Takes, shape: Callable[[Tensor, int], Tensor] = lambda z, _: z):
        super().__init__()
        self.T, self.width, self.takes, self.shape = OWN, 6, takes, shape
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.fc1, self.neuron, self.fc2 = linear(64, 6), Mine(), linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        if not self.takes(self.T) or self.width != 6:
            raise RuntimeError(f"this many steps\nare none: {self.T}")
        current = self.fc1(x).unsqueeze(1).repeat(1, self.T, 1)
        return self.shape(self.fc2(self.neuron(current)), self.T)


def made(network: nn.Module, *, given: bool = True, **more: Any) -> Subject:
    settings = {"spiking": Spiking(neurons=(Mine,), timesteps="T" if given else None)} | more
    return Subject(network, **{"test": images(), "name": "picky"} | settings)


def mean(z: Tensor, _: int) -> Tensor:
    return z.mean(1)


def run_at(network: Picky, steps: int) -> Tensor:
    """The mean output of the network itself, given so many steps."""
    network.T = steps
    with torch.no_grad():
        output = network(images()[0])
    network.T = OWN
    return output if output.ndim == 2 else output.mean(1)


TAKES: dict[str, Takes] = {
    "from 3": lambda T: T >= 3,
    "even": lambda T: T % 2 == 0,
    "up to its own": lambda T: T <= OWN,
    "its own, and one less": lambda T: T in (OWN - 1, OWN),
    "powers of two": lambda T: T & (T - 1) == 0,
    "its own": lambda T: T == OWN,
}


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("takes", TAKES)
@pytest.mark.parametrize("answers", ["steps", "mean"])
def test_every_row_is_of_the_network_really_given_so_many_steps(takes, answers, tmp_path, capsys):
    network = Picky(TAKES[takes], *([mean] if answers == "mean" else []))
    table = timesteps.run(timesteps.Config(out=tmp_path), [made(network)]).tables["timesteps"]
    wanted = [T for T in range(1, 2 * OWN + 1) if TAKES[takes](T)]
    assert table["timesteps"].tolist() == wanted
    _, y = images()
    for T, row in table.set_index("timesteps").iterrows():
        said = run_at(network, T)
        assert row["accuracy_cumulative"] == pytest.approx(float((said.argmax(1) == y).double().mean()), abs=1e-12)
        loss = row["loss_sdt" if answers == "steps" else "loss_ce"]
        assert loss == pytest.approx(float(cross_entropy(said.double(), y)), rel=1e-5)
    lacking = [T for T in range(1, 2 * OWN + 1) if T not in wanted]
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    words = f"picky: T = {_listed(lacking)} are left out, where its own T is {OWN}: RuntimeError: this many steps"
    assert line == words
    kept = json.loads((tmp_path / "timesteps.json").read_text())["left_out"]["picky"]
    reasons = {f"T = {T}": "is left out: RuntimeError: this many steps" for T in lacking}
    without = {"anytime": "is left out: it takes every T up to the largest"} if answers == "steps" else {}
    assert kept == reasons | without
    assert not (tmp_path / "anytime.csv").exists()
    assert network.T == OWN


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("takes", TAKES)
@pytest.mark.parametrize("first_layer", ["every-step", "once"])
def test_energy_is_that_of_a_network_that_takes_every_number_of_steps(takes, first_layer, tmp_path, capsys):
    """The first layer is executed once in a pass, which two T tell."""
    settings: Any = {"first_layer": first_layer, **QUIET}
    config = energy.Config(first_layer=first_layer, out=tmp_path)
    table = energy.run(config, [made(Picky(TAKES[takes]))]).tables["energy"]
    every = energy.run(energy.Config(**settings), [made(Picky(lambda _: True))]).tables["energy"]
    wanted = [T for T in range(1, 2 * OWN + 1) if TAKES[takes](T)]
    assert table["timesteps"].unique().tolist() == wanted
    kept = every[every["timesteps"].isin(wanted)].reset_index(drop=True)
    columns = ["timesteps", "layer", "kind", "spikes", "additions", "updates", "accuracy", "trained_timesteps"]
    if len(wanted) > 1:
        columns += ["multiplications", "joules", "joules_stderr", "joules_by_rate"]
        first = table[table["layer"] == "fc1"].set_index("timesteps")["multiplications"]
        assert first.tolist() == [64 * 6 * (1 if first_layer == "once" else T) for T in wanted]
    for column in columns:
        pd.testing.assert_series_equal(table[column], kept[column], check_exact=True)
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if "left out" in line]) == 1
    record = json.loads((tmp_path / "energy.json").read_text())["left_out"]["picky"]
    assert set(record) == {f"T = {T}" for T in range(1, 2 * OWN + 1) if T not in wanted}


@pytest.mark.parametrize("analysis", [energy, timesteps])
def test_a_network_that_fails_as_it_is_is_refused(analysis):
    with pytest.raises(ValueError, match="this many steps"):
        analysis.run(analysis.Config(**QUIET), [made(Picky(lambda T: T != OWN))])


@pytest.mark.parametrize("analysis", [energy, timesteps])
def test_no_number_of_steps_at_all_is_refused(analysis):
    said = "picky: its network, whose own T is 4, takes no T of 1 … 2: RuntimeError: this many steps"
    with pytest.raises(ValueError, match=said):
        analysis.run(analysis.Config(max_timesteps=2, **QUIET), [made(Picky(TAKES["from 3"]))])


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("takes", TAKES)
def test_what_asks_no_other_number_of_steps_measures_whatever_it_takes(takes):
    few: dict[str, Any] = {"images": 12, "split": "test", **QUIET}
    runs: dict[Any, dict[str, Any]] = {
        hessian: {"top": 1, "bottom": 0, "probes": 2, "max_products": 5},
        surface: {"points": 3, "plane_points": 3, "draws": 1},
        sharpness: {"measures": ("average",), "draws": 2},
        robustness: {"draws": 2, "rounding": (), "input_noise": ()},
    }
    for analysis, settings in runs.items():
        config = analysis.Config(**few | settings)
        found, every = (
            analysis.run(config, [made(Picky(one))]).tables for one in (TAKES[takes], lambda _: True)
        )  # the same as if it took every T
        for name, table in found.items():
            numbers = table.select_dtypes("number").drop(columns=["seconds"], errors="ignore")
            assert numbers.equals(every[name].select_dtypes("number").drop(columns=["seconds"], errors="ignore")), name


@pytest.mark.parametrize("takes", ["from 3", "even", "up to its own", "its own, and one less", "powers of two"])
@pytest.mark.parametrize("shape", ["steps", "mean"])
def test_what_sets_t_is_found_though_one_step_more_fails(takes, shape):
    network = Picky(TAKES[takes], *([mean] if shape == "mean" else []))
    found = recognised(made(network, given=False)).spiking
    assert found is not None
    wanted = ("T", OWN, 1 if shape == "steps" else None, shape == "steps")
    assert (found.timesteps, found.steps, found.time, found.causal) == wanted


def test_a_function_sets_t_where_one_and_two_steps_fail():
    spiking = Spiking(neurons=(Mine,), timesteps=lambda network, T: setattr(network, "T", T))
    found = recognised(made(Picky(TAKES["from 3"]), spiking=spiking)).spiking
    assert found is not None
    assert (found.steps, found.time, found.causal) == (OWN, 1, True)


@pytest.mark.parametrize(("shape", "time", "causal"), [((), 1, True), ((mean,), None, False)])
def test_what_is_said_to_set_t_is_believed_where_no_other_is_taken(shape, time, causal):
    remarks: list[str] = []
    found = recognised(made(Picky(TAKES["its own"], *shape)), remarks.append).spiking
    assert found is not None
    assert (found.steps, found.time, found.causal) == (OWN, time, causal)
    (remark,) = remarks
    assert remark.startswith(
        "picky: its network fails at every other number of steps that was tried (5, 6, 8, 3, 2), and is taken at its "
        "word that T is 4: "
    )
    assert "\n" not in remark


def test_a_word_that_the_output_contradicts_is_not_believed():
    with pytest.raises(ValueError, match=r"with T set by spiking.timesteps='width' its network fails on one step more"):
        recognised(made(Picky(lambda _: True), spiking=Spiking(neurons=(Mine,), timesteps="width")))


def test_as_many_classes_as_steps_leave_out_those_with_other_outputs(capsys):
    network = Picky(lambda _: True, lambda z, T: torch.cat([z, z], 2)[:, :, :T])
    network.T = 6
    for analysis, name in ((timesteps, "timesteps"), (energy, "energy")):
        table = analysis.run(analysis.Config(max_timesteps=7), [made(network)]).tables[name]
        assert table["timesteps"].unique().tolist() == [6, 7]
        (line,) = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
        assert line.startswith(
            "picky: T = 1 … 5 are left out, where its own T is 6: its output there isn't of the shape"
        )


def test_squeezed_output_at_one_step_is_left_out():
    table = timesteps.run(timesteps.Config(**QUIET), [made(Picky(lambda _: True, lambda z, _: z.squeeze(1)))])
    assert table.tables["timesteps"]["timesteps"].tolist() == [2, 3, 4, 5, 6, 7, 8]


def test_a_pass_that_holds_some_numbers_of_steps_alone_is_not_taken_for_the_others():
    """At T = 1 and 2 it says something else than in its first steps at T = 4 and 5, which are alike."""
    network = Picky(lambda _: True, lambda z, T: z if T > 2 else 1 - z)
    one = recognised(made(network))
    assert one.causal
    assert not askable(one, 8).held
    assert askable(recognised(made(Picky(lambda _: True))), 8).held
    table = timesteps.run(timesteps.Config(**QUIET), [made(network)]).tables["timesteps"].set_index("timesteps")
    _, y = images()
    for T in range(1, 9):
        assert table.loc[T, "loss_sdt"] == pytest.approx(float(cross_entropy(run_at(network, T), y)), rel=1e-5)


class Convolved(nn.Module):
    """A convolution over time without padding: two outputs fewer than steps, frames or an image's."""

    def __init__(self, padding: int = 0):
        super().__init__()
        self.T = 6
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.fc1, self.neuron, self.over, self.fc2 = linear(64, 6), Mine(), nn.Conv1d(6, 6, 3), linear(6, 3)
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.neuron(self.fc1(x if x.ndim == 3 else x.unsqueeze(1).repeat(1, self.T, 1))).transpose(1, 2)
        output: Tensor = self.fc2(self.over(torch.nn.functional.pad(spikes, (self.padding, 0))).transpose(1, 2))
        return output


@pytest.mark.parametrize("streamed", [False, True])
def test_fewer_outputs_than_steps_are_refused_with_the_line_to_write(streamed):
    x, y = images()
    stream = torch.stack([x * (1 + 0.2 * t) for t in range(6)], 1)
    more: dict[str, Any] = {"test": (stream, y)} if streamed else {}
    spiking = Spiking(neurons=(Mine,), frames=1) if streamed else Spiking(neurons=(Mine,), timesteps="T")
    says = "4 steps, and 2 when" if streamed else "6 now, but with one more its output is [8, 5, 3] where it was [8, 4"
    for analysis in (timesteps, energy):
        with pytest.raises(ValueError, match=re.escape(says)) as refusal:
            analysis.run(analysis.Config(**QUIET), [made(Convolved(), spiking=spiking, **more)])
        assert "Take one answer for all steps: output=lambda returned: returned.mean(1)" in str(refusal.value)
    one = made(Convolved(), spiking=spiking, output=lambda returned: returned.mean(1), **more)
    table = timesteps.run(timesteps.Config(**QUIET), [one]).tables["timesteps"].set_index("timesteps")
    assert table.index.tolist() == list(range(3, 7 if streamed else 13))
    assert (table["trained_timesteps"] == 6).all()
    for T in (3, 6):
        vars(one.network)["T"] = T
        with torch.no_grad():
            said = one.network(stream[:, :T] if streamed else x).mean(1)
        assert table.loc[T, "loss_ce"] == pytest.approx(float(cross_entropy(said, y)), rel=1e-5)


def test_a_convolution_over_steps_that_came_is_measured_from_one_pass():
    one = recognised(made(Convolved(padding=2)))
    assert one.causal
    assert askable(one, 12) == type(askable(one, 12))(tuple(range(1, 13)), {}, held=True)


def test_numbers_are_listed_in_runs():
    assert _listed([1, 2, 3, 5, 7, 8, 10, 11, 12]) == "1 … 3, 5, 7, 8, 10 … 12"
