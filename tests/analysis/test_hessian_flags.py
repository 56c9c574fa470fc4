"""What analysis.hessian leaves out and says so, its time budget, and the remainder."""

import numpy as np
import pytest

from analysis import hessian
from analysis.compare.measures import measures, read_tables
from landscape.curvature import operators


@pytest.fixture(scope="module")
def tiny(digits_checkpoint):
    return digits_checkpoint("tet", timesteps=2, train_images=40)


SMALL = {"images": 10, "loss": "tet", "radius": False, "probes": 2, "steps": 3, "top": 2, "quiet": True}


@pytest.mark.parametrize(("flags", "left_out"), [([], "gauss_newton"), (["--operator", "fisher"], "fisher")])
def test_the_smallest_of_a_semidefinite_matrix_are_left_out_and_that_is_said_once(tiny, flags, left_out, capsys):
    argv = [str(tiny), "--images", "10", "--loss", "sdt", "--no-radius", "--no-density", "--no-trace", "--top", "1"]
    argv += ["--tolerance", "0.1", *flags]
    assert hessian.main(argv) == 0
    said = capsys.readouterr().err
    assert said.count(f"{left_out}: positive semi-definite") == 1
    assert hessian.main([*argv, "--quiet"]) == 0
    assert "semi-definite" not in capsys.readouterr().err
    assert hessian.main([*argv, "--bottom", "0"]) == 0
    assert "semi-definite" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"operator": "gauss_newton", "top": 0}, "gauss_newton is positive semi-definite"),
        ({"seconds": 0.0}, r"--seconds must be positive, got 0\.0"),
    ],
)
def test_what_can_not_be_had_is_refused_before_anything_is_computed(tiny, settings, said):
    with pytest.raises(ValueError, match=said):
        hessian.run(hessian.Config((tiny,), **SMALL | settings))


def test_under_torchrun_there_is_no_time_budget(tiny, monkeypatch):
    monkeypatch.setattr("analysis.hessian.curvature.processes.world", lambda: 2)
    with pytest.raises(ValueError, match="leave it out under torchrun"):
        hessian.run(hessian.Config((tiny,), **SMALL, seconds=10.0))


def test_when_the_time_is_up_every_rank_has_a_row_and_the_rest_is_not_begun(tiny, tmp_path, capsys):
    settings = SMALL | {"quiet": False, "bottom": 2, "seconds": 1e-6, "operator": "hessian"}
    tables = hessian.run(hessian.Config((tiny,), **settings, out=tmp_path)).tables
    found = tables["hessian"]
    assert found["rank"].tolist() == [1, 2, -1, -2]
    assert (found["products"] == 1).all()
    assert found["eigenvalue"].isna().tolist() == [False, True, True, True]
    assert not found["converged"].any()
    trace = tables["trace"].iloc[0]
    assert (trace["probes"], trace["products"], trace["converged"], trace["estimator"]) == (0, 0, False, "none")
    assert np.isnan(trace["trace"])
    assert "density" not in tables
    said = capsys.readouterr().err
    assert "no time is left for the trace" in said
    assert "no time is left for the density" in said
    assert not measures(read_tables(tmp_path))["converged"].any()


def test_time_enough_gives_all_of_it(tiny):
    config = hessian.Config((tiny,), **SMALL, seconds=500.0, operator="gauss_newton", layers=True)
    tables = hessian.run(config).tables
    assert tables["hessian"]["converged"].all()
    assert (tables["hessian"]["relative_residual"] <= 1e-3).all()
    assert tables["density"]["complete"].all()
    assert tables["layers"]["trace"].notna().all()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(operators, "Remainder"), reason="landscape.curvature.operators has no Remainder yet")
def test_the_remainder_is_what_gauss_newton_leaves_of_the_hessian(tiny):
    traces = {
        name: hessian.run(
            hessian.Config((tiny,), **SMALL, operator=name, bottom=1, per_timestep=True, tolerance=1e-2)
        ).tables
        for name in ("hessian", "gauss_newton", "remainder")
    }
    steps = {name: tables["steps"]["trace"].to_numpy() for name, tables in traces.items()}
    np.testing.assert_allclose(steps["hessian"] - steps["gauss_newton"], steps["remainder"], rtol=1e-3, atol=1e-3)
    assert set(traces["remainder"]["hessian"]["rank"]) == {1, 2, -1}
