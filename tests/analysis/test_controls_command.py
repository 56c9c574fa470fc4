"""Controls carried out on real small networks: copies that are copies, what is finished kept, bad input in one line."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from analysis import compare, controls
from analysis.controls.copies import confident, copy, rescaled, variance
from analysis.controls.plan import CONTROLS, asked, cells, plan
from analysis.subject import Subject
from models import train
from models.checkpoint import load
from models.training import recipe
from tables.reading import read_file

HOW = {"data_root": None, "device": "cpu", "code": ()}
SMALL = {"images": 20, "measures": ("timesteps", "rise"), "jobs": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Checkpoints of two seeds, one trained for long enough that its BatchNorms have seen something."""
    folder = tmp_path_factory.mktemp("controls")
    for seed in (0, 1):
        train.run(
            recipe.Config(
                out=folder / f"run-{seed}", loss="sdt", epochs=12, train_images=40, batch_size=10, timesteps=2,
                seed=seed, quiet=True,
            )
        )  # fmt: skip
    return [folder / f"run-{seed}" / "ckpt.pt" for seed in (0, 1)]


def logits(network: nn.Module, subject: Subject) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([network(x) for x, _ in subject.batches("test", 300, 100)], 1)


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("by", ["layers", "filters"])
def test_a_rescaled_copy_has_other_weights_and_the_same_digits_in_its_logits(by, runs):
    subject = Subject.load(runs[0])
    network = rescaled(subject, by)
    assert torch.equal(logits(network, subject), logits(subject.network, subject))
    before, after = subject.network.state_dict(), network.state_dict()
    scaled = [name for name, value in before.items() if value.ndim == 4]
    assert len(scaled) == 3
    for name in scaled:
        factor = (after[name] / before[name]).flatten(1)
        assert torch.equal(factor, factor[:, :1].expand_as(factor))
        assert set(factor.unique().tolist()) <= {0.5, 2.0}
        assert (len(factor.unique()) == 1) or by == "filters"
    rest = [name for name in before if name not in scaled and "running" not in name]
    assert all(torch.equal(before[name], after[name]) for name in rest)
    assert torch.equal(logits(rescaled(subject, by), subject), logits(network, subject))


def test_the_kept_variance_takes_epsilon_s_part_to_the_last_digit():
    kept = torch.tensor(np.random.default_rng(0).lognormal(0, 2, 10_000), dtype=torch.float32)
    for factor in (0.5, 2.0):
        found = variance(kept, 1e-5, torch.full_like(kept, factor))
        exact = ((found + 1e-5) == factor**2 * (kept + 1e-5))[kept > 1e-3]
        assert exact.all()


@pytest.mark.parametrize("factor", [2.0, 0.5, 3.0])
def test_a_confident_copy_has_its_logits_multiplied_and_nothing_else_changed(factor, runs):
    subject = Subject.load(runs[0])
    network = confident(subject, factor)
    found, expected = logits(network, subject), factor * logits(subject.network, subject)
    if factor == 3:
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    else:
        assert torch.equal(found, expected)
    changed = {
        name
        for name, value in network.state_dict().items()
        if not torch.equal(value, subject.network.state_dict()[name])
    }
    assert {name.rpartition(".")[0] for name in changed} == {"body.head"}


def test_a_network_without_a_batchnorm_can_t_be_rescaled_and_says_so():
    x, y = torch.randn(20, 5), torch.randint(3, (20,))
    subject = Subject(nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), train=(x, y), name="plain")
    with pytest.raises(ValueError, match=r"^plain has no layer before a BatchNorm"):
        rescaled(subject, "layers")
    assert torch.equal(confident(subject, 2.0)(x), 2 * subject.network(x))


class Normed(nn.Module):
    """Logits that no layer's scale reaches."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(5, 3)

    def forward(self, x):
        return nn.functional.normalize(self.inner(x))


def test_logits_that_no_layer_multiplies_are_refused():
    x, y = torch.randn(20, 5), torch.randint(3, (20,))
    subject = Subject(Normed(), train=(x, y), name="normed")
    with pytest.raises(ValueError, match=r"^normed has no layer that multiplies its logits"):
        confident(subject, 2.0)


def test_a_network_that_is_used_before_its_batchnorm_too_is_no_copy():
    class Used(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.norm = nn.Linear(5, 3), nn.BatchNorm1d(3)

        def forward(self, x):
            return self.norm(self.layer(x)) + self.layer(x)

    subject = Subject(Used(), train=(torch.randn(20, 5), torch.randint(3, (20,))), name="used")
    with pytest.raises(ValueError, match="no layer before a BatchNorm"):
        rescaled(subject, "layers")


def test_a_copy_is_the_same_file_twice(runs, tmp_path):
    one = copy(runs[0], "rescaled", "filters", tmp_path / "a", HOW).read_bytes()
    assert copy(runs[0], "rescaled", "filters", tmp_path / "b", HOW).read_bytes() == one
    assert load(tmp_path / "a" / "ckpt.pt").training["method"] == "sdt+rescaled-filters"


@pytest.fixture(scope="module")
def done(runs, tmp_path_factory):
    config = controls.Config(tuple(runs), out=tmp_path_factory.mktemp("given"), logits=(2.0,), **SMALL)
    return config, controls.run(config).to_frame()


@pytest.mark.slow
def test_networks_that_are_there_are_put_to_what_trains_none(done):
    config, frame = done
    assert set(frame["control"]) == {"rescaled", "confident", "halves"}
    assert list(frame["network"].unique()) == ["digits-cnn"]
    one = frame[frame["measure"] == "rise_at_one_scale[noise,0.5]"].set_index(["control", "level"])
    assert one["verdict"].to_dict() == {
        ("halves", "halves"): "undecided", ("rescaled", "by layers"): "passed", ("rescaled", "by filters"): "passed",
        ("confident", "logits × 2"): "passed",
    }  # fmt: skip
    assert (one.loc["rescaled", "value"] == 1).all()
    assert "there are 2" in one.loc[("halves", "halves"), "why"]
    again = read_file(config.out / "tables" / "controls.csv", "controls")
    assert len(again) == len(frame)


def test_plain_rises_move_with_confidence_and_accuracies_do_not(done):
    config, _ = done
    (place,) = [path for path in (config.out / "confident-2").iterdir() if path.name.startswith("run-0")]
    before = pd.read_csv(config.out / "tables" / "rise.csv").query("logits == 'plain' and seed == 0")
    after = pd.read_csv(place / "tables" / "rise.csv").query("logits == 'plain'")
    assert not np.allclose(before["rise"], after["rise"], rtol=1e-2)
    steps = [pd.read_csv(file).query("seed == 0")["accuracy_cumulative"] for file in
             (config.out / "tables" / "timesteps.csv", place / "tables" / "timesteps.csv")]  # fmt: skip
    assert np.array_equal(*steps)


@pytest.mark.slow
def test_what_was_lost_is_measured_again_and_nothing_else(done):
    config, first = done
    lost = next(config.out.glob("rescaled-layers/run-1-*/tables/rise.csv"))
    before = {path: path.stat().st_mtime_ns for path in config.out.rglob("*.csv") if path.parents[1] != config.out}
    lost.unlink()
    again = controls.run(config).to_frame()
    changed = {path for path, at in before.items() if path.stat().st_mtime_ns != at}
    assert changed == {lost}
    pd.testing.assert_frame_equal(again, first)


@pytest.mark.slow
def test_networks_are_trained_for_the_controls_that_are_asked_for(tmp_path, capsys):
    flags = ["--only", "sam", "forced", "--seeds", "2", "--epochs", "1", "--train-images", "20", "--images", "10"]
    flags += ["--sam", "0.1", "--asam", "0.5", "--forced", "0.1", "--measures", "timesteps", "rise", "--jobs", "1"]
    assert controls.main(["--out", str(tmp_path), *flags]) == 0
    assert "rise at 0.5 on noise, logits at one scale" in capsys.readouterr().out
    frame = read_file(tmp_path / "tables" / "controls.csv", "controls")
    assert set(zip(frame["control"], frame["level"], strict=True)) == {
        ("sam", "SAM 0.1"), ("sam", "ASAM 0.5"), ("forced", "falls with ρ"), ("forced", "gap follows"),
    }  # fmt: skip
    assert (frame["verdict"] == "undecided").all()
    methods = pd.read_csv(tmp_path / "tables" / "settings.csv").groupby("method")["seed"].apply(sorted).to_dict()
    assert methods == {name: [0, 1] for name in ("sdt", "sdt+sam-0.1", "sdt+asam-0.5")}


def test_cells_that_controls_share_are_trained_once(tmp_path):
    config = controls.Config(out=tmp_path, seeds=3, null_seeds=6)
    wanted = cells(config, asked(config))
    runs = plan(config, CONTROLS, wanted).runs
    told = [(run.config.sharpness_aware, run.config.adaptive, run.config.random_labels, run.config.learning_rate,
             run.config.batch_size, run.config.seed) for run in runs]  # fmt: skip
    expected: list[tuple[object, ...]] = [(None, False, 0.0, 0.002, 50, seed) for seed in range(6)]
    cell: list[tuple[float | None, bool, float, float, int]] = [
        (rho, False, 0.0, 0.002, 50) for rho in (0.02, 0.05, 0.1, 0.2)
    ]
    cell += [(rho, True, 0.0, 0.002, 50) for rho in (0.5, 1.0)] + [(None, False, 1.0, 0.002, 50)]
    cell += [(None, False, 0.0, 0.001, 50), (None, False, 0.0, 0.004, 50)]
    cell += [(None, False, 0.0, 0.002, 25), (None, False, 0.0, 0.002, 100)]
    assert sorted(told, key=str) == sorted(expected + [(*one, seed) for one in cell for seed in range(3)], key=str)
    assert len({run.config.out for run in runs}) == len(runs)
    assert all(run.config.vary_data for run in runs)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--only", "nothing"], "there is no control 'nothing'; there are sam, rescaled, random-labels, halves"),
        (["--seeds", "1"], "--seeds must be at least 2, for differences have to spread, got 1"),
        (["--sam", "0"], "--sam takes positive numbers, none twice, got 0"),
        (["--forced", "0.1", "0.1"], "--forced takes positive numbers, none twice, got 0.1 0.1"),
        (["--logits", "1"], "--logits 1 multiplies by nothing"),
        (["--counter", "1"], "--counter must be above 1, got 1"),
        (["--measures", "energy"], "there is no analysis 'energy' here; there are timesteps, hessian, sharpness, rise"),
        (["--method", "sdt:sharpness_aware=0.1"], "is sharpness-aware already: sam and forced compare with one that"),
        (["--method", "sdp"], "method 'sdp': loss is one of"),
        (["--loss", "ce"], "--loss is for networks of yours"),
        (["--data", "nope"], "there is no data set 'nope'"),
        (["--model", "nope"], "no network named 'nope'"),
        (["--jobs", "0"], "--images and --jobs must be at least 1, got 200 and 0"),
        (["none.pt"], "no checkpoint at none.pt"),
        (["none.pt", "--only", "sam"], "sam trains networks of its own: leave the checkpoints out, or --only sam"),
    ],
)
def test_what_can_t_be_asked_is_one_line_and_leaves_nothing(flags, says, tmp_path, capsys):
    assert controls.main([*flags, "--out", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m analysis.controls: error: ")
    assert says in line
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_checkpoint_is_named(tmp_path, capsys):
    (tmp_path / "wrong.pt").write_bytes(b"nothing")
    assert controls.main([str(tmp_path / "wrong.pt"), "--out", str(tmp_path / "out"), "--jobs", "1"]) == 1
    assert re.search(r"error: no network could be measured: failed: .*wrong\.pt", capsys.readouterr().err)


def test_the_comparison_doubts_what_fails_a_control(tmp_path):
    from .test_compare import row, tables, write

    write(tmp_path, tables({"sdt": [10.0, 11, 12, 13], "tet": [5.0, 5.5, 6.5, 7]}))
    head = {"network": "digits-cnn", "data": "digits", "method": "sdt", "title": "x", "loss": "sdt", "side": "flatness"}
    told = {"level": "a", "value": 1.0, "unit": "loss", "low": 0.5, "high": 1.5, "n": 5}
    rows = [
        head | told | {"measure": "top_eigenvalue[hessian]", "control": control, "verdict": verdict}
        for control, verdict in (("sam", "failed"), ("sam", "passed"), ("halves", "passed"), ("confident", "failed"))
    ]
    file = tmp_path / "elsewhere" / "controls.csv"
    file.parent.mkdir()
    pd.DataFrame(rows).to_csv(file, index=False)
    found = compare.run(compare.Config((tmp_path,), resamples=20, controls=file))
    scale = "changes when weights are rescaled"
    assert row(found, "top_eigenvalue[hessian]")["trust"] == f"{scale}; fails control sam; fails control confident"
    assert "fails" not in row(found, "test_accuracy")["trust"]
    said = compare.table(found.to_frame(), found.tables)
    assert "r k (sam, confident)" in said
    assert "k fails the controls named" in said
    other = [one | {"data": "cifar10"} for one in rows]
    pd.DataFrame(other).to_csv(tmp_path / "tables" / "controls.csv", index=False)
    beside = row(compare.run(compare.Config((tmp_path,), resamples=20)), "top_eigenvalue[hessian]")["trust"]
    where = "(digits-cnn on cifar10)"
    assert beside == f"{scale}; fails control sam {where}; fails control confident {where}"
    with pytest.raises(FileNotFoundError, match="no table"):
        compare.run(compare.Config((tmp_path,), controls=tmp_path / "none.csv"))
