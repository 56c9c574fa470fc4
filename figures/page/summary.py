"""What a reader asks first, answered where the tables do.

Of one method alone the questions that compare are left out, and what it did by itself is told.
"""

from dataclasses import dataclass

import pandas as pd

from tables.measures import family
from tables.reading import TableError

from ..pictures import correlation, energy, flatness, robustness, sharpness, training
from ..style.methods import loss_label
from ..words.comparison import Reading, Tables, asked, comparison
from ..words.gaps import of_row
from ..words.pairs import read
from ..words.prose import sentence
from ..words.verdicts import told


@dataclass(frozen=True)
class Question:
    """One question, the table that says which methods there are, and whether its answer is of all ``together``."""

    words: str
    reading: Reading
    table: str
    together: bool = False

    def answer(self, tables: Tables) -> str:
        """The answer, or why there is none."""
        try:
            return self.reading(tables) if self.together else read(self.reading, tables, self.table)
        except TableError as error:
            return f"Not answered: {error}."


def generalization(tables: Tables) -> str:
    """Accuracy and losses on test images."""
    rows = comparison(tables)
    found = rows[rows["measure"] == "test_accuracy"]
    accuracy = {"": of_row(found.iloc[0]).scaled(100)} if len(found) else {}
    losses = rows[(rows["measure"] == "test_loss") & (rows["loss"] != "")]
    loss = {f"by the {loss_label(row['loss'])}": of_row(row) for _, row in losses.iterrows()}
    if not accuracy and not loss:
        raise TableError("the comparison has no row test_accuracy or test_loss")
    clauses = [told("test accuracy", accuracy, unit="%")] if accuracy else []
    return sentence(*clauses, *([told("test loss", loss)] if loss else []))


def survival(tables: Tables) -> str:
    """What is left under disturbances; and where the rise of a loss is decided, that too."""
    said = robustness.reading(tables)
    rows = comparison(tables)
    rises = rows[(rows["measure"].map(family) == "loss_rise") & (rows["more_robust"] != "")]
    claims = {f"under {_asked(row)} by the {loss_label(row['loss'])}": of_row(row) for _, row in rises.iterrows()}
    return f"{said} {sentence(told('the rise of loss', claims))}" if claims else said


def _asked(row: pd.Series) -> str:
    return " ".join(asked(row["measure"])).replace("_", " ")


GAP = "Does flatness go with the gap?"
QUESTIONS = (
    Question("Which generalizes better?", generalization, "compare"),
    Question("Which minimum is flatter?", flatness.reading, "compare"),
    Question(GAP, correlation.in_loss, "correlation", together=True),
    Question("Which survives more?", survival, "robustness"),
    Question("What does it cost?", energy.reading, "energy"),
)
ALONE = (
    Question("Where did training end?", training.reading, "history"),
    Question("How flat is it there?", sharpness.reading, "sharpness"),
    Question("What does it survive?", robustness.reading, "robustness"),
    Question("What does it cost?", energy.reading, "energy"),
)


def answers(tables: Tables, *, alone: bool) -> dict[str, str]:
    """An answer to every question; of a method ``alone`` to those that its tables are there for."""
    asked = [one for one in ALONE if one.table in tables] if alone else QUESTIONS
    return {one.words: one.answer(tables) for one in asked}
