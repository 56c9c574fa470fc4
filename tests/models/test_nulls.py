"""What momentum keeps of noise, against simulations: of an epoch's own steps, and of weights that move."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.training.momentum import MomentumHistory
from models.training.nulls import coherence_null, epoch_nulls, sampled_null
from models.training.step_gradients import Kept

from .. import noise

SEEDS = 8


@given(st.floats(0, 0.999), st.integers(1, 300))
def test_the_null_is_the_length_of_the_weights(beta, batches):
    weights = beta ** np.arange(batches - 1, -1, -1.0)
    assert coherence_null(beta, batches) == pytest.approx(np.linalg.norm(weights / weights.sum()), rel=1e-6)


@given(st.floats(0, 0.99), st.integers(2, 60), st.integers(1, 40))
def test_an_epoch_of_equal_batches_has_the_closed_form(beta, batches, size):
    low, high = epoch_nulls(beta, [size] * batches)
    square = coherence_null(beta, batches) ** 2
    assert high**2 == pytest.approx(square)
    assert low**2 == pytest.approx((square - 1 / batches) / (1 - 1 / batches), abs=1e-9)


def test_special_cases():
    assert epoch_nulls(0.9, [50] * 20)[0] == pytest.approx(0.1346, abs=1e-4)
    assert np.isnan(epoch_nulls(0.9, [50])[0])
    assert epoch_nulls(0.9, [50])[1] == 1
    assert epoch_nulls(0.0, [50, 50, 7]) == pytest.approx((1, 1))
    assert sampled_null(0.9, 20, size=50, images=50) == pytest.approx(1)
    assert sampled_null(0.9, 20, size=50, images=10**9) == pytest.approx(coherence_null(0.9, 20))
    for sizes in ([], [4, 0]):
        with pytest.raises(ValueError, match="hold at least one image each"):
            epoch_nulls(0.9, sizes)


def recorded(images: torch.Tensor, seed: int, path) -> dict[str, float]:
    """The row of the whole gradient of one epoch of training on ``images``."""
    network, split = noise.Linear(), noise.split(images)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)
    history = MomentumHistory(network, split, beta=0.9, batch_size=50, path=path, done=0)
    history.follow(optimizer)
    for batch, labels in split.batches(50, generator=torch.Generator().manual_seed(seed)):
        optimizer.zero_grad()
        noise.loss(network(batch), labels).mean().backward()
        optimizer.step()
    history.record(1, "sdt", noise.loss)
    return history.rows[-1]


def kept(vectors: np.ndarray) -> float:
    weights = 0.9 ** np.arange(len(vectors) - 1, -1, -1.0)
    return float(np.linalg.norm(weights @ vectors) / (weights @ np.linalg.norm(vectors, axis=1)))


def simulated(pool: int, *, centred: bool) -> np.ndarray:
    """The same of batches cut from NumPy's permutations of fresh noise."""
    rng, found = np.random.default_rng(1), []
    for draw in range(24):
        flat = noise.noise(pool, centred=centred, seed=1000 + draw).flatten(1).numpy()[rng.permutation(pool)]
        found.append(kept(np.array([flat[at : at + 50].mean(0) for at in range(0, pool, 50)])))
    return np.array(found)


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("pool", [200, 1000, 1010, 5000])
def test_an_epoch_of_training_keeps_of_noise_what_its_nulls_say(pool, centred, tmp_path):
    rows = [recorded(noise.noise(pool, centred=centred, seed=seed), seed, tmp_path / "a.csv") for seed in range(SEEDS)]
    (null,) = {row["kept_null_low" if centred else "kept_null"] for row in rows}
    simulation = simulated(pool, centred=centred)
    for values in (np.array([row["kept"] for row in rows]), simulation):
        assert abs(values.mean() - null) < 4 * simulation.std(ddof=1) / len(values) ** 0.5


class Turning:
    """Images' gradients that turn as the weights move, of mean zero over all images wherever they are."""

    def __init__(self, images: int, seed: int):
        rng = np.random.default_rng(seed)
        self.parts = rng.standard_normal((2, images, 600))
        self.parts -= self.parts.mean(1, keepdims=True)

    def at(self, angle: float, chosen: np.ndarray) -> np.ndarray:
        first, second = self.parts[:, chosen].mean(1)
        return np.cos(angle) * first + np.sin(angle) * second


@pytest.mark.parametrize("angle", [0.0, 0.5, 1.5, 3.1])
def test_an_epoch_of_moving_weights_keeps_something_between(angle):
    values = []
    weights = 0.9 ** np.arange(19, -1, -1.0)
    weights /= weights.sum()
    angles = angle * np.arange(20)
    for seed in range(SEEDS):
        images, order = Turning(1000, seed), np.random.default_rng(100 + seed).permutation(1000)
        values.append(
            kept(np.array([images.at(at, part) for at, part in zip(angles, order.reshape(20, 50), strict=True)]))
        )
    own = (weights @ np.cos(angles)) ** 2 + (weights @ np.sin(angles)) ** 2
    expected = ((weights @ weights / 50 - own / 1000) / (1 / 50 - 1 / 1000)) ** 0.5
    low, high = epoch_nulls(0.9, [50] * 20)
    assert np.mean(values) == pytest.approx(expected, rel=0.05)
    assert low * (1 - 1e-9) <= expected <= high / (1 - 0.05) ** 0.5
    if angle == 0.0:
        assert expected == pytest.approx(low)


def test_independent_draws_have_the_null_while_earlier_batches_move_the_weights():
    values = []
    for seed in range(2 * SEEDS):
        images, rng, part, angle = Turning(200, seed), np.random.default_rng(100 + seed), Kept(0.9), 0.0
        for _ in range(20):
            gradient = images.at(angle, rng.choice(200, 50, replace=False))
            angle += 0.3 * np.sign(gradient[0])
            part.add(torch.from_numpy(gradient))
        values.append(part.part)
        assert part.null == coherence_null(0.9, 20)
    assert abs(np.mean(values) - part.null) < 4 * np.std(values) / len(values) ** 0.5
