"""What a module makes public, where each name was written down, and what a constant's docstring says."""

import ast
import importlib
import inspect
import pkgutil
from functools import cache
from types import ModuleType
from typing import TypeVar

from sphinx.pycode import ModuleAnalyzer


def public_modules(package: str, internal: frozenset[str]) -> list[str]:
    """Return the package and its modules, one level deep, without the internal and the underscored ones."""
    found = importlib.import_module(package)
    names = [each.name for each in pkgutil.iter_modules(found.__path__)]
    return [package, *(f"{package}.{name}" for name in names if name not in internal and not name.startswith("_"))]


def public_names(module: ModuleType) -> list[str]:
    """Return ``__all__``; without one, what the module itself defines or assigns, type variables aside."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    names: list[str] = []
    for node in _tree(module.__name__).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
        names += _assigned(node)
    public = {name for name in names if not name.startswith("_")}
    return sorted(name for name in public if not isinstance(getattr(module, name), TypeVar))


def is_constant(value: object) -> bool:
    """Return whether a value has no docstring of its own: neither a function nor a class nor a module."""
    return not (inspect.isroutine(value) or _is_class(value) or inspect.ismodule(value))


def _is_class(value: object) -> bool:
    # Float[Tensor, "..."] is a class too, but nobody wrote it down as one
    return inspect.isclass(value) and not type(value).__module__.startswith("jaxtyping")


def methods(value: type) -> list[str]:
    """Return the public methods and properties that a class itself defines."""
    return [
        name
        for name, each in vars(value).items()
        if not name.startswith("_") and (inspect.isroutine(each) or isinstance(each, property))
    ]


def docstring(module: ModuleType, name: str) -> str:
    """Return the docstring of a public name; a constant's is the string below it, or a ``#:`` comment above."""
    value = getattr(module, name)
    if is_constant(value):
        origin, original = defined_in(module.__name__, name)
        return "\n".join(ModuleAnalyzer.for_module(origin).find_attr_docs().get(("", original), [])).strip()
    own = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
    text = inspect.cleandoc(own or "")
    # a dataclass without a docstring gets its signature for one
    return "" if inspect.isclass(value) and text.startswith(f"{value.__name__}(") else text


def defined_in(module: str, name: str) -> tuple[str, str]:
    """Follow imports to the module, and the name there, where a name is assigned or defined."""
    for node in _tree(module).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return defined_in(node.module, alias.name)
    return module, name


def assigned_text(module: str, name: str) -> str:
    """Return the source text of a constant's value."""
    origin, original = defined_in(module, name)
    for node in _tree(origin).body:
        if original in _assigned(node) and isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            return ast.unparse(node.value)
    return ""


def _assigned(node: ast.stmt) -> list[str]:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(importlib.import_module(module)))
