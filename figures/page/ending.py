"""Where training ended: in the training curves, or else in what was measured of the weights as trained."""

import pandas as pd

from tables.rows import any_measured

from ..pictures import training
from ..pictures.scalability import as_trained
from ..pictures.switch import measured
from ..words.comparison import Tables
from ..words.gaps import mean
from ..words.kinds import smooth
from ..words.prose import number

UNSAID = "not said"


def loss_of(tables: Tables) -> str:
    """The loss that is told: the first of the training curves, or that was measured; "" where none was."""
    found = training.measured(tables["history"]) if "history" in tables else []
    steps = tables.get("timesteps", pd.DataFrame())
    names = {column: name for column, name in measured(steps).items() if name != "at_step"}
    return [*found, *(name for column, name in names.items() if any_measured(steps, column)), ""][0]


def of(tables: Tables, loss: str) -> list[str]:
    """T, epochs, last training loss and test accuracy of one method, from its rows of every table."""
    steps = tables.get("timesteps", pd.DataFrame())
    history = tables.get("history", pd.DataFrame())
    if len(history):
        history = history[history["epoch"] == history.groupby("checkpoint")["epoch"].transform("max")]
    ended = {"train": [(history, f"train_loss_{loss}")], "test": [(history, "test_accuracy")]}
    for split, column in (("train", f"loss_{loss}"), ("test", "accuracy_cumulative")):
        ended[split].append((_at_trained(steps, split), column))
    return [_steps(tables, steps), _epochs(tables, history), _told(ended["train"]), _told(ended["test"], percent=True)]


def _at_trained(steps: pd.DataFrame, split: str) -> pd.DataFrame:
    """The rows of one split, as trained, at the T trained with."""
    if steps.empty:
        return steps
    rows = as_trained(steps)
    return rows[(rows["split"] == split) & (rows["timesteps"] == rows["trained_timesteps"])]


def _told(places: list[tuple[pd.DataFrame, str]], *, percent: bool = False) -> str:
    """The mean over seeds with its interval, from the first of these tables that has it."""
    for rows, column in places:
        if column in rows and any_measured(rows, column):
            found = mean(rows, column, str(rows["method"].iloc[0])).scaled(100.0 if percent else 1.0)
            return f"{number(found.mean, 4 if percent else 3)}{' %' * percent} ({found.interval})"
    return UNSAID


def _steps(tables: Tables, steps: pd.DataFrame) -> str:
    """The T trained with; that there is no time where nothing spikes and T is 1."""
    found = sorted(steps["trained_timesteps"].dropna().unique()) if len(steps) else []
    return "no time" if found == [1] and smooth(tables) else ", ".join(map(number, found)) or UNSAID


def _epochs(tables: Tables, history: pd.DataFrame) -> str:
    """How long it was trained: by its curve, or by its settings."""
    told = tables.get("settings", pd.DataFrame())
    done = history["epoch"] if len(history) else told.get("epochs_done", pd.Series(dtype=float))
    done = pd.to_numeric(done, errors="coerce").dropna()
    return " to ".join(dict.fromkeys(f"{one:.0f}" for one in (done.min(), done.max()))) if len(done) else UNSAID
