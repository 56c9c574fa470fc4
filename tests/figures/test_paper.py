"""The command: what it writes, what it says, and its exit status."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from figures import paper
from figures.pictures import catalogue
from tests.figure_tables import complete, made_up, write

pytestmark = pytest.mark.filterwarnings("error")
NAMES = {picture.name for picture in catalogue.PICTURES}


KINDS = {"pdf": b"%PDF", "png": b"\x89PNG", "svg": b"<?xml", "txt": b""}


def only(monkeypatch, *names):
    monkeypatch.setattr(catalogue, "PICTURES", tuple(one for one in catalogue.PICTURES if one.name in names))


def test_every_figure_is_made_in_all_formats_with_its_caption_beside_it(tmp_path, capsys):
    write(tmp_path, complete(seeds=2))
    assert paper.main([str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    made = {tmp_path / "figures" / f"{name}.{kind}" for name in NAMES for kind in KINDS}
    assert {Path(line) for line in out.splitlines()} == made
    assert set((tmp_path / "figures").iterdir()) == made
    assert err == ""
    for file in made:
        assert file.read_bytes().startswith(KINDS[file.suffix[1:]])
    for pdf in (tmp_path / "figures").glob("*.pdf"):
        assert b"/Type3" not in pdf.read_bytes()  # TrueType, fonttype 42
        assert b"CreationDate" not in pdf.read_bytes()


def test_the_same_tables_give_the_same_bytes_in_another_process(tmp_path, monkeypatch):
    frames = made_up(seeds=2)
    here, there = (write(tmp_path / name, {"energy": frames["energy"]}) for name in ("here", "there"))
    assert paper.main([str(here)]) == 0
    script = "import sys; from figures import paper; sys.exit(paper.main(sys.argv[1:]) + 10 * ('torch' in sys.modules))"
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        [*command, str(there)], cwd=Path(__file__).parents[2], env={**os.environ, "PYTHONHASHSEED": "7"}, check=False
    )
    assert done.returncode == 0  # and torch was not needed
    for name in ("energy.pdf", "energy.png", "energy.svg", "energy.txt"):
        assert (here / "figures" / name).read_bytes() == (there / "figures" / name).read_bytes()


def test_captions_are_in_the_picture_where_that_is_asked_for(tmp_path, monkeypatch):
    only(monkeypatch, "energy")
    write(tmp_path, {"energy": made_up(seeds=2)["energy"]})
    figures, sizes = tmp_path / "figures", []
    for flags, burnt in (([], False), (["--captions"], True)):
        assert paper.main([str(tmp_path), *flags]) == 0
        heading, caption, reading = (figures / "energy.txt").read_text().strip().split("\n\n")
        assert heading == next(one.heading for one in catalogue.PICTURES)
        assert reading.endswith(".")
        assert "test examples" in caption
        words = (figures / "energy.svg").read_text()
        assert ("Labels: timesteps" in words) is burnt  # matplotlib writes the words of a path beside it
        sizes.append(len(words))
    assert sizes[1] > sizes[0]


def test_all_pictures_are_as_wide_as_asked_for_or_as_their_names_need(tmp_path, monkeypatch):
    only(monkeypatch, "energy", "momentum", "flatness")
    frames = made_up(seeds=2)
    write(tmp_path, {name: frames[name] for name in ("energy", "momentum", "compare")})
    assert paper.main([str(tmp_path), "--width", "3.4"]) == 0
    widths = {}
    for name in ("energy", "momentum", "flatness"):
        words = (tmp_path / "figures" / f"{name}.svg").read_text()
        widths[name] = float(words.split('width="')[1].split("pt")[0]) / 72
    assert widths == pytest.approx({"energy": 3.4, "momentum": 3.4, "flatness": 7.0})
    assert paper.main([str(tmp_path), "--width", "1"]) == 2


def test_pictures_without_their_tables_are_named_on_one_line(tmp_path, capsys):
    frames = made_up(seeds=1, methods=("sdt",))
    write(tmp_path, {name: frames[name] for name in ("timesteps", "energy", "momentum_layers")})
    assert paper.main([str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    made = {"scalability", "per-timestep", "agreement", "calibration", "energy"}
    assert {Path(line).stem for line in out.splitlines()} == made
    (absent,) = err.splitlines()
    assert "scalability-ways" not in absent  # which nobody asked for
    start = "python -m figures.paper: 31 of 37 pictures are of what was not measured here: "
    assert absent.startswith(start)
    named = dict(one.removesuffix(")").split(" (") for one in absent.removeprefix(start).split(", "))
    assert set(named) == NAMES - made - {"scalability-ways"}
    assert named["momentum-layers"] == "descent_layers"
    assert named["trajectory"] == "surface_path and surface and surface_axes"


def test_a_study_says_nothing_of_pictures_that_nothing_was_measured_for_but_of_damage(tmp_path, capsys, monkeypatch):
    only(monkeypatch, "energy", "switch", "surfaces")
    write(tmp_path, {"energy": made_up(seeds=1)["energy"]})
    assert paper.main([str(tmp_path), "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    (tmp_path / "tables" / "switch.csv").write_text("a,b\n1\n")
    assert paper.main([str(tmp_path), "--quiet"]) == 0
    assert "switch.csv" in capsys.readouterr().err


def test_no_table_at_all_is_one_line(tmp_path, capsys):
    (tmp_path / "tables").mkdir()
    assert paper.main([str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"python -m figures.paper: error: no figure made: no usable table in {tmp_path / 'tables'}"


def test_a_picture_of_several_tables_needs_them_all(tmp_path, capsys, monkeypatch):
    only(monkeypatch, "gap-in-loss", "trajectory")
    frames = complete(seeds=2)
    write(tmp_path, {name: frames[name] for name in ("measures", "surface", "surface_path", "surface_axes")})
    assert paper.main([str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert {Path(line).stem for line in out.splitlines()} == {"trajectory"}
    assert "gap-in-loss (correlation)" in err


def test_a_garbled_table_costs_its_figure(tmp_path, capsys, monkeypatch):
    only(monkeypatch, "energy", "flatness")
    frames = made_up(seeds=1)
    write(tmp_path, {"energy": frames["energy"].drop(columns="joules"), "compare": frames["compare"]})
    assert paper.main([str(tmp_path)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "energy.csv: lacks the column joules" in line


def test_a_table_that_holds_nothing_to_draw_is_named(tmp_path, capsys, monkeypatch):
    only(monkeypatch, "descent", "surfaces")
    frames = made_up(seeds=1)
    surface = frames["surface"]
    descent = frames["descent"].assign(ratio=float("nan"))
    write(tmp_path, {"surface": surface[surface["kind"] == "line"], "descent": descent})
    assert paper.main([str(tmp_path)]) == 1
    *lines, last = capsys.readouterr().err.splitlines()
    assert "surface.csv: no rows of kind 'plane'" in lines[0]
    assert "descent.csv: no finite value of ratio" in lines[1]
    assert "no figure made" in last


def test_networks_get_files_of_their_own(tmp_path, monkeypatch, capsys):
    only(monkeypatch, "energy")
    frame = made_up(seeds=1)["energy"]
    write(tmp_path, {"energy": pd.concat([frame, frame.assign(network="resnet19")])})
    assert paper.main([str(tmp_path)]) == 0
    assert {Path(line).stem for line in capsys.readouterr().out.splitlines()} == {
        "energy-digits-cnn-digits",
        "energy-resnet19-digits",
    }


def test_checkpoints_that_share_a_seed_are_said_to_count_once(tmp_path, monkeypatch, capsys):
    only(monkeypatch, "energy")
    frame = made_up(seeds=1)["energy"]
    write(tmp_path, {"energy": pd.concat([frame, frame.assign(checkpoint=frame["checkpoint"] + "-copy")])})
    assert paper.main([str(tmp_path)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "energy: 4 checkpoints share a seed" in line


@pytest.mark.parametrize("folder", ["nothing-here", "."])
def test_no_table_is_one_line_and_exit_1(tmp_path, capsys, monkeypatch, folder):
    only(monkeypatch)
    assert paper.main([str(tmp_path / folder)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert str(tmp_path) in err
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_line_and_exit_1(tmp_path, capsys, monkeypatch):
    only(monkeypatch, "energy")
    write(tmp_path, {"energy": made_up(seeds=1)["energy"]})
    (tmp_path / "figures").write_text("in the way")
    assert paper.main([str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "figures" in line


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_disk_without_room_is_one_line_and_leaves_nothing(size, tmp_path, capsys, monkeypatch):
    only(monkeypatch, "energy")
    write(tmp_path, {"energy": made_up(seeds=1)["energy"]})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        status = paper.main([str(tmp_path)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "File too large" in line
    assert list((tmp_path / "figures").iterdir()) == []


def test_a_folder_in_a_picture_s_place_is_one_line_and_exit_1(tmp_path, capsys, monkeypatch):
    only(monkeypatch, "energy")
    write(tmp_path, {"energy": made_up(seeds=1)["energy"]})
    (tmp_path / "figures" / "energy.png").mkdir(parents=True)
    assert paper.main([str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path / 'figures' / 'energy.png'} is a folder, and a file is to be written there: move it" in line
    assert not list((tmp_path / "figures").glob(".*"))


@pytest.mark.parametrize("argv", [[], ["a", "b"], ["--what"]])
def test_unusable_arguments_are_one_line_and_exit_2(argv, capsys):
    assert paper.main(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "error" in line


def test_help_is_no_failure(capsys):
    assert paper.main(["--help"]) == 0
    assert "DIR" in capsys.readouterr().out


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    only(monkeypatch, "energy")
    write(tmp_path, {"energy": made_up(seeds=1)["energy"]})
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "energy.pdf").write_text("old")

    original = Path.write_bytes

    def dies(self, content):
        original(self, content[: len(content) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", dies)
    assert paper.main([str(tmp_path)]) == 130
    assert [file.name for file in (tmp_path / "figures").iterdir()] == ["energy.pdf"]
    assert (tmp_path / "figures" / "energy.pdf").read_text() == "old"


@pytest.mark.parametrize("picture", catalogue.PICTURES, ids=lambda picture: picture.name)
def test_type_is_never_below_seven_points_and_widths_are_the_pages(picture):
    frames = complete(seeds=2)
    with paper.command.style.paper():
        figure = Figure(figsize=(picture.width, picture.height), layout="constrained")
        picture.onto(figure, *(frames[name] for name in (picture.table, *picture.beside)))
        sizes = [float(text.get_fontsize()) for text in figure.findobj(Text)]
    assert min(sizes) >= 7
    assert figure.get_figwidth() in (3.4, 7.0)
