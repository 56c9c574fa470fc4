"""XTrace: every random vector finds the large eigenvalues for the others and samples what they leave.

    Y = AΩ = QR,     Q_i spans Y without its column i,     μ_i = (I − Q_i Q_iᵀ) ω_i
    t_i = tr(Q_iᵀ A Q_i) + (n − m + 1)/‖μ_i‖² · μ_iᵀ A μ_i,     tr A ≈ (1/m) Σ_i t_i

(Epperly, Tropp, Webber 2024, section 2.) The m columns of Ω are uniform on the sphere of radius √n, so that μ_i has a
uniform direction in the n − m + 1 dimensions left, and each t_i is unbiased. No QR is done again: with s_i the unit
vector along column i of R⁻ᵀ, Q_i Q_iᵀ = Q (I − s_i s_iᵀ) Qᵀ, and all t_i follow from the small matrices R, H = QᵀAQ
and W = QᵀΩ. A must be symmetric.

**Random signs** for Ω leave out the factor before μ_iᵀAμ_i, and t_i is as unbiased (the paper's XTrace for isotropic
vectors). They are Hutchinson's vectors, which is what "auto" of :func:`~landscape.spectrum.trace` wants, and vary less
where much of A lies on its diagonal. But a product in the span of the others doesn't say that this is A's whole range:
there are only few patterns of signs on few coordinates. Such a probe is dropped, and those after it are from the
sphere.

**The error.** The t_i share their vectors and are correlated, so their spread over √m is too small: by a fifth on
spectra that decay, where ± 1.96 of it covers the truth in some 83 % of cases. The standard error here is the
jackknife's: XTrace anew without each vector in turn. In expectation that is never too small for such a symmetric
function of independent vectors (Efron & Stein 1981), up to going from m − 1 vectors to m. It is right for flat spectra,
1.5 to 2.5 times too large for power laws, and more where few large eigenvalues have only just been found. It costs
small matrices, m⁴ operations, and no product.
"""

import math
from collections.abc import Sequence
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..curvature import Operator, products, rademacher
from .basis import Basis


class XTrace:
    """The growing sketch of ``operator``: an orthonormal basis Q of AΩ, and R, H and W in float64.

    Keeps two vectors per probe, q and ω, on the operator's device in its dtype. A probe takes two products, one when it
    is drawn, for Y, and one when its q is curved, for H: many may be ``drawn`` before any is curved. ``whole``
    says that the basis holds A's whole range. With ``signs`` probes are random signs, ``forms`` is all ω_iᵀAω_i, of
    which Hutchinson's estimate is the mean, and one vector more is kept.
    """

    products_per_probe = 2
    method = "xtrace"

    def __init__(self, operator: Operator, generator: torch.Generator, *, signs: bool = False):
        self.operator, self.generator = operator, generator
        kind = operator.dimension, operator.dtype, operator.device
        self._probes, self._basis = Basis(*kind), Basis(*kind)
        self.drawn, self.whole = 0, False
        self.forms: list[float] = []
        self._signs, self._length = signs, None if signs else operator.dimension
        self._off_diagonal = OffDiagonal() if signs else None
        self._r = self._h = self._w = np.zeros((0, 0))

    def __len__(self) -> int:
        return self.drawn - self._waiting

    @property
    def exact(self) -> bool:
        """Whether the basis holds A's whole range, all of it curved: the estimate is the trace but for rounding."""
        return self.whole and not self._waiting

    def grow(self, count: int) -> int:
        """Add up to ``count`` probes together; the number of products made, two for each but the last."""
        made = self.draw(max(count - self._waiting, 0))
        return made + self.curve(count)

    def draw(self, count: int) -> int:
        """Put up to ``count`` probes into Y, Q, R and W; the number of products made, one for each.

        A probe from the sphere that A takes into the span of the basis says, with probability one, that the basis holds
        A's whole range, and so does a basis of all dimensions: from there on none is drawn.
        """
        signs = self._signs
        room = 0 if self.whole else self.operator.dimension - len(self._basis)
        probes = [self._probe() for _ in range(min(count, room))]
        for probe, image in zip(probes, products(self.operator, probes) if probes else (), strict=True):
            if self._off_diagonal is not None:
                self.forms.append(float(probe @ image))
                self._off_diagonal.add(probe, image)
            overlaps, norm = self._basis.cleared(image)
            if not math.isfinite(norm):
                raise ValueError(f"the product of the operator with probe {self.drawn + 1} is not finite")
            self.whole, self._signs = norm == 0 and not signs, signs and norm > 0
            self.drawn += norm > 0 or self.whole
            if norm == 0:
                break
            direction = image / norm
            rest = self._probes.overlaps(direction)
            self._basis.append(direction)
            self._probes.append(probe)
            self._r = _bordered(self._r, [*overlaps, norm], np.zeros(len(overlaps)))
            self._w = _bordered(self._w, self._basis.overlaps(probe), rest)
        self.whole = self.whole or len(self._basis) == self.operator.dimension
        return len(probes)

    def curve(self, count: int) -> int:
        """Put up to ``count`` of the q that wait into H; the number of products made."""
        begin = len(self._h)
        waiting = list(islice(self._basis, begin, begin + count))
        for curved in products(self.operator, waiting) if waiting else ():
            column = self._basis.overlaps(curved)[: len(self._h) + 1]
            self._h = _bordered(self._h, column, column[:-1])
        return len(waiting)

    @property
    def unexplained(self) -> float:
        """Σ_i ‖(I − Q_i Q_iᵀ) Aω_i‖² / m, what no other probes find, over an estimate of Σ_{j≠k} A_jk². For signs."""
        if self.whole or self._off_diagonal is None:
            return 0.0
        distances = 1 / np.linalg.norm(np.linalg.inv(self._r), axis=1)
        return float((distances**2).mean()) / max(self._off_diagonal.estimate(), 1e-300)

    @property
    def _waiting(self) -> int:
        return len(self._basis) - len(self._h)

    def _probe(self) -> Tensor:
        if self._signs:
            return rademacher(self.operator, self.generator)
        probe = torch.randn(self.operator.dimension, generator=self.generator)
        probe = probe.to(self.operator.device, self.operator.dtype)
        return probe * (self.operator.dimension**0.5 / probe.norm())

    def estimate(self) -> tuple[float, float]:
        """The trace and its standard error."""
        if self.exact:
            return float(np.trace(self._h)), 0.0
        count = len(self._h)  # without what waits: the first of both
        h, r, w = self._h, self._r[:count, :count], self._w[:count, :count]
        value = leave_one_out(r, h, w, self._length).mean()
        r, w = (np.stack([np.delete(of, column, 1) for column in range(count)]) for of in (r, w))
        basis, r = np.linalg.qr(r)
        transposed = basis.swapaxes(1, 2)
        others = leave_one_out(r, transposed @ h @ basis, transposed @ w, self._length).mean(1)
        return float(value), float(((count - 1) * others.var()) ** 0.5)


def leave_one_out(
    r: Float[np.ndarray, "*sketch probe probe"],
    h: Float[np.ndarray, "*sketch probe probe"],
    w: Float[np.ndarray, "*sketch probe probe"],
    dimension: int | None,
) -> Float[np.ndarray, "*sketch probe"]:
    """All t_i, from R, H = QᵀAQ and W = QᵀΩ for probes of length √dimension; without the factor where it is None."""
    s = np.linalg.inv(r).swapaxes(-1, -2)
    s /= np.linalg.norm(s, axis=-2, keepdims=True)
    x = w - s * (s * w).sum(-2, keepdims=True)  # μ_i = ω_i − Q x_i
    forms = (w * r - 2 * x * r + x * (h @ x)).sum(-2)
    inside = np.trace(h, axis1=-2, axis2=-1)[..., None] - (s * (h @ s)).sum(-2)
    if dimension is None:
        return inside + forms
    return inside + (dimension - r.shape[-1] + 1) / (dimension - (x**2).sum(-2)) * forms


class OffDiagonal:
    """Σ_{j≠k} A_jk² from products with isotropic vectors, unbiased.

    The mean of ‖Aω‖² is ‖A‖_F², that of (ω ∘ Aω)·(ω′ ∘ Aω′) for two vectors Σ_k A_kk².
    """

    def __init__(self) -> None:
        self.count, self._all, self._own = 0, 0.0, 0.0
        self._sum: Tensor | None = None

    def add(self, probe: Tensor, image: Tensor) -> None:
        """A vector and its product."""
        diagonal = probe * image
        self.count += 1
        self._all += float(image @ image)
        self._own += float(diagonal @ diagonal)
        self._sum = diagonal if self._sum is None else self._sum.add_(diagonal)

    def estimate(self) -> float:
        """From two vectors on; below zero by chance, where there is little off the diagonal."""
        if self._sum is None or self.count < 2:
            raise ValueError("two products at least")
        pairs = float(self._sum @ self._sum) - self._own
        return (self._all - pairs / (self.count - 1)) / self.count


def _bordered(
    matrix: np.ndarray, column: Sequence[float] | np.ndarray, row: Sequence[float] | np.ndarray
) -> np.ndarray:
    """``matrix`` with a last column, corner included, and a last row."""
    return np.column_stack([np.vstack([matrix, row]), column])
