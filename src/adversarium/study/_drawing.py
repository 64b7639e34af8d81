"""What a study's figures share: a canvas, and names that are measured and broken so that they fit."""

import textwrap
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

INK, SOFT, REAL = "#1d2733", "#5b6875", "#21704a"
"""Colours of text, of what stands back, and of the real samples."""

SMALL = 8
"""Points of the letters of names."""

_LONGEST, _MOST_LINES = 32, 3  # characters of a line, and lines


def canvas(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    """Return a matplotlib ``Figure`` of so many inches, and its axes."""
    # a Figure of its own, without pyplot: no global state, no display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns)
    for each in np.atleast_1d(axes).ravel():
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


@contextmanager
def any_letters() -> Iterator[None]:
    """Let names have letters that matplotlib's font lacks: a PNG shows boxes, an SVG or a page the reader's font."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def broken(name: str) -> list[str]:
    """Return a name in lines that fit, broken at spaces and hyphens; one that has no end ends in ``…``."""
    return textwrap.wrap(name, _LONGEST, max_lines=_MOST_LINES, placeholder="…") or [name]


def fitted(name: str) -> str:
    """Return a name as matplotlib draws it: in lines, and its dollar signs not taken for mathematics."""
    return "\n".join(broken(name)).replace("$", r"\$")


def width_of(texts: Iterable[str], size: float = SMALL) -> float:
    """Return the width of the longest of some texts, in points, as matplotlib draws them."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size)
    with any_letters():
        return max(
            (float(text_to_path.get_text_width_height_descent(each, font, False)[0]) for each in texts), default=0
        )
