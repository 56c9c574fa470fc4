"""How Sphinx builds these pages: `make docs`. Generated pages come from docs/making."""

import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

from docs.making import docstrings, gallery, links, pages, resolving  # noqa: E402

pages.write(DOCS)
gallery.write(DOCS / "gallery")

project = "snn-landscape"
author = "The snn-landscape authors"
release = version = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]["version"]
copyright = author

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build", "making", "journeys", "tables.md"]  # tables.md is for readers of the repository
nitpicky = True
nitpick_ignore_regex = [
    # Types of other projects, which are not looked up: pages open without a network.
    (r"py:.*", r"(?!(tables|landscape|models|analysis|figures)\b).*"),
]

smartquotes_action = "q"  # two dashes begin a flag
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
myst_linkify_fuzzy_links = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries = False

html_theme = "furo"
html_title = f"snn-landscape {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}


def setup(app):
    """Docstrings as they are written, references to what a module's page has, a page that may not be there."""
    app.connect("autodoc-process-docstring", docstrings.processed)
    app.connect("missing-reference", resolving.found)
    app.connect("source-read", links.listed)
