"""What every table holds: its columns, which rows must be equally many, and the command that writes it.

Writing is checked by it (:mod:`tables.result`), reading too (:mod:`tables.reading`), docs are made from it (``python -m
tables.schema``), and the tests' made-up tables. A table may lack the columns called ``later``: earlier versions wrote
none, or a flag asks for them. Others must be there. A column that isn't listed may not be written.

Rows are *even*: those of one kind (``apart`` parts them) are equally many in all checkpoints of a network and in all
that ``repeat`` within one, so that a file that was cut off is noticed. Where a row is an image they are *numbered*
instead, from 0 without a hole: how many images there are is each network's own.
"""

import sys
from dataclasses import dataclass, replace

import pandas as pd

from .columns import COLUMNS, Column

IDENTITY = ("checkpoint", "network", "data", "method", "training", "seed")
TWIN = "-relu"  # behind the name of a network: its twin without spikes


@dataclass(frozen=True)
class Table:
    """One table: ``columns`` in their order, and whether there may be ``more`` that nobody here knows.

    ``losses``: whether there may be a column ``loss_NAME``, or ``loss_NAME_stderr``, of a subject's own loss.
    ``numbered``: the column that counts the rows of each checkpoint and split.
    """

    name: str
    command: str
    about: str
    columns: tuple[Column, ...]
    later: frozenset[str]
    even: tuple[tuple[str, ...], tuple[str, ...]] | None
    more: bool = False
    losses: bool = False
    numbered: str = ""

    def __getitem__(self, name: str) -> Column:
        """The column of that name; KeyError for none."""
        return {column.name: column for column in self.columns}[name]

    def of(self, *kinds: str) -> tuple[str, ...]:
        """Names of the columns of these kinds."""
        return tuple(column.name for column in self.columns if column.kind in kinds)

    def knows(self, name: str) -> bool:
        """Whether there may be a column of that name."""
        own = self.losses and name.startswith("loss_")
        return self.more or own or any(name == column.name for column in self.columns)

    @property
    def needed(self) -> tuple[str, ...]:
        """Names of the columns that must be there."""
        return tuple(column.name for column in self.columns if column.name not in self.later)


def _table(
    name: str, command: str, about: str, columns: str, even: str | None = None, *, measured: bool = True
) -> Table:
    """A table from words: ``NAME`` of a column, ``NAME?`` of one that may lack, ``NAME:KIND`` of another kind."""
    found, later = [], {"method"} if measured else set()
    for word in [*(IDENTITY if measured else ()), *columns.split()]:
        word, _, kind = word.partition(":")
        column = COLUMNS[word.rstrip("?")]
        later |= {column.name} if word.endswith("?") else set()
        found.append(replace(column, kind=kind) if kind else column)
    apart, _, repeat = (even or "").partition("|")
    both = (tuple(apart.split()), tuple(repeat.split())) if even is not None else None
    return Table(name, command, about, tuple(found), frozenset(later), both)


_STEP = "gradient_norm gain? cosine_to_total? share?"
_MATRIX = "loss operator coordinates?"
_SURFACE = "loss split directions? axes_loss? kind draw"
_PLACE = "network data timesteps?:text within?"
_COMPARED = f"{_PLACE} measure title loss:text"
_AGAINST = "network data timesteps?:text gap among measure title loss:text side? control"
_ENDS = "other:word other_method? other_training other_seed? kind fitted statistics split images loss"

SCHEMA: dict[str, Table] = {
    table.name: table
    for table in (
        _table(
            "history", "history", "losses and accuracy after each epoch, and what the run was asked",
            "epoch train_loss_sdt train_loss_tet test_loss_sdt test_loss_tet train_accuracy test_accuracy "
            "learning_rate? train_loss? test_loss? "
            "seconds? mse_weight? train_images? augmented?",
        ),
        replace(
            _table(
                "settings", "history", "how each network was trained",
                "optimizer?:text learning_rate? momentum? weight_decay? batch_size? accumulate? epochs? epochs_done? "
                "phases?:text until_loss? until_loss_of?:text until_loss_reached? mse_weight? mse_target? "
                "label_smoothing? train_images? split_seed? vary_data? random_labels? augmented?:maybe image_size? "
                "cut?:text binary_frames? split?:text timesteps?:number spiking? norm?:text decay? threshold? "
                "surrogate? width? detach_reset? parameters? precision? evaluate_train? "
                "evaluate_every? recipe? recipe_changes?",
            ),
            more=True,
        ),
        replace(
            _table("runs", "sweep", "what became of each network of a sweep, and its factors", "status reason seconds"),
            more=True,
        ),
        _table(
            "hessian", "hessian", "outermost eigenvalues",
            f"{_MATRIX} split? images? rank eigenvalue residual? relative_residual? converged products? symmetry? "
            "gradient_overlap?",
            "operator coordinates|loss",
        ),
        _table(
            "trace", "hessian", "the trace",
            f"{_MATRIX} trace stderr? probes? products? converged? estimator?", "operator coordinates|loss",
        ),
        _table("density", "hessian", "the spectral density", f"{_MATRIX} probe node weight complete?"),
        _table(
            "radius", "hessian", "second differences of the true loss at stated radii",
            "loss direction draw radius relative_radius second_difference second_difference_stderr? mean_rise? "
            "mean_rise_stderr? participation? formal",
            "direction|loss",
        ),
        _table(
            "smoothed", "hessian", "curvature of the Gaussian-smoothed loss",
            "loss radius relative_radius value stderr examples_stderr? participation? decided? draws formal "
            "formal_stderr?",
        ),
        _table(
            "layers", "hessian", "curvature of each layer's block",
            f"{_MATRIX} layer weights? top_eigenvalue residual? converged products? trace stderr? share?",
            "operator coordinates|loss",
        ),
        _table(
            "steps", "hessian", "curvature of each timestep's part of the loss",
            f"{_MATRIX} timestep top_eigenvalue residual? converged products? trace stderr? share?",
            "operator coordinates|checkpoint",
        ),
        _table(
            "surface", "surface", "the loss on lines and planes through the weights",
            f"{_SURFACE} alpha beta value stderr? rise_stderr? sampling_stderr? accuracy accuracy_stderr? images? "
            "interpolated?",
            "kind directions axes_loss|loss split draw",
        ),
        _table(
            "surface_errors", "surface", "how far surfaces of few points and images may be off",
            f"{_SURFACE} tolerance range points evaluated images held_out seen largest sampling_stderr error converged "
            "accuracy_range accuracy_error accuracy_converged",
            "kind directions axes_loss|loss split draw",
        ),
        _table(
            "surface_path", "surface", "snapshots of training on those planes",
            "directions? axes_loss? draw? kind epoch alpha beta distance off_plane",
        ),
        _table(
            "surface_axes", "surface", "the directions of those surfaces",
            "directions axes_loss draw axis norm?:number low? high? axes_seed?:number kind explained?",
        ),
        _table(
            "shapes", "surface", "each surface in a few numbers",
            f"{_SURFACE} centre? doubling_radius doubling_reached? rise half_width half_width_reached? radius? "
            "mean_rise? "
            "roughness minima? significant_minima? persistence threshold? infinite? images?",
            "kind directions axes_loss|loss split draw",
        ),
        _table(
            "minima", "surface", "the local minima of each surface, and how they merge",
            f"{_SURFACE} minimum birth death persistence parent alpha beta saddle_alpha saddle_beta",
        ),
        _table(
            "sharpness", "sharpness", "rises of the loss when weights are moved",
            "loss split images? measure radius? setting? value stderr? over? draws? converged? rescaling?",
            "measure setting|loss",
        ),
        _table(
            "rise", "rise", "the loss's rise against the radius, with logits as they are and at one scale",
            "loss logits split along draw radius rise stderr? images value rms? rms_moved?",
            "along logits|loss split draw",
        ),
        _table("norms", "sharpness", "norms of the weights", "norm value rescaling remark?", "norm|"),
        _table(
            "robustness", "robustness", "accuracy and loss under perturbations",
            "split perturbation strength loss value stderr? images_stderr? accuracy accuracy_stderr "
            "accuracy_images_stderr? "
            "draws images",
            "|split loss",
        ),
        replace(_table(
            "timesteps", "timesteps", "accuracy, losses, confidence against T",
            "split frames? statistics? timesteps trained_timesteps images accuracy_cumulative "
            "accuracy_cumulative_stderr? "
            "accuracy_at_step accuracy_at_step_stderr? loss_sdt? loss_sdt_stderr? loss_tet? loss_tet_stderr? "
            "loss_at_step? loss_at_step_stderr? confidence? confidence_stderr? agreement_cumulative? "
            "agreement_cumulative_stderr? agreement_at_step? agreement_at_step_stderr? settling? settling_stderr? ece? "
            "ece_stderr? ece_null? bins?",
            "trained_timesteps frames statistics|split",
        ), losses=True),
        _table(
            "anytime", "timesteps", "stopping when confident",
            "split trained_timesteps limit images threshold fixed_accuracy? undecided? mean_steps "
            "mean_steps_stderr? accuracy "
            "accuracy_stderr? gain gain_stderr?",
            "trained_timesteps|split",
        ),
        replace(_table(
            "outcomes", "timesteps", "what became of each image at the T trained with",
            "split image correct loss_sdt? loss_tet?",
        ), losses=True, numbered="image"),
        _table(
            "energy", "energy", "operations and joules, layer by layer",
            "split timesteps trained_timesteps? layer kind? neurons? spikes? firing_rate? additions? multiplications? "
            "updates? joules joules_stderr? joules_by_rate? joules_by_rate_stderr? window?:number "
            "twin_joules? share?:number accuracy accuracy_stderr? images",
            "trained_timesteps|timesteps",
        ),
        _table(
            "momentum", "momentum", "gradients by timestep over batches",
            "loss timestep error_norm gradient_norm gain cosine_to_total share noise? coherence coherence_null "
            "coherence_null_sampled? batches beta?:number batch_size? images?",
            "checkpoint|loss",
        ),
        _table(
            "momentum_pairs", "momentum", "cosines between timesteps", "loss timestep other:whole cosine",
            "checkpoint|loss",
        ),
        _table(
            "momentum_layers", "momentum", "the same by layer",
            f"loss layer timestep error_norm? {_STEP} noise? coherence coherence_null "
            "coherence_null_sampled? batches? beta?:number batch_size? images?",
            "checkpoint|loss layer",
        ),
        _table(
            "momentum_pairs_layers", "momentum", "cosines between timesteps by layer",
            "loss layer timestep other:whole cosine", "checkpoint|loss layer",
        ),
        _table(
            "descent", "momentum", "decrease promised and delivered",
            "loss direction step?:number relative_step predicted? realised? ratio stderr?", "checkpoint|loss",
        ),
        _table(
            "descent_layers", "momentum", "the same by layer",
            "loss layer direction step?:number relative_step predicted? realised? ratio stderr?",
            "checkpoint|loss layer",
        ),
        _table(
            "momentum_steps", "momentum", "what momentum keeps, step by step on from the checkpoint",
            f"loss optimizer? state step learning_rate? timestep error_norm? {_STEP} cosine_to_momentum kept kept_null "
            "predicted realised momentum_norm? batch_size?",
            "checkpoint|loss",
        ),
        replace(_table(
            "switch", "momentum", "losses and accuracy on from the checkpoint, with each loss",
            "loss step split images loss_sdt? loss_tet? accuracy distance? relative_distance", "checkpoint|loss split",
        ), losses=True),
        _table(
            "momentum_history", "history", "what momentum keeps in the course of training",
            f"epoch loss timestep images error_norm {_STEP} cosine_to_momentum momentum_norm? kept kept_null "
            "kept_null_low? steps?",
            "checkpoint|timestep",
        ),
        _table(
            "stability", "stability", "curvature along training, beside the optimizer's limit",
            "epoch optimizer loss matrix top_eigenvalue residual? converged? participation? products? warm? limit "
            "learning_rate? training_loss? curvature",
            "optimizer epoch|loss",
        ),
        _table(
            "path", "path", "losses and accuracy between two checkpoints",
            f"{_ENDS} t distance? value stderr excess? excess_stderr? accuracy accuracy_stderr",
            "checkpoint|other kind fitted split loss",
        ),
        _table(
            "barrier", "path", "the barriers on those paths",
            f"{_ENDS} barrier stderr crossed? position? start? end? accuracy_drop? accuracy_drop_stderr?",
            "checkpoint|other split",
        ),
        _table(
            "bezier", "path", "how the curves were trained",
            "other:word other_method? other_training other_seed? fitted steps learning_rate batch_size line_loss "
            "curve_loss line_gradient curve_gradient converged stretch",
        ),
        _table(
            "measures", "compare", "one number for every checkpoint, measure and loss",
            "timesteps?:text measure title loss:text unit side better rescaling:text value converged images:text",
        ),
        _table(
            "compare", "compare", "each method beside the reference, measure by measure",
            f"{_COMPARED} side unit images:text reference method reference_mean method_mean twin_mean? difference "
            "low high "
            "p p_adjusted effect effect_kind n paired spread? sampling_error? better flatter more_robust trust",
            measured=False,
        ),
        _table(
            "counts", "compare", "how many rows name a side, with the chance of so many",
            f"{_PLACE} reference method side rows reference_rows method_rows p_reference p_method "
            "percentile independent how headline loss:text",
            measured=False,
        ),
        _table(
            "rise_curves", "compare", "each method's rise beside the reference's, radius by radius",
            f"{_PLACE} loss split along logits reference method radius reference_mean method_mean "
            "difference low high n flatter",
            measured=False,
        ),
        _table(
            "crossovers", "compare", "at which radius which one is flatter, and whether that depends on confidence",
            f"{_PLACE} loss split along logits reference method crossover crossover_low "
            "crossover_high certain:maybe verdict depends_on_scale beyond?:number n trust?",
            measured=False,
        ),
        _table(
            "correlation", "compare", "measures set against gaps, over checkpoints",
            f"{_COMPARED} gap among tau low high interval? p? p_adjusted? n seeds?", measured=False,
        ),
        _table(
            "generalization", "generalization", "how well each measure orders a sweep's networks as their gaps do",
            f"{_AGAINST} given tau low high interval? p? p_adjusted? granulated? granulated_low? granulated_high? "
            "information? information_low? information_high? information_chance? held? sign_error? sign_error_low? "
            "sign_error_high? worst_error? environment? environments? environments_left_out? weighting?:text n seeds? "
            "combinations? missing? diverged?",
            measured=False,
        ),
        _table(
            "controls", "controls", "what each control says of each measure",
            "network data method measure title loss:text side control:word level verdict value unit low high n p? why?",
            measured=False,
        ),
        _table(
            "psi", "generalization", "the same where one factor differs",
            f"{_AGAINST} factor psi low high interval? contexts? pairs?", measured=False,
        ),
        _table(
            "information", "generalization", "what each measure's order tells of the gap's, given factors",
            f"{_AGAINST} held information low high", measured=False,
        ),
        _table(
            "sign_errors", "generalization", "each measure's sign error in each environment",
            f"{_AGAINST} factor level other_level fixed? sign_error effective? pairs? weighting?", measured=False,
        ),
    )
}  # fmt: skip


def columns_of(table: str) -> list[str]:
    """The columns of a table, in their order."""
    return [column.name for column in SCHEMA[table].columns]


def checked(name: str, frame: pd.DataFrame) -> None:
    """Raise ValueError where ``frame`` can't be the table ``name``: a column that is unknown, or one that lacks.

    Tables that nobody here knows are their author's own.
    """
    if name not in SCHEMA or frame.empty:
        return
    unknown = [str(column) for column in frame if not SCHEMA[name].knows(str(column))]
    missing = [column for column in SCHEMA[name].needed if column not in frame]
    if unknown:
        raise ValueError(f"table {name} has the unknown column {unknown[0]}: its columns are in tables.schema")
    if missing:
        raise ValueError(f"table {name} lacks {', '.join(missing)}: its columns are in tables.schema")


def page_of(table: Table, heading: str = "##") -> str:
    """The reference of one table, as Markdown, below a ``heading`` of that many signs."""
    about = table.about[:1].upper() + table.about[1:]
    lines = ["| column | kind | unit | |", "|---|---|---|---|"]
    if table.losses:
        lines.append("| loss_NAME (may lack) | number | loss | a loss of a subject's own; beside it its _stderr |")
    for column in table.columns:
        name = column.name + (" (may lack)" if column.name in table.later else "")
        words = f" ({', '.join(column.words)})" if column.words else ""
        lines.append(f"| {name} | {column.kind} | {column.unit} | {column.about}{words} |")
    said = f"{about}, by `python -m analysis.{table.command}`."
    return "\n\n".join([f"{heading} {table.name}.csv", said, "\n".join(lines)])


def pages() -> str:
    """The reference of all tables, as Markdown."""
    parts = ["# Tables", "One observation a row. Beside NAME.csv lies NAME.json, which says where it comes from."]
    return "\n\n".join([*parts, *map(page_of, SCHEMA.values())]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(pages())
