"""A finding's numbers over the run: a small plot for a page, a line of blocks for a terminal."""

import html
import io
import math
import re
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from adversarium.diagnostics.finding import Finding, Record, words
from adversarium.diagnostics.meanings import title

BLOCKS = "▁▂▃▄▅▆▇█"
"""What a line of blocks is made of, the lowest first."""

PLAIN_BLOCKS = ".:-=+*#@"
"""The same for a terminal without Unicode."""

COLOURS = ("#3b82c4", "#d1495b", "#2a9d6f", "#b9770e", "#8e63b5")
"""Of the lines in one panel; all can be seen on white and on black."""

MOST_POINTS = 120
"""More than this many are drawn as the mean and the range of neighbours."""

_TITLE = 72  # characters that have room above a panel

INK = "#010203"
"""What figures are drawn in: it stands for the text colour of the page around them, whatever that is."""


def points(name: str, records: Sequence[Record]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return kimg and values ``[n]`` of a number, of the records that have it and where it is finite."""
    found = [(record["kimg"], record[name]) for record in records if name in record]
    pairs = np.array([pair for pair in found if all(map(math.isfinite, pair))], dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def sparkline(values: Sequence[float] | npt.NDArray[np.float64], *, width: int = 24, blocks: str = BLOCKS) -> str:
    """Return values as a line of at most ``width`` blocks, from the lowest value to the highest.

    More values than that are averaged; heights are logarithms where the values span more than two decades.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not len(numbers):
        return ""
    means = np.array([part.mean() for part in np.array_split(numbers, min(width, len(numbers)))])
    heights = np.log(means) if _wants_logarithms(means) else means
    low, high = heights.min(), heights.max()
    if low == high:
        return blocks[0] * len(heights)
    shares = (heights - low) / (high - low)
    return "".join(blocks[min(int(share * len(blocks)), len(blocks) - 1)] for share in shares)


def plot(finding: Finding, records: Sequence[Record]) -> Any:
    """Return a matplotlib ``Figure`` of a finding's series, or ``None`` where no record has any of them.

    Series whose names end alike (``real_score``, ``fake_score``) share a panel. A series that is measured only now
    and then is a line through its points; a dashed line marks since when the finding holds.
    """
    measured = {name: found for name in finding.series if len((found := points(name, records))[0])}
    if not measured:
        return None
    from matplotlib.figure import Figure  # without pyplot: no global state, no display

    panels = panels_of(list(measured))
    figure = Figure(figsize=(5.2, 0.45 + 1.45 * len(panels)), layout="constrained")
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, names in zip(all_axes, panels, strict=True):
        for name, colour in zip(names, _colours(len(names)), strict=True):
            _draw(axes, *measured[name], colour=colour, label=words(name))
        if _wants_logarithms(np.concatenate([measured[name][1] for name in names])):
            axes.set_yscale("log")
        axes.axvline(finding.since_kimg, color=INK, linewidth=1, linestyle=(0, (4, 3)), alpha=0.7)
        heading = title(names[0]) if len(names) == 1 else names[0].rpartition("_")[2]
        axes.set_title("\n".join(textwrap.wrap(heading, _TITLE)), fontsize=8.5, loc="left", color=INK)
        if len(names) > 1:
            axes.legend(fontsize=7.5, frameon=False, labelcolor=INK, loc="best")
        axes.grid(alpha=0.25, color=INK, linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(INK)
        axes.tick_params(colors=INK, labelsize=7.5)
        axes.patch.set_visible(False)
    since = f"thousands of real samples (kimg); dashed: since {finding.since_kimg:.4g} kimg"
    all_axes[-1].set_xlabel(since, fontsize=8, color=INK)
    figure.patch.set_visible(False)
    return figure


def as_svg(figure: Any, label: str) -> str:
    """Return a figure as an ``<svg>`` element in the text colour and the width of the page around it."""
    import matplotlib

    rendered = io.StringIO()
    # text stays text: small, sharp, and read aloud; names inside the picture are the same at every call
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": label, "font.family": "sans-serif"}):
        figure.savefig(rendered, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    drawing = rendered.getvalue()
    head, _, body = drawing[drawing.index("<svg") :].partition(">")
    view = head.split('viewBox="')[1].split('"')[0]
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    start = f'<svg {spaces} viewBox="{view}" role="img">'
    body = re.sub(r'<g id="[^"]*"', "<g", body)  # the same in every figure, and referred to by nothing
    return f"{start}<title>{html.escape(label)}</title>{body.replace(INK, 'currentColor').strip()}"


def panels_of(names: Sequence[str]) -> list[list[str]]:
    """Return the names in groups that can share an axis: those whose last words agree."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.rpartition("_")[2], []).append(name)
    return list(groups.values())


def _draw(
    axes: Any, kimg: npt.NDArray[np.float64], values: npt.NDArray[np.float64], *, colour: str, label: str
) -> None:
    if len(values) <= MOST_POINTS:
        marker = "o" if len(values) <= MOST_POINTS // 4 else ""
        axes.plot(kimg, values, color=colour, linewidth=1.3, marker=marker, markersize=3, label=label)
        return
    parts = np.array_split(np.arange(len(values)), MOST_POINTS)
    middle = [kimg[part].mean() for part in parts]
    low, high = [values[part].min() for part in parts], [values[part].max() for part in parts]
    axes.fill_between(middle, low, high, color=colour, alpha=0.25, linewidth=0)
    axes.plot(middle, [values[part].mean() for part in parts], color=colour, linewidth=1.3, label=label)


def _colours(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]


def _wants_logarithms(values: npt.NDArray[np.float64]) -> bool:
    return bool(values.min() > 0 and values.max() > 100 * values.min())
