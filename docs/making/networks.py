"""A page of what is there by name: networks with their sizes and arguments, data sets, recipes."""

from inspect import getdoc, signature

from models import data
from models.networks import NETWORKS, accepted, build
from models.neurons.lif import Neuron
from models.training import recipes

from . import docstrings
from .markdown import code, page, rst, table


def networks() -> str:
    """The page, made by building each network without weights."""
    neuron = [f"`{key}={value}`" for key, value in vars(Neuron()).items()]
    published = [(code(name), *_published(name)) for name in recipes.names()]
    return page(
        "# Networks, data, recipes",
        "## Networks",
        "By `--model NAME`, with arguments behind a question mark: `--model 'digits-cnn?channels=24'`. All take the "
        f"neuron's besides: {', '.join(neuron)}. Parameters are those of the arguments shown.",
        table(["name", "parameters", "arguments"], map(_row, NETWORKS)),
        "Or one of your own, `mine.py:Net?width=32`: [your own training](../howto/training.md).",
        "## Data sets",
        rst(".. py:currentmodule:: models.data", "", docstrings.text(getdoc(data) or "")),
        "## Recipes",
        "`python -m models.train --recipe NAME`: the rows of the paper's Tables 1–3 and Figure 3 as flags; `--recipe "
        "list` prints them in full.",
        table(["recipe", "seeds", "rows of the paper"], published),
        "Losses and other ways of training: [methods](../howto/methods.md).",
    )


def _row(name: str) -> tuple[str, str, str]:
    taken = signature(NETWORKS[name]).parameters
    arguments = [f"`{key}={taken[key].default}`" for key in accepted(name) if key in taken]
    size = sum(weight.numel() for weight in build(name, seed=0, device="meta").parameters())
    return code(name), f"{size:,}", ", ".join(arguments)


def _published(name: str) -> tuple[str, str]:
    recipe = recipes.load(name)
    return " ".join(map(str, recipe.seeds)), "; ".join(one.where for one in recipe.published)
