"""Images whose gradients are the images themselves, so that what is known of noise is known of the gradients."""

from pathlib import Path

import torch
from torch import Tensor, nn

from analysis.subject import Subject
from analysis.subject.checkpoints import of
from models.checkpoint import Checkpoint
from models.data import Data
from models.data.splits import MemorySplit
from models.networks.layers import Network
from models.neurons.lif import Neuron

SHAPE = (1, 20, 40)
HALF = 400
TRAINING = {"loss": "sdt", "seed": 0, "optimizer": "sgd", "momentum": 0.9, "batch_size": 50, "learning_rate": 1e-4}


class Linear(Network):
    """One logit at one step: ⟨w, x⟩, the first half of x in one layer and the second in another."""

    def __init__(self):
        super().__init__(num_classes=1, timesteps=1, neuron=Neuron(spiking=False))
        self.stem, self.body = nn.Linear(HALF, 1, bias=False), nn.Linear(HALF, 1, bias=False)

    def forward(self, images: Tensor, timesteps: int | None = None) -> Tensor:
        first, second = images.flatten(1).split(HALF, 1)
        return (self.stem(first) + self.body(second)).unsqueeze(0)


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    """An image's logit: its gradient is the image."""
    return logits[0, :, 0]


def noise(images: int, *, centred: bool, seed: int) -> Tensor:
    """i.i.d. normal pixels: of mean zero in distribution, or where ``centred`` over these very images."""
    found = torch.randn(images, *SHAPE, generator=torch.Generator().manual_seed(seed))
    return found - found.mean(0) if centred else found


def split(images: Tensor) -> MemorySplit:
    """A split of them, taken as they are."""
    return MemorySplit(torch.zeros(len(images), dtype=torch.long), (0.0,), (1.0,), images)


def subject(images: Tensor) -> Subject:
    """A network trained on them, as far as an analysis can tell."""
    network, part = Linear(), split(images)
    checkpoint = Checkpoint(
        model={"name": "linear", "arguments": dict(network.arguments)},
        state_dict=network.state_dict(),
        data={"name": "noise", "arguments": {}},
        training=dict(TRAINING),
        history={},
        resume=None,
    )
    data = Data("noise", {}, part, part, num_classes=1, in_channels=1, image_size=20)
    return of(Path("noise.pt"), checkpoint, network, data, "cpu", torch.float32)
