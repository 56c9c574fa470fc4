"""Sharpness-aware steps: the gradient is taken at the weights moved uphill, and moves the weights where they were.

With g the gradient of the batch's loss, and T the diagonal |w| + η at parameters called weight, 1 at others::

    SAM     ε = ρ g / ‖g‖                w ← step of the optimizer by the gradient at w + ε
    ASAM    ε = ρ T² g / ‖T g‖           the same

ε maximizes the loss to first order among ‖ε‖ ≤ ρ, of ASAM among ‖T⁻¹ε‖ ≤ ρ, so that rescaling a weight rescales its ε.
A step costs two. Each batch is moved for as a whole, also where it goes through the network in pieces or is shared by
processes: ρ is not that of smaller batches. BatchNorm's running statistics are those of the first pass: what the second
does to buffers is undone. No state is kept from step to step.

A momentum that is recorded (``--record-momentum``) is of the gradients at w + ε, and the gradient by timestep beside it
is at w.

Sources: Foret, Kleiner, Mobahi, Neyshabur, "Sharpness-Aware Minimization for Efficiently Improving Generalization",
ICLR 2021; Kwon, Kim, Park, Choi, "ASAM: Adaptive Sharpness-Aware Minimization for Scale-Invariant Learning of Deep
Neural Networks", ICML 2021, and its code, from which are η = 0.01 and which parameters are scaled.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class SharpnessAware:
    """Moves ``network``'s weights uphill by ``rho``; ``adaptive`` is ASAM with its ``eta``."""

    network: nn.Module
    rho: float
    adaptive: bool = False
    eta: float = 0.01

    @contextmanager
    def uphill(self) -> Iterator[None]:
        """In the block the weights are at w + ε, by the gradients that they hold; behind it at w again, to the bit.

        Buffers too are behind the block as they were before it; gradients are the block's.
        """
        with torch.no_grad():
            before = {weight: weight.clone() for weight, *_ in self._graded()}
            buffers = [(buffer, buffer.clone()) for buffer in self.network.buffers()]
            for weight, move in zip(before, self._moves(), strict=True):
                weight.add_(move)
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, value in (*before.items(), *buffers):
                    tensor.copy_(value)

    def _graded(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Each weight that holds a gradient, that gradient, and the weight's T."""
        return [
            (weight, weight.grad, weight.abs() + self.eta if self._scales(name) else weight.new_ones(()))
            for name, weight in self.network.named_parameters()
            if weight.grad is not None
        ]

    def _scales(self, name: str) -> bool:
        return self.adaptive and "weight" in name

    def _moves(self) -> list[Tensor]:
        """ε, weight by weight; zero where the gradient is."""
        scaled = [(size * gradient, size) for _, gradient, size in self._graded()]
        norm = torch.stack([each.norm() for each, _ in scaled]).norm()
        factor = torch.where(norm > 0, self.rho / norm, 0.0)
        return [factor * size * each for each, size in scaled]
