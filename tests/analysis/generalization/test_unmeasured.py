"""What a sweep can't say: networks that diverged, gaps that are infinite, and two seeds."""

import numpy as np
import pandas as pd

from analysis import generalization
from analysis.generalization.jackknife import interval
from analysis.generalization.pairs import pairs_of
from analysis.generalization.weights import weights

from .sweeps import NOTHING, save, sweep, written

FACTORS = {"method": ("sdt", "tet"), "learning_rate": ("0.1", "0.2")}


def run(folder):
    return generalization.run(generalization.Config((folder,), deals=20)).to_frame()


def test_networks_that_diverged_in_training_are_counted_in_every_row(tmp_path, capsys):
    frames = written(tmp_path, factors=FACTORS)
    there = frames["settings"][["checkpoint", "network", "data", "method"]]
    lost = there.iloc[[0, -1, -2]].assign(checkpoint=["a", "b", "c"])
    statuses = ["measured"] * len(there) + ["diverged", "diverged", "failed"]
    save(
        tmp_path,
        {"runs": pd.concat([there, lost]).assign(training="sdt", seed=0, status=statuses, reason="", seconds=1.0)},
    )
    found = run(tmp_path)
    counts = {among: set(rows["missing"]) for among, rows in found.groupby("among")}
    assert counts == {"all": {3}, "within": {3}, "sdt": {1}, "tet": {2}}
    assert set(found.loc[found["among"] == "all", "n"]) == {12}
    generalization.main([str(tmp_path), "--deals", "20"])
    assert "3 without a number, in no rank" in capsys.readouterr().out


def test_of_two_seeds_no_interval_is_told(tmp_path):
    written(tmp_path, factors=FACTORS, seeds=2)
    found = run(tmp_path)
    assert found[["low", "high", "granulated_low", "granulated_high", "information_low"]].isna().all(axis=None)
    assert found["sign_error_low"].isna().all()
    assert np.isnan(interval(np.array([0.5, 0.4, 0.6]))).all()
    assert np.isfinite(interval(np.array([0.5, 0.4, 0.6, 0.5]))).all()


def test_two_infinite_gaps_have_no_order_to_be_wrong_about():
    gaps = np.array([0.1, 0.2, np.inf, 0.4, 0.5, np.inf, 0.3, np.inf, 0.9, 1.0, 1.1, 1.2])
    made = sweep(gaps, factors=FACTORS)
    of = pairs_of(made)
    weigh, _ = weights(made, NOTHING, "loss", of, "none")
    both = np.isinf(gaps[of.first]) & np.isinf(gaps[of.second])
    assert both.sum() == 3
    assert (weigh[both] == 0).all()
    assert (weigh[~both] == 1).all()


def test_a_rise_at_one_scale_of_logits_is_set_against_gaps(tmp_path):
    frames = written(tmp_path, factors=FACTORS)
    plain = frames["rise"]
    save(tmp_path, {"rise": pd.concat([plain, plain.assign(logits="network", rise=np.arange(len(plain)) / 10)])})
    found = run(tmp_path)
    own = found[
        (found["measure"] == "rise_at_one_scale[noise,0.5]") & (found["among"] == "all") & (found["given"] == "")
    ]
    assert set(own["gap"]) == {"loss", "accuracy"}
    assert np.isfinite(own["tau"]).all()
