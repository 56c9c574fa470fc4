"""The neuron's implementations against its reference: spikes to the bit, first and second derivatives to rounding."""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.networks import build
from models.neurons import fused, triton_lif
from models.neurons.lif import LIF
from models.neurons.selection import select
from models.neurons.surrogate import coded

FAST = ("fused", "triton")
SURROGATES = ("triangle", "arctan", "sigmoid", "rectangle", "smooth")


def neuron(implementation, **chosen):
    lif = LIF(**chosen)
    lif.implementation = implementation
    return lif


def numbers(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def derivatives(lif, current, upstream, direction):
    """Spikes, gradient, and how the gradient moves along ``direction``: with the currents, and with its upstream."""
    current, upstream = current.detach().requires_grad_(), upstream.detach().requires_grad_()
    spikes = lif(current)
    (gradient,) = torch.autograd.grad(spikes, current, upstream, create_graph=True)
    seconds = torch.autograd.grad(gradient, (current, upstream), direction, materialize_grads=True)
    (alone,) = torch.autograd.grad(lif(current), current, upstream.detach())
    return spikes, gradient, *seconds, alone


def agree(implementation, current, upstream, direction, *, rtol=1e-12, atol=1e-12, **chosen):
    found = derivatives(neuron(implementation, **chosen), current, upstream, direction)
    wanted = derivatives(neuron("reference", **chosen), current, upstream, direction)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=rtol, atol=atol)
    if chosen.get("surrogate") != "smooth":
        assert torch.equal(found[0], wanted[0])
    assert torch.equal(found[1], found[4])
    return wanted


DYNAMICS = {
    "decay": st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]),
    "threshold": st.sampled_from([0.3, 1.0, 1.7]),
    "surrogate": st.sampled_from(SURROGATES),
    "width": st.sampled_from([0.4, 1.0, 2.5]),
    "detach_reset": st.booleans(),
}


@pytest.mark.parametrize("implementation", FAST)
@settings(max_examples=12)
@given(
    shape=st.tuples(st.integers(1, 7), st.integers(1, 3), st.integers(1, 5), st.integers(1, 4)),
    chosen=st.fixed_dictionaries(DYNAMICS), seed=st.integers(0, 99),
)  # fmt: skip
def test_spikes_and_both_derivatives_are_the_reference_s(implementation, shape, chosen, seed):
    current, upstream, direction = numbers(3, *shape, seed=seed)
    agree(implementation, current + 0.4, upstream, direction, **chosen)


@pytest.mark.parametrize("implementation", FAST)
def test_many_neurons_in_many_blocks_agree(implementation):
    current, upstream, direction = numbers(3, 4, 1, 1500)
    spikes, _, curvature, tangent, _ = agree(implementation, current + 0.4, upstream, direction, width=1.3)
    assert 0.1 < spikes.mean() < 0.9
    assert min(curvature.abs().mean(), tangent.abs().mean()) > 0.1


@pytest.mark.parametrize(("implementation", "dtype"), [("fused", torch.float32), ("triton", torch.float32)])
def test_in_single_precision_they_agree_to_its_rounding(implementation, dtype):
    current, upstream, direction = numbers(3, 5, 2, 50, dtype=dtype)
    agree(implementation, current + 0.4, upstream, direction, rtol=1e-4, atol=2e-5, decay=0.9, threshold=0.7)


@pytest.mark.parametrize("implementation", FAST)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision_the_state_is_single_and_only_what_is_stored_is_rounded(implementation, dtype):
    current, upstream, direction = numbers(3, 6, 2, 50, dtype=dtype)
    chosen = {"decay": 0.9, "threshold": 0.7, "surrogate": "arctan"}
    rounded = [each.double() for each in (current + 0.4, upstream, direction)]
    wanted = derivatives(neuron("reference", **chosen), *rounded)
    found = derivatives(neuron(implementation, **chosen), current + 0.4, upstream, direction)
    assert torch.equal(found[0].double(), wanted[0])
    assert found[0].dtype == found[1].dtype == dtype
    for one, other in zip(found[1:4], wanted[1:4], strict=True):
        torch.testing.assert_close(one.double(), other, rtol=2 * torch.finfo(dtype).eps, atol=1e-4)


@pytest.mark.parametrize("implementation", ["reference", *FAST])
@pytest.mark.parametrize("threshold", [0.3, 1.0, 1.1])
@pytest.mark.parametrize("gradients", [False, True])
def test_a_membrane_at_the_threshold_does_not_fire(implementation, threshold, gradients):
    at = torch.tensor(threshold, dtype=torch.float64)
    current = torch.stack([torch.nextafter(at, at - 1), at, torch.nextafter(at, at + 1)])[None, None]
    with torch.set_grad_enabled(gradients):
        spikes = neuron(implementation, threshold=threshold)(current.requires_grad_(gradients))
    assert spikes.flatten().tolist() == [0, 0, 1]


LAYOUTS = {
    "channels last": lambda x: x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, x.shape[:2]),
    "transposed": lambda x: x.transpose(2, 4).contiguous().transpose(2, 4),
    "batch outermost": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "every second": lambda x: x.repeat_interleave(2, -1)[..., ::2],
    "one step": lambda x: x[:1],
    "the same image at every step": lambda x: x[:1].expand(5, *x.shape[1:]),
    "no neuron": lambda x: x[:, :0],
    "one neuron": lambda x: x[:, :1, 0, 0, 0],
}


@pytest.mark.parametrize("implementation", FAST)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_change_nothing(implementation, layout):
    current, upstream, direction = numbers(3, 5, 2, 3, 4, 2)
    laid = LAYOUTS[layout](current + 0.4)
    like = [LAYOUTS[layout](each).contiguous() for each in (upstream, direction)]
    agree(implementation, laid, *like)


@pytest.mark.parametrize("implementation", FAST)
def test_spikes_lie_as_the_currents_do(implementation):
    current = LAYOUTS["channels last"](numbers(3, 2, 4, 5, 6))
    assert neuron(implementation)(current.requires_grad_()).stride() == current.stride()


def test_torch_s_threads_share_the_neurons_out():
    current, upstream, direction = numbers(3, 4, 1, 50_001)
    alone = derivatives(neuron("fused"), current, upstream, direction)
    torch.set_num_threads(3)
    try:
        together = derivatives(neuron("fused"), current, upstream, direction)
    finally:
        torch.set_num_threads(1)
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("implementation", FAST)
def test_third_derivatives_are_the_reference_s(implementation):
    current, upstream, direction = numbers(3, 4, 1, 20)

    def third(lif):
        x = (current + 0.4).requires_grad_()
        weighed = lif(x) * upstream * x  # what comes back to the spikes depends on the currents too
        (first,) = torch.autograd.grad(weighed.sum(), x, create_graph=True)
        (second,) = torch.autograd.grad((first * direction).sum(), x, create_graph=True)
        return torch.autograd.grad((second * direction.sin()).sum(), x)[0]

    found, wanted = (third(neuron(each, surrogate="arctan")) for each in (implementation, "reference"))
    assert wanted.abs().mean() > 0.1
    torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("implementation", FAST)
def test_gradients_in_batches_are_those_one_by_one(implementation):
    lif, current = neuron(implementation), (numbers(4, 2, 6) + 0.4).requires_grad_()
    upstream = numbers(3, 4, 2, 6, seed=1)
    (batched,) = torch.autograd.grad(lif(current), current, upstream, is_grads_batched=True)
    for one, g in zip(batched, upstream, strict=True):
        torch.testing.assert_close(one, torch.autograd.grad(lif(current), current, g)[0])


def test_the_triton_kernels_are_kept_from_longer_trains_than_they_are_made_for():
    current = numbers(triton_lif.MOST_STEPS + 1, 1, 2)
    assert not triton_lif.takes(current)
    agree("triton", current, current, current)


def test_a_pulse_that_no_kernel_knows_is_refused():
    with pytest.raises(ValueError, match=r"no kernel knows the surrogate .* use the reference neuron"):
        coded(torch.sin)


COMPILE = """
import re, torch, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from models.neurons import triton_lif
from models.neurons.lif import LIF
for order, kernel in enumerate((triton_lif._spikes, triton_lif._gradient, triton_lif._second)):
    fixed = triton_lif.constants(4, torch.bfloat16, LIF(), order)
    types = {n: "i32" if n == "neurons" or n.endswith("_stride") else "*bf16" for n in kernel.arg_names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, n in enumerate(types) if n not in fixed}
    source = ASTSource(kernel, types | dict.fromkeys(fixed, "constexpr"), fixed, aligned)
    text = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=triton_lif.OPTIONS).asm["ptx"]
    print(text.count("ld.global.v4"), text.count("ld.global"), text.count("st.global"), text.count(".local"),
          len(re.findall(r"\\bfma[.]", text)))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Triton compiles on Linux")
def test_compiled_for_a_gpu_a_kernel_reads_and_writes_every_number_once():
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # 16 bytes at a time, four steps: the currents; and the upstream; and the direction. No state outside registers, and
    # no product fused with a sum, which would round differently.
    assert done.stdout.splitlines() == ["4 4 4 0 0", "8 8 4 0 0", "12 12 8 0 0"]


# --- which one


@pytest.fixture
def no_compiler(monkeypatch, request):
    """A machine without a working C compiler: none, or one that fails."""
    monkeypatch.setenv("CC", request.param)
    fused._library.cache_clear()
    yield
    fused._library.cache_clear()


def test_on_a_cpu_the_fused_one_is_chosen_and_every_neuron_told():
    network = build("digits-cnn", seed=0)
    assert select(network) == "fused"
    assert select(network, "triton") == "triton"  # in the interpreter
    assert {module.implementation for module in network.modules() if isinstance(module, LIF)} == {"triton"}
    assert select(nn.Linear(1, 1), "reference") == "reference"


@pytest.mark.parametrize("no_compiler", ["no-such-compiler", "false"], indirect=True)
def test_without_a_compiler_the_reference_does_it(no_compiler):
    network = build("digits-cnn", seed=0)
    assert select(network) == "reference"
    with pytest.raises(ValueError, match="--neuron fused needs a CPU and a C compiler"):
        select(network, "fused")
    current, upstream, direction = numbers(3, 4, 1, 6)
    agree("auto", current, upstream, direction)


def test_what_can_t_run_or_does_not_exist_is_refused(monkeypatch):
    network = build("digits-cnn", seed=0)
    monkeypatch.delenv("TRITON_INTERPRET")
    with pytest.raises(ValueError, match="--neuron triton needs Triton and a CUDA device, and --device is cpu"):
        select(network, "triton")
    with pytest.raises(ValueError, match="no neuron named 'cupy'; there are auto, reference, fused, triton"):
        select(network, "cupy")
