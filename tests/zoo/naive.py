"""The answers by the plainest means: loops over batches, weights copied in, autograd of the whole mean.

Nothing here comes from the project. A twin is another build of the entry's model, in float64; its losses are those of a
batch at a time, each model fresh, and every mean is a plain mean over all examples.
"""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .entry import Case, Entry
from .tensors import doubled, flat, leaves, reals, replaced, unflat

ALPHAS, BETAS = (-0.4, 0.0, 0.4), (-0.3, 0.0, 0.3)
DRAWS = 2
Weights = list[Tensor]


class Naive:
    """An entry's twin and the answers it gives."""

    def __init__(self, entry: Entry):
        case: Case = entry.build()
        self.case, self.entry = case, entry
        self.model: nn.Module = case.twin if case.twin is not None else case.model
        self.batches = list(case.truth if case.truth is not None else case.batches)
        if entry.double:
            self.model.double()
            self.batches = [doubled(batch) for batch in self.batches]
        self.model.train(case.keywords.get("mode", "eval") == "train")
        self.weights = [
            weight
            for name, weight in self.model.named_parameters()
            if weight.requires_grad and (case.names is None or name in case.names)
        ]
        self.start = [weight.detach().clone() for weight in self.weights]
        self.size = sum(reals(weight).numel() for weight in self.weights)

    # Vectors that both sides are given, drawn here.

    @cached_property
    def directions(self) -> list[Tensor]:
        """Two random vectors; each weight tensor's part has its root mean square, a tenth where that is zero."""
        generator = torch.Generator().manual_seed(1)
        found = []
        for _ in range(2):
            parts = []
            for weight in self.start:
                size = reals(weight).double()
                rms = float(size.square().mean().sqrt()) or 0.1
                parts.append(torch.randn(size.numel(), generator=generator, dtype=torch.float64) * rms)
            found.append(torch.cat(parts))
        return found

    @cached_property
    def norm(self) -> float:
        return float(flat(self.start).double().norm())

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise: a twentieth of the weights' root mean square."""
        return 0.05 * self.norm / self.size**0.5

    @property
    def radius(self) -> float:
        return 0.05 * self.norm

    @cached_property
    def noises(self) -> list[Tensor]:
        """Standard normal vectors, drawn in float64 one after another from one seeded generator."""
        generator = torch.Generator().manual_seed(0)
        return [torch.randn(self.size, generator=generator, dtype=torch.float64) for _ in range(DRAWS)]

    # The losses.

    def split(self, vector: Tensor) -> Weights:
        """A vector as tensors in the weights' shapes."""
        parts, place = [], 0
        for weight in self.start:
            count = reals(weight).numel()
            part = vector[place : place + count].view(reals(weight).shape)
            parts.append(torch.view_as_complex(part.contiguous()) if weight.is_complex() else part)
            place += count
        return parts

    def move(self, offset: Tensor | None) -> None:
        """Copy start + offset into the model's parameters, in place."""
        with torch.no_grad():
            for weight, start in zip(self.weights, self.start, strict=True):
                weight.copy_(start)
            if offset is not None:
                for weight, start, part in zip(self.weights, self.start, self.split(offset), strict=True):
                    weight.copy_((start.to(torch.promote_types(start.dtype, torch.float64)) + part).to(weight.dtype))

    def graph(self) -> Tensor:
        """Every example's loss at the present weights, with its graph."""
        found = []
        for batch in self.batches:
            self.case.fresh(self.model)
            subject = self.model if self.case.closure else self.case.plain(self.model, batch)
            found.append(self.case.score(subject, batch).double())
        return torch.cat(found)

    def losses(self, offset: Tensor | None = None) -> np.ndarray:
        """Every example's loss at start + offset."""
        self.move(offset)
        try:
            return self.graph().detach().numpy()
        finally:
            self.move(None)

    def value(self) -> np.ndarray:
        return self.losses().mean()

    def examples(self) -> np.ndarray:
        return self.losses()

    def surface(self) -> np.ndarray:
        first, second = self.directions
        return np.array([[self.losses(a * first + b * second).mean() for b in BETAS] for a in ALPHAS])

    def average(self) -> np.ndarray:
        """The mean rise of each antithetic pair of noises."""
        return np.array([self.pair(self.sigma * noise) for noise in self.noises])

    def second_difference(self) -> np.ndarray:
        along = self.directions[0]
        return np.array([2 * self.pair(self.radius * along / along.norm()) / self.radius**2])

    def pair(self, move: Tensor) -> float:
        return (self.losses(move).mean() + self.losses(-move).mean()) / 2 - self.losses().mean()

    def rise(self, move: Tensor) -> float:
        return self.losses(move).mean() - self.losses().mean()

    def sam(self) -> float:
        """The rise after one step of length radius along the gradient."""
        gradient = self.gradient()
        return self.rise(gradient * (self.radius / gradient.norm()))

    # The derivatives.

    def gradient(self) -> Tensor:
        return self.gradient_at(None)

    def gradient_at(self, offset: Tensor | None) -> Tensor:
        self.move(offset)
        found = torch.autograd.grad(self.graph().mean(), self.weights, materialize_grads=True, allow_unused=True)
        self.move(None)
        return flat([part.to_dense() if part.is_sparse else part for part in found]).double()

    def hessian(self) -> Tensor:
        """H times both directions: the derivative of ⟨gradient, direction⟩."""
        grads = torch.autograd.grad(
            self.graph().mean(), self.weights, create_graph=True, materialize_grads=True, allow_unused=True
        )
        rows = []
        for direction in self.directions:
            parts = self.split(direction)
            along = sum((reals(g) * reals(p.to(g.dtype))).sum() for g, p in zip(grads, parts, strict=True))
            again = torch.autograd.grad(
                along, self.weights, retain_graph=True, materialize_grads=True, allow_unused=True
            )
            rows.append(flat(again).double())
        return torch.stack(rows)

    def hessian_by_differences(self) -> Tensor:
        step = 1e-5
        sides = [[self.gradient_at(sign * step * along) for sign in (1, -1)] for along in self.directions]
        return torch.stack([(forth - back) / (2 * step) for forth, back in sides])

    def gauss_newton(self) -> Tensor:
        """JᵀBJ times both directions: J row by row, B the loss's Hessian in all the outputs of a batch, dense."""
        totals = [torch.zeros(self.size, dtype=torch.float64) for _ in self.directions]
        count = len(self.losses())
        for batch in self.batches:
            self.case.fresh(self.model)
            output = self.case.plain(self.model, batch)
            found = leaves(output)
            shapes = [leaf.detach() for leaf in found]

            def loss(vector: Tensor, output: Any = output, batch: Any = batch, like: Any = shapes) -> Tensor:
                return self.case.score(replaced(output, unflat(vector, like)), batch).sum() / count

            rows = [entry for leaf in found for entry in reals(leaf).reshape(-1)]
            if not rows:
                continue
            jacobian = torch.stack([self.row(entry) for entry in rows])
            blocks = torch.autograd.functional.hessian(loss, flat(shapes))
            for total, direction in zip(totals, self.directions, strict=True):
                total += jacobian.T @ (blocks.double() @ (jacobian @ direction))
        return torch.stack(totals)

    def row(self, entry: Tensor) -> Tensor:
        if not entry.requires_grad:
            return torch.zeros(self.size, dtype=torch.float64)
        grads = torch.autograd.grad(entry, self.weights, retain_graph=True, materialize_grads=True, allow_unused=True)
        return flat([part.to_dense() if part.is_sparse else part for part in grads]).double()

    def remainder(self) -> Tensor:
        return self.hessian() - self.gauss_newton()

    def statistics(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Mean and unbiased variance of all that each BatchNorm sees in one pass with these layers in train mode."""
        self.model.eval()
        norms = {
            name: each for name, each in self.model.named_modules() if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d)
        }
        seen: dict[str, list[Tensor]] = {name: [] for name in norms}
        handles = []
        for name, norm in norms.items():
            norm.train()
            handles.append(norm.register_forward_pre_hook(lambda _, x, name=name: seen[name].append(x[0].detach())))
        self.graph()
        for handle in handles:
            handle.remove()
        flat_time = {name: [x.flatten(0, 1) if x.ndim > 4 else x for x in found] for name, found in seen.items()}
        rows = {name: torch.cat([x.transpose(0, 1).flatten(1) for x in each], 1) for name, each in flat_time.items()}
        return {name: (row.mean(1), row.var(1)) for name, row in rows.items()}
