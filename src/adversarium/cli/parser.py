"""An argument parser whose mistakes are ours to report, with the nearest valid option."""

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from adversarium.errors import InputError, nearest


class Parser(argparse.ArgumentParser):
    """argparse, with errors as :class:`InputError` and no abbreviated options."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(prog=f"adversarium {command}", description=description, allow_abbrev=False)
        self._negative_number_matcher = re.compile(r"^-(\d|\.\d)[\d.e+-]*$")  # argparse's own knows no -5e-1

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise InputError(f"{message} (see: {self.prog} --help)")

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return the parsed arguments.

        Raises:
            InputError: an unknown option (names the nearest), or a value that does not parse.
        """
        found, unknown = self.parse_known_args(arguments)
        if unknown:
            name = unknown[0].split("=")[0]
            options = [option for action in self._actions for option in action.option_strings]
            what = "option" if name.startswith("-") else "argument"
            raise InputError(f"unknown {what} {name!r}{nearest(name, options)} (see: {self.prog} --help)")
        return found
