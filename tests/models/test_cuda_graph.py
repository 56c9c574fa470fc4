"""Steps replayed from a recording: the weights of steps taken one by one, whichever way is chosen and whatever recurs.

Without a GPU a recording is stood in for by torch's tracing (``make_fx``): like a CUDA graph, it repeats the operations
that were seen, on the tensors that were there, and asks Python nothing again.
"""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from models.train import main, run
from models.training import cuda_graph
from models.training import run as runs
from models.training.recipe import Config


class _Clock:
    """Says that launching takes as long as ``launched`` and replaying as long as ``replayed``, and does both once."""

    def __init__(self, launched: float, replayed: float):
        self.answers = [launched, replayed]
        self.asked = 0

    def __call__(self, work) -> float:
        work()
        self.asked += 1
        return self.answers[(self.asked - 1) % 2]


@pytest.fixture
def traced(monkeypatch):
    """Recordings by tracing; what they are asked to replay is counted in the list."""
    replays = []

    def record(work):
        present = work()
        graph = make_fx(lambda: [each for each in work() if each is not None])()
        held = [each if each is None else each.clone() for each in present]

        @torch.no_grad()
        def replay():
            replays.append(1)
            for place, found in zip([each for each in held if each is not None], graph(), strict=True):
                place.copy_(found)

        return replay, held

    monkeypatch.setattr(cuda_graph, "record", record)
    monkeypatch.setattr(cuda_graph, "warmed_up", lambda work: work())
    monkeypatch.setattr(cuda_graph, "seconds", _Clock(2.0, 1.0))
    return replays


@pytest.fixture
def on_this_machine(monkeypatch):
    """Runs record here as they would on CUDA."""

    def graphs(self):
        return cuda_graph.Graphs(self.network, always=self.config.cuda_graph == "on", quiet=self.config.quiet)

    monkeypatch.setattr(runs.Run, "_graphs", graphs)


def _config(out: Path, **changes) -> Config:
    given = {"epochs": 2, "train_images": 70, "batch_size": 20, "timesteps": 2, "neuron": "reference", "quiet": True}
    return Config(out=out, **given | changes)


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "sdt"},
        {"accumulate": 2},
        {"accumulate": 2, "loss": "sdt", "optimizer": "sgd", "learning_rate": 0.1},
        {"phases": "1 loss=sdt timesteps=1; 1"},
        {"channels_last": True},
        {"norm": "tdbn", "surrogate": "arctan"},
    ],
    ids=str,
)
def test_a_run_that_replays_reaches_the_same_weights(changes, traced, tmp_path, monkeypatch):
    plain = run(_config(tmp_path / "plain", **changes))
    assert not traced

    def graphs(self):
        return cuda_graph.Graphs(self.network, quiet=True)

    monkeypatch.setattr(runs.Run, "_graphs", graphs)
    replayed = run(_config(tmp_path / "replayed", **changes))
    # 70 images are three batches of 20 and one of 10 an epoch; the clock replays once for each recording.
    whole = 3 * changes.get("accumulate", 1)
    recordings = 2 if "phases" in changes else 1
    assert len(traced) == 2 * whole + recordings
    for name, weight in plain.state_dict.items():
        torch.testing.assert_close(replayed.state_dict[name], weight, rtol=2e-4, atol=2e-5)
    assert replayed.history["train_loss_tet"] == pytest.approx(plain.history["train_loss_tet"], rel=1e-4)


def test_replaying_is_left_where_it_is_slower(traced, on_this_machine, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cuda_graph, "seconds", _Clock(1.0, 2.0))
    slower = run(_config(tmp_path / "slower", quiet=False))
    said = capsys.readouterr().err
    assert "CUDA graph: a batch takes 2e+03 ms replayed, 1e+03 launched kernel by kernel: not used" in said
    assert len(traced) == 1
    plain = _plain(tmp_path, monkeypatch)
    assert all(torch.equal(weight, plain[name]) for name, weight in slower.state_dict.items())


def test_asked_for_always_it_is_not_timed(traced, on_this_machine, tmp_path, monkeypatch, capsys):
    def timed(_work):
        raise AssertionError("timed")

    monkeypatch.setattr(cuda_graph, "seconds", timed)
    run(_config(tmp_path / "always", cuda_graph="on", quiet=False))
    assert len(traced) == 6
    assert "CUDA graph" not in capsys.readouterr().err


def test_what_cannot_be_recorded_is_launched(traced, on_this_machine, tmp_path, monkeypatch, capsys):
    def refused(_work):
        raise RuntimeError("operation not permitted when stream is capturing\nwith more lines")

    monkeypatch.setattr(cuda_graph, "record", refused)
    found = run(_config(tmp_path / "launched", quiet=False))
    said = capsys.readouterr().err
    assert (
        said.count("CUDA graph: the step can't be recorded (operation not permitted when stream is capturing) and") == 1
    )
    with pytest.raises(ValueError, match=r"--cuda-graph on: the step can't be recorded \(operation not permitted"):
        run(_config(tmp_path / "refused", cuda_graph="on"))
    plain = _plain(tmp_path, monkeypatch)
    assert all(torch.equal(weight, plain[name]) for name, weight in found.state_dict.items())


def _plain(tmp_path, monkeypatch) -> dict[str, torch.Tensor]:
    monkeypatch.setattr(runs.Run, "_graphs", lambda self: None)
    return run(_config(tmp_path / "plain")).state_dict


def test_measuring_moves_neither_averages_nor_gradients(traced):
    linear = nn.Linear(3, 4)
    network = nn.Sequential(linear, nn.BatchNorm1d(4))
    inputs, labels = torch.randn(5, 3), torch.randint(4, (5,))

    def compute(inputs, labels, batch):
        loss = nn.functional.cross_entropy(network(inputs), labels, reduction="sum") / batch
        loss.backward()
        return loss.detach()

    graphs = cuda_graph.Graphs(network, quiet=True)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first = graphs(compute, inputs, labels, 5)
    once = {name: value.clone() for name, value in network.state_dict().items()}
    gradient = linear.weight.grad
    assert gradient is not None
    network.load_state_dict(before)
    network.zero_grad()
    torch.testing.assert_close(compute(inputs, labels, 5), first)
    torch.testing.assert_close(linear.weight.grad, gradient)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, once[name])


def test_a_loss_outlives_the_next_replay(traced):
    network = nn.Linear(3, 4)

    def compute(inputs, labels, batch):
        loss = nn.functional.cross_entropy(network(inputs), labels, reduction="sum") / batch
        loss.backward()
        return loss.detach()

    graphs = cuda_graph.Graphs(network, quiet=True)
    pieces = [(torch.randn(5, 3), torch.randint(4, (5,))) for _ in range(3)]
    found = []
    for inputs, labels in pieces:
        network.zero_grad()
        found.append(graphs(compute, inputs, labels, 5))
    network.zero_grad()
    torch.testing.assert_close(torch.stack(found), torch.stack([compute(*piece, 5) for piece in pieces]))


def test_without_a_gpu_it_is_refused_in_one_line_or_left_aside(tmp_path, capsys):
    arguments = ["--out", str(tmp_path / "run"), "--epochs", "1", "--train-images", "50", "--quiet"]
    assert main([*arguments, "--cuda-graph", "on"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert (
        "--cuda-graph on is for one GPU and this project's networks and losses: --device cuda and no torchrun" in said
    )
    assert not (tmp_path / "run/ckpt.pt").exists()
    assert main(arguments) == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_on_a_gpu_a_replayed_run_reaches_the_launched_one(precision, tmp_path):
    found = {
        which: run(
            _config(tmp_path / which, device="cuda", neuron="auto", cuda_graph=which, precision=precision, accumulate=2)
        )
        for which in ("on", "off")
    }
    tolerance = {"float32": 1e-3, "bfloat16": 5e-2}[precision]
    for name, weight in found["off"].state_dict.items():
        torch.testing.assert_close(found["on"].state_dict[name], weight, rtol=tolerance, atol=tolerance)
