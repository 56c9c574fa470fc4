"""Runs that end early: at the loss asked for, killed, terminated, without room on the disk, without a number."""

import itertools
import os
import random
import resource
import signal
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from models import train
from models.checkpoint import Checkpoint, load, save
from models.losses import OBJECTIVES
from models.training.recipe import Config, resolved
from models.training.stopping import reached

SHORT = {"train_images": 40, "batch_size": 20, "timesteps": 2, "quiet": True}
EPOCHS = 5


def config(out: Path, **changes) -> Config:
    return Config(out=out, **(SHORT | {"epochs": EPOCHS} | changes))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Checkpoint:
    return train.run(config(tmp_path_factory.mktemp("whole")))


@pytest.fixture(scope="module")
def process():
    """Processes that begin with everything imported, forked from one that has a single thread."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.models.test_stopping"])
    return context.Process


def trains(settings: Config) -> None:
    torch.set_num_threads(1)
    train.run(settings)


def dies_writing(settings: Config, count: int) -> None:
    """Train, and be killed when half of the ``count``-th checkpoint or snapshot is written."""
    number, write = itertools.count(1), Path.write_bytes

    def half(path: Path, content) -> int:
        if next(number) < count:
            return write(path, content)
        write(path, bytes(content)[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    pytest.MonkeyPatch().setattr(Path, "write_bytes", half)
    trains(settings)


def command_line(arguments: list[str], log: Path) -> None:
    torch.set_num_threads(1)
    with log.open("w") as sys.stderr:
        status = train.main(arguments)
    sys.exit(status)


def flags(settings: Config) -> list[str]:
    names = ("out", "epochs", "train_images", "batch_size", "timesteps")
    return ["--quiet", *(f"--{name.replace('_', '-')}={getattr(settings, name)}" for name in names)]


def assert_same(found: Checkpoint, expected: Checkpoint) -> None:
    assert found.history["train_loss_tet"] == expected.history["train_loss_tet"]
    assert found.state_dict.keys() == expected.state_dict.keys()
    for name, value in expected.state_dict.items():
        assert torch.equal(found.state_dict[name], value), name


def after(process, function, *arguments) -> int | None:
    child = process(target=function, args=arguments)
    child.start()
    child.join()
    return child.exitcode


def test_killed_at_random_moments_a_run_ends_with_the_same_weights(process, whole, tmp_path):
    draw, settings = random.Random(0), config(tmp_path)
    for _ in range(6):
        child = process(target=trains, args=(settings,))
        child.start()
        child.join(draw.uniform(0, 0.6))
        child.kill()
        child.join()
    assert_same(train.run(settings), whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ckpt.pt", "history.csv"]


@pytest.mark.slow
def test_killed_while_a_checkpoint_is_written_a_run_ends_with_the_same_weights(process, whole, tmp_path):
    settings = config(tmp_path, snapshots=1)
    for count in (1, 2, 3, 4):  # the untrained snapshot, an epoch's, a checkpoint …
        assert after(process, dies_writing, settings, count) == -signal.SIGKILL
        assert list(tmp_path.rglob(".*.pt.????????"))
    assert_same(train.run(settings), whole)
    assert not list(tmp_path.rglob(".*"))
    for epoch in range(EPOCHS + 1):
        assert load(tmp_path / f"snapshots/epoch-{epoch:04d}.pt").training["epochs_done"] == epoch
    assert_same(load(tmp_path / f"snapshots/epoch-{EPOCHS:04d}.pt"), whole)


def test_sigterm_ends_with_status_143_and_one_line_that_says_what_is_saved(process, tmp_path):
    settings, log = config(tmp_path / "run", epochs=1000), tmp_path / "log"  # it won't be through before the signal
    child = process(target=command_line, args=(flags(settings), log))
    child.start()
    while not (tmp_path / "run/ckpt.pt").exists():
        assert child.exitcode is None
        child.join(0.002)
    os.kill(child.pid, signal.SIGTERM)
    child.join()
    assert child.exitcode == 143
    (line,) = log.read_text().splitlines()
    done = load(tmp_path / "run/ckpt.pt").training["epochs_done"]
    assert f"terminated in epoch {done + 1}; {tmp_path}/run/ckpt.pt holds epoch {done}; the same command" in line
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["ckpt.pt", "history.csv"]


def test_sigterm_is_handled_as_before_once_a_run_has_ended(whole, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    train.run(config(tmp_path, epochs=1))
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_in_another_thread_ends_with_the_same_weights(whole, tmp_path):
    thread = threading.Thread(target=train.run, args=(config(tmp_path),))
    thread.start()
    thread.join()
    assert_same(load(tmp_path / "ckpt.pt"), whole)


@contextmanager
def room_for(size: int):
    """No file may grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.slow
def test_without_room_the_last_checkpoint_stays_and_the_message_says_so(process, whole, tmp_path, capsys):
    settings, path = config(tmp_path), tmp_path / "ckpt.pt"
    assert after(process, dies_writing, settings, 2) == -signal.SIGKILL
    before = path.read_bytes()
    with room_for(len(before) // 2):
        assert train.main(flags(settings)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"File too large; {path} holds epoch 1; the same command goes on from there" in line
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".*"))
    assert_same(train.run(settings), whole)


def test_a_loss_that_is_no_number_stops_at_its_step_and_the_last_checkpoint_stays(whole, tmp_path, capsys, monkeypatch):
    settings, calls, loss = config(tmp_path), itertools.count(1), OBJECTIVES["tet"]
    with monkeypatch.context() as patch:  # two steps an epoch: the fourth loss is that of epoch 2, step 2
        patch.setitem(OBJECTIVES, "tet", lambda *a, **k: loss(*a, **k) * (float("nan") if next(calls) == 4 else 1))
        assert train.main(flags(settings)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"the loss is nan in epoch 2 at step 2: lower --learning-rate ({tmp_path}/ckpt.pt holds epoch 1)" in line
    assert load(tmp_path / "ckpt.pt").training["epochs_done"] == 1
    assert_same(train.run(settings), whole)


@pytest.mark.slow
def test_a_run_until_a_loss_is_the_beginning_of_the_one_that_goes_on(process, whole, tmp_path):
    losses = whole.history["train_loss_tet"]
    goal = (losses[2] + losses[3]) / 2  # after the fourth epoch: losses fall
    assert losses[2] > goal > losses[3]
    settings = config(tmp_path, until_loss=goal, snapshots=3)
    assert after(process, dies_writing, settings, 5) == -signal.SIGKILL
    found = train.run(settings)
    assert found.history["train_loss_tet"] == losses[:4]
    assert found.history["learning_rate"] == whole.history["learning_rate"][:4]
    said = {"epochs_done": 4, "until_loss": goal, "until_loss_of": "tet", "until_loss_reached": True}
    assert said.items() <= load(tmp_path / "ckpt.pt").training.items()
    assert sorted(path.name for path in (tmp_path / "snapshots").iterdir()) == [
        f"epoch-{epoch:04d}.pt" for epoch in (0, 3, 4)
    ]
    written = (tmp_path / "ckpt.pt").stat().st_mtime_ns
    train.run(settings)
    assert (tmp_path / "ckpt.pt").stat().st_mtime_ns == written


def test_the_loss_to_reach_is_the_one_trained_with_unless_named(tmp_path):
    assert resolved(config(tmp_path, loss="sdt", until_loss=1.0)).until_loss_of == "sdt"
    assert resolved(config(tmp_path, loss="sdt", until_loss=1.0, until_loss_of="tet")).until_loss_of == "tet"
    assert resolved(config(tmp_path, loss="sdt")).until_loss_of is None
    history = {"train_loss_sdt": [0.5, 0.9], "train_loss_tet": [0.5, 1.1]}
    assert reached({"until_loss": 1.0, "until_loss_of": "sdt"}, history) is True
    assert reached({"until_loss": 1.0, "until_loss_of": "tet"}, history) is False
    assert reached({"until_loss": 1.0, "until_loss_of": "tet"}, {"train_loss_tet": []}) is False
    assert reached({}, history) is None


def test_a_loss_that_is_not_reached_is_said_and_recorded(tmp_path, capsys):
    settings = config(tmp_path, epochs=1, until_loss=1e-6, loss="sdt")
    for _ in range(2):
        assert train.run(settings).training["until_loss_reached"] is False
        last = capsys.readouterr().err.splitlines()[-1]
        assert "the training loss (sdt) is 2." in last
        assert "after 1 epochs, not 1e-06 as --until-loss asks: raise --epochs or --until-loss" in last
    assert load(tmp_path / "ckpt.pt").training["until_loss_reached"] is False


def test_without_a_loss_to_reach_nothing_is_said_of_it(whole):
    assert whole.training["until_loss_reached"] is None


def test_a_checkpoint_from_before_there_was_a_loss_to_reach_is_still_that_run_s(whole, tmp_path):
    training = {name: value for name, value in whole.training.items() if not name.startswith("until_loss")}
    save(replace(whole, training=training), tmp_path / "ckpt.pt")
    assert train.run(config(tmp_path)).history == whole.history
