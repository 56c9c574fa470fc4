"""Statistics of gradients that come batch by batch, in memory for two of them, whatever their number.

For vectors g_1 … g_K: their mean ḡ, their scatter about it, and m_K, the moving average of decay β that an optimizer's
momentum is, corrected for its start: Σ_b β^(K−b) g_b / Σ_b β^(K−b).
"""

from jaxtyping import Float
from torch import Tensor


class Stream:
    """Mean, scatter and moving average of the vectors that :meth:`add` takes; ``first`` is the first of them."""

    def __init__(self, first: Float[Tensor, " dimension"], beta: float):
        self.beta, self.count = beta, 1
        self.mean = first.clone()
        self._average = (1 - beta) * first
        self._norms, self._scatter = float(first.norm()), 0.0

    def add(self, vector: Float[Tensor, " dimension"]) -> None:
        """Take the next vector in (Welford's update: a small scatter about a large mean keeps its digits)."""
        self.count += 1
        deviation = vector - self.mean
        self.mean.add_(deviation, alpha=1 / self.count)
        self._scatter += (1 - 1 / self.count) * float(deviation @ deviation)
        self._average.mul_(self.beta).add_(vector, alpha=1 - self.beta)
        self._norms += float(vector.norm())

    @property
    def momentum(self) -> Float[Tensor, " dimension"]:
        """m_K."""
        return self._average / (1 - self.beta**self.count)

    @property
    def noise(self) -> float:
        """√mean_b ‖g_b − ḡ‖²; for the spread of a single batch multiply by √(K/(K−1))."""
        return float((self._scatter / self.count) ** 0.5)

    @property
    def coherence(self) -> float:
        """‖m_K‖ / mean_b ‖g_b‖: 1 when all agree, the null when they are noise, NaN when all are 0."""
        return float(self.momentum.norm() * self.count / self._norms)
