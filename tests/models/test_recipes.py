"""The paper's recipes: every one resolves, says what it guesses, and is what the paper's tables have."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from models import data
from models.neurons.surrogate import Smooth, surrogate
from models.train import main, run
from models.training import cost, recipes
from models.training.made import data_arguments
from models.training.recipe import Config, network, resolved, timeline
from models.training.recipes import listing

ROWS = [(recipe.name, row) for recipe in map(recipes.load, recipes.names()) for row in recipe.published]
FOLDER = Path(recipes.__file__).parent


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_resolves_to_a_network_and_data_that_exist(name, tmp_path):
    recipe = recipes.load(name)
    made = resolved(recipe.config(tmp_path, device="cpu"))
    data.check_arguments(made.data, data_arguments(made))
    _, _, classes, channels, size = cost.SHAPES[made.data]
    net = network(made, num_classes=classes, in_channels=channels, image_size=size, device="meta")
    assert net.timesteps == timeline(made)[-1].timesteps
    assert made.seed == recipe.seeds[0]
    assert len(set(recipe.seeds)) == 3
    known = {field.name for field in fields(Config)} | {"seeds"}
    assert recipe.settings.keys() | recipe.guessed.keys() <= known
    assert all(row.flags.keys() < known for row in recipe.published)
    assert {"batch_size", "seeds"} <= recipe.guessed.keys()
    file = tomllib.loads((FOLDER / f"{name}.toml").read_text())
    assert file.keys() == {"settings", "seeds", "guessed", "published"}


def accuracies(pattern: str) -> dict[str, float | None]:
    return {
        f"{name} {' '.join(map(str, row.flags.values()))}": row.accuracy
        for name, row in ROWS
        if re.fullmatch(pattern, row.where)
    }


def test_table_1_is_complete():
    assert accuracies("Tables? 1.*") == {
        "cifar100-resnet19-sdt 2": 69.41, "cifar100-resnet19-sdt 4": 70.86, "cifar100-resnet19-sdt 6": 71.12,
        "cifar100-resnet19-tet 2": 72.37, "cifar100-resnet19-tet 4": 74.11, "cifar100-resnet19-tet 6": 74.65,
    }  # fmt: skip


def test_table_2_is_complete_and_has_smooth_spikes_of_the_slopes_it_names():
    rows = {row.where: row for name, row in ROWS if name == "cifar10-cnn5-tet"}
    assert accuracies("Table 2.*") == {
        "cifar10-cnn5-sdt 4.0": 88.00, "cifar10-cnn5-sdt 0.4": 88.83, "cifar10-cnn5-sdt 0.2": 88.50,
        "cifar10-cnn5-tet 4.0": 87.63, "cifar10-cnn5-tet 0.4": 89.31, "cifar10-cnn5-tet 0.2": 88.64,
    }  # fmt: skip
    for k in (1, 10, 20):
        made = resolved(recipes.load("cifar10-cnn5-tet").config(Path(), **rows[f"Table 2, k = {k}"].flags))
        pulse = surrogate(made.surrogate, made.width)
        assert isinstance(pulse, Smooth)
        assert pulse.k == pytest.approx(k)
        assert made.timesteps == 4


def test_table_3_has_all_rows_that_are_the_authors_own():
    assert accuracies("Table.* 3.*") == {
        "cifar10-resnet19-ann ": 94.97, "cifar100-resnet19-ann ": 75.35,
        "cifar10-resnet19-tet 2": 94.16, "cifar10-resnet19-tet-tit 4": 94.44, "cifar10-resnet19-tet-tit 6": 94.50,
        "cifar100-resnet19-sdt 2": 69.41, "cifar100-resnet19-sdt 4": 70.86, "cifar100-resnet19-sdt 6": 71.12,
        "cifar100-resnet19-tet 2": 72.87, "cifar100-resnet19-tet-tit 4": 74.47, "cifar100-resnet19-tet-tit 6": 74.72,
        "dvs-cifar10-vggsnn-tet False": 77.33, "dvs-cifar10-vggsnn-tet True": 83.17,
        "imagenet-sew-resnet34-tet ": 68.00, "imagenet-spiking-resnet34-tet ": 64.79,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("cifar100-resnet19-tet-tit", [(300, "tet", 2), (50, "tet", 4)]),
        ("imagenet-spiking-resnet34-tet", [(90, "tet", 4), (30, "tet", 6)]),
        ("dvs-cifar10-vggsnn-switch", [(200, "sdt", 10), (100, "tet", 10)]),
        ("cifar100-resnet19-sdt", [(300, "sdt", 4)]),
    ],
)
def test_epochs_losses_and_steps_are_the_published_ones(name, plan):
    found = timeline(resolved(recipes.load(name).config(Path())))
    assert [(phase.epochs, phase.loss, phase.timesteps) for phase in found] == plan


@pytest.mark.parametrize(("name", "row"), ROWS, ids=lambda value: value if isinstance(value, str) else "")
def test_lambda_is_the_published_one_and_never_with_sdt(name, row):
    made = resolved(recipes.load(name).config(Path(), **row.flags))
    expected = 0.0 if made.loss == "sdt" else 0.05 if made.data in ("cifar10", "cifar100") else 0.001
    assert made.mse_weight == expected


def test_the_list_has_a_line_for_every_number(capsys):
    assert main(["--recipe", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(ROWS) + 2
    (tit,) = [line for line in lines if "94.50" in line]
    assert tit.split()[:9] == [
        "cifar10-resnet19-tet-tit*", "--timesteps", "6", "resnet19", "cifar10", "2→6", "300+50", "TET", "94.50",
    ]  # fmt: skip
    assert sum("--no-augment" in line for line in lines) == 2


def test_flags_go_before_the_recipe_and_both_are_in_the_checkpoint(tmp_path, monkeypatch):
    made: list[Config] = []
    monkeypatch.setattr("models.train.command.run", made.append)
    assert main(["--recipe", "cifar10-cnn5-tet", "--out", str(tmp_path), "--width=4", "--no-augment"]) == 0
    (config,) = made
    assert (config.out, config.model, config.width, config.augment, config.epochs) == (
        tmp_path,
        "cnn5",
        4.0,
        False,
        300,
    )
    said = listing.record(resolved(config))
    assert said == {"recipe": "cifar10-cnn5-tet", "recipe_changes": "augment=False, width=4.0"}
    unchanged = recipes.load("cifar10-cnn5-tet").config(tmp_path, seed=2000)
    assert listing.record(resolved(unchanged)) == {"recipe": "cifar10-cnn5-tet", "recipe_changes": ""}


def test_a_run_from_a_recipe_records_it_and_goes_on_without_its_name(tmp_path):
    changes = {"data": "digits", "model": "digits-cnn", "batch_size": 50, "train_images": 50, "timesteps": 2}
    config = recipes.load("cifar100-resnet19-tet-tit").config(
        tmp_path, **changes, phases="1 timesteps=1; 1 learning_rate=1e-4", quiet=True
    )
    found = run(config)
    assert found.training["recipe"] == "cifar100-resnet19-tet-tit"
    assert "data=digits" in found.training["recipe_changes"]
    assert "seed" not in found.training["recipe_changes"]
    again = run(Config(tmp_path, seed=1000, learning_rate=1e-3, **changes, phases=config.phases, quiet=True))
    assert again.history == found.history


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (["--recipe", "nothing"], 1, "there is no recipe 'nothing'; there are cifar10-cnn5-sdt, "),
        (["--recipe", "../train"], 1, "there is no recipe '../train'"),
        (["--recipe"], 2, "Missing value for argument '--recipe'"),
        (["--recipe", "cifar10-cnn5-sdt"], 2, "--out"),
        (["--recipe", "cifar10-cnn5-sdt", "--out", "x", "--width", "wide"], 2, "wide"),
    ],
)
def test_an_unusable_recipe_is_one_line(argv, status, said, capsys):
    assert main(argv) == status
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_recipe_on_data_that_is_not_there_is_one_line(tmp_path, capsys):
    for name in ("cifar10-cnn5-sdt", "imagenet-sew-resnet34-tet", "dvs-cifar10-vggsnn-tet"):
        argv = ["--recipe", name, "--out", str(tmp_path / "run"), "--data-root", str(tmp_path), "--quiet"]
        assert main(argv) == 1
        assert capsys.readouterr().err.count("\n") == 1
        assert not (tmp_path / "run").exists()


def test_recipes_leave_the_global_random_state_alone():
    before = torch.get_rng_state()
    listing.table()
    assert torch.equal(torch.get_rng_state(), before)
