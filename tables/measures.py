"""Every measure: one number of a checkpoint that a comparison compares, with an id that never changes.

``id`` is the family's name with what it was asked with in brackets: ``average_rise[0.05]``. Tables are joined by it;
``title`` is for readers and may be reworded at any time. ``side`` is what the measure is about, ``better`` which values
are the flatter, the more robust, the better ones ("" where neither is). ``invariance`` says whether the value would
change if the weights before a BatchNorm were rescaled, which leaves the network's function alone: two minima that
differ in a measure that "changes" may differ in nothing but the scale of their weights (Dinh, Pascanu, Bengio, Bengio
2017). It is empty where the measure is of predictions, not of the minimum.

A new measure: an entry here, and where its numbers come from in :mod:`analysis.compare.measures` (and the analysis that
computes it, where no table has it yet).
"""

from dataclasses import dataclass

INVARIANT, CHANGES = "invariant", "changes"
OPERATORS = {"hessian": "formal Hessian", "gauss_newton": "Gauss-Newton"}


@dataclass(frozen=True)
class Measure:
    """One measure, or the family of those that differ in what they were asked with ({0}, {1} … in the title)."""

    id: str
    title: str
    unit: str
    side: str = ""
    better: str = ""
    invariance: str = ""
    table: str = ""

    def asked(self, *words: str) -> "Measure":
        """The member of the family that was asked with ``words``; titles may put them otherwise than the id."""
        return self if not words else self.said(words, words)

    def said(self, words: tuple[str, ...], titled: tuple[str, ...]) -> "Measure":
        """The same, with other words for the title."""
        named = f"{self.id}[{','.join(words)}]"
        return Measure(
            named, self.title.format(*titled), self.unit, self.side, self.better, self.invariance, self.table
        )


def family(measure: str) -> str:
    """The family of an id."""
    return measure.partition("[")[0]


def _flat(name: str, title: str, unit: str, invariance: str, table: str = "sharpness") -> Measure:
    return Measure(name, title, unit, "flatness", "lower", invariance, table)


def _complex(name: str, title: str, unit: str, invariance: str, table: str = "sharpness") -> Measure:
    return Measure(name, title, unit, "complexity", "", invariance, table)


MEASURES: dict[str, Measure] = {
    one.id: one
    for one in (
        Measure("test_accuracy", "test accuracy", "1", "generalization", "higher", "", "timesteps"),
        Measure("train_accuracy", "train accuracy", "1", "generalization", "", "", "timesteps"),
        Measure("train_loss", "train loss", "loss", "generalization", "", "", "timesteps"),
        Measure("test_loss", "test loss", "loss", "generalization", "lower", "", "timesteps"),
        Measure(
            "gap_in_loss", "generalization gap in loss (test - train)", "loss", "generalization", "lower", "",
            "timesteps",
        ),
        Measure(
            "gap_in_accuracy", "generalization gap in accuracy (train - test)", "1", "generalization", "lower", "",
            "timesteps",
        ),
        Measure(
            "shifted_accuracy", "test accuracy on shifted images ({0}; severities {1})", "1", "generalization",
            "higher", "", "robustness",
        ),
        Measure(
            "shifted_loss", "test loss on shifted images ({0}; severities {1})", "loss", "generalization", "lower", "",
            "robustness",
        ),
        Measure("test_accuracy_at_1", "test accuracy at T = 1", "1", "generalization", "higher", "", "timesteps"),
        _flat("top_eigenvalue", "top eigenvalue, {0}", "loss/weight²", CHANGES, "hessian"),
        _flat("top_eigenvalue_filter", "top eigenvalue, {0}, filter-normalized", "loss", INVARIANT, "hessian"),
        _flat("trace", "trace, {0}", "loss/weight²", CHANGES, "trace"),
        _flat("trace_filter", "trace, {0}, filter-normalized", "loss", INVARIANT, "trace"),
        _flat("rise_within", "mean rise within {1} on random {0}s", "loss", INVARIANT, "surface"),
        _flat("inverse_doubling_radius", "1/radius of doubled loss on random {0}s", "1", INVARIANT, "shapes"),
        _flat("inverse_half_width", "1/radius at a rise of {1} on random {0}s", "1", INVARIANT, "shapes"),
        Measure("roughness", "roughness of random {0}s", "loss", "", "", INVARIANT, "shapes"),
        Measure("persistence", "persistence on random {0}s", "loss", "", "", INVARIANT, "shapes"),
        _flat("average_rise", "average rise", "loss", INVARIANT),
        _flat("average_rise_magnitude", "average rise under magnitude-aware noise", "loss", INVARIANT),
        _flat("average_rise_absolute", "average rise under absolute noise", "loss", CHANGES),
        _flat("worst_rise", "worst rise", "loss", CHANGES),
        _flat("worst_rise_one_step", "worst rise in one step", "loss", CHANGES),
        _flat("adaptive_worst_rise", "adaptive worst rise", "loss", INVARIANT),
        _flat("adaptive_worst_rise_one_step", "adaptive worst rise in one step", "loss", INVARIANT),
        _flat("m_sharpness", "m-sharpness", "loss", INVARIANT),
        _flat("pac_bayes_sigma", "PAC-Bayes 1/σ²", "1/weight²", CHANGES),
        _flat("pac_bayes_sigma_magnitude", "PAC-Bayes 1/σ², magnitude-aware", "1", INVARIANT),
        _complex("pac_bayes_orig", "PAC-Bayes bound from 0", "1", CHANGES),
        _complex("pac_bayes_init", "PAC-Bayes bound from the start", "1", CHANGES),
        _flat("relative_flatness", "relative flatness", "loss", INVARIANT),
        _flat("fisher_rao", "Fisher-Rao", "loss", INVARIANT),
        _complex("fisher_rao_empirical", "Fisher-Rao, empirical", "loss²", INVARIANT),
        _complex("norm", "{0}", "weight²", CHANGES, "norms"),
        Measure(
            "rise_at_one_scale", "rise at {1} on {0}, logits at one scale", "loss", "scale-free", "lower", INVARIANT,
            "rise",
        ),
        Measure("logit_scale", "root mean square of logits", "1", "confidence", "", "", "rise"),
        Measure("accuracy_under", "accuracy under {0} {1}", "1", "robustness", "higher", INVARIANT, "robustness"),
        Measure("accuracy_lost", "accuracy lost to {0} {1}", "1", "robustness", "lower", INVARIANT, "robustness"),
        Measure("loss_rise", "rise of loss under {0} {1}", "loss", "robustness", "lower", INVARIANT, "robustness"),
        Measure("gradient_norm", "gradient norm", "loss/weight", "dynamics", "", CHANGES, "momentum"),
        Measure("coherence", "coherence of gradients", "1", "dynamics", "", CHANGES, "momentum"),
        Measure("descent_ratio", "descent ratio at relative step {0}", "1", "dynamics", "", CHANGES, "descent"),
        Measure("energy", "energy", "J/example", "cost", "lower", "", "energy"),
    )
}  # fmt: skip

SHIFTS = ("gaussian_noise", "defocus_blur", "contrast", "brightness", "pixelate", "translation")
"""Column perturbation of table robustness, where images come shifted."""

NORMS = {
    "param_norm": "squared norm of the weights",
    "sum_of_fro": "product of the layers' Frobenius norms",
    "sum_of_spec": "product of the layers' spectral norms",
    "fro_over_spec": "stable rank, summed over layers",
    "fro_dist": "squared distance from the start",
    "dist_spec_init": "squared spectral distance from the start, summed over layers",
    "filter_turn": "turn of the filters since the start",
}
"""Column norm of table norms, in words; formulas are in :mod:`landscape.sharpness.norms`."""

SHARPNESS = {
    "average": "average_rise",
    "average_magnitude": "average_rise_magnitude",
    "average_absolute": "average_rise_absolute",
    "worst": "worst_rise",
    "sam": "worst_rise_one_step",
    "adaptive_worst": "adaptive_worst_rise",
    "adaptive_sam": "adaptive_worst_rise_one_step",
    **{
        name: name
        for name in (
            "m_sharpness", "pac_bayes_sigma", "pac_bayes_sigma_magnitude", "pac_bayes_orig", "pac_bayes_init",
            "relative_flatness", "fisher_rao", "fisher_rao_empirical",
        )
    },
}  # column measure of table sharpness, as a family  # fmt: skip
