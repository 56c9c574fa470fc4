"""The documentation: what is made from the code is all there, and what stands on pages as commands runs."""

import contextlib
import fnmatch
import importlib
import io
import os
import re
import shlex
from pathlib import Path

import pytest

from docs.making import docstrings, gallery, links, markdown, modules, notebooks, pages, reference, resolving
from docs.making.flags import flags
from figures import draw
from figures.pictures.catalogue import PICTURES
from tables.command_line import parse
from tables.commands import commands
from tables.measures import MEASURES
from tables.schema import SCHEMA
from tests.blocks import ROOT, blocks, carry_out

DOCS = ROOT / "docs"
WRITTEN = sorted(
    path.relative_to(DOCS).as_posix()
    for path in DOCS.rglob("*.md")
    if path.relative_to(DOCS).parts[0] not in (*pages.FOLDERS, "_build", "tables.md")
)
RUN = [name for name in WRITTEN if blocks((DOCS / name).read_text())]
LONG = {"howto/measure.md"}  # what there is to measure, on two networks


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """All generated pages."""
    return pages.pages()


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in RUN])
def test_its_blocks_run(name, tmp_path):
    carry_out((DOCS / name).read_text(), tmp_path)


def test_the_pages_that_run_are_known():
    assert {"start/first_run.md", "howto/measure.md", "howto/python.md", "howto/elsewhere.md"} <= set(RUN)


@pytest.mark.slow
def test_every_page_is_in_the_tree(made):
    """By its name or by a pattern; and a name leads to a page."""
    texts = {name: (DOCS / name).read_text() for name in WRITTEN} | {f"{name}.md": text for name, text in made.items()}
    everything, named = {name.removesuffix(".md") for name in texts}, {"index"}
    listed = [texts["results/index.md"]]
    links.listed(None, "results/index", listed)
    texts["results/index.md"] = listed[0]
    for name, text in texts.items():
        for tree in re.findall(r"^```\{toctree\}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            for entry in (line.strip() for line in tree.splitlines() if line.strip() and not line.startswith(":")):
                pattern = os.path.normpath(Path(name).parent / entry)
                found = set(fnmatch.filter(everything, pattern))
                assert found or "*" in entry, f"{name}: {entry}"
                named |= found
    assert named == everything


@pytest.mark.parametrize(("name", "module"), commands().items())
def test_every_command_has_a_page_with_its_flags(name, module, made):
    """All those that its help shows, which tyro made, and no other; and its tables."""
    page = made[f"reference/commands/{name}"]
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert importlib.import_module(module).main(["--help"]) == 0
    helped = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", shown.getvalue()))
    listed = set(re.findall(r"^\.\. option:: (--[\w-]+)(?:, (--no-[\w-]+))?", page, re.MULTILINE))
    found = {flag for pair in listed for flag in pair if flag}
    config = importlib.import_module(f"{module}.flags").Config
    assert {flag for one in flags(config) for flag in one.name.split(", ") if flag.startswith("--")} == found
    assert found <= helped
    assert {flag for flag in helped if _of_a_line(flag, shown.getvalue())} - {"--help"} == found
    assert all(one.about for one in flags(config)), "a flag without a word"
    for table in SCHEMA.values():
        assert (f"../tables/{table.name}.md" in page) == (table.command == name)


def _of_a_line(flag: str, help_: str) -> bool:
    """Whether help has a flag as an entry, not in what it says of another."""
    return bool(re.search(rf"^[│|\s]*(?:-h, )?(?:--[\w-]+, )?{flag}\b", help_, re.MULTILINE))


def test_every_table_and_column_has_its_page(made):
    for name, table in SCHEMA.items():
        page = made[f"reference/tables/{name}"]
        assert page.startswith(f"# {name}.csv\n")
        listed = re.findall(r"^\| ([\w]+)(?: \(may lack\))? \|", page, re.MULTILINE)
        assert [one for one in listed if one not in ("column", "loss_NAME")] == [one.name for one in table.columns]
        assert f"({name}.md)" in made["reference/tables/index"]


def test_every_measure_is_listed_once():
    page = reference.measures()
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == sorted(MEASURES)
    for one in MEASURES.values():
        (row,) = re.findall(rf"^\| `{one.id}` \|.*$", page, re.MULTILINE)
        assert markdown.cell(one.title) in row
        assert ("**yes**" in row) == (one.invariance == "changes")


def test_every_module_is_shown_with_what_it_says():
    found = modules.modules()
    paths = [path for package in modules.PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(found) == sum(path.name != "__main__.py" for path in paths)
    text = "\n".join(modules.pages(frozenset(), frozenset()).values())
    for name, doc in found.items():
        assert f".. py:module:: {name}\n" in text
        assert doc.splitlines()[0] in text.replace("\\|", "|")


class TestGallery:
    @pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
    def test_three_lines_make_it(self, picture):
        """Each of them a command with flags that it has; the second one writes the picture's table."""
        trained, measured, drawn = gallery.lines(picture)
        for line in (re.sub(r"^for .*; do (.*); done$", r"\1", trained).replace("$loss", "tet"), measured, drawn):
            python, dash, module, *given = shlex.split(line)
            assert (python, dash) == ("python", "-m")
            parse(importlib.import_module(f"{module}.flags").Config, given, module)
        assert measured.split()[2] == f"analysis.{SCHEMA[picture.table].command}"

    def test_every_picture_is_in_it_in_order(self):
        page = gallery.gallery()
        assert re.findall(r"^## (.*)$", page, re.MULTILINE) == [one.heading for one in PICTURES]
        assert re.findall(r"^!\[[^\]]*\]\(([^)]*)\)", page, re.MULTILINE) == [f"{one.name}.png" for one in PICTURES]
        assert page.count("Drawn of ") == len(PICTURES)
        linked = re.findall(r"\]\((\.\./\.\./results/[^)]*)\)", page)
        assert len(linked) >= 10
        assert all((DOCS / "gallery" / path).resolve().is_file() for path in linked)

    def test_no_module_s_picture_is_left_out(self):
        files = (ROOT / "figures" / "pictures").glob("[!_]*.py")
        found = [importlib.import_module(f"figures.pictures.{path.stem}") for path in files if path.stem != "catalogue"]
        names = {one.name for module in found for one in getattr(module, "PICTURES", ())}
        assert names == set(re.findall(r"^!\[[^\]]*\]\(([^)]*)\.png\)", gallery.gallery(), re.MULTILINE))
        assert len(names) > 30

    def test_what_pictures_are_drawn_of_is_there_and_said(self):
        for picture in PICTURES:
            frames, words = gallery.tables_of(picture)
            assert {picture.table, *picture.beside} <= set(frames)
            assert ("made-up" in words) == (picture.name not in gallery._REAL)
        made_up, _ = gallery.tables_of(next(one for one in PICTURES if one.name == "surfaces"))
        assert set(made_up["surface"]["method"]) == {"sdt", "tet"}

    def test_they_are_drawn_anew_where_a_source_changed_and_else_left(self, tmp_path, monkeypatch):
        monkeypatch.setattr(gallery, "PICTURES", [one for one in PICTURES if one.name in ("controls", "energy")])
        gallery.write(tmp_path)
        assert {path.name for path in tmp_path.glob("*.png")} == {"controls.png", "energy.png"}
        first = (tmp_path / "energy.png").stat().st_mtime_ns
        gallery.write(tmp_path)
        assert (tmp_path / "energy.png").stat().st_mtime_ns == first
        (tmp_path / "drawn.sha256").write_text("of another source")
        gallery.write(tmp_path)
        assert (tmp_path / "energy.png").stat().st_mtime_ns > first

    @pytest.mark.slow
    @pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
    def test_each_can_be_drawn(self, picture):
        frames, _ = gallery.tables_of(picture)
        assert draw(picture.name, frames).axes


def test_notebooks_are_shown_as_they_are():
    found = notebooks.notebooks()
    assert set(found) == {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert all(text.startswith("# ") and "```py\n" in text for text in found.values())


def test_claims_are_listed_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(links, "ROOT", tmp_path)
    content = ["# Results"]
    links.listed(None, "results/index", content)
    assert content == ["# Results"]
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "README.md").write_text("# Claims\n\n[rows](digits/compare.csv)\n")
    links.listed(None, "results/index", content)
    assert "../project/claims" in content[0]
    assert "digits/compare.csv)" in links.pages()["claims"]


class TestDocstrings:
    def test_an_indented_block_stays_as_it_is_written(self):
        doc = "A rise.\n\nBy formula\n\n    rise(r) = |w|     :func:`~a.b`\n\nAnd |w| is ``|w|``."
        assert docstrings.text(doc).splitlines() == [
            "A rise.", "", "By formula", "", "::", "", "    rise(r) = |w|     a.b", "", r"And \|w\| is ``|w|``.",
        ]  # fmt: skip

    def test_what_has_its_colons_gets_no_others(self):
        assert docstrings.text("So::\n\n    x").splitlines() == ["So::", "", "    x"]

    @pytest.mark.parametrize("doc", ["- an item\n\n    and more", ".. note::\n\n    a note", "1. one\n\n   more"])
    def test_parts_of_lists_and_directives_are_no_blocks(self, doc):
        assert docstrings.text(doc) == doc


def test_links_of_the_repository_s_pages_lead_to_the_same_file():
    for name, source in links.SOURCES.items():
        if not (ROOT / source).is_file():
            continue
        before = re.findall(r"\]\(([^)#\s:]+)", (ROOT / source).read_text())
        after = re.findall(r"\]\(([^)#\s:]+)", links.pages()[name])
        own = {links.PLACE / f"{page}.md": ROOT / place for page, place in links.SOURCES.items()}  # pages of their own
        seen = [(links.PLACE / one).resolve() for one in after]
        assert [(ROOT / source).parent.joinpath(one).resolve() for one in before] == [own.get(one, one) for one in seen]


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("landscape.spectrum.lanczos", True),
        ("landscape.spectrum.lanczos.lanczos", True),
        ("models.checkpoint.Checkpoint.history", True),
        ("landscape.spectrum.lanczos.nothing", False),
        ("landscape.nowhere", False),
    ],
)
def test_references_lead_to_what_is_there(name, there):
    assert resolving.exists(name) == there


def test_pages_that_did_not_change_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "pages", lambda: {"reference/a": "one", "gallery/b": "two"})
    pages.write(tmp_path)
    stale = tmp_path / "reference" / "old.md"
    stale.write_text("gone")
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.md")}
    pages.write(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.md")} == {
        path: time for path, time in times.items() if path != stale
    }
