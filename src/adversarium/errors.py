"""The one exception for input a person can mend, the search for the nearest valid name, and checks that raise it."""

import difflib
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
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


def output_file(option: str, path: Path | str, *suffixes: str, force: bool, chosen: bool = True) -> Path:
    """Return the path of a file to write, before anything is computed that would be lost.

    Args:
        option: the option that names it: ``--out``.
        path: the file.
        suffixes: one of them is wanted.
        force: whether a file that exists may be replaced.
        chosen: whether the path is the user's; of one that was chosen for them the message offers the option.

    Raises:
        InputError: another suffix, a file that exists (unless ``force``), or a place where none can be written.
    """
    path = Path(path)
    wanted = " or ".join(each for each in (", ".join(suffixes[:-1]), suffixes[-1]) if each)
    require(path.suffix in suffixes, f"{option} {path}: wanted a name that ends in {wanted}")
    taken, way_out = (f"{option} {path}", "") if chosen else (f"{path}", f" ({option})")
    try:
        require(force or not path.exists(), f"{taken}: exists already; take another name{way_out}, or --force")
        require(not path.is_dir(), f"{taken}: is a folder; wanted a file")
        try_writing(path)
    except OSError as error:
        raise InputError(f"{taken}: cannot be written ({error.strerror or error})") from error
    return path


def try_writing(path: Path) -> None:
    """Write nothing in the folder where a file will stand, or in the one that exists of those above it.

    Permissions alone do not tell: root may write everywhere, and there are file systems that hold what they like.

    Raises:
        OSError: nothing can be written there.
    """
    folder = path.absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    with tempfile.TemporaryFile(dir=folder):
        pass
