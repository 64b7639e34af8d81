"""The ranking of a study as a picture: each method a row, each run a mark, what is not told apart joined by bars."""

from collections.abc import Mapping, Sequence
from html import escape

from adversarium.study import statistics
from adversarium.study._chart import Scale, mark
from adversarium.study._html import fold, named, paragraph, section, table
from adversarium.study._looks import Look
from adversarium.study._numbers import interval, number, values_of
from adversarium.study.compare import Comparison, Standing
from adversarium.study.wording import plural

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
        f"{comparison.protocol} at the end of the budget, {direction(comparison.better)}; the best mean rank first.",
        "Each mark is one run, the upright line the median, the band its bootstrap interval.",
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
        fold("The same as a table", _table(comparison, looks)),
    )


class _Strip:
    """Where values lie in a row, and where runs without one."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        self.scale = Scale.of(values_of(comparison))
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
        found = "".join(_upright(self.at(tick), "grid") for tick in self.scale.ticks())
        if self.comparison.floor is not None:
            found += _upright(self.at(self.comparison.floor), "floor")
        return found + (_upright(self.edge, "lane") if self.lane else "")

    def axis(self, bars: int) -> str:
        """Return the row below the others, with the axis's numbers."""
        texts = [(self.at(tick), number(tick), "") for tick in self.scale.ticks()]
        if self.comparison.floor is not None:
            x = self.at(self.comparison.floor)
            side = " to-right" if x < 0.15 else " to-left" if x > 0.85 else ""
            texts.append((x, "real samples", f"second{side}"))
        if self.lane:
            texts.append((self.at(None), "failed", "lane"))
        spans = "".join(f'<span class="{kind}" style="left:{100 * x:.2f}%">{text}</span>' for x, text, kind in texts)
        room = '<div class="bars">' + "<i></i>" * bars + "</div>"
        return f'<li class="ticks-row" aria-hidden="true"><div class="strip ticks">{spans}</div>{room}</li>'


def _row(each: Standing, comparison: Comparison, strip: _Strip, look: Look, seeds: Sequence[int]) -> str:
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
        f"{each.method}: median {number(each.median)}, interval {interval(each.interval)}, "
        f"runs {', '.join(map(number, each.values))}"
    )
    trouble = [f"{each.failed} failed"] * bool(each.failed) + [f"{each.collapsed} collapsed"] * bool(each.collapsed)
    below = f"<br><span>of {each.runs}: {', '.join(trouble)}</span>" if trouble else ""
    return (
        f'<li style="--c:{look.variable}"><div class="name">{named(each.method, look)}</div>'
        f'<div class="strip"><svg class="row" role="img" aria-label="{escape(label)}">{shapes}</svg></div>'
        f'<div class="number"><b>{number(each.median)}</b> <span>{interval(each.interval)}</span>{below}</div>'
        f"{_bars(each.method, comparison)}</li>"
    )


def _upright(x: float, kind: str) -> str:
    return f'<line x1="{100 * x:.2f}%" x2="{100 * x:.2f}%" y1="0" y2="100%" class="{kind}"/>'


def _bars(method: str, comparison: Comparison) -> str:
    """Return what joins this row to others: a bar for each group, dots where it passes a method outside of it."""
    order = [each.method for each in comparison.standings]
    cells = ""
    for group in comparison.groups:
        if len(group) < 2:
            continue
        places = sorted(order.index(name) for name in group)
        here = order.index(method)
        kind = "in" if here in places else "gap" if places[0] < here < places[-1] else ""
        kind += " first" * (here == places[0]) + " last" * (here == places[-1])
        cells += f'<i class="{kind}"></i>'
    mates = sorted({name for group in comparison.groups if method in group for name in group} - {method})
    label = f"not told apart from {', '.join(mates)}" if mates else "told apart from all others"
    return f'<div class="bars" role="img" aria-label="{escape(label)}" title="{escape(label)}">{cells}</div>'


def _table(comparison: Comparison, looks: Mapping[str, Look]) -> str:
    rows = [
        [
            named(each.method, looks[each.method]),
            f"{each.rank:.2f}",
            number(each.median),
            interval(each.interval),
            interval(each.quartiles),
            number(min(each.values, key=lambda value: statistics.cost(value, comparison.better))),
            number(max(each.values, key=lambda value: statistics.cost(value, comparison.better))),
            f"{each.failed}",
            f"{each.collapsed}",
            plural(each.runs, "run"),
        ]
        for each in comparison.standings
    ]
    names = ["method", "mean rank", "median", "interval", "quartiles", "best", "worst", "failed", "collapsed", "of"]
    return table(names, rows, label="Ranking in numbers")
