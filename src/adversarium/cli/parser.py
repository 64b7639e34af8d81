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
        # what begins like a number is a value, and the option's to judge: -5e-1, and also -5m or -3,4; no option does
        self._negative_number_matcher = re.compile(r"^-(\.?\d|inf$|nan$)", re.IGNORECASE)
        self._given: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        if match := re.fullmatch(r"argument (\S+): expected one argument", message):
            message = self._without_value(match[1].split("/"))
        raise InputError(f"{message} (see: {self.prog} --help)")

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return the parsed arguments.

        Raises:
            InputError: an unknown option (names the nearest), or a value that does not parse.
        """
        self._given = arguments
        found, unknown = self.parse_known_args(arguments)
        if unknown:
            name = unknown[0].split("=")[0]
            options = [option for action in self._actions for option in action.option_strings]
            what = "option" if name.startswith("-") else "argument"
            raise InputError(f"unknown {what} {name!r}{nearest(name, options)} (see: {self.prog} --help)")
        return found

    def _without_value(self, names: Sequence[str]) -> str:
        """Say what stands where the value of an option is wanted."""
        for name, value in zip(self._given, [*self._given[1:], None], strict=True):
            if name not in names:
                continue
            if value is None:
                return f"{name} wants a value, and nothing follows it"
            if (option := value.split("=")[0]) in self._option_string_actions:
                return f"{name} wants a value, and the option {option} follows it"
            if value.startswith("-") and " " not in value:  # with one it would be a value
                return f"{name} wants a value, and {value!r} follows it; if that is the value: {name}={value}"
        return f"{names[0]} wants a value"
