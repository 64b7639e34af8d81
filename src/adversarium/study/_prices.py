"""What methods cost, in sentences: with the spread over seeds, and one called cheaper only where a test says so."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from adversarium.study import power
from adversarium.study._compared import whole
from adversarium.study.comparison import Comparison, Pair, Standing
from adversarium.study.record import Record
from adversarium.study.wording import duration, names, plural, short, spread

MATTERS = 1.2
"""Costs that differ by a smaller factor are about the same, whatever a test says."""

_NAMED = 6  # so many methods are named one by one


def price(comparison: Comparison, best: Standing, runs: Sequence[Record]) -> str:
    """Return what a run of the best method costs.

    Args:
        comparison: of all.
        best: the best method.
        runs: its own.
    """
    ended = whole(runs)
    kimg, gradients, seconds = (
        _Amounts([run.kimg for run in ended], "{:.3g}".format, " kimg"),
        _Amounts([run.gradients for run in ended], "{:,.0f}".format, " gradients"),
        _Amounts([run.seconds for run in ended], duration),
    )
    if comparison.timed and comparison.budget is not None:
        time, shown = duration(comparison.budget.amount), [kimg, gradients]
        told = f"In {time} of training {best.method} was shown {kimg.told}, and took {gradients.told}"
    elif best.together > 1:
        time, shown = f"{duration(best.seconds)} (its share of a stack of {best.together})", [kimg, gradients]
        told = f"A run of {best.method} takes {time}, {kimg.told} and {gradients.told}"
    else:
        shown = [each for each in (seconds, kimg, gradients) if any(each.values)]  # what was not counted is 0
        if not shown:
            return ""
        told = f"A run of {best.method} takes {names([each.told for each in shown])}"
    ranged = any(each.ranged for each in shown)
    return told + (f": medians and ranges of {plural(len(ended), 'run')}." if ranged else " (the median run).")


class _Amounts(NamedTuple):
    """What some runs took."""

    values: Sequence[float]
    show: Callable[[float], str]
    unit: str = ""

    @property
    def told(self) -> str:
        return spread(self.values, self.show, self.unit)

    @property
    def ranged(self) -> bool:
        return self.show(min(self.values)) != self.show(max(self.values))


def among(comparison: Comparison, tied: Sequence[Standing], runs: Mapping[str, Sequence[Record]]) -> str:
    """Say which of those that are too close to call is cheaper, sooner there, or had fewer bad runs.

    Args:
        comparison: of all.
        tied: those.
        runs: all, by method.
    """
    tied = [each for each in tied if each.alive]  # that a method always failed is said elsewhere
    if len(tied) < 2:
        return ""
    told = [_cheaper(comparison, tied, runs), _sooner(comparison, tied), _steadier(tied)]
    said = "; ".join(each for each in told if each)
    who = (
        names([each.method for each in tied]) if len(tied) <= _NAMED else f"the {len(tied)} that are too close to call"
    )
    return f"Of {who}: {said}." if said else ""


def _cheaper(comparison: Comparison, tied: Sequence[Standing], runs: Mapping[str, Sequence[Record]]) -> str:
    if comparison.timed:
        return ""  # all cost the same, by what was asked for
    if comparison.stacked:
        return _fewer_gradients(tied)
    cost = {each.method: each.seconds for each in tied}
    clear = [
        pair for pair in _decided(comparison.cheaper, cost, comparison.level)
        if cost[pair.worse] >= MATTERS * cost[pair.better]
    ]  # fmt: skip
    low, high = min(cost.values()), max(cost.values())
    if high == 0:
        return ""  # nobody took the time
    if clear:
        first, beaten = _most(clear)
        one, rest = (
            spread([run.seconds for method in methods for run in whole(runs[method])], duration)
            for methods in ([first], beaten)
        )
        return f"{first} is cheaper than {_others(beaten, tied)}, {one} a run against {rest}"
    if high < MATTERS * low:
        alike = duration(low) if duration(low) == duration(high) else f"{duration(low)} to {duration(high)}"
        return f"a run costs about the same ({alike})"
    ends = [
        f"{duration(cost[name])} ({name})"
        for name in (min(cost, key=cost.__getitem__), max(cost, key=cost.__getitem__))
    ]
    return f"a run costs {' to '.join(ends)} in the median, {_undecided(comparison, comparison.cheaper, cost)}"


def _fewer_gradients(tied: Sequence[Standing]) -> str:
    """Compare what is counted: the seconds of runs that were trained stacked are shares of one time."""
    least, most = min(tied, key=lambda each: each.gradients), max(tied, key=lambda each: each.gradients)
    if most.gradients < MATTERS * least.gradients:
        return ""
    numbers = f"{least.gradients:,.0f} a run; {most.method} {most.gradients:,.0f}"
    return f"{least.method} takes the fewest gradients ({numbers})"


def _seeds_of(pairs: Sequence[Pair], methods: Collection[str]) -> int:
    """Return on how many seeds two of some methods were compared, at most; 0 where no two were."""
    return max((pair.runs for pair in pairs if pair.better in methods and pair.worse in methods), default=0)


def _few(comparison: Comparison, pairs: Sequence[Pair], methods: Collection[str]) -> bool:
    """Return whether no test of some methods could find anything, with the correction for all pairs."""
    return not pairs or _seeds_of(pairs, methods) < power.least_seeds(len(pairs), comparison.level)


def _undecided(comparison: Comparison, pairs: Sequence[Pair], methods: Collection[str]) -> str:
    """Return why a difference is not told: it was not tested, could not be found, or was not."""
    seeds = _seeds_of(pairs, methods)
    if not seeds:
        return "not on the same seeds"
    if _few(comparison, pairs, methods):
        without = " without a failure" * (seeds < comparison.seeds)
        return f"on {plural(seeds, 'seed')}{without}, too few to test"
    return "too close to call"


def _sooner(comparison: Comparison, tied: Sequence[Standing]) -> str:
    methods = [each.method for each in tied]
    if comparison.quality is None or not any(each.reached for each in tied):
        return ""
    if not any(each.kimg if comparison.stacked else each.seconds for each in tied):
        return ""  # nobody took the time
    if _few(comparison, comparison.sooner, methods):
        return ""
    goal = f"{short(comparison.protocol)} {comparison.quality:.3g}"
    show: Callable[[float], str] = "{:.3g} kimg".format if comparison.stacked else duration
    spans = {each.method: each.kimg_to_quality if comparison.stacked else each.seconds_to_quality for each in tied}
    by = {name: math.inf if span is None else span for name, span in spans.items()}
    clear = [
        pair for pair in _decided(comparison.sooner, methods, comparison.level)
        if by[pair.worse] >= MATTERS * by[pair.better]
    ]  # fmt: skip
    if clear:
        first, beaten = _most(clear)
        half = "" if math.isinf(by[first]) else f" (half of its runs in {show(by[first])})"
        return f"{first} gets to {goal} sooner than {_others(beaten, tied)}{half}"
    if max(by.values()) < MATTERS * min(by.values()):
        return f"they get to {goal} about as soon (half of their runs in {show(min(by.values()))})"
    return f"how soon they get to {goal} is too close to call"


def _steadier(tied: Sequence[Standing]) -> str:
    """Say who had the fewest bad runs: a count, not a claim."""
    bad = {each.method: each.failed + each.collapsed for each in tied}
    least = min(bad.values())
    fewest = [method for method, count in bad.items() if count == least]
    if len(fewest) == len(tied):
        return ""
    runs = plural(tied[0].runs, "run")
    return f"the fewest failed or collapsed of {names(fewest)} ({least} of {runs})"


def _decided(pairs: Sequence[Pair], methods: Mapping[str, float] | Sequence[str], level: float) -> list[Pair]:
    """Return the pairs among some methods that the test tells apart."""
    return [pair for pair in pairs if pair.adjusted <= level and pair.better in methods and pair.worse in methods]


def _most(clear: Sequence[Pair]) -> tuple[str, list[str]]:
    """Return who is better than the most others, and than whom."""
    beaten: dict[str, list[str]] = {}
    for pair in clear:
        beaten.setdefault(pair.better, []).append(pair.worse)
    first = max(beaten, key=lambda method: len(beaten[method]))
    return first, beaten[first]


def _others(beaten: Sequence[str], tied: Sequence[Standing]) -> str:
    return "the others" if 2 < len(tied) == len(beaten) + 1 else names(beaten)
