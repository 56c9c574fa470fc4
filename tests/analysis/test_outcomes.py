"""Paired errors over images: against loops, McNemar, other images; what is not known; tables that disagree."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import compare
from analysis.compare.difference import difference
from analysis.compare.outcomes import SPLITS, sampling

from .test_compare import identity, row, write

COLUMNS = ("correct", "loss_sdt", "loss_tet")


def table(images: dict[str, int], *, seeds: int = 3, seed: int = 0) -> pd.DataFrame:
    """Outcomes of so many images of each split, of networks of both sides; those trained with TET do better."""
    rng, parts = np.random.default_rng(seed), []
    for training in ("sdt", "tet"):
        for one in range(seeds):
            for split, number in images.items():
                correct = rng.random(number) < (0.7 if training == "sdt" else 0.8)
                losses = rng.exponential(size=(2, number)) * (2 - correct)
                named = identity(training, one) | {"split": split, "image": np.arange(number)}
                parts.append(pd.DataFrame(named | dict(zip(COLUMNS, (correct.astype(int), *losses), strict=True))))
    return pd.concat(parts, ignore_index=True)


def paths(training: str, seeds) -> pd.Series:
    return pd.Series([f"{training}-{seed}" for seed in seeds], index=list(seeds))


def looped(found: pd.DataFrame, split: str, column: str, named: list[tuple[str, str]]) -> tuple[float, float]:
    """V and the error's square, one pair of checkpoints and one image at a time."""
    values = found[found["split"] == split].set_index(["checkpoint", "image"])[column]
    images = sorted(found.loc[found["split"] == split, "image"].unique())
    gaps = [[values[method, image] - values[reference, image] for image in images] for reference, method in named]
    of_one = [np.var(gap, ddof=1) / len(images) for gap in gaps]
    mean = [sum(gap[place] for gap in gaps) / len(gaps) for place in range(len(images))]
    return sum(of_one) / len(of_one), np.var(mean, ddof=1) / len(images)


@pytest.mark.parametrize(("measure", "loss"), [(name, "tet" if "loss" in name else "") for name in SPLITS])
@pytest.mark.parametrize("paired", [True, False])
def test_variance_and_error_are_those_of_loops_over_pairs_and_images(measure, loss, paired):
    found = table({"train": 12, "test": 20})
    sides = paths("sdt", range(3)), paths("tet", range(3) if paired else range(2))
    if not paired:
        sides[1].index += 9
    named = list(zip(*sides, strict=True)) if paired else [(one, other) for one in sides[0] for other in sides[1]]
    parts = [looped(found, split, f"loss_{loss}" if loss else "correct", named) for split in SPLITS[measure]]
    told = sampling(found, measure, loss, *sides)
    assert told is not None
    assert told.variance == pytest.approx(sum(part[0] for part in parts))
    assert told.error == pytest.approx(np.sqrt(sum(part[1] for part in parts)))


def test_only_seeds_on_both_sides_are_paired():
    found = table({"test": 30})
    both = sampling(found, "test_accuracy", "", paths("sdt", (0, 1, 2)), paths("tet", (1, 2)))
    assert both == sampling(found, "test_accuracy", "", paths("sdt", (1, 2)), paths("tet", (1, 2)))


def test_of_right_and_wrong_the_variance_is_mcnemar_s():
    found = table({"test": 50}, seeds=2)
    told = sampling(found, "test_accuracy", "", paths("sdt", (0, 1)), paths("tet", (0, 1)))
    assert told is not None
    by_image = found.pivot(index="image", columns="checkpoint", values="correct")
    expected = []
    for seed in (0, 1):
        counts = pd.crosstab(by_image[f"sdt-{seed}"], by_image[f"tet-{seed}"]).to_numpy()
        lost, won = counts[1, 0], counts[0, 1]
        expected.append((lost + won - (won - lost) ** 2 / 50) / (50 * 49))
    assert told.variance == pytest.approx(np.mean(expected))


def test_the_error_is_the_spread_over_other_images_of_the_same_networks():
    """The standard deviation over 200 sets of images, of methods that are good at different ones."""
    rng, differences, told = np.random.default_rng(1), [], []
    for draw in range(200):
        hard = rng.normal(size=60)
        logits = {"sdt": hard, "tet": hard + rng.normal(0, 1.5, 60)}
        found = table({"test": 60}, seed=draw)
        for training, logit in logits.items():
            chosen = (found["training"] == training).to_numpy()
            found.loc[chosen, "correct"] = (rng.random((3, 60)) < 1 / (1 + np.exp(-logit))).astype(int).ravel()
        one = sampling(found, "test_accuracy", "", paths("sdt", range(3)), paths("tet", range(3)))
        assert one is not None
        means = found.groupby("training")["correct"].mean()
        differences.append(means["tet"] - means["sdt"])
        told.append((one.error, np.sqrt(one.variance / 3)))
    error, alone = np.mean(told, axis=0)
    assert error == pytest.approx(np.std(differences), rel=4 / 400**0.5)
    assert alone < 0.9 * error  # what pairs share does not average out over them


@pytest.mark.parametrize("kind", ["measure", "checkpoint", "image", "one image", "infinite"])
def test_what_is_not_known_of_all_images_is_not_known(kind):
    found = table({"test": 1 if kind == "one image" else 20})
    if kind == "infinite":
        found.loc[3, "loss_sdt"] = np.inf
    found = {"checkpoint": found[found["checkpoint"] != "tet-1"], "image": found.drop(index=3)}.get(kind, found)
    measure = "top_eigenvalue" if kind == "measure" else "test_loss"
    assert sampling(found, measure, "sdt", paths("sdt", range(3)), paths("tet", range(3))) is None


# through the comparison


def measured(outcomes: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables of an analysis that these outcomes are of."""
    steps = outcomes.groupby([*identity("", 0), "split"], sort=False)[list(COLUMNS)].mean().reset_index()
    steps = steps.rename(columns={"correct": "accuracy_cumulative"}).assign(timesteps=4, trained_timesteps=4)
    images = outcomes.groupby(["checkpoint", "split"], sort=False).size().to_numpy()
    steps = steps.assign(accuracy_at_step=0.5, images=images)
    return {"timesteps": steps, "outcomes": outcomes}


def test_the_comparison_s_intervals_are_those_of_its_outcomes(tmp_path):
    found, spreads = table({"train": 40, "test": 90}, seeds=4), []
    write(tmp_path, measured(found))
    result = compare.run(compare.Config((tmp_path,), resamples=20)).to_frame().set_index(["measure", "loss"])
    for measure, splits in SPLITS.items():
        loss = "tet" if "loss" in measure else ""
        known = sampling(found, measure, loss, paths("sdt", range(4)), paths("tet", range(4)))
        values = found.groupby(["split", "training", "seed"])[f"loss_{loss}" if loss else "correct"].mean()
        sign = 1 if loss else -1
        values = values[splits[0]] if len(splits) == 1 else sign * (values["test"] - values["train"])
        expected = difference(values["sdt"], values["tet"], known)
        spreads.append(expected["spread"])
        for name in ("difference", "low", "high", "p", "effect"):
            assert result.loc[(measure, loss), name] == pytest.approx(expected[name]), (measure, name)
    assert set(spreads) == {"seeds", "images"}


def test_equal_differences_are_doubted_where_nothing_is_known_of_the_images(tmp_path):
    found = measured(table({"train": 40, "test": 90}))
    found["timesteps"]["accuracy_cumulative"] = np.where(found["timesteps"]["training"] == "sdt", 0.5, 0.51)
    write(tmp_path, {"timesteps": found["timesteps"]})
    told = row(compare.run(compare.Config((tmp_path,), resamples=20)), "test_accuracy")
    assert told["trust"] == "no spread"
    assert np.isnan([told["low"], told["p"]]).all()


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("other run", "outcomes.csv and timesteps.csv are not of one run"),
        (
            "cut at its end",
            "split test, checkpoint tet-2: 85 rows of 90 images that timesteps.csv counts; the table looks cut",
        ),
        ("cut after a split", "split test, checkpoint tet-2: 0 rows of 90 images"),
        ("cut after a checkpoint", "split test, checkpoint tet-2: 0 rows of 90 images"),
        ("cut in the middle", "split test, checkpoint tet-2: image 31 is there twice, or one before it isn't"),
        ("an image twice", "split test, checkpoint tet-2: image 89 is there twice, or one before it isn't"),
    ],
)
def test_outcomes_of_another_run_or_cut_short_are_one_line(kind, says, tmp_path, capsys):
    whole, other = table({"train": 40, "test": 90}), table({"train": 40, "test": 90}, seed=1)
    found = measured(whole)
    cuts = {"end": whole[:-5], "split": whole[:-90], "checkpoint": whole[:-130]}
    cuts |= {"middle": whole.drop(whole.index[-60]), "twice": pd.concat([whole, whole[-1:]]), "run": other}
    found["outcomes"] = cuts[kind.split()[-1]]
    write(tmp_path, found)
    assert compare.main([str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert line.endswith("again with python -m analysis.timesteps")


def sized(sizes: dict[str, int], seeds: int = 4) -> dict[str, pd.DataFrame]:
    """The tables of networks of one method, whose test images are as many as each value of a factor says."""
    parts = []
    for place, (value, number) in enumerate(sizes.items()):
        one = table({"train": 40, "test": number}, seeds=seeds, seed=place).query("method == 'sdt'")
        parts.append(measured(one.assign(checkpoint=f"{value}-" + one["checkpoint"])))
    both = {name: pd.concat([part[name] for part in parts], ignore_index=True) for name in parts[0]}
    runs = both["timesteps"].drop_duplicates("checkpoint")[list(identity("", 0))]
    return both | {"settings": runs.assign(kind=runs["checkpoint"].str.partition("-")[0])}


def test_networks_of_other_numbers_of_images_are_compared_without_pairing_them(tmp_path):
    found = sized({"a": 60, "b": 50, "c": 60})
    write(tmp_path, found)
    result = compare.run(compare.Config((tmp_path,), by="kind", resamples=20)).to_frame()
    result = result.set_index(["method", "measure", "loss"])
    other, same = result.loc["b"], result.loc["c"]
    on_test = [one for one in same.index if "test" in SPLITS.get(one[0], ())]
    assert len(on_test) == 6
    for place in on_test:
        values = found["timesteps"].query("split == 'test'").set_index("checkpoint")["accuracy_cumulative"]
        assert (other.loc[place, "spread"], np.isnan(other.loc[place, "sampling_error"])) == ("", True)
        assert "numbers of examples differ" in other.loc[place, "trust"]
        assert same.loc[place, "spread"] != "", place
        assert same.loc[place, "sampling_error"] > 0
        assert "numbers of examples differ" not in same.loc[place, "trust"]
    gaps = [values[f"b-sdt-{seed}"] - values[f"a-sdt-{seed}"] for seed in range(4)]
    test = stats.ttest_1samp(gaps, 0)  # of seeds alone
    assert other.loc[("test_accuracy", ""), "p"] == pytest.approx(test.pvalue)
    assert tuple(other.loc[("test_accuracy", ""), ["low", "high"]]) == pytest.approx(tuple(test.confidence_interval()))
    assert other.loc[("train_accuracy", ""), "spread"] != ""  # as many training images on either side


def test_networks_of_several_numbers_of_images_cut_short_are_still_refused(tmp_path, capsys):
    found = sized({"a": 60, "b": 50})
    found["outcomes"] = found["outcomes"].drop(found["outcomes"].query("checkpoint == 'a-sdt-1'").index[-3:])
    write(tmp_path, found)
    assert compare.main([str(tmp_path), "--by", "kind"]) == 1
    assert "split test, checkpoint a-sdt-1: 57 rows of 60 images" in capsys.readouterr().err


@pytest.mark.parametrize("paired", [True, False])
def test_images_known_to_be_drawn_otherwise_are_not_paired(paired):
    found = table({"test": 20})
    sides = paths("sdt", range(3)), paths("tet", range(3))
    if not paired:
        sides[1].index += 9
    every = [*sides[0], *sides[1]]

    def told(drawn):
        return sampling(found, "test_accuracy", "", *sides, dict(zip(every, drawn, strict=True)))

    known = sampling(found, "test_accuracy", "", *sides)
    assert known is not None
    assert told([4.0] * 6) == told([np.nan] * 6) == told([4.0] * 3 + [np.nan] * 3) == known
    assert told([0.0, 1, 2, 0, 1, 2]) == (known if paired else None)  # every seed's own: alike within pairs alone
    assert told([0.0, 0, 0, 0, 0, 1]) is None


def test_what_images_were_drawn_by_is_read_off_settings(tmp_path):
    found = measured(table({"train": 40, "test": 90}))
    runs = found["timesteps"].drop_duplicates("checkpoint")[list(identity("", 0))]
    errors = []
    for place, other in enumerate((0, 7)):
        drawn = np.where(runs["method"] == "tet", other, 0)
        write(tmp_path / str(place), found | {"settings": runs.assign(split_seed=drawn)})
        told = row(compare.run(compare.Config((tmp_path / str(place),), resamples=20)), "test_accuracy")
        errors.append(told["sampling_error"])
    assert errors[0] > 0
    assert np.isnan(errors[1])


def test_outcomes_alone_are_no_comparison(tmp_path, capsys):
    write(tmp_path, {"outcomes": table({"test": 9})})
    assert compare.main([str(tmp_path)]) == 1
    assert "no table in" in capsys.readouterr().err
