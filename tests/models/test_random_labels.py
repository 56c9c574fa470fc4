"""Labels at random: how many, which, whose, and that everybody sees the same ones."""

import numpy as np
import pytest
import torch

from analysis.subject import Subject
from models import train
from models.checkpoint import load
from models.data import load as load_data
from models.training import recipe

from ..interrupted import interrupted

SHORT = {"train_images": 40, "batch_size": 20, "timesteps": 2, "epochs": 2, "loss": "sdt", "quiet": True}


def made(out, **changes) -> recipe.Config:
    return recipe.Config(out=out, **(SHORT | changes))


def test_labels_drawn_for_all_images_differ_in_nine_of_ten():
    true, drawn = load_data("digits", train_images=1700), load_data("digits", train_images=1700, random_labels=1.0)
    assert pytest.approx((true.train.labels != drawn.train.labels).double().mean().item(), abs=0.03) == 0.9
    counts = torch.bincount(drawn.train.labels, minlength=10).double()
    assert float(((counts - 170) ** 2 / 170).sum()) < 27.9  # χ² with 9 degrees of freedom, 99.9 %
    same = np.corrcoef(true.train.labels, drawn.train.labels)[0, 1]
    assert abs(same) < 0.1
    assert torch.equal(true.test.labels, drawn.test.labels)
    first, second = (next(one.train.batches(1700))[0] for one in (true, drawn))
    assert torch.equal(first, second)
    assert drawn.arguments == true.arguments | {"random_labels": 1.0, "label_seed": 0}


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_no_more_images_than_the_share_have_another_label(share):
    true, drawn = load_data("digits", train_images=400), load_data("digits", train_images=400, random_labels=share)
    differ = int((true.train.labels != drawn.train.labels).sum())
    assert 0.75 * share * 400 <= differ <= share * 400


def test_labels_follow_their_seed_alone():
    one, again, other = (
        load_data("digits", random_labels=1.0, label_seed=seed, split_seed=3).train.labels for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert (one != other).double().mean() > 0.8


def test_the_checkpoint_and_its_analyses_have_the_labels_that_were_trained_on(tmp_path):
    found = train.run(made(tmp_path / "run", random_labels=1.0, seed=3, vary_data=True))
    expected = load_data("digits", train_images=40, split_seed=3, random_labels=1.0, label_seed=3)
    true = load_data("digits", train_images=40, split_seed=3)
    assert found.training["random_labels"] == 1.0
    assert found.data["arguments"]["label_seed"] == 3
    assert torch.equal(load(tmp_path / "run" / "ckpt.pt").load_data().train.labels, expected.train.labels)
    subject = Subject.load(tmp_path / "run" / "ckpt.pt")
    seen = torch.cat([target for _, target in subject.batches("train", None, 16)])
    assert torch.equal(seen, expected.train.labels)
    test = torch.cat([target for _, target in subject.batches("test", 500, 250)])
    assert torch.equal(test, true.test.labels[:500])
    logits = torch.cat([subject.network(x) for x, _ in expected.train.batches(40)], 1).mean(0)
    right = (logits.argmax(1) == expected.train.labels).double().mean()
    assert found.history["train_accuracy"][-1] == pytest.approx(float(right))


def test_a_run_that_goes_on_has_the_same_labels_and_weights(tmp_path):
    whole = train.run(made(tmp_path / "whole", random_labels=0.5))
    with interrupted(after=1):
        train.run(made(tmp_path / "cut", random_labels=0.5))
    again = train.run(made(tmp_path / "cut", random_labels=0.5))
    assert again.state_dict.keys() == whole.state_dict.keys()
    assert all(torch.equal(value, whole.state_dict[name]) for name, value in again.state_dict.items())
    with pytest.raises(ValueError, match=r"random_labels was 0\.5, now 0\.0"):
        train.run(made(tmp_path / "cut"))


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share, tmp_path):
    with pytest.raises(ValueError, match="--random-labels is a share of the training images, from 0 to 1"):
        train.run(made(tmp_path / "out", random_labels=share))
    assert not (tmp_path / "out" / "ckpt.pt").exists()


def test_data_without_class_labels_have_none_to_draw(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "own.npz", x=rng.normal(size=(20, 3)).astype("f4"), y=rng.normal(size=(20, 1)).astype("f4"))
    with pytest.raises(ValueError, match=r"labels at random need class labels, which own\.npz has not"):
        load_data(str(tmp_path / "own.npz"), random_labels=1.0)


@pytest.mark.parametrize(("share", "says"), [(2.0, "a share"), (float("nan"), "a share")])
def test_a_checkpoint_s_share_of_another_kind_is_refused(share, says):
    with pytest.raises(ValueError, match=says):
        load_data("digits", random_labels=share)
