"""Networks as other projects lay them out, for conversion: their structure and names, typed here from descriptions.

The TET code's have batch first and time second, and hold their layers under several names.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class TetLIF(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        membrane, spikes = torch.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            membrane = 0.5 * membrane + x[:, t]
            spikes.append((membrane - 1.0 > 0).to(x.dtype))
            membrane = (1 - spikes[-1]) * membrane
        return torch.stack(spikes, 1)


class OverTime(nn.Module):
    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.module = layers[0] if len(layers) == 1 else nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class TetNorm(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.seqbn = OverTime(self.bn)

    def forward(self, x: Tensor) -> Tensor:
        return self.seqbn(x)


class TetLayer(nn.Module):
    def __init__(self, layer: nn.Module, bn: nn.Module | None = None):
        super().__init__()
        self.layer = OverTime(layer)
        self.bn = bn

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) if self.bn is None else self.bn(self.layer(x))


def conv(before: int, after: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)


class TetBlock(nn.Module):
    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = conv(before, after, 3, stride), TetNorm(after)
        self.conv2, self.bn2 = conv(after, after, 3), TetNorm(after)
        changes = stride != 1 or before != after
        self.downsample = TetLayer(conv(before, after, 1, stride), TetNorm(after)) if changes else None
        self.conv1_s, self.conv2_s = TetLayer(self.conv1, self.bn1), TetLayer(self.conv2, self.bn2)
        self.spike = TetLIF()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.spike(self.conv2_s(self.spike(self.conv1_s(x))) + shortcut)


class TetResNet19(nn.Module):
    def __init__(self, classes: int = 10):
        super().__init__()
        self.conv1, self.bn1 = conv(3, 64, 3), TetNorm(64)
        self.conv1_s = TetLayer(self.conv1, self.bn1)
        self.layer1 = self.stage(64, 128, 3, 1)
        self.layer2 = self.stage(128, 256, 3, 2)
        self.layer3 = self.stage(256, 512, 2, 2)
        self.fc1, self.fc2 = nn.Linear(512, 256), nn.Linear(256, classes)
        self.fc1_s, self.fc2_s = TetLayer(self.fc1), TetLayer(self.fc2)
        self.spike = TetLIF()

    @staticmethod
    def stage(before: int, after: int, count: int, stride: int) -> nn.Sequential:
        rest = [TetBlock(after, after, 1) for _ in range(count - 1)]
        return nn.Sequential(TetBlock(before, after, stride), *rest)

    def forward(self, x: Tensor) -> Tensor:
        x = self.spike(self.conv1_s(x))
        x = self.layer3(self.layer2(self.layer1(x))).mean((-2, -1))
        return self.fc2_s(self.spike(self.fc1_s(x)))


class TetConv(nn.Module):
    def __init__(self, before: int, after: int, stride: int = 1):
        super().__init__()
        self.fwd = OverTime(nn.Conv2d(before, after, 3, stride, 1), nn.BatchNorm2d(after))
        self.act = TetLIF()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.fwd(x))


class TetVGG(nn.Module):
    def __init__(self, size: int = 48, pooled: bool = True, classes: int = 10):
        super().__init__()
        layers: list[nn.Module] = []
        widths = [2, 64, 128, 256, 256, 512, 512, 512, 512]
        for index in range(8):
            halved = index % 2 == 1
            layers.append(TetConv(widths[index], widths[index + 1], 2 if halved and not pooled else 1))
            if halved and pooled:
                layers.append(OverTime(nn.AvgPool2d(2)))
        self.features = nn.Sequential(*layers)
        self.classifier = OverTime(nn.Linear(512 * (size // 16) ** 2, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(2))


def lively(network: nn.Module, inputs: Sequence[Tensor], seed: int = 0) -> nn.Module:
    """Weights as after training: every BatchNorm with statistics of ``inputs`` and an affine of its own.

    Without, deep layers of a spiking network are silent, and what they hold would not show in the logits.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.8, 1.6, generator=generator)
        nn.init.uniform_(norm.bias, 0.1, 0.6, generator=generator)
        norm.momentum = None
    with torch.no_grad():
        for x in inputs:
            network.train()(x)
    return network.eval()
