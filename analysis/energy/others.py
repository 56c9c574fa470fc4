"""What is executed beside products and neurons: what costs nothing here, and what is listed as unattributed.

As in the papers whose model this is, nothing is counted for moving numbers about, adding and comparing them, for
biases and pooling, and for one factor that all share, which folds into weights; nor for what meets spikes elementwise,
which is a choice and no product. All else that makes floating-point numbers of the network's input is listed, one
operation for each number that comes out: normalisation that isn't folded, softmax, gates, activations, and fused or
foreign kernels whatever they do.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from .flow import Flow
from .operators import FREE, operator


def costs_nothing(func: Any, args: Sequence[Any], flow: Flow) -> bool:
    """Whether that operator, of these arguments, is none that is listed."""
    name = operator(func)
    if func.namespace != "aten":
        return False
    if name in ("mul", "div"):
        pair = [flow.of(each) if isinstance(each, Tensor) else None for each in args[:2]]
        numbers = [not isinstance(each, Tensor) or (each.numel() == 1 and not flow.of(each)) for each in args[:2]]
        return any(numbers) or any(each is not None and each.kind == "spikes" for each in pair)
    return name in FREE or func.is_view
