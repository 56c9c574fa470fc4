"""Gaps to shifted test images: by hand from the tables, asked for by name, and refused where they aren't known."""

import numpy as np
import pandas as pd
import pytest

from analysis import generalization
from analysis.generalization.flags import Config

from .sweeps import save, written


def shown(frames: dict[str, pd.DataFrame], *, severities=(1, 5)) -> pd.DataFrame:
    """A table robustness of two shifts for the sweep's networks, of seeded numbers."""
    rng, rows = np.random.default_rng(1), []
    heads = frames["settings"][["checkpoint", "network", "data", "method", "training", "seed"]].to_dict("records")
    for head in heads:
        for name in ("contrast", "translation"):
            for strength in (0, *severities):
                numbers = {"value": rng.random(), "accuracy": rng.random(), "accuracy_stderr": 0.0}
                place = {"split": "test", "perturbation": name, "strength": strength, "loss": "sdt"}
                rows.append(head | place | numbers | {"draws": 1, "images": 200})
    return pd.DataFrame(rows)


@pytest.fixture
def made(tmp_path):
    frames = written(tmp_path)
    return tmp_path, frames, shown(frames)


def run(folder, *gaps):
    return generalization.run(Config((folder,), deals=20, **({"gap": gaps} if gaps else {})))


def test_the_gap_to_shifted_images_is_their_mean_loss_less_the_training_loss(made):
    folder, frames, table = made
    save(folder, {"robustness": table})
    result = run(folder, "shifted_loss", "shifted_accuracy")
    assert set(result.to_frame()["gap"]) == {"shifted_loss", "shifted_accuracy"}
    moved = table[table["strength"] > 0].groupby("checkpoint")[["value", "accuracy"]].mean()
    train = frames["timesteps"].query("split == 'train'").set_index("checkpoint")
    expected = {
        "shifted_loss": moved["value"] - train["loss_sdt"],
        "shifted_accuracy": train["accuracy_cumulative"] - moved["accuracy"],
    }
    top = frames["hessian"].set_index("checkpoint")["eigenvalue"]
    rows = result.to_frame().query("measure == 'top_eigenvalue[hessian]' and among == 'all' and given == ''")
    for gap, values in expected.items():
        (row,) = rows[rows["gap"] == gap].to_dict("records")
        assert row["tau"] == pytest.approx(naive_tau(top.loc[values.index].to_numpy(), values.to_numpy()))
        assert row["weighting"] == "none"


def naive_tau(one, other):
    """Kendall's over all pairs, in a loop."""
    pairs = [(i, j) for i in range(len(one)) for j in range(i)]
    return np.mean([np.sign(one[i] - one[j]) * np.sign(other[i] - other[j]) for i, j in pairs])


@pytest.mark.slow
def test_by_default_nothing_is_set_against_shifted_images(made):
    folder, _, table = made
    before = run(folder).to_frame()
    save(folder, {"robustness": table})
    after = run(folder).to_frame()
    assert set(after["gap"]) == {"loss", "accuracy"}
    assert set(after["measure"]) == set(before["measure"])
    assert set(run(folder, "accuracy").to_frame()["gap"]) == {"accuracy"}


def test_it_is_told_in_words(made, capsys):
    folder, _, table = made
    save(folder, {"robustness": table})
    assert generalization.main([str(folder), "--gap", "shifted_loss", "--deals", "5"]) == 0
    said = capsys.readouterr().out
    assert "gap in shifted loss, 36 networks" in said
    assert "oracle: gap in shifted loss with noise of 0.5" in said


@pytest.mark.parametrize(
    ("tables", "flags", "says"),
    [
        ("none", ["--gap", "shifted_loss"], "no shifted loss: table robustness needs each network on shifted test"),
        ("two", ["--gap", "shifted_accuracy"], "not all networks were shown the same shifted images: shifted_acc"),
        ("one", ["--gap", "shifted_loss", "--weights", "images"],
         "no weights by images for the gap in shifted_loss: no table has single images as they were shifted"),
    ],
)  # fmt: skip
def test_what_is_not_known_of_shifted_images_is_one_line(tables, flags, says, made, capsys):
    folder, frames, table = made
    if tables == "two":
        other = shown(frames, severities=(2, 3))
        half = frames["settings"]["checkpoint"].iloc[:10]
        table = pd.concat([table[~table["checkpoint"].isin(half)], other[other["checkpoint"].isin(half)]])
    if tables != "none":
        save(folder, {"robustness": table})
    assert generalization.main([str(folder), *flags]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
