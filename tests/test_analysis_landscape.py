"""The commands hessian, surface and sharpness: their tables against the landscape's own answers and dense matrices."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.func import functional_call

from analysis import hessian, sharpness, surface
from analysis.subject import Subject, per_image
from landscape.objective import Objective
from landscape.operators import Hessian


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

    def test_tables_have_the_columns_that_figures_read(self, tiny):
        result = hessian.run(hessian.Config((tiny,), images=20, probes=2, steps=6, draws=1, radii=3, quiet=True))
        identity = {"checkpoint", "network", "data", "training", "seed", "loss"}
        assert set(result.tables) == {"hessian", "trace", "density", "radius"}
        assert set(result.tables["hessian"]) == identity | {
            "operator", "split", "images", "rank", "eigenvalue", "residual", "converged", "products", "symmetry",
        }  # fmt: skip
        assert set(result.tables["trace"]) == identity | {"operator", "trace", "stderr", "probes"}
        assert set(result.tables["density"]) == identity | {"operator", "probe", "node", "weight"}
        assert set(result.tables["radius"]) == identity | {
            "direction", "draw", "radius", "relative_radius", "second_difference", "second_difference_stderr",
            "mean_rise", "mean_rise_stderr", "formal",
        }  # fmt: skip
        sums = result.tables["density"].groupby(["loss", "operator", "probe"])["weight"].sum()
        np.testing.assert_allclose(sums, 1, atol=1e-6)

    def test_eigenvalues_do_not_depend_on_the_batches_or_on_keeping_graphs(self, tiny):
        common = {
            "images": 20,
            "probes": 0,
            "draws": 0,
            "dtype": "float64",
            "tolerance": 1e-6,
            "loss": "tet",
            "quiet": True,
        }
        one = hessian.run(hessian.Config((tiny,), batch_size=20, **common)).to_frame()
        ragged = hessian.run(hessian.Config((tiny,), batch_size=7, keep_graph=True, **common)).to_frame()
        np.testing.assert_allclose(one["eigenvalue"], ragged["eigenvalue"], rtol=1e-5, atol=1e-6)
        assert one["converged"].all()

    def test_a_run_cut_short_says_that_it_has_not_converged(self, tiny):
        config = hessian.Config((tiny,), images=20, probes=0, draws=0, max_products=7, tolerance=1e-9, quiet=True)
        found = hessian.run(config).to_frame()
        assert not found["converged"].all()
        assert (found["products"] == 7).all()

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
        ours = hessian.run(hessian.Config((tiny,), probes=30, steps=4, draws=0, **common))
        theirs = hessian.run(hessian.Config((tiny,), backend="pyhessian", **common))
        a, b = ours.to_frame().iloc[0], theirs.to_frame().iloc[0]
        assert a["residual"] < b["residual"] < 0.3 * a["eigenvalue"]
        assert b["eigenvalue"] == pytest.approx(a["eigenvalue"], rel=0.05)  # its stopping rule leaves it a few % low
        assert b["products"] > 0
        mine, other = ours.tables["trace"].iloc[0], theirs.tables["trace"].iloc[0]
        assert abs(mine["trace"] - other["trace"]) < 4 * np.hypot(mine["stderr"], other["stderr"])

    def test_with_smooth_spikes_second_differences_meet_the_hessian(self, digits_checkpoint):
        path = digits_checkpoint("sdt", surrogate="smooth", width=4.0, timesteps=2, train_images=40)
        config = hessian.Config(
            (path,), images=20, loss="sdt", operator="hessian", probes=0, draws=1, radii=3, dtype="float64", quiet=True
        )
        found = hessian.run(config).tables["radius"]
        near = found[found["relative_radius"] < 1e-3]
        np.testing.assert_allclose(near["second_difference"], near["formal"], rtol=0.01, atol=1e-4)

    @pytest.mark.parametrize(
        ("flags", "said"),
        [(["--top", "99999"], "dimensions"), (["--probes", "1"], "probes"), (["--images", "0"], "images")],
    )
    def test_unusable_numbers_are_one_line(self, flags, said, tiny, capsys):
        assert hessian.main([str(tiny), "--quiet", *flags]) == 1
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


class TestSurface:
    @pytest.fixture(scope="class")
    @staticmethod
    def table(tiny) -> pd.DataFrame:
        config = surface.Config((tiny,), images=20, draws=2, points=5, plane_points=3, quiet=True)
        return surface.run(config).to_frame()

    def test_the_columns_are_those_that_figures_read(self, table):
        assert list(table) == [
            "checkpoint", "network", "data", "training", "seed", "loss", "split", "kind", "draw", "alpha", "beta",
            "value", "stderr", "rise_stderr", "accuracy",
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


class TestSharpness:
    def test_rows_are_those_of_the_definitions(self, tiny):
        config = sharpness.Config(
            (tiny,), images=20, draws=3, noise=(0.1, 0.3), worst=(0.1,), adaptive=(0.01,), steps=3, quiet=True
        )
        found = sharpness.run(config).to_frame()
        columns = ["loss", "split", "measure", "radius", "value", "stderr", "draws", "converged", "rescaling"]
        assert list(found)[5:] == columns
        assert found.groupby("measure").size().to_dict() == {"adaptive_worst": 2, "average": 4, "worst": 2}
        assert (found.loc[found["measure"] != "average", "value"] >= 0).all()
        assert dict(zip(found["measure"], found["rescaling"], strict=True)) == {
            "average": "invariant", "worst": "changes", "adaptive_worst": "invariant",
        }  # fmt: skip

    def test_the_adaptive_radius_is_relative_to_the_weights_norm(self, tiny):
        """At radius r a random point of the ball moves each filter by r of its norm, as the average's noise does."""
        config = {"images": 20, "noise": (0.2,), "worst": (), "adaptive": (0.2,), "draws": 3, "steps": 4, "loss": "sdt"}
        found = sharpness.run(sharpness.Config((tiny,), quiet=True, **config)).to_frame().set_index("measure")["value"]
        assert found["adaptive_worst"] > found["average"]

    @pytest.mark.parametrize("flags", [["--draws", "1"], ["--noise", "-1"], ["--steps", "0"]])
    def test_unusable_numbers_are_one_line(self, flags, tiny, capsys):
        assert sharpness.main([str(tiny), "--quiet", *flags]) == 1
        assert capsys.readouterr().err.count("\n") == 1
