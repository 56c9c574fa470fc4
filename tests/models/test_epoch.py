"""A step is the textbook's, however the batch is cut and whatever the precision; what a run shows while it goes."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from models import data, losses
from models.checkpoint import load, save
from models.networks import build
from models.train import main, run
from models.training import epoch
from models.training.recipe import Config, resolved
from models.training.run import Run

from ..interrupted import interrupted

SHORT = {"train_images": 45, "batch_size": 20, "timesteps": 2, "epochs": 2, "quiet": True}


def config(out: Path, **changes) -> Config:
    return Config(out=out, **(SHORT | changes))


def textbook(dtype: torch.dtype, pieces: int) -> dict[str, torch.Tensor]:
    """Two epochs with Adam and TET, written out; a batch in ``pieces``, whose means are weighted by their sizes."""
    digits, network = data.load("digits", train_images=45), build("digits-cnn", seed=0, timesteps=2).to(dtype)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3, betas=(0.9, 0.999), fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 2)
    generator = torch.Generator().manual_seed(0)
    images, labels = next(digits.train.batches(45, dtype=dtype))
    network.train()
    for _ in range(2):
        for chosen in torch.randperm(45, generator=generator).split(20):
            optimizer.zero_grad()
            for piece in chosen.split(20 // pieces):
                share = len(piece) / len(chosen) if pieces > 1 else 1.0
                (share * losses.tet_loss(network(images[piece]), labels[piece], mse_weight=0.05)).backward()
            optimizer.step()
        schedule.step()
    return network.state_dict()


def test_a_run_is_the_textbook_s_loop_bit_for_bit(tmp_path):
    found, expected = run(config(tmp_path)).state_dict, textbook(torch.float32, 1)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("pieces", [2, 4])
def test_gradients_of_pieces_add_up_to_that_of_the_batch(pieces, tmp_path):
    """The last batch holds five images: one piece with four pieces asked for, one with two."""
    found = run(config(tmp_path, accumulate=pieces, precision="float64")).state_dict
    for name, value in textbook(torch.float64, pieces).items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-12)


def test_bfloat16_computes_coarsely_and_keeps_weights_in_float32(tmp_path):
    coarse, fine = (run(config(tmp_path / name, precision=name)) for name in ("bfloat16", "float32"))
    assert {value.dtype for value in coarse.state_dict.values()} == {torch.float32, torch.int64}
    assert coarse.training["precision"] == "bfloat16"
    for loss in ("train_loss_tet", "test_loss_sdt"):
        assert coarse.history[loss] == pytest.approx(fine.history[loss], rel=0.05)
        assert coarse.history[loss] != fine.history[loss]
    images = torch.rand(8, 1, 8, 8)
    with torch.no_grad():
        found, expected = (epoch.logits(fine.network(), images, name) for name in ("bfloat16", "float32"))
    assert found.dtype == torch.float32
    assert torch.equal(found, found.bfloat16().float())  # its values have eight bits
    assert not torch.equal(expected, expected.bfloat16().float())
    states = coarse.resume or {}
    assert states["optimizer"]["state"][0]["exp_avg"].dtype == torch.float32


def test_bfloat16_goes_on_to_the_same_weights(tmp_path):
    whole = run(config(tmp_path / "whole", precision="bfloat16")).state_dict
    with interrupted():
        run(config(tmp_path / "cut", precision="bfloat16"))
    cut = run(config(tmp_path / "cut", precision="bfloat16")).state_dict
    assert all(torch.equal(cut[name], value) for name, value in whole.items())


def test_channels_last_is_another_order_in_memory_and_the_same_weights(tmp_path):
    settings = config(tmp_path / "last", channels_last=True, precision="float64")
    begun = Run(resolved(settings), None)
    convolutions = [weight for weight in begun.network.parameters() if weight.dim() == 4]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in convolutions)
    plain = run(config(tmp_path / "first", precision="float64"))
    found = begun.finish(tmp_path / "last/ckpt.pt")
    for name, value in plain.state_dict.items():
        torch.testing.assert_close(found.state_dict[name], value, rtol=1e-9, atol=1e-12)
    assert run(config(tmp_path / "last", precision="float64")).training["epochs_done"] == 2  # no other run


def test_a_checkpoint_from_before_there_were_these_settings_is_still_that_run_s(tmp_path):
    made = run(config(tmp_path))
    young = ("phases", "accumulate", "precision", "image_size", "recipe", "recipe_changes")
    old = {name: value for name, value in made.training.items() if name not in young}
    assert len(old) == len(made.training) - len(young)
    save(replace(made, training=old), tmp_path / "ckpt.pt")
    assert run(config(tmp_path)).history == made.history
    with pytest.raises(ValueError, match="accumulate was 1, now 2"):
        run(config(tmp_path, accumulate=2))


def test_the_bar_shows_images_a_second_and_the_time_left(tmp_path, capsys):
    assert main([f"--out={tmp_path}", "--epochs=1", "--train-images=40", "--batch-size=20", "--timesteps=1"]) == 0
    error = capsys.readouterr().err
    assert re.search(r"\d\d\.0/40\.0 \[\d\d:\d\d<\d\d:\d\d,\s+[\d.]+k?img/s", error)
    assert "accuracy=" in error


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder)).Reload()
    return {name: [(row.step, row.value) for row in found.Scalars(name)] for name in found.Tags()["scalars"]}


def test_tensorboard_reads_the_history_with_every_epoch_once_after_a_kill(tmp_path):
    pytest.importorskip("tensorboard")
    with interrupted(after=2):
        run(config(tmp_path, epochs=3, tensorboard=True))
    assert [step for step, _ in events(tmp_path / "tensorboard")["test_accuracy"]] == [1]
    history = run(config(tmp_path, epochs=3, tensorboard=True)).history
    found = events(tmp_path / "tensorboard")
    assert found.keys() == history.keys() - {"epoch"}
    for name, rows in found.items():
        assert [step for step, _ in rows] == [1, 2, 3]
        assert [value for _, value in rows] == pytest.approx(history[name], rel=1e-6)


def test_tensorboard_that_is_not_installed_is_one_line_before_anything_is_done(tmp_path, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert main(["--out", str(tmp_path / "run"), "--quiet", "--tensorboard"]) == 1
    error = capsys.readouterr().err
    assert "--tensorboard needs a package that is missing" in error
    assert "pip install" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("count", ["0", "3", "-1"])
def test_pieces_that_do_not_divide_a_batch_are_one_line(count, tmp_path, capsys):
    assert main(["--out", str(tmp_path / "run"), "--quiet", "--accumulate", count]) == 1
    assert f"--accumulate must divide the batch of 50 images, got {count}" in capsys.readouterr().err


def test_an_image_size_is_for_data_that_is_resized(tmp_path, capsys):
    assert main(["--out", str(tmp_path / "run"), "--quiet", "--image-size", "16"]) == 1
    assert "digits takes no argument image_size" in capsys.readouterr().err


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Three classes of photographs of several sizes, one colour a class and noise."""
    root, generator = tmp_path_factory.mktemp("imagenet"), torch.Generator().manual_seed(0)
    for part, count in (("train", 3), ("val", 1)):
        for number, name in enumerate(("red", "green", "blue")):
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                image = torch.randint(60, (3, 40 + 7 * index, 52), generator=generator, dtype=torch.uint8)
                image[number] += 150
                Image.fromarray(image.permute(1, 2, 0).numpy()).save(root / part / name / f"{index}.jpg")
    return root


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("recipe", ["imagenet-spiking-resnet34-tet", "imagenet-sew-resnet34-tet"])
def test_imagenet_trains_from_folders_and_its_recipes_run(recipe, pictures, tmp_path):
    phases = ["--phases", "1"] if "spiking" in recipe else ["--epochs", "1"]
    small = ["--image-size=32", "--batch-size=9", "--data-root", str(pictures), "--quiet"]
    assert main(["--recipe", recipe, "--out", str(tmp_path), *small, *phases]) == 0
    found = load(tmp_path / "ckpt.pt")
    assert found.model["arguments"]["timesteps"] == (6 if phases[0] == "--phases" else 4)
    assert found.model["arguments"]["num_classes"] == 3
    assert found.data["arguments"]["image_size"] == 32
    assert found.training["mse_weight"] == 0.001
    assert sum(value.numel() for name, value in found.state_dict.items() if "conv" in name) > 21_000_000
    assert all(0 <= value <= 1 for value in found.history["test_accuracy"])
