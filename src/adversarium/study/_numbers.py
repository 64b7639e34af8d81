"""What a report draws and tells, as numbers: who stands where, the middle of runs that partly failed, who differs."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adversarium.study import statistics
from adversarium.study.comparison import Comparison
from adversarium.study.record import Record

_NOT_SETTINGS = ("seed", "out")  # of a run, not of its method


AXES = {
    "seconds": "seconds of training",
    "kimg": "thousands of real samples shown to the critic (kimg)",
    "gradients": "gradients of either player",
}
"""What quality is drawn over, and the axis's title."""


def number(value: float | None, digits: int = 4) -> str:
    """Return a number in a few digits; ``failed`` for that of a failed run."""
    if value is None:
        return "failed"
    short = f"{value + 0.0:.{digits}g}"  # of two zeros only the one without a sign
    if 10**digits <= abs(float(short)) < 1e7:
        short = f"{float(short):.0f}"  # 110 rather than 1.1e+02
    return short.replace("-", "−")


def interval(ends: Sequence[float | None]) -> str:
    """Return an interval, the lower number first; an end that falls on failed runs is the last."""
    return " to ".join(number(end) for end in sorted(ends, key=lambda end: math.inf if end is None else end))


def quartiles(values: Sequence[float | None], better: str | float) -> tuple[float | None, float | None, float | None]:
    """Return the values that 25 %, 50 % and 75 % are better than; ``None`` where one falls on failed runs."""
    costs, side = [statistics.cost(value, better) for value in values], statistics.side_of(values, better)
    low, middle, high = (
        statistics.value_of(statistics.quantile(costs, share), better, side) for share in (0.25, 0.5, 0.75)
    )
    return low, middle, high


@dataclass(frozen=True)
class Moment:
    """All runs of a method at one of their measurements.

    Attributes:
        along: how far they were by each of ``AXES``, the median of those that still ran.
        quartiles: of the values, the better first: 25 %, the median, 75 %; ``None`` where they fall on failed runs.
    """

    along: Mapping[str, float]
    quartiles: tuple[float | None, float | None, float | None]


def course(records: Sequence[Record], better: str | float) -> list[Moment]:
    """Return the quality of a method's runs over time; a run that ended early has failed from there on."""
    moments = []
    for place in range(max((len(record.curve) for record in records), default=0)):
        reached = [record.curve[place] for record in records if place < len(record.curve)]
        values = [point.value for point in reached] + [None] * (len(records) - len(reached))
        along = {axis: statistics.quantile([getattr(point, axis) for point in reached], 0.5) for axis in AXES}
        moments.append(Moment(along, quartiles(values, better)))
    return moments


def by_method(records: Sequence[Record], methods: Sequence[str]) -> dict[str, list[Record]]:
    """Return each method's records, by seed; methods without any have an empty list."""
    return {
        name: sorted((record for record in records if record.method == name), key=lambda record: record.seed)
        for name in methods
    }


def shared_seeds(runs: Mapping[str, Sequence[Record]]) -> list[int]:
    """Return the seeds that all methods have."""
    sets = [{record.seed for record in each} for each in runs.values() if each]
    return sorted(set.intersection(*sets)) if sets else []


def place(record: Record, runs: Sequence[Record], better: str | float) -> str:
    """Return where a run stands among those of its method, in words."""
    ordered = sorted(statistics.cost(each.value, better) for each in runs)
    if record.failed:
        return f"failed, as {sum(each.failed for each in runs)} of {len(runs)} did"
    at = ordered.index(statistics.cost(record.value, better))
    if len(runs) == 1:
        return "the only run"
    names = {0: "the best", len(runs) - 1: "the worst", (len(runs) - 1) // 2: "the median run"}
    return f"{names.get(at, _ordinal(at + 1) + ' best')} of {len(runs)}"


def _ordinal(at: int) -> str:
    ending = "th" if 10 <= at % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(at % 10, "th")
    return f"{at}{ending}"


def typical_seed(runs: Mapping[str, Sequence[Record]], better: str | float) -> int | None:
    """Return the seed whose runs are, over all methods, nearest to the median of their method's.

    Among seeds for which every method has samples, or as many as can be; ``None`` where no run has any.
    """
    away: dict[int, list[float]] = {}
    for each in runs.values():
        ordered = sorted(each, key=lambda record: statistics.cost(record.value, better))
        for rank, record in enumerate(ordered):
            if record.samples is not None and len(record.samples):
                away.setdefault(record.seed, []).append(abs(rank - (len(ordered) - 1) / 2))
    return min(away, key=lambda seed: (-len(away[seed]), sum(away[seed]), seed)) if away else None


def values_of(comparison: Comparison) -> list[float]:
    """Return every number that a figure of the ranking shows."""
    found = [comparison.floor]
    for each in comparison.standings:
        found += [*each.values, *each.interval, each.median]
    return [value for value in found if value is not None]


@dataclass(frozen=True)
class Settings:
    """The options of a study's runs.

    Attributes:
        differing: options whose values differ between methods: by option, by method, the values of its runs as text.
        shared: the others, with the value as text.
    """

    differing: Mapping[str, Mapping[str, str]]
    shared: Mapping[str, str]


def settings_of(records: Sequence[Record], show: Callable[[Any], str] = json.dumps) -> Settings:
    """Return which options differ between methods, and which do not."""
    values: dict[str, dict[str, list[str]]] = {}
    methods = list(dict.fromkeys(record.method for record in records if record.options))
    for record in records:
        for name, value in record.options.items():
            of_method = values.setdefault(name, {}).setdefault(record.method, [])
            if (text := show(value)) not in of_method:
                of_method.append(text)
    differing, shared = {}, {}
    for name in sorted(set(values) - set(_NOT_SETTINGS)):
        texts = {method: ", ".join(values[name].get(method, [])) for method in methods}
        if len(set(texts.values())) > 1:
            differing[name] = texts
        else:
            shared[name] = next(iter(texts.values()))
    return Settings(differing, shared)
