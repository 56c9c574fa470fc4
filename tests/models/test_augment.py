"""Random views against loops over images and pixels, and against torchvision's for the same draws."""

import pytest
import torch
from torch import Generator
from torchvision import transforms

from models.data.augment import crop_and_flip, roll_and_flip
from models.data.resized import centre_crop, resized_crop_and_flip


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


# CIFAR's augmentation


def cropped_one_by_one(images: torch.Tensor, generator: Generator) -> torch.Tensor:
    count, _, height, width = images.shape
    draws = [torch.randint(9, (count,), generator=generator).tolist() for _ in range(2)]
    mirrored = (torch.rand(count, generator=generator) < 0.5).tolist()
    result = torch.zeros_like(images)
    for i in range(count):
        for y in range(height):
            for x in range(width):
                from_y, from_x = y + draws[0][i] - 4, x + draws[1][i] - 4
                if 0 <= from_y < height and 0 <= from_x < width:
                    to_x = width - 1 - x if mirrored[i] else x
                    result[i, :, y, to_x] = images[i, :, from_y, from_x]
    return result


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_crop_and_flip_is_that_of_a_loop_over_images_and_pixels(dtype):
    images = (torch.rand(12, 3, 7, 9, generator=seeded(0)) * 255).to(dtype)
    assert torch.equal(crop_and_flip(images, seeded(1)), cropped_one_by_one(images, seeded(1)))


def test_shifts_and_mirrors_are_equally_likely():
    dot = torch.zeros(20_000, 1, 9, 9)
    dot[:, :, 4, 4] = 1
    seen = crop_and_flip(dot, seeded(3)).mean(0).flatten() * 81
    assert (seen - 1).abs().max() < 5 * (81 / 20_000) ** 0.5
    slope = torch.arange(9.0).expand(20_000, 1, 9, 9)
    mirrored = (crop_and_flip(slope, seeded(3), padding=0)[:, 0, 0, 0] == 8).float().mean()
    assert abs(mirrored - 0.5) < 4 * 0.5 / 20_000**0.5


# ImageNet's augmentation


@pytest.mark.parametrize("shape", [(3, 50, 70), (3, 40, 40), (3, 8, 200), (3, 200, 8)])
def test_resized_crops_are_torchvisions_for_the_same_seed(shape):
    image = (torch.rand(shape, generator=seeded(0)) * 255).to(torch.uint8)
    theirs = transforms.Compose([transforms.RandomResizedCrop(24, antialias=True), transforms.RandomHorizontalFlip()])
    for seed in range(20):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            expected = theirs(image)
        assert torch.equal(resized_crop_and_flip(image, seeded(seed), size=24), expected)


def test_the_central_view_is_torchvisions():
    image = (torch.rand(3, 300, 420, generator=seeded(0)) * 255).to(torch.uint8)
    theirs = transforms.Compose([transforms.Resize(256, antialias=True), transforms.CenterCrop(224)])
    assert torch.equal(centre_crop(image), theirs(image))


# Event frames


@pytest.mark.parametrize("flip", [True, False])
def test_streams_are_mirrored_and_rolled_as_a_loop_over_pixels_does(flip):
    frames, generator = torch.rand(3, 6, 2, 12, 9), seeded(4)
    down, right = (torch.randint(-5, 6, (6,), generator=generator).tolist() for _ in range(2))
    mirrored = (torch.rand(6, generator=generator) < 0.5).tolist() if flip else [False] * 6
    expected = torch.zeros_like(frames)
    for i in range(6):
        for y in range(12):
            for x in range(9):
                from_x = 8 - x if mirrored[i] else x
                expected[:, i, :, (y + down[i]) % 12, (x + right[i]) % 9] = frames[:, i, :, y, from_x]
    assert torch.equal(roll_and_flip(frames, seeded(4), flip=flip), expected)
    assert mirrored.count(True) in ((1, 2, 3, 4, 5) if flip else (0,))


def test_all_frames_of_a_stream_move_alike_and_streams_by_their_own_draws():
    frames = torch.rand(1, 1, 2, 16, 16).expand(4, 40, 2, 16, 16)
    views = roll_and_flip(frames, seeded(0))
    assert (views == views[:1]).all()
    assert len({view.numpy().tobytes() for view in views[0]}) > 30


def test_every_shift_is_as_likely():
    dot = torch.zeros(1, 20_000, 2, 11, 11)
    dot[..., 5, 5] = 1
    seen = roll_and_flip(dot, seeded(3))[0, :, 0].mean(0).flatten() * 121
    assert (seen - 1).abs().max() < 5 * (121 / 20_000) ** 0.5
    slope = torch.arange(9.0).expand(1, 20_000, 2, 9, 9)
    mirrored = (roll_and_flip(slope, seeded(3), shift=0)[0, :, 0, 0, 0] == 8).float().mean()
    assert abs(mirrored - 0.5) < 4 * 0.5 / 20_000**0.5
