"""Tables of curvature against each other and the operators: trace, density, overlaps, vectors, smoothing."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from analysis import hessian
from analysis.subject import Subject, per_image
from landscape.curvature import GaussNewton, Hessian, Scaled
from landscape.objective import Objective
from landscape.spectrum import frobenius
from landscape.spectrum.eigenpairs import load
from landscape.surfaces import filter_scale

MATRICES = {"hessian": Hessian, "gauss_newton": GaussNewton}


@pytest.fixture(scope="module")
def path(digits_checkpoint):
    return digits_checkpoint("sdt", surrogate="smooth", width=4.0, timesteps=2, train_images=40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@pytest.fixture(scope="module")
def found(path, folder) -> dict[str, pd.DataFrame]:
    config = hessian.Config(
        (path,), images=12, chunk=8, loss="sdt", coordinates="both", dtype="float64", top=2, tolerance=1e-6,
        trace_tolerance=0.05, probes=6, steps=3, draws=3, radii=3, out=folder, save_vectors=True, quiet=True,
    )  # fmt: skip
    return hessian.run(config).tables


@pytest.fixture(scope="module")
def objective(path) -> Objective:
    subject = Subject.load(path, dtype="float64")
    return Objective(subject.network, per_image("sdt"), subject.batches("train", 12, 12))


@pytest.mark.slow
def test_the_trace_reaches_the_error_asked_for(found):
    table = found["trace"]
    assert (table["converged"] == (table["stderr"] <= 0.05 * table["trace"].abs())).all()
    assert table["converged"].any()
    assert table["estimator"].isin(["xtrace", "hutchinson"]).all()
    assert (table["products"] >= table["probes"]).all()


def test_the_densitys_first_two_moments_are_the_trace_and_the_squared_frobenius_norm(found, objective):
    dimension = objective.parameters.dimension
    for name, matrix in MATRICES.items():
        density, traces = (
            found[table][(found[table]["operator"] == name) & (found[table]["coordinates"] == "raw")]
            for table in ("density", "trace")
        )
        moments = [
            density.assign(moment=density["weight"] * density["node"] ** power).groupby("probe")["moment"].sum()
            * dimension
            for power in (1, 2)
        ]
        trace, norm = traces.iloc[0], frobenius(matrix(objective, keep_graph=True, check=False), probes=10, seed=1)
        for moment, value, stderr in (
            (moments[0], trace["trace"], trace["stderr"]),
            (moments[1], norm.value**2, 2 * norm.value * norm.stderr),
        ):
            assert abs(moment.mean() - value) < 3.5 * np.hypot(moment.sem(), stderr)


def test_overlaps_with_the_gradient_are_those_of_the_saved_vectors(found, folder, objective):
    gradient, table = objective.gradient(), found["hessian"]
    files = sorted((folder / "vectors").iterdir())
    assert len(files) == 4
    for file in files:
        record = load(file, objective.parameters)
        about, pairs = record.about, record.pairs
        rows = table[(table["operator"] == about["operator"]) & (table["coordinates"] == about["coordinates"])]
        assert pairs.ranks.tolist() == rows["rank"].tolist()
        assert pairs.ranks.tolist() == ([1, 2, -1] if about["operator"] == "hessian" else [1, 2])
        assert pairs.values.tolist() == rows["eigenvalue"].tolist()
        assert about["loss"] == "sdt"
        moves = list(pairs.vectors)
        assert [float(move.norm()) for move in moves] == pytest.approx([1] * len(moves))
        raw = about["coordinates"] == "raw"
        scale = torch.ones_like(gradient) if raw else filter_scale(objective.parameters)
        matrix = Scaled(MATRICES[str(about["operator"])](objective, check=False), scale)
        units = [torch.where(scale > 0, move / scale, 0.0) for move in moves]
        units = [unit / unit.norm() for unit in units]
        slope = scale * gradient
        overlaps = [float((unit @ slope) ** 2 / (slope @ slope)) for unit in units]
        np.testing.assert_allclose(rows["gradient_overlap"], overlaps, rtol=1e-6, atol=1e-7)
        residuals = [
            float((matrix @ unit - value * unit).norm()) for unit, value in zip(units, pairs.values, strict=True)
        ]
        np.testing.assert_allclose(residuals, pairs.residuals, atol=1e-8)
    assert table["gradient_overlap"].between(0, 1).all()


def test_on_a_smooth_net_the_smoothed_curvature_meets_the_formal_one_and_is_the_mean_of_the_draws(found):
    smoothed, radius = found["smoothed"], found["radius"]
    first = smoothed.iloc[0]
    assert first["relative_radius"] == pytest.approx(1e-4)
    assert first["value"] == pytest.approx(first["formal"], rel=1e-3)
    draws = radius[radius["direction"] == "random"].groupby("radius")["second_difference"]
    np.testing.assert_allclose(smoothed["value"], draws.mean(), rtol=1e-12)
    np.testing.assert_allclose(smoothed["stderr"], draws.sem(), rtol=1e-12)
    along = radius[(radius["direction"] == "top 2") & (radius["relative_radius"] < 2e-4)].iloc[0]
    second = found["hessian"].query("operator == 'hessian' and coordinates == 'raw' and rank == 2").iloc[0]
    assert along["formal"] == pytest.approx(second["eigenvalue"], rel=1e-9)
    assert along["second_difference"] == pytest.approx(second["eigenvalue"], rel=1e-3)


def test_on_spikes_the_smoothed_curvature_does_not_meet_the_formal_one_and_says_that_it_is_undecided(digits_checkpoint):
    config = hessian.Config(
        (digits_checkpoint("tet"),), images=100, loss="tet", operator="hessian", dtype="float64", top=1, bottom=0,
        max_products=8, trace=False, density=False, radius_top=0, draws=4, radii=5, quiet=True,
    )  # fmt: skip
    table = hessian.run(config).tables["smoothed"]
    near = table.iloc[0]
    assert abs(near["value"] - near["formal"]) > 10 * abs(near["formal"])
    assert not near["decided"]
    assert near["participation"] < 0.3 * table.iloc[-1]["participation"]
    assert table.iloc[-1]["decided"]


@pytest.mark.slow
def test_a_bounded_basis_and_vectors_in_blocks_give_the_same_eigenvalues_and_another_trace(found, path):
    config = hessian.Config(
        (path,), images=12, chunk=8, loss="sdt", operator="hessian", dtype="float64", top=2, bottom=0, tolerance=1e-6,
        trace_tolerance=0.3, probes=6, steps=3, radius=False, max_basis=12, block=2, keep_graph=False, quiet=True,
    )  # fmt: skip
    bounded = hessian.run(config).tables
    raw = {
        name: found[name][(found[name]["operator"] == "hessian") & (found[name]["coordinates"] == "raw")]
        for name in ("hessian", "trace", "density")
    }
    assert bounded["hessian"]["converged"].all()
    assert (bounded["hessian"]["products"] > 12).all()  # so it restarted
    np.testing.assert_allclose(bounded["hessian"]["eigenvalue"], raw["hessian"]["eigenvalue"][:2], rtol=1e-5)
    np.testing.assert_allclose(bounded["density"]["node"], raw["density"]["node"], rtol=1e-6, atol=1e-9)
    assert set(bounded["trace"]["estimator"]) == {"hutchinson"}
    errors = np.hypot(bounded["trace"]["stderr"], raw["trace"]["stderr"].to_numpy())
    assert (np.abs(bounded["trace"]["trace"] - raw["trace"]["trace"].to_numpy()) < 4 * errors).all()


def test_progress_shows_the_product_the_top_eigenvalues_and_the_worst_residual(path, capsys):
    argv = [str(path), "--images", "12", "--loss", "sdt", "--operator", "gauss_newton", "--no-density", "--no-radius"]
    assert hessian.main([*argv, "--no-trace", "--top", "2"]) == 0
    shown = capsys.readouterr().err.replace("\r", "\n").splitlines()
    bars = [line for line in shown if line.startswith("sdt gauss_newton raw: ") and "residual" in line]
    assert bars
    assert any(line.startswith("gauss_newton: positive semi-definite, so the smallest") for line in shown)
    assert re.search(r"\d+product .*\d+(\.\d+)? \d.*, residual \de-\d\d", bars[-1])
