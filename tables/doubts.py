"""The reasons to doubt a row of a comparison, as table compare has them in column trust; letters stand for them."""

LETTERS = {
    "n": "fewer than three seeds",
    "0": "interval contains zero",
    "m": "one of many rows: not below 5 % after Holm's adjustment",
    "s": "no spread",
    "c": "not converged",
    "r": "changes when weights are rescaled",
    "a": "training accuracies differ",
    "l": "training losses differ",
    "b": "undisturbed accuracies differ",
    "u": "training loss asked for not reached",
    "i": "numbers of examples differ",
    "f": "not finite",
    "x": "not so with logits at one scale",
    "o": "other settings differ too",
    "t": "a table was changed since it was written",
    "d": "tables are of different contents of a checkpoint",
}
APART = tuple(LETTERS[letter] for letter in "aluoitd")
"""Doubts about whether two sides may be compared at all."""
