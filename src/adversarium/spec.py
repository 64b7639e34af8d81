"""Members as text: ``lookahead(k=10, inner=alternating(n_critic=5))``, as they are typed on the command line.

The grammar is a small part of Python's: a name, or a name with keyword arguments, whose values are numbers, ``True``,
``False``, ``None``, words (a bare word is a string) and, where a factory asks for a game rule, another such text.
Python's parser reads it; nothing is evaluated.
"""

import ast
import inspect
import keyword
import types
import typing
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from adversarium.errors import InputError, lookup, nearest, require
from adversarium.types import GameRule

Member = TypeVar("Member")

_NUMBERS_BELOW = 2.0**63  # torch takes no larger ones, and no float is infinite then
_NAMES = {bool: "True or False", int: "a whole number", float: "a number", str: "a word", GameRule: "a game rule"}


def make(text: str, kind: str, table: Mapping[str, Callable[..., Member]]) -> Member:
    """Return the member that a text describes.

    Args:
        text: ``NAME`` or ``NAME(argument=value, ...)``.
        kind: what the table holds, in the singular, for the messages: ``"game"``.
        table: name to factory.

    Raises:
        InputError: the text is not of that form; no such member, argument or choice (names the nearest); a value of
            another type than the argument's; whatever the factory refuses.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a strange escape in a string, say
            node = ast.parse(text.strip(), mode="eval").body
        return _made(node, text, kind, table)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise _unreadable(text, kind, table) from None


def split(text: str) -> list[str]:
    """Return the parts of a list of texts: cut at the commas that stand in no bracket and in no quotes.

    Raises:
        InputError: a part is empty.
    """
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "([{") - (character in ")]}")
            if character == "," and depth == 0:
                parts.append("")
                continue
        parts[-1] += character
    parts = [part.strip() for part in parts]
    require(all(parts), f"{text!r}: a part of this list is empty: wanted NAME, NAME(argument=value), ...")
    return parts


def written(member: Any) -> str:
    """Return the text from which :func:`make` makes an equal member, every argument given.

    ``member`` is a game rule, a loss or a constraint: whatever has a ``name`` and ``arguments``.

    Raises:
        InputError: an argument that has no text, a function say.
    """
    given = [f"{name}={_written_value(f'{member.name}: {name}', it)}" for name, it in member.arguments.items()]
    return f"{member.name}({', '.join(given)})" if given else str(member.name)


def _written_value(what: str, value: object) -> str:
    if isinstance(value, GameRule):
        return written(value)
    if isinstance(value, str):
        return value if value.isidentifier() and not keyword.iskeyword(value) else repr(value)
    number = isinstance(value, bool | int | float) and abs(value) < _NUMBERS_BELOW
    require(value is None or number, f"{what} is {value!r}: wanted a number, a word, a game rule or None")
    return repr(value)


def _unreadable(text: str, kind: str, table: Mapping[str, Any]) -> InputError:
    hint = nearest(text.partition("(")[0].strip(), table)
    return InputError(f"{kind} is {text!r}{hint}: wanted NAME or NAME(argument=value, ...)")


def _made(node: ast.expr, text: str, kind: str, table: Mapping[str, Callable[..., Member]]) -> Member:
    called = isinstance(node, ast.Call)
    name = node.func if isinstance(node, ast.Call) else node
    if not isinstance(name, ast.Name):
        raise _unreadable(text, kind, table)
    factory = lookup(kind, name.id, table)
    parameters = inspect.signature(factory).parameters
    values: dict[str, Any] = {}
    if called:
        assert isinstance(node, ast.Call)
        require(not node.args, f"{kind} is {text!r}: {name.id} wants its arguments by name: {_listed(parameters)}")
        for each in node.keywords:
            require(each.arg is not None, f"{kind} is {text!r}: ** is not read here: write the arguments out")
            assert each.arg is not None
            require(each.arg not in values, f"{kind} is {text!r}: {each.arg} is given twice")
            if each.arg not in parameters:
                raise InputError(
                    f"{name.id} has no argument {each.arg!r}{nearest(each.arg, parameters)}: "
                    f"wanted {_listed(parameters)}"
                )
            values[each.arg] = _value(each.value, f"{name.id}: {each.arg}", parameters[each.arg], text, kind, table)
    for each_name, parameter in parameters.items():
        missing = each_name not in values and parameter.default is parameter.empty
        require(not missing, f"{kind} is {text!r}: {name.id} wants {each_name}=...")
    return factory(**values)


def _listed(parameters: Mapping[str, inspect.Parameter]) -> str:
    return ", ".join(f"{name}=..." for name in parameters) or "none"


def _value(
    node: ast.expr,
    what: str,
    parameter: inspect.Parameter,
    text: str,
    kind: str,
    table: Mapping[str, Callable[..., Any]],
) -> Any:
    """Return an argument's value, of one of the types that the factory's signature names for it."""
    hints = _members(parameter.annotation)
    if GameRule in hints and isinstance(node, ast.Name | ast.Call):
        return _made(node, text, kind, table)
    value = _constant(node, what)
    if parameter.annotation is parameter.empty or any(_fits(value, hint) for hint in hints):
        return float(value) if type(value) is int and float in hints and int not in hints else value
    choices = [choice for hint in hints for choice in typing.get_args(hint) if typing.get_origin(hint) is Literal]
    wanted = [_NAMES[hint] for hint in hints if hint in _NAMES]
    wanted += [f"one of {', '.join(map(str, choices))}"] if choices else []
    wanted += ["None"] if types.NoneType in hints else []
    hint = nearest(value, choices) if isinstance(value, str) else ""
    raise InputError(f"{what} is {value!r}{hint}: " + (f"wanted {' or '.join(wanted)}" if wanted else "not from text"))


def _members(annotation: Any) -> tuple[Any, ...]:
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)


def _constant(node: ast.expr, what: str) -> Any:
    sign = 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, node = -1, node.operand
        number = isinstance(node, ast.Constant) and type(node.value) in (int, float)
        require(number, f"{what} is {ast.unparse(node)!r} with a minus: wanted a number after it")
    if isinstance(node, ast.Name):
        return node.id
    readable = isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str | types.NoneType)
    require(readable, f"{what} is {ast.unparse(node)!r}: wanted a number, True, False, None or a word")
    assert isinstance(node, ast.Constant)
    value: Any = node.value
    if type(value) in (int, float):
        require(abs(value) < _NUMBERS_BELOW, f"{what} is too large: wanted a number below 2^63")
        return sign * value
    return value


def _fits(value: object, hint: Any) -> bool:
    if typing.get_origin(hint) is Literal:
        return any(value == choice and type(value) is type(choice) for choice in typing.get_args(hint))
    if hint is float:
        return type(value) in (int, float)
    return hint is Any or (isinstance(hint, type) and type(value) is hint)
