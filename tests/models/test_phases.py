"""Runs in phases: what a text means, which rates and losses it gives, and that a kill in between changes nothing."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.checkpoint import load
from models.train import main, run
from models.training import phases
from models.training.phases import Phase, parse
from models.training.recipe import Config, resolved, timeline

from ..interrupted import interrupted

SHORT = {"train_images": 40, "batch_size": 20, "quiet": True}
TEXT = "2 loss=sdt timesteps=1; 1; 2 learning_rate=1e-3"


def config(out: Path, **changes) -> Config:
    return Config(out=out, **(SHORT | {"timesteps": 2, "phases": TEXT} | changes))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("phases")
    return run(config(out, snapshots=1)), out


def test_a_text_says_what_differs_from_the_run():
    assert parse(TEXT, loss="tet", timesteps=6) == (
        Phase(2, "sdt", 1), Phase(1, "tet", 6), Phase(2, "tet", 6, 0.001)
    )  # fmt: skip


@given(
    st.lists(
        st.builds(
            Phase, st.integers(1, 400), st.sampled_from(["sdt", "tet"]), st.integers(1, 20),
            st.none() | st.floats(1e-9, 1e3),
        ),
        min_size=1,
    )
)  # fmt: skip
def test_phases_written_out_are_read_back(made):
    assert parse("; ".join(map(str, made)), loss="sdt", timesteps=99) == tuple(made)


@given(st.lists(st.tuples(st.integers(1, 9), st.none() | st.just(0.1)), min_size=1, max_size=6))
def test_every_epoch_has_one_phase_and_every_cosine_ends_where_the_next_begins(made):
    plan = [Phase(epochs, "tet", 2, rate) for epochs, rate in made]
    numbers = [phases.at(plan, epoch) for epoch in range(1, sum(epochs for epochs, _ in made) + 1)]
    assert numbers == [number for number, (epochs, _) in enumerate(made) for _ in range(epochs)]
    legs = {phases.leg(plan, number) for number in numbers}
    assert sum(span for _, span in legs) == len(numbers)
    assert {start for start, _ in legs} == {0} | {number for number, (_, rate) in enumerate(made) if rate}


def test_time_steps_are_counted_as_in_the_paper():
    inherited = parse("300 timesteps=2; 50 learning_rate=1e-4", loss="tet", timesteps=6)
    assert phases.described(inherited) == (
        "300 epochs of TET at T = 2, then 50 epochs of TET at T = 6: 900 time steps an image;"
        " 300 epochs at T = 6 would be 1,800"
    )
    assert phases.described([Phase(10, "sdt", 4)]) == "10 epochs of SDT at T = 4: 40 time steps an image"


def test_a_run_in_phases_has_the_loss_and_t_of_the_last_and_says_so_again(tmp_path):
    made = resolved(config(tmp_path, loss="sdt", phases="2; 1 loss=tet timesteps=3"))
    assert (made.loss, made.timesteps, made.epochs, made.mse_weight) == ("tet", 3, 3, 0.05)
    assert made.phases == "2 loss=sdt timesteps=2; 1 loss=tet timesteps=3"
    assert resolved(made) == made
    assert timeline(made) == (Phase(2, "sdt", 2), Phase(1, "tet", 3))


def test_the_first_phase_is_the_run_that_it_describes(whole, tmp_path):
    """Its cosine spans its leg: the three epochs until the rate is set anew."""
    alone = run(config(tmp_path, phases=None, loss="sdt", timesteps=1, epochs=3, snapshots=1))
    for epoch in (0, 1, 2):
        one, other = (load(out / f"snapshots/epoch-{epoch:04d}.pt") for out in (whole[1], tmp_path))
        assert one.model == other.model
        assert all(torch.equal(one.state_dict[name], value) for name, value in other.state_dict.items())
    third = [load(out / "snapshots/epoch-0003.pt").state_dict for out in (whole[1], tmp_path)]
    assert any(not torch.equal(third[0][name], value) for name, value in third[1].items())
    assert whole[0].history["train_loss_sdt"][:2] == alone.history["train_loss_sdt"][:2]


def test_rates_fall_along_one_cosine_until_one_is_given(whole):
    rates = whole[0].history["learning_rate"]
    assert rates == pytest.approx([2e-3, 1.5e-3, 0.5e-3, 1e-3, 0.5e-3])


def test_a_rate_of_its_own_starts_the_optimizer_anew(whole):
    steps = {float(state["step"]) for state in (whole[0].resume or {})["optimizer"]["state"].values()}
    assert steps == {4.0}  # two epochs of two batches, of five epochs in all
    before = (load(whole[1] / "snapshots/epoch-0003.pt").resume or {})["optimizer"]["state"].values()
    assert {float(state["step"]) for state in before} == {6.0}  # the loss changed, and the moments went on


def test_a_checkpoint_shows_images_for_the_t_of_its_phase(whole):
    shown = [load(whole[1] / f"snapshots/epoch-{epoch:04d}.pt").model["arguments"]["timesteps"] for epoch in range(6)]
    assert shown == [1, 1, 1, 2, 2, 2]
    assert whole[0].network()(torch.rand(1, 1, 8, 8)).shape[0] == 2


def test_stopped_after_every_epoch_a_run_in_phases_ends_with_the_same_weights(whole, tmp_path):
    for _ in range(5):
        with interrupted():
            run(config(tmp_path))
    found = load(tmp_path / "ckpt.pt")
    assert found.training["epochs_done"] == 5
    assert all(torch.equal(found.state_dict[name], value) for name, value in whole[0].state_dict.items())
    assert found.history["train_loss_tet"] == whole[0].history["train_loss_tet"]


def test_the_regulariser_belongs_to_the_phases_with_tet(tmp_path):
    """A phase of SDT has none, whatever the run's own weight: with both at SDT, the weight given is used."""
    plain, weighted = (
        run(config(tmp_path / str(weight), phases="1 loss=sdt; 1", mse_weight=weight, snapshots=1))
        for weight in (0.0, 0.9)
    )
    first = [load(tmp_path / str(weight) / "snapshots/epoch-0001.pt").state_dict for weight in (0.0, 0.9)]
    assert all(torch.equal(first[0][name], value) for name, value in first[1].items())
    assert any(not torch.equal(plain.state_dict[name], value) for name, value in weighted.state_dict.items())


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--phases", ""], "--phases '' can't be read: expected epochs and loss, timesteps, learning_rate"),
        (["--phases", "2; x"], "--phases '2; x' can't be read"),
        (["--phases", "2 loss=mse"], "can't be read"),
        (["--phases", "2 epochs=3"], "can't be read"),
        (["--phases", "2 loss=sdt loss=tet"], "can't be read"),
        (["--phases", "0"], "at least one epoch and one timestep, got '0 loss=tet timesteps=4'"),
        (["--phases", "1 timesteps=0"], "at least one epoch and one timestep"),
        (["--phases", "1; 1 learning_rate=nan"], "learning rate must be positive and finite, got nan"),
        (["--phases", "2; 3", "--epochs", "7"], "are 5 epochs, not 7: change the phases"),
        (["--phases", "2 timesteps=2; 3", "--no-spiking"], "a network that doesn't spike has one timestep"),
        (
            ["--phases", "1 timesteps=2; 1", "--data", "digit-events"],
            "digit-events is cut into frames once: its --phases",
        ),
    ],
)
def test_bad_phases_give_one_line(argv, said, tmp_path, capsys):
    assert main(["--out", str(tmp_path / "run"), "--quiet", *argv]) == 1
    error = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(error) == 1
    assert said in error[0]
    assert not (tmp_path / "run").exists()
