"""What is told of recipes: all of them as a table, and in a checkpoint the one that it was made with."""

from pathlib import Path

from ...train.flags import Config
from ..recipe import resolved, settings, timeline
from . import Published, Recipe, flag, load, names


def record(config: Config) -> dict[str, str | None]:
    """What a checkpoint says of its recipe: the name, and the settings that differ from it."""
    if config.recipe is None:
        return {"recipe": None, "recipe_changes": None}
    recipe = load(config.recipe)
    before = settings(resolved(recipe.config(config.out, device=config.device)))
    changed = {key: value for key, value in settings(config).items() if before[key] != value}
    changed.pop("method", None)  # a label, which changes nothing
    if changed.get("seed") in recipe.seeds:
        del changed["seed"]
    return {"recipe": config.recipe, "recipe_changes": ", ".join(f"{key}={value}" for key, value in changed.items())}


def table() -> str:
    """All recipes, a row for every published number; a star marks those of which something is guessed."""
    heads = ("recipe", "further flags", "network", "data", "T", "epochs", "loss", "paper's accuracy, %", "where")
    rows = [heads, *(_row(recipe, row) for recipe in map(load, names()) for row in recipe.published)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "* parts of it are guesses: see [guessed] in its file, in the folder models/recipes"])


def _row(recipe: Recipe, row: Published) -> tuple[str, ...]:
    made = resolved(recipe.config(Path(), **row.flags))
    phases = timeline(made)
    spread = "" if row.spread is None else f" ± {row.spread:.2f}"
    return (
        recipe.name + "*" * bool(recipe.guessed),
        " ".join(word for item in row.flags.items() for word in flag(*item)),
        str(made.model),
        made.data,
        "→".join(dict.fromkeys(str(phase.timesteps) for phase in phases)),
        "+".join(str(phase.epochs) for phase in phases),
        "→".join(dict.fromkeys(phase.loss.upper() for phase in phases)),
        "not published" if row.accuracy is None else f"{row.accuracy:.2f}{spread}",
        row.where,
    )
