"""Pure noise has the coherence that the nulls say: the command's own draws, beside a simulation of none of its code."""

import numpy as np
import pandas as pd
import pytest
import torch

from analysis.momentum import Config, measure
from analysis.momentum.onward import Plan, onward
from models.training.nulls import coherence_null

from .. import noise

BETA, BATCHES, SIZE, SEEDS = 0.9, 20, 50, 8
POOLS = (200, 1000, 5000)
PLACES = {"whole": slice(None), "stem": slice(0, noise.HALF), "body": slice(noise.HALF, None)}


@pytest.fixture(autouse=True)
def linear(monkeypatch):
    """Everything is measured of the loss whose gradients are the images."""
    monkeypatch.setattr("analysis.subject.answers.per_image", lambda _: noise.loss)


def gradients(images: torch.Tensor, orders: list[np.ndarray]) -> np.ndarray:
    flat = images.flatten(1).numpy()
    return np.array([flat[order].mean(0) for order in orders])


def coherence(vectors: np.ndarray, *, weighted: bool = False) -> float:
    weights = BETA ** np.arange(len(vectors) - 1, -1, -1.0)
    weights /= weights.sum()
    lengths = np.linalg.norm(vectors, axis=1)
    return float(np.linalg.norm(weights @ vectors) / (weights @ lengths if weighted else lengths.mean()))


def simulated(pool: int, *, centred: bool, weighted: bool = False, draws: int = 24) -> dict[str, np.ndarray]:
    """The coherence of independently drawn batches of fresh noise, by layer."""
    rng, found = np.random.default_rng(1), []
    for draw in range(draws):
        images = noise.noise(pool, centred=centred, seed=1000 + draw)
        vectors = gradients(images, [rng.choice(pool, SIZE, replace=False) for _ in range(BATCHES)])
        found.append({name: coherence(vectors[:, place], weighted=weighted) for name, place in PLACES.items()})
    return {name: np.array([one[name] for one in found]) for name in PLACES}


def assert_has(null: float, measured, simulation: np.ndarray) -> None:
    """Both means are within four of their standard errors of ``null``."""
    spread = simulation.std(ddof=1)
    for values in (np.asarray(measured), simulation):
        assert abs(values.mean() - null) < 4 * spread / len(values) ** 0.5


def measured(pool: int, *, centred: bool, seed: int, **settings) -> dict[str, pd.DataFrame]:
    given = noise.subject(noise.noise(pool, centred=centred, seed=seed))
    chosen = {"images": None, "loss": "sdt", "relative_steps": (), "layers": True, "quiet": True} | settings
    return measure(given, Config((given.path,), seed=seed, **chosen))


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("pool", POOLS)
def test_noise_has_the_null_of_its_population_in_the_whole_and_in_layers(pool, centred):
    runs = [measured(pool, centred=centred, seed=seed) for seed in range(SEEDS)]
    rows = pd.concat([run["momentum"].assign(layer="whole") for run in runs] + [run["momentum_layers"] for run in runs])
    simulation = simulated(pool, centred=centred)
    column = "coherence_null" if centred else "coherence_null_sampled"
    for layer, expected in simulation.items():
        for _, found in rows[rows["layer"] == layer].groupby("timestep"):
            (null,) = set(found[column])
            assert_has(null, found["coherence"], expected)
    (alone,) = set(rows["coherence_null"])
    assert alone == pytest.approx(0.259, abs=5e-4)
    assert set(rows["images"]) == {pool}


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("pool", POOLS)
def test_the_steps_on_keep_of_noise_what_their_null_says(pool):
    kept = []
    for seed in range(SEEDS):
        given = noise.subject(noise.noise(pool, centred=True, seed=seed))
        plan = Plan(BATCHES, None, SIZE, BETA, 50, seed, True)
        kept.append(onward(given, ("sdt",), plan)["momentum_steps"].query("timestep == 0"))
    last = pd.concat(kept).query("step == @BATCHES")
    (null,) = set(last["kept_null"])
    assert null == coherence_null(BETA, BATCHES)
    assert_has(null, last["kept"], simulated(pool, centred=True, weighted=True)["whole"])
    cosines = pd.concat(kept)["cosine_to_momentum"].dropna()
    assert abs(cosines.mean()) < 4 * cosines.std() / len(cosines) ** 0.5


@pytest.mark.parametrize(("pool", "found"), [(200, 0.035), (1000, 0.134), (5000, 0.242)])
def test_batches_that_exhaust_permutations_have_less(pool, found):
    rng, values = np.random.default_rng(0), []
    for seed in range(SEEDS):
        orders = np.concatenate([rng.permutation(pool) for _ in range(-(-BATCHES * SIZE // pool))])
        images = noise.noise(pool, centred=True, seed=seed)
        values.append(coherence(gradients(images, np.split(orders[: BATCHES * SIZE], BATCHES))))
    assert np.mean(values) == pytest.approx(found, rel=0.04)


def test_the_square_of_the_norm_holds_the_noise_over_one_less_than_the_batches():
    images = noise.noise(400, centred=False, seed=0) + 0.1
    own = float(images.flatten(1).mean(0).square().sum())
    given, found = noise.subject(images), []
    for seed in range(40):
        settings = {"images": None, "loss": "sdt", "relative_steps": (), "batches": 5, "quiet": True}
        row = measure(given, Config((given.path,), seed=seed, **settings))["momentum"].iloc[0]
        found.append(row["gradient_norm"] ** 2 - row["noise"] ** 2 / 4 - own)
    assert abs(np.mean(found)) < 4 * np.std(found) / len(found) ** 0.5
    assert np.std(found) / len(found) ** 0.5 < 0.02 * own


def test_batches_of_all_images_agree_and_the_sampled_null_says_that_they_must():
    row = measured(60, centred=False, seed=0, batch_size=60)["momentum"].iloc[0]
    assert row["coherence"] == pytest.approx(1)
    assert row["coherence_null_sampled"] == pytest.approx(1)
