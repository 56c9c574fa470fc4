"""Operations of other people's networks against naive loops over what their layers were given."""

import itertools
from collections.abc import Callable
from typing import Any

import norse.torch as norse
import numpy as np
import pytest
import snntorch
import torch
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.layer.attention import SpikingSelfAttention
from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter
from torch import nn

from analysis import energy
from analysis.energy.counts import counted
from analysis.energy.folding import folded
from analysis.energy.meter import OPERATIONS, Tally
from analysis.subject import Spiking, Subject

GENERATOR = torch.Generator().manual_seed(0)
IMAGES, LABELS = torch.rand(7, 1, 8, 8, generator=GENERATOR), torch.randint(0, 10, (7,), generator=GENERATOR)


def table_of(network: nn.Module, spiking: Spiking | None, *, images: torch.Tensor = IMAGES, **settings: Any) -> Any:
    """The energy table of its largest T, by layer and kind; two batches of different size."""
    labels, axis = LABELS, 1 if spiking and spiking.frames == 0 else 0
    batches = [
        (images.narrow(axis, 0, 4), labels[:4]),
        (images.narrow(axis, 4, 3), labels[4:]),
    ]
    subject = Subject(network, test=batches, spiking=spiking, name="theirs")
    table: Any = energy.run(energy.Config(quiet=True, **settings), [subject]).to_frame()
    return table[table["timesteps"] == table["timesteps"].max()].set_index(["layer", "kind"])


def convolved(maps: np.ndarray, out_channels: int, kernel: int, padding: int) -> float:
    """Go over every output, every place of its kernel, every input channel: add up the inputs."""
    _, rows, columns = maps.shape
    total = 0.0
    places = product_of(rows + 2 * padding - kernel + 1, columns + 2 * padding - kernel + 1, kernel, kernel)
    for y, x, dy, dx in places:
        row, column = y + dy - padding, x + dx - padding
        if 0 <= row < rows and 0 <= column < columns:
            total += maps[:, row, column].sum()
    return total * out_channels


def product_of(*sizes: int) -> Any:
    return itertools.product(*map(range, sizes))


def given_to(module: nn.Module, found: list[np.ndarray]) -> None:
    """Keep what ``module`` is given at every call."""
    module.register_forward_hook(lambda _module, inputs, _output: found.append(inputs[0].double().numpy()))


class Steps(nn.Module):
    """A convolutional snnTorch network that takes its steps in a loop, as its tutorials do."""

    def __init__(self, timesteps: int = 4):
        super().__init__()
        self.timesteps = timesteps
        self.conv1, self.lif1 = nn.Conv2d(1, 8, 3, padding=1), snntorch.Leaky(beta=0.5, threshold=0.3)
        self.conv2, self.lif2 = nn.Conv2d(8, 8, 3, padding=1), snntorch.Leaky(beta=0.5, threshold=0.3)
        self.pool, self.head = nn.AvgPool2d(2), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second, outputs = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for _ in range(self.timesteps):
            spikes, first = self.lif1(self.conv1(x), first)
            spikes, second = self.lif2(self.conv2(self.pool(spikes)), second)
            outputs.append(self.head(self.pool(spikes).flatten(1)))
        return torch.stack(outputs, self.time)

    time = 0


def seeded(make: Callable[[], nn.Module]) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


@pytest.mark.parametrize("time", [0, 1])
def test_snntorchs_loop_over_steps_is_counted_by_hand(time):
    network = seeded(Steps).eval()
    network.time = time
    table = table_of(network, Spiking((snntorch.Leaky,), time, None, "timesteps"), max_timesteps=4)
    inputs: dict[str, list[np.ndarray]] = {name: [] for name in ("conv1", "conv2", "head")}
    for name, found in inputs.items():
        given_to(network.get_submodule(name), found)
    with torch.no_grad():
        network(IMAGES)
    # 8 maps, each pixel of 8x8 met by 3x3 places but at the border: 22 squared, at each of 4 steps.
    assert table.loc[("conv1", "conv"), "multiplications"] == 4 * 8 * 22**2 == 15_488
    per_image = np.zeros(7)
    for step in range(4):
        for image in range(7):
            per_image[image] += 0.9 * convolved(4 * inputs["conv2"][step][image], 8, 3, 1)
            per_image[image] += 0.9 * 10 * 4 * inputs["head"][step][image].sum()
    total = table.loc[("total", "total")]
    assert total["additions"] == pytest.approx(per_image.mean() / 0.9, rel=1e-12)
    assert total["multiplications"] == 15_488
    assert total["joules_stderr"] == pytest.approx(1e-12 * per_image.std(ddof=1) / 7**0.5, rel=1e-9)
    assert total["updates"] == 4 * (512 + 128)
    assert 0 < table.loc[("head", "linear"), "additions"] < total["additions"]
    assert {name: table.loc[name, "window"] for name in (("conv1", "conv"), ("conv2", "conv"), ("head", "linear"))} == {
        ("conv1", "conv"): 1, ("conv2", "conv"): 4, ("head", "linear"): 4
    }  # fmt: skip
    assert total["window"] == 4
    # Its twin: once, on pooled maps of 4x4 and 2x2 pixels.
    assert total["twin_joules"] == pytest.approx(4.6e-12 * (8 * 22**2 + 8 * 8 * 10**2 + 320), rel=1e-12)
    assert total["share"] == pytest.approx(1)


def test_without_pooling_no_window_is_wider_than_a_neuron():
    network = seeded(Steps)
    network.pool, network.head = nn.Identity(), nn.Linear(512, 10)
    table = table_of(network, Spiking((snntorch.Leaky,), 0, None, "timesteps"), max_timesteps=2)
    assert (table["window"] == 1).all()
    assert table.loc[("total", "total"), "joules_by_rate"] != table.loc[("total", "total"), "joules"]  # by the borders


def test_a_static_image_read_at_every_step_can_cost_once():
    network = seeded(Steps)
    spiking = Spiking((snntorch.Leaky,), 0, None, "timesteps")
    table = table_of(network, spiking, max_timesteps=4, first_layer="once")
    assert table.loc[("conv1", "conv"), "multiplications"] == 8 * 22**2
    every = table_of(network, spiking, max_timesteps=4)
    assert table.loc[("conv2", "conv"), "additions"] == every.loc[("conv2", "conv"), "additions"]


class Fixed(Steps):
    """The same, with a T that can't be set."""

    timesteps = property(lambda self: 4, lambda self, steps: None)


def test_a_network_whose_steps_cant_be_set_has_its_own_t_and_no_twin(capsys):
    network = seeded(Fixed)
    subject = Subject(network, test=[(IMAGES, LABELS)], spiking=Spiking((snntorch.Leaky,), 0), name="theirs")
    table: Any = energy.run(energy.Config(), [subject]).to_frame()
    assert set(table["timesteps"]) == {4}
    assert table["twin_joules"].isna().all()
    assert "no twin without spikes: its 4 steps can't be set to one" in capsys.readouterr().err
    known = table_of(seeded(Steps), Spiking((snntorch.Leaky,), 0, None, "timesteps"), max_timesteps=4)
    assert np.allclose(table["joules"], known["joules"], rtol=1e-12)


class Spikformer(nn.Module):
    """SpikingJelly's spiking self-attention between a patch embedding and a head; time is first, and inside."""

    def __init__(self, timesteps: int = 4):
        super().__init__()
        self.timesteps = timesteps
        node = {"tau": 2.0, "v_threshold": 0.3, "step_mode": "m"}
        self.embed, self.norm = (
            layer.Conv2d(1, 8, 4, stride=4, bias=False, step_mode="m"),
            layer.BatchNorm2d(8, step_mode="m"),
        )
        self.lif = neuron.LIFNode(**node)
        self.attention = SpikingSelfAttention(8, 2)
        self.attention.attn_lif.v_threshold = 0.05
        self.head = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.lif(self.norm(self.embed(x.unsqueeze(0).repeat(self.timesteps, 1, 1, 1, 1)))).flatten(3)
        return self.head((tokens + self.attention(tokens)).mean(3))


NODES = (neuron.LIFNode,)


def firing(make: Callable[[], nn.Module]) -> Any:
    """The network with BatchNorms that make all of its layers fire."""
    network = seeded(make)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.constant_(module.weight, 3.0)
            nn.init.constant_(module.bias, 1.0)
    return network.eval()


def test_a_spikformer_block_is_counted_by_hand():
    network = firing(Spikformer)
    table = table_of(network, Spiking(NODES, 0, None, "timesteps"), max_timesteps=4)
    inputs: dict[str, list[np.ndarray]] = {
        name: [] for name in ("attention.qkv_conv_bn", "attention.proj_conv_bn", "head")
    }
    for name, found in inputs.items():
        given_to(network.get_submodule(name), found)
    spikes: list[np.ndarray] = []
    network.attention.qkv_lif.register_forward_hook(lambda _m, _i, output: spikes.append(output.double().numpy()))
    functional.reset_net(network)
    with torch.no_grad():
        network(IMAGES)
    # Queries, keys and values, [step, image, 3, head, channel, token]: v kᵀ of binaries counts where both are,
    # and to each q the 4 numbers of a column are added.
    q, k, v = np.moveaxis(spikes[0].reshape(4, 7, 3, 2, 4, 4), 2, 0)
    counts = 0.0
    for step, image, head in product_of(4, 7, 2):
        qs, ks, vs = (each[step, image, head] for each in (q, k, v))
        met = np.zeros((4, 4))
        for row, column, token in product_of(4, 4, 4):
            met[row, column] += vs[row, token] * ks[column, token]
        counts += met.sum()
        for _, column, token in product_of(4, 4, 4):
            counts += qs[column, token]
    assert 100 < counts < 4 * 7 * 2 * 2 * 4**3
    assert table.loc[("attention", "matmul"), "additions"] == pytest.approx(counts / 7, rel=1e-12)
    # Convolutions of kernel 1: 24 outputs to each spike, then 8, of attention's scaled spikes after their neuron.
    qkv, projected, read = (inputs[name][0] for name in inputs)
    assert table.loc[("attention.qkv_conv_bn.0", "conv"), "additions"] == pytest.approx(24 * qkv.sum() / 7, rel=1e-12)
    assert table.loc[("attention.proj_conv_bn.0", "conv"), "additions"] == pytest.approx(
        8 * projected.sum() / 7, rel=1e-12
    )
    # The head reads means over 4 tokens of sums of two spikes: 4 times the mean are the spikes.
    assert table.loc[("head", "linear"), "additions"] == pytest.approx(10 * 4 * read.sum() / 7, rel=1e-12)
    assert table.loc[("embed", "conv"), "multiplications"] == 4 * 8 * 64
    assert table.loc[("total", "total"), "multiplications"] == 4 * 8 * 64
    assert table.loc[("total", "total"), "share"] == pytest.approx(1)  # every BatchNorm is folded


def test_spikingjellys_counter_counts_its_own_block_alike():
    network = firing(Spikformer)
    counter = SynOpCounter()
    functional.reset_net(network)
    with DispatchCounterMode([counter]), torch.no_grad():
        network(IMAGES)
    theirs = {name.partition(".")[2]: sum(counts.values()) for name, counts in counter.get_counts().items()}
    additions = 7 * table_of(network, Spiking(NODES, 0, None, "timesteps"), max_timesteps=4)["additions"]
    convolutions = ["attention.qkv_conv_bn.0", "attention.proj_conv_bn.0"]
    for name in convolutions:
        assert additions[(name, "conv")] == pytest.approx(theirs[name], rel=1e-12) != 0
    inside = theirs["attention"] - sum(theirs[name] for name in convolutions)
    assert additions[("attention", "matmul")] == pytest.approx(inside, rel=1e-12) != 0
    # It takes what is averaged for graded: the head's operand, means over tokens.
    assert theirs["head"] == 0 < additions[("head", "linear")]


def test_time_in_the_batch_behind_or_before_the_images_is_the_same():
    class Flat(nn.Module):
        """All steps as one batch, step by step or image by image; outside [time, batch, …] or [batch, time, …]."""

        def __init__(self, first: bool):
            super().__init__()
            self.first, self.conv, self.lif, self.head = (
                first,
                nn.Conv2d(1, 3, 3),
                neuron.LIFNode(v_threshold=0.2),
                nn.Linear(108, 10),
            )
            self.lif.step_mode = "m"

        def forward(self, x):
            current = self.conv(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            spikes = self.lif(current if self.first else current.transpose(0, 1))
            rows = (spikes if self.first else spikes.transpose(0, 1)).flatten(0, 1).flatten(1)
            return self.head(rows).unflatten(0, x.shape[:2])

    frames = torch.rand(3, 7, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    one = table_of(seeded(lambda: Flat(True)), Spiking(NODES, 0, 0), images=frames)
    other = table_of(seeded(lambda: Flat(False)), Spiking(NODES, 1, 1), images=frames.transpose(0, 1))
    columns = ["neurons", "spikes", "additions", "multiplications", "joules", "joules_stderr", "joules_by_rate"]
    assert one.loc[("head", "linear"), "joules_stderr"] > 0
    assert np.allclose(one[columns], other[columns], rtol=1e-9, equal_nan=True)


class Attention(nn.Module):
    """A transformer's layer with softmax, LayerNorm, a functional product and one of weights alone."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 6)
        self.layer = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True)
        self.left, self.right = nn.Parameter(torch.randn(6, 2)), nn.Parameter(torch.randn(2, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.layer(self.embed(x.flatten(1, 2)))
        return torch.einsum("btf,fc->btc", hidden, self.left @ self.right).sum(1)


def test_products_of_attention_and_functional_calls_are_counted_and_the_rest_is_listed():
    table = table_of(seeded(Attention), None)
    found = table["multiplications"].to_dict()
    assert found[("embed", "linear")] == 8 * 8 * 6
    assert found[("layer.self_attn", "linear")] == 8 * 6 * (3 * 6) + 8 * 6 * 6
    assert found[("layer.self_attn", "matmul")] == 2 * 2 * 8 * 8 * 3  # QKᵀ and its product with V, two heads
    assert (found[("layer.linear1", "linear")], found[("layer.linear2", "linear")]) == (8 * 6 * 12, 8 * 12 * 6)
    assert found[("(forward)", "linear")] == 8 * 6 * 10  # and nothing for the product of weights, made once
    assert found[("layer.norm1", "unattributed")] == found[("layer.norm2", "unattributed")] == 8 * 6
    assert found[("layer.self_attn", "unattributed")] >= 2 * 8 * 8  # softmax
    assert (table["additions"] == 0).all()
    listed = table.xs("unattributed", level="kind")
    assert table.loc[("total", "total"), "share"] == pytest.approx(1 - listed["share"].sum(), rel=1e-12)
    assert 0 < listed["share"].sum() < 0.3
    assert table.loc[("total", "total"), "joules"] == table.loc[("total", "total"), "twin_joules"]


def test_lstm_is_taken_apart():
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(8, 5, batch_first=True), nn.Linear(5, 10)

        def forward(self, x):
            return self.head(self.lstm(x.flatten(1, 2))[0][:, -1])

    table = table_of(seeded(Reader), None)
    assert table.loc[("head", "linear"), "multiplications"] == 50
    # Eight tokens, four gates; the state before the first token is 0, and costs nothing.
    assert table.loc[("lstm", "linear"), "multiplications"] == 8 * 4 * 5 * 8 + 7 * 4 * 5 * 5


def test_neurons_that_nobody_names_are_found_by_their_spikes():
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(64, 20), nn.Linear(20, 10)

        def forward(self, x, steps=3):
            membrane, outputs, current = 0.0, [], self.first(x.flatten(1))
            for _ in range(steps):
                membrane = 0.5 * membrane + current
                spikes = (membrane > 0.2).to(x)
                membrane = membrane * (1 - spikes)
                outputs.append(self.second(0.3 * spikes))
            return torch.stack(outputs)

    network = seeded(Own)
    table = table_of(network, Spiking((), 0, None, "steps"), max_timesteps=3)
    found: list[np.ndarray] = []
    given_to(network.second, found)
    with torch.no_grad():
        network(IMAGES)
    spikes = sum((each > 0).sum() for each in found)
    assert table.loc[("second", "linear"), "additions"] == pytest.approx(10 * spikes / 7, rel=1e-12) != 0
    assert table.loc[("second", "linear"), "multiplications"] == 0
    assert table.loc[("first", "linear"), "multiplications"] == 3 * 64 * 20  # a static image counts at every step


def test_a_network_that_mixes_images_has_means_without_errors(capsys):
    class Mixing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(64, 10)

        def forward(self, x):
            x = x.flatten(1)
            return self.head((x @ x.T).softmax(1) @ x)

    subject = Subject(seeded(Mixing), test=[(IMAGES, LABELS)], name="theirs")
    with pytest.raises(ValueError, match="mixes the examples of a batch"):
        energy.run(energy.Config(), [subject])
    table: Any = energy.measure(subject, energy.Config())["energy"].set_index(["layer", "kind"])  # unchecked
    assert "joules without errors" in capsys.readouterr().err
    assert table["joules_stderr"].isna().all()
    assert table.loc[("head", "linear"), "multiplications"] == pytest.approx(640)
    assert table.loc[("(forward)", "matmul"), "multiplications"] == pytest.approx(2 * 7 * 64)


class Single(nn.Module):
    """SpikingJelly's neurons step by step, a convolution behind them that is transposed, and a mean over time last."""

    def __init__(self, timesteps: int = 3):
        super().__init__()
        self.timesteps = timesteps
        self.conv, self.lif = nn.Conv2d(1, 4, 3, stride=2), neuron.LIFNode(v_threshold=0.1)
        self.up, self.last, self.head = nn.ConvTranspose2d(4, 2, 2, stride=2), neuron.IFNode(0.1), nn.Linear(72, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spikes = torch.stack([self.last(self.up(self.lif(self.conv(x)))) for _ in range(self.timesteps)])
        return self.head(spikes.mean(0).flatten(1))


def test_spikes_averaged_over_time_each_cost_an_addition():
    network = seeded(Single).eval()
    nodes = Spiking((neuron.LIFNode, neuron.IFNode), None, None, "timesteps")
    table = table_of(network, nodes, max_timesteps=3)
    inputs: dict[str, list[np.ndarray]] = {name: [] for name in ("up", "head")}
    for name, found in inputs.items():
        given_to(network.get_submodule(name), found)
    functional.reset_net(network)
    with torch.no_grad():
        network(IMAGES)
    assert table.loc[("conv", "conv"), "multiplications"] == 3 * 4 * 9 * 9
    assert table.loc[("up", "conv"), "additions"] == pytest.approx(2 * 4 * sum(map(np.sum, inputs["up"])) / 7) != 0
    read = 3 * 10 * inputs["head"][0].sum() / 7
    assert table.loc[("head", "linear"), "additions"] == pytest.approx(read, rel=1e-6) != 0
    assert table.loc[("head", "linear"), "neurons"] == 72
    twin = 4.6e-12 * (4 * 9 * 9 + 4 * 9 * 2 * 4 + 720)
    assert table.loc[("total", "total"), "twin_joules"] == pytest.approx(twin, rel=1e-12)


def test_norses_neurons_with_returned_state():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.lif, self.head = nn.Linear(64, 20), norse.LIFBoxCell(), nn.Linear(20, 10)

        def forward(self, x, steps=4):
            state, outputs = None, []
            for _ in range(steps):
                spikes, state = self.lif(20 * self.first(x.flatten(1)), state)
                outputs.append(self.head(spikes))
            return torch.stack(outputs, 1)

    network = seeded(Net).eval()
    table = table_of(network, Spiking((norse.LIFBoxCell,), 1, None, "steps"), max_timesteps=4)
    found: list[np.ndarray] = []
    given_to(network.head, found)
    with torch.no_grad():
        network(IMAGES)
    assert table.loc[("head", "linear"), "additions"] == pytest.approx(10 * sum(map(np.sum, found)) / 7) != 0
    assert table.loc[("total", "total"), "multiplications"] == 4 * 64 * 20
    assert table.loc[("total", "total"), "twin_joules"] == pytest.approx(4.6e-12 * (64 * 20 + 200), rel=1e-12)


def test_recurrent_neurons_have_no_twin(capsys):
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif, self.head = norse.LIFRecurrentCell(64, 20), nn.Linear(20, 10)

        def forward(self, x, steps=2):
            state, outputs = None, []
            for _ in range(steps):
                spikes, state = self.lif(30 * x.flatten(1), state)
                outputs.append(self.head(spikes))
            return torch.stack(outputs)

    spiking = Spiking((norse.LIFRecurrentCell,), 0, None, "steps")
    subject = Subject(seeded(Net), test=[(IMAGES, LABELS)], spiking=spiking, name="theirs")
    table: Any = energy.run(energy.Config(max_timesteps=2), [subject]).to_frame()
    last: Any = table[table["timesteps"] == 2].set_index(["layer", "kind"])
    assert "a LIFRecurrentCell doesn't return spikes of its input's shape" in capsys.readouterr().err
    assert table["twin_joules"].isna().all()
    assert last.loc[("lif", "linear"), "multiplications"] >= 2 * 64 * 20


def test_one_pass_is_as_good_as_one_for_each_t(digits_checkpoint):
    subject = Subject.load(digits_checkpoint("tet"))
    batches = subject.batches("test", 30, 20)
    subject, _ = folded(subject, batches[0])
    once = counted(subject, batches, range(1, 5))
    each = counted(subject, batches, (1, 2, 4))  # not all of them: a pass each
    assert once.layers.keys() == each.layers.keys()
    for key, tally in once.layers.items():
        other = each.layers[key]
        assert tally.image == other.image
        if not tally.image:
            assert (tally.neurons, tally.synapses) == (other.neurons, other.synapses)
        for name in OPERATIONS:
            one = getattr(tally, name)[[0, 1, 3]]
            assert torch.allclose(one, getattr(other, name), rtol=1e-12, atol=0, equal_nan=True)
    assert torch.equal(once.accuracy[[0, 1, 3]], each.accuracy)


def test_a_batchnorm_that_isnt_folded_is_listed_with_its_share(capsys):
    network = seeded(lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10)))
    subject = Subject(network, train=[(IMAGES, LABELS)], name="theirs")
    table: Any = energy.run(energy.Config(), [subject]).to_frame().set_index(["layer", "kind"])
    assert "1 BatchNorm not folded into a layer before it, and listed as unattributed: 1" in capsys.readouterr().err
    assert table.loc[("1", "unattributed"), "multiplications"] == 64
    assert table.loc[("1", "unattributed"), "share"] == pytest.approx(64 / 704)
    assert table.loc[("total", "total"), "share"] == pytest.approx(640 / 704)
    assert table.loc[("total", "total"), "joules"] == pytest.approx(4.6e-12 * 640)
    assert set(table["split"]) == {"train"}  # there is no other


@pytest.mark.parametrize("windows", [(1, 4), (4, 1)])
def test_a_layer_called_twice_has_the_wider_window(windows):
    none = torch.zeros(1, 2, dtype=torch.float64)
    one, other = (Tally(1.0, 2.0, False, none, none + 3, none, none, window) for window in windows)
    both = one + other
    assert (both.window, both.neurons, both.synapses) == (4, 2.0, 4.0)
    assert both.additions.tolist() == [[6.0, 6.0]]
