"""Two small plain networks: CNN-5, of the smooth spikes in Deng et al. 2022 (table 2), and one for 8×8 digits.

The paper names CNN-5 without listing its layers; 16C3-64C5-AP2-128C5-AP2-256C5-AP2-512C3-AP2-FC is recalled, not read,
and should be taken as this project's choice. So are its BatchNorm before every neuron, its convolutions without bias
(BatchNorm has one) and torch's default initialisation.
"""

from ..neurons.lif import Neuron
from .layers import Network
from .vgg import Layer, stack


class CNN5(Network):
    """Five convolutions and a linear head; ``image_size`` must be divisible by 16."""

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        image_size: int = 32,
        timesteps: int | None = None,
        norm: str = "batch",
        neuron: Neuron = Neuron(),  # noqa: B008 - frozen
    ):
        shape = {"in_channels": in_channels, "image_size": image_size}
        super().__init__(num_classes=num_classes, timesteps=timesteps, neuron=neuron, norm=norm, **shape)
        layers = [Layer(16), Layer(64, 5, pool=2), Layer(128, 5, pool=2), Layer(256, 5, pool=2), Layer(512, pool=2)]
        self.stem, self.body = stack(layers, **shape, num_classes=num_classes, bias=False, norm=norm, neuron=neuron)


class DigitsCNN(Network):
    """Three 3×3 convolutions of ``channels``, 2·``channels`` and 2·``channels`` maps, pooled by 2 after the first two.

    Small enough for a full Hessian spectrum and for many trained copies on one core: 9 k weights by default.
    ``image_size`` must be divisible by 4.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        image_size: int = 8,
        channels: int = 12,
        timesteps: int | None = None,
        norm: str = "batch",
        neuron: Neuron = Neuron(),  # noqa: B008 - frozen
    ):
        shape = {"in_channels": in_channels, "image_size": image_size}
        super().__init__(
            num_classes=num_classes, timesteps=timesteps, neuron=neuron, channels=channels, norm=norm, **shape
        )
        layers = [Layer(channels, pool=2), Layer(2 * channels, pool=2), Layer(2 * channels)]
        self.stem, self.body = stack(layers, **shape, num_classes=num_classes, bias=False, norm=norm, neuron=neuron)
