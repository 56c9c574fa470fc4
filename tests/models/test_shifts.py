"""Shifted images against loops over pixels, colorsys, Pillow and SciPy; severities, draws, and what is refused."""

import colorsys
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from models.data.shifts import DRAWN, SEVERITIES, SHIFTS, shifted

SHAPES = ((1, 8, 8), (3, 32, 32), (3, 12, 9))
DEFOCUS = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))
PIXELATE = (0.95, 0.9, 0.85, 0.75, 0.65)


def images(*shape: int, count: int = 6) -> torch.Tensor:
    """Smooth ones, as photographs are, so that more blur is a larger change."""
    noise = np.random.default_rng(0).random((count, *shape))
    smooth = ndimage.gaussian_filter(noise, (0, 0, 1, 1))
    low, high = smooth.min(), smooth.max()
    return torch.from_numpy((smooth - low) / (high - low))


@pytest.fixture(params=SHAPES, ids=str)
def given(request) -> torch.Tensor:
    return images(*request.param)


def test_noise_is_that_of_the_generator_clipped(given):
    for severity, c in zip(SEVERITIES, (0.04, 0.06, 0.08, 0.09, 0.10), strict=True):
        normal = np.random.default_rng(5).standard_normal(given.shape)
        expected = np.minimum(np.maximum(given.numpy() + c * normal, 0), 1)
        np.testing.assert_allclose(shifted(given, "gaussian_noise", severity, seed=5), expected, atol=1e-15)


def test_blur_is_correlation_with_a_smoothed_disk(given):
    """As the source has it: a disk on 17 × 17 places, OpenCV's Gaussian of 3 × 3, edges mirrored."""
    place = np.arange(-8, 9)
    for severity, (radius, sigma) in zip(SEVERITIES, DEFOCUS, strict=True):
        disk = (place[:, None] ** 2 + place[None] ** 2 <= radius**2).astype(float)
        kernel = ndimage.gaussian_filter(disk / disk.sum(), sigma, radius=1, mode="constant")
        expected = np.stack([[ndimage.correlate(one, kernel, mode="mirror") for one in image] for image in given])
        np.testing.assert_allclose(shifted(given, "defocus_blur", severity, seed=0), expected, atol=1e-12)


def test_contrast_draws_pixels_to_their_channel_s_mean(given):
    for severity, c in zip(SEVERITIES, (0.75, 0.5, 0.4, 0.3, 0.15), strict=True):
        found = shifted(given, "contrast", severity, seed=0)
        for image, channel in np.ndindex(*given.shape[:2]):
            pixels = given[image, channel].numpy()
            for at in np.ndindex(*pixels.shape):
                expected = pixels.mean() + c * (pixels[at] - pixels.mean())
                assert float(found[(image, channel, *at)]) == pytest.approx(min(max(expected, 0), 1))


def test_brightness_is_the_value_of_hsv():
    given = images(3, 5, 4)
    given[0, :, 0, 0] = 0  # black has no hue: it turns grey
    given[0, :, 0, 1] = torch.tensor([1.0, 0.25, 0.5])  # and what is as bright as can be stays
    for severity, c in zip(SEVERITIES, (0.05, 0.1, 0.15, 0.2, 0.3), strict=True):
        found = shifted(given, "brightness", severity, seed=0)
        for image, row, column in np.ndindex(len(given), 5, 4):
            hue, saturation, value = colorsys.rgb_to_hsv(*given[image, :, row, column].tolist())
            expected = colorsys.hsv_to_rgb(hue, saturation, min(value + c, 1))
            assert found[image, :, row, column].tolist() == pytest.approx(expected)
    grey = images(1, 8, 8)
    np.testing.assert_allclose(shifted(grey, "brightness", 5, seed=0), np.minimum(grey.numpy() + 0.3, 1))


def test_pixelate_is_pillow_s_box_filter_twice(given):
    height, width = given.shape[2:]
    for severity, c in zip(SEVERITIES, PIXELATE, strict=True):
        found = shifted(given, "pixelate", severity, seed=0)
        for image, channel in np.ndindex(*given.shape[:2]):
            pixels = Image.fromarray(given[image, channel].numpy().astype(np.float32), mode="F")
            small = pixels.resize((int(width * c), int(height * c)), Image.Resampling.BOX)
            again = np.array(small.resize((width, height), Image.Resampling.BOX))
            np.testing.assert_allclose(found[image, channel], again, atol=1e-6)


def test_translation_is_linear_interpolation_into_black_in_four_directions():
    for shape in ((1, 8, 8), (3, 12, 9)):
        given, ways = images(*shape, count=40), []
        for severity in SEVERITIES:
            found = shifted(given, "translation", severity, seed=3).numpy()
            for image, moved in zip(given.numpy(), found, strict=True):
                steps = [severity / 16 * side for side in shape[1:]]
                candidates = [(steps[0], 0), (0, steps[1]), (-steps[0], 0), (0, -steps[1])]
                close = [
                    np.allclose(moved, ndimage.shift(image, (0, *by), order=1, mode="grid-constant"), atol=1e-12)
                    for by in candidates
                ]
                assert sum(close) == 1
                ways.append(close.index(True))
        counts = np.bincount(ways[:40], minlength=4)
        assert (counts > 0).all()
        assert ways == ways[:40] * 5  # the same direction at every severity


def test_one_pixel_moved_by_hand():
    given = torch.zeros(8, 1, 8, 8, dtype=torch.float64)
    given[:, 0, 4, 4] = 1
    found = shifted(given, "translation", 3, seed=0)[:, 0]  # 1.5 pixels
    expected = {(5, 4), (6, 4)}, {(3, 4), (2, 4)}, {(4, 5), (4, 6)}, {(4, 3), (4, 2)}
    for one in found:
        assert one[one > 0].tolist() == [0.5, 0.5]
        assert {tuple(at) for at in one.nonzero().tolist()} in expected


@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)  # of other sides pixelate's severities needn't be in order
@pytest.mark.parametrize("name", SHIFTS)
def test_severities_are_ever_further_from_the_image_and_inside_the_range(name, shape):
    given, apart = images(*shape), []
    for severity in SEVERITIES:
        found = shifted(given, name, severity, seed=1)
        assert found.dtype == given.dtype
        assert found.shape == given.shape
        assert ((found >= 0) & (found <= 1)).all()
        apart.append(float((found - given).square().mean()))
    assert all(0 < one <= more for one, more in pairwise(apart))
    assert apart[-1] > 1.5 * apart[0]


@pytest.mark.parametrize("name", SHIFTS)
def test_the_seed_decides_and_batches_do_not(name, given):
    before = given.clone()
    whole = shifted(given, name, 4, seed=[2, 7])
    assert torch.equal(given, before)
    assert torch.equal(shifted(given, name, 4, seed=[2, 7]), whole)
    assert torch.equal(shifted(given.float(), name, 4, seed=[2, 7]).double(), whole) is False
    generator = np.random.default_rng([2, 7])
    parts = [shifted(part, name, 4, seed=generator) for part in given.split([1, 3, 2])]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-15)
    other = shifted(given, name, 4, seed=[2, 8])
    assert torch.equal(other, whole) == (name not in DRAWN)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "fog"}, "there is no shift 'fog'; there are gaussian_noise, defocus_blur"),
        ({"severity": 0}, "a severity is 1, 2, 3, 4 or 5, got 0"),
        ({"severity": 6}, "a severity is 1, 2, 3, 4 or 5, got 6"),
        ({"images": torch.rand(1, 1, 2, 8)}, r"width\] of 3 pixels a side or more, got \[1, 1, 2, 8\]"),
        ({"images": torch.full((1, 1, 8, 8), 1.01)}, r"images lie in \[0, 1\], black to white"),
        ({"images": torch.full((1, 1, 8, 8), torch.nan)}, r"images lie in \[0, 1\], black to white"),
    ],
)
def test_what_is_no_image_or_no_shift_is_refused(change, says):
    asked = {"images": images(1, 8, 8), "name": "contrast", "severity": 1, "seed": 0} | change
    with pytest.raises(ValueError, match=says):
        shifted(**asked)


def test_sizes_other_than_the_source_s_go_through_every_shift():
    for name, shape in product(SHIFTS, ((1, 3, 3), (2, 3, 20), (4, 33, 17))):
        assert shifted(images(*shape), name, 5, seed=0).shape[1:] == shape
