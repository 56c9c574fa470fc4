"""Small problems that the tests of sharpness share: a quadratic, and a network whose filters can be rescaled."""

import torch
from torch import nn
from torch.nn import functional as F

from landscape.objective import Objective
from landscape.surfaces import filter_scale


def squares(output, target):
    return (output - target).square().sum(1) / 2


def cross_entropy(output, target):
    return F.cross_entropy(output, target, reduction="none")


def quadratic():
    """A linear regression away from its minimum: objective, gradient, Hessian I ⊗ XᵀX/N, scale D."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Linear(5, 3, bias=False).double()
    model.weight.data = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    inputs, target = (torch.randn(40, width, generator=generator, dtype=torch.float64) for width in (5, 3))
    inputs *= torch.tensor([3.0, 1.0, 1.0, 0.5, 0.2])
    hessian = torch.block_diag(*[inputs.T @ inputs / 40] * 3)
    gradient = ((inputs @ model.weight.detach().T - target).T @ inputs / 40).reshape(-1)
    objective = Objective(model, squares, [(inputs[:25], target[:25]), (inputs[25:], target[25:])])
    return objective, gradient, hessian, filter_scale(objective.parameters)


class Step(torch.autograd.Function):
    """A step with a triangle for its derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (1 - ctx.saved_tensors[0].abs()).clamp(min=0)


class Spikes(nn.Module):
    def forward(self, x):
        return Step.apply(x)


def convolutional(activation: nn.Module, factor: float = 1.0):
    """conv, BatchNorm, activation, linear in float64; ``factor`` rescales every second filter of the convolution, and
    the BatchNorm so that the function stays."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        convolution, norm = nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)
        model = nn.Sequential(convolution, norm, activation, nn.Flatten(), nn.Linear(4 * 16, 3)).double()
        inputs, target = torch.randn(24, 1, 6, 6, dtype=torch.float64), torch.randint(3, (24,))
        for _ in range(20):
            model(inputs)
    factors = torch.tensor([factor, 1.0, factor, 1.0], dtype=torch.float64)
    convolution.weight.data *= factors[:, None, None, None]
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    variance += norm.eps
    norm.eps = 0.0
    mean *= factors
    variance *= factors**2
    return Objective(model, cross_entropy, [(inputs, target)])


def rise_at(objective, move):
    """The rise at w + move, and its paired standard error, by hand."""
    with objective.parameters.restored() as weights:
        before = objective.examples().numpy()
        objective.parameters.assign(weights + move)
        rise = objective.examples().numpy() - before
    return rise.mean(), rise.std(ddof=1) / len(rise) ** 0.5
