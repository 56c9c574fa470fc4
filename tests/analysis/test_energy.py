from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch

from analysis import energy, timesteps
from analysis.energy import Config, run
from analysis.energy.counts import counted
from analysis.subject import Subject
from models.neurons.lif import LIF


def table_of(path, **settings) -> pd.DataFrame:
    return run(Config((path,), quiet=True, **settings)).to_frame()


def test_the_twin_without_spikes_multiplies_at_every_synapse(digits_checkpoint):
    table = table_of(digits_checkpoint("tet", spiking=False), images=30).set_index("layer")
    # 8x8 pixels to 12 maps, pooled; 4x4 to 24, pooled; 2x2 to 24; all to 10 classes.
    expected = {
        "stem.conv1": 12 * 22**2,
        "body.conv2": 12 * 24 * 10**2,
        "body.conv3": 24 * 24 * 4**2,
        "body.head": 96 * 10,
    }
    assert table.query("kind in ('conv', 'linear')")["multiplications"].to_dict() == expected
    assert np.allclose(table["joules"], table["twin_joules"], rtol=1e-12)
    assert (table["updates"] == 0).all()
    assert table.loc["total", "multiplications"] == sum(expected.values())
    assert table.loc["total", "joules"] == pytest.approx(4.6e-12 * sum(expected.values()))
    assert (table["additions"] == 0).all()
    assert (table["timesteps"] == 1).all()


def test_smooth_spikes_are_multiplied(digits_checkpoint):
    table = table_of(digits_checkpoint("tet", surrogate="smooth", width=0.4, epochs=2), images=30)
    assert (table["additions"] == 0).all()
    total = table[table["layer"] == "total"].set_index("timesteps")["multiplications"]
    assert list(total) == [total[1] * steps for steps in total.index]


def test_table_of_a_trained_network(digits_checkpoint):
    path = digits_checkpoint("tet")
    table = table_of(path, images=120, chunk=50, add_pj=2.0, multiply_pj=3.0, update_pj=0.5)
    layers, total = table[table["layer"] != "total"], table[table["layer"] == "total"].set_index("timesteps")
    for column in ("additions", "multiplications", "joules"):
        assert np.allclose(layers.groupby("timesteps")[column].sum(), total[column], rtol=1e-12)
    joules = 2e-12 * table["additions"] + 3e-12 * table["multiplications"] + 0.5e-12 * table["updates"]
    assert np.allclose(table["joules"], joules, rtol=1e-12)
    assert list(total["updates"]) == [(768 + 384 + 96) * steps for steps in range(1, 9)]
    fired = layers[layers["kind"] == "neuron"].groupby("timesteps")["spikes"].sum()
    assert np.allclose(total["spikes"], fired, rtol=1e-12)
    assert np.allclose(total["firing_rate"], fired / (1248 * fired.index), rtol=1e-12)
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


@pytest.mark.slow
def test_the_first_layer_of_events_multiplies_every_frame(digits_checkpoint):
    path = digits_checkpoint("tet", data="digit-events", timesteps=2, train_images=60, batch_size=10)
    table = table_of(path, images=20, first_layer="once").query("layer == 'stem.conv1'")
    first = table["multiplications"].iloc[0]
    assert first > 0
    assert list(table["multiplications"]) == [first, 2 * first]


def test_command_writes_the_table(digits_checkpoint, tmp_path, capsys):
    arguments = [str(digits_checkpoint("tet")), "--images", "20", "--max-timesteps", "2", "--out", str(tmp_path)]
    assert energy.main(arguments) == 0
    written = pd.read_csv(tmp_path / "energy.csv")
    named = ["checkpoint", "network", "data", "method", "training", "seed", "split", "timesteps", "trained_timesteps"]
    named += ["layer", "kind", "neurons"]
    counts = ["spikes", "firing_rate", "additions", "multiplications", "updates", "joules", "joules_stderr"]
    counts += ["joules_by_rate", "joules_by_rate_stderr", "window"]
    counts += ["twin_joules", "share", "accuracy", "accuracy_stderr", "images"]
    assert list(written.columns) == named + counts
    assert "joules" in capsys.readouterr().out


def test_the_twin_stands_beside_at_every_number_of_steps(digits_checkpoint):
    spiking = table_of(digits_checkpoint("tet"), images=10)
    twin = table_of(digits_checkpoint("tet", spiking=False), images=10).set_index("layer")
    for _, rows in spiking.groupby("timesteps"):
        assert rows.set_index("layer")["twin_joules"].to_dict() == pytest.approx(twin["joules"].to_dict())


def test_rates_times_synapses_of_pooled_maps_are_a_loop_over_synapses(digits_checkpoint):
    path = digits_checkpoint("sdt")
    table = table_of(path, images=100, max_timesteps=4).query("timesteps == 4").set_index("layer")
    subject, rates = Subject.load(path), {}
    for name, module in subject.network.named_modules():
        if isinstance(module, LIF):
            module.register_forward_hook(lambda _m, _i, output, name=name: rates.update({name: output.mean().item()}))
    subject.network(subject.batch("test", 100)[0])

    def synapses(size: int) -> int:
        """Of a 3x3 kernel, from one map to one, on a map of so many pixels a side."""
        places = product(range(size), range(size), (-1, 0, 1), (-1, 0, 1))
        return sum(0 <= y + dy < size and 0 <= x + dx < size for y, x, dy, dx in places)

    each = {
        "body.conv2": rates["body.neuron1"] * 12 * 24 * synapses(4),
        "body.conv3": rates["body.neuron2"] * 24 * 24 * synapses(2),
        "body.head": rates["body.neuron3"] * 96 * 10,
    }
    first = 4 * 4.6e-12 * 12 * synapses(8)
    for layer, additions in each.items():
        assert table.loc[layer, "joules_by_rate"] == pytest.approx(4 * 0.9e-12 * additions, rel=1e-5)
    assert table.loc["stem.conv1", "joules_by_rate"] == pytest.approx(first, rel=1e-12)
    expected = first + 4 * 0.9e-12 * sum(each.values())
    assert table.loc["total", "joules_by_rate"] == pytest.approx(expected, rel=1e-5)
    assert expected < 0.8 * table["joules"]["total"]  # where each spike of a window of 4 is counted


def test_without_spikes_and_without_pools_the_two_conventions_are_one(digits_checkpoint):
    twin = table_of(digits_checkpoint("tet", spiking=False), images=10)
    assert np.array_equal(twin["joules_by_rate"], twin["joules"])
    head = table_of(digits_checkpoint("tet"), images=30, update_pj=1.0).query("layer in ('body.head', 'body.neuron1')")
    np.testing.assert_allclose(head["joules_by_rate"], head["joules"], rtol=1e-12)
    np.testing.assert_allclose(head["joules_by_rate_stderr"], head["joules_stderr"], rtol=1e-9)


@pytest.mark.slow
def test_errors_are_those_of_means_over_images(digits_checkpoint):
    subject = Subject.load(digits_checkpoint("sdt"), dtype="float64")
    config = Config((subject.path,), images=40, max_timesteps=2)
    found = energy.measure(subject, config)["energy"].query("layer == 'total' and timesteps == 2").iloc[0]
    joules = []
    for image in subject.batch("test", 40)[0].split(1):
        layers = counted(subject, [(image, torch.zeros(1, dtype=torch.long))], range(1, 3)).layers
        additions = sum(float(layer.additions[-1].sum()) for layer in layers.values())
        joules.append(0.9e-12 * additions + 4.6e-12 * 2 * 12 * 22**2)
    assert found["joules"] == pytest.approx(np.mean(joules), rel=1e-12)
    assert found["joules_stderr"] == pytest.approx(np.std(joules, ddof=1) / 40**0.5, rel=1e-9)
    p = found["accuracy"]
    assert found["accuracy_stderr"] == pytest.approx(np.sqrt(p * (1 - p) / 39))


@pytest.mark.parametrize("flag", ["--add-pj", "--multiply-pj", "--update-pj"])
def test_a_negative_energy_is_one_line_and_exit_1(flag, digits_checkpoint, capsys):
    assert energy.main([str(digits_checkpoint("tet")), flag, "-1"]) == 1
    error = capsys.readouterr().err
    assert f"{flag} must be an energy of at least 0 pJ, got -1.0" in error
    assert error.count("\n") == 1
