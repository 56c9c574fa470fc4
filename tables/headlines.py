"""The eight rows of a comparison that speak first, chosen beforehand, whatever the rows say.

Two on generalization, one on whether minima are comparable, three on flatness (the loss itself at a radius, the same
with logits at one scale, curvature), one on robustness, one on cost. Where a comparison lacks one, the next of the
reserves takes its place. Of several losses the first speaks.
"""

import pandas as pd

MOST = 8
_ROWS = {
    "generalizes": ("test_accuracy", "test_loss"),
    "trained alike": ("train_loss",),
    "flatter": ("average_rise[0.2]", "rise_at_one_scale[plane", "top_eigenvalue[hessian"),
    "survives": ("accuracy_under[weight_noise",),
    "costs": ("energy",),
}
_RESERVES = {
    "flatter": ("rise_within[plane", "rise_within", "trace[hessian", "average_rise", "worst_rise", "top_eigenvalue"),
    "generalizes": ("gap_in_loss", "gap_in_accuracy"),
    "trained alike": ("train_accuracy", "logit_scale"),
    "survives": ("loss_rise[", "accuracy_under"),
    "moves": ("coherence", "gradient_norm"),
}


def headlines(compare: pd.DataFrame) -> pd.DataFrame:
    """The rows of one network, data set and T that speak first, with column ``question``; up to eight a method.

    All methods have the same ones, of measures that the first compared method has.
    """
    first = compare[compare["method"] == compare["method"].iloc[0]] if len(compare) else compare
    keys = list(zip(first["measure"], first["loss"], strict=True))
    chosen: dict[tuple[str, str], str] = {}
    for rows in (_ROWS, _RESERVES):
        for question, names in rows.items():
            for name in names:
                found = next((key for key in keys if key[0].startswith(name)), None)
                if found and not any(found[0] == one for one, _ in chosen) and len(chosen) < MOST:
                    chosen[found] = question
    questions = list(dict.fromkeys([*_ROWS, *_RESERVES]))
    order = {key: place for place, key in enumerate(sorted(chosen, key=lambda key: questions.index(chosen[key])))}
    own = [order.get(key, -1) for key in zip(compare["measure"], compare["loss"], strict=True)]
    picked = compare.assign(place=own)
    picked = picked[picked["place"] >= 0].sort_values("place", kind="stable")
    named = [chosen[key] for key in zip(picked["measure"], picked["loss"], strict=True)]
    return picked.assign(question=named).drop(columns="place")
