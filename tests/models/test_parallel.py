"""Two processes train as one: the same losses and weights, one writer, one end."""

import itertools
import os
import signal
import socket
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from PIL import Image

from models import data, processes, train
from models.checkpoint import load
from models.data.folders import FolderSplit
from models.data.splits import MemorySplit
from models.losses import OBJECTIVES
from models.networks.layers import BatchNorm2d
from models.training import parallel
from models.training.recipe import Config

from ..interrupted import interrupted

SHORT = {"train_images": 41, "batch_size": 10, "timesteps": 2, "precision": "float64", "learning_rate": 0.01}
ROOT = Path(__file__).parents[2]


def config(out: Path, **changes) -> Config:
    return Config(out=out, **(SHORT | {"epochs": 3, "quiet": True} | changes))


def flags(settings: Config) -> list[str]:
    names = ("out", "epochs", "accumulate", *SHORT)
    return ["--quiet", *(f"--{name.replace('_', '-')}={getattr(settings, name)}" for name in names)]


def assert_same(out: Path, other: Path) -> None:
    found, expected = load(out / "ckpt.pt"), load(other / "ckpt.pt")
    for name in expected.history.keys() - {"seconds"}:
        assert found.history[name] == pytest.approx(expected.history[name], rel=1e-7), name
    for name, value in expected.state_dict.items():
        torch.testing.assert_close(found.state_dict[name], value, rtol=1e-8, atol=1e-10)
    assert found.training == expected.training


@pytest.mark.slow
def test_torchrun_goes_on_with_a_run_of_one_process_to_the_same_losses_and_weights(tmp_path):
    """Pieces of five images, and a last one of one, of which one process gets none."""
    whole, cut = (config(tmp_path / name, accumulate=2, epochs=4) for name in ("whole", "cut"))
    train.run(whole)
    losses = load(whole.out / "ckpt.pt").history["train_loss_tet"]
    assert losses[1] > losses[2] > losses[3]
    with interrupted(after=1):
        train.run(cut)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    launch += ["-m", "models.train", *flags(cut)]
    done = subprocess.run(
        launch, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_same(cut.out, whole.out)
    assert sorted(path.name for path in cut.out.iterdir()) == ["ckpt.pt", "history.csv"]


@pytest.fixture(scope="module")
def context():
    """Processes that begin with everything imported."""
    made = get_context("forkserver")
    made.set_forkserver_preload(["tests.models.test_parallel"])
    return made


def member(rank: int, port: int, arguments: list[str], log: Path, broken: bool) -> None:
    """One of two processes, as torchrun would have started it; a ``broken`` one meets a loss that is no number."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "test"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if broken:
        calls, loss = itertools.count(1), OBJECTIVES["tet"]
        OBJECTIVES["tet"] = lambda *a, **k: loss(*a, **k) * (float("nan") if next(calls) == 6 else 1)
    with log.open("w") as sys.stderr:
        status = train.main(arguments)
    sys.exit(status)


def pair(context, arguments: list[str], folder: Path, broken: int | None = None) -> list:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [
        context.Process(target=member, args=(rank, port, arguments, folder / f"log-{rank}", rank == broken))
        for rank in (0, 1)
    ]
    for child in children:
        child.start()
    return children


def ended(children) -> list[int | None]:
    for child in children:
        child.join(120)
    return [child.exitcode for child in children]


@pytest.mark.slow
def test_sigterm_to_one_process_ends_both_and_the_next_start_goes_on(context, tmp_path):
    settings = config(tmp_path / "run", epochs=500)
    children = pair(context, flags(settings), tmp_path)
    while not (tmp_path / "run/ckpt.pt").exists():
        assert all(child.exitcode is None for child in children), (tmp_path / "log-0").read_text()
        children[1].join(0.01)
    os.kill(children[1].pid, signal.SIGTERM)
    assert ended(children) == [143, 143]
    (line,) = (tmp_path / "log-0").read_text().splitlines()
    done = load(tmp_path / "run/ckpt.pt").training["epochs_done"]
    assert f"terminated in epoch {done + 1}; {tmp_path}/run/ckpt.pt holds epoch {done}; the same command" in line
    assert (tmp_path / "log-1").read_text() == ""
    with interrupted(after=done + 1):
        train.run(settings)


@pytest.mark.slow
def test_a_failure_in_one_process_is_said_once_and_the_last_checkpoint_stays(context, tmp_path):
    settings = config(tmp_path / "run")
    children = pair(context, flags(settings), tmp_path, broken=1)
    assert ended(children) == [1, 1]
    said = [(tmp_path / f"log-{rank}").read_text() for rank in (0, 1)]
    assert said[0] == ""
    assert "the loss is nan in epoch 2 at step 1: lower --learning-rate" in said[1]
    assert said[1].count("\n") == 1
    assert load(tmp_path / "run/ckpt.pt").training["epochs_done"] == 1


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("shape", [(1, 8, 8), (4, 2, 6, 6)], ids=["images", "frames"])
def test_shares_of_every_batch_are_the_batch_and_its_augmentation(shape, world):
    def noisy(pixels, generator):
        return pixels + torch.randint(9, pixels.shape, generator=generator).to(pixels.dtype)

    channels = (0.0,) * shape[-3], (1.0,) * shape[-3]
    split = MemorySplit(torch.arange(41), *channels, torch.randint(99, (41, *shape), dtype=torch.uint8))

    def batches(part):
        generator = torch.Generator().manual_seed(3)
        return list(split.batches(19, generator=generator, augment=noisy, part=part))

    shares = [batches((rank, world)) for rank in range(world)]
    for number, (images, labels) in enumerate(batches((0, 1))):
        pieces = [share[number] for share in shares]
        assert torch.equal(torch.cat([piece for piece, _ in pieces], dim=-4), images)
        assert torch.equal(torch.cat([piece for _, piece in pieces]), labels)
        assert max(len(piece) for _, piece in pieces) - min(len(piece) for _, piece in pieces) <= 1


def test_a_process_reads_only_its_share_of_the_files(tmp_path):
    for part, name in itertools.product(("train", "val"), "ab"):
        (tmp_path / part / name).mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (20, 20), (index, 50 * index, 90)).save(tmp_path / part / name / f"{index}.png")
    split = data.load("imagenet", root=tmp_path, image_size=8).train
    assert isinstance(split, FolderSplit)
    read: list[str] = []
    opened = split.folder.loader

    def noting(path):
        read.append(path)
        return opened(path)

    split.folder.loader = noting
    shares = [list(split.batches(4, part=(rank, 3))) for rank in range(3)]
    assert len(read) == len(split)
    whole = list(split.batches(4))
    for number, (images, _) in enumerate(whole):
        assert torch.equal(torch.cat([share[number][0] for share in shares]), images)


def test_synchronised_statistics_of_one_process_are_torch_s(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 4, 5, 5, generator=generator, dtype=torch.float64) * 3 + 10
    plain, other = (BatchNorm2d(4, scale=0.7).double() for _ in range(2))
    other.__class__ = parallel.SyncBatchNorm2d
    for norm in (plain, other):
        norm.weight.data = torch.tensor([1.0, 2.0, -1.0, 0.5], dtype=torch.float64)
        norm.bias.data = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    found = []
    for norm in (plain, other):
        inputs = x.clone().requires_grad_()
        output = norm(inputs)
        output.square().sum().backward()
        found.append([output, inputs.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(two, one, rtol=1e-9, atol=1e-9)
    assert other.num_batches_tracked == 1
    torch.testing.assert_close(other.eval()(x), plain.eval()(x))


def test_each_process_takes_the_gpu_of_its_own_number(monkeypatch):
    assert processes.device("cuda:1") == "cuda:1"
    monkeypatch.setattr(processes, "world", lambda: 4)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert [processes.device(name) for name in ("cpu", "cuda")] == ["cpu", "cuda:1"]
    with pytest.raises(ValueError, match="--device cuda:0 would be that of all 4 processes: use --device cuda"):
        processes.device("cuda:0")
