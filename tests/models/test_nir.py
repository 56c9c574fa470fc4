"""NIR graphs give what a network built by hand gives, its neurons loops in numpy; the rest is refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from spikingjelly.activation_based import functional as jelly
from spikingjelly.activation_based import layer, neuron
from spikingjelly.activation_based.nir_exchange import export_to_nir
from torch import Tensor, nn
from torch.nn import functional

from models.nir import read
from models.reading import CheckpointError

DT = 1e-3
HOW: dict[str, Any] = {"dt": DT, "reset": "set", "integration": "euler"}
draw = np.random.default_rng(0)
SHAPE = (3, 8, 6)


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape)


def lif(*shape: int, **changed: Any) -> nir.LIF:
    constants = {
        "tau": DT * draw.uniform(1.5, 4, shape), "r": draw.uniform(1, 3, shape), "v_leak": np.zeros(shape),
        "v_threshold": draw.uniform(0.2, 0.5, shape), "v_reset": draw.uniform(-0.2, 0.1, shape),
    }  # fmt: skip
    return nir.LIF(**constants | changed)


def integrator(*shape: int, **changed: Any) -> nir.IF:
    constants = {"r": draw.uniform(1, 2, shape) / DT, "v_threshold": draw.uniform(0.5, 1, shape)}
    return nir.IF(**constants | {"v_reset": np.zeros(shape)} | changed)


def affine(into: int, given: int) -> nir.Affine:
    return nir.Affine(weight=draw.normal(0, 3 / given**0.5, (into, given)), bias=draw.normal(0, 0.1, into))


def conv(**changed: Any) -> nir.Conv2d:
    settings: dict[str, Any] = {"stride": (1, 2), "padding": (1, 0), "dilation": (1, 1), "groups": 1} | changed
    weight = draw.normal(0, 0.5, (4, 3 // settings["groups"], 3, 2))
    return nir.Conv2d(input_shape=SHAPE[1:], weight=weight, bias=draw.normal(0, 0.3, 4), **settings)


def network(reset: str = "set") -> nir.NIRGraph:
    """Of every kind of node: 3×8×6 → 4×8×3 → spikes → sums 4×4×2 → spikes → means 4×2×1 → 8 → spikes → 5."""
    bottom = {} if reset == "set" else {"v_reset": np.zeros((4, 8, 3))}
    return nir.NIRGraph.from_list(
        nir.Input({"input": np.array(SHAPE)}),
        conv(),
        lif(4, 8, 3, **bottom),
        nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 1])),
        integrator(4, 4, 2),
        nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        nir.Flatten({"input": np.array([4, 2, 1])}, 0, -1),
        affine(6, 8),
        lif(6, v_reset=np.zeros(6)),
        nir.Linear(draw.normal(0, 1, (5, 6))),
        type_check=False,
    )


def fired(node: Any, current: np.ndarray, reset: str, integration: str) -> np.ndarray:
    """Spikes of [time, batch, …], neuron after neuron, from the equations."""
    spikes = np.zeros_like(current)
    for place in np.ndindex(*current.shape[1:]):
        at, v = place[1:], 0.0
        for step in range(len(current)):
            given = current[(step, *place)]
            if isinstance(node, nir.IF):
                v += DT * node.r[at] * given
            elif integration == "euler":
                v += DT / node.tau[at] * (node.v_leak[at] - v + node.r[at] * given)
            else:  # the solution of the equation at the end of a step with this current
                limit = node.v_leak[at] + node.r[at] * given
                v = limit + (v - limit) * np.exp(-DT / node.tau[at])
            if v > node.v_threshold[at]:
                spikes[(step, *place)] = 1
                v = node.v_reset[at] if reset == "set" else v - node.v_threshold[at]
    return spikes


def by_hand(graph: nir.NIRGraph, x: np.ndarray, reset: str, integration: str) -> tuple[np.ndarray, list[float]]:
    """Logits of a row of nodes, and the rates of its neurons."""
    rates = []
    for node in graph.nodes.values():
        maps = torch.from_numpy(x).flatten(0, 1)
        if isinstance(node, nir.LIF | nir.IF):
            x = fired(node, x, reset, integration)
            rates.append(x.mean())
        elif isinstance(node, nir.Affine | nir.Linear):
            x = x @ node.weight.T + getattr(node, "bias", 0)
        elif isinstance(node, nir.Conv2d):
            weight, bias = torch.from_numpy(node.weight), torch.from_numpy(node.bias)
            maps = functional.conv2d(maps, weight, bias, node.stride, node.padding, node.dilation, node.groups)
            x = maps.unflatten(0, x.shape[:2]).numpy()
        elif isinstance(node, nir.SumPool2d | nir.AvgPool2d):
            x = np.pad(x, [(0, 0)] * 3 + [(pad, pad) for pad in node.padding])
            (height, width), divisor = node.kernel_size, 1 if isinstance(node, nir.SumPool2d) else 4
            windows = x[..., : x.shape[3] // height * height, : x.shape[4] // width * width]
            cut = windows.reshape(*x.shape[:3], x.shape[3] // height, height, x.shape[4] // width, width)
            x = cut.sum((4, 6)) / divisor
        elif isinstance(node, nir.Flatten):
            x = x.reshape(*x.shape[:2], -1)
    return x, rates


@pytest.mark.parametrize("integration", ["euler", "exact"])
@pytest.mark.parametrize("reset", ["set", "subtract"])
def test_logits_are_those_of_the_network_built_by_hand(reset, integration, tmp_path):
    graph = network(reset)
    nir.write(tmp_path / "network.nir", graph)
    x = draw.normal(0, 1, (7, 3, *SHAPE))
    expected, rates = by_hand(graph, x, reset, integration)
    assert all(0.05 < rate < 0.95 for rate in rates)
    how = {"dt": DT, "reset": reset, "integration": integration}
    for found in (read(tmp_path / "network.nir", **how), read(graph, **how)):
        with torch.no_grad():
            logits = found.double()(torch.from_numpy(x))
        assert logits.shape == (7, 3, 5)
        assert not found.training
        # a membrane that float32 constants bring to the other side of its threshold would be off by far more
        np.testing.assert_allclose(logits.numpy(), expected, atol=1e-5)


def test_the_two_integrations_and_resets_differ():
    graph, x = network("subtract"), torch.from_numpy(draw.normal(0, 1, (7, 3, *SHAPE)))
    logits = [
        read(graph, dt=DT, reset=reset, integration=integration).double()(x).detach()
        for reset in ("set", "subtract") for integration in ("euler", "exact")
    ]  # fmt: skip
    assert all((one - other).abs().max() > 0.1 for i, one in enumerate(logits) for other in logits[:i])


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("settings", [{"padding": "same", "stride": (1, 1)}, {"padding": "valid"}, {"groups": 1}])
def test_convolutions_with_paddings_by_name(settings):
    node = conv(**settings)
    found = read(nir.NIRGraph.from_list(nir.Input({"input": np.array(SHAPE)}), node, type_check=False), **HOW).double()
    x = torch.randn(2, 3, *SHAPE, dtype=torch.float64)
    weight, bias = torch.from_numpy(node.weight), torch.from_numpy(node.bias)
    expected = functional.conv2d(x.flatten(0, 1), weight, bias, node.stride, node.padding)
    torch.testing.assert_close(found(x).flatten(0, 1), expected, atol=1e-5, rtol=1e-5)


def branches() -> nir.NIRGraph:
    nodes = {
        "in": nir.Input({"input": np.array([4])}), "first.layer": affine(4, 4), "keys": affine(4, 4),
        "out": nir.Output({"output": np.array([4])}),
    }  # fmt: skip
    edges = [("in", "first.layer"), ("first.layer", "keys"), ("first.layer", "out"), ("keys", "out"), ("in", "out")]
    return nir.NIRGraph(nodes, edges)


def test_where_edges_meet_they_are_added():
    graph, x = branches(), draw.normal(0, 1, (2, 3, 4))
    first, second = graph.nodes["first.layer"], graph.nodes["keys"]
    one = x @ first.weight.T + first.bias
    expected = one + one @ second.weight.T + second.bias + x
    found = read(graph, **HOW).double()(torch.from_numpy(x))
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("make", [lambda: neuron.LIFNode(tau=3.0), lambda: neuron.IFNode()], ids=["LIF", "IF"])
def test_spikingjellys_export_gives_spikingjellys_logits(make: Callable[[], nn.Module]):
    torch.manual_seed(0)
    theirs = nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1), make(), layer.AvgPool2d(2, 2), layer.Flatten(), layer.Linear(64, 10), make(),
        layer.Linear(10, 5),
    )  # fmt: skip
    for value in theirs.parameters():
        value.data *= 4
    x = 3 * torch.rand(6, 2, 1, 8, 8)
    graph = export_to_nir(theirs, x[0, :1], dt=DT)
    jelly.reset_net(theirs)
    with torch.no_grad():
        expected = torch.stack([theirs(each) for each in x])
        found = read(graph, **HOW)(x)
    assert (expected[1:] - expected[:-1]).abs().max() > 0.05
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_gradients_go_through_the_surrogate_and_the_reset():
    graph = nir.NIRGraph.from_list(
        nir.Input({"input": np.array([1])}), integrator(1, r=ones(1) / DT, v_threshold=ones(1))
    )
    slopes = {}
    for detached in (False, True):
        current = torch.tensor([1.3, 0.7]).reshape(2, 1, 1).requires_grad_()
        spikes = read(graph, **HOW, detach_reset=detached)(current)
        assert spikes.flatten().tolist() == [1, 0]
        (slope,) = torch.autograd.grad(spikes[1].sum(), current)
        slopes[detached] = slope[0].item()
    # u₁ = 1.3: σ'(0.3) = 0.7, and u₂ = 0.7 + 1.3 (1 − s₁): ∂s₂/∂I₁ = σ'(−0.3) (0 − 1.3 · 0.7)
    assert slopes == pytest.approx({False: 0.7 * -1.3 * 0.7, True: 0.0})


def refused(source: nir.NIRGraph | Path, said: str, **how: Any) -> None:
    with pytest.raises(CheckpointError) as caught:
        read(source, **HOW | how)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("how", "said"),
        [
            ({"dt": 0.0}, "dt must be positive and finite, in the unit of tau, got 0.0"),
            ({"dt": float("nan")}, "dt must be positive"),
            ({"reset": "zero"}, "reset must be 'set' or 'subtract', got 'zero'"),
            ({"integration": "rk4"}, "integration must be 'euler' or 'exact', got 'rk4'"),
            ({"surrogate": "step"}, "no surrogate named 'step'"),
        ],
    )
    def test_settings(self, how, said):
        with pytest.raises(ValueError, match=said):
            read(branches(), **HOW | how)

    @pytest.mark.parametrize("left", HOW)
    def test_what_nir_leaves_open_has_no_default(self, left):
        with pytest.raises(TypeError, match=left):
            read(branches(), **{name: value for name, value in HOW.items() if name != left})

    @pytest.mark.parametrize("written", [True, False])
    @pytest.mark.parametrize(
        "node",
        [
            nir.CubaLIF(*[ones(4)] * 5), nir.CubaLI(*[ones(4)] * 4), nir.LI(*[ones(4)] * 3), nir.I(ones(4)),
            nir.Scale(ones(4)), nir.Threshold(ones(4)), nir.Delay(ones(4)), branches(),
        ],
        ids=lambda node: type(node).__name__,
    )  # fmt: skip
    def test_other_nodes_by_name(self, node, written, tmp_path):
        nodes = {
            "in": nir.Input({"input": np.array([4])}),
            "odd.one": node,
            "out": nir.Output({"output": np.array([4])}),
        }
        graph = nir.NIRGraph(nodes, [("in", "odd.one"), ("odd.one", "out")], type_check=False)
        path = tmp_path / "network.nir"
        nir.write(path, graph)
        refused(path if written else graph, f"node odd.one is a {type(node).__name__}: of NIR's nodes Affine, Linear, ")

    @pytest.mark.parametrize(
        ("node", "how", "said"),
        [
            (lif(4, v_leak=ones(4)), {}, "node lif (LIF): v_leak must be 0, where membranes begin, got 1"),
            (lif(4, tau=ones(4) * DT / 2), {}, "with Euler's steps at least dt 0.001, got 0.0005"),
            (lif(4, tau=-ones(4)), {"integration": "exact"}, "tau must be positive"),
            (lif(4, v_threshold=-ones(4)), {}, "v_threshold must be positive, got -1"),
            (lif(4, v_reset=ones(4)), {}, "v_reset must be less than v_threshold"),
            (lif(4, v_reset=-ones(4)), {"reset": "subtract"}, "reset='subtract' is for a v_reset of 0, got 1"),
            (lif(4, r=ones(4) * np.nan), {}, "it holds NaN or infinity"),
            (integrator(4, r=ones(4) * np.inf), {}, "node if (IF): it holds NaN or infinity"),
            (nir.Affine(ones(4, 4), ones(3)), {}, "node affine (Affine): its bias must have shape [4], got [3]"),
        ],
    )
    def test_constants_that_cannot_be_stepped(self, node, how, said):
        graph = nir.NIRGraph.from_list(nir.Input({"input": np.array([4])}), node)
        refused(graph, said, **how)

    def test_a_mean_over_padding(self):
        pool = nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([1, 1]))
        graph = nir.NIRGraph.from_list(nir.Input({"input": np.array([1, 4, 4])}), pool, nir.Output(np.array([1, 3, 3])))
        refused(graph, "padding must be 0, since NIR doesn't say whether a mean counts it, got (1, 1)")

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda nodes, edges: edges.append(("b", "a")), "its nodes form a loop, "),
            (lambda nodes, edges: nodes.update(c=affine(4, 4)), "node c (Affine): expected in alone"),
            (lambda nodes, edges: edges.remove(("b", "out")), "node out (Output): expected in alone"),
            (lambda nodes, edges: nodes.update(more=nodes["in"]), "expected one input and one output, got 2 and 1"),
            (lambda nodes, edges: nodes.pop("out") and edges.pop(), "expected one input and one output, got 1 and 0"),
            (lambda nodes, edges: edges.append(("x", "out")), "an edge leads from x to out, and there is no node x"),
        ],
    )
    def test_graphs_that_are_no_feed_forward_network(self, change, said):
        nodes = {"in": nir.Input({"input": np.array([4])}), "a": affine(4, 4), "b": affine(4, 4)}
        nodes["out"] = nir.Output({"output": np.array([4])})
        edges = [("in", "a"), ("a", "b"), ("b", "out")]
        change(nodes, edges)
        refused(nir.NIRGraph(nodes, edges, type_check=False), said)

    def test_shapes_that_do_not_meet(self, tmp_path):
        nodes = {
            "in": nir.Input({"input": np.array([4])}),
            "a": affine(3, 5),
            "out": nir.Output({"output": np.array([3])}),
        }
        graph = nir.NIRGraph(nodes, [("in", "a"), ("a", "out")], type_check=False)
        nir.write(tmp_path / "network.nir", graph)
        refused(tmp_path / "network.nir", f"{tmp_path / 'network.nir'}: node a (Affine): ")
        graph.nodes["a"] = lif(1)
        refused(graph, "node a (LIF): expected [time, batch, *[1]], got [1, 1, 4]")
        graph.nodes["a"] = affine(3, 4)
        refused(nir.NIRGraph(nodes, [*graph.edges, ("in", "out")], type_check=False), "one shape, got [(3,), (4,)]")

    def test_an_input_of_another_shape(self):
        with pytest.raises(ValueError, match=r"expected \[time, batch, 4\], got \[2, 3, 5\]"):
            read(branches(), **HOW)(torch.ones(2, 3, 5))

    def test_no_file_and_other_files(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no NIR file at"):
            read(tmp_path / "gone.nir", **HOW)
        (tmp_path / "other.nir").write_bytes(b"nothing")
        refused(tmp_path / "other.nir", f"{tmp_path / 'other.nir'} can't be read as a NIR graph: it is damaged, not ")

    @pytest.mark.parametrize("end", [0.1, 0.5, 0.99])
    def test_truncated_files(self, end, tmp_path):
        path = tmp_path / "network.nir"
        nir.write(path, network())
        whole = path.read_bytes()
        path.write_bytes(whole[: int(end * len(whole))])
        refused(path, "can't be read as a NIR graph: ")

    def test_a_file_that_claims_far_more_than_it_holds(self, tmp_path):
        import h5py

        path = tmp_path / "network.nir"
        nir.write(path, branches())
        with h5py.File(path, "a") as file:
            file["node"].create_dataset("more", (10**11,), "f8", chunks=(1000,), compression="gzip")
        refused(path, "its arrays claim 800,")


def test_without_the_package_there_is_a_line(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "nir", None)
    with pytest.raises(ImportError, match="NIR files need the package nir: pip install nir"):
        read(tmp_path / "network.nir", **HOW)


def test_random_generators_stay_as_they_were():
    graph = network()
    before = torch.get_rng_state()
    read(graph, **HOW)
    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(read(graph, **HOW)(torch.ones(1, 1, *SHAPE)), Tensor)
