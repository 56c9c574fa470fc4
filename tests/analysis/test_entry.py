"""What an analysis may be called with from Python, and several subjects of which some fail."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from analysis import hessian, path, rise, timesteps
from analysis.failing import Failed
from analysis.subject import Spiking, Subject
from tests.commands import ANALYSES
from tests.own_file import own_file

X = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(30) % 3
DATA = TensorDataset(X, Y)
MINE = """
import torch
from torch import nn
from torch.utils.data import TensorDataset
from analysis.subject import Subject


class Bad(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 3)

    def forward(self, x):
        raise ValueError("no answer")


def one(name, network=None):
    torch.manual_seed(0 if name == "a" else 1)
    data = TensorDataset(torch.randn(12, 4), torch.arange(12) % 3)
    return Subject(network or nn.Linear(4, 3), train=data, name=name)


def subjects(bad="bad"):
    return [one("a"), one(bad, Bad()), one("z")]


def all_bad():
    return [one("b1", Bad()), one("b2", Bad())]
"""


mine = own_file("entry_mine.py", MINE)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Linear(4, 3)


def subject(**more):
    return Subject(network(), **{"train": DATA, "name": "x"} | more)


QUIET = timesteps.Config(quiet=True)


def found(subject):
    return timesteps.run(QUIET, [subject]).to_frame()


# --- what run() takes: as users call it, without this suite's checks of annotated types

SCRIPT = """
import importlib, json, sys
from pathlib import Path
import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset
from analysis import timesteps
from analysis.subject import Subject
from entry_mine import one

net, x, y = nn.Linear(4, 3), torch.zeros(6, 4), torch.arange(6) % 3
given = lambda: Subject(net, train=TensorDataset(x, y), name="x")
checkpoint, names = sys.argv[1], sys.argv[2:]
few = dict(images=20, quiet=True)


def said(call):
    try:
        return call().to_frame().to_csv(index=False)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


good = {
    "list": lambda: timesteps.run(timesteps.Config(**few), [given()]),
    "subject": lambda: timesteps.run(timesteps.Config(**few), given()),
    "generator": lambda: timesteps.run(timesteps.Config(**few), (each for each in [given()])),
    "word": lambda: timesteps.run(timesteps.Config(**few), "entry_mine.py:one?name=a"),
    "words": lambda: timesteps.run(timesteps.Config(**few), ["entry_mine.py:one?name=a"]),
    "named": lambda: timesteps.run(timesteps.Config((Path("entry_mine.py:one?name=a"),), **few)),
    "file": lambda: timesteps.run(timesteps.Config((Path(checkpoint),), **few)),
    "file as word": lambda: timesteps.run(timesteps.Config(**few), checkpoint),
    "file in list": lambda: timesteps.run(timesteps.Config(**few), [Path(checkpoint)]),
    "setting as word": lambda: timesteps.run(timesteps.Config(checkpoint, **few)),
    "setting of words": lambda: timesteps.run(timesteps.Config([checkpoint], **few)),
    "gone": lambda: timesteps.run(timesteps.Config(**few), "gone.pt"),
    "subject for file": lambda: timesteps.run(timesteps.Config((given(),), **few)),
    "nothing": lambda: timesteps.run(timesteps.Config(**few), iter(())),
}
bad = {"module": net, "modules": [net], "number": 3, "dict": {"a": 1}, "tensor": x, "tensors": [x]}
results = {name: said(call) for name, call in good.items()}
for name in names:
    analysis = importlib.import_module(f"analysis.{name}")
    for kind, value in bad.items():
        results[f"{name} {kind}"] = said(lambda: analysis.run(analysis.Config(quiet=True), value))
sources = {"list": [x, y], "word": "mine.npz", "number": 3, "tensor": x, "dict": {"x": x, "y": y},
           "array": np.zeros(3), "single": (x,), "empty": ()}
for kind, source in sources.items():
    results[f"train {kind}"] = said(
        lambda: timesteps.run(timesteps.Config(**few), Subject(net, train=source, name="the one"))
    )
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def called(tmp_path_factory, digits_checkpoint):
    """What each call of the script's came to: a table as CSV, or the refusal."""
    folder = tmp_path_factory.mktemp("called")
    (folder / "entry_mine.py").write_text(MINE)
    (folder / "script.py").write_text(SCRIPT)
    place = Path(timesteps.__file__).parents[2]
    argv = [sys.executable, "script.py", str(digits_checkpoint("tet")), *ANALYSES]
    environment = os.environ | {"PYTHONPATH": f"{place}{os.pathsep}{folder}"}
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_subject_a_generator_words_and_files_are_what_they_name(called):
    assert called["list"].startswith("checkpoint,network,data")
    assert called["subject"] == called["generator"] == called["list"]
    assert called["word"].splitlines()[1].startswith("a,Linear,")
    assert called["word"] == called["words"] == called["named"]
    assert "digits-cnn" in called["file"]
    files = ("file as word", "file in list", "setting as word", "setting of words")
    assert {called[one] for one in files} == {called["file"]}


def test_what_is_no_subject_is_refused_with_the_line_to_write(called):
    kinds = {
        "module": "Linear", "modules": "Linear", "number": "int", "dict": "dict", "tensor": "Tensor",
        "tensors": "Tensor",
    }  # fmt: skip
    for name in ANALYSES:
        for kind, shown in kinds.items():
            said = called[f"{name} {kind}"]
            assert said == (
                f"ValueError: run was given a {shown}, expected subjects: run(Config(), "
                "[Subject(network, train=…, test=…, method='sgd')])"
            ), (name, kind)
    assert called["gone"].startswith("FileNotFoundError: no checkpoint at gone.pt: ")
    assert called["subject for file"].endswith("run(Config(), [subject])")
    assert called["nothing"].startswith("ValueError: no checkpoint given: ")


def test_what_is_no_data_is_one_line(called):
    for kind in ("list", "word", "number", "tensor", "dict", "array", "single", "empty"):
        said = called[f"train {kind}"]
        assert said.startswith("ValueError: "), said
        assert "\n" not in said
        assert "the one" in said


# --- what data may be


def test_a_pair_of_inputs_and_targets_is_all_of_the_data():
    expected = found(subject())
    for pair in ((X, Y), (X.numpy(), Y.numpy()), [(X, Y)]):
        pd.testing.assert_frame_equal(found(subject(train=pair)), expected)
    few = rise.Config(images=10, chunk=4, draws=1, radii=(0.1,), along=("noise",), quiet=True)
    pd.testing.assert_frame_equal(
        rise.run(few, [subject(train=(X, Y))]).to_frame(), rise.run(few, [subject()]).to_frame()
    )


def test_a_pair_whose_inputs_begin_with_time_is_one_batch():
    class Summed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, frames):
            return self.inner(frames)

    frames = torch.randn(5, 30, 4, generator=torch.Generator().manual_seed(1))
    spiking = Spiking(frames=0, time=0)
    whole = Subject(Summed(), train=(frames, Y), spiking=spiking, name="x")
    assert whole.count("train") == 30
    values = whole.objective(whole.asked("sdt")["sdt"], whole.batches("train", None, 7)).value()
    logits = network()(frames).mean(0)
    assert values == pytest.approx(float(nn.functional.cross_entropy(logits, Y)), rel=1e-6)


# --- several, of which some fail


@pytest.mark.parametrize("name", ["hessian", "timesteps", "energy"])
def test_the_others_are_measured_and_what_failed_is_told_at_the_end(name, capsys):
    analysis = importlib.import_module(f"analysis.{name}")
    assert analysis.main(["entry_mine.py:subjects", "--out", "tables", "--quiet"]) == 1
    said = capsys.readouterr()
    *lines, last = said.err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("failed: ")
    assert "bad" in lines[0]
    assert "no answer" in lines[0]
    assert last.endswith("error: 1 of 3 failed: bad")
    assert name in said.out
    table = pd.read_csv(f"tables/{name}.csv")
    assert table["checkpoint"].unique().tolist() == ["a", "z"]


def test_from_python_the_tables_of_the_others_come_with_what_failed():
    with pytest.raises(Failed, match="1 of 3 failed, the others are measured: ") as failure:
        timesteps.run(timesteps.Config((Path("entry_mine.py:subjects"),), quiet=True))
    assert failure.value.result is not None
    table = failure.value.result.to_frame()
    others = tuple(Path(f"entry_mine.py:one?name={name}") for name in "az")
    expected = timesteps.run(timesteps.Config(others, quiet=True)).to_frame()
    pd.testing.assert_frame_equal(table, expected)
    assert failure.value.result.provenance["checkpoints"].keys() == {"a", "z"}


def test_where_all_fail_nothing_is_written(capsys):
    assert hessian.main(["entry_mine.py:all_bad", "--out", "tables", "--quiet"]) == 1
    *lines, last = capsys.readouterr().err.strip().splitlines()
    assert [line.split(":")[0] for line in lines] == ["failed", "failed"]
    assert last.endswith("error: 2 of 2 failed: b1, b2")
    assert not list(Path("tables").glob("*"))


def test_of_pairs_too_the_others_are_measured(capsys):
    pairs = ["entry_mine.py:one?name=a", "entry_mine.py:one?name=c", "entry_mine.py:all_bad"]
    argv = [*pairs, "--kind", "line", "--points", "3", "--quiet"]
    assert path.main([*argv, "--out", "tables"]) == 1
    *lines, last = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "no answer" in lines[0]
    assert last.endswith("error: 1 of 2 failed: b1 to b2")
    assert pd.read_csv("tables/path.csv")["other"].unique().tolist() == ["c"]


def test_quiet_is_quiet(capsys):
    assert hessian.main(["entry_mine.py:one?name=a", "--no-radius", "--quiet"]) == 0
    said = capsys.readouterr()
    assert not said.err
    assert "gauss_newton" in said.out
