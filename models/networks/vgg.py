"""Plain stacks of convolution, BatchNorm, neuron (and pooling), and VGGSNN, the network of Deng et al. 2022 for events.

VGGSNN is 64C3-128C3-AP2-256C3-256C3-AP2-512C3-512C3-AP2-512C3-512C3-AP2-FC: 3×3 convolutions with bias, average
pooling by 2 after the second, fourth, sixth and eighth layer's neurons, no dropout. What a pool hands on is graded, not
spikes. The variant without pooling gives those four convolutions stride 2 instead and has the same 9,271,498 parameters
(10 classes, 2 polarities, 48×48 pixels). Convolution weights start from a normal with variance 2/fan_out (He et al.
2015), as in the paper's code; biases and the head from torch's defaults.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from ..neurons.lif import Neuron
from .layers import AvgPool2d, Conv2d, Network, Stack, normalization


class Layer(NamedTuple):
    """One convolution of a stack: padded to keep the size, then divided by ``stride`` and by ``pool``."""

    channels: int
    kernel: int = 3
    stride: int = 1
    pool: int = 1


def stack(
    layers: Sequence[Layer],
    *,
    in_channels: int,
    image_size: int,
    num_classes: int,
    bias: bool,
    norm: str,
    neuron: Neuron,
) -> tuple[nn.Sequential, nn.Sequential]:
    """Stem and body of a plain network with a linear head on the last maps.

    Layers are numbered from 1 in the names: ``stem.conv1``, ``stem.norm1``, ``body.neuron1``, ``body.conv2``, ...
    ``body.head``. ValueError when ``image_size`` is not divisible by the product of strides and pools.
    """
    named: OrderedDict[str, nn.Module] = OrderedDict()
    channels, size = in_channels, image_size
    for index, layer in enumerate(layers, start=1):
        named[f"conv{index}"] = Conv2d(
            channels, layer.channels, layer.kernel, stride=layer.stride, padding=layer.kernel // 2, bias=bias
        )
        named[f"norm{index}"] = normalization(norm, layer.channels, neuron)
        named[f"neuron{index}"] = neuron.build()
        if layer.pool > 1:
            named[f"pool{index}"] = AvgPool2d(layer.pool)
        if size % (layer.stride * layer.pool):
            raise ValueError(f"image_size {image_size} does not divide evenly down to layer {index} of {len(layers)}")
        channels, size = layer.channels, size // (layer.stride * layer.pool)
    named["flatten"] = nn.Flatten(start_dim=2)
    named["head"] = nn.Linear(channels * size**2, num_classes)
    parts = list(named.items())
    return nn.Sequential(OrderedDict(parts[:2])), Stack(OrderedDict(parts[2:]))


class VGGSNN(Network):
    """The paper's VGGSNN. ``downsample`` is "avgpool" or "stride"; ``image_size`` must be divisible by 16."""

    usual_timesteps = 10

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 2,
        image_size: int = 48,
        timesteps: int | None = None,
        downsample: str = "avgpool",
        norm: str = "batch",
        neuron: Neuron = Neuron(),  # noqa: B008 - frozen
    ):
        shape = {"in_channels": in_channels, "image_size": image_size}
        super().__init__(
            num_classes=num_classes, timesteps=timesteps, neuron=neuron, downsample=downsample, norm=norm, **shape
        )
        if downsample not in ("avgpool", "stride"):
            raise ValueError(f"downsample must be 'avgpool' or 'stride', got {downsample!r}")
        halved = {"pool": 2} if downsample == "avgpool" else {"stride": 2}
        widths = (64, 128, 256, 256, 512, 512, 512, 512)
        layers = [Layer(width, **(halved if index % 2 else {})) for index, width in enumerate(widths)]
        self.stem, self.body = stack(layers, **shape, num_classes=num_classes, bias=True, norm=norm, neuron=neuron)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
