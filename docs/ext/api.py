"""The directive ``api``: every public name of a module, once. Members of the catalogue are described there."""

import importlib
import inspect
import re
import sys
from types import ModuleType
from typing import Any, TypeVar

from docutils import nodes
from docutils.statemachine import StringList
from public import assigned_text, docstring, is_constant, public_names
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from adversarium.cli.members import KINDS

LONGEST_VALUE = 120


class Api(SphinxDirective):
    """Describe a module's public names: constants, classes, functions; names from other rooms in a line."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module = importlib.import_module(self.arguments[0])
        self.env.note_dependency(inspect.getsourcefile(module) or "")
        self.env.note_reread()
        node = nodes.container(classes=["api"])
        lines = StringList(self._lines(module), source=module.__name__)
        self.state.nested_parse(lines, self.content_offset, node, match_titles=False)
        return list(node.children)

    def _lines(self, module: ModuleType) -> list[str]:
        described, elsewhere = [], []
        for name in public_names(module):
            value = getattr(module, name)
            home = getattr(value, "__module__", "")
            if inspect.ismodule(value):
                described.append((3, name, [f".. automodule:: {value.__name__}", "   :members:", ""]))
            elif is_constant(value):
                described.append((0, name, _constant(module, name)))
            elif home != module.__name__ and not home.startswith(f"{module.__name__}."):
                elsewhere.append(f":py:obj:`~{home}.{value.__qualname__}`")
            elif inspect.isclass(value):
                options = ["   :members:", "   :special-members: __call__", ""]
                described.append((1, name, [f".. autoclass:: {module.__name__}.{name}", *options]))
            else:
                described.append((2, name, [f".. autofunction:: {module.__name__}.{name}", ""]))
        lines = [f".. automodule:: {module.__name__}", ""]
        for _, _, text in sorted(described):
            lines += text
        if elsewhere:
            lines += [f"Also importable from here: {', '.join(elsewhere)}.", ""]
        return lines


def _constant(module: ModuleType, name: str) -> list[str]:
    text = assigned_text(module.__name__, name)
    value = [f"   :value: {text}"] if text and len(text) <= LONGEST_VALUE else []
    body = [f"   {line}".rstrip() for line in docstring(module, name).splitlines()]
    return [f".. py:data:: {name}", f"   :module: {module.__name__}", *value, "", *body, ""]


def shorten_members(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Leave a member's summary and its errors; formula, convention and paper are in the catalogue."""
    for kind, members in KINDS.items():
        for member, factory in members.items():
            if factory is value:
                rest = "\n".join(lines)
                raises = re.search(r"^Raises:\n(?:[ \t].*\n?|\n)*", rest, flags=re.MULTILINE)
                lines[:] = [
                    lines[0] if lines else "",
                    "",
                    f"Formula, convention, advice, paper: :ref:`the catalogue <{kind}-{member.lower()}>`.",
                    "",
                    *(raises[0].splitlines() if raises else []),
                    "",
                ]
                return


def escape_bars(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Keep |x| from being read as a substitution; in double backquotes it is safe."""
    for at, line in enumerate(lines):
        parts = re.split(r"(``[^`]*``)", line)
        lines[at] = "".join(part if part.startswith("``") else part.replace("|", "\\|") for part in parts)


def hide_factories(app: Sphinx, what: str, name: str, value: Any, options: Any, given: str, returned: str) -> Any:
    """Write a default factory as ``...`` (``<factory>`` is not Python), and protocols without ``(*args)``."""
    if getattr(value, "_is_protocol", False):
        return "", None
    return (given.replace("<factory>", "...") if given else given), returned


def leave_type_variables(app: Sphinx, env: Any, node: Any, content: nodes.Element) -> nodes.Element | None:
    """Show a type variable in a signature as it is: it has no page to link to."""
    module, _, name = node.get("reftarget", "").rpartition(".")
    value = getattr(sys.modules.get(module), name, None)
    return content if isinstance(value, TypeVar) else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("api", Api)
    app.connect("missing-reference", leave_type_variables)
    app.connect("autodoc-process-signature", hide_factories)
    app.connect("autodoc-process-docstring", escape_bars, priority=400)
    app.connect("autodoc-process-docstring", shorten_members, priority=300)
    return {"parallel_read_safe": False}
