"""VGG (Simonyan, Zisserman 2015) with neurons for its ReLUs, as SpikingJelly has it, at 11, 13, 16 and 19 layers.

Five stages of 3×3 convolutions with bias, 64, 128, 256, 512 and 512 maps wide, each stage ending in a maximum over 2×2
(of spikes, spikes again); a mean over space that makes 7×7 of whatever size is left; three linear layers, a neuron
after each but the last. At 32×32 pixels one pixel is left, which is repeated 49 times. The two layers of dropout are
left out: they act in training alone, and this network is here for weights that were trained elsewhere. Convolution
weights start from a normal with variance 2/fan_out, those of linear layers with deviation 0.01, biases at 0.
"""

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from ..neurons.lif import Neuron
from .layers import Conv2d, MaxPool2d, Network, Stack, normalization

STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_WIDTHS = (64, 128, 256, 512, 512)
_SIDE = 7


class AdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    """Mean over space to maps of a given size, at every step."""

    def forward(self, input: Float[Tensor, "time batch _c _h _w"]) -> Float[Tensor, "time batch _c side side"]:  # noqa: A002 - torch's name
        """[time, batch, C, H, W] to [time, batch, C, side, side]."""
        return super().forward(input.flatten(0, 1)).unflatten(0, input.shape[:2])


class SpikingVGG(Network):
    """VGG of ``depth`` layers; ``hidden`` is the width of the two hidden linear layers, ``norm`` may be "none"."""

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        hidden: int = 4096,
        depth: int = 11,
        timesteps: int | None = None,
        norm: str = "batch",
        neuron: Neuron = Neuron(),  # noqa: B008 - frozen
    ):
        if depth not in STAGES:
            raise ValueError(f"depth must be one of {', '.join(map(str, STAGES))}, got {depth}")
        shape = {"in_channels": in_channels, "hidden": hidden, "depth": depth}
        super().__init__(num_classes=num_classes, timesteps=timesteps, neuron=neuron, norm=norm, **shape)
        named: OrderedDict[str, nn.Module] = OrderedDict()
        channels, index = in_channels, 0
        for stage, (count, width) in enumerate(zip(STAGES[depth], _WIDTHS, strict=True), start=1):
            for _ in range(count):
                index += 1
                named[f"conv{index}"] = Conv2d(channels, width, 3, padding=1)
                if norm != "none":
                    named[f"norm{index}"] = normalization(norm, width, neuron)
                named[f"neuron{index}"] = neuron.build()
                channels = width
            named[f"pool{stage}"] = MaxPool2d(2)
        parts, first = list(named.items()), list(named).index("neuron1")
        head = OrderedDict(
            mean=AdaptiveAvgPool2d(_SIDE), flatten=nn.Flatten(start_dim=2),
            hidden1=nn.Linear(channels * _SIDE**2, hidden), hidden_neuron1=neuron.build(),
            hidden2=nn.Linear(hidden, hidden), hidden_neuron2=neuron.build(), head=nn.Linear(hidden, num_classes),
        )  # fmt: skip
        self.stem = nn.Sequential(OrderedDict(parts[:first]))
        self.body = Stack(OrderedDict([*parts[first:], *head.items()]))
        _initialise(self)


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
