"""BatchNorm and neuron in one by Triton's kernels, in its interpreter, against torch's BatchNorm and the reference."""

import copy
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.losses import tet_loss
from models.networks import layers
from models.networks.layers import BatchNorm2d, Conv2d, GlobalAvgPool, Network, fire, normalization
from models.networks.resnet import Block
from models.neurons import triton_lif, triton_normalized
from models.neurons.lif import LIF, Neuron
from models.neurons.selection import select

LAYOUTS = {
    "contiguous": lambda x: x.contiguous(),
    "channels last": lambda x: x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, x.shape[:2]),
    "channels outermost": lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
    "rows by channels": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "every second": lambda x: x.repeat_interleave(2, -1)[..., ::2],
}


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layered(norm, neuron, maps, plus, steps):
    """Torch's own BatchNorm over the steps as so many images, and the loop of the reference.

    On contiguous maps: of maps one pixel wide with channels last torch's own gradient is wrong.
    """
    flat = nn.functional.batch_norm(
        maps.flatten(0, 1).contiguous(), norm.running_mean, norm.running_var, norm.scale * norm.weight, norm.bias, True
    )
    current = flat.unflatten(0, maps.shape[:2]).expand(steps, *maps.shape[1:])
    return neuron.reference(current if plus is None else current + plus)


def trained(forward, norm, neuron, maps, plus, steps):
    """Spikes, gradients, gradients to be differentiated, second derivatives along a direction, and the statistics."""
    norm = copy.deepcopy(norm)
    inputs = [each for each in (maps, plus, norm.weight, norm.bias) if each is not None]
    upstream = numbers(steps, *maps.shape[1:], seed=5).to(maps.dtype)
    alone = torch.autograd.grad(forward(norm, neuron, maps, plus, steps), inputs, upstream)
    statistics = [norm.running_mean.clone(), norm.running_var.clone()]
    spikes = forward(norm, neuron, maps, plus, steps)
    gradients = torch.autograd.grad(spikes, inputs, upstream, create_graph=True)
    slope = torch.stack([(each * torch.sin(each.detach() + 1)).sum() for each in gradients]).sum()
    seconds = torch.autograd.grad(slope, inputs, materialize_grads=True)
    return [spikes, *alone, *gradients, *seconds, *statistics]


def pair(channels, scale=1.0, **chosen):
    norm, neuron = BatchNorm2d(channels, scale).double(), LIF(**chosen)
    neuron.implementation = "triton"
    with torch.no_grad():
        norm.weight.copy_(1 + numbers(channels, seed=8).abs())
        norm.bias.copy_(numbers(channels, seed=9))
    return norm, neuron


def agree(both, maps, plus, steps):
    norm, neuron = both
    assert layers._one(norm, neuron, maps, steps) is triton_normalized
    found = trained(fire, norm, neuron, maps, plus, steps)
    wanted = trained(layered, norm, neuron, maps, plus, steps)
    assert found[1].stride() == maps.stride() or not maps.is_contiguous()
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)
    return wanted


@pytest.mark.slow
@settings(max_examples=12)
@given(
    shape=st.tuples(st.integers(2, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)),
    steps=st.integers(1, 5), static=st.booleans(), shortcut=st.booleans(), layout=st.sampled_from(list(LAYOUTS)),
    decay=st.sampled_from([0.0, 0.5, 0.9, 1.0]), threshold=st.sampled_from([0.3, 1.0, 1.7]),
    surrogate=st.sampled_from(["triangle", "arctan", "rectangle", "smooth"]), detach=st.booleans(),
    scale=st.sampled_from([1.0, 0.7]), seed=st.integers(0, 99),
)  # fmt: skip
def test_in_one_they_are_the_two_layers(
    shape, steps, static, shortcut, layout, decay, threshold, surrogate, detach, scale, seed
):
    lay = LAYOUTS[layout]
    maps = lay(3 * numbers(1 if static else steps, *shape, seed=seed) + 10).requires_grad_()
    plus = lay(numbers(steps, *shape, seed=seed + 1)).requires_grad_() if shortcut else None
    chosen = {"decay": decay, "threshold": threshold, "surrogate": surrogate, "detach_reset": detach}
    agree(pair(shape[1], scale, **chosen), maps, plus, steps)


def test_maps_one_pixel_wide_have_right_derivatives_where_torch_s_own_are_wrong():
    maps = LAYOUTS["rows by channels"](3 * numbers(1, 3, 3, 3, 1, seed=71) + 10).requires_grad_()
    plus = LAYOUTS["rows by channels"](numbers(2, 3, 3, 3, 1, seed=72)).requires_grad_()
    agree(pair(3), maps, plus, 2)


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
@pytest.mark.parametrize("programs", [1, 8])
def test_many_tiles_and_several_of_them_to_a_program_change_nothing(layout, programs, monkeypatch):
    monkeypatch.setattr(triton_normalized, "_PROGRAMS", programs)
    maps = LAYOUTS[layout](numbers(2, 9, 3, 13, 11) + 100).requires_grad_()
    spikes, gradient, *_ = agree(pair(3), maps, None, 2)
    assert 0.1 < spikes.mean() < 0.9
    assert gradient.abs().mean() > 0.1


def test_a_shortcut_s_norm_stays_apart():
    (norm, neuron), (other, _) = pair(3), pair(3, 0.7)
    maps, plus = (LAYOUTS["channels last"](numbers(2, 2, 3, 4, 4, seed=seed)).requires_grad_() for seed in (1, 2))
    inputs = [maps, plus, *other.parameters()]
    found = torch.autograd.grad(fire(norm, neuron, maps, plus, plus_norm=other).sum(), inputs)
    wanted = torch.autograd.grad(layered(norm, neuron, maps, other(plus), 2).sum(), inputs)
    for one, expected in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-9, atol=1e-10)


def test_more_channels_than_a_tile_is_wide():
    maps = LAYOUTS["channels last"](numbers(2, 2, 150, 2, 2)).requires_grad_()
    agree(pair(150), maps, LAYOUTS["contiguous"](numbers(2, 2, 150, 2, 2, seed=1)).requires_grad_(), 2)


@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
@pytest.mark.parametrize("shortcut", [False, True])
def test_in_half_precision_only_what_is_stored_is_rounded(layout, shortcut):
    lay = LAYOUTS[layout]
    maps = lay(numbers(4, 3, 6, 4, 4) + 3).bfloat16().requires_grad_()
    plus = lay(numbers(4, 3, 6, 4, 4, seed=1)).bfloat16().requires_grad_() if shortcut else None
    upstream = numbers(*maps.shape, seed=5).bfloat16()
    norm, neuron = pair(6, surrogate="arctan")
    single = copy.deepcopy(norm).float()

    def gradients(norm, forward, cast):
        given = [each if each is None else cast(each.detach()).requires_grad_() for each in (maps, plus)]
        spikes = forward(norm, neuron, *given, 4)
        inputs = [each for each in (*given, norm.weight, norm.bias) if each is not None]
        return [spikes, *torch.autograd.grad(spikes, inputs, cast(upstream)), norm.running_mean, norm.running_var]

    found = gradients(single, fire, lambda x: x)
    wanted = gradients(norm, layered, torch.Tensor.double)
    assert found[0].dtype == found[1].dtype == torch.bfloat16
    assert torch.equal(found[0].double(), wanted[0])
    assert single.weight.dtype == found[-1].dtype == torch.float32
    for one, other in zip(found[1 : 2 + shortcut], wanted[1:], strict=False):
        torch.testing.assert_close(one.double(), other, rtol=2 * torch.finfo(torch.bfloat16).eps, atol=1e-5)
    for one, other in zip(found[2 + shortcut :], wanted[2 + shortcut :], strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
def test_a_membrane_at_the_threshold_does_not_fire(layout):
    """With ±1 for the normalized values and a weight of √(1 + ε) the currents are bias ± 1, here 1 and −1 exactly."""
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(8).view(1, 4, 1, 2, 2).expand(1, 4, 3, 2, 2)
    norm, neuron = BatchNorm2d(3).double(), LIF(threshold=1.0)
    neuron.implementation = "triton"
    norm.eps = 0.0
    for bias, fired in ((0.0, 0.0), (2**-50, 0.5), (-(2**-50), 0.0)):
        nn.init.constant_(norm.bias, bias)
        assert fire(norm, neuron, LAYOUTS[layout](signs)).mean() == fired


def test_they_stay_two_in_eval_mode_and_where_somebody_looks_between_and_for_one_number_a_channel():
    norm, neuron = pair(3)
    maps = numbers(2, 2, 3, 2, 2)
    assert layers._one(norm, neuron, maps, 2)
    assert not layers._one(norm.eval(), neuron, maps, 2)
    found = fire(norm, neuron, maps)
    assert torch.equal(found, neuron.reference(norm(maps)))
    handle = norm.train().register_forward_hook(lambda *_: None)
    assert not layers._one(norm, neuron, maps, 2)
    handle.remove()
    assert not layers._one(norm, neuron, maps[:1, :1, :, :1, :1], 1)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        fire(norm, neuron, maps[:1, :1, :, :1, :1])


def test_long_trains_of_a_static_image_are_left_to_the_layers():
    norm, neuron = pair(3)
    assert not layers._one(norm, neuron, numbers(1, 2, 3, 2, 2), triton_lif.MOST_STEPS + 1)


def test_gradients_in_batches_are_those_one_by_one():
    norm, neuron = pair(3)
    maps = numbers(1, 2, 3, 2, 2).requires_grad_()
    spikes, upstream = fire(norm, neuron, maps, steps=3), numbers(4, 3, 2, 3, 2, 2, seed=1)
    (batched,) = torch.autograd.grad(spikes, maps, upstream, is_grads_batched=True, retain_graph=True)
    for one, g in zip(batched, upstream, strict=True):
        torch.testing.assert_close(one, torch.autograd.grad(spikes, maps, g, retain_graph=True)[0])


class Small(Network):
    """A stem and two blocks, in a body that is a plain sequence, as in ResNet-19."""

    def __init__(self):
        neuron = Neuron()
        super().__init__(num_classes=3, timesteps=3, neuron=neuron)
        conv = Conv2d(3, 4, 3, padding=1, bias=False)
        self.stem = nn.Sequential(conv, normalization("tdbn", 4, neuron, alpha=0.7))
        blocks = (Block(4, 4, 1, norm="batch", neuron=neuron), Block(4, 6, 2, norm="tdbn", neuron=neuron))
        self.body = nn.Sequential(neuron.build(), nn.Sequential(*blocks), GlobalAvgPool(), nn.Linear(6, 3))


@pytest.mark.parametrize("static", [False, True])
def test_a_network_trains_as_by_the_reference_and_reads_a_static_image_s_maps_once(static, monkeypatch):
    images = numbers(2, 3, 6, 6) if static else numbers(3, 2, 3, 6, 6)
    met = []
    real = triton_normalized.spikes

    def seen(maps, *more):
        met.append(len(maps))
        return real(maps, *more)

    monkeypatch.setattr(triton_normalized, "spikes", seen)
    torch.manual_seed(0)
    small = Small().double().to(memory_format=torch.channels_last).train()

    def step(implementation):
        network = copy.deepcopy(small)
        select(network, implementation)
        loss = tet_loss(network(images), torch.tensor([0, 1]))
        loss.backward()
        return [loss.detach(), *(weight.grad for weight in network.parameters()), *network.buffers()]

    for one, other in zip(step("triton"), step("reference"), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    assert met == [1 if static else 3, 3, 3, 3, 3]


COMPILE = """
import re, torch, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from models.neurons import triton_lif, triton_normalized
from models.neurons.lif import LIF
COUNTS, NUMBERS = ("rows", "channels", "inner", "rounds"), ("scale", "shift", "mean", "first", "second", "sums")
for static in (False, True):
    for kernel, order in ((triton_normalized._spikes, 0), (triton_normalized._gradient, 2)):
        fixed = triton_lif.constants(4, torch.bfloat16, LIF(), order)
        fixed |= {"ROWS": fixed.pop("BLOCK"), "CHANNELS": 1, "PLUS": not static, "STATIC": static, "WRITES": True}
        fixed = {name: value for name, value in fixed.items() if name in kernel.arg_names}
        types = {n: "i32" if n in COUNTS or n.endswith("_stride") else "*fp32" if n in NUMBERS else "*bf16"
                 for n in kernel.arg_names}
        aligned = {(i,): [["tt.divisibility", 16]] for i, n in enumerate(types) if n not in (*fixed, "rounds")}
        source = ASTSource(kernel, types | dict.fromkeys(fixed, "constexpr"), fixed, aligned)
        text = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=triton_lif.OPTIONS).asm["ptx"]
        print(text.count("ld.global.v4"), text.count("st.global.v4"), text.count(".local"),
              len(re.findall(r"\\bfma[.]", text)))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Triton compiles on Linux")
def test_compiled_for_a_gpu_a_kernel_reads_and_writes_every_number_once_and_a_static_image_s_at_one_step():
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # 16 bytes at a time, four steps. Frames and a shortcut: eight loads and four stores, then four loads (upstream) and
    # four stores (the shortcut's gradient) more. A static image: one load and four stores; one, four and one store.
    assert done.stdout.splitlines() == ["8 4 0 0", "12 8 0 0", "1 4 0 0", "5 1 0 0"]
