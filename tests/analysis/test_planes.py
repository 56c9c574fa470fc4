"""Axes of planes: one norm for all, each kind against its definition, and trajectories that are none."""

import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from analysis.subject import Subject, per_image
from analysis.surface import planes
from analysis.surface.planes import KINDS, Axes, axes
from landscape.curvature import Hessian
from landscape.objective import Objective, Parameters
from landscape.surfaces import random_direction
from models.checkpoint import load, save

Batches = list[tuple[Tensor, Tensor]]


@pytest.fixture(scope="module")
def checkpoint(digits_checkpoint: Callable[..., Path]) -> Path:
    return digits_checkpoint("tet", epochs=4, snapshots=1, train_images=60)


@pytest.fixture(scope="module")
def subject(checkpoint: Path) -> Subject:
    return Subject.load(checkpoint, dtype="float64")


@pytest.fixture(scope="module")
def batches(subject: Subject) -> Batches:
    return subject.batches("train", 40, 25)


def gradient(subject: Subject, loss: str, batches: Batches) -> Tensor:
    """Of all weights, in one batch."""
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    weights = Parameters(subject.network)
    value = per_image(loss)(subject.network(images), labels).mean()
    return weights.flatten(torch.autograd.grad(value, weights.tensors))


def matrices(subject: Subject) -> Tensor:
    """Where a vector over all weights has the entries of convolutions and linear layers."""
    weights = Parameters(subject.network)
    return weights.flatten([torch.full_like(weight, weight.ndim > 1) for weight in weights.tensors]).bool()


def cosine(one: Tensor, other: Tensor) -> float:
    return float(one @ other / (one.norm() * other.norm()))


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias_and_norm", [False, True])
def test_every_direction_has_the_norm_of_the_weights_that_move(subject, batches, kind, bias_and_norm):
    whole, moving = Parameters(subject.network).vector(), matrices(subject)
    for found in axes(kind, subject, batches, losses=("tet",), bias_and_norm=bias_and_norm, max_products=6):
        norm = float(whole.norm() if bias_and_norm else whole[moving].norm())
        assert found.norm == pytest.approx(norm)
        for direction in found.directions:
            assert float(direction.norm()) == pytest.approx(norm)
            assert bool(direction[~moving].any()) == bias_and_norm
        if kind != "random":
            assert cosine(*found.directions) == pytest.approx(0, abs=1e-8)


def test_random_directions_are_filter_normalized_and_their_seeds_told(subject, batches):
    found = list(axes("random", subject, batches, draws=3, seed=2))
    assert [(plane.kind, plane.loss, plane.draw) for plane in found] == [("random", "any", draw) for draw in range(3)]
    seeds = [seed for plane in found for seed in plane.to_frame()["seed"]]
    assert len(set(seeds)) == 6
    weights = Parameters(subject.network)
    for direction, seed in zip((d for plane in found for d in plane.directions), seeds, strict=True):
        assert torch.equal(direction, random_direction(weights, seed=int(seed)))
    lines = axes("random", subject, batches, draws=3, seed=2, count=1)
    for line, plane in zip(lines, found, strict=True):
        assert len(line.directions) == len(line.ranges) == 1
        assert torch.equal(line.directions[0], plane.directions[0])


def test_top_directions_are_eigenvectors_of_the_moving_weights_hessian(subject, batches):
    (tet,) = axes("top", subject, batches, losses=("tet",))
    moving = matrices(subject)
    names = [name for name, weight in subject.network.named_parameters() if weight.ndim > 1]
    hessian = Hessian(
        Objective(subject.network, per_image("tet"), batches, parameters=Parameters(subject.network, names))
    )
    for direction, fact in zip(tet.directions, tet.facts, strict=True):
        unit = direction[moving] / tet.norm
        assert fact["converged"]
        assert float((hessian @ unit - fact["eigenvalue"] * unit).norm()) == pytest.approx(fact["residual"], rel=0.01)
        assert float(direction.abs().max()) == float(direction.max())
    assert tet.facts[0]["eigenvalue"] > tet.facts[1]["eigenvalue"]


def test_gradient_planes_descend_along_their_first_axis(subject, batches):
    found = list(axes("gradient", subject, batches, draws=2, losses=("sdt", "tet")))
    assert [(plane.loss, plane.draw) for plane in found] == [("sdt", 0), ("sdt", 1), ("tet", 0), ("tet", 1)]
    for plane in found:
        slope = gradient(subject, plane.loss, batches) * matrices(subject)
        assert cosine(plane.directions[0], -slope) == pytest.approx(1)
        assert plane.facts[0]["gradient_norm"] == pytest.approx(float(slope.norm()))
        random = random_direction(Parameters(subject.network), seed=plane.facts[1]["seed"])
        assert plane.facts[1]["cosine"] == pytest.approx(cosine(random, -slope))
        across = random - (random @ slope) / (slope @ slope) * slope
        assert cosine(plane.directions[1], across) == pytest.approx(1)
    assert len(list(axes("gradient", subject, batches, draws=2, count=1))) == 2  # draws are of the second axis


def test_adam_s_direction_is_the_optimizer_s(subject, batches):
    resume = copy.deepcopy(subject.checkpoint.resume)
    subject = replace(subject, checkpoint=replace(subject.checkpoint, resume=resume))
    state = resume["optimizer"]
    state["state"][0]["step"].fill_(1)  # else the correction is one factor for all weights
    (beta1, beta2), epsilon = state["param_groups"][0]["betas"], state["param_groups"][0]["eps"]
    parts = []
    for number, weight in enumerate(subject.network.parameters()):
        own = state["state"][number]
        first = own["exp_avg"] / (1 - beta1 ** own["step"].item())
        second = own["exp_avg_sq"] / (1 - beta2 ** own["step"].item())
        parts.append((-first / (second**0.5 + epsilon) * (weight.ndim > 1)).flatten())
    sdt, tet = axes("adam", subject, batches)
    assert cosine(tet.directions[0], torch.cat(parts).double()) == pytest.approx(1)
    assert torch.equal(sdt.directions[0], tet.directions[0])
    assert tet.facts[0]["source"] == "optimizer"
    descent = -gradient(subject, "tet", batches) * matrices(subject)
    assert tet.facts[1]["cosine"] == pytest.approx(cosine(descent, tet.directions[0]))
    assert cosine(tet.directions[1], descent) == pytest.approx((1 - tet.facts[1]["cosine"] ** 2) ** 0.5)


@pytest.mark.parametrize("resume", [None, {"optimizer": {"state": {0: {"momentum_buffer": torch.ones(1)}}}}])
def test_adam_s_moments_come_from_the_batches_where_no_optimizer_holds_them(subject, batches, resume):
    bare = replace(subject, checkpoint=replace(subject.checkpoint, resume=resume))
    (found,) = axes("adam", bare, batches, losses=("sdt",))
    assert found.facts[0]["source"] == "gradients"
    slopes = [gradient(subject, "sdt", [batch]) * matrices(subject) for batch in batches]
    assert [len(labels) for _, labels in batches] == [25, 15]
    first = (25 * slopes[0] + 15 * slopes[1]) / 40
    second = (25 * slopes[0] ** 2 + 15 * slopes[1] ** 2) / 40
    assert cosine(found.directions[0], -first / (second.sqrt() + 1e-8)) == pytest.approx(1)


def test_an_optimizer_s_state_of_another_network_is_refused(subject, batches):
    state = subject.checkpoint.resume["optimizer"]
    short = replace(subject.checkpoint, resume={"optimizer": state | {"state": {0: state["state"][0]}}})
    with pytest.raises(ValueError, match="does not fit its network"):
        list(axes("adam", replace(subject, checkpoint=short), batches))


def test_the_trajectory_s_path_is_where_the_snapshots_are(subject, batches, checkpoint):
    (found,) = axes("trajectory", subject, batches, bias_and_norm=True)
    assert found.path is not None
    table, final = found.path, Parameters(subject.network).vector()
    assert table["epoch"].tolist() == [0, 1, 2, 3, 4]
    for _, row in table.iterrows():
        snapshot = load(checkpoint.parent / f"snapshots/epoch-{int(row['epoch']):04d}.pt").network().double()
        step = Parameters(snapshot).vector() - final
        on_plane = row["alpha"] * found.directions[0] + row["beta"] * found.directions[1]
        assert row["off_plane"] * found.norm == pytest.approx(float((step - on_plane).norm()), abs=1e-6)
        assert row["distance"] * found.norm == pytest.approx(float(step.norm()), abs=1e-6)
    assert (table.iloc[-1] == [4, 0, 0, 0, 0]).all()
    for (low, high), column in zip(found.ranges, ("alpha", "beta"), strict=True):
        assert low < table[column].min() <= 0 <= table[column].max() < high
    explained = found.to_frame()["explained"]
    squares = np.square(table[["alpha", "beta"]]).sum() / np.square(table["distance"]).sum()
    np.testing.assert_allclose(explained, squares)


def test_a_line_along_the_trajectory_has_no_second_coordinate(subject, batches):
    (found,) = axes("trajectory", subject, batches, count=1)
    assert found.path is not None
    assert (found.path["beta"] == 0).all()
    np.testing.assert_allclose(
        found.path["distance"] ** 2, found.path["alpha"] ** 2 + found.path["off_plane"] ** 2, atol=1e-12
    )


class TestNoTrajectory:
    def moved(self, subject: Subject, checkpoint: Path, folder: Path, count: int) -> Subject:
        """The same run with ``count`` of its snapshots."""
        (folder / "snapshots").mkdir()
        for file in sorted((checkpoint.parent / "snapshots").iterdir())[:count]:
            shutil.copy(file, folder / "snapshots")
        return replace(subject, path=folder / "ckpt.pt")

    @pytest.mark.parametrize(
        ("count", "failure", "said"),
        [(0, FileNotFoundError, "no snapshots in .* --snapshots"), (1, ValueError, "holds a single snapshot")],
    )
    def test_in_fewer_than_two_snapshots(self, subject, batches, checkpoint, tmp_path, count, failure, said):
        with pytest.raises(failure, match=said):
            axes("trajectory", self.moved(subject, checkpoint, tmp_path, count), batches)

    @pytest.mark.parametrize(("name", "value", "own"), [("seed", 5, "0"), ("method", "mine", "tet")])
    def test_in_a_snapshot_of_another_run(self, name, value, own, subject, batches, checkpoint, tmp_path):
        there = self.moved(subject, checkpoint, tmp_path, 2)
        snapshot = load(tmp_path / "snapshots/epoch-0001.pt")
        save(replace(snapshot, training=snapshot.training | {name: value}), tmp_path / "snapshots/epoch-0001.pt")
        with pytest.raises(
            ValueError, match=rf"epoch-0001\.pt is of another run .* its {name} is {value}, expected {own}"
        ):
            axes("trajectory", there, batches)

    def test_in_a_damaged_snapshot(self, subject, batches, checkpoint, tmp_path):
        there = self.moved(subject, checkpoint, tmp_path, 2)
        (tmp_path / "snapshots/epoch-0001.pt").write_bytes(b"half of it")
        with pytest.raises(ValueError, match="can't be read as a checkpoint"):
            axes("trajectory", there, batches)


def test_what_gives_no_axes_is_refused(subject, batches, monkeypatch):
    with pytest.raises(ValueError, match="no plane of kind 'pca'; there are random, top"):
        axes("pca", subject, batches)
    with pytest.raises(ValueError, match="at least 1 draw"):
        axes("random", subject, batches, draws=0)
    monkeypatch.setattr(planes, "adam_step", lambda _, objective: (-2 * objective.gradient(), "optimizer"))
    with pytest.raises(ValueError, match="point along one line"):
        next(axes("adam", subject, batches))
    monkeypatch.setattr(Objective, "gradient", lambda self: torch.zeros(self.parameters.dimension).double())
    with pytest.raises(ValueError, match="gradient of the sdt loss is zero"):
        next(axes("gradient", subject, batches))


def test_the_network_is_given_back(subject, batches):
    before = {name: value.clone() for name, value in subject.network.state_dict().items()}
    for kind in KINDS:
        found: list[Axes] = list(axes(kind, subject, batches, max_products=4, losses=("sdt",)))
        assert list(found[0].to_frame()) == list(next(axes("random", subject, batches)).to_frame())
    assert all(torch.equal(value, before[name]) for name, value in subject.network.state_dict().items())
    assert all(weight.grad is None for weight in subject.network.parameters())
