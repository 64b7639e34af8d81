"""The one exception for input a person can mend, and the search for the nearest valid name."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")


class InputError(ValueError):
    """Something the user gave cannot be used; the message says what it was, what was wanted, what is near.

    The command line prints the message without a traceback and ends with exit code 2.
    """


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the closest choice, upper and lower case alike, or an empty string."""
    folded = {choice.casefold(): choice for choice in choices}
    close = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.5)
    return f" (did you mean {folded[close[0]]!r}?)" if close else ""


def lookup(kind: str, name: str, members: Mapping[str, Value]) -> Value:
    """Return ``members[name]``.

    Raises:
        InputError: ``name`` is not a member; names the nearest one and lists them all.
    """
    if name in members:
        return members[name]
    raise InputError(f"unknown {kind} {name!r}{nearest(name, members)}; there are: {', '.join(sorted(members))}")


def require(condition: bool, message: str) -> None:
    """Raise ``InputError(message)`` unless the condition holds."""
    if not condition:
        raise InputError(message)
