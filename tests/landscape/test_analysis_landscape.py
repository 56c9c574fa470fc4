"""The commands hessian and surface: their tables against the landscape's own answers and dense matrices."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from analysis import hessian, surface
from analysis.hessian.steps import step_loss
from analysis.subject import Subject, per_image
from landscape.curvature import GaussNewton, Hessian, Scaled
from landscape.objective import Objective
from landscape.spectrum import trace
from landscape.surfaces import filter_scale

EIGENVALUES_ONLY = {"trace": False, "density": False, "radius": False}


@pytest.fixture(scope="module")
def tiny(digits_checkpoint):
    """A network small enough for its whole Hessian: three channels, 64-bit, twenty images."""
    return digits_checkpoint("tet", timesteps=2, train_images=40)


def dense_hessian(subject: Subject, loss: str, images: int) -> np.ndarray:
    x, y = subject.batch("train", images)
    weights = {name: weight.detach() for name, weight in subject.network.named_parameters()}
    names, sizes = list(weights), [weight.numel() for weight in weights.values()]

    def value(vector):
        parts = {name: part.view_as(weights[name]) for name, part in zip(names, vector.split(sizes), strict=True)}
        return per_image(loss)(functional_call(subject.network, parts, (x,)), y).mean()

    vector = torch.cat([weight.flatten() for weight in weights.values()]).requires_grad_()
    (gradient,) = torch.autograd.grad(value(vector), vector, create_graph=True)
    last = sizes[-1] + 20  # the biases and a part of the linear layer: enough for a witness
    units = range(len(vector) - last, len(vector))
    rows = [torch.autograd.grad(gradient[unit], vector, retain_graph=True)[0][-last:] for unit in units]
    return torch.stack(rows).numpy()


class TestHessian:
    def test_products_agree_with_a_dense_block(self, tiny):
        subject = Subject.load(tiny, dtype="float64")
        block = dense_hessian(subject, "sdt", 12)
        objective = Objective(subject.network, per_image("sdt"), subject.batches("train", 12, 5))
        operator = Hessian(objective)
        vector = torch.zeros(operator.dimension, dtype=torch.float64)
        vector[-len(block) :] = torch.randn(len(block), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        expected = block @ vector[-len(block) :].numpy()
        np.testing.assert_allclose((operator @ vector)[-len(block) :].numpy(), expected, atol=1e-10)

    @pytest.mark.slow
    def test_tables_have_the_columns_that_figures_read(self, tiny):
        result = hessian.run(hessian.Config((tiny,), images=20, probes=2, steps=6, draws=2, radii=3, quiet=True))
        identity = {"checkpoint", "network", "data", "method", "training", "seed", "loss"}
        assert set(result.tables) == {"hessian", "trace", "density", "radius", "smoothed"}
        assert set(result.tables["hessian"]) == identity | {
            "operator", "coordinates", "split", "images", "rank", "eigenvalue", "residual", "relative_residual",
            "converged", "products",
            "symmetry", "gradient_overlap",
        }  # fmt: skip
        assert set(result.tables["trace"]) == identity | {
            "operator", "coordinates", "trace", "stderr", "probes", "products", "converged", "estimator",
        }  # fmt: skip
        assert set(result.tables["density"]) == identity | {
            "operator",
            "coordinates",
            "probe",
            "node",
            "weight",
            "complete",
        }
        for name in ("hessian", "trace", "density"):
            assert set(result.tables[name]["operator"]) == {"hessian", "gauss_newton"}
            assert set(result.tables[name]["coordinates"]) == {"raw"}
        assert set(result.tables["radius"]) == identity | {
            "direction", "draw", "radius", "relative_radius", "second_difference", "second_difference_stderr",
            "mean_rise", "mean_rise_stderr", "participation", "formal",
        }  # fmt: skip
        assert result.tables["radius"]["direction"].unique().tolist() == ["top", "top 2", "top 3", "random"]
        assert set(result.tables["smoothed"]) == identity | {
            "radius", "relative_radius", "value", "stderr", "examples_stderr", "participation", "decided", "draws",
            "formal", "formal_stderr",
        }  # fmt: skip
        ranks = result.tables["hessian"].groupby("operator")["rank"].apply(set).to_dict()
        assert ranks == {"hessian": {1, 2, 3, 4, 5, -1}, "gauss_newton": {1, 2, 3, 4, 5}}
        sums = result.tables["density"].groupby(["loss", "operator", "probe"])["weight"].sum()
        np.testing.assert_allclose(sums, 1, atol=1e-6)

    @pytest.mark.slow
    def test_eigenvalues_do_not_depend_on_the_batches_or_on_keeping_graphs(self, tiny):
        common = {
            "images": 20,
            **EIGENVALUES_ONLY,
            "dtype": "float64",
            "tolerance": 1e-6,
            "loss": "tet",
            "quiet": True,
        }
        one = hessian.run(hessian.Config((tiny,), chunk=20, **common)).to_frame()
        ragged = hessian.run(hessian.Config((tiny,), chunk=7, keep_graph=True, **common)).to_frame()
        np.testing.assert_allclose(one["eigenvalue"], ragged["eigenvalue"], rtol=1e-5, atol=1e-6)
        assert one["converged"].all()

    def test_a_run_cut_short_says_that_it_has_not_converged(self, tiny):
        config = hessian.Config((tiny,), images=20, **EIGENVALUES_ONLY, max_products=7, tolerance=1e-9, quiet=True)
        found = hessian.run(config).to_frame()
        assert not found["converged"].all()
        assert (found["products"] == 7).all()

    @pytest.mark.slow
    def test_pyhessian_gives_the_same_largest_eigenvalue_and_trace(self, tiny):
        common = {
            "images": 20,
            "loss": "sdt",
            "operator": "hessian",
            "top": 1,
            "bottom": 0,
            "dtype": "float32",
            "quiet": True,
        }
        ours = hessian.run(hessian.Config((tiny,), trace_tolerance=0.02, density=False, radius=False, **common))
        theirs = hessian.run(hessian.Config((tiny,), backend="pyhessian", **common))
        a, b = ours.to_frame().iloc[0], theirs.to_frame().iloc[0]
        assert a["residual"] < b["residual"] < 0.3 * a["eigenvalue"]
        assert b["eigenvalue"] == pytest.approx(a["eigenvalue"], rel=0.05)  # its stopping rule leaves it a few % low
        assert b["products"] > 0
        assert b["gradient_overlap"] == pytest.approx(a["gradient_overlap"], abs=0.1)
        for table in ("hessian", "trace"):
            assert list(ours.tables[table]) == list(theirs.tables[table])
        mine, other = ours.tables["trace"].iloc[0], theirs.tables["trace"].iloc[0]
        assert abs(mine["trace"] - other["trace"]) < 4 * np.hypot(mine["stderr"], other["stderr"])

    @pytest.mark.slow
    def test_with_smooth_spikes_second_differences_meet_the_hessian(self, digits_checkpoint):
        path = digits_checkpoint("sdt", surrogate="smooth", width=4.0, timesteps=2, train_images=40)
        config = hessian.Config(
            (path,), images=20, loss="sdt", operator="hessian", trace=False, density=False, draws=2, radii=3,
            dtype="float64", quiet=True,
        )  # fmt: skip
        found = hessian.run(config).tables["radius"]
        near = found[found["relative_radius"] < 1e-3]
        np.testing.assert_allclose(near["second_difference"], near["formal"], rtol=0.01, atol=1e-4)

    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (["--top", "99999"], "dimensions"),
            (["--probes", "1"], "probes"),
            (["--images", "0"], "images"),
            (["--operator", "fisher"], "use --loss sdt"),
            (["--operator", "fisher", "--loss", "sdt", "--label-draws", "0"], "draws must be at least 1"),
            (["--per-timestep", "--loss", "sdt"], "only the TET loss"),
            (["--per-timestep", "--operator", "empirical_fisher"], "only as hessian, gauss_newton or remainder"),
            (["--backend", "pyhessian", "--layers"], "pyhessian"),
            (["--backend", "pyhessian", "--operator", "fisher", "--loss", "sdt"], "pyhessian"),
        ],
    )
    def test_unusable_numbers_are_one_line(self, flags, said, tiny, capsys):
        assert hessian.main([str(tiny), "--quiet", *flags]) == 1
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


def dense_layer(subject: Subject, loss: str, images: int, layer: str) -> torch.Tensor:
    """The Hessian in the parameters of one module, the others left where they are."""
    x, y = subject.batch("train", images)
    weights = dict(subject.network.get_submodule(layer).named_parameters(recurse=False))

    def value(vector):
        parts = vector.split([weight.numel() for weight in weights.values()])
        moved = {f"{layer}.{name}": p.view_as(weights[name]) for name, p in zip(weights, parts, strict=True)}
        return per_image(loss)(functional_call(subject.network, moved, (x,)), y).mean()

    return torch.autograd.functional.hessian(value, torch.cat([w.detach().flatten() for w in weights.values()]))


class TestMatrices:
    """Fisher matrices, filter-normalized coordinates, layers and timesteps."""

    @pytest.fixture(scope="class")
    @staticmethod
    def common(tiny) -> dict[str, object]:
        return {"checkpoints": (tiny,), "images": 20, "chunk": 12, "radius": False, "dtype": "float64", "quiet": True}

    @pytest.fixture(scope="class")
    @staticmethod
    def found(common) -> dict[str, pd.DataFrame]:
        config = hessian.Config(
            **common, loss="tet", coordinates="both", layers=True, per_timestep=True, probes=2, steps=4,
            tolerance=1e-6, trace_tolerance=0.3,
        )  # fmt: skip
        return hessian.run(config).tables

    @pytest.mark.slow
    def test_the_columns_are_those_of_the_docstring(self, found):
        shared = ["checkpoint", "network", "data", "method", "training", "seed", "loss", "operator", "coordinates"]
        rest = ["top_eigenvalue", "residual", "converged", "products", "trace", "stderr"]
        assert list(found["layers"]) == [*shared, "layer", "weights", *rest]
        assert list(found["steps"]) == [*shared, "timestep", *rest, "share"]
        assert found["steps"]["converged"].all()

    def test_a_layer_has_the_eigenvalue_and_trace_of_its_dense_block(self, found, tiny):
        subject = Subject.load(tiny, dtype="float64")
        table = found["layers"][(found["layers"]["operator"] == "hessian") & (found["layers"]["coordinates"] == "raw")]
        for layer in ("stem.norm1", "body.norm3"):
            dense = dense_layer(subject, "tet", 20, layer)
            row = table.set_index("layer").loc[layer]
            assert row["weights"] == len(dense)
            assert row["top_eigenvalue"] == pytest.approx(float(torch.linalg.eigvalsh(dense)[-1]), rel=1e-5)
            signs = 2 * (dense - dense.diag().diag()).square().sum().sqrt()  # of one probe's form
            assert abs(row["trace"] - float(dense.trace())) < 4 * float(signs)

    def test_layers_are_all_the_modules_with_weights_and_lie_below_the_whole(self, found, tiny):
        network = Subject.load(tiny).network
        table = found["layers"][found["layers"]["operator"] == "gauss_newton"]
        raw, normalized = (table[table["coordinates"] == system].set_index("layer") for system in ("raw", "filter"))
        counts = {
            name: sum(weight.numel() for weight in module.parameters(recurse=False))
            for name, module in network.named_modules()
        }
        assert raw["weights"].to_dict() == {name: count for name, count in counts.items() if count}
        assert set(normalized.index) == {name for name in raw.index if "norm" not in name}
        whole = found["hessian"][(found["hessian"]["operator"] == "gauss_newton") & (found["hessian"]["rank"] == 1)]
        for system, blocks in (("raw", raw), ("filter", normalized)):
            top = whole[whole["coordinates"] == system]["eigenvalue"].item()
            assert top / len(blocks) < blocks["top_eigenvalue"].max() <= top * (1 + 1e-6)

    @pytest.mark.parametrize("matrix", [Hessian, GaussNewton])
    def test_the_steps_matrices_average_to_the_tet_losss(self, matrix, tiny):
        subject = Subject.load(tiny, dtype="float64")
        batches = subject.batches("train", 20, 12)
        whole = matrix(Objective(subject.network, per_image("tet"), batches))
        vector = torch.randn(whole.dimension, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        losses = [partial(step_loss, step=step) for step in range(2)]
        products = [matrix(Objective(subject.network, loss, batches)) @ vector for loss in losses]
        torch.testing.assert_close((products[0] + products[1]) / 2, whole @ vector, rtol=0, atol=1e-12)
        assert float((products[0] - products[1]).norm()) > 1e-3 * float(products[0].norm())

    def test_a_steps_loss_is_the_cross_entropy_of_its_output(self):
        logits, labels = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 4, 2, 2])
        for step in range(3):
            expected = cross_entropy(logits[step], labels, reduction="none")
            torch.testing.assert_close(step_loss(logits, labels, step=step), expected)

    def test_shares_of_the_trace_add_up_and_the_steps_mean_is_that_of_the_same_probes(self, found, tiny):
        subject = Subject.load(tiny, dtype="float64")
        objective = Objective(subject.network, per_image("tet"), subject.batches("train", 20, 12))
        scale = filter_scale(objective.parameters)
        for (operator, coordinates), steps in found["steps"].groupby(["operator", "coordinates"]):
            assert steps["timestep"].tolist() == [1, 2]
            assert steps["share"].sum() == pytest.approx(1, abs=1e-12)
            matrix = {"hessian": Hessian, "gauss_newton": GaussNewton}[operator](objective)
            whole = trace(matrix if coordinates == "raw" else Scaled(matrix, scale), method="hutchinson", probes=2)
            assert steps["trace"].mean() == pytest.approx(whole.value, rel=1e-9)
            np.testing.assert_allclose(steps["share"], steps["trace"] / steps["trace"].sum())

    def test_traces_that_were_not_asked_for_are_missing_and_eigenvalues_are_not(self, common):
        tables = hessian.run(
            hessian.Config(**common, loss="tet", operator="gauss_newton", per_timestep=True, trace=False, density=False)
        ).tables
        assert set(tables) == {"hessian", "steps"}
        assert tables["steps"][["trace", "stderr", "share"]].isna().all(axis=None)
        assert (tables["steps"]["top_eigenvalue"] > 0).all()

    @pytest.mark.slow
    def test_filter_normalized_rows_come_beside_the_raw_ones_and_leave_them_alone(self, found, common):
        config = hessian.Config(**common, loss="tet", probes=2, steps=4, tolerance=1e-6, trace_tolerance=0.3)
        plain = hessian.run(config).tables
        for name in ("hessian", "trace", "density"):
            raw = found[name][found[name]["coordinates"] == "raw"].reset_index(drop=True)
            pd.testing.assert_frame_equal(raw, plain[name])

    def test_a_filter_normalized_layer_has_the_eigenvalue_of_its_scaled_block(self, found, tiny):
        subject = Subject.load(tiny, dtype="float64")
        scale = subject.network.get_parameter("stem.conv1.weight").detach().square().flatten(1).mean(1).sqrt()
        dense = dense_layer(subject, "tet", 20, "stem.conv1")
        scale = scale.repeat_interleave(len(dense) // len(scale))
        table = found["layers"][found["layers"]["coordinates"] == "filter"].set_index(["operator", "layer"])
        expected = float(torch.linalg.eigvalsh(scale[:, None] * dense * scale)[-1])
        assert table.loc[("hessian", "stem.conv1"), "top_eigenvalue"] == pytest.approx(expected, rel=1e-5)

    @pytest.mark.slow
    def test_the_fisher_of_many_labels_is_gauss_newton_and_the_empirical_one_is_not(self, common):
        def top(operator: str, **more: object) -> float:
            config = hessian.Config(
                **common, loss="sdt", operator=operator, trace=False, density=False, top=1, bottom=0, **more
            )
            table = hessian.run(config).to_frame()
            assert set(table["operator"]) == {operator}
            return table["eigenvalue"].item()

        exact = top("gauss_newton")
        assert top("fisher", label_draws=300) == pytest.approx(exact, rel=0.03)
        assert top("fisher", label_draws=1) != pytest.approx(exact, rel=0.01)
        assert top("empirical_fisher") != pytest.approx(exact, rel=0.03)


class TestSurface:
    @pytest.fixture(scope="class")
    @staticmethod
    def table(tiny) -> pd.DataFrame:
        config = surface.Config((tiny,), images=20, draws=2, points=5, plane_points=3, quiet=True)
        return surface.run(config).to_frame()

    def test_the_columns_are_those_that_figures_read(self, table):
        assert list(table) == [
            "checkpoint", "network", "data", "method", "training", "seed", "loss", "split", "directions", "axes_loss",
            "kind", "draw", "alpha", "beta", "value", "stderr", "rise_stderr", "sampling_stderr", "accuracy",
            "accuracy_stderr", "images", "interpolated",
        ]  # fmt: skip
        counts = table.groupby(["loss", "kind", "draw"]).size()
        assert counts.to_dict() == {
            (loss, kind, draw): {"line": 5, "plane": 9}[kind]
            for loss in ("sdt", "tet")
            for kind, draw in (("line", 0), ("line", 1), ("plane", 0))
        }

    def test_the_origin_is_the_loss_of_the_checkpoint(self, table, tiny):
        subject = Subject.load(tiny)
        centre = table[(table["alpha"] == 0) & (table["beta"] == 0)]
        for loss, rows in centre.groupby("loss"):
            value = Objective(subject.network, per_image(loss), subject.batches("train", 20, 20)).value()
            np.testing.assert_allclose(rows["value"], value, rtol=1e-6)
            assert (rows["rise_stderr"] == 0).all()

    def test_tet_is_nowhere_below_sdt(self, table):
        wide = table.pivot_table(index=["kind", "draw", "alpha", "beta"], columns="loss", values="value")
        assert (wide["tet"] >= wide["sdt"] - 1e-6).all()

    def test_a_line_is_the_slice_of_its_plane(self, table):
        line = table[(table["kind"] == "line") & (table["draw"] == 0) & table["alpha"].isin([-1, 0, 1])]
        plane = table[(table["kind"] == "plane") & (table["beta"] == 0)]
        columns = ["loss", "alpha"]
        np.testing.assert_allclose(line.sort_values(columns)["value"], plane.sort_values(columns)["value"], rtol=1e-6)

    @pytest.mark.parametrize("flags", [["--points", "1"], ["--plane-points", "0"], ["--draws", "0"], ["--extent", "0"]])
    def test_a_grid_that_is_none_is_one_line(self, flags, tiny, capsys, tmp_path):
        assert surface.main([str(tiny), "--quiet", "--out", str(tmp_path / "out"), *flags]) == 1
        assert capsys.readouterr().err.count("\n") == 1
        assert not list((tmp_path / "out").glob("*"))
