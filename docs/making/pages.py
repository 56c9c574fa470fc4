"""All generated pages, and how they come into docs/: written where they changed, removed where they are no more."""

from pathlib import Path

from . import api, commands, gallery, links, modules, reference
from .networks import networks
from .notebooks import notebooks

FOLDERS = ("reference", "gallery", "project")  # wholly generated; not under version control


def pages() -> dict[str, str]:
    """Every generated page, by its path below docs/ without the suffix."""
    folders = {
        "reference/commands": commands.pages(modules.modules()),
        "reference/tables": reference.tables(),
        "reference/modules": modules.pages(commands.shown(), api.names()),
        "reference/api": api.pages(),
        "reference/notebooks": notebooks(),
        "project": links.pages(),
    }
    found = {f"{folder}/{name}": text for folder, some in folders.items() for name, text in some.items()}
    return found | {
        "reference/measures": reference.measures(),
        "reference/networks": networks(),
        "gallery/index": gallery.gallery(),
    }


def write(docs: Path) -> None:
    """Bring the generated folders below ``docs`` up to date; unchanged pages keep their time, so that Sphinx waits."""
    wanted = {docs / f"{name}.md": text for name, text in pages().items()}
    for folder in FOLDERS:
        for path in (docs / folder).rglob("*.md"):
            if path not in wanted:
                path.unlink()
    for path, text in wanted.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
