"""``adversarium list``."""

from collections.abc import Sequence

from adversarium.cli.members import KINDS, summary
from adversarium.cli.parser import Parser
from adversarium.errors import InputError, lookup


def run(arguments: Sequence[str]) -> int:
    """Print the members of a kind, one per line."""
    parser = Parser("list", "List the members of a kind.")
    parser.add_argument("kind", metavar="KIND", nargs="?", help=", ".join(KINDS))
    options = parser.parse(arguments)

    if options.kind is None:
        raise InputError(f"KIND is missing; there are: {', '.join(KINDS)}")
    members = lookup("kind", options.kind, KINDS)
    width = max(len(name) for name in members)
    for name, member in members.items():
        print(f"{name:{width}}  {summary(member)}")
    return 0
