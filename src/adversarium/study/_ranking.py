"""The ranking of a study as a picture: each method a row, each run a mark, what is not told apart joined by bars."""

import dataclasses
from collections.abc import Mapping, Sequence
from html import escape

from adversarium.study._chart import Scale, beyond, mark, upright
from adversarium.study._html import fold, named, paragraph, section
from adversarium.study._looks import Look
from adversarium.study._numbers import interval, number, values_of
from adversarium.study._tables import standings
from adversarium.study.comparison import Comparison, Standing
from adversarium.study.wording import RANGE_BELOW, interval_name, title

_LANE = 0.11  # of the width, for runs without a number


def direction(better: str | float) -> str:
    """Return which values are better, in words."""
    return f"{better} is better" if isinstance(better, str) else f"{number(better)} is best"


def ranking(comparison: Comparison, looks: Mapping[str, Look], seeds: Sequence[int]) -> str:
    """Return the section with the ranking."""
    strip = _Strip(comparison)
    rows = "".join(_row(each, comparison, strip, looks[each.method], seeds) for each in comparison.standings)
    joined = [group for group in comparison.groups if len(group) > 1]
    told = [
        f"At the end of the budget: {title(comparison.protocol)}, {direction(comparison.better)}. The order "
        "is that of the mean rank over the seeds, below each name; that of the medians may be another.",
        f"Each mark is one run, the upright line the median, the band {_band(comparison.seeds)}.",
        "Crosses are runs that failed: they count as worse than any number."
        * any(each.failed for each in comparison.standings),
        "Methods that a bar at the right joins are not told apart" * bool(joined)
        + f" (level {comparison.level:g}, all pairs together)." * bool(joined),
        "The axis is logarithmic." * strip.scale.log,
    ]
    return section(
        "ranking",
        "Ranking",
        paragraph(" ".join(part for part in told if part)),
        f'<ol class="ranking">{rows}{strip.axis(len(joined))}</ol>',
        fold("The same as a table", standings(comparison, looks)),
    )


def _band(seeds: int) -> str:
    """Return what the band in a row is, in words."""
    name = interval_name(seeds)
    return f"its {name}" if seeds >= RANGE_BELOW else f"the {name} (an interval of 95 % takes {RANGE_BELOW})"


def scale_of(comparison: Comparison) -> Scale:
    """Return the axis of values for all runs; the real samples' value may lie out of it."""
    return Scale.beside(values_of(dataclasses.replace(comparison, floor=None)), comparison.floor)


class _Strip:
    """Where values lie in a row, and where runs without one."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        self.scale = scale_of(comparison)
        some_failed = any(each.failed for each in comparison.standings)
        self.left = comparison.better == "higher"  # the worse edge
        self.lane = _LANE if some_failed else 0.0

    def at(self, value: float | None) -> float:
        """Return a value's place from 0 to 1; that of the lane's middle for a run that failed."""
        if value is None:
            return self.lane / 2 if self.left else 1 - self.lane / 2
        share = self.scale.share(value) * (1 - self.lane)
        return share + self.lane if self.left else share

    @property
    def edge(self) -> float:
        """Where the lane begins."""
        return self.lane if self.left else 1 - self.lane

    def ground(self) -> str:
        """Return what is behind the marks of every row."""
        found = "".join(upright(self.at(tick), "grid") for tick in self.scale.ticks())
        if self.comparison.floor is not None and self.scale.shows(self.comparison.floor):
            found += upright(self.at(self.comparison.floor), "floor")
        return found + (upright(self.edge, "lane") if self.lane else "")

    def axis(self, bars: int) -> str:
        """Return the row below the others, with the axis's numbers."""
        texts = [(self.at(tick), number(tick), "") for tick in self.scale.ticks()]
        if away := beyond(self.comparison.floor, self.scale, "←→"):
            low = away.startswith("←")
            texts.append(
                (self.at(self.scale.low if low else self.scale.high), away, f"second to-{'right' if low else 'left'}")
            )
        elif self.comparison.floor is not None:
            x = self.at(self.comparison.floor)
            side = " to-right" if x < 0.15 else " to-left" if x > 0.85 else ""
            texts.append((x, "real samples", f"second{side}"))
        if self.lane:
            texts.append((self.at(None), "failed", "lane"))
        spans = "".join(f'<span class="{kind}" style="left:{100 * x:.2f}%">{text}</span>' for x, text, kind in texts)
        room = '<div class="bars">' + "<i></i>" * bars + "</div>"
        return f'<li class="ticks-row" aria-hidden="true"><div class="strip ticks">{spans}</div>{room}</li>'


def _row(each: Standing, comparison: Comparison, strip: _Strip, look: Look, seeds: Sequence[int]) -> str:
    order = [other.method for other in comparison.standings]
    shapes = strip.ground()
    ends = sorted(strip.at(end) for end in each.interval)
    shapes += f'<line x1="{100 * ends[0]:.2f}%" x2="{100 * ends[1]:.2f}%" y1="50%" y2="50%" class="range"/>'
    known = list(seeds) if len(seeds) == each.runs else list(range(1, each.runs + 1))
    failures = [seed for seed, value in zip(known, each.values, strict=True) if value is None]
    for place, (seed, value) in enumerate(zip(known, each.values, strict=True)):
        height = f"{50 + (-15, 0, 15)[place % 3]}%"  # runs that are alike do not hide each other
        if value is None:
            x = strip.at(None) + 0.8 * strip.lane * ((failures.index(seed) + 0.5) / len(failures) - 0.5)
            shapes += mark("cross", x, height, title=f"seed {seed}: failed", extra='class="failed"')
        else:
            told = f"seed {seed}: {number(value)}"
            shapes += mark(look.mark, strip.at(value), height, title=told, extra='class="run"')
    middle = f"{100 * strip.at(each.median):.2f}%"
    shapes += f'<line x1="{middle}" x2="{middle}" y1="22%" y2="78%" stroke="currentColor" stroke-width="3"/>'
    label = (
        f"{each.method}: median {number(each.median)}, {interval_name(comparison.seeds)} {interval(each.interval)}, "
        f"runs {', '.join(map(number, each.values))}"
    )
    trouble = [f"{each.failed} failed"] * bool(each.failed) + [f"{each.collapsed} collapsed"] * bool(each.collapsed)
    below = f"<br><span>of {each.runs}: {', '.join(trouble)}</span>" if trouble else ""
    return (
        f'<li style="--c:{look.variable}"><div class="name">{named(each.method, look)}'
        f'<span class="rank">mean rank {each.rank:.2f}</span></div>'
        f'<div class="strip"><svg class="row" role="img" aria-label="{escape(label)}">{shapes}</svg></div>'
        f'<div class="number"><b>{number(each.median)}</b> <span>{interval(each.interval)}</span>{below}</div>'
        f"{bars_of(each.method, order, comparison.groups, 'not told apart from')}</li>"
    )


def bars_of(method: str, order: Sequence[str], groups: Sequence[Sequence[str]], how: str) -> str:
    """Return what joins a row to others: a bar for each group, dots where it passes a method outside of it.

    Args:
        method: the row's.
        order: of all rows.
        groups: of methods, those of one only have no bar.
        how: what the methods of a group are, read aloud before their names.
    """
    cells = ""
    for group in groups:
        if len(group) < 2:
            continue
        places = sorted(order.index(name) for name in group)
        here = order.index(method)
        kind = "in" if here in places else "gap" if places[0] < here < places[-1] else ""
        kind += " first" * (here == places[0]) + " last" * (here == places[-1])
        cells += f'<i class="{kind}"></i>'
    mates = sorted({name for group in groups if method in group for name in group} - {method})
    label = f"{how} {', '.join(mates)}" if mates else f"{how} no other"
    return f'<div class="bars" role="img" aria-label="{escape(label)}" title="{escape(label)}">{cells}</div>'
