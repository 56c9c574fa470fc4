"""Slow and obviously right versions, in float64, of what the landscape package computes.

- dense Hessian and Gauss–Newton matrix of a whole set, by torch.autograd.functional (no batches, no products);
- dense second moment of gradients, one example at a time;
- 2-jets: value, gradient and Hessian carried by hand through every scalar operation, no autograd at all. On them a
  spike is its local jet (step, slope, slope's derivative), which defines the formal Hessian of a spiking network;
- textbook Lanczos, and a dense matrix as an operator.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call

Loss = Callable[[Tensor, Tensor], Tensor]


class Dense:
    """A matrix as an operator that counts its products."""

    def __init__(self, matrix: np.ndarray, dtype: torch.dtype = torch.float64):
        self.matrix = torch.as_tensor(matrix).to(dtype)
        self.dimension, self.dtype, self.device = len(matrix), dtype, torch.device("cpu")
        self.products = 0

    def __matmul__(self, vector: Tensor) -> Tensor:
        self.products += vector[..., 0].numel()
        return vector @ self.matrix.T


def symmetric(eigenvalues: Sequence[float] | np.ndarray, seed: int = 0) -> np.ndarray:
    """A matrix with these eigenvalues and random eigenvectors."""
    vectors, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(eigenvalues),) * 2))
    matrix = (vectors * np.asarray(eigenvalues, dtype=float)) @ vectors.T
    return (matrix + matrix.T) / 2


def textbook_lanczos(matrix: np.ndarray, start: np.ndarray, steps: int) -> np.ndarray:
    """T of ``steps`` three-term recurrences without any reorthogonalisation: right for few steps only."""
    tridiagonal = np.zeros((steps, steps))
    before, vector, beta = np.zeros_like(start), start / np.linalg.norm(start), 0.0
    for step in range(steps):
        product = matrix @ vector - beta * before
        tridiagonal[step, step] = vector @ product
        product = product - tridiagonal[step, step] * vector
        beta = float(np.linalg.norm(product))
        if step + 1 < steps:
            tridiagonal[step, step + 1] = tridiagonal[step + 1, step] = beta
        before, vector = vector, product / beta
    return tridiagonal


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}


def as_function(model: nn.Module, x: Tensor) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The model's output as a function of one flat weight vector, and the present vector."""
    weights = weights_of(model)

    def output(vector: Tensor) -> Tensor:
        parts = vector.split([weight.numel() for weight in weights.values()])
        moved = {name: part.view_as(weights[name]) for name, part in zip(weights, parts, strict=True)}
        return functional_call(model, moved, (x,))

    return output, torch.cat([weight.flatten() for weight in weights.values()])


def dense_hessian(model: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> Tensor:
    output, weights = as_function(model, x)
    return torch.autograd.functional.hessian(lambda w: loss(output(w), y).mean(), weights)


def dense_gauss_newton(model: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> Tensor:
    """JᵀHJ with J = ∂(all outputs)/∂w and H = ∂²(mean loss)/∂(all outputs)², both formed."""
    output, weights = as_function(model, x)
    jacobian = torch.autograd.functional.jacobian(output, weights).flatten(0, -2)
    at = output(weights).detach()
    curvature = torch.autograd.functional.hessian(lambda z: loss(z.view_as(at), y).mean(), at.flatten())
    return jacobian.T @ curvature @ jacobian


def dense_second_moment(model: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> Tensor:
    """Mean of gradient·gradientᵀ over examples, each put through the model alone."""
    rows = []
    for index in range(len(y)):
        output, weights = as_function(model, x[index : index + 1])
        weights.requires_grad_()
        value = loss(output(weights), y[index : index + 1])
        rows.append(torch.autograd.grad(value.sum(), weights)[0])
    return torch.stack([torch.outer(row, row) for row in rows]).mean(0)


def column_by_column(operator: Any) -> Tensor:
    """The matrix of an operator, one product a column."""
    return torch.stack([operator @ row for row in torch.eye(operator.dimension, dtype=operator.dtype)], 1)


def cross_entropy_over_time(logits: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy at each step, averaged over steps, of each example."""
    chosen = labels.view(1, -1, 1).expand(len(logits), -1, 1)
    return -logits.log_softmax(2).gather(2, chosen).squeeze(2).mean(0)


def triangle(x: Tensor) -> Tensor:
    return torch.relu(1 - x.abs())


class Spike(torch.autograd.Function):
    """A step with the triangle's backward, itself differentiable."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * triangle(ctx.saved_tensors[0])


class OnceDifferentiable(Spike):
    """The same gradient, declared first-order."""

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * triangle(ctx.saved_tensors[0])


class SilentlyCut(Spike):
    """The same gradient, as a fused kernel writes it into fresh memory: no error, and no second derivative."""

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        with torch.no_grad():
            return gradient * triangle(ctx.saved_tensors[0])


class StoredSlope(Spike):
    """The same gradient, its slope stored by the forward: the slope's own derivative is lost, symmetrically."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(triangle(x))
        return (x > 0).to(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * ctx.saved_tensors[0]


class SpikingNet(nn.Module):
    """Linear layers with leaky integrate-and-fire neurons between them: logits [time batch class] of a static input."""

    def __init__(self, widths: Sequence[int] = (3, 4, 3, 2), timesteps: int = 3, spike: type[Spike] = Spike):
        super().__init__()
        self.inputs = widths[0]
        self.layers = nn.ModuleList(nn.Linear(i, o, bias=False) for i, o in pairwise(widths))
        self.timesteps, self.spike = timesteps, spike

    def forward(self, x: Tensor) -> Tensor:
        membranes: list[Any] = [0.0] * (len(self.layers) - 1)
        logits = []
        for _ in range(self.timesteps):
            current = x
            for index, layer in enumerate(self.layers):
                current = layer(current)
                if index < len(membranes):
                    membrane = 0.5 * membranes[index] + current
                    current = self.spike.apply(membrane - 1.0)
                    membranes[index] = membrane * (1 - current)
            logits.append(current)
        return torch.stack(logits)


def spiking_net(seed: int = 0, spike: type[Spike] = Spike, **arguments: Any) -> tuple[SpikingNet, Tensor, Tensor]:
    """A float64 net with weights large enough to spike, five inputs and their labels."""
    generator = torch.Generator().manual_seed(seed)
    net = SpikingNet(spike=spike, **arguments).double()
    for weight in net.parameters():
        weight.data = 1.5 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    inputs = torch.randn(5, net.inputs, generator=generator, dtype=torch.float64)
    return net, inputs, torch.tensor([0, 1, 1, 0, 1])


@dataclass(frozen=True)
class Jet:
    """A scalar with its gradient and Hessian in the weights, in plain numpy."""

    value: float
    gradient: np.ndarray
    hessian: np.ndarray

    def __add__(self, other: "Jet | float") -> "Jet":
        if not isinstance(other, Jet):
            return Jet(self.value + other, self.gradient, self.hessian)
        return Jet(self.value + other.value, self.gradient + other.gradient, self.hessian + other.hessian)

    def __mul__(self, other: "Jet | float") -> "Jet":
        if not isinstance(other, Jet):
            return Jet(self.value * other, self.gradient * other, self.hessian * other)
        cross = np.outer(self.gradient, other.gradient)
        return Jet(
            self.value * other.value,
            self.value * other.gradient + other.value * self.gradient,
            self.value * other.hessian + other.value * self.hessian + cross + cross.T,
        )

    def through(self, value: float, slope: float, bend: float) -> "Jet":
        """The chain rule: f(self), given f, f′ and f″ there."""
        outer = np.outer(self.gradient, self.gradient)
        return Jet(value, slope * self.gradient, slope * self.hessian + bend * outer)

    def spike(self) -> "Jet":
        """The step, with the triangle for its slope."""
        x = self.value
        return self.through(float(x > 0), max(0.0, 1 - abs(x)), -float(np.sign(x)) if abs(x) < 1 else 0.0)


def logit_jets(net: SpikingNet, x: Tensor) -> list[list[list[Jet]]]:
    """The logits [example][time][class] of ``net``, every spike replaced by its local jet."""
    values = torch.cat([weight.detach().flatten() for weight in net.parameters()]).numpy()
    zero = Jet(0.0, np.zeros(len(values)), np.zeros((len(values),) * 2))
    variables = iter(
        [Jet(float(value), unit, zero.hessian) for value, unit in zip(values, np.eye(len(values)), strict=True)]
    )
    layers = [[[next(variables) for _ in range(w.shape[1])] for _ in range(w.shape[0])] for w in net.parameters()]
    outputs: list[list[list[Jet]]] = []
    for example in x.tolist():
        membranes = [[zero] * len(layer) for layer in layers[:-1]]
        outputs.append([])
        for _ in range(net.timesteps):
            signal = [zero + pixel for pixel in example]
            for layer, state in zip(layers[:-1], membranes, strict=True):
                state[:] = [old * 0.5 + _dot(row, signal, zero) for old, row in zip(state, layer, strict=True)]
                signal = [(membrane + -1.0).spike() for membrane in state]
                state[:] = [membrane * (spike * -1.0 + 1.0) for membrane, spike in zip(state, signal, strict=True)]
            outputs[-1].append([_dot(row, signal, zero) for row in layers[-1]])
    return outputs


def formal_loss(net: SpikingNet, x: Tensor, y: Tensor) -> Jet:
    """The cross-entropy over time as a jet: its ``hessian`` is the formal Hessian."""
    losses = [
        _cross_entropy(logits, label)
        for steps, label in zip(logit_jets(net, x), y.tolist(), strict=True)
        for logits in steps
    ]
    return sum(losses[1:], losses[0]) * (1 / len(losses))


def formal_gauss_newton(net: SpikingNet, x: Tensor) -> np.ndarray:
    """Mean over examples and steps of Jᵀ(diag p − ppᵀ)J, J the first-order part of the logits' jets."""
    terms = []
    for steps in logit_jets(net, x):
        for logits in steps:
            jacobian = np.array([logit.gradient for logit in logits])
            shares = np.exp([logit.value for logit in logits])
            shares /= shares.sum()
            terms.append(jacobian.T @ (np.diag(shares) - np.outer(shares, shares)) @ jacobian)
    return np.mean(terms, 0)


def _dot(row: list[Jet], signal: list[Jet], zero: Jet) -> Jet:
    return sum((weight * value for weight, value in zip(row, signal, strict=True)), zero)


def _cross_entropy(logits: list[Jet], label: int) -> Jet:
    first, *rest = [logit.through(*[float(np.exp(logit.value))] * 3) for logit in logits]
    normaliser = sum(rest, first)
    size = normaliser.value
    return normaliser.through(float(np.log(size)), 1 / size, -1 / size**2) + logits[label] * -1.0
