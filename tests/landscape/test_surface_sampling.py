"""Surfaces of few points, all evaluated, from few examples: how far off they are, and whether their errors say so."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from analysis.subject import Subject
from analysis.surface import command, main
from landscape.surfaces import Moments, grid, surface
from landscape.surfaces.known import FEWEST

SIZE = 3000


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40), st.integers(1, 39))
def test_moments_of_parts_are_those_of_the_whole(values, cut):
    values = torch.tensor(values, dtype=torch.float64)
    cut = min(cut, len(values) - 1)
    found = Moments.of(values[:cut]).with_(Moments.of(values[cut:]))
    assert found.size == len(values)
    assert found.mean == pytest.approx(values.mean().item(), rel=1e-9, abs=1e-6)
    assert found.stderr == pytest.approx((values.std() / len(values) ** 0.5).item(), rel=1e-6, abs=1e-6)


def test_moments_keep_infinity():
    found = Moments.of(torch.tensor([1.0, 2.0]).double()).with_(Moments.of(torch.tensor([float("inf"), 1.0]).double()))
    assert found.mean == float("inf")
    assert np.isnan(found.stderr)


def test_a_part_of_a_population_is_known_better_than_a_sample_and_all_of_it_exactly():
    values = torch.arange(10, dtype=torch.float64)
    found = Moments.of(values)
    assert found.stderr_of(10) == 0
    assert found.stderr_of(20) == pytest.approx(found.stderr * 0.5**0.5)
    assert found.stderr_of(10**9) == pytest.approx(found.stderr)


def skewed(seed):
    """Quadratic losses a_i (w − c_i)² of one weight, with a heavy tail in a, in random order and small batches."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.randn(SIZE, 1, generator=generator, dtype=torch.float64).exp()
    centre = torch.randn(SIZE, 1, generator=generator, dtype=torch.float64)
    data = torch.cat([scale, centre], 1)[torch.randperm(SIZE, generator=generator)]
    return [(part, part) for part in data.split(50)]


class Weight(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, inputs):
        return inputs[:, 0] * (self.w - inputs[:, 1]) ** 2


def line(seed, tolerance=None):
    metrics = {"loss": lambda values: values, "double": lambda values: 2 * values}
    return surface(
        Weight(),
        lambda output, _: {name: of(output) for name, of in metrics.items()},
        skewed(seed) if tolerance else [(everything := torch.cat([part for part, _ in skewed(seed)]), everything)],
        [torch.ones(1, dtype=torch.float64)],
        grid(-2.0, 2.0, 9),
        tolerance=tolerance,
    )


@pytest.fixture(scope="module")
def lines():
    return [(line(seed), line(seed, {"loss": 0.02})) for seed in range(50)]


def test_errors_are_what_was_asked_for_and_images_are_saved(lines):
    for whole, few in lines:
        spread = np.ptp(few.mean["loss"])
        assert (few.sampling_stderr["loss"] <= 0.02 * spread * 1.02).all()
        assert few.images.min() >= FEWEST
        assert few.images[4, 0] == SIZE  # the centre
        assert few.images.mean() < 0.95 * SIZE
        assert not few.interpolated.any()
        assert (whole.images == SIZE).all()
        assert (whole.sampling_stderr["loss"] == 0).all()


def test_the_error_claimed_covers_the_distance_to_all_examples_as_often_as_it_says(lines):
    errors = np.array([few.mean["loss"] - whole.mean["loss"] for whole, few in lines])[:, :, 0]
    claimed = np.array([few.sampling_stderr["loss"] for _, few in lines])[:, :, 0]
    moved = claimed > 0  # the centre is known from all examples
    assert moved.sum(1).tolist() == [8] * len(lines)
    z = errors[moved] / claimed[moved]
    assert 0.90 < (np.abs(z) < 1.96).mean() < 0.99
    assert 0.60 < (np.abs(z) < 1).mean() < 0.78
    assert abs(z.mean()) < 0.3


def test_errors_are_those_of_the_estimate_from_the_examples_taken(lines):
    """Over images ℓ(0) is known from all N and the difference from the first n: the variances of both, by hand."""
    data = torch.cat([part for part, _ in skewed(0)]).numpy()
    few = lines[0][1]
    for alpha, images, mean, stderr, rise_stderr, sampling in zip(
        few.alphas, few.images[:, 0], *(
            getattr(few, name)["loss"][:, 0] for name in ("mean", "stderr", "rise_stderr", "sampling_stderr")
        ), strict=True,
    ):  # fmt: skip
        value, rise = (data[:, 0] * ((w - data[:, 1]) ** 2 - c * data[:, 1] ** 2) for w, c in ((alpha, 0), (alpha, 1)))
        assert mean == pytest.approx((data[:, 0] * data[:, 1] ** 2).mean() + rise[:images].mean(), rel=1e-12)
        left = rise[:images].var(ddof=1) * (1 / images - 1 / SIZE)
        assert sampling == pytest.approx(left**0.5)
        assert rise_stderr == pytest.approx((rise[:images].var(ddof=1) / images) ** 0.5)
        assert stderr == pytest.approx((value[:images].var(ddof=1) / SIZE + left) ** 0.5)


def test_every_metric_named_is_as_accurate_as_asked(lines):
    found = line(0, {"loss": 0.05, "double": 0.02})
    assert (found.sampling_stderr["double"] <= 0.02 * np.ptp(found.mean["double"]) * 1.02).all()
    assert np.array_equal(found.images, lines[0][1].images)  # relative to its range the double is as hard as the loss


def test_a_tolerance_that_needs_every_example_gives_the_whole_surface_to_rounding():
    whole, few = line(1), line(1, {"loss": 1e-9})
    assert (few.images[[0, -1]] == SIZE).all()
    np.testing.assert_allclose(few.mean["loss"], whole.mean["loss"], rtol=1e-12)
    np.testing.assert_allclose(few.stderr["loss"], whole.stderr["loss"], rtol=1e-9)
    assert few.sampling_stderr["loss"].max() == 0


@pytest.mark.parametrize(("tolerance", "message"), [({"loss": 0.0}, "positive"), ({"lose": 0.1}, "no metric 'lose'")])
def test_a_tolerance_that_makes_no_sense_is_refused(tolerance, message):
    with pytest.raises(ValueError, match=message):
        line(0, tolerance)


class TestCommand:
    def config(self, path, **more):
        settings = {"images": None, "draws": 1, "points": 5, "plane_draws": 0, "loss": "sdt", "chunk": 25}
        return command.Config((path,), quiet=True, **settings, **more)

    def test_a_checkpoint_s_surface_within_its_error_of_all_images(self, digits_checkpoint):
        path = digits_checkpoint("tet", train_images=1000, epochs=1)
        whole = command.run(self.config(path)).to_frame()
        few = command.run(self.config(path, tolerance=0.03)).to_frame()
        assert (whole["images"] == 1000).all()
        assert few["images"].sum() < 0.7 * whole["images"].sum()
        moved = few["alpha"] != 0
        error = (few["value"] - whole["value"])[moved] / few["sampling_stderr"][moved]
        assert error.abs().max() < 3.5
        assert few["value"][~moved].item() == pytest.approx(whole["value"][~moved].item(), abs=1e-5)
        assert (few["sampling_stderr"] <= 0.03 * np.ptp(few["value"]) * 1.05).all()

    def test_the_seed_draws_the_images(self, digits_checkpoint):
        path = digits_checkpoint("tet", train_images=1000, epochs=1)
        batches = [command._batches(Subject.load(path), "train", self.config(path, tolerance=0.1, seed=seed))
                   for seed in (0, 0, 1)]  # fmt: skip
        one, again, other = (torch.cat([labels for _, labels in found]) for found in batches)
        assert torch.equal(one, again)
        assert not torch.equal(one, other)
        assert torch.equal(one.sort()[0], other.sort()[0])

    @pytest.mark.parametrize("tolerance", ["0", "-1", "nan"])
    def test_a_tolerance_that_is_none_is_one_line(self, tolerance, digits_checkpoint, capsys):
        path = digits_checkpoint("tet", timesteps=2, train_images=40)
        assert main([str(path), "--quiet", "--tolerance", tolerance, "--points", "3"]) == 1
        assert capsys.readouterr().err.count("\n") == 1
