"""Spiking residual networks: ResNet-19 for small images, Spiking-ResNet-34 and SEW-ResNet-34 for ImageNet.

Where the neuron sits relative to the sum makes two kinds of block. With conv-BN-neuron-conv-BN for the branch::

    Block       neuron( branch(x) + shortcut(x) )        Zheng et al. 2021; what comes out is spikes
    SEWBlock    neuron( branch(x) ) + shortcut(x)        Fang et al. 2021 (ADD); what comes out is small integers

The shortcut is the identity, or, where channels or stride change, a 1×1 convolution and BatchNorm, followed in an
SEWBlock by a neuron of its own. With tdBN, α is 1/√2 on both terms of Block's sum (Zheng et al. 2021), 1 everywhere
else. Convolutions have no bias; logits are the linear head's at every step, and their mean is left to the loss.
"""

from collections import OrderedDict
from collections.abc import Sequence
from math import sqrt
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from ..neurons.lif import Neuron
from .layers import Conv2d, GlobalAvgPool, MaxPool2d, Network, Stack, fire, normalization

Maps = Float[Tensor, "time batch _channel _height _width"]


class Block(nn.Module):
    """Two 3×3 convolutions, the shortcut added before the last neuron."""

    expansion: ClassVar[int] = 1
    neuron_before_sum: ClassVar[bool] = False
    sum_alpha: ClassVar[float] = 1 / sqrt(2)

    def __init__(self, in_channels: int, channels: int, stride: int, *, norm: str, neuron: Neuron):
        super().__init__()
        self.conv1 = Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = normalization(norm, channels, neuron)
        self.neuron1 = neuron.build()
        self.conv2 = Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = normalization(norm, channels, neuron, alpha=self.sum_alpha)
        self.neuron2 = neuron.build()
        self.shortcut = self._shortcut(in_channels, channels, stride, norm=norm, neuron=neuron)

    def _shortcut(self, in_channels: int, channels: int, stride: int, *, norm: str, neuron: Neuron) -> Stack:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if stride != 1 or in_channels != channels:
            layers["conv"] = Conv2d(in_channels, channels, 1, stride=stride, bias=False)
            layers["norm"] = normalization(norm, channels, neuron, alpha=self.sum_alpha)
            if self.neuron_before_sum:
                layers["neuron"] = neuron.build()
        return Stack(layers)

    def forward(self, x: Maps) -> Maps:
        """[time, batch, in_channels, H, W] to [time, batch, channels, H/stride, W/stride]."""
        branch = self.conv2(fire(self.norm1, self.neuron1, self.conv1(x)))
        if self.neuron_before_sum:
            return fire(self.norm2, self.neuron2, branch) + self.shortcut(x)
        plus, norm = self.shortcut.before_norm(x)
        return fire(self.norm2, self.neuron2, branch, plus, plus_norm=norm)


class SEWBlock(Block):
    """Two 3×3 convolutions, the shortcut added after the last neuron: spike-element-wise ADD."""

    neuron_before_sum = True
    sum_alpha = 1.0


def _stages(
    block: type[Block], in_channels: int, plan: Sequence[tuple[int, int, int]], *, norm: str, neuron: Neuron
) -> "OrderedDict[str, nn.Module]":
    """Stages ``stage1``, ``stage2``, ... of (channels, blocks, stride of the first block)."""
    named: OrderedDict[str, nn.Module] = OrderedDict()
    for index, (channels, blocks, stride) in enumerate(plan, start=1):
        widths = [in_channels] + [channels] * (blocks - 1)
        strides = [stride] + [1] * (blocks - 1)
        named[f"stage{index}"] = nn.Sequential(
            *(
                block(width, channels, stride, norm=norm, neuron=neuron)
                for width, stride in zip(widths, strides, strict=True)
            )
        )
        in_channels = channels
    return named


class ResNet19(Network):
    """The ResNet-19 of Deng et al. 2022: 64 maps in the stem, then 3, 3 and 2 blocks of 128, 256 and 512.

    After the mean over space comes 512 to 256, a neuron, and the linear head, without BatchNorm or dropout: 12,630,858
    parameters for 10 classes, 18 layers of neurons. Torch's default initialisation, as in the paper's code. Other
    projects' networks of that name differ (a stem of 128 maps, dropout).
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        timesteps: int | None = None,
        norm: str = "batch",
        neuron: Neuron = Neuron(),  # noqa: B008 - frozen
    ):
        super().__init__(
            num_classes=num_classes, timesteps=timesteps, neuron=neuron, in_channels=in_channels, norm=norm
        )
        conv = Conv2d(in_channels, 64, 3, padding=1, bias=False)
        self.stem = nn.Sequential(OrderedDict(conv=conv, norm=normalization(norm, 64, neuron)))
        stages = _stages(Block, 64, [(128, 3, 1), (256, 3, 2), (512, 2, 2)], norm=norm, neuron=neuron)
        head = OrderedDict(
            pool=GlobalAvgPool(), hidden=nn.Linear(512, 256), neuron2=neuron.build(), head=nn.Linear(256, num_classes)
        )
        self.body = nn.Sequential(OrderedDict(neuron1=neuron.build(), **stages, **head))


class SpikingResNet34(Network):
    """ResNet-34 (He et al. 2016) with neurons for its ReLUs: torchvision's network, and 21,797,672 parameters.

    The 7×7 stem with stride 2 ends before the first neuron, so max-pooling comes after it and sees spikes, of which it
    makes spikes. Convolutions start from a normal with variance 2/fan_out, as torchvision's do.
    """

    block: ClassVar[type[Block]] = Block
    blocks: ClassVar[tuple[int, int, int, int]] = (3, 4, 6, 3)

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        timesteps: int | None = None,
        norm: str = "batch",
        neuron: Neuron = Neuron(),  # noqa: B008 - frozen
    ):
        super().__init__(
            num_classes=num_classes, timesteps=timesteps, neuron=neuron, in_channels=in_channels, norm=norm
        )
        conv = Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.stem = nn.Sequential(OrderedDict(conv=conv, norm=normalization(norm, 64, neuron)))
        widths = [width * self.block.expansion for width in (64, 128, 256, 512)]
        plan = list(zip(widths, self.blocks, (1, 2, 2, 2), strict=True))
        first = OrderedDict(neuron=neuron.build(), pool=MaxPool2d(3, stride=2, padding=1))
        stages = _stages(self.block, 64, plan, norm=norm, neuron=neuron)
        head = OrderedDict(mean=GlobalAvgPool(), head=nn.Linear(widths[-1], num_classes))
        self.body = nn.Sequential(OrderedDict(**first, **stages, **head))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class SEWResNet34(SpikingResNet34):
    """SEW-ResNet-34 (Fang et al. 2021, ADD): :class:`SpikingResNet34` with each block's sum after its neurons.

    The same parameters, and three more layers of neurons, on the shortcuts that change shape. Neurons are LIF like all
    others here, as the TET authors say theirs were, where Fang et al. integrate and fire (``decay=1.0`` gives that) and
    average over time before the head.
    """

    block = SEWBlock
