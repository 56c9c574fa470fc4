"""SAM and ASAM against the papers' steps written out, to the same weights; what is refused; what a run records."""

import math

import pytest
import torch
from torch import nn

from models import data, losses
from models.checkpoint import load
from models.networks import build
from models.train import main, run
from models.training.recipe import Config
from models.training.sharpness_aware import SharpnessAware

from ..interrupted import interrupted

SHORT = {"train_images": 45, "batch_size": 20, "timesteps": 2, "epochs": 2, "quiet": True, "loss": "sdt"}
METHODS = {"sam": {"sharpness_aware": 0.05}, "asam": {"sharpness_aware": 0.5, "adaptive": True, "adaptive_eta": 0.02}}


def config(out, **changes):
    return Config(out=out, **(SHORT | changes))


def epsilon(network, rho, *, adaptive, eta):
    """ρ T² g / ‖T g‖ of the gradients held, with T as one long vector."""
    named = list(network.named_parameters())
    g = torch.cat([weight.grad.flatten() for _, weight in named])
    sizes = [weight.detach().abs() + eta if "weight" in name else torch.ones_like(weight) for name, weight in named]
    t = torch.cat([size.flatten() for size in sizes]) if adaptive else torch.ones_like(g)
    return rho * t**2 * g / (t * g).square().sum().sqrt()


def textbook(pieces, *, sharpness_aware, adaptive=False, adaptive_eta=0.01):
    """Two epochs of SDT with Adam; a batch in ``pieces``; BatchNorm's statistics saved and put back by hand."""
    digits, network = data.load("digits", train_images=45), build("digits-cnn", seed=0, timesteps=2).double()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 2)
    generator = torch.Generator().manual_seed(0)
    images, labels = next(digits.train.batches(45, dtype=torch.float64))
    network.train()

    def backward(chosen):
        optimizer.zero_grad()
        for piece in chosen.split(20 // pieces):
            (losses.sdt_loss(network(images[piece]), labels[piece]) * len(piece) / len(chosen)).backward()

    for _ in range(2):
        for chosen in torch.randperm(45, generator=generator).split(20):
            backward(chosen)
            at = nn.utils.parameters_to_vector(network.parameters()).detach().clone()
            statistics = {name: value.clone() for name, value in network.named_buffers()}
            up = at + epsilon(network, sharpness_aware, adaptive=adaptive, eta=adaptive_eta)
            nn.utils.vector_to_parameters(up, network.parameters())
            backward(chosen)
            nn.utils.vector_to_parameters(at, network.parameters())
            network.load_state_dict(statistics, strict=False)
            optimizer.step()
        schedule.step()
    return network.state_dict()


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pieces", [1, 4])
def test_a_run_is_the_paper_s_loop_also_in_pieces(method, pieces, tmp_path):
    found = run(config(tmp_path, accumulate=pieces, precision="float64", **METHODS[method]))
    assert found.training["method"] == f"sdt+{method}"
    assert found.training["loss"] == "sdt"
    assert found.training["sharpness_aware"] == METHODS[method]["sharpness_aware"]
    assert found.training["adaptive"] is (method == "asam")
    for name, value in textbook(pieces, **METHODS[method]).items():
        torch.testing.assert_close(found.state_dict[name], value, rtol=1e-8, atol=1e-11)


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_run_that_was_cut_short_goes_on_to_the_same_weights_bit_for_bit(method, optimizer, tmp_path):
    chosen = METHODS[method] | {"optimizer": optimizer}
    whole = run(config(tmp_path / "whole", **chosen)).state_dict
    with interrupted():
        run(config(tmp_path / "cut", **chosen))
    cut = run(config(tmp_path / "cut", **chosen)).state_dict
    assert all(torch.equal(cut[name], value) for name, value in whole.items())


class Quadratic(nn.Module):
    """½ wᵀ diag(c) w + bᵀc, with a counter that a pass moves."""

    passes: torch.Tensor

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([3.0, 0.0, -4.0]))
        self.bias = nn.Parameter(torch.tensor([1.0]))
        self.idle = nn.Parameter(torch.ones(2))
        self.register_buffer("passes", torch.zeros(()))

    def forward(self):
        self.passes.add_(1)
        return (self.weight.square() * torch.tensor([1.0, 2.0, 3.0])).sum() / 2 + 2 * self.bias.sum()


def test_the_move_by_hand_and_everything_back_behind_it():
    model = Quadratic()
    model().backward()
    before = model.weight.detach().clone()
    with SharpnessAware(model, 0.5).uphill():  # the gradient is (3, 0, −12) and 2
        norm = math.sqrt(9 + 144 + 4)
        torch.testing.assert_close(model.weight.detach(), before + 0.5 * torch.tensor([3.0, 0.0, -12.0]) / norm)
        assert model.bias.item() == pytest.approx(1 + 0.5 * 2 / norm)
        assert model.idle.tolist() == [1, 1]
        model()
        assert model.passes == 2
    assert torch.equal(model.weight, before)
    assert model.passes == 1


def test_asam_scales_weights_by_their_size_and_leaves_biases():
    model = Quadratic()
    model().backward()
    before = model.weight.detach().clone()
    with SharpnessAware(model, 0.5, adaptive=True, eta=1.0).uphill():  # T is (4, 1, 5) and 1
        norm = math.sqrt(12**2 + 60**2 + 2**2)
        torch.testing.assert_close(model.weight.detach(), before + 0.5 * torch.tensor([48.0, 0.0, -300.0]) / norm)
        assert model.bias.item() == pytest.approx(1 + 0.5 * 2 / norm)


def test_without_a_gradient_nothing_moves_and_an_error_in_the_block_puts_everything_back():
    model = Quadratic()
    (0 * model()).backward()
    before = model.weight.detach().clone()

    def fail():
        with SharpnessAware(model, 0.5).uphill():
            assert torch.equal(model.weight, before)
            model.weight.data.fill_(7)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert torch.equal(model.weight, before)


def test_the_history_s_loss_is_that_before_the_move_and_an_own_name_wins(tmp_path):
    found = run(config(tmp_path, method="mine", epochs=1, loss="tet", **METHODS["sam"]))
    assert (found.training["method"], found.training["loss"]) == ("mine", "tet")
    assert load(tmp_path / "ckpt.pt").training["method"] == "mine"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--sharpness-aware", "0"], "--sharpness-aware takes a positive and finite rho, as 0.05, got 0.0"),
        (["--sharpness-aware", "-0.1"], "positive and finite rho, as 0.05, got -0.1"),
        (["--sharpness-aware", "inf"], "positive and finite rho, as 0.05, got inf"),
        (["--adaptive"], "give their rho too, --sharpness-aware 0.5"),
        (["--sharpness-aware", "0.5", "--adaptive", "--adaptive-eta", "-1"], "--adaptive-eta must be at least 0"),
        (["--loss", "sgd"], "--loss is one of sdt, tet, lts, tmc, trt, ce, or yours as FILE.py:NAME, got 'sgd'"),
        (["--trt-eta", "2"], "--trt-eta must lie in [0, 1], got 2.0"),
        (["--trt-lambda", "-1"], "--trt-lambda must be at least 0 and finite, got -1.0"),
        (["--trt-delta", "nan"], "--trt-delta must be at least 0 and finite, got nan"),
        (["--loss", "trt", "--record-momentum"], "trt's term of the weights has none"),
        (["--no-spiking", "--detach-state"], "DigitsCNN has none: leave it out"),
    ],
)
def test_bad_input_is_one_line(argv, said, tmp_path, capsys):
    assert main(["--out", str(tmp_path / "run"), "--quiet", *argv]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()
