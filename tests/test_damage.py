"""Bytes gone wrong, in whatever a command reads: what was meant, or one line and exit 1, and nothing half-written."""

import importlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from analysis import compare, history, path, surface
from analysis.surface.journal import Journal
from figures import interactive, paper
from figures.pictures import catalogue
from landscape.curvature import Recorded
from models.checkpoint import load
from models.training import momentum
from tables import record as records
from tables.reading import TableError
from tables.record import origin
from tables.result import Result
from tests.commands import ANALYSES
from tests.figure_rows import coarse
from tests.figure_tables import complete, made_up, write
from tests.oracles import Dense
from tests.test_bad_tables import TEXTS

SMALL = {"timesteps": 2, "train_images": 40, "batch_size": 20}
IN_PLACE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


@st.composite
def damages(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Cut off, bits flipped, bytes overwritten, two stretches exchanged, a stretch doubled or left out."""
    kind = draw(st.sampled_from(["cut", "flip", "bytes", "swap", "twice", "without"]))
    places = sorted(draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=4)))
    byte, length = draw(st.integers(0, 255)), draw(st.integers(1, 200))

    def damage(content: bytes) -> bytes:
        at = [int(place * len(content)) for place in places]
        first, last = at[0], max(at[-1], min(at[0] + length, len(content)))
        here, there = content[first : first + length], content[last : last + length]
        between = content[first + length : last]
        if kind == "cut":
            return content[:first]
        if kind == "swap":
            return content[:first] + there + between + here + content[last + length :]
        if kind == "twice":
            return content[: first + length] + content[first:]
        if kind == "without":
            return content[:first] + content[first + length :]
        wrong = bytearray(content)
        for place in at if content else ():
            wrong[place] = wrong[place] ^ (1 << byte % 8) if kind == "flip" else byte
        return bytes(wrong)

    return damage


def refused(capsys: pytest.CaptureFixture[str], prog: str) -> str:
    """The one line that a command said."""
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == ""
    assert line.startswith(f"python -m {prog}: error: ")
    return line


@pytest.fixture(scope="module")
def checkpoint(digits_checkpoint) -> Path:
    return digits_checkpoint("tet", **SMALL)


# checkpoints


@IN_PLACE
@given(damage=damages(), legacy=st.booleans())
def test_a_damaged_checkpoint_is_one_line_and_nothing_is_written(damage, legacy, checkpoint, tmp_path, capsys):
    whole = checkpoint.read_bytes()
    if legacy:  # torch before 1.6, without checksums
        buffer = io.BytesIO()
        torch.save(torch.load(checkpoint, weights_only=True), buffer, _use_new_zipfile_serialization=False)
        whole = buffer.getvalue()
    (tmp_path / "ckpt.pt").write_bytes(damage(whole))
    shutil.rmtree(tmp_path / "tables", ignore_errors=True)
    capsys.readouterr()
    if history.main([str(tmp_path / "ckpt.pt"), "--quiet", "--out", str(tmp_path / "tables")]):
        assert str(tmp_path / "ckpt.pt") in refused(capsys, "analysis.history")
        assert not (tmp_path / "tables").exists()
    else:
        for name, value in load(checkpoint).state_dict.items():
            assert torch.equal(load(tmp_path / "ckpt.pt").state_dict[name], value)


@pytest.mark.parametrize("name", [*ANALYSES, "convert", "train"])
def test_every_command_refuses_a_truncated_checkpoint_and_leaves_it_alone(name, checkpoint, tmp_path, capsys):
    bad = tmp_path / "run" / "ckpt.pt"
    bad.parent.mkdir()
    content = checkpoint.read_bytes()[:-100]
    bad.write_bytes(content)
    out = str(tmp_path / "out")
    arguments = {
        "path": [str(checkpoint), str(bad), "--out", out, "--quiet"],
        "convert": [str(bad), "--as", "resnet18", "--data", "digits", "--loss", "sdt", "--out", f"{out}/ckpt.pt"],
        "train": ["--out", str(bad.parent), "--quiet"],
    }
    package = "models" if name in ("convert", "train") else "analysis"
    main = importlib.import_module(f"{package}.{name}").main
    assert main(arguments.get(name, [str(bad), "--out", out, "--quiet"])) == 1
    assert f"{bad} can't be read as a checkpoint: it is truncated" in refused(capsys, f"{package}.{name}")
    assert bad.read_bytes() == content
    assert [each.name for each in tmp_path.rglob("*")] == ["run", "ckpt.pt"]


# what a run goes on from


@pytest.mark.slow
@IN_PLACE
@given(damage=damages())
def test_a_damaged_journal_is_refused_or_what_it_lost_is_computed_anew(damage, checkpoint, tmp_path, capsys):
    argv = [str(checkpoint), "--images", "4", "--draws", "1", "--points", "3", "--plane-draws", "0", "--quiet", "--out"]
    kept, undisturbed = tmp_path / "kept", tmp_path / "undisturbed"
    if not kept.exists():
        assert surface.main([*argv, str(undisturbed)]) == 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Journal, "remove", Journal.close)
            assert surface.main([*argv, str(tmp_path / "out")]) == 0
        shutil.copytree(tmp_path / "out", kept)
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/surface.journal.0").write_bytes(damage((kept / "surface.journal.0").read_bytes()))
    capsys.readouterr()
    if surface.main([*argv, str(tmp_path / "out")]):
        assert "is damaged: delete it" in refused(capsys, "analysis.surface")
        assert len(list((tmp_path / "out").iterdir())) == 1
    else:
        assert (tmp_path / "out/surface.csv").read_bytes() == (undisturbed / "surface.csv").read_bytes()


def test_products_that_change_places_are_refused(tmp_path):
    vectors = torch.eye(3, dtype=torch.float64)
    recording = Recorded(Dense(torch.diag(torch.arange(1.0, 4.0)).double().numpy()), tmp_path)
    for vector in vectors:
        recording @ vector
    one, other, _ = sorted(tmp_path.glob("*.product"))
    contents = one.read_bytes(), other.read_bytes()
    one.write_bytes(contents[1])
    other.write_bytes(contents[0])
    again = Recorded(Dense(torch.diag(torch.arange(1.0, 4.0)).double().numpy()), tmp_path)
    with pytest.raises(ValueError, match=r"\.product is damaged: delete it"):
        [again @ vector for vector in vectors]


TABLES = {"main": pd.DataFrame({"checkpoint": ["a", "b"], "value": [1.5, 2.5]}), "other": pd.DataFrame({"x": [1]})}
RECORD = {"settings": {"images": 3}, "checkpoints": {"a": "00", "b": "01"}, "seconds": 1.25}


@IN_PLACE
@given(damage=damages(), name=st.sampled_from(["main.csv", "main.json", "other.csv"]))
def test_a_table_or_record_that_was_changed_is_never_gone_on_from(damage, name, tmp_path):
    Result(TABLES, RECORD).save(tmp_path)
    whole = (tmp_path / name).read_bytes()
    wrong = damage(whole)
    (tmp_path / name).write_bytes(wrong)
    try:
        found = origin(tmp_path / "main.csv")
    except ValueError as failure:
        assert str(tmp_path) in str(failure)  # noqa: PT017
        assert "delete" in str(failure)  # noqa: PT017
    else:
        assert name == "main.json" or wrong == whole
        assert {type(found["settings"]), type(found["checkpoints"])} == {dict}


def test_path_goes_on_from_no_table_that_was_changed(digits_checkpoint, tmp_path, capsys):
    ends = [str(digits_checkpoint(loss, **SMALL)) for loss in ("sdt", "tet")]
    argv = [*ends, "--kind", "line", "--images", "10", "--points", "3", "--quiet", "--out", str(tmp_path)]
    assert path.main(argv) == 0
    rows = (tmp_path / "path.csv").read_text().splitlines(keepends=True)
    (tmp_path / "path.csv").write_text("".join(rows[:-1]))  # cut between two rows
    capsys.readouterr()
    assert path.main(argv) == 1
    assert "path.csv is not what path.json was written with: delete both" in refused(capsys, "analysis.path")


@IN_PLACE
@given(damage=damages())
def test_a_damaged_momentum_history_is_read_as_numbers_or_refused(damage, tmp_path):
    kept = tmp_path / momentum.NAME
    numbers = ["0.5"] * (len(momentum.COLUMNS) - 4)
    lines = [",".join(momentum.COLUMNS), *(f"{epoch},tet,1,20,{','.join(numbers)}" for epoch in (1, 2, 3))]
    kept.write_bytes(damage("".join(f"{line}\r\n" for line in lines).encode()))
    try:
        rows = momentum.read(kept)
    except ValueError as failure:
        assert "is damaged or another file" in str(failure)  # noqa: PT017
    else:
        assert {row["loss"] for row in rows} <= {"sdt", "tet"}
        pd.DataFrame(rows, columns=momentum.COLUMNS).drop(columns="loss").replace("", "nan").astype(float)


# what is compared and drawn


@IN_PLACE
@given(damage=damages(), name=st.sampled_from(sorted(TEXTS)))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_comparison_that_fails_writes_nothing(damage, name, tmp_path, capsys):
    shutil.rmtree(tmp_path / "tables", ignore_errors=True)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / f"{name}.csv").write_bytes(damage(TEXTS[name]))
    capsys.readouterr()
    if compare.main([str(tmp_path), "--resamples", "3"]):
        assert "error: " in refused(capsys, "analysis.compare")
        assert len(list((tmp_path / "tables").iterdir())) == 1


SURFACE = coarse(made_up(seeds=1)["surface"]).to_csv(index=False).encode()


@IN_PLACE
@given(damage=damages())
def test_a_damaged_surface_is_a_page_or_one_line(damage, tmp_path, capsys):
    shutil.rmtree(tmp_path / "figures", ignore_errors=True)
    write(tmp_path, {})
    (tmp_path / "tables/surface.csv").write_bytes(damage(SURFACE))
    capsys.readouterr()
    if interactive.main([str(tmp_path)]):
        *lines, last = capsys.readouterr().err.splitlines()
        assert "error: no figure made" in last
        assert all("surface.csv" in line for line in lines)
        assert not (tmp_path / "figures").exists()


@IN_PLACE
@given(damage=damages())
def test_a_damaged_record_is_read_or_said_to_be_none(damage, tmp_path):
    write(tmp_path, {})
    content = json.dumps({**RECORD, "versions": {"torch": "2"}, "machine": "x86_64", "seconds": 1234567890123})
    (tmp_path / "tables/surface.json").write_bytes(damage(content.encode()))
    try:
        assert isinstance(records.record(tmp_path, "surface").seconds, float)
    except TableError as failure:
        assert "surface.json: not a record" in str(failure)  # noqa: PT017
    interactive.measured_images(tmp_path)


FRAMES = complete(seeds=2)


@pytest.mark.slow
@settings(IN_PLACE, max_examples=25)
@given(data=st.data(), picture=st.sampled_from(catalogue.PICTURES))
@pytest.mark.filterwarnings("error")
def test_a_partial_table_is_drawn_as_far_as_it_goes_or_said_to_lack_something(data, picture, tmp_path, capsys):
    """Without some of the values in one or two columns, as when a measurement was left out or has not come so far."""
    frame = FRAMES[picture.table]
    shown = [name for name in frame if 1 < frame[name].nunique() < 50]
    for column in data.draw(st.lists(st.sampled_from(shown), min_size=1, max_size=2, unique=True)):
        values = sorted(FRAMES[picture.table][column].dropna().unique(), key=str)
        frame = frame[~frame[column].isin(data.draw(st.lists(st.sampled_from(values), min_size=1, unique=True)))]
    write(tmp_path, {name: FRAMES[name] for name in picture.beside} | {picture.table: frame})
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "PICTURES", (picture,))
        patch.setattr(Figure, "savefig", lambda *_, **__: None)  # slow, and tested in test_figures_paper
        status = paper.main([str(tmp_path)])
    out, err = capsys.readouterr()
    assert bool(out) == (status == 0)
    lines = err.splitlines()[: -status or None]
    assert all(line.startswith(f"python -m figures.paper: {picture.name}") for line in lines)
    assert status == 0 or any(f"{picture.table}.csv" in line for line in lines)


@pytest.mark.slow(keep=1)
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "column", "left", "says"),
    [
        ("switch", "split", "train", ""),
        ("descent", "relative_step", None, ""),
        ("calibration", "statistics", "recalibrated", "no rows of networks with the statistics and frames"),
        ("agreement", "statistics", "recalibrated", "no rows of networks with the statistics and frames"),
    ],
)
def test_tables_of_one_split_one_step_one_kind_of_statistics(name, column, left, says, tmp_path, capsys, monkeypatch):
    (picture,) = (one for one in catalogue.PICTURES if one.name == name)
    frame = FRAMES[picture.table]
    write(tmp_path, {picture.table: frame[frame[column] == (left or frame[column].min())]})
    monkeypatch.setattr(catalogue, "PICTURES", (picture,))
    assert paper.main([str(tmp_path)]) == bool(says)
    assert says in capsys.readouterr().err
