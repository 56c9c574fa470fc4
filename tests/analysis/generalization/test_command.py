"""The command: its tables against SciPy, its references, diverged runs, and what is refused in one line."""

import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import generalization
from analysis.compare.measures import measures, read_tables
from analysis.generalization.references import LOGIT_SCALE, NORM, TRAINING_LOSS
from tables.reading import read

from .sweeps import FACTORS, save, written

ONE = {"learning_rate": ("0.1",), "batch_size": ("16",)}
FOUR = {"learning_rate": ("0.1", "0.2"), "batch_size": ("16", "32")}
ORDER = "top_eigenvalue[hessian]"


def run(folder, **settings):
    return generalization.run(generalization.Config((folder,), deals=60, **settings))


def row(result, measure, *, gap="loss", among="all", given="") -> pd.Series:
    frame = result.to_frame()
    chosen = frame[(frame["measure"] == measure) & (frame["gap"] == gap) & (frame["among"] == among)]
    (found,) = chosen[chosen["given"] == given].itertuples(index=False)
    return pd.Series(found._asdict())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    frames = written(folder)
    return folder, frames, run(folder)


def wide(folder):
    return measures(read_tables(folder)).pivot_table(index="checkpoint", columns=["measure", "loss"], values="value")


def test_what_follows_the_gap_is_found_and_what_does_not_is_not(made):
    folder, _, result = made
    values = wide(folder)
    gap = values["gap_in_loss", "sdt"]
    for measure in (ORDER, "trace[hessian]"):
        found = row(result, measure)
        assert found["tau"] == pytest.approx(stats.kendalltau(values[measure, "sdt"], gap).statistic)
        assert (found["n"], found["seeds"], found["combinations"], found["missing"]) == (36, 3, 12, 0)
    best, noise = row(result, ORDER), row(result, "trace[hessian]")
    assert best[["tau", "granulated", "information"]].tolist() == pytest.approx([1, 1, 1])
    assert best[["sign_error", "worst_error"]].tolist() == [0, 0]
    assert (best["control"], best["environments"]) == ("", 24)
    assert noise["low"] < 0 < noise["high"]
    assert noise["granulated_low"] < 0 < noise["granulated_high"]
    assert noise["information"] < best["information_chance"] + 0.1 < 0.5
    assert noise["worst_error"] > 0.5
    assert best["p"] < 0.05 < noise["p"]


def test_psi_is_the_mean_of_the_table_s_and_every_environment_has_a_row(made):
    _, _, result = made
    psi = result.tables["psi"]
    for measure in (ORDER, "trace[hessian]"):
        own = psi[(psi["measure"] == measure) & (psi["gap"] == "loss") & (psi["among"] == "all")]
        assert list(own["factor"]) == ["learning_rate", "batch_size", "method"]
        assert own["psi"].mean() == pytest.approx(row(result, measure)["granulated"])
    errors = result.tables["sign_errors"]
    own = errors[(errors["measure"] == "trace[hessian]") & (errors["gap"] == "loss")]
    found = row(result, "trace[hessian]")
    assert (len(own), own["sign_error"].mean(), own["sign_error"].max()) == (
        found["environments"], pytest.approx(found["sign_error"]), found["worst_error"],
    )  # fmt: skip
    assert set(own["factor"]) == set(FACTORS)
    some = own[own["factor"] == "learning_rate"].iloc[0]
    assert some["level"] != some["other_level"]
    assert "batch_size" in some["fixed"]


def test_each_method_is_a_sweep_of_its_own(made):
    folder, _, result = made
    values = wide(folder)
    of_sdt = [f"runs/{place}-{seed}/ckpt.pt" for place in range(6) for seed in range(3)]
    own = values.loc[of_sdt]
    found = row(result, "trace[hessian]", among="sdt")
    expected = stats.kendalltau(own["trace[hessian]", "sdt"], own["gap_in_loss", "sdt"]).statistic
    assert (found["tau"], found["n"]) == (pytest.approx(expected), 18)
    assert set(result.to_frame()["among"]) == {"all", "within", "sdt", "tet"}
    assert np.isnan(row(result, "trace[hessian]", among="within")["p"])


def test_references_are_rows_and_are_marked(made):
    _, _, result = made
    frame = result.to_frame()
    controls = dict(zip(frame["measure"], frame["control"], strict=True))
    assert {name: of for name, of in controls.items() if of} == {
        "oracle[loss,0.5]": "oracle of loss", "oracle[accuracy,0.5]": "oracle of accuracy", "random": "random",
        "train_loss": TRAINING_LOSS, "parameters": "parameters", "logit_scale": LOGIT_SCALE,
    }  # fmt: skip
    assert 0.4 < row(result, "oracle[loss,0.5]")["tau"] < 0.9
    assert np.isnan(row(result, "random")["p_adjusted"])
    assert row(result, "parameters")["information"] < 0.05


def test_partial_tau_is_given_training_loss_scale_norm_and_all(made):
    _, _, result = made
    frame = result.to_frame()
    own = frame[(frame["measure"] == "trace[hessian]") & (frame["gap"] == "loss") & (frame["among"] == "all")]
    together = f"{TRAINING_LOSS}, {LOGIT_SCALE}, {NORM}"
    assert set(own["given"]) == {"", TRAINING_LOSS, LOGIT_SCALE, NORM, together}
    of_norm = frame[(frame["measure"] == "norm[param_norm]") & (frame["gap"] == "loss") & (frame["among"] == "all")]
    assert set(of_norm["given"]) == {"", TRAINING_LOSS, LOGIT_SCALE, f"{TRAINING_LOSS}, {LOGIT_SCALE}"}


def test_weights_are_by_what_the_tables_know(tmp_path):
    written(tmp_path / "plain", factors=FOUR)
    assert row(run(tmp_path / "plain"), ORDER)["weighting"] == "none"
    assert row(run(tmp_path / "plain"), ORDER, gap="accuracy")["weighting"] == "hoeffding"
    written(tmp_path / "images", outcomes=True, factors=FOUR)
    found = run(tmp_path / "images")
    assert [row(found, ORDER, gap=gap)["weighting"] for gap in ("loss", "accuracy")] == ["images", "images"]
    with pytest.raises(ValueError, match="no weights by images for the gap in loss: table outcomes lacks networks"):
        run(tmp_path / "plain", weights="images")
    with pytest.raises(ValueError, match="no weights by hoeffding for the gap in loss: it takes accuracies"):
        run(tmp_path / "plain", weights="hoeffding")


def test_diverged_runs_are_kept_and_counted(tmp_path, capsys):
    frames = written(tmp_path, factors=FOUR)
    steps, eigen = frames["timesteps"], frames["hessian"]
    infinite, lost = (steps["checkpoint"] == f"runs/{name}/ckpt.pt" for name in ("0-0", "1-1"))
    steps.loc[infinite & (steps["split"] == "test"), "loss_sdt"] = np.inf
    steps.loc[lost, "loss_sdt"] = np.nan
    eigen.loc[eigen["checkpoint"] == "runs/0-0/ckpt.pt", "eigenvalue"] = np.inf
    save(tmp_path, frames)
    assert generalization.main([str(tmp_path), "--deals", "20"]) == 0
    found = row(run(tmp_path), ORDER)
    assert (found["n"], found["missing"], found["diverged"], found["tau"]) == (11, 1, 1, pytest.approx(1))
    assert "1 with an infinite number, ranked so and 1 without a number, in no rank" in capsys.readouterr().out
    assert read(tmp_path, "generalization")["n"].max() == 12  # in accuracy all have a gap


@pytest.mark.slow
def test_tables_are_the_same_twice_and_as_latex(made, tmp_path):
    folder, _, result = made
    again = run(folder)
    for name, table in result.tables.items():
        pd.testing.assert_frame_equal(table, again.tables[name])
    out = tmp_path / "out"
    assert (
        generalization.main([str(folder), "--deals", "60", "--out", str(out), "--latex", str(tmp_path / "t.tex")]) == 0
    )
    assert {file.stem for file in out.glob("*.csv")} == set(result.tables)
    text = (tmp_path / "t.tex").read_text()
    assert text.count(r"\begin{tabular}{llrrrr}") == 2
    assert "trace, formal Hessian & sdt & " in text


# refused


def refused(folder, capsys, *flags) -> str:
    assert generalization.main([str(folder), *flags]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert not (folder / "tables" / "generalization.csv").exists()
    return line.removeprefix("python -m analysis.generalization: error: ")


def test_one_level_of_every_factor(tmp_path, capsys):
    written(tmp_path, factors=ONE)
    assert refused(tmp_path, capsys).startswith("all 3 networks have one setting: nothing differs but the seed")


def test_no_gap(tmp_path, capsys):
    frames = written(tmp_path)
    save(tmp_path, {"timesteps": frames["timesteps"].query("split == 'test'")})
    assert refused(tmp_path, capsys).startswith("no generalization gap in the tables: table timesteps needs each")


def test_tables_of_two_sweeps(tmp_path, capsys):
    frames = written(tmp_path / "one")
    written(tmp_path / "two", data="cifar10")
    line = refused(tmp_path / "one", capsys, str(tmp_path / "two"))
    assert line.startswith("runs/0-0/ckpt.pt has data digits in one table and cifar10 in another: tables of two sweeps")
    moved = {
        name: table.assign(data="cifar10", checkpoint="other/" + table["checkpoint"]) for name, table in frames.items()
    }
    save(tmp_path / "three", moved)
    assert "is of digits-cnn on digits, " in refused(tmp_path / "one", capsys, str(tmp_path / "three"))
    same = {name: table.assign(checkpoint="other/" + table["checkpoint"]) for name, table in frames.items()}
    save(tmp_path / "four", same)
    assert "factors and seed in common" in refused(tmp_path / "one", capsys, str(tmp_path / "four"))
    save(tmp_path / "one", {"settings": same["settings"]})
    assert refused(tmp_path / "one", capsys).startswith("table settings says nothing of runs/0-0/ckpt.pt")


def test_factors_that_are_not_there(tmp_path, capsys):
    written(tmp_path)
    line = refused(tmp_path, capsys, "--factors", "rate")
    assert line == "no factor 'rate': among these networks learning_rate, batch_size, method differs"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--noise", "0"), "the oracle's noise must be above 0 and finite, got 0"),
        (("--noise", "inf"), "the oracle's noise must be above 0 and finite, got inf"),
        (("--deals", "0"), "at least one deal is needed, got 0"),
    ],
)
def test_flags_that_can_not_be(flags, said, tmp_path, capsys):
    written(tmp_path)
    assert refused(tmp_path, capsys, *flags).startswith(said)


@pytest.mark.slow
def test_a_factor_named_twice_is_one(tmp_path):
    written(tmp_path)
    once, twice = (run(tmp_path, factors=("method",) * times + ("learning_rate", "batch_size")) for times in (1, 2))
    pd.testing.assert_frame_equal(once.to_frame(), twice.to_frame())


def test_a_method_called_all(tmp_path, capsys):
    written(tmp_path, factors=FACTORS | {"method": ("all", "tet")})
    assert refused(tmp_path, capsys).startswith("a method can't be called all")


def test_no_folder(capsys):
    assert generalization.main([]) in (1, 2)
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.slow
def test_hundreds_of_networks_take_no_minute_of_a_core(tmp_path):
    factors = {
        "method": ("a", "b", "c"),
        "learning_rate": ("1", "2", "3"),
        "batch_size": ("1", "2"),
        "decay": ("0", "1"),
    }
    written(tmp_path, factors=factors, seeds=5)
    begun = time.process_time()
    run(tmp_path)
    assert time.process_time() - begun < 60
