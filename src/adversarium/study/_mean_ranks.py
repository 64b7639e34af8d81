"""Mean ranks on a line, with what lies nearer than the critical difference: the diagram of Demšar (2006)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from adversarium.study._chart import Scale, mark, upright
from adversarium.study._drawing import INK, SMALL, broken, canvas, fitted, width_of
from adversarium.study._html import named
from adversarium.study._looks import Look
from adversarium.study._ranking import bars_of
from adversarium.study.comparison import Comparison, Standing
from adversarium.study.wording import plural, probability

_UNIT = 0.38  # inches of one unit of height
_ROW, _LINE = 0.5, 0.36  # units that a name takes, and each further line of it


def critical_difference(comparison: Comparison, looks: Mapping[str, Look], *, ink: str = INK) -> Any:
    """Return a matplotlib ``Figure`` of mean ranks on a line, the best at the left.

    Bars join methods nearer than the critical difference; where that is not a number there are none.
    """
    ordered, gap = _by_rank(comparison), comparison.critical_difference
    count, half = len(ordered), (len(ordered) + 1) // 2
    bars, known = cliques([each.rank for each in ordered], gap), math.isfinite(gap)
    sides = (ordered[:half], ordered[half:][::-1])  # from the top
    top, ceiling = 0.28 * len(bars) + 0.45, 1.75 if known else 0.85
    depth = top + max(sum(map(_height, side)) for side in sides)
    # the names' room at either side, in points; what is left is the axis's
    left, right = (width_of(part for each in side for part in broken(each.method)) + 52 for side in sides)
    width = max(330.0, left + right + max(130, 24 * (count - 1)))
    unit = (width - left - right) / (count - 1)  # points between two ranks
    figure, axes = canvas(width / 72, (ceiling + depth) * _UNIT)
    axes.set_position((0, 0, 1, 1))
    figure.set_layout_engine("none")
    figure.patch.set_visible(ink == INK)
    axes.set_axis_off()
    axes.hlines(0, 1, count, color=ink, linewidth=1.2)
    for tick in range(1, count + 1):
        axes.vlines(tick, 0, 0.15, color=ink, linewidth=1)
        axes.text(tick, 0.22, str(tick), ha="center", va="bottom", fontsize=SMALL, color=ink)
    for row, (first, last) in enumerate(bars):
        ends = (ordered[first].rank - 4 / unit, ordered[last].rank + 4 / unit)
        axes.hlines(-0.28 * (row + 1), *ends, color=ink, linewidth=3)
    for names, edge, side, out in ((sides[0], 1 - 12 / unit, "right", -1), (sides[1], count + 12 / unit, "left", 1)):
        below = -top
        for each in names:
            height, colour = below - _height(each) / 2 + _ROW / 2, looks[each.method].colour
            below -= _height(each)
            axes.plot([each.rank, each.rank, edge], [0, height, height], color=colour, linewidth=1.3)
            axes.plot([each.rank], [0], "o", color=colour, markersize=4)
            kind: dict[str, Any] = {"ha": side, "va": "center", "fontsize": SMALL, "color": ink}
            axes.text(edge + 4 * out / unit, height, f"{each.rank:.2f}", **kind)
            axes.text(edge + 34 * out / unit, height, fitted(each.method), linespacing=1.2, **kind)
    if known:
        axes.hlines(1.0, 1, 1 + gap, color=ink, linewidth=1.5)
        told = f"critical difference {gap:.2f}"
        axes.text(1, 1.1, told, ha="left", va="bottom", fontsize=SMALL, color=ink)
    axes.set_ylim(-depth, ceiling)
    axes.set_xlim(1 - left / unit, count + right / unit)
    return figure


def _by_rank(comparison: Comparison) -> list[Standing]:
    return sorted(comparison.standings, key=lambda each: each.rank)


def _height(each: Standing) -> float:
    return _ROW + _LINE * (len(broken(each.method)) - 1)


def cliques(ranks: Sequence[float], gap: float) -> list[tuple[int, int]]:
    """Return the first and last place of each stretch of ranks nearer than ``gap``, as large as it can be.

    None where the gap is not a number, or infinite.
    """
    found: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks if math.isfinite(gap) else ()):
        last = max(at for at in range(first, len(ranks)) if at == first or ranks[at] - rank < gap)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def rows(comparison: Comparison, looks: Mapping[str, Look]) -> str:
    """Return the diagram as it stands on a narrow page: a row each method, and the bars at the right."""
    ordered, gap = _by_rank(comparison), comparison.critical_difference
    order, scale = [each.method for each in ordered], Scale(0.75, len(ordered) + 0.25)
    groups = [order[first : last + 1] for first, last in cliques([each.rank for each in ordered], gap)]
    ticks = [tick for tick in scale.ticks(7) if tick == int(tick)]
    ground = "".join(upright(scale.share(tick), "grid") for tick in ticks)
    found = ""
    for each in ordered:
        dot = mark(looks[each.method].mark, scale.share(each.rank), "50%", extra='class="run"')
        found += (
            f'<li style="--c:{looks[each.method].variable}"><div class="name">{named(each.method, looks[each.method])}'
            f'</div><div class="strip"><svg class="row" aria-hidden="true">{ground}{dot}</svg></div>'
            f'<div class="number"><b>{each.rank:.2f}</b></div>'
            f"{bars_of(each.method, order, groups, 'nearer than the critical difference to')}</li>"
        )
    texts = "".join(f'<span style="left:{100 * scale.share(tick):.2f}%">{tick:.0f}</span>' for tick in ticks)
    room = f'<div class="bars">{"<i></i>" * len(groups)}</div>'
    found += f'<li class="ticks-row" aria-hidden="true"><div class="strip ticks">{texts}</div>{room}</li>'
    return f'<ol class="ranking narrow">{found}</ol>'


def caption(comparison: Comparison) -> str:
    """Return what stands under the diagram: what it means, and how far it is to be trusted."""
    gap, level = comparison.critical_difference, f"{comparison.level:g}"
    told = "Each method stands at its mean rank over the seeds: 1 is the best on every seed."
    if math.isfinite(gap):
        told += f" A bar joins methods whose mean ranks differ by less than the critical difference, {gap:.2f}"
        told += f" (Nemenyi's, level {level})."
    elif all(pair.ties == pair.runs for pair in comparison.pairs):
        told += " No bar is drawn, because there is no critical difference: all ranks are equal."
    else:
        seeds = plural(comparison.seeds, "seed")
        told += f" No bar is drawn, because there is no critical difference: with {seeds} even the largest difference"
        told += f" of mean ranks comes about by chance more often than the level of {level} allows."
    return (
        f"{told} That all methods are alike has p {probability(comparison.p_any)} (Friedman's test). All this is a "
        "rough guide: a method's mean rank depends on which others it is compared with. What is told apart is decided "
        "by the exact tests of the pairs, above."
    )
