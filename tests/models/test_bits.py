"""Spikes kept as bits: the same gradients to the bit, less memory, and only where they are known to be spikes."""

from contextlib import nullcontext

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional as F

from models.checkpoint import load
from models.losses import tet_loss
from models.networks import build
from models.neurons import bits, fused, fused_normalized
from models.neurons.lif import LIF
from models.neurons.selection import select
from models.train import Config, run

from ..interrupted import interrupted


def numbers(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.fixture
def saved(monkeypatch):
    """What was saved as bits, and what whole, in the order of saving."""
    kept = []
    real = bits._saved

    def seen(tensor, known):
        kept.append(real(tensor, known))
        return kept[-1]

    monkeypatch.setattr(bits, "_saved", seen)
    return kept


def as_bits(saved):
    return [each for each in saved if isinstance(each, bits._Bits)]


# --- the packing


@pytest.mark.parametrize("by", ["C", "torch"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@given(spikes=st.lists(st.booleans(), max_size=40))
def test_bits_are_the_binary_digits_and_come_back_as_the_numbers(by, dtype, spikes):
    given = torch.tensor(spikes, dtype=dtype)
    with pytest.MonkeyPatch.context() as patch:
        if by == "torch":
            patch.setattr(fused, "takes", lambda _: False)
        packed = bits.packed(given)
        number = sum(1 << k for k, fired in enumerate(spikes) if fired)
        assert int.from_bytes(bytes(packed.tolist()), "little") == number
        assert len(packed) == -(-len(spikes) // 8)
        assert torch.equal(bits.unpacked(packed, len(spikes), dtype), given)


def test_torch_s_threads_share_the_packing_out():
    spikes = (numbers(300_003) > 0.5).float()
    alone = bits.packed(spikes)
    torch.set_num_threads(3)
    try:
        assert torch.equal(bits.packed(spikes), alone)
        assert torch.equal(bits.unpacked(alone, 300_003, torch.float32), spikes)
    finally:
        torch.set_num_threads(1)


# --- networks

NETWORKS = {
    "digits-cnn": ({"timesteps": 3}, (6, 1, 8, 8)),
    "resnet19": ({"timesteps": 2}, (2, 3, 8, 8)),
    "vggsnn": ({"image_size": 16}, (2, 2, 2, 16, 16)),
}


def trained(name, keep, implementation="auto", pieces=1, **chosen):
    """The loss and every gradient of a step, of ``pieces`` that add up, as ``models.train`` takes it."""
    arguments, shape = NETWORKS[name]
    network = build(name, seed=0, **arguments, **chosen).to(memory_format=torch.channels_last).train()
    select(network, implementation)
    losses = []
    for piece in range(pieces):
        images = numbers(*shape, seed=piece)
        labels = torch.arange(images.shape[-4])
        with bits.kept() if keep == "bits" else nullcontext():
            losses.append(tet_loss(network(images), labels))
            losses[-1].backward()
    return [*losses, *(weight.grad for weight in network.parameters())]


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize(
    ("name", "implementation", "pieces", "expected"),
    [
        ("digits-cnn", "auto", 1, 2), ("digits-cnn", "reference", 1, 2), ("digits-cnn", "triton", 1, 2),
        ("digits-cnn", "auto", 3, 6), ("resnet19", "auto", 1, 8 * 2 + 3 + 5 + 1), ("vggsnn", "auto", 1, 4 + 4),
    ],
)  # fmt: skip
def test_gradients_are_the_same_to_the_bit(name, implementation, pieces, expected, saved, monkeypatch):
    """Counted: pools; in ResNet-19 two convolutions a block, three on shortcuts, five bare shortcuts, and the head."""
    monkeypatch.setattr(fused_normalized, "LEAST", 0)
    found = trained(name, "bits", implementation, pieces)
    assert len(as_bits(saved)) == expected
    for one, other in zip(found, trained(name, "values", implementation, pieces), strict=True):
        assert torch.equal(one, other)


def test_smooth_spikes_are_graded_and_kept_whole(saved):
    found, wanted = (trained("digits-cnn", keep, surrogate="smooth") for keep in ("bits", "values"))
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one, other)
    assert saved
    assert not as_bits(saved)


@pytest.mark.parametrize("backward_within", [False, True])
def test_second_derivatives_are_the_same_to_the_bit(backward_within, monkeypatch):
    monkeypatch.setattr(fused_normalized, "LEAST", 0)

    def products(forward, backward):
        network = build("digits-cnn", seed=0, timesteps=3).to(memory_format=torch.channels_last).train()
        weights = list(network.parameters())
        with forward:
            loss = tet_loss(network(numbers(6, 1, 8, 8)), torch.arange(6))
        with backward:
            gradients = torch.autograd.grad(loss, weights, create_graph=True)
            slope = torch.stack([each.square().sum() for each in gradients]).sum()
        return torch.autograd.grad(slope, weights)

    within = bits.kept() if backward_within else nullcontext()
    for one, other in zip(products(bits.kept(), within), products(nullcontext(), nullcontext()), strict=True):
        assert torch.equal(one, other)
        assert one.abs().sum() > 0


def test_in_bfloat16_too(saved):
    def gradient(keep):
        network = build("digits-cnn", seed=0, timesteps=3).train()
        with bits.kept() if keep else nullcontext(), torch.autocast("cpu", torch.bfloat16):
            tet_loss(network(numbers(6, 1, 8, 8)).float(), torch.arange(6)).backward()
        return [weight.grad for weight in network.parameters()]

    for one, other in zip(gradient(True), gradient(False), strict=True):
        assert torch.equal(one, other)
    assert {each.dtype for each in as_bits(saved)} == {torch.bfloat16}


# --- which tensors


def fire(*shape, seed=0, **chosen):
    return LIF(**chosen)(numbers(*shape, seed=seed) + 0.6)


VIEWS = {
    "itself": lambda s: s,
    "flattened": lambda s: s.flatten(0, 1),
    "flat": lambda s: s.flatten(),
    "transposed": lambda s: s.transpose(1, 3),
    "in columns": lambda s: s.view(3, -1).T,
    "detached": lambda s: s.detach(),
}


@pytest.mark.parametrize("view", VIEWS)
def test_all_spikes_come_back_in_the_view_that_was_saved(view, saved):
    with bits.kept():
        given = VIEWS[view](fire(3, 2, 5, 4, 2))
        weight = torch.ones_like(given, requires_grad=True)
        product = given * weight
    (kept,) = as_bits(saved)
    assert kept.packed.nbytes == 3 * 2 * 5 * 4 * 2 / 8
    assert torch.equal(kept.restored(), given)
    assert kept.restored().stride() == given.stride()
    product.sum().backward()
    assert torch.equal(weight.grad, given)


WHOLE = {
    "a step": lambda s: s[1],
    "every second": lambda s: s[..., ::2],
    "another type": lambda s: s.double(),
    "a copy": lambda s: s.clone(),
    "a sum": lambda s: s + s,
    "a mean": lambda s: F.avg_pool2d(s.flatten(0, 1), 2),
    "changed in place": lambda s: s.mul_(0.5),
    "changed in place through a view": lambda s: s[0].add_(0.25) is None or s,
    "its bytes as another type": lambda s: s.view(torch.int32),
}


@pytest.mark.parametrize("view", WHOLE)
def test_what_is_not_a_neuron_s_whole_output_is_kept_whole(view, saved):
    with bits.kept():
        given = WHOLE[view](fire(3, 2, 5, 4, 2))
        weight = torch.ones(given.shape, dtype=torch.float64, requires_grad=True)
        product = given * weight
    assert saved
    assert not as_bits(saved)
    product.sum().backward()
    assert torch.equal(weight.grad, given.double())


def test_memory_that_spikes_had_is_not_taken_for_spikes(saved):
    weight = torch.ones(3, 40, requires_grad=True)
    with bits.kept():
        for seed in range(200):
            fire(3, 40, seed=seed)  # gone at once
            _ = numbers(3, 40, seed=seed) * weight
    assert len(saved) == 200
    assert not as_bits(saved)


def test_layers_that_save_the_same_spikes_share_one_packed_copy(saved):
    kernels = [torch.ones(3, 5, 1, 1, requires_grad=True) for _ in range(2)]
    with bits.kept():
        maps = fire(2, 2, 5, 4, 2).flatten(0, 1)
        for kernel in kernels:
            F.conv2d(maps, kernel)
    one, other = as_bits(saved)
    assert one.packed is other.packed


def test_outside_of_the_block_nothing_is_packed_and_spikes_of_before_are_whole(saved):
    weight = torch.ones(3, 40, requires_grad=True)
    before = fire(3, 40)
    with bits.kept():
        _ = before * weight
    assert len(saved) == 1
    _ = fire(3, 40) * weight
    assert len(saved) == 1
    assert not as_bits(saved)


def test_spikes_are_let_go_when_their_bits_are_there():
    with bits.kept():
        spikes = fire(3, 40)
        memory = StorageWeakRef(spikes.untyped_storage())
        product = spikes * torch.ones(3, 40, requires_grad=True)
        del spikes
    assert memory.expired()
    assert product.requires_grad


def test_what_saves_its_own_output_is_let_go_with_its_graph():
    x = torch.ones(3, requires_grad=True)
    with bits.kept():
        y = x.exp()
    memory = StorageWeakRef(y.untyped_storage())
    del y
    assert memory.expired()


def test_what_is_changed_in_place_after_it_was_saved_is_refused():
    x = torch.ones(3, requires_grad=True)
    with bits.kept():
        y = 1 * x
        z = y.square()
        y.mul_(2)
    with pytest.raises(RuntimeError, match="a tensor saved for the backward was changed in place after that"):
        z.sum().backward()


# --- training runs


def test_a_run_begun_with_values_may_end_with_bits_and_has_the_same_weights_to_the_bit(tmp_path, saved):
    def train(folder, keep):
        return run(Config(out=tmp_path / folder, epochs=2, train_images=50, quiet=True, keep_spikes=keep))

    with interrupted():
        train("cut", "values")
    assert not saved
    cut, whole = train("cut", "bits"), train("whole", "values")
    assert as_bits(saved)
    assert cut.training["epochs_done"] == 2
    assert "keep_spikes" not in load(tmp_path / "cut/ckpt.pt").training
    for name, weight in whole.state_dict.items():
        assert torch.equal(cut.state_dict[name], weight)
