"""Analyses of other libraries' spiking networks, against the same networks written out step by step."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot, softmax

from analysis import momentum, robustness, sharpness, timesteps
from analysis.robustness import NAMES
from analysis.subject import Subject, recognised
from landscape.evaluation import resetting
from tests import naive_spiking as naive
from tests.spiking_networks import MADE, STEPS, frames, images, subject

WRITTEN = list(MADE)
NOTHING: dict[str, Any] = dict.fromkeys(NAMES, ())


def precision(name: str) -> dict[str, Any]:
    """snnTorch's surrogates give float32, whatever they are given."""
    return {"dtype": "float32" if name.startswith("snntorch") else "float64", "quiet": True}


def cast(name: str, value: Any) -> Any:
    return value.float() if name.startswith("snntorch") else value.double()


def inputs(name: str) -> tuple[Tensor, Tensor]:
    """What the network is shown, as one batch."""
    if not name.startswith("norse") or name == "norse cells":
        x, y = images()
        return cast(name, x), y
    parts = frames(subject(name).network)["train"]
    return torch.cat([x for x, _ in parts], 1).double(), torch.cat([y for _, y in parts])


def written(name: str) -> list[Any]:
    return naive.layers(cast(name, copy.deepcopy(subject(name).network)))


def at_rest(network: nn.Module) -> None:
    """As before a batch."""
    if reset := resetting(network):
        reset(network)


def both(logits: Tensor, y: Tensor) -> dict[str, float]:
    """Equations 7 and 9, and the accuracy of the mean."""
    mean = logits.mean(0)
    return {
        "loss_sdt": float(cross_entropy(mean, y)),
        "loss_tet": float(torch.stack([cross_entropy(step, y) for step in logits]).mean()),
        "accuracy_cumulative": float((mean.argmax(1) == y).double().mean()),
    }


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", WRITTEN)
def test_scalability_is_that_of_the_network_written_out(name):
    table = timesteps.run(timesteps.Config(**precision(name)), [subject(name)]).tables["timesteps"]
    x, y = inputs(name)
    most = len(x) if x.dim() == 3 else 2 * (STEPS + 2 if name == "norse cells" else STEPS)
    assert table["timesteps"].tolist() == list(range(1, most + 1))
    logits, moved = naive.outputs(written(name), x, most), set()
    for steps, (_, row) in enumerate(table.iterrows(), 1):
        truth = both(logits[:steps], y)
        moved.add(truth["loss_sdt"])
        if name == "jelly LIF, mean":
            truth = {"loss_ce": truth["loss_sdt"], "accuracy_cumulative": truth["accuracy_cumulative"]}
            assert row[["accuracy_at_step", "agreement_at_step"]].isna().all()
        else:
            assert row["loss_at_step"] == pytest.approx(float(cross_entropy(logits[steps - 1], y)), rel=1e-6)
        assert row[list(truth)].to_dict() == pytest.approx(truth, rel=1e-6)
    assert len(moved) > 1


def stray(name: str, index: int, draw: int, spurious: bool, made: int, many: bool) -> np.ndarray:
    """U of every spike of a layer, [time, image, neuron]: images come in batches of 12, and call by call or at once."""

    def generator(call: int) -> np.random.Generator:
        return np.random.default_rng([0, NAMES.index(name), draw, index, int(spurious), *([call] if call else [])])

    if many:
        one = generator(0)
        parts = [one.random((12, STEPS, made), np.float32) for _ in range(2)]
        return np.concatenate(parts).swapaxes(0, 1)
    steps = STEPS + 2
    return np.stack([generator(call).random((24, made), np.float32) for call in range(steps)])


MANY = ("jelly IF, many steps", "jelly LIF, many steps", "jelly PLIF, many steps", "norse frames", "norse recurrent")
ASKED = [name for name in WRITTEN if name not in ("jelly LIF, mean", "own")]


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("spurious", [False, True])
@pytest.mark.parametrize("name", ASKED)
def test_lost_and_spurious_spikes_are_those_drawn(name, spurious):
    kind, strength = ("spurious_spikes", 0.2) if spurious else ("lost_spikes", 0.4)
    settings = NOTHING | {kind: (strength,), "split": "train", "draws": 2, "loss": "tet", "chunk": 12}
    table = robustness.run(robustness.Config(**settings, **precision(name)), [subject(name)]).to_frame()
    x, y = inputs(name)
    steps, values = (STEPS + 2 if name == "norse cells" else STEPS), []
    for draw in range(2):
        drawn = [stray(kind, index, draw, spurious, width, name in MANY) for index, width in enumerate((6, 3))]

        def arrives(t: int, layer: int, spikes: Tensor, drawn: Any = drawn) -> Tensor:
            hit = torch.from_numpy(drawn[layer][t] < strength).to(spikes)
            return spikes + (1 - spikes) * hit if spurious else spikes * (1 - hit)

        values.append(both(naive.outputs(written(name), x, steps, arrives), y)["loss_tet"])
    row = table[table["strength"] > 0].iloc[0]
    assert row["value"] == pytest.approx(np.mean(values), rel=1e-6)
    assert row["value"] != table[table["strength"] == 0].iloc[0]["value"]


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("kind", ["threshold_spread", "decay_spread"])
@pytest.mark.parametrize("name", [*ASKED, "own"])
def test_unlike_neurons_are_those_of_the_formula(name, kind):
    settings = NOTHING | {kind: (0.4,), "lost_spikes": (0.1,), "split": "train", "draws": 2, "loss": "tet"}
    table = robustness.run(robustness.Config(**settings, **precision(name)), [subject(name)]).to_frame()
    if kind == "decay_spread" and any(word in name for word in (" IF", "alpha", "recurrent")):
        assert set(table["perturbation"]) == {"lost_spikes"}
        return
    x, y = inputs(name)
    steps, values = (STEPS + 2 if name == "norse cells" else STEPS), []
    for draw in range(2):
        made = written(name)
        for index, layer in enumerate(one for one in made if isinstance(one, naive.Naive)):
            rows = 1 + max(1, len(layer.decays))
            generator = np.random.default_rng([0, NAMES.index(kind), draw, index])
            normal = torch.from_numpy(generator.standard_normal((rows, 6 if index == 0 else 3)))
            if kind == "threshold_spread":
                layer.threshold = layer.threshold * (0.4 * normal[0]).exp()
            else:
                spread = zip(layer.decays, normal[1:], strict=True)
                layer.decays = [(decay * (1 + 0.4 * draw)).clamp(0, 1) for decay, draw in spread]
        values.append(both(naive.outputs(made, x, steps), y)["loss_tet"])
    rows = table[table["perturbation"] == kind]
    assert rows[rows["strength"] > 0].iloc[0]["value"] == pytest.approx(np.mean(values), rel=1e-6)
    assert rows["value"].nunique() == 2


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", MADE)
def test_a_network_comes_back_as_found(name):
    found = subject(name)
    before = {place: dict(vars(module)) for place, module in found.network.named_modules()}
    held = {key: value.clone() for key, value in found.network.state_dict().items()}
    settings = {"split": "train", "draws": 2, "quiet": True}
    robustness.run(robustness.Config(**settings), [found])
    assert all(torch.equal(value, held[key]) for key, value in found.network.state_dict().items())
    for place, module in found.network.named_modules():
        now = vars(module)
        assert list(now) == list(before[place])
        assert all(now[key] is value for key, value in before[place].items() if not isinstance(value, Tensor))


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", MADE)
def test_gradients_of_each_step_are_those_of_its_term(name):
    asked = {"batches": 3, "batch_size": 8, "relative_steps": (), "images": 24}
    tables = momentum.run(momentum.Config(**asked, **precision(name)), [subject(name)]).tables
    found = recognised(subject(name)).on("cpu", precision(name)["dtype"])
    network, weights = found.network.train(), [one for one in found.network.parameters() if one.requires_grad]
    batches, _ = momentum.draw_batches(found.batch("train", 24), count=3, size=8, seed=0, axis=found.axis)
    for loss in tables["momentum"]["loss"].unique():
        sums: dict[int, Tensor] = {}
        for x, y in batches:
            at_rest(network)
            output = found.time_first(network(x))
            truth = one_hot(y, 3)
            steps = [softmax(step if loss == "tet" else output.mean(0), 1) - truth for step in output]
            for t, (error, step) in enumerate(zip(steps, output, strict=True), 1):
                term = (error.detach() * step).sum() / len(y) / len(output)
                parts = torch.autograd.grad(term, weights, retain_graph=True, allow_unused=True)
                flat = [torch.zeros_like(w) if g is None else g for g, w in zip(parts, weights, strict=True)]
                gradient = torch.cat([g.flatten() for g in flat]).double()
                sums[t] = sums.get(t, 0) + gradient / 3
        sums[0] = torch.stack([*sums.values()]).sum(0)
        rows = tables["momentum"].query("loss == @loss").set_index("timestep")
        assert set(rows.index) == set(sums)
        for t, mean in sums.items():
            assert rows.loc[t, "gradient_norm"] == pytest.approx(float(mean.norm()), rel=1e-5)
        pair = tables["momentum_pairs"].query("loss == @loss and timestep == 1")
        expected = [float(sums[1] @ sums[t] / sums[1].norm() / sums[t].norm()) for t in pair["other"]]
        assert pair["cosine"].tolist() == pytest.approx(expected, rel=1e-5)


def test_steps_onward_are_stochastic_gradient_descent_with_momentum():
    name = "snntorch leaky"
    asked = {"batches": 2, "batch_size": 8, "relative_steps": (), "steps": 3, "step_rate": 0.1, "loss": "tet"}
    tables = momentum.run(momentum.Config(**asked, **precision(name)), [subject(name)]).tables
    found = recognised(subject(name))
    x, y = found.batch("train", None)
    generator, network = torch.Generator().manual_seed(0), found.network.train()
    buffers = [torch.zeros_like(one) for one in network.parameters()]
    rows = tables["momentum_steps"].query("timestep == 0")
    for step in range(3):
        order = torch.randperm(24, generator=generator)[:8]
        at_rest(network)
        output = network(x[order])
        loss = torch.stack([cross_entropy(one, y[order]) for one in output]).mean()
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        rate = rows.iloc[step]["learning_rate"]
        assert rate == pytest.approx(0.2 * (1 + np.cos(np.pi * (2 + step / 3) / 3)))
        assert rows.iloc[step]["gradient_norm"] == pytest.approx(
            float(torch.cat([g.flatten() for g in gradients]).norm()), rel=1e-6
        )
        with torch.no_grad():
            for weight, gradient, buffer in zip(network.parameters(), gradients, buffers, strict=True):
                buffer.mul_(0.9).add_(gradient)
                weight.sub_(rate * buffer)
    at_rest(network)
    end = tables["switch"].query("step == 3").iloc[0]
    network.eval()
    with torch.no_grad():
        assert end["loss_tet"] == pytest.approx(both(network(x), y)["loss_tet"], rel=1e-6)
    assert set(rows["optimizer"]) == {"sgd"}
    assert set(rows["state"]) == {"fresh"}


def test_momentum_of_a_regression_has_its_own_loss_and_no_accuracy():
    x = torch.rand(30, 5, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    made = Subject(
        torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)),
        train=[(x, x.sum(1, keepdim=True))], losses={"mse": lambda o, y: (o - y).square().mean(1)}, name="regression",
    )  # fmt: skip
    tables = momentum.run(momentum.Config(batches=4, steps=2, quiet=True), [made]).tables
    assert set(tables["momentum"]["timestep"]) == {0, 1}
    assert tables["momentum"]["batch_size"].unique().tolist() == [30]
    assert tables["momentum"]["beta"].unique().tolist() == [0.9]
    switch = tables["switch"]
    assert switch["accuracy"].isna().all()
    with torch.no_grad():
        truth = float((made.network(x) - x.sum(1, keepdim=True)).square().mean())
    assert switch["loss_mse"].iloc[0] == pytest.approx(truth, rel=1e-6)
    assert isinstance(tables["descent"], pd.DataFrame)


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("noise", ["absolute", "magnitude"])
@pytest.mark.parametrize("name", ["jelly LIF, looped", "snntorch leaky", "norse frames"])
def test_the_noise_that_a_foreign_minimum_bears_lifts_its_loss_so_far(name, noise):
    """The rise at the σ found, written out, and the bounds by their formula."""
    config = sharpness.Config(measures=("pac-bayes",), rise=0.05, sigma_draws=4, loss="sdt", images=24)
    table = sharpness.run(replace(config, **precision(name)), [subject(name)]).to_frame()
    sigmas = table.set_index("measure")["value"]
    sigma = sigmas["pac_bayes_sigma" + ("_magnitude" if noise == "magnitude" else "")]
    x, y = inputs(name)
    network = cast(name, copy.deepcopy(subject(name).network))
    weights = list(network.parameters())
    start = torch.cat([weight.detach().flatten() for weight in weights])

    def loss(vector: Tensor) -> float:
        with torch.no_grad():
            for weight, part in zip(weights, vector.split([weight.numel() for weight in weights]), strict=True):
                weight.copy_(part.view_as(weight))
        return both(naive.outputs(naive.layers(network), x, STEPS), y)["loss_sdt"]

    generator = torch.Generator().manual_seed(0)
    moves = [torch.randn(len(start), generator=generator, dtype=torch.float64).to(start) for _ in range(4)]
    if noise == "magnitude":
        moves = [start.abs() * move for move in moves]

    def rise(size: float) -> float:
        return float(np.mean([loss(start + side * size * move) for move in moves for side in (1, -1)])) - loss(start)

    assert rise(0.94 * sigma) <= 0.05 <= rise(1.06 * sigma)
    square, whole = float(start.double().square().sum()), sigmas["pac_bayes_sigma"]
    assert sigmas["pac_bayes_orig"] == pytest.approx(square / (4 * whole**2) + np.log(24 / whole) + 10, rel=1e-6)
