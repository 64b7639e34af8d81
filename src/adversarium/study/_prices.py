"""What methods cost, in sentences: with the spread over seeds, and one called cheaper only where a test says so."""

from collections.abc import Mapping, Sequence

from adversarium.study import power
from adversarium.study._compared import whole
from adversarium.study.compare import Comparison, Pair, Standing
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
    kimg = spread([run.kimg for run in ended], "{:.3g}".format, " kimg")
    gradients = spread([run.gradients for run in ended], "{:,.0f}".format, " gradients")
    budget = comparison.budget
    if budget is not None and budget.unit == "seconds":
        told = f"In {duration(budget.amount)} of training {best.method} was shown {kimg}, and took {gradients}"
    else:
        time = spread([run.seconds for run in ended], duration)
        if best.together > 1:
            time = f"{duration(best.seconds)} (its share of a stack of {best.together})"
        told = f"A run of {best.method} takes {time}, {kimg} and {gradients}"
    return f"{told}{_of_medians(told, len(ended))}."


def _of_medians(told: str, runs: int) -> str:
    return f": medians and ranges of {plural(runs, 'run')}" if " to " in told else " (the median run)"


def among(comparison: Comparison, tied: Sequence[Standing], runs: Mapping[str, Sequence[Record]]) -> str:
    """Say which of those that are too close to call is cheaper, sooner there, or had fewer bad runs.

    Args:
        comparison: of all.
        tied: those.
        runs: all, by method.
    """
    told = [_cheaper(comparison, tied, runs), _sooner(comparison, tied), _steadier(tied)]
    said = "; ".join(each for each in told if each)
    who = (
        names([each.method for each in tied]) if len(tied) <= _NAMED else f"the {len(tied)} that are too close to call"
    )
    return f"Of {who}: {said}." if said else ""


def _cheaper(comparison: Comparison, tied: Sequence[Standing], runs: Mapping[str, Sequence[Record]]) -> str:
    if comparison.budget is not None and comparison.budget.unit == "seconds":
        return ""  # all cost the same, by what was asked for
    if _stacked(comparison):
        return _fewer_gradients(tied)
    cost = {each.method: each.seconds for each in tied}
    clear = [
        pair for pair in _decided(comparison.cheaper, cost, comparison.level)
        if cost[pair.worse] >= MATTERS * cost[pair.better]
    ]  # fmt: skip
    low, high = min(cost.values()), max(cost.values())
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
    why = f"which {plural(comparison.seeds, 'seed')} are too few to test" if _few(comparison) else "too close to call"
    return f"a run costs {' to '.join(ends)} in the median, {why}"


def _fewer_gradients(tied: Sequence[Standing]) -> str:
    """Compare what is counted: the seconds of runs that were trained stacked are shares of one time."""
    least, most = min(tied, key=lambda each: each.gradients), max(tied, key=lambda each: each.gradients)
    if most.gradients < MATTERS * least.gradients:
        return ""
    numbers = f"{least.gradients:,.0f} a run; {most.method} {most.gradients:,.0f}"
    return f"{least.method} takes the fewest gradients ({numbers})"


def _few(comparison: Comparison) -> bool:
    """Return whether no test could find anything."""
    return comparison.seeds < power.least_seeds(len(comparison.pairs), comparison.level)


def _stacked(comparison: Comparison) -> bool:
    return any(each.together > 1 for each in comparison.standings)


def _sooner(comparison: Comparison, tied: Sequence[Standing]) -> str:
    stacked = _stacked(comparison)
    if comparison.quality is None or not any(each.reached for each in tied) or _few(comparison):
        return ""
    goal = f"{short(comparison.protocol)} {comparison.quality:.3g}"
    clear = _decided(comparison.sooner, [each.method for each in tied], comparison.level)
    if not clear:
        return f"how soon they get to {goal} is too close to call"
    first, beaten = _most(clear)
    (winner,) = (each for each in tied if each.method == first)
    span = winner.kimg_to_quality if stacked else winner.seconds_to_quality
    half = ""
    if span is not None:
        half = f" (half of its runs in {f'{span:.3g} kimg' if stacked else duration(span)})"
    return f"{first} gets to {goal} sooner than {_others(beaten, tied)}{half}"


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
