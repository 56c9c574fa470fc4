"""VGG against torchvision's counts, and against torch's own layers with ReLUs for neurons."""

import pytest
import torch
import torchvision
from torch import nn

from models.networks import accepted, build
from models.networks.spiking_vgg import STAGES, SpikingVGG
from models.neurons.lif import Neuron


@pytest.mark.parametrize("depth", STAGES)
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_it_has_torchvisions_tensors_in_its_order(depth, norm):
    with torch.device("meta"):
        theirs = getattr(torchvision.models, f"vgg{depth}{'_bn' if norm == 'batch' else ''}")()
    ours = build(f"spiking-vgg{depth}", seed=0, device="meta", norm=norm)
    shapes = [[value.shape for value in network.state_dict().values()] for network in (ours, theirs)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_with_relus_it_is_torchvisions(norm):
    with torch.device("meta"):
        theirs = torchvision.models.vgg11_bn() if norm == "batch" else torchvision.models.vgg11()
        wide = list(theirs.classifier)
        wide[0], wide[3], wide[6] = nn.Linear(25088, 16), nn.Linear(16, 16), nn.Linear(16, 3)
        theirs.classifier = nn.Sequential(*wide)
    theirs = theirs.to_empty(device="cpu").eval()
    ours = SpikingVGG(num_classes=3, hidden=16, norm=norm, neuron=Neuron(spiking=False)).eval()
    generator = torch.Generator().manual_seed(0)
    for weight in ours.parameters():
        weight.data += 0.05 * torch.randn(weight.shape, generator=generator)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    x = torch.randn(2, 3, 64, 64, generator=generator)
    expected = theirs(x).detach()
    assert expected.std() > 0
    torch.testing.assert_close(ours(x)[0], expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-4)


def test_plain_arguments_rebuild_it():
    network = SpikingVGG(num_classes=3, in_channels=2, hidden=8, depth=13, norm="tdbn", neuron=Neuron(decay=0.25))
    again = build("spiking-vgg13", seed=0, **network.arguments)
    assert set(network.arguments) == set(accepted("spiking-vgg13"))
    again.load_state_dict(network.state_dict())
    assert network(torch.randn(2, 2, 32, 32), timesteps=2).shape == (2, 2, 3)


def test_another_depth_is_refused():
    with pytest.raises(ValueError, match="depth must be one of 11, 13, 16, 19, got 12"):
        SpikingVGG(depth=12)
