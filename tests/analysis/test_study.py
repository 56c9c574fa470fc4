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

from analysis import study

TABLES = [
    "hessian", "trace", "density", "radius", "smoothed", "surface", "surface_axes", "shapes", "minima", "sharpness",
    "norms", "robustness", "momentum", "momentum_pairs", "descent", "momentum_layers", "momentum_pairs_layers",
    "descent_layers", "momentum_steps", "switch", "timesteps", "anytime", "energy", "history",
    "compare", "correlation", "measures",
]  # fmt: skip
FIGURES = [
    "surfaces", "surface-lines", "eigenvalues", "density", "radius", "scalability", "per-timestep", "momentum",
    "momentum-pairs", "momentum-layers", "momentum-steps", "switch", "descent", "agreement", "calibration",
    "anytime", "energy", "training", "flatness", "robustness",
]  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> study.Config:
    return study.Config(
        out=tmp_path_factory.mktemp("study"), epochs=3, train_images=40, batch_size=20, seeds=2, images=20, timesteps=2
    )


@pytest.fixture(scope="module")
def done(config) -> tuple[pd.DataFrame, dict[str, float]]:
    return study.run(config)


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
    for name in TABLES[:-3]:
        table = pd.read_csv(config.out / "tables" / f"{name}.csv")
        assert table.groupby(["training", "seed"]).ngroups == 4, name
        record = json.loads((config.out / "tables" / f"{name}.json").read_text())
        assert len(record["checkpoints"]) == 4


def test_the_comparison_has_both_losses_and_a_time_for_every_stage(done):
    comparison, seconds = done
    assert {"top eigenvalue, formal Hessian", "test accuracy", "energy"} <= set(comparison["measure"])
    assert (comparison["n"] == 2).all()
    assert list(seconds) == ["train", *study.analyses(study.Config(), Path("x")), "compare", "figures"]


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """The figures that a study asks for, which are not drawn."""
    modules: list[str] = []

    def draw(command, **_):
        modules.append(command[2])
        Path(command[3], "figures").mkdir(exist_ok=True)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(study.subprocess, "run", draw)
    return modules


def running(process: str) -> bool:
    """Whether there is such a process, which has not ended unnoticed."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


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
    pd.testing.assert_frame_equal(again, done[0])
    lost = config.out / "tet-1/tables/energy.csv"
    content = lost.read_text()
    lost.unlink()
    study.run(config)
    assert lost.read_text() == content
    assert ages()[config.out / "sdt-0/tables/energy.csv"] == before[config.out / "sdt-0/tables/energy.csv"]
    assert asked == ["figures.paper", "figures.interactive", "figures.report"]


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
