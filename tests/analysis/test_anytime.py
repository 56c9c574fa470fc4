import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.timesteps.anytime import anytime, check_thresholds


def made_up(images, steps, seed=0):
    draw = np.random.default_rng(seed)
    confidence = np.sort(draw.random((steps, images)), axis=0)
    return confidence, draw.random((steps, images)) < confidence


def test_by_hand():
    # Confident at once and right; at the second step and right then; never, and wrong in the end.
    confidence = np.array([[0.9, 0.5, 0.2], [0.6, 0.8, 0.3], [0.9, 0.9, 0.4]])
    right = np.array([[True, False, True], [False, True, False], [True, False, False]])
    row = anytime(confidence, right, (0.8,)).iloc[0]
    assert row["mean_steps"] == 2  # 1, 2 and 3 steps
    assert row["accuracy"] == pytest.approx(2 / 3)
    assert row["undecided"] == pytest.approx(1 / 3)
    assert row["fixed_accuracy"] == pytest.approx(1 / 3)  # of the second step
    assert row["gain"] == pytest.approx(1 / 3)
    assert row["mean_steps_stderr"] == pytest.approx(1 / np.sqrt(3))


@given(st.integers(1, 6), st.integers(2, 20), st.floats(0, 1), st.integers(0, 99))
def test_a_loop_that_stops_at_the_threshold_finds_the_same(steps, images, threshold, seed):
    confidence, right = made_up(images, steps, seed)
    used, hits = [], []
    for image in range(images):
        t = 0
        while confidence[t, image] < threshold and t + 1 < steps:
            t += 1
        used.append(t + 1)
        hits.append(right[t, image])
    row = anytime(confidence, right, (threshold,)).iloc[0]
    assert row["mean_steps"] == pytest.approx(np.mean(used))
    assert row["accuracy"] == pytest.approx(np.mean(hits))
    assert row["accuracy_stderr"] == pytest.approx(np.std(hits, ddof=1) / np.sqrt(images))
    rival = np.interp(np.mean(used), range(1, steps + 1), right.mean(1))
    assert row["fixed_accuracy"] == pytest.approx(rival)
    assert row["gain"] == pytest.approx(row["accuracy"] - rival, abs=1e-12)


def test_the_ends_are_one_step_and_all_steps():
    confidence, right = made_up(200, 5)
    first, last = anytime(confidence, right, (1.0, 0.0)).to_dict("records")
    assert (first["threshold"], first["mean_steps"], first["accuracy"]) == (0, 1, right[0].mean())
    assert (last["threshold"], last["mean_steps"], last["accuracy"]) == (1, 5, right[-1].mean())
    assert first["gain"] == last["gain"] == 0
    assert first["gain_stderr"] == last["gain_stderr"] == 0


def test_the_gains_error_is_its_spread_over_samples_of_images():
    draw = np.random.default_rng(3)

    def gain(images):
        confidence, right = made_up(images, 4, seed=int(draw.integers(2**31)))
        return anytime(confidence, right, (0.55,)).iloc[0]

    rows = [gain(400) for _ in range(300)]
    spread = np.std([row["gain"] for row in rows], ddof=1)
    assert np.mean([row["gain_stderr"] for row in rows]) == pytest.approx(spread, rel=0.12)


@pytest.mark.parametrize("thresholds", [(), (0.5, 1.1), (-0.1,), (float("nan"),)])
def test_thresholds_are_probabilities(thresholds):
    with pytest.raises(ValueError, match="--thresholds takes probabilities between 0 and 1"):
        check_thresholds(thresholds)
