"""Garbled and incomplete tables, through both commands that read them: one line each, and never a traceback."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from analysis import compare
from figures import paper
from figures.pictures import catalogue
from tables.reading import TableError, read
from tables.schema import SCHEMA
from tests.figure_tables import LOSSES, complete, identity, made_up

pytestmark = pytest.mark.filterwarnings("error")
FRAMES = made_up(seeds=2)
WHOLE = complete(seeds=2)
PICTURES = {picture.name: picture for picture in catalogue.PICTURES}


def each(rows):
    """A table with ``rows`` of every checkpoint, two a side."""
    names = [identity(training, seed) for training in LOSSES for seed in range(2)]
    return pd.DataFrame([name | row for name in names for row in rows])


TABLES = {name: FRAMES[name] for name in ("hessian", "momentum", "descent", "surface")}
TABLES["timesteps"] = FRAMES["timesteps"].assign(loss_sdt=0.1, loss_tet=0.2, accuracy_cumulative=0.5, images=2)
TABLES["outcomes"] = each(
    [
        {"split": split, "image": image, "correct": image, "loss_sdt": 0.1, "loss_tet": 0.2}
        for split in ("train", "test")
        for image in (0, 1)
    ]
)
TABLES["energy"] = FRAMES["energy"].assign(trained_timesteps=4)
TABLES["trace"] = each([{"loss": loss, "operator": "hessian", "coordinates": "raw", "trace": 7.0} for loss in LOSSES])
TABLES["sharpness"] = each(
    [
        {"loss": "sdt", "split": "train", "measure": "average", "radius": r, "value": r, "rescaling": "invariant"}
        for r in (0.1, 0.2)
    ]
)
TABLES["shapes"] = each(
    [
        {"loss": "sdt", "split": "train", "directions": "random", "kind": "line", "draw": draw, "rise": 0.5,
         "doubling_radius": 0.2, "half_width": 0.4, "roughness": 0.01, "persistence": 0.0,
         "doubling_reached": True, "half_width_reached": True}
        for draw in (0, 1)
    ]
)  # fmt: skip
TABLES["norms"] = each([{"norm": "param_norm", "value": 3.0, "rescaling": "changes"}])
TABLES["robustness"] = each(
    [
        {"split": "test", "perturbation": "lost_spikes", "strength": p, "loss": "sdt", "value": p, "accuracy": 1 - p}
        | {"accuracy_stderr": 0.0, "draws": 1, "images": 90}
        for p in (0.0, 0.1)
    ]
)
TEXTS = {name: table.to_csv(index=False).encode() for name, table in TABLES.items()}


def save(folder, name, content):
    (folder / "tables").mkdir(exist_ok=True)
    text = content.to_csv(index=False).encode() if isinstance(content, pd.DataFrame) else content
    (folder / "tables" / f"{name}.csv").write_bytes(text)


def changed(table, column, value, row=3):
    wrong = table.astype({column: object})
    wrong.loc[wrong.index[row], column] = value
    return wrong


def complaint(capsys):
    (line,) = capsys.readouterr().err.splitlines()
    return line


# analysis.compare


def test_whole_tables_are_compared(tmp_path):
    for name, table in TABLES.items():
        save(tmp_path, name, table)
    assert compare.main([str(tmp_path), "--resamples", "10"]) == 0
    found = pd.read_csv(tmp_path / "tables" / "measures.csv")
    found = found.query("measure == 'top_eigenvalue[hessian]' and loss == 'tet'")
    expected = TABLES["hessian"].query("rank == 1 and operator == 'hessian' and loss == 'tet'")
    assert found["checkpoint"].tolist() == expected["checkpoint"].tolist()
    np.testing.assert_allclose(found["value"], expected["eigenvalue"], rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        ("hessian", TABLES["hessian"].drop(columns="operator"), "lacks the column operator"),
        ("hessian", TABLES["hessian"].drop(columns=["eigenvalue", "seed"]), "lacks the columns seed, eigenvalue"),
        ("timesteps", TABLES["timesteps"].drop(columns="split"), "lacks the column split"),
        ("trace", TABLES["trace"].head(0), "a header and no rows"),
        ("trace", b"", "not a CSV table"),
        ("trace", changed(TABLES["trace"], "trace", "7.0x"), "line 5 has '7.0x' as trace, not a number"),
        ("trace", changed(TABLES["trace"], "trace", "1e300"), "line 5 has '1e300' as trace, expected a number below"),
        ("trace", changed(TABLES["trace"], "coordinates", "row"), "'row' as coordinates, expected one of raw, filter"),
        ("trace", changed(TABLES["trace"], "network", ""), "'' as network; the table looks cut short"),
        ("trace", changed(TABLES["trace"], "seed", "0.5"), "'0.5' as seed, expected a whole number"),
        ("hessian", changed(TABLES["hessian"], "converged", "maybe"), "'maybe' as converged, neither true nor false"),
        ("sharpness", TABLES["sharpness"].assign(measure="worse"), "line 2 has 'worse' as measure, expected one of av"),
        ("sharpness", changed(TABLES["sharpness"], "radius", "inf"), "'inf' as radius, expected a finite number above"),
        ("descent", changed(TABLES["descent"], "relative_step", ""), "'' as relative_step, expected a finite number"),
        ("surface", changed(TABLES["surface"], "alpha", "inf"), "'inf' as alpha, expected a finite number"),
        ("surface", changed(TABLES["surface"], "alpha", -1.0), "a point of a surface twice"),
        ("trace", TEXTS["trace"].replace(b"\nruns", b"\nx,runs"), "line 2 has 11 fields, the header 10"),
        ("trace", TEXTS["trace"][:-30], "line 9 has 4 fields, the header 10"),
        ("trace", TEXTS["trace"][:-1], "the last line does not end"),
        ("surface", TABLES["surface"].iloc[:-1], "draw 0: 120 rows, others 121; the table looks cut short"),
        ("surface", TABLES["surface"].iloc[:-121], "121 rows, others 242; the table looks cut short"),
        ("momentum", TABLES["momentum"].iloc[:-1], "loss tet: 4 rows, others 5"),
    ],
)  # fmt: skip
def test_a_bad_table_is_one_line_that_names_file_fault_and_remedy(name, wrong, says, tmp_path, capsys):
    save(tmp_path, "hessian", TABLES["hessian"])
    save(tmp_path, name, wrong)
    assert compare.main([str(tmp_path)]) == 1
    line = complaint(capsys)
    assert f"tables/{name}.csv: " in line
    assert says in line
    assert line.endswith(f"make it again with python -m analysis.{SCHEMA[name].command}")


@pytest.mark.parametrize(("column", "words"), [("split", ["train", "test"]), ("loss", ["mine", "other"])])
def test_a_subject_without_a_split_or_a_loss_of_the_others_is_no_damage(column, words, tmp_path):
    whole = TABLES["surface"][TABLES["surface"][column] == TABLES["surface"][column].iloc[0]]
    both = pd.concat([whole.assign(**{column: word}) for word in words], ignore_index=True)
    last = both["checkpoint"].iloc[-1]
    fewer = both[(both["checkpoint"] != last) | (both[column] == words[0])]
    save(tmp_path, "surface", fewer)
    assert len(read(tmp_path, "surface")) == len(fewer) < len(both)
    own = fewer[fewer["checkpoint"] == last]
    save(tmp_path, "surface", fewer.drop(index=own.index[-5:]))
    with pytest.raises(TableError, match="rows, others"):
        read(tmp_path, "surface")


def test_tables_of_networks_of_other_lengths_are_complete(tmp_path):
    twin = TABLES["momentum"].query("timestep < 2").assign(network="digits-cnn-relu")
    twin["checkpoint"] = "relu/" + twin["checkpoint"]
    save(tmp_path, "hessian", TABLES["hessian"])
    save(tmp_path, "momentum", pd.concat([TABLES["momentum"], twin]))
    assert compare.main([str(tmp_path), "--resamples", "10"]) == 0


# bytes gone wrong


def damaged(text, kind, places, byte):
    """``text`` cut off, with other bytes in it, or with the names of two columns exchanged; places in 0 … 1."""
    if kind == "cut":
        return text[: int(places[0] * len(text))]
    if kind == "swap":
        head, _, rest = text.partition(b"\n")
        names = head.split(b",")
        i, j = (int(place * len(names)) for place in places[:2])
        names[i], names[j] = names[j], names[i]
        return b",".join(names) + b"\n" + rest
    wrong = bytearray(text)
    for place in places:
        wrong[int(place * len(text))] = byte
    return bytes(wrong)


DAMAGE = {
    "kind": st.sampled_from(["cut", "bytes", "swap"]),
    "places": st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=4),
    "byte": st.sampled_from(b'0129,.-e"\n\r\x00\xff inf'),
}


@pytest.mark.filterwarnings("default::RuntimeWarning")  # infinite values have no spread
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(name=st.sampled_from(sorted(TEXTS)), **DAMAGE)
def test_a_damaged_table_is_compared_or_one_line(tmp_path, capsys, name, kind, places, byte):
    for old in tmp_path.glob("tables/*"):
        old.unlink()
    save(tmp_path, name, damaged(TEXTS[name], kind, places, byte))
    capsys.readouterr()
    if compare.main([str(tmp_path), "--resamples", "5"]):
        assert complaint(capsys).startswith("python -m analysis.compare: error: ")


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(name=st.sampled_from(list(PICTURES)), **DAMAGE)
def test_a_damaged_table_is_drawn_or_a_line_for_each_of_its_pictures(tmp_path, capsys, name, kind, places, byte):
    picture = PICTURES[name]
    for beside in picture.beside:
        save(tmp_path, beside, WHOLE[beside])
    save(tmp_path, picture.table, damaged(WHOLE[picture.table].to_csv(index=False).encode(), kind, places, byte))
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "PICTURES", (picture,))
        patch.setattr(Figure, "savefig", lambda *_, **__: None)  # slow, and tested in test_figures_paper
        status = paper.main([str(tmp_path)])
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith(f"python -m figures.paper: {name}") for line in lines[: len(lines) - status])


# figures.paper


@pytest.mark.parametrize(
    ("name", "column", "value", "expected"),
    [
        ("flatness", "n", "inf", "a whole number"),
        ("momentum", "timestep", "inf", "a whole number"),
        ("momentum", "batches", "inf", "a whole number"),
        ("momentum-pairs", "other", "inf", "a whole number"),
        ("momentum-pairs", "timestep", "1.5", "a whole number"),
        ("radius", "radius", "", "a finite number above zero"),
        ("radius", "relative_radius", "0", "a finite number above zero"),
        ("descent", "relative_step", "", "a finite number above zero"),
        ("descent", "relative_step", "inf", "a finite number above zero"),
        ("surfaces", "alpha", "", "a finite number"),
        ("scalability", "trained_timesteps", "inf", "a whole number"),
        ("training", "epoch", "", "a whole number"),
        ("robustness", "strength", "", "a finite number"),
        ("paths", "t", "inf", "a finite number"),
        ("barriers", "images", "0.5", "a whole number"),
        ("layers", "seed", "0.5", "a whole number"),
        ("steps", "timestep", "", "a whole number"),
        ("gap-in-loss", "value", "1e300", "a number below 1e+100"),
        ("sharpness", "value", "1e300", "a number below 1e+100"),
        ("trajectory", "alpha", "inf", "a finite number"),
        ("training", "test_loss_sdt", "1e300", "a number below 1e+100"),
    ],
)
def test_a_bad_number_costs_its_picture_and_no_later_one(name, column, value, expected, tmp_path, capsys, monkeypatch):
    table = PICTURES[name].table
    later = PICTURES["flatness" if name == "energy" else "energy"]
    monkeypatch.setattr(catalogue, "PICTURES", (PICTURES[name], later))
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)
    for beside in PICTURES[name].beside:
        save(tmp_path, beside, WHOLE[beside])
    save(tmp_path, table, changed(WHOLE[table], column, value))
    save(tmp_path, later.table, FRAMES[later.table])
    assert paper.main([str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert [file.rsplit("/", 1)[1] for file in out.splitlines()] == [
        f"energy.{kind}" for kind in ("pdf", "png", "svg", "txt")
    ]
    (line,) = err.splitlines()
    assert f"{name}: " in line
    assert f"{table}.csv: line 5 has {value!r} as {column}, expected {expected}" in line


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (FRAMES["surface"].iloc[:-1], "draw 0: 120 rows, others 121"),
        (FRAMES["surface"].iloc[:-121], "cut short"),
        (FRAMES["surface"].to_csv(index=False).encode()[:-3], "the last line does not end"),
        (
            FRAMES["surface"].to_csv(index=False).encode().replace(b"\nruns", b"\nx,runs"),
            "line 2 has 15 fields, the header 14",
        ),
    ],
)
def test_a_surface_that_was_cut_off_is_not_drawn(wrong, says, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(catalogue, "PICTURES", (PICTURES["surfaces"],))
    save(tmp_path, "surface", wrong)
    assert paper.main([str(tmp_path)]) == 1
    assert says in capsys.readouterr().err.splitlines()[0]
    assert not (tmp_path / "figures").exists()


def test_one_step_on_a_logarithmic_axis_is_drawn():
    for picture in (PICTURES["descent"], PICTURES["radius"]):
        frame = FRAMES[picture.table]
        place = "relative_step" if picture.name == "descent" else "relative_radius"
        figure = Figure(figsize=(picture.width, picture.height))
        picture.draw(figure, frame[frame[place] == frame[place].iloc[2]])
        assert figure.axes[0].get_xscale() == "log"


# captions


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("energy", "Accuracy on 500 test examples."),
        ("scalability", "Fewer than three seeds: no band."),
        ("scalability", "Differences paired by seed, at T = 1 and the trained T: compare.csv."),
        ("density", "of eigenvalues above a thousandth of the largest"),
        ("momentum", "the cross-entropy part of the loss trained with (no regulariser)"),
        ("momentum-pairs", "the cross-entropy part of the loss trained with (no regulariser)"),
        ("descent", "the cross-entropy part of the loss trained with (no regulariser)"),
    ],
)
def test_captions_say_what_was_measured(name, says):
    picture = PICTURES[name]
    figure = Figure(figsize=(picture.width, picture.height))
    picture.draw(figure, *(FRAMES[table] for table in (picture.table, *picture.beside)))
    assert says in figure.get_supxlabel().replace("\n", " ").replace("\u00a0", " ")
