"""torchvision's families, made small by their own constructors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torchvision import models as tv
from torchvision.models import convnext, densenet, efficientnet, inception, mobilenetv3, regnet
from torchvision.models import vgg as vggs
from torchvision.models.googlenet import BasicConv2d, GoogLeNetOutputs, Inception

from .attention import SECOND
from .entry import Case, Entry, classifier

SIZES = (2, 1)


def seen(make: Callable[[], nn.Module], side: int) -> Callable[[], Case]:
    """The network on colour images of ``side`` pixels."""
    return lambda: classifier(make(), shape=(3, side, side), sizes=SIZES)


def vgg(norm: bool) -> nn.Module:
    """VGG's features; its head of 120 million weights made small."""
    features = vggs.make_layers([4, "M", 6, "M"], batch_norm=norm)
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 5), nn.ReLU(True),
                         nn.Dropout(), nn.Linear(5, 3))  # fmt: skip


def inceptions() -> nn.Module:
    """Inception v3's blocks, two of them."""
    return nn.Sequential(
        inception.BasicConv2d(3, 4, kernel_size=3), inception.InceptionA(4, pool_features=2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(226, 3),
    )  # fmt: skip


def googles() -> nn.Module:
    return nn.Sequential(
        BasicConv2d(3, 4, kernel_size=3), Inception(4, 2, 2, 3, 2, 2, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(9, 3),
    )  # fmt: skip


def mobile3() -> nn.Module:
    block = partial(mobilenetv3.InvertedResidualConfig, width_mult=1.0)
    blocks = [block(8, 3, 8, 8, True, "RE", 2, 1), block(8, 3, 16, 8, True, "HS", 1, 1)]
    return tv.MobileNetV3(blocks, last_channel=8, num_classes=3)


def efficient() -> nn.Module:
    block = efficientnet.MBConvConfig(2, 3, 1, 8, 8, 1, 1.0, 1.0)
    return tv.EfficientNet([block], dropout=0.2, stochastic_depth_prob=0.2, num_classes=3, last_channel=8)


def reg() -> nn.Module:
    sizes = regnet.BlockParams.from_init_params(depth=4, w_0=8, w_a=4.0, w_m=2.0, group_width=4, se_ratio=0.25)
    return tv.RegNet(sizes, num_classes=3, stem_width=4)


def convnexts() -> nn.Module:
    blocks = [convnext.CNBlockConfig(4, 6, 1), convnext.CNBlockConfig(6, None, 1)]
    return tv.ConvNeXt(blocks, stochastic_depth_prob=0.1, layer_scale=0.5, num_classes=3)


def dense() -> nn.Module:
    return densenet.DenseNet(growth_rate=2, block_config=(2, 1), num_init_features=4, bn_size=2, num_classes=3)


def mobile2() -> nn.Module:
    settings = [[1, 8, 1, 1], [2, 8, 1, 2]]
    return tv.MobileNetV2(num_classes=3, inverted_residual_setting=settings, width_mult=0.5)


def shuffle() -> nn.Module:
    return tv.ShuffleNetV2([2, 1, 1], [4, 4, 8, 8, 8], num_classes=3)


def memory_saving() -> nn.Module:
    """DenseNet with checkpointed blocks: their forward runs again in the backward pass."""
    return densenet.DenseNet(2, (2, 1), 4, 2, num_classes=3, memory_efficient=True)


def side_output() -> Case:
    """GoogLeNet-like: a named tuple of two heads, both in the loss."""
    case = classifier(googles(), shape=(3, 8, 8), sizes=SIZES)
    head = nn.Linear(4, 3)

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = case.model, head

        def forward(self, x: torch.Tensor) -> Any:
            first = self.body[0](x)
            return GoogLeNetOutputs(self.body[1:](first), self.head(first.mean((2, 3))), None)

    def loss(output: Any, y: torch.Tensor) -> torch.Tensor:
        return case.loss(output.logits, y) + 0.3 * case.loss(output.aux_logits2, y)

    return Case(Two(), loss, case.batches)


V = "vision"
ENTRIES = (
    Entry("vgg blocks", V, seen(lambda: vgg(False), 8)),
    Entry("vgg blocks with norms", V, seen(lambda: vgg(True), 8)),
    Entry("inception blocks", V, seen(inceptions, 7)),
    Entry("googlenet blocks", V, seen(googles, 8)),
    Entry("googlenet, two heads", V, side_output, half=True),
    Entry("densenet", V, seen(dense, 16), half=True),
    Entry("densenet, checkpointed", V, seen(memory_saving, 16)),
    Entry("squeezenet", V, seen(lambda: tv.squeezenet1_1(num_classes=3), 20)),
    Entry("shufflenet", V, seen(shuffle, 16)),
    Entry("mobilenet v2", V, seen(mobile2, 12)),
    # torch has no second derivative of its hard sigmoid.
    Entry("mobilenet v3", V, seen(mobile3, 12), half=True, expects=dict.fromkeys(SECOND, "refused: differentia")),
    Entry("mnasnet", V, seen(lambda: tv.MNASNet(0.1, num_classes=3), 33)),
    Entry("efficientnet", V, seen(efficient, 12)),
    Entry("regnet", V, seen(reg, 16)),
    Entry("convnext", V, seen(convnexts, 16)),
)
