"""Quality over time: the medians of all methods on one chart, then each method by itself with all of its runs."""

from collections.abc import Mapping, Sequence

from adversarium.study._chart import Scale, area, beyond, chart, line
from adversarium.study._html import legend, many, named, paragraph, section
from adversarium.study._looks import Look
from adversarium.study._numbers import AXES, Moment, course, number
from adversarium.study._ranking import direction
from adversarium.study.comparison import Comparison
from adversarium.study.record import Record
from adversarium.study.wording import short, title

_FEW = 4  # methods whose spreads can be told apart on one chart


def axes_of(unit: str) -> tuple[str, ...]:
    """Return what quality is drawn over: the budget's unit first, and time beside the work done in it."""
    return ("seconds", "kimg") if unit == "seconds" else (unit, "seconds")


def courses(runs: Mapping[str, Sequence[Record]], comparison: Comparison, looks: Mapping[str, Look], unit: str) -> str:
    """Return the section on quality over time; empty where nothing was measured on the way."""
    moments = {name: course(each, comparison.better) for name, each in runs.items()}
    shown = [value for each in moments.values() for value in _values(each)]
    if not shown:
        return ""
    up = scale_of(runs, comparison)
    order = [each.method for each in comparison.standings]
    order += [name for name in runs if name not in order]
    charts = "".join(_all(moments, comparison, looks, axis, up) for axis in axes_of(unit))
    told = (
        f"{title(comparison.protocol)}, {direction(comparison.better)}: the median over seeds"
        f"{', and the band from the first to the third quartile' * (len(runs) <= _FEW)}. A line ends where the median "
        f"run has failed. The value at the end of the budget is what counts, not the best on the way."
    )
    floor = "The dashed line: real samples." if comparison.floor is not None else ""
    if beyond(comparison.floor, up):
        floor = f"The real samples' own value, {number(comparison.floor)}, is out of view."
    return section(
        "time",
        "Quality over time",
        paragraph(" ".join([told, floor]).strip()),
        legend(dict(looks), order),
        f'<div class="charts">{charts}</div>',
        "<h3>Each method, with all of its runs</h3>",
        paragraph("Bold: the median. The band: the quartiles. Thin: one run. Grey: the other methods' medians."),
        many([_one(name, runs, moments, comparison, looks, unit, up) for name in order]),
    )


def scale_of(runs: Mapping[str, Sequence[Record]], comparison: Comparison) -> Scale:
    """Return the axis of values for all runs' curves; the real samples' value may lie out of it."""
    values = [point.value for each in runs.values() for record in each for point in record.curve]
    return Scale.beside((value for value in values if value is not None), comparison.floor)


def _values(moments: Sequence[Moment]) -> list[float]:
    return [value for moment in moments for value in moment.quartiles if value is not None]


def _points(moments: Sequence[Moment], axis: str) -> list[tuple[float, float | None]]:
    return [(moment.along[axis], moment.quartiles[1]) for moment in moments]


def band(moments: Sequence[Moment], axis: str, up: Scale, better: str | float) -> list[tuple[float, float, float]]:
    """Return ``[(x, lower, upper)]`` of the quartiles; one that falls on failed runs lies at the worse edge."""
    worst = up.low if better == "higher" else up.high
    return [
        (moment.along[axis], low, worst if high is None else high)
        for moment in moments
        for low, _, high in [moment.quartiles]
        if low is not None
    ]


def _across(runs: Mapping[str, Sequence[Record]], axis: str) -> Scale:
    end = max((getattr(point, axis) for each in runs.values() for run in each for point in run.curve), default=1.0)
    return Scale(0.0, end or 1.0)


def _floor(comparison: Comparison, up: Scale) -> str:
    if comparison.floor is None or not up.shows(comparison.floor):
        return ""
    height = 1000 * (1 - up.share(comparison.floor))
    return f'<path d="M0 {height:.0f}H1000" class="floor"/>'


def _drawn(points: Sequence[tuple[float, float | None]], x: Scale, up: Scale, look: Look, kind: str) -> str:
    dashes = f' stroke-dasharray="{look.dashes}"' if look.dashes and kind == "median" else ""
    style = f' style="--c:{look.variable}"'
    return f'<path d="{line(points, x, up)}" class="{kind}"{style}{dashes}/>'


def _all(
    moments: Mapping[str, Sequence[Moment]], comparison: Comparison, looks: Mapping[str, Look], axis: str, up: Scale
) -> str:
    end = max((moment.along[axis] for each in moments.values() for moment in each), default=1.0)
    x = Scale(0.0, end or 1.0)
    shapes = _floor(comparison, up)
    if len(moments) <= _FEW:
        for name, each in moments.items():
            path = area(band(each, axis, up, comparison.better), x, up)
            shapes += f'<path d="{path}" class="band" style="--c:{looks[name].variable};stroke:none"/>'
    for name, each in moments.items():
        shapes += _drawn(_points(each, axis), x, up, looks[name], "median")
    ends = [f"{name} {number(each[-1].quartiles[1])}" for name, each in moments.items() if each]
    label = f"{short(comparison.protocol)} over {AXES[axis]}, medians; at the end: {', '.join(ends)}"
    edge = beyond(comparison.floor, up)
    return chart(shapes, x, up, label=label, below=AXES[axis], height="18rem", edge=edge)


def _one(
    name: str,
    runs: Mapping[str, Sequence[Record]],
    moments: Mapping[str, Sequence[Moment]],
    comparison: Comparison,
    looks: Mapping[str, Look],
    axis: str,
    up: Scale,
) -> str:
    x, look = _across(runs, axis), looks[name]
    shapes = "".join(
        _drawn(_points(each, axis), x, up, looks[other], "other") for other, each in moments.items() if other != name
    )
    path = area(band(moments[name], axis, up, comparison.better), x, up)
    shapes += f'{_floor(comparison, up)}<path d="{path}" class="band" style="--c:{look.variable};stroke:none"/>'
    for record in runs[name]:
        points = [(getattr(point, axis), point.value) for point in record.curve]
        shapes += _drawn(points, x, up, look, "one")
    shapes += _drawn(_points(moments[name], axis), x, up, look, "median")
    ends = ", ".join(f"seed {record.seed} {number(record.value)}" for record in runs[name])
    drawn = chart(shapes, x, up, label=f"{name} over {AXES[axis]}: {ends}", below=axis, height="8rem", most=3)
    return f"<div><h4>{named(name, look)}</h4>{drawn}</div>"
