"""How exactly numbers are kept while curvature is taken from their differences.

On CUDA torch lets cuDNN round the factors of float32 convolutions to TF32, eleven significant bits of 24, unless told
otherwise. A product with a Hessian then carries three digits instead of seven. So it is off here unless asked for.
bfloat16 has eight bits: two gradients of one loss differ in their third digit, second differences of a loss vanish in
its rounding, and Lanczos vectors lose their orthogonality in every step.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def check_precision(dtype: str, *, allowed: bool) -> None:
    """Raise ValueError for a ``dtype`` of few digits that was not ``allowed``."""
    if dtype == "bfloat16" and not allowed:
        raise ValueError(
            "bfloat16 carries three digits, too few for second derivatives and differences of a loss: "
            "use float32 or float64, or accept what comes with --low-precision"
        )


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether CUDA may round the factors of float32 products to TF32; on leaving, as it was before."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
