"""The sampling error of a surface as a field: its mean square over the grid, and how far that may be exceeded."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float

from .bounds import CONFIDENCE, field_quantile
from .levels import Levels

_MOST = 150  # places of the grid that stand for all


def variance(values: Float[np.ndarray, "... example"]) -> Float[np.ndarray, "..."]:
    """Over examples, unbiased; 0 for one, which is then all there are."""
    apart = np.square(values - values.mean(-1, keepdims=True)).sum(-1)
    found: np.ndarray = apart / max(values.shape[-1] - 1, 1)
    return found


class Field:
    """Of :class:`~landscape.surfaces.levels.Levels`, with any numbers of examples.

    A variance from n examples is itself known to about 1/√(2n), and stopping favours small ones: all are raised by it.
    """

    def __init__(self, levels: Levels):
        self.levels = levels
        places = np.unique(np.linspace(0, len(levels.places) - 1, _MOST).round().astype(int))
        parts = levels.contributions(places)
        raised = 1 + (2 * parts[0].shape[-1]) ** -0.5
        self._parts = [raised * (part - part.mean(-1, keepdims=True)) for part in parts]

    @cached_property
    def variances(self) -> Float[np.ndarray, "level metric"]:
        """Mean over places of Var T_k."""
        return np.array([variance(part).mean(0) for part in self._parts])

    def mean(self, counts: Sequence[int]) -> Float[np.ndarray, " metric"]:
        """The expected mean square."""
        return np.array(self.levels.weights(counts)) @ self.variances

    def quantiles(self, counts: Sequence[int]) -> Float[np.ndarray, " metric"]:
        """By what the mean square may exceed that, with 95 % confidence."""
        roots = np.sqrt(self.levels.weights(counts))
        factors = np.concatenate([root * part for root, part in zip(roots, self._parts, strict=True)], axis=-1)
        return np.array([field_quantile(factors[:, metric], CONFIDENCE) for metric in range(factors.shape[1])])

    def error(self, counts: Sequence[int]) -> Float[np.ndarray, " metric"]:
        """The mean square that is exceeded with 5 %."""
        return self.mean(counts) * self.quantiles(counts)
