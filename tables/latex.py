"""Tables for a paper: LaTeX with the package booktabs and no other, to be compiled by pdfLaTeX.

Text is escaped; of letters beyond Latin those have a command that this project's titles are written with, and others
are refused, since pdfLaTeX would stop at them.
"""

import math
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .files import replacing

_COMMANDS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": "$<$", ">": "$>$", "|": "$|$", '"': "''",
    "−": "$-$", "–": "--", "…": r"\dots{}", "·": r"$\cdot$", "×": r"$\times$", "±": r"$\pm$", "≤": r"$\leq$",
    "≥": r"$\geq$", "→": r"$\to$", "‖": r"$\|$", "√": r"$\surd$", "∞": r"$\infty$", "²": "$^2$", "³": "$^3$",
    "½": r"$\frac12$", "α": r"$\alpha$", "β": r"$\beta$", "δ": r"$\delta$", "ε": r"$\varepsilon$", "η": r"$\eta$",
    "θ": r"$\theta$", "λ": r"$\lambda$", "μ": r"$\mu$", "ρ": r"$\rho$", "σ": r"$\sigma$", "τ": r"$\tau$",
    "φ": r"$\varphi$", "ψ": r"$\psi$", "Δ": r"$\Delta$", "Σ": r"$\Sigma$", "Ψ": r"$\Psi$", "\u00a0": "~",
}  # fmt: skip


def escaped(text: str) -> str:
    """``text`` as LaTeX shows it. Raises ValueError for a letter that pdfLaTeX has none for."""
    found = []
    for letter in text:
        if letter not in _COMMANDS and not _plain(letter):
            name = unicodedata.name(letter, f"U+{ord(letter):04X}")
            raise ValueError(f"{text!r} has {letter!r} ({name}), which LaTeX has no letter for: leave --latex out")
        found.append(_COMMANDS.get(letter, letter))
    return "".join(found)


def _plain(letter: str) -> bool:
    """Printable ASCII, or a Latin letter with its accent."""
    return (letter.isascii() and letter.isprintable()) or (letter.isalpha() and ord(letter) < 0x180)


def number(value: float) -> str:
    """A number of three significant digits with a true minus; a dash for what there isn't."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.3g}".replace("-", "−")


def interval(value: float, low: float, high: float) -> str:
    """A number with its interval, or alone where there is none."""
    if math.isnan(low) or math.isnan(high):
        return number(value)
    return f"{number(value)} ({number(low)} … {number(high)})"


@contextmanager
def written(file: Path | None, text: Callable[[], str]) -> Iterator[None]:
    """``text()`` in ``file``, if there is one to be written, and if the block ends well.

    Raises OSError and ValueError before the block is begun where the file or the text can't be.
    """
    if file is None:
        yield
        return
    found = text()
    with replacing(file) as partial:
        partial.write_text(found, encoding="utf-8")
        yield


def booktabs(header: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str, left: int = 1) -> str:
    """A floating table of plain text, its first ``left`` columns set left and the others right.

    Raises ValueError for a row that hasn't as many fields as the header, and for letters as :func:`escaped`.
    """
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row has {len(row)} fields, the header {len(header)}")
    lines = [" & ".join(map(escaped, row)) + r" \\" for row in (header, *rows)]
    columns = "l" * left + "r" * (len(header) - left)
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(caption)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )
