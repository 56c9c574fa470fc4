"""Plans as the runs they ask for, a sweep once, small, and every plan that can't be carried out in one line."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from analysis import sweep
from analysis.sweep.network import analyses
from analysis.sweep.plan import STANDARD
from models import checkpoint
from models.training import recipe

PLAN = """
data = "digits"
epochs = 2
train_images = 40
batch_size = 20
timesteps = 2
vary_data = true
seeds = 2
images = 20
measures = ["timesteps", "rise"]

[factors]
method = ["sdt", "small=tet:mse_weight=0.01"]
learning_rate = [0.002, 0.004]
"""


def planned(tmp_path: Path, text: str, **flags) -> sweep.Config:
    (tmp_path / "plan.toml").write_text(text)
    return sweep.Config(tmp_path / "plan.toml", tmp_path / "out", **flags)


def test_every_combination_of_levels_and_seeds_is_a_run_with_a_folder_of_its_own(tmp_path):
    plan = sweep.read(planned(tmp_path, PLAN.replace("[factors]", "[factors]\nweight_decay = [0, 1e-4, 1e-3]")))
    told = [
        (run.config.method, run.config.loss, run.config.mse_weight, run.config.learning_rate, run.config.weight_decay,
         run.config.seed)
        for run in plan.runs
    ]  # fmt: skip
    methods = [("sdt", "sdt", None), ("small", "tet", 0.01)]
    expected = [
        (*method, rate, decay, seed)
        for method, rate, decay, seed in itertools.product(methods, (0.002, 0.004), (0.0, 1e-4, 1e-3), (0, 1))
    ]
    assert sorted(told, key=str) == sorted(expected, key=str)
    assert len({run.config.out for run in plan.runs}) == len(expected)
    assert all(run.config.vary_data and run.config.train_images == 40 and run.config.epochs == 2 for run in plan.runs)
    assert all(run.levels == {"learning_rate": run.config.learning_rate, "weight_decay": run.config.weight_decay}
               for run in plan.runs)  # fmt: skip
    assert (plan.images, plan.measures, plan.criterion) == (20, ("history", "timesteps", "rise"), "2 epochs")
    assert sorted(plan.factors) == ["learning_rate", "method", "weight_decay"]


def test_a_share_of_the_grid_is_drawn_whole_seeds_at_a_time_and_again_the_same(tmp_path):
    text = PLAN.replace("[0.002, 0.004]", str([0.001 * step for step in range(1, 11)]))
    whole = {run.config.out for run in sweep.read(planned(tmp_path, text)).runs}
    parts = [
        [run.config for run in sweep.read(planned(tmp_path, f"{text}\n[grid]\nshare = 0.25\ndraw = {draw}")).runs]
        for draw in (0, 0, 1)
    ]
    cells = [sorted({(run.method, run.learning_rate) for run in part}) for part in parts]
    assert len(whole) == 40
    assert [len(part) for part in parts] == [10, 10, 10]
    assert {run.out for run in parts[0]} < whole
    assert cells[0] == cells[1] != cells[2]
    assert [run.seed for run in parts[0]] == [0] * 5 + [1] * 5


def test_a_plan_that_grows_keeps_the_folders_that_are_there(tmp_path):
    before = {run.config.out for run in sweep.read(planned(tmp_path, PLAN)).runs}
    more = PLAN.replace("0.004]", "0.004, 0.008]").replace("seeds = 2", "seeds = [0, 1, 5]")
    assert before < {run.config.out for run in sweep.read(planned(tmp_path, more)).runs}
    other = {run.config.out for run in sweep.read(planned(tmp_path, PLAN.replace("epochs = 2", "epochs = 3"))).runs}
    assert not before & other


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("epochs = 2", "epohcs = 2"), "'epohcs' is no setting of models.train: perhaps epochs"),
        (("epochs = 2", "epochs = 2.5"), "epochs is int, got 2.5"),
        (("epochs = 2", 'loss = "sdt"'), "loss is no key of a plan: that is what method says"),
        (("epochs = 2", "seed = 3"), "seed is no key of a plan: that is what seeds says"),
        (("epochs = 2", "learning_rate = 0.1"), "learning_rate is a factor, and set for all networks too"),
        (("[0.002, 0.004]", "[0.002]"), "the factor learning_rate needs two levels or more, got [0.002]: write it"),
        (("[0.002, 0.004]", "[]"), "the factor learning_rate needs two levels or more, got []: write learning_rate = "),
        (("[0.002, 0.004]", "0.002"), "the factor learning_rate needs two levels or more, got 0.002"),
        (("[0.002, 0.004]", "[0.002, 0.002]"), "the factor learning_rate has a level twice"),
        (("[0.002, 0.004]", '["fast", "slow"]'), "learning_rate is float, got 'fast'"),
        (("[factors]", '[factors]\ndata = ["digits", "cifar10"]'), "data is no factor: gaps on other data"),
        (("[factors]", "[factors]\nmse_weight = [0.1, 0.2]"), "method 'small' sets mse_weight, and so does the plan"),
        (('"sdt", "small', '"sdp", "small'), "method 'sdp': loss is one of sdt, tet"),
        (('"sdt", "small=tet:mse_weight=0.01"', '"sdt", "sdt"'), "the factor method has a level twice"),
        (('"sdt", "small=', '"small=sdt", "small='), "two methods have one name"),
        (("seeds = 2", "seeds = 0"), "seeds must be how many, or a list of them below 2^63, got 0"),
        (("seeds = 2", "seeds = [99999999999999999999]"), "seeds must be how many, or a list of them below 2^63"),
        (("seeds = 2", "seeds = 1000000000000"), "networks: say --yes if that is meant"),
        (("[factors]", "[factors]\nrecord_momentum = [true, false]"), "record_momentum changes nothing of a trained"),
        (("[factors]", '[factors]\nmodel = ["digits-cnn", "none.py:Net"]'), "none.py"),
        (("[factors]", '[factors]\nmodel = ["digits-cnn", "nope"]'), "no network named 'nope'"),
        (("[0.002, 0.004]", "[0.002, -1]"), "the learning rate must be positive and finite, got -1"),
        (("[0.002, 0.004]", "[0.002, nan]"), "the learning rate must be positive and finite, got nan"),
        (("epochs = 2", "epochs = 0"), "epochs"),
        (('data = "digits"', 'data = "nope"'), "there is no data set 'nope'"),
        (("seeds = 2", "seeds = [1, 1]"), "a seed is there twice"),
        (("images = 20", "images = 0"), "images must be a number from 1, got 0"),
        (('"rise"]', '"energy"]'), "there is no measurement 'energy' in a sweep; there are timesteps, hessian"),
        (("[factors]", "[grid]\nshare = 0\n[factors]"), "[grid] share must lie in (0, 1], got 0"),
        (("[factors]", "[grid]\nfraction = 0.5\n[factors]"), "[grid] knows share and draw, not 'fraction'"),
        (("seeds = 2", "seeds = 500000"), "2,000,000 networks: say --yes if that is meant"),
        (("[0.002, 0.004]", "[1, 1.0]"), "the factor learning_rate has a level twice"),
        (("[0.002, 0.004]", "[2020-01-01, 0.1]"), "learning_rate is float, got datetime.date(2020, 1, 1)"),
        (("seeds = 2", "seeds = 2\ngrid = 3"), "grid must be a table, a line [grid] and its keys below it, got"),
        (("[factors]", "[factors"), "(at line"),
    ],
)  # fmt: skip
def test_a_plan_that_can_t_be_carried_out_is_one_line(change, says, tmp_path, capsys):
    text = PLAN.replace(change[0], change[1], 1)
    assert text != PLAN
    config = planned(tmp_path, text)
    assert sweep.main([str(config.plan), "--out", str(config.out)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"python -m analysis.sweep: error: {config.plan}: ")
    assert says in line
    assert not config.out.exists()


def test_shifts_of_data_of_one_s_own_are_refused_before_anything_is_trained(tmp_path):
    text = PLAN.replace('"rise"]', '"shifted"]').replace('data = "digits"', 'data = "mine.npz"')
    with pytest.raises(ValueError, match=r"black and white are in mine\.npz isn't known"):
        sweep.read(planned(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("factors = 3", "factors must be a table, a line [factors] and its keys below it, got factors = 3"),
        ("measures = 3", 'measures must be a list, as in measures = ["timesteps"], got 3'),
        ('measures = "timesteps"', "measures must be a list, as in measures = [\"timesteps\"], got 'timesteps'"),
    ],
)
def test_a_key_of_another_kind_is_one_line_with_the_line_to_write(text, says, tmp_path):
    config = planned(tmp_path, text)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{config.plan}: {says}')}$"):
        sweep.read(config)


def test_a_measurement_named_twice_is_made_once(tmp_path):
    plan = sweep.read(planned(tmp_path, 'measures = ["rise", "history", "rise"]'))
    assert plan.measures == ("history", "rise")


def test_no_plan_is_one_line(tmp_path, capsys):
    assert sweep.main([str(tmp_path / "none.toml")]) == 1
    assert "none.toml" in capsys.readouterr().err


def test_what_a_sweep_can_t_say_of_its_factors_is_said(tmp_path):
    text = PLAN.replace("[factors]", '[factors]\nmodel = ["digits-cnn", "digits-cnn?channels=4"]\nepochs = [2, 3]')
    said = sweep.read(planned(tmp_path, text.replace("\nepochs = 2\n", "\n", 1))).remarks
    assert said == (
        "model: networks of other functions are ranked together",
        "epochs: networks are not trained to one criterion",
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[sweep.Config, pd.DataFrame]:
    config = planned(tmp_path_factory.mktemp("sweep"), PLAN.replace("seeds = 2", "seeds = 1"), jobs=1)
    return config, sweep.run(config)


@pytest.mark.slow
def test_a_sweep_leaves_every_network_s_rows_under_its_factors(done):
    config, table = done
    runs = sweep.read(config).runs
    assert (table["status"] == "measured").all()
    assert table["checkpoint"].tolist() == [(run.config.out / "ckpt.pt").as_posix() for run in runs]
    settings = pd.read_csv(config.out / "tables" / "settings.csv").set_index("checkpoint")
    for run in runs:
        row = settings.loc[(run.config.out / "ckpt.pt").as_posix()]
        assert (row["learning_rate"], row["seed"], row["method"]) == (
            run.config.learning_rate, run.config.seed, run.config.method,
        )  # fmt: skip
    for name in ("timesteps", "rise", "history", "outcomes"):
        found = pd.read_csv(config.out / "tables" / f"{name}.csv")
        assert set(found["checkpoint"]) == set(table["checkpoint"]), name
    assert not (config.out / "tables" / "hessian.csv").exists()
    assert set(pd.read_csv(config.out / "tables" / "rise.csv")["loss"]) == {"sdt"}
    record = json.loads((config.out / "tables" / "runs.json").read_text())
    assert record["settings"]["plan"] == config.plan.read_text()


@pytest.mark.slow
def test_what_is_finished_is_not_done_again_and_what_was_lost_is(done):
    config, first = done
    lost = sweep.read(config).runs[2].config.out / "tables" / "rise.csv"
    before = {path: path.stat().st_mtime_ns for path in config.out.rglob("*") if path.parent.name != "out"}
    lost.unlink()
    again = sweep.run(config)
    own = {path: at for path, at in before.items() if path.parent != config.out / "tables"}
    changed = {path for path, at in own.items() if path.is_file() and path.stat().st_mtime_ns != at}
    assert {path.stem for path in changed} == {"rise"}
    assert {path.parent for path in changed} == {lost.parent}
    assert (again["seconds"] > 0).tolist() == [place == 2 for place in range(len(first))]
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), first.drop(columns="seconds"))


@pytest.mark.slow
def test_a_network_that_diverged_is_counted_and_one_that_fails_is_named(done, capsys):
    config, first = done
    one, other = (run.config.out for run in sweep.read(config).runs[:2])
    kept = {path: path.read_bytes() for place in (one, other) for path in place.rglob("*") if path.is_file()}
    weights = checkpoint.load(one / "ckpt.pt")
    name = next(key for key, value in weights.state_dict.items() if value.is_floating_point())
    weights.state_dict[name] = torch.full_like(weights.state_dict[name], np.nan)
    checkpoint.save(weights, one / "ckpt.pt")
    (other / "ckpt.pt").write_bytes(b"nothing")
    try:
        assert sweep.main([str(config.plan), "--out", str(config.out), "--jobs", "1"]) == 1
        said = capsys.readouterr()
        table = pd.read_csv(config.out / "tables" / "runs.csv")
        assert table["status"].tolist() == ["diverged", "failed", *["measured"] * (len(first) - 2)]
        assert "not finite" in table["reason"][0]
        assert "1 diverged" in said.out
        assert f"{other.as_posix()}/ckpt.pt failed: " in said.err.splitlines()[-1]
        settings = pd.read_csv(config.out / "tables" / "settings.csv")
        assert len(settings) == len(first) - 2
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


@pytest.mark.slow
def test_a_run_whose_loss_is_no_number_any_more_has_diverged(tmp_path):
    text = PLAN.replace("[0.002, 0.004]", "[0.002, 1e30]").replace("seeds = 2", "seeds = 1")
    table = sweep.run(planned(tmp_path, text, jobs=1)).set_index(["method", "learning_rate"])
    assert table["status"].to_dict() == {
        (method, rate): "diverged" if rate > 1 else "measured" for method in ("sdt", "small") for rate in (0.002, 1e30)
    }
    assert (table["reason"].str.contains("finite|the loss is")).equals(table["status"] == "diverged")


@pytest.mark.slow
def test_a_dry_run_leaves_nothing_and_says_what_it_would_cost(tmp_path, capsys):
    config = planned(tmp_path, PLAN)
    assert sweep.main([str(config.plan), "--out", str(config.out), "--dry-run"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("8 networks, each trained to 2 epochs: about ")
    assert "hours by 2 processes" in line
    assert "GB" in line
    assert not config.out.exists()


def test_the_standard_set_is_every_analysis_of_a_sweep(tmp_path):
    run = sweep.read(planned(tmp_path, PLAN.replace('measures = ["timesteps", "rise"]\n', ""))).runs[0]
    assert set(analyses(run.config, 20, STANDARD)) == set(STANDARD)
    assert recipe.resolved(run.config).method == "sdt"
