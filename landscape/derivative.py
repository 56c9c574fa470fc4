"""Derivatives through a graph that must itself have come from differentiable backward passes, or a reason why not."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .memory import exhausted


def derivative(
    outputs: Sequence[Tensor | None],
    inputs: Sequence[Tensor],
    cotangents: Sequence[Tensor | None] | None,
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> Sequence[Tensor | None]:
    """Σ cotangent · ∂output/∂input over the outputs that have a graph; None where an input has no part in them."""
    pairs = zip(outputs, cotangents or [None] * len(outputs), strict=True)
    live = [(output, cotangent) for output, cotangent in pairs if output is not None and output.requires_grad]
    found: Sequence[Tensor | None] = ()
    try:
        if live:
            found = torch.autograd.grad(
                [output for output, _ in live],
                inputs,
                [cotangent for _, cotangent in live],
                create_graph=create_graph,
                retain_graph=retain_graph or create_graph,
                allow_unused=True,
            )
    except RuntimeError as error:
        if exhausted(error):
            raise
        raise ValueError(
            f"the gradient can't be differentiated again: {str(error).splitlines()[0]}. Likely a layer whose backward "
            "is first-order only (once_differentiable, a fused kernel, torch.compile, a cuDNN RNN): use its "
            "differentiable version"
        ) from error
    if all(part is None for part in found):
        raise ValueError(
            "the gradient does not depend on the weights: either the loss is linear in them and its curvature zero, or "
            "a layer's backward is first-order only: use its differentiable version"
        )
    return found
