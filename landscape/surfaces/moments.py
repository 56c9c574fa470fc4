"""Size, mean and squared deviations of a sample, put together from those of its parts.

    mean = Σ nₖ mₖ / n,     Σ(x − mean)² = Σ_k S_k + n₁ n₂/n (m₁ − m₂)²     for two parts (Chan, Golub, LeVeque 1983)

No difference of large sums, so that the variance of nearly equal values keeps its digits.
"""

from typing import NamedTuple

from jaxtyping import Float64
from torch import Tensor


class Moments(NamedTuple):
    """``size`` values, their ``mean``, and the sum ``squares`` of their squared deviations from it.

    A value that is not finite leaves a mean of inf or nan and squares of nan.
    """

    size: int
    mean: float
    squares: float

    @classmethod
    def of(cls, values: Float64[Tensor, " example"]) -> "Moments":
        """Of the values themselves."""
        mean = values.mean()
        return cls(len(values), float(mean), float((values - mean).square().sum()))

    def with_(self, other: "Moments") -> "Moments":
        """Of these values and the ``other`` ones."""
        size = self.size + other.size
        mean = (self.size * self.mean + other.size * other.mean) / size
        between = self.size * other.size / size * (self.mean - other.mean) ** 2
        return Moments(size, mean, self.squares + other.squares + between)

    @property
    def variance(self) -> float:
        """The unbiased estimate; nan for a single value."""
        return self.squares / (self.size - 1) if self.size > 1 else float("nan")

    @property
    def stderr(self) -> float:
        """Standard error of the mean; nan for a single value."""
        return (self.variance / self.size) ** 0.5

    def stderr_of(self, population: int) -> float:
        """Standard error of the mean of the ``population`` that the values are a random part of; 0 when they are it."""
        return 0.0 if self.size == population else (self.variance * (1 / self.size - 1 / population)) ** 0.5
