"""What products with a symmetric matrix tell about it: eigenvalues, density, trace, diagonal, norm."""

from ..deadline import Deadline
from .density import density
from .diagonal import diagonal
from .eigenpairs import Eigenpairs, Ritz, relative, save
from .forecast import Outlook
from .frobenius import frobenius
from .lanczos import lanczos
from .trace import trace
from .wanted import Wanted

__all__ = [
    "Deadline",
    "Eigenpairs",
    "Outlook",
    "Ritz",
    "Wanted",
    "density",
    "diagonal",
    "frobenius",
    "lanczos",
    "relative",
    "save",
    "trace",
]
