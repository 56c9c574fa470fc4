"""Derivatives through a graph that must itself have come from differentiable backward passes, or a reason why not."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..evaluation import described, leaves, mapped
from ..refusal import Refusal, exhausted
from .parameters import Parameters


@contextmanager
def twice_differentiable(model: nn.Module, device: torch.device) -> Iterator[None]:
    """In here, layers that have a fast kernel without second derivatives take their plain one.

    Attention computes by the math kernel, recurrent layers without cuDNN, embeddings give dense gradients. The model's
    attributes are set for that: call it inside :func:`~landscape.evaluation.preserved`.
    """
    recurrent = device.type == "cuda" and any(isinstance(module, nn.RNNBase) for module in model.modules())
    for module in model.modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            module.sparse = False
    with (
        sdpa_kernel(SDPBackend.MATH),
        torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled and not recurrent),
    ):
        yield


def cut(output: Any) -> tuple[list[Tensor], list[Tensor], Any]:
    """The tensors in a model's output that have a gradient, leaves in their place, and the output made of the latter.

    A loss may write to that output. Raises ValueError where there is no such tensor, or it can't be replaced.
    """
    outputs = [leaf for leaf in leaves(output) if isinstance(leaf, Tensor) and leaf.requires_grad]
    ends = {id(leaf): leaf.detach().requires_grad_() for leaf in outputs}
    whole = mapped(output, lambda leaf: ends[id(leaf)].clone() if id(leaf) in ends else leaf)
    if not outputs or whole is output:
        raise Refusal(
            f"this matrix needs the model's output, and finds no tensor with a gradient in {described(output)}: let "
            "forward= return a tensor, or tensors in tuples, lists or mappings"
        )
    return outputs, list(ends.values()), whole


def derivative(
    outputs: Sequence[Tensor | None],
    inputs: Sequence[Tensor],
    cotangents: Sequence[Tensor | None] | None,
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> Sequence[Tensor | None]:
    """Σ cotangent · ∂output/∂input over the outputs that have a graph; None where an input has no part in them.

    A cotangent of None counts as zero; without any, outputs are scalars and all count 1.
    """
    pairs = zip(outputs, cotangents or [None] * len(outputs), strict=True)
    live = [
        (output, cotangent)
        for output, cotangent in pairs
        if output is not None and output.requires_grad and (cotangent is not None or not cotangents)
    ]
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
        raise Refusal(
            f"the gradient can't be differentiated again: {str(error).splitlines()[0]}. Likely a layer whose backward "
            "is first-order only (once_differentiable, a fused kernel, torch.compile, a cuDNN RNN): use its "
            "differentiable version. Or a tensor that the model keeps, graph and all, from batch to batch: clear it by "
            "reset="
        ) from error
    if all(part is None for part in found):
        raise Refusal(
            "the gradient does not depend on the weights: either the loss is linear in them and its curvature zero, or "
            "a layer's backward is first-order only: use its differentiable version"
        )
    return found


def check_hooks(parameters: Parameters) -> None:
    """Raise ValueError for a weight with a hook on its gradient."""
    for name, weight in zip(parameters.names, parameters.tensors, strict=True):
        if any(not _is_norses(hook) for hook in (weight._backward_hooks or {}).values()):
            raise Refusal(
                f"weight {name!r} has a hook on its gradient (clipping, masking, logging), which may change it: remove "
                "the hook while the landscape is measured"
            )


def _is_norses(hook: object) -> bool:
    """Norse's recurrent layers keep the diagonal of their weights at zero: those entries do not move."""
    return str(getattr(hook, "__module__", "")).startswith("norse.")
