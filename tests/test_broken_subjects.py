"""Subjects that fail in the middle of others: what is refused, what is said, and what is measured all the same."""

import html
import json
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from analysis import (
    compare,
    energy,
    hessian,
    momentum,
    path,
    robustness,
    sharpness,
    stability,
    study,
    timesteps,
)
from analysis.stability import has_steps
from analysis.study import own, refused
from analysis.study.trainings import folders
from analysis.subject import Subject
from models import train
from tables import left_out
from tests.own_file import own_file

MINE = """
import os
import torch
from torch import nn
from torch.utils.data import TensorDataset
from analysis.subject import Subject


def Net():
    return nn.Sequential(nn.Linear(4, 3))


class Timed(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Net()

    def forward(self, x):
        return self.inner(x).unsqueeze(0)


def part():
    return TensorDataset(torch.randn(12, 4, generator=torch.Generator().manual_seed(1)), torch.arange(12) % 3)


def data():
    return part(), part()


class Fails(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.inner, self.how = Net(), how

    def forward(self, x):
        if self.how == "exit":
            os._exit(3)
        return torch.linalg.cholesky(-torch.eye(3)) if self.how == "own" else self.inner(x)


class Data(torch.utils.data.Dataset):
    def __init__(self, how):
        self.how = how

    def __len__(self):
        return 12

    def __getitem__(self, place):
        return (torch.zeros(4 + place % 2 * (self.how == "ragged")), place % 3)


def good(s=0, method="good"):
    torch.manual_seed(s)
    return Subject(Net(), train=part(), name="x", method=method)


def mixed(how="ragged", only=False):
    bad = Subject(Fails(how), train=Data(how), name="bad", method="bad")
    return [bad] if only else [bad, Subject(Net(), train=part(), test=part(), name="fine", method="fine")]
"""


mine = own_file("failing_mine.py", MINE)


@pytest.fixture
def short(monkeypatch):
    """A study of two analyses."""
    whole = own.analyses
    monkeypatch.setattr(own, "analyses", lambda *given: {name: whole(*given)[name] for name in ("timesteps", "energy")})


def test_two_subjects_of_one_title_are_refused_wherever_they_come_from(capsys):
    assert hessian.main(["failing_mine.py:good?s=0", "failing_mine.py:good?s=1", "--quiet"]) == 1
    assert "two subjects are called x" in capsys.readouterr().err
    Path("x").touch()
    assert hessian.main(["failing_mine.py:good", "x", "--quiet"]) == 1
    assert "two subjects are called x" in capsys.readouterr().err


def test_the_line_of_a_failure_says_of_which_of_several_it_is(capsys):
    assert timesteps.main(["failing_mine.py:mixed?how=own", "--quiet"]) == 1
    assert "bad" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"^2 of 2 failed, nothing is measured: bad: no number; fine: no number"):
        timesteps.command.analyse(
            timesteps.Config((Path("failing_mine.py:mixed?how=none"),), quiet=True), refusing("no number")
        )


def refusing(message):
    def measure(subject, config):
        raise ValueError(message)

    return measure


@pytest.mark.slow(keep=1)
@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("how", "said"), [("ragged", "RuntimeError: "), ("own", "leading minor of order 1"), ("exit", "process ended")]
)
def test_a_study_is_made_without_the_subject_that_fails(capsys, how, said):
    assert study.main(["--subjects", f"failing_mine.py:mixed?how={how}", "--out", "all", "--reference", "bad"]) == 1
    told = capsys.readouterr()
    line = told.err.strip().splitlines()[-1]
    assert "all/report.html is made without what failed: timesteps, energy of bad: " in line
    assert "\nfine alone: nothing to compare it with" in told.out
    assert "\nreport: all/report.html; tables: all/tables; pictures: all/figures\n" in told.out
    assert line.count(said) == 1
    assert "fine is the reference" in line
    summary, _, absent = html.unescape(Path("all/report.html").read_text()).partition("<h3>Not here</h3>")
    assert "Not in this:</strong> nothing was measured of bad;" in summary.partition("Comparison</h2>")[0]
    assert "<li>timesteps, energy left out of bad: " in absent
    assert sum("left out of bad: " in line for line in told.err.splitlines()) == 1  # told when it first came
    assert said in absent
    assert left_out.read(Path("all")) == json.loads(Path("all/left_out.json").read_text())
    assert set(pd.read_csv("all/tables/timesteps.csv")["checkpoint"]) == {"fine"}


OLDER = """
from failing_mine import *


class Later(nn.Module):
    def __init__(self, fails):
        super().__init__()
        self.inner, self.fails = Net(), fails

    def forward(self, x):
        if self.fails and os.path.exists("fail"):
            raise ValueError("no more")
        return self.inner(x)


def both():
    return [
        Subject(Later(name == "later"), train=part(), test=part(), name=name, method=name)
        for name in ("fine", "later")
    ]
"""


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_tables_of_a_subject_that_fails_now_count_nowhere(capsys):
    Path("older_mine.py").write_text(OLDER)
    argv = ["--subjects", "older_mine.py:both", "--out", "all"]
    assert study.main(argv) == 0
    assert set(pd.read_csv("all/tables/timesteps.csv")["checkpoint"]) == {"fine", "later"}
    assert Path("all/tables/compare.csv").exists()
    kept = Path("all/later/tables/timesteps.csv").read_bytes()
    page = Path("all/report.html").read_bytes()
    Path("fail").touch()
    Path("older_mine.py").write_text(OLDER + "\n")  # what was measured is measured anew
    assert study.main(argv) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "all/report.html is made without what failed: timesteps, energy of later: " in said
    assert "no more" in said
    for name in ("timesteps", "energy"):
        assert set(pd.read_csv(f"all/tables/{name}.csv")["checkpoint"]) == {"fine"}
    assert not Path("all/tables/compare.csv").exists()
    assert Path("all/later/tables/timesteps.csv").read_bytes() == kept
    assert Path("all/report.html").read_bytes() != page
    sys.modules.pop("older_mine", None)


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_a_table_that_none_but_failing_subjects_gave_goes(monkeypatch):
    Path("older_mine.py").write_text(OLDER)
    argv = ["--subjects", "older_mine.py:both", "--out", "all"]
    assert study.main(argv) == 0
    assert Path("all/tables/energy.csv").exists()

    before = own.analyses

    def no_energy(settings, subjects):
        raise ValueError("no energy")

    def failing(*given):
        found = before(*given)
        return found | {"energy": (no_energy, found["energy"][1])}

    monkeypatch.setattr(own, "analyses", failing)
    monkeypatch.setattr(own, "_finished", lambda *_: False)
    assert study.main(argv) == 1
    assert not list(Path("all/tables").glob("energy*"))
    assert set(pd.read_csv("all/tables/timesteps.csv")["checkpoint"]) == {"fine", "later"}
    sys.modules.pop("older_mine", None)


@pytest.mark.usefixtures("short")
def test_a_study_in_which_nothing_can_be_measured_says_so(capsys):
    assert study.main(["--subjects", "failing_mine.py:mixed?only=True", "--out", "all"]) == 1
    said = capsys.readouterr().err
    assert "error: nothing could be measured: timesteps, energy of bad: " in said
    assert "stack expects each tensor to be equal size" in said


def test_subjects_without_a_name_are_no_demo(capsys):
    assert study.main(["--subjects", "--out", "all"]) == 1
    assert "no subject: name one or more" in capsys.readouterr().err
    assert not Path("all").exists()


def test_no_subject_gets_a_folder_that_the_study_has_itself():
    names = ["..", ".", "", "Tables", "figures", "report.html", "a/b"]
    assert list(folders(names).values()) == ["_..", "_.", "_", "_Tables", "_figures", "_report.html", "a_b"]


@pytest.mark.parametrize("word", ["name", "method", "data", "architecture"])
@pytest.mark.parametrize("text", ["a\nb", "a\x1b[2J", "a\u2028b"])
def test_words_that_no_table_shows_are_refused(word, text):
    part = TensorDataset(torch.zeros(3, 4), torch.arange(3))
    with pytest.raises(ValueError, match=f"a subject's {word} must") as refusal:
        Subject(nn.Linear(4, 3), train=part, **{word: text})
    assert text not in str(refusal.value)


def test_reasons_are_told_as_they_are():
    few = [refused.Refused(name, f"no file at runs/{name}/x", False) for name in ("a", "run")]
    told = ["rise left out of a: no file at runs/a/x", "rise left out of run: no file at runs/run/x"]
    assert refused.told("rise", few) == told
    assert refused.told("rise", [one._replace(reason="no") for one in few], "{} of {}: {}") == ["rise of a, run: no"]


def test_what_failed_for_one_reason_is_told_once():
    a, b, c = (refused.Refused(name, "no", False) for name in "abc")
    other = refused.Refused("a", "yes", False)
    failures = [("rise", a), ("rise", b), ("rise", c), ("energy", a), ("energy", b), ("history", other)]
    assert refused.summed(failures) == ["rise, energy of a, b: no", "rise of c: no", "history of a: yes"]


def test_the_end_tells_the_first_cause_of_every_subject_and_that_there_are_others():
    a, b, other = (refused.Refused(name, why, False) for name, why in (("a", "no"), ("b", "no"), ("a", "yes")))
    failures = [("rise", a), ("rise", b), ("energy", a), ("history", other)]
    found = refused.once_each(failures)
    assert found == ["rise, energy of a: no", "rise of b: no", "for other causes, told above, more of a"]
    assert refused.once_each(failures[:2]) == ["rise of a, b: no"]


def part(inputs, targets):
    return TensorDataset(inputs, targets)


THREE = torch.arange(12) % 3
WRONG = {
    "shape": (nn.Linear(5, 3), part(torch.zeros(12, 4), THREE), None),
    "index": (nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(8, 3)), part(THREE[:, None] + 4, THREE), None),
    "infinite": (nn.Linear(4, 3), part(torch.rand(12, 4), THREE), {"l": lambda out, y: out.sum(1) / 0 * (y + 1)}),
}
SAID = {
    "shape": ("subject net-shape, train data: the model fails on a batch: RuntimeError: ", "(8x4 and 5x3)", "[8, 4]"),
    "index": ("subject net-index, train data: the model fails on a batch: IndexError: ", "[8, 1] of 4 … 6"),
    "infinite": ("net-infinite, train data: the loss l is ", "there is no landscape around them"),
}


@pytest.mark.parametrize("how", WRONG)
def test_what_a_user_s_model_or_loss_does_is_told_with_subject_split_and_shapes(how):
    network, train, losses = WRONG[how]
    subject = Subject(network, train=train, losses=losses, name=f"net-{how}")
    with pytest.raises(ValueError, match="net-") as refusal:
        hessian.run(hessian.Config(quiet=True, images=8, density=False, radius=False), [subject])
    said = str(refusal.value)
    assert said.startswith(SAID[how][0])
    assert all(words in said for words in SAID[how])
    assert said.count(f"net-{how}") == 1


@pytest.mark.parametrize("split", ["train", "test"])
def test_inputs_and_targets_are_as_many(split):
    good, bad = (torch.zeros(6, 4), torch.zeros(6)), (torch.zeros(60, 4), torch.zeros(50))
    with pytest.raises(ValueError, match=f"^subject x: its {split} data .* x has 60 examples, y 50$"):
        Subject(nn.Linear(4, 3), **{"train": good, split: bad}, name="x")
    Subject(nn.Linear(4, 3), train=(torch.zeros(4, 50, 3), torch.zeros(50)), name="x")  # time may come first


def trained(out, *words):
    argv = ["--data", "failing_mine.py:data", "--epochs", "1", "--quiet", "--out", out]
    assert not train.main([*argv, *words])


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_a_study_takes_checkpoints_with_code(capsys):
    trained("k", "--model", "failing_mine.py:Net", "--loss", "ce")
    argv = ["--subjects", "k/ckpt.pt", "failing_mine.py:good", "--out", "all"]
    assert study.main(argv) == 1
    assert "without what failed: k/ckpt.pt: " in (said := capsys.readouterr().err)
    assert "add --code" in said
    assert set(pd.read_csv("all/tables/timesteps.csv")["checkpoint"]) == {"x"}
    study.main([*argv, "--code", "failing_mine.py"])
    assert set(pd.read_csv("all/tables/timesteps.csv")["checkpoint"]) == {"k/ckpt.pt", "x"}


def test_weights_of_a_file_are_chosen(capsys):
    raw, ema = (nn.Sequential(nn.Linear(4, 3)).state_dict() for _ in range(2))
    torch.save({"state_dict": raw, "state_dict_ema": ema}, "theirs.pth")
    torch.save(ema, "ema.pth")
    flags = ["--network", "failing_mine.py:Net", "--data", "failing_mine.py:data", "--quiet"]
    tables: list[pd.DataFrame] = []
    for words in (["theirs.pth"], ["theirs.pth", "--weights", "ema"], ["ema.pth"]):
        assert not timesteps.main([*words, *flags, "--out", f"tables{len(tables)}"])
        tables.append(
            pd.read_csv(f"tables{len(tables)}/timesteps.csv").drop(columns=["checkpoint", "method", "training"])
        )
    pd.testing.assert_frame_equal(tables[1], tables[2])
    assert not tables[0].equals(tables[1])
    assert timesteps.main(["theirs.pth", "--weights", "ema"]) == 1
    assert "--weights ema takes --network" in capsys.readouterr().err


def test_stability_and_paths_take_networks_of_the_user_s_own():
    for seed in ("0", "1"):
        words = ["--model", "failing_mine.py:Timed", "--loss", "sdt", "--seed", seed]
        trained(f"run{seed}", *words, "--optimizer", "sgd")
    flags = ["--code", "failing_mine.py", "--quiet", "--out"]
    assert stability.main(["run0/ckpt.pt", *flags, "stable"]) == 0
    assert set(pd.read_csv("stable/stability.csv")["curvature"]) == {"exact"}
    assert path.main(["run0/ckpt.pt", "run1/ckpt.pt", *flags, "between"]) == 0
    assert not has_steps(Subject.load(Path("run0/ckpt.pt"), code=("failing_mine.py",)))


@pytest.mark.parametrize(
    ("n", "said", "told"),
    [
        (2, "2 seeds are too few to say", "2 seeds are too few to say"),
        (3, "sharper from 0.1 to 1", "fast is sharper from 0.1 to 1"),
    ],
)
def test_the_line_by_radius_is_a_sentence_for_any_number_of_seeds(n, said, told):
    sides = {"method": "fast", "reference": "slow"}
    row = {"along": "plane", "loss": "ce", "logits": "plain", "verdict": f"fast against slow: {said}", "n": n}
    found = compare.verdict(pd.DataFrame([sides | {"measure": "energy"}]), {"crossovers": pd.DataFrame([sides | row])})
    assert found.splitlines()[-1] == f"  by radius: {told} (ce loss)"


def batch(target, classes=3, steps=0):
    """A network's data, or what one that takes steps of its own returns for them."""
    inputs = torch.randn(len(target), 4, generator=torch.Generator().manual_seed(0))
    return Subject(nn.Linear(4, classes) if not steps else Several(steps), train=(inputs, target), name="x")


class Several(nn.Module):
    def __init__(self, steps):
        super().__init__()
        self.inner, self.steps = nn.Linear(4, 3), steps

    def forward(self, x):
        return self.inner(x).expand(self.steps, len(x), 3)


@pytest.mark.parametrize(
    ("target", "classes", "steps", "seen", "line"),
    [
        (THREE.float(), 3, 0, "Tensor [8] of float32", "target.long(), or unpack"),
        (THREE.float(), 3, 4, "Tensor [8] of float32", "target.long(), or unpack"),
        (THREE[:, None], 3, 0, "Tensor [8, 1] of int64", "target.squeeze(1), or unpack"),
        (THREE[:, None].float(), 3, 0, "Tensor [8, 1] of float32", "target.squeeze(1).long(), or unpack"),
        (THREE + 0.5, 3, 0, "Tensor [8] of float32", "{'mine': "),
        (torch.rand(12, 3), 3, 0, "Tensor [8, 3] of float32", "{'mse': lambda output, target: (output - target)"),
        (torch.rand(12), 1, 0, "Tensor [8] of float32", "{'mse': lambda output, target: (output.squeeze(-1) - target)"),
    ],
)
def test_a_target_that_says_no_loss_is_shown_with_the_line_that_suits_it(target, classes, steps, seen, line):
    with pytest.raises(ValueError, match="which loss") as refusal:
        batch(target, classes, steps).asked("all")
    said = str(refusal.value)
    assert f"beside its target, {seen}" in said
    assert line in said
    assert ("mse" in said) is ("mse" in line)


@pytest.mark.parametrize("whole", [True, False])
def test_one_hot_targets_are_asked_about(whole):
    target = torch.eye(3)[THREE].long() if whole else torch.eye(3)[THREE]
    subject = batch(target)
    with pytest.raises(ValueError, match="one of several classes, or labels") as refusal:
        subject.asked("all")
    _, _, line = str(refusal.value).partition("say so: ")
    said = eval(f"dict({line})", {"torch": torch})
    named = Subject(subject.network, train=subject.train, name="x", **said)
    assert list(named.asked("all")) == ["bce"]
    assert named.layout.answers == "labels"
    classes = Subject(subject.network, train=subject.train, unpack=lambda pair: (pair[0], pair[1].argmax(1)), name="x")
    assert list(classes.asked("all")) == ["ce"]
    own_loss = Subject(subject.network, train=subject.train, losses={"ce": nn.CrossEntropyLoss(reduction="none")})
    assert own_loss.score is None  # of classes or of labels isn't said
    two = torch.cat([torch.eye(3)[THREE][:4], torch.ones(8, 3)])
    assert list(batch(two).asked("all")) == ["bce"]


class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, 3, dtype=torch.complex64, generator=torch.Generator().manual_seed(0)))

    def forward(self, x):
        return (x.to(torch.complex64) @ self.w).abs()


def complex_one():
    return Subject(Complex(), train=(torch.rand(12, 4), THREE), name="x")


@pytest.mark.parametrize("analysis", [energy, momentum])
def test_complex_weights_are_refused_in_one_line(analysis):
    with pytest.raises(ValueError, match=r"^x: parameter 'w' is complex, and .* of real"):
        analysis.run(analysis.Config(quiet=True), [complex_one()])


@pytest.mark.parametrize("measure", ["norms", "relative-flatness", "fisher-rao"])
def test_measures_of_real_weights_refuse_complex_ones(measure):
    with pytest.raises(ValueError, match="parameter 'w' is complex"):
        sharpness.run(sharpness.Config(quiet=True, measures=(measure,)), [complex_one()])


def test_complex_weights_are_not_rounded_and_keep_their_imaginary_parts_under_noise(capsys):
    table = robustness.run(robustness.Config(draws=2), [complex_one()]).tables["robustness"]
    assert "rounding is left out: parameter 'w' is complex" in capsys.readouterr().err
    assert "weight_noise" in set(table["perturbation"])
    assert "rounding" not in set(table["perturbation"])


GOES = """
import os
from failing_mine import *


def elsewhere():
    os.makedirs("other", exist_ok=True)
    os.chdir("other")
    return [Subject(Net(), train=part(), test=part(), name=name, method=name) for name in ("a", "b")]
"""


@pytest.mark.slow(keep=1)
@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("command", ["timesteps", "study"])
def test_tables_lie_where_they_are_said_to_whatever_folder_the_code_goes_to(monkeypatch, tmp_path, capsys, command):
    monkeypatch.chdir(tmp_path)
    Path("goes_mine.py").write_text(GOES)
    Path("failing_mine.py").write_text(MINE)
    if command == "study":
        assert study.main(["--subjects", "goes_mine.py:elsewhere", "--out", "here"]) == 0
        said = capsys.readouterr().out
        assert said.startswith("2 networks, ")
        assert "tables: " in said
        assert (tmp_path / "here" / "report.html").exists()
    else:
        assert timesteps.main(["goes_mine.py:elsewhere", "--out", "here/tables", "--data-root", "root"]) == 0
        assert json.loads((tmp_path / "here/tables/timesteps.json").read_text())["settings"]["data_root"] == "root"
    assert (tmp_path / "here" / "tables" / "timesteps.csv").exists()
    assert not (tmp_path / "other" / "here").exists()
    sys.modules.pop("goes_mine", None)
