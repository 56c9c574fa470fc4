"""Curvature along training: limits that hold, eigenvalues that a slower way finds too, a start that hides nothing."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator, eigsh

from analysis import stability
from analysis.stability import Config, limit, run, snapshots
from landscape.curvature import Scaled
from landscape.spectrum import lanczos
from models import train
from models.checkpoint import load, save
from models.training import recipe

TRAINING = {"epochs": 2, "train_images": 60, "batch_size": 20, "timesteps": 2, "learning_rate": 1e-2}
TRAINING |= {"snapshots": 1, "quiet": True}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """tet: Adam with everything in its objective; sdt: SGD with nothing but the loss."""
    folder = tmp_path_factory.mktemp("runs")
    train.run(recipe.Config(folder / "tet", weight_decay=1e-2, label_smoothing=0.1, **TRAINING))
    train.run(recipe.Config(folder / "sdt", loss="sdt", optimizer="sgd", momentum=0.8, **TRAINING))
    return folder


@pytest.fixture(scope="module")
def table(runs) -> pd.DataFrame:
    return run(Config((runs / "sdt", runs / "tet"), dtype="float64", quiet=True)).to_frame()


# limits


@given(rate=st.floats(1e-4, 1.0), momentum=st.floats(0, 0.95), adam=st.booleans())
def test_a_quadratic_just_below_the_limit_converges_and_just_above_diverges(rate, momentum, adam):
    for factor in (0.97, 1.03):
        curvature = factor * limit(rate, momentum, adam=adam)
        weight, average = 1.0, 0.0
        for _ in range(1000):
            average = momentum * average + (1 - momentum if adam else 1.0) * curvature * weight
            weight -= rate * average
        assert (abs(weight) < 1) == (factor < 1)


@pytest.mark.parametrize("factor", [0.97, 1.03])
@pytest.mark.parametrize("kind", ["gd", "sgd", "adam"])
def test_torch_s_optimizers_converge_below_the_limit_and_diverge_above(kind, factor):
    """Adam's second moments are held by a beta of nearly 1 and a step number at which that no longer matters."""
    rate, root = 0.01, np.array([1.0, 30.0])
    matrix = np.array([[2.0, 1.0], [1.0, 40.0]])
    divided = matrix / np.sqrt(np.outer(root, root)) if kind == "adam" else matrix
    bound = limit(rate, 0.0 if kind == "gd" else 0.9, adam=kind == "adam")
    hessian = torch.tensor(matrix * factor * bound / np.linalg.eigvalsh(divided)[-1])
    weight = torch.full((2,), 1e-9, dtype=torch.float64, requires_grad=True)  # small: its squares leave the moments
    if kind == "adam":
        optimizer: torch.optim.Optimizer = torch.optim.Adam([weight], lr=rate, betas=(0.9, 1 - 1e-12), eps=0.0)
        moments = {"exp_avg": torch.zeros(2).double(), "exp_avg_sq": torch.tensor(root**2)}
        optimizer.state[weight] = {"step": torch.tensor(1e15), **moments}
    else:
        optimizer = torch.optim.SGD([weight], lr=rate, momentum=0.0 if kind == "gd" else 0.9)
    sizes = []
    for _ in range(100):
        weight.grad = hessian @ weight.detach()
        optimizer.step()
        sizes.append(float(weight.detach().norm()))
    assert (max(sizes[-10:]) < max(sizes[20:30])) == (factor < 1)


def test_the_known_limits():
    assert limit(0.1, 0.0, adam=False) == pytest.approx(20)
    assert limit(0.1, 0.9, adam=False) == pytest.approx(38)
    assert limit(0.1, 0.9, adam=True) == pytest.approx(380)
    assert limit(0.0, 0.9, adam=True) == math.inf


# eigenvalues


def naive(path: Path, kind: str, preconditioned: bool) -> tuple[float, float, float]:
    """Value, top eigenvalue and its vector's participation of the objective of training, all written out, by ARPACK."""
    checkpoint = load(path)
    network, data = checkpoint.network().double(), checkpoint.load_data()
    images, labels = next(data.train.batches(60))
    weights = list(network.parameters())
    logits = network(images.double())
    entropy = torch.nn.functional.cross_entropy
    if kind == "tet":
        loss = sum(entropy(step, labels, label_smoothing=0.1) for step in logits) / len(logits)
        loss = 0.95 * loss + 0.05 * ((logits - 1) ** 2).mean()
        loss = loss + 0.5 * 1e-2 * sum((weight**2).sum() for weight in weights)
    else:
        loss = entropy(logits.mean(0), labels)
    slopes = torch.autograd.grad(loss, weights, create_graph=True)
    flat = torch.cat([slope.flatten() for slope in slopes])
    root = np.ones(len(flat))
    if preconditioned:
        assert checkpoint.resume is not None
        state = checkpoint.resume["optimizer"]["state"]
        square = torch.cat([each["exp_avg_sq"].double().flatten() for each in state.values()]).numpy()
        steps = int(state[0]["step"])
        root = ((1 - 0.9**steps) * (np.sqrt(square / (1 - 0.999**steps)) + 1e-8)) ** 0.5

    def product(vector: np.ndarray) -> np.ndarray:
        found = torch.autograd.grad(flat @ torch.tensor(vector / root), weights, retain_graph=True)
        return torch.cat([part.flatten() for part in found]).numpy() / root

    operator = LinearOperator((len(flat), len(flat)), product, dtype=np.float64)
    values, vectors = eigsh(operator, 1, which="LA", tol=1e-6)
    return float(loss.detach()), float(values[0]), float(1 / (vectors**4).sum())


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize(("kind", "matrix"), [("tet", "hessian"), ("tet", "preconditioned"), ("sdt", "hessian")])
def test_value_and_eigenvalue_are_those_of_the_objective_of_training(runs, table, kind, matrix):
    path = runs / kind / "snapshots/epoch-0002.pt"
    value, eigenvalue, participation = naive(path, kind, matrix == "preconditioned")
    row = table.query("checkpoint == @path.as_posix() and loss == 'trained' and matrix == @matrix").iloc[0]
    assert row["training_loss"] == pytest.approx(value, rel=1e-9)
    assert row["top_eigenvalue"] == pytest.approx(eigenvalue, rel=1e-4)
    assert row["participation"] == pytest.approx(participation, rel=0.02)
    assert row["converged"]


def test_every_row_stands_where_it_should(table):
    assert table.groupby(["training", "loss", "matrix"], sort=False)["epoch"].apply(list).to_dict() == {
        (training, loss, matrix): [0, 1, 2] if matrix == "hessian" else [1, 2]
        for training, loss in [(a, b) for a in ("sdt", "tet") for b in ("sdt", "tet", "trained")]
        for matrix in (["hessian"] if training == "sdt" else ["hessian", "preconditioned"])
    }
    assert set(table["curvature"]) == {"formal"}
    assert dict(zip(table["training"], table["optimizer"], strict=True)) == {"sdt": "sgd", "tet": "adam"}
    rates = [0.01, *(0.005 * (1 + math.cos(math.pi * epoch / 2)) for epoch in range(2))]
    np.testing.assert_allclose(table["learning_rate"], [rates[epoch] for epoch in table["epoch"]])
    sgd, adam = table[table["optimizer"] == "sgd"], table[table["optimizer"] == "adam"]
    np.testing.assert_allclose(sgd["limit"], 3.6 / sgd["learning_rate"])
    bounded = adam[adam["matrix"] == "preconditioned"]
    np.testing.assert_allclose(bounded["limit"], 38 / bounded["learning_rate"])
    assert adam.loc[adam["matrix"] == "hessian", "limit"].isna().all()


def test_where_training_lowered_the_loss_alone_its_rows_are_the_loss_s(table):
    sgd = table[table["training"] == "sdt"]
    same, trained = (
        sgd[sgd["loss"] == name].drop(columns="loss").reset_index(drop=True) for name in ("sdt", "trained")
    )
    pd.testing.assert_frame_equal(same, trained)
    adam = table[(table["training"] == "tet") & (table["epoch"] == 0)].set_index("loss")
    assert adam.loc["trained", "training_loss"] != pytest.approx(adam.loc["tet", "training_loss"], rel=1e-3)


def test_the_relu_twin_has_exact_derivatives_and_train_mode_other_ones(runs, tmp_path):
    train.run(recipe.Config(tmp_path / "relu", spiking=False, **(TRAINING | {"epochs": 1})))
    path = tmp_path / "relu/ckpt.pt"
    evaluated, trained = (
        run(Config((path,), mode=mode, trained_only=True, chunk=20, quiet=True)).to_frame()
        for mode in ("eval", "train")
    )
    assert set(evaluated["curvature"]) == {"exact"}
    assert evaluated["top_eigenvalue"].iloc[0] != pytest.approx(trained["top_eigenvalue"].iloc[0], rel=1e-2)


# starts


@pytest.mark.slow
def test_starting_from_the_snapshot_before_finds_the_same(runs, table):
    warm = table[(table["training"] == "tet") & (table["loss"] == "trained")].reset_index(drop=True)
    cold = run(Config((runs / "tet",), dtype="float64", trained_only=True, warm=False, quiet=True)).to_frame()
    assert not cold["warm"].any()
    assert (warm["warm"] == (warm["epoch"] > (warm["matrix"] == "preconditioned"))).all()
    np.testing.assert_allclose(warm["top_eigenvalue"], cold["top_eigenvalue"], rtol=1e-4)


class Dense:
    """A symmetric matrix with entries drawn at random."""

    dimension, dtype, device, products = 30, torch.float64, torch.device("cpu"), 0

    def __init__(self):
        entries = torch.randn(30, 30, dtype=self.dtype, generator=torch.Generator().manual_seed(0))
        self.matrix = entries + entries.T

    def __matmul__(self, vectors):
        return vectors @ self.matrix  # one vector, or one a row


def test_a_start_is_the_last_eigenvector_in_the_coordinates_of_now(monkeypatch):
    starts = []

    def spy(operator, **options):
        starts.append(options["start"])
        return lanczos(operator, **options)

    monkeypatch.setattr(stability.command, "lanczos", spy)
    before, now = (torch.linspace(1, high, 30, dtype=torch.float64) for high in (3, 0.2))
    along, dense, config = stability.Along(), Dense(), Config((), quiet=True)
    for scale in (before, now):
        along._top(("trained", "preconditioned"), Scaled(dense, scale), config)
    _, vectors = np.linalg.eigh(np.diag(before) @ dense.matrix.numpy() @ np.diag(before))
    moved = before.numpy() * vectors[:, -1] / now.numpy()
    assert starts[0] is None
    assert abs(starts[1].numpy() @ moved) / np.linalg.norm(moved) == pytest.approx(1.0)


def test_runs_do_not_start_from_each_other(table):
    assert not table.loc[table["epoch"] == 0, "warm"].any()


# what is given


def test_a_folder_means_its_snapshots_in_order_of_epoch(tmp_path):
    names = ("epoch-0002.pt", "epoch-10000.pt", "epoch-9999.pt", "epoch-0000.pt")
    (tmp_path / "snapshots").mkdir()
    for name in names:
        (tmp_path / "snapshots" / name).touch()
    ordered = tuple(tmp_path / "snapshots" / names[place] for place in (3, 0, 2, 1))
    assert snapshots([tmp_path]) == snapshots([tmp_path / "snapshots"]) == ordered
    single = tmp_path / "ckpt.pt"
    assert snapshots([single, tmp_path]) == (single, *ordered)


def test_finished_snapshots_are_on_disk_when_a_later_one_fails(runs, tmp_path):
    (tmp_path / "epoch-0001.pt").write_bytes((runs / "sdt/snapshots/epoch-0001.pt").read_bytes())
    (tmp_path / "epoch-0002.pt").write_text("cut short")
    with pytest.raises(ValueError, match="epoch-0002"):
        run(Config((tmp_path,), out=tmp_path / "tables", trained_only=True, quiet=True))
    assert pd.read_csv(tmp_path / "tables/stability.csv")["epoch"].tolist() == [1]


def test_what_starts_saved_is_said(runs, capsys):
    assert stability.main([str(runs / "sdt"), "--trained-only", "--images", "20"]) == 0
    said = capsys.readouterr().err
    assert "trained, hessian: " in said
    assert "products from the snapshot before" in said


def test_bad_input_is_one_line(runs, tmp_path, capsys):
    good = runs / "tet/snapshots/epoch-0001.pt"
    checkpoint = load(good)
    bare = {key: value for key, value in checkpoint.training.items() if key not in ("mse_weight", "label_smoothing")}
    save(replace(checkpoint, resume=None), tmp_path / "old.pt")
    save(replace(checkpoint, training=bare), tmp_path / "bare.pt")
    save(replace(checkpoint, training=checkpoint.training | {"loss": "ce"}), tmp_path / "ce.pt")
    (tmp_path / "empty").mkdir()
    for argv, said in (
        ([], "no checkpoint given"),
        ([tmp_path / "empty"], "no snapshots in"),
        ([tmp_path / "gone"], "no checkpoint at"),
        ([tmp_path / "old.pt"], "old.pt: the optimizer's state is missing (no 'resume'), and with it learning rate"),
        ([tmp_path / "bare.pt"], "bare.pt: training lacks mse_weight, label_smoothing, so its objective is unknown"),
        ([tmp_path / "ce.pt"], "ce.pt: trained with ce, which doesn't take its outputs, so its"),
        ([good, "--tolerance", "0"], "tolerance must be positive"),
    ):
        assert stability.main([*map(str, argv), "--quiet"]) == 1, argv
        shown = capsys.readouterr()
        assert said in shown.err
        assert shown.err.count("\n") == 1
        assert not shown.out
