"""What a study compares, from what is typed: presets, named sets of options, and every combination of their parts."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adversarium.config import FIELDS, TrainConfig
from adversarium.errors import InputError, lookup, nearest, require
from adversarium.presets import PRESETS
from adversarium.spec import split
from adversarium.study.plan import FIXED, Method

OF_THE_DATA = ("size",)
"""Options that all methods of a study share."""

LONGEST = 120
"""Bytes in the name of a method's folder."""


def of_presets(names: Iterable[str]) -> list[Method]:
    """Return a method for each preset.

    Raises:
        InputError: there is no such preset (names the nearest).
    """
    found = []
    for name in names:
        lookup("preset", name, PRESETS)
        found.append(Method(name=name, options={"preset": name}))
    return found


def crossed(parts: Mapping[str, Sequence[str]], options: Mapping[str, Any]) -> list[Method]:
    """Return a method for every combination of values of options: ``{"loss": ["hinge", ...], "game": [...]}``.

    A method's name is its values, joined by ``+``; a value that is the only one of its option is left out of it.
    """
    varied = [option for option, values in parts.items() if len(values) > 1] or list(parts)[:1]
    return [
        Method(
            name=" + ".join(value for option, value in zip(parts, values, strict=True) if option in varied),
            options={**options, **dict(zip(parts, values, strict=True))},
        )
        for values in itertools.product(*parts.values())
    ]


def check_methods(methods: Sequence[Method], shared: Mapping[str, Any]) -> None:
    """Refuse methods that cannot be told apart, or that set what the study sets.

    Raises:
        InputError: as said; two methods of one name, or of names that are one folder's; an unknown option.
    """
    require(len(methods) >= 1, "a study compares methods: add --presets gan,wgan-gp, say")
    folders: dict[str, str] = {}
    for method in methods:
        name = method.name
        require(bool(name.strip()), "a method's name is empty")
        require(name.isprintable(), f"method {name!r}: wanted a name that can be printed, in one line")
        folder = folder_name(name)
        fits = len(folder.encode()) <= LONGEST
        require(fits, f"method {name!r}: wanted a name of at most {LONGEST} characters (--method 'NAME: ...')")
        if folder in folders:
            raise InputError(
                f"two methods are called {method.name!r}"
                if folders[folder] == method.name
                else f"methods {folders[folder]!r} and {method.name!r} have names too much alike for folders"
            )
        folders[folder] = method.name
        _check_options(f"method {method.name}", method.options)
        for option in OF_THE_DATA:
            require(option not in method.options, f"method {method.name} sets {option}: all methods share the data")
        for option in method.options:
            require(
                option not in shared or shared[option] == method.options[option],
                f"method {method.name} sets {option}, and so does the study: one of them",
            )
    _check_options("a study", shared)


def _check_options(who: str, options: Mapping[str, Any]) -> None:
    for option in options:
        require(option in FIELDS, f"{who} names {option!r}{nearest(option, FIELDS)}, which is no option")
        require(option not in FIXED, f"{who} sets {option}, which a study says by {FIXED.get(option)}")


def folder_name(name: str) -> str:
    """Return the name of a method's folder."""
    return re.sub(r"[^\w.=-]+", "-", name).strip("-.").lower() or "method"


def parsed(names: str) -> list[str]:
    """Return the parts of a list as it is typed, each once.

    Raises:
        InputError: a part is empty, or there twice.
    """
    parts = [each.strip() for each in split(names)]
    for part in parts:
        require(parts.count(part) == 1, f"{part} is named twice")
    return parts


def config_of(method: Method, more: Mapping[str, Any]) -> TrainConfig:
    """Return the configuration of a run of a method, with more options, none of which the method sets.

    Raises:
        InputError: values that no run could use.
    """
    return TrainConfig(**{**method.options, **more})
