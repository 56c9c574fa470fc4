"""Tables for papers: what they hold, what is refused, and that LaTeX takes them."""

import re
import shutil
import subprocess

import pytest

from tables.latex import _COMMANDS, booktabs, escaped, interval, number, written

ENGINE = next(filter(None, map(shutil.which, ("pdflatex", "tectonic"))), None)
DOCUMENT = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n%s\\end{document}\n"


def test_a_table_by_hand():
    found = booktabs(["a_b", "τ"], [["50 %", "−0.5"], ["x & y", "–"]], caption="σ² of $w$")
    assert found == (
        "% needs \\usepackage{booktabs}\n\\begin{table}\n\\centering\n\\caption{$\\sigma$$^2$ of \\$w\\$}\n"
        "\\begin{tabular}{lr}\n\\toprule\na\\_b & $\\tau$ \\\\\n\\midrule\n50 \\% & $-$0.5 \\\\\nx \\& y & -- \\\\\n"
        "\\bottomrule\n\\end{tabular}\n\\end{table}\n"
    )


def test_numbers_with_their_intervals():
    assert number(-0.12345) == "−0.123"
    assert (number(float("nan")), number(float("-inf"))) == ("–", "−∞")
    assert interval(0.5, -0.25, 1.0) == "0.5 (−0.25 … 1)"
    assert interval(0.5, float("nan"), 1.0) == "0.5"


@pytest.mark.parametrize("text", ["方法", "a\nb", "Ж", "\x00"])
def test_letters_that_it_has_not_are_refused_by_name(text):
    with pytest.raises(ValueError, match="which LaTeX has no letter for: leave --latex out"):
        escaped(text)


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="a row has 1 fields, the header 2"):
        booktabs(["a", "b"], [["x"]], caption="")


def test_a_file_is_written_with_its_block_or_not_at_all(tmp_path):
    file = tmp_path / "table.tex"
    with pytest.raises(RuntimeError), written(file, lambda: "text"):
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with pytest.raises(IsADirectoryError), written(tmp_path, lambda: "text"):
        pytest.fail("the block was begun")
    with written(file, lambda: "text"), written(None, lambda: pytest.fail("asked for no text")):
        pass
    assert file.read_text() == "text"


def test_braces_and_fields_are_balanced():
    text = booktabs(["α", "{"], [["}", "\\"], ["#", "^~"]], caption="".join(_COMMANDS))
    bare = re.sub(r"\\[\\{}$&#%_]", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert all(line.count(" & ") == 1 for line in text.splitlines() if line.endswith(r"\\"))


@pytest.mark.skipif(ENGINE is None, reason="neither pdflatex nor tectonic is installed")
def test_latex_compiles_it(tmp_path):
    table = booktabs(["all", "letters"], [[letter, letter] for letter in _COMMANDS] + [["é", "ß"]], caption="σ² & %")
    (tmp_path / "x.tex").write_text(DOCUMENT % table, encoding="utf-8")
    flags = ["-interaction=nonstopmode", "-halt-on-error"] if str(ENGINE).endswith("pdflatex") else []
    subprocess.run([str(ENGINE), *flags, "x.tex"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "x.pdf").stat().st_size > 0
