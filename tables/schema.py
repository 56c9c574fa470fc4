"""The columns of every table that pictures are made of, and which of its rows must be equally many.

Columns that no picture uses may be there too.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Layout:
    """The columns of one table: ``words``, ``numbers``, and ``flags`` (true, false or empty).

    Words in ``blank`` may be empty; numbers in ``optional`` may have no column; ``losses`` what column loss may say.
    """

    words: tuple[str, ...]
    numbers: tuple[str, ...]
    flags: tuple[str, ...] = ()
    blank: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    losses: tuple[str, ...] = ("sdt", "tet", "")

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that must be there, words first."""
        return (*self.words, *self.blank, *self.numbers, *self.flags)


def _run(words: str, numbers: str, flags: str = "", optional: str = "") -> Layout:
    """A table with a row per measurement of a checkpoint: the common columns, and its own."""
    common = ("checkpoint", "network", "data", "training")
    own = ("seed", *numbers.split())
    return Layout((*common, *words.split()), own, tuple(flags.split()), optional=tuple(optional.split()))


TABLES = {
    "history": _run(
        "",
        "epoch train_loss_sdt train_loss_tet test_loss_sdt test_loss_tet train_accuracy test_accuracy",
        optional="mse_weight train_images augmented",
    ),
    "hessian": _run("loss operator", "rank eigenvalue", "converged"),
    "density": _run("loss operator", "probe node weight"),
    "radius": _run("loss direction", "draw radius relative_radius second_difference formal"),
    "surface": _run("loss split kind", "draw alpha beta value accuracy", optional="stderr rise_stderr images"),
    "surface_path": _run("kind", "epoch alpha beta distance off_plane"),
    "surface_axes": _run("directions axes_loss kind", "draw axis", optional="explained"),
    "momentum": _run(
        "loss", "timestep error_norm gradient_norm gain cosine_to_total share coherence coherence_null batches"
    ),
    "momentum_pairs": _run("loss", "timestep other cosine"),
    "descent": _run("loss direction", "relative_step ratio"),
    "momentum_layers": _run("loss layer", "timestep gradient_norm coherence coherence_null"),
    "descent_layers": _run("loss layer direction", "relative_step ratio"),
    "momentum_steps": _run(
        "loss state", "step timestep gradient_norm cosine_to_momentum kept kept_null realised predicted"
    ),
    "switch": _run("loss split", "step images loss_sdt loss_tet accuracy relative_distance"),
    "momentum_history": _run(
        "loss", "epoch timestep images error_norm gradient_norm cosine_to_momentum kept kept_null"
    ),
    "timesteps": _run(
        "split",
        "timesteps trained_timesteps images accuracy_cumulative accuracy_at_step",
        optional="agreement_cumulative agreement_at_step settling confidence ece ece_null bins",
    ),
    "anytime": _run("split", "threshold trained_timesteps limit images mean_steps accuracy gain"),
    "energy": _run("split layer", "timesteps images joules accuracy", optional="trained_timesteps twin_joules"),
    "stability": replace(
        _run("loss matrix optimizer curvature", "epoch top_eigenvalue limit"), losses=("sdt", "tet", "trained")
    ),
    "sharpness": _run("loss split measure", "value", optional="radius stderr"),
    "robustness": _run("split perturbation loss", "strength value accuracy accuracy_stderr draws images"),
    "layers": _run("loss operator layer", "top_eigenvalue trace", "converged"),
    "steps": _run("loss operator", "timestep top_eigenvalue trace", "converged"),
    "path": _run(
        "other other_training kind fitted statistics split loss", "t value stderr accuracy accuracy_stderr images"
    ),
    "barrier": _run("other other_training kind fitted statistics split loss", "barrier stderr images"),
    "measures": Layout(
        ("checkpoint", "network", "data", "training", "measure"), ("seed", "value"), ("flatness",), ("loss", "unit")
    ),
    "correlation": Layout(("measure", "gap", "among"), ("tau", "low", "high", "n"), (), ("loss",)),
    "compare": Layout(
        ("measure",),
        ("sdt", "tet", "difference", "low", "high", "n"),
        ("lower_is_flatter",),
        ("loss", "flatter", "trust"),
    ),
}

EVEN = {
    "hessian": (("operator", "coordinates"), ("loss",)),
    "radius": (("direction",), ("loss",)),
    "surface": (("kind", "directions", "axes_loss"), ("loss", "split", "draw")),
    "momentum": (("checkpoint",), ("loss",)),
    "momentum_pairs": (("checkpoint",), ("loss",)),
    "descent": (("checkpoint",), ("loss",)),
    "momentum_layers": (("checkpoint",), ("loss", "layer")),
    "descent_layers": (("checkpoint",), ("loss", "layer")),
    "momentum_steps": (("checkpoint",), ("loss",)),
    "switch": (("checkpoint",), ("loss", "split")),
    "momentum_history": (("checkpoint",), ("timestep",)),
    "timesteps": (("trained_timesteps", "frames", "statistics"), ("split",)),
    "anytime": (("trained_timesteps",), ("split",)),
    "energy": (("trained_timesteps",), ("timesteps",)),
    "robustness": ((), ("split", "loss")),
    "layers": (("operator", "coordinates"), ("loss",)),
    "steps": (("operator", "coordinates"), ("checkpoint",)),
    "path": (("checkpoint",), ("other", "kind", "fitted", "split", "loss")),
    "barrier": (("checkpoint",), ("other", "split")),
    "stability": (("optimizer", "epoch"), ("loss",)),
}  # what a row's kind is, and what repeats with the same number of rows within one
