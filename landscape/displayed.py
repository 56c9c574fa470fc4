"""Results that show themselves in a notebook: a name, a table, what didn't converge; as plain text beside it."""

import html
from abc import ABC, abstractmethod
from typing import Any, Protocol

import pandas as pd

_MOST = 10  # rows of a table that are shown


class Displayed(ABC):
    """What has a ``to_frame`` is displayed as that."""

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """The result as a tidy table."""

    def _repr_html_(self) -> str:
        frame = self.to_frame()
        head = f"<p><strong>{html.escape(type(self).__name__)}</strong>{html.escape(_said(frame))}</p>"
        return head + frame.head(_MOST).to_html(index=False, border=0, na_rep="–", float_format=_number)

    def _repr_pretty_(self, printer: "Printer", cycle: bool) -> None:
        frame = self.to_frame()
        shown = frame.head(_MOST).to_string(index=False, na_rep="–", float_format=_number)
        printer.text(f"{type(self).__name__}{_said(frame)}\n{shown}" if not cycle else "…")


class Printer(Protocol):
    """IPython's pretty printer, as far as it is used."""

    def text(self, words: str, /) -> Any:
        """Print."""


def _said(frame: pd.DataFrame) -> str:
    """How many rows there are where not all are shown, and how many of them haven't converged."""
    said = [f"the first {_MOST} of {len(frame)} rows"] if len(frame) > _MOST else []
    lost = int(frame["converged"].eq(False).sum()) if "converged" in frame else 0
    said += [f"{lost} of {len(frame)} not converged"] if lost else []
    return f": {', '.join(said)}" if said else ""


def _number(value: float) -> str:
    return f"{value:.4g}"
