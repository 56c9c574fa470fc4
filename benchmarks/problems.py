"""The three networks that curvature is measured on, trained on the embedded digits, with their loss and one batch.

- ``digits``: the spiking network of the demo, 8,974 weights, T = 4, 200 images of 8×8
- ``resnet20``: a ReLU ResNet-20 (He et al. 2016, section 4.2: three stages of three basic blocks), 0.27 million
  weights, 100 digits enlarged to 16×16
- ``vggsnn``: the paper's spiking VGGSNN, 9.2 million weights, T = 2, 20 digits enlarged to 16×16

The last two are trained with Adam for some epochs, until training accuracy is high: curvature at random weights is
another problem.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from analysis.subject import per_image
from landscape.objective import Objective
from models.data import load
from models.networks import build

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Problem:
    """A trained network in eval mode, a loss with one value an image, and the images."""

    name: str
    network: nn.Module
    loss: Loss
    batch: tuple[Tensor, Tensor]

    @property
    def objective(self) -> Objective:
        """L(w) of the network."""
        return Objective(self.network, self.loss, [self.batch])

    def double(self) -> "Problem":
        """The same in float64; this network is converted, not copied."""
        images, labels = self.batch
        return replace(self, network=self.network.double(), batch=(images.double(), labels))


class Block(nn.Module):
    """Two 3×3 convolutions beside a shortcut that subsamples and pads with zero channels (option A)."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.stride, self.extra = (2, out - channels) if out > channels else (1, 0)
        self.conv1 = nn.Conv2d(channels, out, 3, self.stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out)

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, channel, height, width] to the next block's."""
        branch = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(maps)))))
        shortcut = F.pad(maps[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))
        return torch.relu(branch + shortcut)


def resnet20(in_channels: int = 1, num_classes: int = 10) -> nn.Module:
    """He et al.'s ResNet-20 for small images, ReLU throughout."""
    widths = (16, 16, 16, 16, 32, 32, 32, 64, 64, 64)
    blocks = [Block(before, after) for before, after in pairwise(widths)]
    stem = [nn.Conv2d(in_channels, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, num_classes))


def problem(name: str, folder: Path) -> Problem:
    """The problem called ``name``, trained now unless its weights lie in ``folder``."""
    data = load("digits")
    images, labels = next(iter(data.train.batches(200)))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, loss, epochs, count = _untrained(name)
    if name != "digits":
        images = F.interpolate(images, size=16, mode="bilinear")
    path = folder / f"{name}.pt"
    if path.exists():
        network.load_state_dict(torch.load(path, weights_only=True))
    else:
        _train(network, loss, images, labels, epochs)
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(network.state_dict(), path)
    return Problem(name, network.eval(), loss, (images[:count], labels[:count]))


def _untrained(name: str) -> tuple[nn.Module, Loss, int, int]:
    """Network, loss, epochs and images measured on."""
    if name == "digits":
        return build("digits-cnn", seed=0, in_channels=1, image_size=8, timesteps=4), per_image("tet"), 50, 200
    if name == "resnet20":
        return resnet20(), lambda output, labels: F.cross_entropy(output, labels, reduction="none"), 30, 100
    if name == "vggsnn":
        return build("vggsnn", seed=0, in_channels=1, image_size=16, timesteps=2), per_image("tet"), 12, 20
    raise ValueError(f"no problem named {name!r}; there are digits, resnet20, vggsnn")


def _train(network: nn.Module, loss: Loss, images: Tensor, labels: Tensor, epochs: int) -> None:
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for index in torch.randperm(len(labels), generator=generator).split(50):
            optimizer.zero_grad()
            loss(network(images[index]), labels[index]).mean().backward()
            optimizer.step()
