"""How each method is drawn: the same colour, dashes and mark in every figure of a study."""

from collections.abc import Sequence
from dataclasses import dataclass

LIGHT = ("#c93f76", "#153b68", "#9d9631", "#7541b8", "#6c95c9", "#803200")
"""On white. Chosen by a search over OKLab: to people with any of the three colour blindnesses too (as Machado et al.,
2009, simulate them) each differs from each; and each has a contrast of at least 3 to the ground."""

DARK = ("#c64998", "#539af2", "#f0e331", "#8d9a3f", "#4fe3e6", "#e59c8f")
"""The same on a dark card."""

DASHES = ("", "6 3", "1.5 2.5")
"""Of the lines of the first six methods, the next six and those after them, in pixels."""

MARKS = ("circle", "diamond", "triangle")
"""What stands for one run, likewise."""

SHAPES = {
    "circle": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    "diamond": "M0-5L5 0L0 5L-5 0z",
    "triangle": "M0-5L4.6 3.6L-4.6 3.6z",
    "cross": "M-4-4L4 4M-4 4L4-4",
}
"""Marks as SVG paths around the origin, in pixels."""


@dataclass(frozen=True)
class Look:
    """How a method is drawn.

    Attributes:
        number: of the method in its study, from 0.
    """

    number: int

    @property
    def colour(self) -> str:
        """On white."""
        return LIGHT[self.number % len(LIGHT)]

    @property
    def variable(self) -> str:
        """In the page's style sheet, which knows whether the page is light or dark."""
        return f"var(--m{self.number % len(LIGHT)})"

    @property
    def dashes(self) -> str:
        """Of its lines; empty for none."""
        return DASHES[self.number // len(LIGHT) % len(DASHES)]

    @property
    def mark(self) -> str:
        """Of its runs."""
        return MARKS[self.number // len(LIGHT) % len(MARKS)]


def looks_of(methods: Sequence[str]) -> dict[str, Look]:
    """Return the look of each method, by its place among them."""
    return {name: Look(number) for number, name in enumerate(methods)}


def colour_rules() -> str:
    """Return the style sheet's variables ``--m0``, ... for a light and a dark page."""
    light, dark = (
        " ".join(f"--m{number}: {colour};" for number, colour in enumerate(colours)) for colours in (LIGHT, DARK)
    )
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
