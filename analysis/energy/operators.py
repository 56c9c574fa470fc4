"""Torch's operators by what they do to numbers, by name, in place or not.

What isn't here makes graded values of its arguments, and is listed as unattributed.
"""

from typing import Any


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


BORN = _names(
    "gt ge lt le eq ne sign sgn heaviside bernoulli logical_not logical_and logical_or logical_xor bitwise_and "
    "bitwise_or bitwise_not bitwise_xor isnan"
)
"""Give 0 and 1 (or −1)."""
KEPT = _names(
    "add sub cumsum cat stack copy clone _to_copy contiguous _unsafe_view _reshape_alias relu abs neg clamp clamp_min "
    "clamp_max max min amax amin maximum minimum hardtanh max_pool2d_with_indices max_pool3d_with_indices "
    "adaptive_max_pool2d adaptive_max_pool3d where index index_select index_put index_copy index_add gather scatter "
    "scatter_add slice_scatter select_scatter constant_pad_nd reflection_pad1d reflection_pad2d replication_pad1d "
    "replication_pad2d masked_fill repeat roll flip im2col upsample_nearest1d upsample_nearest2d upsample_nearest3d "
    "topk sort tril triu pixel_shuffle pixel_unshuffle unfold_copy repeat_interleave lift_fresh alias detach "
    "masked_select"
)
"""Move numbers about, choose among them or add them: whole multiples of something stay that."""
LOST = _names("round floor ceil trunc rsub zeros_like ones_like full_like rand_like randn_like fill zero argmax")
"""Give other numbers, of which nothing is known."""
POOLED = _names("avg_pool1d avg_pool2d avg_pool3d")
RESIZED = _names("_adaptive_avg_pool2d _adaptive_avg_pool3d")
MATRICES = {"mm": 0, "bmm": 0, "mv": 0, "dot": 0, "addmm": 1, "baddbmm": 1, "addbmm": 1, "addmv": 1}
"""Products of matrices, and which argument is the first of the two."""
FREE = (
    BORN
    | KEPT
    | LOST
    | POOLED
    | RESIZED
    | _names(
        "mean sum view reshape expand permute transpose t select slice split split_with_sizes unbind squeeze unsqueeze "
        "as_strided unfold diagonal empty_like new_empty new_zeros new_ones new_full new_empty_strided set resize "
        "threshold native_dropout any all _local_scalar_dense argmin argsort nonzero embedding max_pool1d isfinite "
        "equal is_nonzero uniform normal random exponential col2im bincount count_nonzero cummax cummin fmax fmin "
        "channel_shuffle native_channel_shuffle index_fill"
    )
)
"""Cost nothing here: no number is multiplied."""


def operator(func: Any) -> str:
    """The name of an operator without namespace, overload and the underscore of one in place."""
    return str(func._schema.name).rpartition("::")[2].removesuffix("_")
