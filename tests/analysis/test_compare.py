"""The comparison: means, sides and doubts against their reasons, groups kept apart, bad input."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import compare
from analysis.compare.doubts import apart
from analysis.compare.measures import KEYS, measures, read_tables
from figures import report
from figures.words.prose import number

SEEDS = range(4)


def identity(training: str, seed: int) -> dict[str, object]:
    values = (f"{training}-{seed}", "digits-cnn", "digits", training, training, seed)
    return dict(zip(KEYS, values, strict=True))


def tables(top: dict[str, list[float]], *, train_accuracy: dict[str, float] | None = None,
           train_loss: dict[str, float] | None = None, converged: bool = True):  # fmt: skip
    """A hessian and a timesteps table with the top eigenvalues given by training loss and seed."""
    accuracy = train_accuracy or {"sdt": 1.0, "tet": 1.0}
    level = train_loss or {"sdt": 0.1, "tet": 0.1}
    eigenvalues, steps = [], []
    for training, values in top.items():
        for seed, value in enumerate(values):
            name = identity(training, seed)
            eigenvalues += [
                name
                | {
                    "loss": "sdt",
                    "operator": "hessian",
                    "rank": rank,
                    "eigenvalue": value / rank,
                    "converged": converged,
                }
                for rank in (1, 2)
            ]
            for split, right, loss in (
                ("train", accuracy[training], level[training]),
                ("test", 0.9 - 0.01 * seed, 0.3 + 0.1 * seed),
            ):
                steps += [
                    name
                    | {"split": split, "timesteps": t, "trained_timesteps": 2, "loss_sdt": loss, "loss_tet": 2 * loss}
                    | {"accuracy_cumulative": right - 0.1 * (t != 2), "accuracy_at_step": right, "images": 100}
                    for t in (1, 2, 4)
                ]  # fmt: skip
    return {"hessian": pd.DataFrame(eigenvalues), "timesteps": pd.DataFrame(steps)}


def write(folder, found: dict[str, pd.DataFrame]) -> None:
    (folder / "tables").mkdir(parents=True)
    for name, table in found.items():
        table.to_csv(folder / "tables" / f"{name}.csv", index=False)


def row(result, measure: str) -> pd.Series:
    table = result.to_frame()
    return table[table["measure"] == measure].iloc[0]


def test_a_clear_difference_is_called_flatter_and_trusted_but_for_its_scale(tmp_path):
    write(tmp_path, tables({"sdt": [10.0, 11, 12, 13], "tet": [5.0, 5.5, 6.5, 7]}))
    found = row(compare.run(compare.Config((tmp_path,), resamples=20)), "top_eigenvalue[hessian]")
    assert found["flatter"] == "tet"
    assert (found["reference_mean"], found["method_mean"], found["difference"]) == (11.5, 6.0, -5.5)
    assert found["trust"] == "changes when weights are rescaled"
    assert (found["n"], found["paired"]) == (4, True)


@pytest.mark.parametrize(
    ("settings", "doubt"),
    [
        ({"top": {"sdt": [10.0, 11], "tet": [5.0, 5.5]}}, "fewer than three seeds"),
        ({"top": {"sdt": [1.0, 5, 2, 6], "tet": [5.0, 2, 6, 1]}}, "interval contains zero"),
        ({"top": {"sdt": [9.0, 10, 11], "tet": [1.0, 2, 3]}, "converged": False}, "not converged"),
        (
            {"top": {"sdt": [9.0, 10, 11], "tet": [1.0, 2, 3]}, "train_accuracy": {"sdt": 1.0, "tet": 0.98}},
            "training accuracies differ",
        ),
        (
            {"top": {"sdt": [9.0, 10, 11], "tet": [1.0, 2, 3]}, "train_loss": {"sdt": 0.1, "tet": 0.12}},
            "training losses differ",
        ),
        ({"top": {"sdt": [9.0, 10, np.inf], "tet": [1.0, 2, 3]}}, "not finite"),
    ],
)
def test_each_doubt_is_named(settings, doubt, tmp_path):
    write(tmp_path, tables(**settings))
    found = row(compare.run(compare.Config((tmp_path,), resamples=20)), "top_eigenvalue[hessian]")
    assert doubt in found["trust"].split("; ")


@pytest.mark.parametrize(("tet", "letters"), [(1.103, ""), (1.107, "l"), (0.91, ""), (0.90, "l")])
def test_training_losses_differ_where_they_are_more_than_a_tenth_of_their_mean_apart(tet, letters):
    # A tenth of the larger one would be too much for the second and the last, of the smaller too little for the first.
    rows = [training("train_loss", 1.0, tet, loss="sdt"), training("train_loss", 1.0, 5.0, loss="tet")]
    assert apart(rows, "sdt") == letters
    assert apart(rows, "tet") == "l"
    assert apart(rows, "mse") == letters  # of no loss of its own: the first's


def training(measure: str, reference: float, method: float, **other: object) -> dict[str, object]:
    """A row of the comparison about training data, without an interval."""
    means = {"reference_mean": reference, "method_mean": method, "difference": method - reference}
    return {"measure": measure, "loss": "", "n": 2, "low": np.nan, "high": np.nan} | means | other


@pytest.mark.parametrize(
    ("n", "low", "high", "letters"),
    [(3, -0.1, 0.01, ""), (3, -0.08, -0.01, "a"), (3, np.nan, np.nan, "a"), (2, -0.1, 0.01, "a")],
)
def test_training_accuracies_differ_where_their_own_row_says_so(n, low, high, letters):
    assert apart([training("train_accuracy", 1.0, 0.955, n=n, low=low, high=high)], "") == letters
    assert apart([training("train_accuracy", 1.0, 0.997, n=3, low=-0.004, high=-0.002)], "") == ""  # within half a %


@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_a_doubt_about_training_never_contradicts_the_row_on_it(spread, tmp_path):
    found = tables({"sdt": [9.0, 10, 11, 12], "tet": [1.0, 2, 3, 4]}, train_accuracy={"sdt": 0.96, "tet": 0.94})
    steps = found["timesteps"]
    on_train = (steps["split"] == "train") & (steps["training"] == "tet")
    steps.loc[on_train, "accuracy_cumulative"] += spread * steps["seed"].map({0: 0, 1: 1, 2: -1, 3: 0.5})
    steps.loc[on_train, "accuracy_cumulative"] += 0.001 * steps["seed"]
    write(tmp_path, found)
    result = compare.run(compare.Config((tmp_path,), resamples=20))
    accuracy, top = row(result, "train_accuracy"), row(result, "top_eigenvalue[hessian]")
    decided = not accuracy["low"] <= 0 <= accuracy["high"]
    assert decided is (spread == 0)
    assert ("training accuracies differ" in top["trust"]) is decided


def spectra(**columns: object) -> dict[str, pd.DataFrame]:
    """A hessian and a trace table of one checkpoint, one row each."""
    head = identity("sdt", 0) | {"loss": "sdt", "operator": "hessian"}
    return {
        "hessian": pd.DataFrame([head | {"rank": 1, "eigenvalue": 7.0, "converged": True} | columns]),
        "trace": pd.DataFrame([head | {"trace": 7.0, "stderr": 1.0} | columns]),
    }


def test_other_coordinates_and_operators_leave_the_raw_measures_alone():
    old, raw = spectra(), spectra(coordinates="raw")
    normalized = spectra(coordinates="filter", eigenvalue=0.5, trace=0.5)
    fisher = spectra(coordinates="raw", operator="fisher", eigenvalue=99.0, trace=99.0)
    mixed = {name: pd.concat([raw[name], normalized[name], fisher[name]], ignore_index=True) for name in raw}
    expected = {f"{kind}[hessian]": (7.0, "loss/weight²", "changes") for kind in ("top_eigenvalue", "trace")}
    for given_tables, more in (
        (old, {}),
        (raw, {}),
        (mixed, {name.replace("[", "_filter["): (0.5, "loss", "invariant") for name in expected}),
    ):
        found = measures(given_tables)
        rows = zip(found["value"], found["unit"], found["rescaling"], strict=True)
        assert dict(zip(found["measure"], rows, strict=True)) == expected | more
        assert (found["side"] == "flatness").all()


def test_a_filter_normalized_eigenvalue_does_not_carry_the_doubt_about_scale(tmp_path):
    found = tables({"sdt": [10.0, 11, 12, 13], "tet": [5.0, 5.5, 6.5, 7]})
    table = found["hessian"].assign(coordinates="raw")
    found["hessian"] = pd.concat([table, table.assign(coordinates="filter")], ignore_index=True)
    write(tmp_path, found)
    result = compare.run(compare.Config((tmp_path,), resamples=20))
    assert row(result, "top_eigenvalue_filter[hessian]")["trust"] == ""
    assert row(result, "top_eigenvalue[hessian]")["trust"] == "changes when weights are rescaled"


def test_sdt_is_called_flatter_when_it_is(tmp_path):
    write(tmp_path, tables({"sdt": [1.0, 1.1, 1.2], "tet": [5.0, 5.2, 5.1]}))
    assert row(compare.run(compare.Config((tmp_path,), resamples=20)), "top_eigenvalue[hessian]")["flatter"] == "sdt"


def test_accuracy_is_no_measure_of_flatness(tmp_path):
    write(tmp_path, tables({"sdt": [1.0, 2, 3], "tet": [1.0, 2, 3]}))
    found = row(compare.run(compare.Config((tmp_path,), resamples=20)), "test_accuracy")
    assert found["flatter"] == ""
    assert found["side"] == "generalization"


def test_the_gap_is_test_minus_train_in_loss_and_train_minus_test_in_accuracy():
    found = measures(tables({"sdt": [1.0], "tet": [1.0]})).set_index(["training", "measure", "loss"])["value"]
    assert found["sdt", "gap_in_loss", "sdt"] == pytest.approx(0.2)
    assert found["sdt", "gap_in_loss", "tet"] == pytest.approx(0.4)
    assert found["sdt", "gap_in_accuracy", ""] == pytest.approx(0.1)
    assert found["sdt", "test_accuracy_at_1", ""] == pytest.approx(0.8)


def test_the_mean_rise_is_over_the_disc_of_half_a_unit():
    points = [(a, b) for a in (-1, -0.5, 0, 0.5, 1) for b in (-1, -0.5, 0, 0.5, 1)]
    head = identity("sdt", 0) | {"loss": "sdt", "split": "train", "kind": "plane", "draw": 0}
    table = pd.DataFrame([head | {"alpha": a, "beta": b} for a, b in points])
    table["value"] = 3 + table["alpha"] ** 2 + table["beta"] ** 2
    found = measures({"surface": table}).set_index("measure")["value"]
    assert found["rise_within[plane,0.5]"] == pytest.approx(4 * 0.25 / 5)
    ours = table.assign(split="train", directions="random")
    others = [ours.assign(value=9.0, split="test"), ours.assign(value=9.0, directions="top")]
    assert measures({"surface": pd.concat([ours, *others])})["value"].tolist() == [found.iloc[0]]


def test_radii_of_surfaces_count_inversely_and_only_where_every_surface_reached_the_level():
    row = identity("sdt", 0) | {"loss": "sdt", "split": "train", "directions": "random", "kind": "plane"}
    row |= {"rise": 0.5, "roughness": 0.01, "persistence": 0.0}
    table = pd.DataFrame(
        [
            row | {"draw": draw, "doubling_radius": radius, "half_width": 2 * radius, "half_width_reached": draw == 0,
                   "doubling_reached": True}
            for draw, radius in enumerate((0.2, 0.5))
        ]
    )  # fmt: skip
    found = measures({"shapes": table}).set_index("measure")
    assert found.loc["inverse_doubling_radius[plane]", "value"] == pytest.approx((1 / 0.2 + 1 / 0.5) / 2)
    assert found.loc["inverse_doubling_radius[plane]", "side"] == "flatness"
    assert not found.index.str.startswith("inverse_half_width").any()
    assert found.loc["roughness[plane]", "value"] == pytest.approx(0.01)
    other = table.assign(split="test", doubling_radius=9.0)
    again = measures({"shapes": pd.concat([table, other])}).set_index("measure")["value"]
    assert again["inverse_doubling_radius[plane]"] == pytest.approx(3.5)


def test_the_rank_correlation_with_the_gap_is_scipy_s(tmp_path):
    top = {"sdt": [1.0, 3, 2, 4], "tet": [2.0, 1, 5, 3]}
    write(tmp_path, tables(top))
    found = compare.run(compare.Config((tmp_path,), resamples=20)).tables["correlation"]
    chosen = found[(found["gap"] == "loss") & (found["among"] == "all")].iloc[0]
    gaps = [0.2 + 0.1 * seed for seed in SEEDS] * 2
    assert chosen["tau"] == pytest.approx(stats.kendalltau(top["sdt"] + top["tet"], gaps).statistic)
    assert chosen["n"] == 8
    assert chosen["low"] <= chosen["tau"] <= chosen["high"]
    assert set(found["among"]) == {"all", "within", "sdt", "tet"}


def test_networks_are_compared_apart(tmp_path):
    first, second = (tables({"sdt": [1.0, 2, 3], "tet": [2.0, 3, 4]}) for _ in range(2))
    for table in second.values():
        table["network"], table["checkpoint"] = "resnet19", "r-" + table["checkpoint"]
    write(tmp_path / "a", first)
    write(tmp_path / "b", second)
    found = compare.run(compare.Config((tmp_path / "a", tmp_path / "b"))).to_frame()
    assert found.groupby("network").size().nunique() == 1
    assert set(found["network"]) == {"digits-cnn", "resnet19"}


def test_the_relu_twin_has_a_column_and_no_comparison_of_its_own(tmp_path):
    spiking, twin = (tables({"sdt": values, "tet": values}) for values in ([4.0, 5, 6], [1.0, 2, 3]))
    for table in twin.values():
        table["network"], table["checkpoint"] = "digits-cnn-relu", "r-" + table["checkpoint"]
    write(tmp_path / "spiking", spiking)
    write(tmp_path / "twin", {name: table[table["training"] == "sdt"] for name, table in twin.items()})
    found = compare.run(compare.Config((tmp_path / "spiking", tmp_path / "twin"))).to_frame()
    assert set(found["network"]) == {"digits-cnn"}
    top = found[found["measure"] == "top_eigenvalue[hessian]"].iloc[0]
    assert (top["reference_mean"], top["twin_mean"]) == (5.0, 2.0)


def test_the_command_writes_beside_the_tables_and_prints(tmp_path, capsys):
    write(tmp_path, tables({"sdt": [1.0, 2, 3], "tet": [2.0, 3, 4]}))
    assert compare.main([str(tmp_path)]) == 0
    names = {path.stem for path in (tmp_path / "tables").glob("*.csv")}
    assert names == {"hessian", "timesteps", "compare", "counts", "correlation", "measures"}
    assert "top eigenvalue, formal Hessian" in capsys.readouterr().out


@pytest.mark.parametrize("bad", ["nothing", "empty folder", "garbled", "one side", "columns"])
def test_bad_input_is_one_line(bad, tmp_path, capsys):
    if bad == "garbled":
        (tmp_path / "hessian.csv").write_bytes(b"\x00\xff\xfe,\n")
    if bad == "columns":
        (tmp_path / "hessian.csv").write_text("a,b\n1,2\n")
    if bad == "one side":
        write(tmp_path, tables({"sdt": [1.0, 2, 3]}, train_accuracy={"sdt": 1.0}))
    assert compare.main([] if bad == "nothing" else [str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_tables_are_found_in_the_folder_or_in_its_tables(tmp_path):
    write(tmp_path, tables({"sdt": [1.0], "tet": [1.0]}))
    assert set(read_tables(tmp_path)) == set(read_tables(tmp_path / "tables")) == {"hessian", "timesteps"}


def test_a_table_for_a_paper_has_every_row(tmp_path):
    write(tmp_path, tables({"sdt": [10.0, 11, 12, 13], "tet": [5.0, 6, 7, 9]}))
    file = tmp_path / "table.tex"
    assert compare.main([str(tmp_path), "--resamples", "5", "--latex", str(file)]) == 0
    found = compare.run(compare.Config((tmp_path,), resamples=5)).to_frame()
    text = file.read_text()
    assert text.count(r" \\") == len(found) + 1
    one = row(compare.run(compare.Config((tmp_path,), resamples=5)), "top_eigenvalue[hessian]")
    low, high = (f"{one[end]:.3g}".replace("-", "$-$") for end in ("low", "high"))
    assert rf"& 11.5 & 6.75 & $-$4.75 ({low} \dots{{}} {high}) & " in text


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("seeds", [2, 3])
def test_of_two_seeds_no_interval_is_told_anywhere(seeds, tmp_path, capsys):
    write(tmp_path, tables({"sdt": [10.0, 11, 12][:seeds], "tet": [5.0, 5.7, 6.1][:seeds]}))
    file = tmp_path / "table.tex"
    assert compare.main([str(tmp_path), "--resamples", "5", "--all", "--latex", str(file)]) == 0
    told = capsys.readouterr().out
    found = row(compare.run(compare.Config((tmp_path,), resamples=5)), "top_eigenvalue[hessian]")
    assert np.isfinite(found["low"])  # in the table it is there
    line = next(line for line in told.splitlines() if "top eigenvalue" in line and "Hessian" in line)
    assert ("NaN" in line) is (seeds == 2)
    assert (f"{found['low']:.4g}" in line) is (seeds == 3)
    assert ("…" in next(line for line in told.splitlines() if "test accuracy +" in line)) is (seeds == 3)
    assert (r"\dots" in file.read_text()) is (seeds == 3)
    assert report.main([str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text()
    assert (f"{number(found['low'])}\u00a0…" in page) is (seeds == 3)
