import itertools
from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from analysis import energy, timesteps
from analysis.energy import Config, Meter, fan_out, run
from analysis.subject import Subject
from models.layers import AvgPool2d, Conv2d, MaxPool2d, Network
from models.lif import LIF, Neuron
from models.networks import build


class Chain(Network):
    """Stem and body as given: what a test can count by hand."""

    def __init__(self, stem: nn.Module, body: nn.Module):
        super().__init__(num_classes=1, timesteps=1, neuron=Neuron())
        self.stem, self.body = stem, body


def doubling() -> Conv2d:
    """Two maps, each twice the one input map."""
    conv = Conv2d(1, 2, 1, bias=False)
    nn.init.constant_(conv.weight, 2.0)
    return conv


def counted(network: Network, images: torch.Tensor, steps: int) -> Meter:
    meter = Meter(network)
    with meter.attached(), torch.no_grad():
        network(images, timesteps=steps)
    return meter


def table_of(path, **settings) -> pd.DataFrame:
    return run(Config((path,), quiet=True, **settings)).to_frame()


def test_by_hand():
    # Pixels 1 and 0.6 become currents 2 and 1.2 and fire at every step in both maps; 0 never does; 0.4 gives 0.8, whose
    # membrane is 0.8, 1.2 and fires at the second step. Each spike reaches the 3 classes; each pixel the 2 maps.
    image = torch.tensor([[[[1.0, 0.0], [0.6, 0.4]]]])
    meter = counted(Chain(doubling(), nn.Sequential(LIF(), nn.Flatten(2), nn.Linear(8, 3))), image, 2)
    first, head = meter.layers["stem"], meter.layers["body.2"]
    assert (first.kind, first.neurons, first.multiplications.tolist(), first.additions.tolist()) == (
        "conv",
        0,
        [8],
        [0],
    )
    assert (head.kind, head.neurons, head.spikes.tolist()) == ("linear", 8, [4, 6])
    assert head.additions.tolist() == [12, 18]
    assert head.multiplications.tolist() == [0, 0]
    assert meter.neurons == {"body.0": 8}


def test_spikes_of_a_pooled_window_each_cost_an_addition():
    # The same spikes, averaged over the 2x2 window and read by 3 classes: still 3 additions a spike.
    image = torch.tensor([[[[1.0, 0.0], [0.6, 0.4]]]])
    body = nn.Sequential(LIF(), AvgPool2d(2), nn.Flatten(2), nn.Linear(2, 3))
    head = counted(Chain(doubling(), body), image, 2).layers["body.3"]
    assert (head.neurons, head.spikes.tolist(), head.additions.tolist()) == (8, [4, 6], [12, 18])


def test_after_max_pooling_the_pooled_spikes_count():
    image = torch.tensor([[[[1.0, 0.0], [0.6, 0.4]]]])
    body = nn.Sequential(LIF(), MaxPool2d(2), nn.Flatten(2), nn.Linear(2, 3))
    head = counted(Chain(doubling(), body), image, 2).layers["body.3"]
    assert (head.neurons, head.spikes.tolist(), head.additions.tolist()) == (2, [2, 2], [6, 6])


def synapse_loop(
    maps: np.ndarray,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups=1,
) -> int:
    """Go over every output, every place of its kernel, every input channel: one operation for each input of 1."""
    channels, rows, columns = maps.shape
    reach = dilation * (kernel_size - 1) + 1
    heights, widths = ((size + 2 * padding - reach) // stride + 1 for size in (rows, columns))
    group_in, group_out = channels // groups, out_channels // groups
    count = 0
    for out, y, x in itertools.product(range(out_channels), range(heights), range(widths)):
        for channel, dy, dx in itertools.product(range(group_in), range(kernel_size), range(kernel_size)):
            row, column = (place * stride - padding + dilation * step for place, step in ((y, dy), (x, dx)))
            if 0 <= row < rows and 0 <= column < columns:
                count += maps[out // group_out * group_in + channel, row, column]
    return int(count)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 3, "padding": 1, "stride": 2},
        {"kernel_size": 1, "stride": 2},
        {"kernel_size": 3, "padding": 2, "dilation": 2, "groups": 2},
    ],
)
def test_additions_equal_a_loop_over_all_synapses(options):
    conv = Conv2d(4, 6, **options)
    spikes = (torch.rand(4, 5, 7, generator=torch.Generator().manual_seed(0)) < 0.3).double()
    assert float((fan_out(conv, spikes.shape) * spikes).sum()) == synapse_loop(spikes.numpy(), 6, **options)


def test_fan_out_of_a_padded_convolution_in_closed_form():
    # A 3x3 kernel on n x n pixels meets 3n - 2 of them along each axis.
    assert float(fan_out(Conv2d(5, 7, 3, padding=1), (5, 6, 6)).sum()) == 5 * 7 * (3 * 6 - 2) ** 2
    assert fan_out(nn.Linear(4, 9), (4,)).tolist() == [9] * 4


@pytest.mark.parametrize("name", ["resnet19", "sew-resnet34"])
def test_branches_are_counted_layer_by_layer(name):
    network = build(name, seed=0, num_classes=10, threshold=0.2).train()
    inputs: dict[str, torch.Tensor] = {}
    layers = {key: module for key, module in network.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))}
    for key, module in layers.items():
        module.register_forward_hook(lambda _m, args, _o, key=key: inputs.update({key: args[0].double()}))
    meter = counted(network, torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)), 2)
    assert set(meter.layers) == set(layers)
    assert sum(bool(layer.spikes.sum() > 0) for layer in meter.layers.values()) > 10
    for key, module in layers.items():
        if isinstance(module, nn.Conv2d) and "stem" not in key:
            maps, ones = inputs[key].flatten(0, 1), torch.ones_like(module.weight, dtype=torch.float64)
            expected = conv2d(maps, ones, None, module.stride, module.padding).sum()
            assert float(meter.layers[key].additions.sum()) == pytest.approx(float(expected), rel=1e-12)


def test_graded_values_in_a_spiking_chain_are_refused():
    class Halve(nn.Module):
        def forward(self, x):
            return x / 3

    network = Chain(doubling(), nn.Sequential(LIF(), Halve(), nn.Flatten(2), nn.Linear(8, 3)))
    with pytest.raises(ValueError, match=r"body\.3 gets values that are no counts of spikes"):
        counted(network, torch.ones(1, 1, 2, 2), 1)


def test_counting_leaves_no_hook_behind():
    network = build("digits-cnn", seed=0)
    counted(network, torch.rand(2, 1, 8, 8), 2)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_the_twin_without_spikes_multiplies_at_every_synapse(digits_checkpoint):
    table = table_of(digits_checkpoint("tet", spiking=False), images=30).set_index("layer")
    # 8x8 pixels to 12 maps, pooled; 4x4 to 24, pooled; 2x2 to 24; all to 10 classes.
    expected = {
        "stem.conv1": 12 * 22**2,
        "body.conv2": 12 * 24 * 10**2,
        "body.conv3": 24 * 24 * 4**2,
        "body.head": 96 * 10,
    }
    assert table["multiplications"].drop("total").to_dict() == expected
    assert table.loc["total", "multiplications"] == sum(expected.values())
    assert table.loc["total", "joules"] == pytest.approx(4.6e-12 * sum(expected.values()))
    assert (table["additions"] == 0).all()
    assert (table["timesteps"] == 1).all()


def test_smooth_spikes_are_multiplied(digits_checkpoint):
    table = table_of(digits_checkpoint("tet", surrogate="smooth", width=0.4, epochs=2), images=30)
    assert (table["additions"] == 0).all()
    total = table[table["layer"] == "total"].set_index("timesteps")["multiplications"]
    assert list(total) == [total[1] * steps for steps in total.index]


def test_neurons_that_always_fire_cost_an_addition_at_every_synapse_of_every_spike():
    network = build("digits-cnn", seed=0, threshold=1e-9)
    for name, module in network.named_modules():
        if "norm" in name:
            nn.init.zeros_(module.weight)
            nn.init.ones_(module.bias)
    meter = counted(network, torch.rand(3, 1, 8, 8), 2)
    found = {name: layer.additions.tolist() for name, layer in meter.layers.items() if name != "stem.conv1"}
    # The twin's multiplications, times the 4 spikes of each window where a pool lies between.
    each = {"body.conv2": 4 * 12 * 24 * 100, "body.conv3": 4 * 24 * 24 * 16, "body.head": 960}
    assert found == {name: [3 * count] * 2 for name, count in each.items()}


def test_table_of_a_trained_network(digits_checkpoint):
    path = digits_checkpoint("tet")
    table = table_of(path, images=120, chunk=50, add_pj=2.0, multiply_pj=3.0)
    layers, total = table[table["layer"] != "total"], table[table["layer"] == "total"].set_index("timesteps")
    for column in ("additions", "multiplications", "joules"):
        assert np.allclose(layers.groupby("timesteps")[column].sum(), total[column], rtol=1e-12)
    assert np.allclose(table["joules"], (2e-12 * table["additions"] + 3e-12 * table["multiplications"]), rtol=1e-12)
    assert list(total["multiplications"]) == [12 * 22**2 * steps for steps in range(1, 9)]
    assert (total["neurons"] == 768 + 384 + 96).all()
    assert (table["images"] == 120).all()
    assert (table["split"] == "test").all()
    curve = timesteps.run(timesteps.Config((path,), images=120, quiet=True)).to_frame()
    expected = curve[curve["split"] == "test"].set_index("timesteps")["accuracy_cumulative"]
    assert np.allclose(total["accuracy"], expected, atol=1e-6)


def test_firing_rates_are_the_neurons_mean_outputs(digits_checkpoint):
    path = digits_checkpoint("sdt")
    table = table_of(path, images=100, max_timesteps=4)
    found = table[table["timesteps"] == 4].set_index("layer")["firing_rate"]
    subject, rates = Subject.load(path), {}
    for name, module in subject.network.named_modules():
        if isinstance(module, LIF):
            module.register_forward_hook(lambda _m, _i, output, name=name: rates.update({name: output.mean().item()}))
    subject.network(subject.batch("test", 100)[0])
    assert all(rate > 0 for rate in rates.values())
    for layer, neuron in {"conv2": "neuron1", "conv3": "neuron2", "head": "neuron3"}.items():
        assert found[f"body.{layer}"] == pytest.approx(rates[f"body.{neuron}"], rel=1e-5)
    assert np.isnan(found["stem.conv1"])


def test_the_first_layer_of_a_static_image_once(digits_checkpoint):
    path = digits_checkpoint("tet")
    always, once = (
        table_of(path, images=20, first_layer=kind).query("layer == 'total'") for kind in ("every-step", "once")
    )
    assert list(once["multiplications"]) == [12 * 22**2] * 8
    assert np.array_equal(once["additions"], always["additions"])


def test_the_first_layer_of_events_multiplies_every_frame(digits_checkpoint):
    path = digits_checkpoint("tet", data="digit-events", timesteps=3, train_images=60, epochs=1)
    table = table_of(path, images=20, first_layer="once").query("layer == 'stem.conv1'")
    first = table["multiplications"].iloc[0]
    assert first > 0
    assert list(table["multiplications"]) == [first, 2 * first, 3 * first]


def test_command_writes_the_table(digits_checkpoint, tmp_path, capsys):
    arguments = [str(digits_checkpoint("tet")), "--images", "20", "--max-timesteps", "2", "--out", str(tmp_path)]
    assert energy.main(arguments) == 0
    written = pd.read_csv(tmp_path / "energy.csv")
    named = ["checkpoint", "network", "data", "training", "seed", "split", "timesteps", "trained_timesteps"]
    named += ["layer", "kind", "neurons"]
    counts = ["firing_rate", "additions", "multiplications", "joules", "accuracy", "images"]
    assert list(written.columns) == named + counts
    assert "joules" in capsys.readouterr().out


def test_by_hand_with_named_layers_counts_across_batches():
    network = Chain(doubling(), nn.Sequential(OrderedDict(neuron=LIF(), flat=nn.Flatten(2), head=nn.Linear(8, 3))))
    meter = Meter(network)
    with meter.attached(), torch.no_grad():
        for batch in (torch.ones(2, 1, 2, 2), torch.ones(1, 1, 2, 2)):
            network(batch, timesteps=1)
    assert meter.layers["body.head"].additions.tolist() == [3 * 8 * 3]
    assert meter.layers["stem"].multiplications.tolist() == [3 * 8]
