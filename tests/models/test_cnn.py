"""The two small networks: their layers, and that the small one learns digits."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.func import functional_call, vmap

from models.losses import LOSSES
from models.networks.cnn import CNN5, DigitsCNN
from models.networks.layers import AvgPool2d
from models.neurons.lif import Neuron


def described(net):
    """The layers as the papers write them: 16C3 for a convolution, AP2 for a pool."""
    words = []
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            words.append(f"{module.out_channels}C{module.kernel_size[0]}")
        elif isinstance(module, AvgPool2d):
            words.append(f"AP{module.kernel_size}")
        elif isinstance(module, nn.Linear):
            words.append(f"FC{module.out_features}")
    return "-".join(words)


def test_cnn5_is_the_recalled_list():
    net = CNN5()
    assert described(net) == "16C3-64C5-AP2-128C5-AP2-256C5-AP2-512C3-AP2-FC10"
    convs = 9 * 3 * 16 + 25 * (16 * 64 + 64 * 128 + 128 * 256) + 9 * 256 * 512
    norms = 2 * (16 + 64 + 128 + 256 + 512)
    assert sum(w.numel() for w in net.parameters()) == convs + norms + (512 * 4 + 1) * 10
    assert CNN5(image_size=16)(torch.zeros(1, 3, 16, 16)).shape == (4, 1, 10)


def test_the_digits_network_is_small():
    net = DigitsCNN()
    assert described(net) == "12C3-AP2-24C3-AP2-24C3-FC10"
    by_hand = 9 * (12 + 12 * 24 + 24 * 24) + 2 * (12 + 24 + 24) + (24 * 4 + 1) * 10
    assert sum(w.numel() for w in net.parameters()) == by_hand == 8974


def test_the_digits_network_takes_event_frames():
    net = DigitsCNN(in_channels=2, image_size=16)
    assert net(torch.zeros(5, 3, 2, 16, 16)).shape == (5, 3, 10)


def test_a_smooth_network_has_no_steps_and_so_a_true_gradient():
    torch.manual_seed(0)
    net = DigitsCNN(channels=2, timesteps=2, neuron=Neuron(surrogate="smooth", width=0.4)).double()
    images = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    weight = net.get_parameter("body.conv2.weight")

    def loss():
        return LOSSES["tet"](net(images), torch.arange(4))

    slope = torch.autograd.grad(loss(), weight)[0][0, 0, 1, 1].item()
    with torch.no_grad():
        weight[0, 0, 1, 1] += 1e-5
        above = loss()
        weight[0, 0, 1, 1] -= 2e-5
        below = loss()
    assert abs((above - below).item() / 2e-5 - slope) < 1e-8 + 1e-5 * abs(slope)


def test_many_copies_of_the_weights_run_at_once():
    torch.manual_seed(0)
    net, images = DigitsCNN(channels=2).eval(), torch.randn(3, 1, 8, 8)
    copies = {name: torch.stack([0.5 * w, w, 2 * w]).detach() for name, w in net.named_parameters()}
    together = vmap(lambda weights: functional_call(net, weights, (images,)))(copies)
    for index in range(3):
        alone = functional_call(net, {name: copy[index] for name, copy in copies.items()}, (images,))
        torch.testing.assert_close(together[index], alone)


def test_the_digits_network_learns_digits():
    pixels, labels = load_digits(return_X_y=True)
    images = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8) / 8 - 1
    labels = torch.tensor(labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = DigitsCNN()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    for step in range(60):
        batch = slice(50 * (step % 6), 50 * (step % 6) + 50)
        loss = LOSSES["tet"](net(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        right = net.eval()(images[300:]).mean(0).argmax(1) == labels[300:]
    assert right.float().mean() > 0.8
