"""Where references go that name what has no entry of its own: to its module, if it is really there."""

import sys
from importlib import import_module
from typing import Any

from docutils import nodes

from .modules import PACKAGES, modules, room_of

_KNOWN = frozenset(modules())


def found(app: Any, environment: Any, node: Any, content: nodes.Node) -> nodes.Node | None:
    """A link to the module that a reference's target is in; None where there is none, which Sphinx reports."""
    name = node.get("reftarget", "")
    if node.get("refdomain") != "py" or name.partition(".")[0] not in PACKAGES or not exists(name):
        return None
    module = module_of(name)
    page = f"reference/modules/{room_of(module)}"
    title = module.removeprefix(f"{room_of(module)}.")
    uri = app.builder.get_relative_uri(node.get("refdoc", environment.docname), page)
    return nodes.reference("", "", content, internal=True, refuri=f"{uri}#{nodes.make_id(title)}")


def module_of(name: str) -> str:
    """The longest beginning of a dotted name that is a module here."""
    parts = name.split(".")
    return next(begun for end in range(len(parts), 0, -1) if (begun := ".".join(parts[:end])) in _KNOWN)


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or leads to something in one."""
    module = module_of(name)
    import_module(module)
    value: Any = sys.modules[module]
    try:
        for part in name.removeprefix(module).strip(".").split("."):
            fields = getattr(value, "__dataclass_fields__", {})
            value = getattr(value, part) if part and part not in fields else value
    except AttributeError:
        return False
    return True
