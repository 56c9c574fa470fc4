"""ImageNet's residual networks (He et al. 2016) at the other depths, spiking: 18, 50, 101 and 152 layers.

The deep ones are made of bottlenecks: conv 1×1, conv 3×3, conv 1×1, each with BatchNorm and a neuron behind it, of
which the first two have a quarter of the block's maps. A block's stride is that of its 3×3 convolution, as in
torchvision, and not of its first one, as in He et al. Where the last neuron sits relative to the sum is as in
:mod:`models.networks.resnet`.

With ReLUs for neurons (``spiking=False``) they are torchvision's ``resnet18`` … ``resnet152``.
"""

from jaxtyping import Float
from torch import Tensor, nn

from ..neurons.lif import Neuron
from .layers import Conv2d, fire, normalization
from .resnet import Block, SEWBlock, SpikingResNet34

Maps = Float[Tensor, "time batch _channel _height _width"]


class Bottleneck(Block):
    """1×1, 3×3 and 1×1 convolutions, the shortcut added before the last neuron; ``channels`` are those handed on."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int, *, norm: str, neuron: Neuron):
        nn.Module.__init__(self)  # a Block's own layers are others
        inner = channels // self.expansion
        self.conv1 = Conv2d(in_channels, inner, 1, bias=False)
        self.norm1 = normalization(norm, inner, neuron)
        self.neuron1 = neuron.build()
        self.conv2 = Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False)
        self.norm2 = normalization(norm, inner, neuron)
        self.neuron2 = neuron.build()
        self.conv3 = Conv2d(inner, channels, 1, bias=False)
        self.norm3 = normalization(norm, channels, neuron, alpha=self.sum_alpha)
        self.neuron3 = neuron.build()
        self.shortcut = self._shortcut(in_channels, channels, stride, norm=norm, neuron=neuron)

    def forward(self, x: Maps) -> Maps:
        """[time, batch, in_channels, H, W] to [time, batch, channels, H/stride, W/stride]."""
        branch = self.conv2(fire(self.norm1, self.neuron1, self.conv1(x)))
        branch = self.conv3(fire(self.norm2, self.neuron2, branch))
        if self.neuron_before_sum:
            return fire(self.norm3, self.neuron3, branch) + self.shortcut(x)
        plus, norm = self.shortcut.before_norm(x)
        return fire(self.norm3, self.neuron3, branch, plus, plus_norm=norm)


class SEWBottleneck(Bottleneck):
    """The same with the shortcut added after the last neuron."""

    neuron_before_sum = True
    sum_alpha = 1.0


class SpikingResNet18(SpikingResNet34):
    """ResNet-18 with neurons for its ReLUs."""

    blocks = (2, 2, 2, 2)


class SEWResNet18(SpikingResNet18):
    """SEW-ResNet-18 (ADD)."""

    block = SEWBlock


class SpikingResNet50(SpikingResNet34):
    """ResNet-50 with neurons for its ReLUs."""

    block = Bottleneck


class SEWResNet50(SpikingResNet50):
    """SEW-ResNet-50 (ADD)."""

    block = SEWBottleneck


class SpikingResNet101(SpikingResNet50):
    """ResNet-101 with neurons for its ReLUs."""

    blocks = (3, 4, 23, 3)


class SEWResNet101(SpikingResNet101):
    """SEW-ResNet-101 (ADD)."""

    block = SEWBottleneck


class SpikingResNet152(SpikingResNet50):
    """ResNet-152 with neurons for its ReLUs."""

    blocks = (3, 8, 36, 3)


class SEWResNet152(SpikingResNet152):
    """SEW-ResNet-152 (ADD)."""

    block = SEWBottleneck
