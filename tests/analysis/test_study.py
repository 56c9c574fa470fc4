"""The whole way once, small: what a study leaves, that it skips what is finished, and what it refuses."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from analysis import compare, study
from analysis.study import command, executors, stacking
from analysis.study.trainings import method, trainings
from models.training import recipe
from tables.measures import MEASURES
from tables.record import provenance
from tables.result import Result

TABLES = [
    "hessian", "trace", "density", "radius", "smoothed", "surface", "surface_axes", "shapes", "minima", "sharpness",
    "norms", "rise", "robustness", "momentum", "momentum_pairs", "descent", "momentum_layers", "momentum_pairs_layers",
    "descent_layers", "momentum_steps", "switch", "timesteps", "anytime", "outcomes", "energy", "history", "settings",
    "compare", "correlation", "rise_curves", "crossovers", "measures",
]  # fmt: skip
FIGURES = [
    "surfaces", "surface-lines", "eigenvalues", "density", "radius", "scalability", "per-timestep", "momentum",
    "momentum-pairs", "momentum-layers", "momentum-steps", "switch", "descent", "agreement", "calibration",
    "anytime", "energy", "training", "flatness", "robustness",
]  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> study.Config:
    return study.Config(
        out=tmp_path_factory.mktemp("study"), methods=("sdt", "tet"), epochs=3, train_images=40, batch_size=20, seeds=2,
        images=20, timesteps=2,
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(config) -> tuple[str, dict[str, float]]:
    return study.run(config)


@pytest.mark.slow
@pytest.mark.usefixtures("done")
def test_checkpoints_tables_and_figures_lie_where_they_should(config):
    for loss in ("sdt", "tet"):
        for seed in range(2):
            assert (config.out / f"{loss}-{seed}" / "ckpt.pt").exists()
    tables = {path.stem for path in (config.out / "tables").glob("*.csv")}
    assert tables == set(TABLES)
    assert {path.stem for path in (config.out / "tables").glob("*.json")} == tables
    for name in FIGURES:
        for kind in ("pdf", "png"):
            assert (config.out / "figures" / f"{name}.{kind}").stat().st_size > 1000
    assert (config.out / "figures" / "surfaces.html").stat().st_size > 1_000_000
    assert '<h2 id="comparison">' in (config.out / "report.html").read_text()


@pytest.mark.usefixtures("done")
def test_every_table_holds_all_checkpoints(config):
    for name in TABLES[:-5]:
        table = pd.read_csv(config.out / "tables" / f"{name}.csv")
        assert table.groupby(["training", "seed"]).ngroups == 4, name
        record = json.loads((config.out / "tables" / f"{name}.json").read_text())
        assert len(record["checkpoints"]) == 4


def test_the_comparison_has_both_losses_and_a_time_for_every_stage(config, done):
    verdict, seconds = done
    assert verdict.startswith("tet against sdt:")
    comparison = pd.read_csv(config.out / "tables" / "compare.csv")
    assert {"top_eigenvalue[hessian]", "test_accuracy", "energy"} <= set(comparison["measure"])
    assert (comparison["n"] == 2).all()
    assert comparison[["flatter", "more_robust"]].isna().all(axis=None)  # of two seeds
    assert pd.read_csv(config.out / "tables" / "rise_curves.csv")["flatter"].isna().all()
    said = pd.read_csv(config.out / "tables" / "crossovers.csv")["verdict"]
    assert (said == "tet against sdt: 2 seeds are too few to say").all()
    assert list(seconds) == ["train", *study.analyses(study.Config(), Path("x")), "compare", "figures"]


IMAGES = ("hessian", "surface", "shapes", "sharpness", "rise", "robustness", "timesteps", "energy", "momentum")


@pytest.mark.slow(keep=1)
@pytest.mark.usefixtures("done")
@pytest.mark.parametrize("name", IMAGES)
def test_other_numbers_of_images_on_one_side_are_doubted_in_every_row_made_of_the_table(config, tmp_path, name):
    table = pd.read_csv(config.out / "tables" / f"{name}.csv")
    doubt = "numbers of examples differ"
    for more in (0, 7):
        folder = tmp_path / str(more)
        folder.mkdir()
        table.assign(images=table["images"] + more * (table["training"] == "tet")).to_csv(
            folder / f"{name}.csv", index=False
        )
        rows = compare.run(compare.Config((folder,), resamples=5)).to_frame()
        assert len(rows)
        assert (rows["images"] != "").all()
        assert rows["trust"].str.split("; ").map(lambda doubts: doubt in doubts).eq(more > 0).all()


@pytest.mark.usefixtures("done")
def test_no_table_of_a_comparison_with_numbers_of_images_is_left_out_above(config):
    names = {measure.table for measure in MEASURES.values()}
    heads = {name: (config.out / "tables" / f"{name}.csv").read_text().partition("\n")[0] for name in names}
    assert {name for name, head in heads.items() if "images" in head.split(",")} == set(IMAGES)


@pytest.mark.usefixtures("done")
def test_every_seed_has_training_images_of_its_own_which_methods_share(config):
    table = pd.read_csv(config.out / "tables" / "settings.csv")
    assert dict(zip(table["seed"], table["split_seed"], strict=True)) == {0: 0, 1: 1}
    assert table.groupby("split_seed")["method"].apply(set).tolist() == [{"sdt", "tet"}] * 2
    assert table["vary_data"].all()


def test_training_images_vary_where_not_all_train_unless_told_otherwise():
    def varied(**settings) -> bool:
        return trainings(study.Config(**settings))[1].vary_data

    assert varied()
    assert not varied(vary_data=False)
    assert not varied(data="cifar10")
    assert varied(data="cifar10", train_images=1000)


def test_stacked_tables_are_the_runs_tables_as_text(tmp_path):
    parts = []
    for place, name in (("a", "NA"), ("b", "007"), ("c", None)):
        head = {"checkpoint": f"{place}/ckpt.pt", "network": "n", "data": "d"}
        named = {} if name is None else {"method": name}
        table = pd.DataFrame([head | named | {"training": "sdt", "value": 0.1 + 0.2, "reached": None, "count": 1}])
        Result({"mine": table}, provenance({}, {}, 1.0)).save(tmp_path / place)
        parts.append(tmp_path / place)
    stacking.stack(parts, tmp_path / "all")
    assert (tmp_path / "all" / "mine.csv").read_text().splitlines() == [
        "checkpoint,network,data,method,training,value,reached,count",
        *(
            f"{place}/ckpt.pt,n,d,{name},sdt,0.30000000000000004,,1"
            for place, name in zip("abc", ("NA", "007", "sdt"), strict=True)
        ),
    ]


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """The figures that a study asks for, which are not drawn."""
    modules: list[str] = []

    def draw(command, **_):
        modules.append(command[2])
        Path(command[3], "figures").mkdir(exist_ok=True)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(command.subprocess, "run", draw)
    return modules


def running(process: str) -> bool:
    """Whether there is such a process, which has not ended unnoticed."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are looked up in Linux's /proc")
@pytest.mark.usefixtures("done", "asked")
def test_a_study_killed_half_way_and_started_again_ends_with_the_same_tables(config, tmp_path):
    out = tmp_path / "killed"
    small = replace(config, out=out, seeds=1)
    names = ("out", "epochs", "train_images", "batch_size", "seeds", "images", "timesteps")
    flags = [f"--{name.replace('_', '-')}={getattr(small, name)}" for name in names]
    process = subprocess.Popen(
        [sys.executable, "-m", "analysis.study", *flags],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (out / "sdt-0" / "tables" / "hessian.csv").exists():
        assert process.poll() is None
        time.sleep(0.01)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert workers
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while any(map(running, workers)):
        assert time.monotonic() < deadline, "the workers of a killed study go on"
        time.sleep(0.01)
    study.run(small)
    for path in (config.out / "sdt-0" / "tables").glob("*.csv"):
        one, other = pd.read_csv(path), pd.read_csv(out / "sdt-0" / "tables" / path.name)
        one["checkpoint"] = one["checkpoint"].str.replace(config.out.as_posix(), out.as_posix())
        columns = one.columns.drop("seconds", errors="ignore")
        pd.testing.assert_frame_equal(one[columns], other[columns])


@pytest.mark.usefixtures("done")
def test_a_finished_study_starts_no_worker(config, monkeypatch):
    monkeypatch.setattr(executors.ProcessPoolExecutor, "submit", None)
    assert study.run(config)[1]["figures"] == 0


@pytest.mark.slow
def test_what_is_finished_is_not_done_again_and_what_is_missing_is(config, done, asked):
    def ages() -> dict[Path, int]:
        return {
            path: path.stat().st_mtime_ns
            for path in config.out.rglob("*.*")
            if path.suffix in (".csv", ".png", ".html")
        }

    before = ages()
    again, seconds = study.run(config)
    assert ages() == before
    assert seconds["compare"] == seconds["figures"] == 0
    assert again == done[0]
    lost = config.out / "tet-1/tables/energy.csv"
    content = lost.read_text()
    lost.unlink()
    study.run(config)
    assert lost.read_text() == content
    assert ages()[config.out / "sdt-0/tables/energy.csv"] == before[config.out / "sdt-0/tables/energy.csv"]
    assert asked == ["figures.paper", "figures.interactive", "figures.report"]


@pytest.mark.slow
@pytest.mark.usefixtures("done")
def test_a_lost_report_is_written_again(config, asked):
    report = config.out / "report.html"
    kept = report.rename(config.out / "kept")
    study.run(config)
    assert asked[-1] == "figures.report"
    kept.rename(report)
    study.run(config)
    assert len(asked) == 3


def test_bad_numbers_are_one_line(tmp_path, capsys):
    assert study.main(["--out", str(tmp_path), "--seeds", "0"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_loss_to_stop_at_reaches_the_training(tmp_path, capsys):
    assert study.main(["--out", str(tmp_path), "--seeds", "1", "--jobs", "1", "--until-loss", "-1"]) == 1
    assert "--until-loss must be positive and finite, got -1.0" in capsys.readouterr().err


# methods


def test_methods_are_read_and_named():
    assert method("sdt") == ("sdt", {"loss": "sdt"})
    assert method("tet:mse_weight=0") == ("tet:mse_weight=0", {"loss": "tet", "mse_weight": 0})
    assert method("late, ü=tet:epochs=80,norm=tdbn") == ("late, ü", {"loss": "tet", "epochs": 80, "norm": "tdbn"})
    assert method("a=tet:learning_rate=1,mse_weight=None,detach_reset=True,until_loss_of=sdt") == (
        "a", {"loss": "tet", "learning_rate": 1.0, "mse_weight": None, "detach_reset": True, "until_loss_of": "sdt"},
    )  # fmt: skip


def test_every_method_has_its_settings_its_name_and_a_folder_of_its_own(tmp_path):
    plans = trainings(study.Config(out=tmp_path, methods=("sdt", "tet", "a/b=tet:mse_weight=0"), seeds=2))
    assert [(plan.method, plan.seed, plan.out.name) for plan in plans] == [
        ("sdt", 0, "sdt-0"), ("tet", 0, "tet-0"), ("a/b", 0, "a_b-0"),
        ("sdt", 1, "sdt-1"), ("tet", 1, "tet-1"), ("a/b", 1, "a_b-1"),
    ]  # fmt: skip
    assert [recipe.resolved(plan).mse_weight for plan in plans[:3]] == [0, 0.05, 0]


@pytest.mark.parametrize(
    ("methods", "says"),
    [
        ((), "no method"),
        (("sdt", "sdt"), "two methods are called 'sdt'"),
        (("sdt", "tet:speed=3"), "'speed' is no setting of models.train"),
        (("sdt", "tet:seed=3"), "'seed' is no setting of models.train"),
        (("sdt", "tet:mse_weight"), "'mse_weight' is no setting of models.train"),
        (("sdt", "foo"), "method 'foo': loss is one of sdt, tet, lts, tmc, trt, ce, got 'foo'"),
        (("sdt", "tet:epochs=many"), "method 'tet:epochs=many': epochs is int, got 'many'"),
        (("sdt", "tet:epochs=2.5"), "epochs is int, got 2.5"),
        (("sdt", "tet:until_loss_of=both"), "until_loss_of is sdt, tet or None, got 'both'"),
        (("sdt", "tet:detach_reset=1"), "detach_reset is bool, got 1"),
        (("a/b=sdt", "a b=tet"), "would share a folder"),
        (("mine=sdt", "MINE=tet"), "would share a folder"),
        (("=sdt",), "method '=sdt' has an empty name: write NAME=sdt, or leave the = out"),
        (("sdt", " =tet:mse_weight=0"), "method ' =tet:mse_weight=0' has an empty name: write NAME=tet:mse_weight=0,"),
    ],
)
def test_methods_that_cannot_be_are_one_line(methods, says, tmp_path, capsys):
    assert study.main(["--out", str(tmp_path), "--methods", *methods]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
