"""The build fails if a public name has no docstring or is not in the API page, or a member is not in the catalogue."""

import importlib
import inspect
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from catalogue import KINDS, catalogued
from public import docstring, is_constant, methods, public_modules, public_names
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


def undocumented(module: ModuleType) -> list[str]:
    """Return the public names of a module, and their methods, that have no docstring of their own."""
    found = [] if (module.__doc__ or "").strip() else [module.__name__]
    for name in public_names(module):
        value = getattr(module, name)
        if inspect.ismodule(value):
            found += undocumented(value) if not value.__doc__ else []
        elif not docstring(module, name):
            found.append(f"{module.__name__}.{name}")
        if inspect.isclass(value) and not is_constant(value) and _is_ours(value, module):
            found += [
                f"{module.__name__}.{name}.{each}" for each in methods(value) if not getattr(value, each).__doc__
            ]
    return found


def missing_from_api(module: ModuleType, described: Iterable[str]) -> list[str]:
    """Return the public names of a module that no page describes, neither there nor where they come from."""
    described = set(described)
    found = []
    for name in public_names(module):
        value = getattr(module, name)
        full = f"{module.__name__}.{name}"
        canonical = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
        if not {full, canonical} & described and not inspect.ismodule(value):
            found.append(full)
        elif inspect.isclass(value) and not is_constant(value) and _is_ours(value, module):
            place = full if full in described else canonical
            found += [f"{full}.{each}" for each in methods(value) if f"{place}.{each}" not in described]
    return found


def missing_from_catalogue(kinds: Mapping[str, Mapping[str, Any]], has: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return ``kind/name`` of the members that no page of the catalogue shows."""
    return [f"{kind}/{name}" for kind, members in kinds.items() for name in members if name not in has.get(kind, {})]


def check(app: Sphinx, failed: Exception | None) -> None:
    """Report all that is missing and fail the build, with or without -W. The pages are there by then, to look at."""
    if failed is not None:
        return
    internal = frozenset(app.config.coverage_internal)
    modules = [importlib.import_module(name) for name in public_modules(app.config.coverage_package, internal)]
    described = app.env.domains["py"].data["objects"]
    problems = {
        "without a docstring": [name for module in modules for name in undocumented(module)],
        "not in the API page": [name for module in modules for name in missing_from_api(module, described)],
        "not in the catalogue": missing_from_catalogue(KINDS, catalogued(app.env)),
    }
    for what, names in problems.items():
        for name in names:
            logger.error("%s is %s", name, what)
            app.statuscode = 1


def _is_ours(value: type, module: ModuleType) -> bool:
    return value.__module__.split(".")[0] == module.__name__.split(".")[0]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("coverage_package", "adversarium", "env")
    app.add_config_value("coverage_internal", [], "env")
    app.connect("build-finished", check)
    return {"parallel_read_safe": False}
