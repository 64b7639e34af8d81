"""What a comparison comes to, in plain sentences."""

from collections.abc import Mapping, Sequence

import numpy as np

from adversarium.study import power, statistics
from adversarium.study._prices import among, price
from adversarium.study.comparison import Comparison, Pair, Standing
from adversarium.study.record import Record
from adversarium.study.wording import interval_name, names, plural, probability, title

_MOST_SEEDS = 200
_FEW = 3  # names that the answer itself has room for


def advise(comparison: Comparison, runs: Mapping[str, Sequence[Record]]) -> tuple[str, ...]:
    """Return which method to use, how sure that is, what it costs, what was too close, what failed.

    Args:
        comparison: without its advice.
        runs: those that were compared, by method.
    """
    standings = comparison.standings
    if not any(each.alive for each in standings):
        count = plural(sum(each.runs for each in standings), "run")
        return (
            f"Every run of every method failed ({count}): there is nothing to choose. Mend what they died of first.",
        )
    if all(map(_lost, standings)):
        return (_nothing(comparison), _remedy(comparison), _trouble(comparison))
    decided = [pair for pair in comparison.pairs if pair.adjusted <= comparison.level]
    beaten = {pair.worse for pair in decided}
    best = next((each for each in standings if each.method not in beaten), None)
    if best is None:
        return _told(*_circle(comparison, decided), _warning(comparison), _trouble(comparison))
    worse = [pair for pair in decided if pair.better == best.method]
    tied = [each for each in standings if each.method not in {best.method, *(pair.worse for pair in worse)}]
    warning, first = _warning(comparison), 2 * best.unlearned > best.runs
    return _told(
        _choice(comparison, best, worse, tied),
        warning * first,
        _evidence(comparison, best, worse, tied),
        price(comparison, best, runs[best.method]),
        among(comparison, [best, *tied], runs) if tied else "",
        _seeds(comparison, best, tied) if tied else "",
        warning * (not first),
        _trouble(comparison),
    )


def _told(*sentences: str) -> tuple[str, ...]:
    return tuple(each for each in sentences if each)


def _lost(each: Standing) -> bool:
    """Return whether most of the runs that did not fail ended no better than they began, or all failed."""
    return not each.alive or 2 * each.unlearned > each.runs - each.failed


def _nothing(comparison: Comparison) -> str:
    failed = ", or failed" if any(each.failed for each in comparison.standings) else ""
    return (
        "Nothing to choose yet: in this budget most runs of every method ended no better than their untrained "
        f"generators{failed}."
    )


def _remedy(comparison: Comparison) -> str:
    """Say what may help: a larger budget does not where runs diverge."""
    broken = [each.method for each in comparison.standings if each.failed > each.unlearned]
    slow = [each.method for each in comparison.standings if each.failed <= each.unlearned]
    if not broken:
        return "Try a larger budget, or other learning rates."
    if not slow:
        return "Mend what runs died of first: a larger budget is no remedy for that."
    return (
        f"Try a larger budget, or other learning rates, for {names(slow)}; mend what runs of {names(broken)} died of."
    )


def _warning(comparison: Comparison) -> str:
    """Name the methods of which most runs learned nothing."""
    lost = [each.method for each in comparison.standings if 2 * each.unlearned > each.runs]
    if not lost:
        return ""
    return f"Most runs of {names(lost)} learned nothing in this budget: try a larger one, or other learning rates."


def _choice(comparison: Comparison, best: Standing, worse: Sequence[Pair], tied: Sequence[Standing]) -> str:
    """Return the answer in few words."""
    seeds, others = plural(comparison.seeds, "seed"), len(comparison.standings) - 1
    if not worse:
        first = best.method == comparison.standings[0].method
        equal = [each.method for each in comparison.standings if each.rank == best.rank and each is not best]
        praise = f"{best.method} has the best ranks" if first else f"nothing is better than {best.method}"
        if first and equal:
            praise = f"{names([best.method, *equal])} share the best ranks"
        what = "them from each other" if first and equal else "it from any other method"
        if first and equal and len(equal) < others:
            what += ", or from any other method"
        return f"Too close to call: {praise}, but {seeds} cannot tell {what}."
    losers = names([pair.worse for pair in worse])
    if len(worse) > _FEW:
        losers = f"{len(worse)} of {others} methods" if tied else f"all {others} others"
    answer = f"Use {best.method}: better than {losers} on {seeds}"
    if not tied:
        return f"{answer}."
    close = names([each.method for each in tied]) if len(tied) <= _FEW else f"{len(tied)} others"
    return f"{answer}; {close} {'is' if len(tied) == 1 else 'are'} too close to call."


def _evidence(comparison: Comparison, best: Standing, worse: Sequence[Pair], tied: Sequence[Standing]) -> str:
    """Return the numbers that the answer rests on."""
    rank = f"mean rank {best.rank:.3g} of {len(comparison.standings)}"
    if best.median is None:
        ended = f"{best.runs - best.failed} of {best.runs} did not"
        known = f"{best.method} has {rank}, though its median run failed ({ended})"
    else:
        better = comparison.better
        aim = f"{better} is better" if isinstance(better, str) else f"{better:g} is best"
        median = f"median {title(comparison.protocol)} {best.median:.3g}{_ends(best.interval, comparison.seeds)}"
        known = f"{best.method} has {median} ({aim}), and {rank}"
    if not worse:
        least = min(pair.adjusted for pair in comparison.pairs if best.method in (pair.better, pair.worse))
        return f"{known}; the smallest corrected p is {probability(least)}."
    largest = probability(max(pair.adjusted for pair in worse))
    surely = f"corrected p {largest if largest.startswith('<') else f'≤ {largest}'}"
    known += f"; it is better than {names([pair.worse for pair in worse])} ({surely})"
    return f"{known}." if tied else f"{known}; {_lead(worse[0], comparison.seeds)}."


def _lead(pair: Pair, seeds: int) -> str:
    if pair.difference is None:
        return f"{pair.worse}, the next, failed where it did not"
    if pair.difference < 0:
        return f"{pair.worse}, the next, is ahead on most seeds, by less than it is behind on the others"
    return f"{pair.worse}, the next, is {pair.difference:.3g} behind{_ends(pair.interval, seeds)}"


def _circle(comparison: Comparison, decided: Sequence[Pair]) -> list[str]:
    """Return what there is to say where each method is worse than another: pairs may go round in a circle."""
    first = comparison.standings[0].method
    ahead = names([pair.better for pair in decided if pair.worse == first])
    behind = [pair.worse for pair in decided if pair.better == first]
    told = f"{first} has the best ranks" + (f" and is better than {names(behind)}" if behind else "")
    return [
        f"No method is the best on {plural(comparison.seeds, 'seed')}: each is worse than another.",
        f"{told}, but worse than {ahead}.",
    ]


def _seeds(comparison: Comparison, best: Standing, tied: Sequence[Standing]) -> str:
    """Say how many seeds would tell the best from the next ones, if they are as different as they seem."""
    equal: list[str] = []
    alike: dict[str, list[str]] = {}  # by how many seeds they want
    for each in tied[:_FEW]:
        costs = [[statistics.cost(value, comparison.better) for value in one.values] for one in (best, each)]
        gains = statistics.differences(costs[1], costs[0])
        if not gains.any():
            equal.append(each.method)
        elif len(gains) > 2:  # of fewer there is no estimate of how large the difference is
            alike.setdefault(_seeds_for(gains, comparison), []).append(each.method)
    parts = []
    if alike:
        (seeds, first), *others = alike.items()
        told = f"to tell {best.method} from {names(first)} takes {seeds} seeds"
        told += "".join(f", from {names(methods)} {seeds}" for seeds, methods in others)
        parts.append(f"If differences are what they seem, {told} (found then in 4 of 5 studies).")
    if equal:
        parts.append(f"No number of seeds would tell {best.method} from {names(equal)}: equal on each.")
    return " ".join(parts)


def _seeds_for(gains: statistics.Array, comparison: Comparison) -> str:
    wanted = power.seeds_needed(
        abs(power.observed_effect(gains)),
        len(comparison.pairs),
        comparison.level,
        rng=np.random.default_rng(0),
        most=_MOST_SEEDS,
    )
    if wanted is None:
        return f"more than {_MOST_SEEDS}"
    return f"about {max(wanted, len(gains) + 1)}"


def _trouble(comparison: Comparison) -> str:
    kinds = {"failed": "failed", "collapsed": "collapsed", "unlearned": "ended no better than untrained"}
    parts = []
    for kind, words in kinds.items():
        bad = [(getattr(each, kind), each) for each in comparison.standings]
        told = [f"{each.method} {count} of {each.runs}" for count, each in bad if count]
        parts += [f"{words}: {', '.join(told)}"] if told else []
    if not parts:
        return "No run failed or collapsed."
    return f"Runs that {'; that '.join(parts)}."


def _ends(interval: tuple[float | None, float | None], seeds: int) -> str:
    low, high = interval
    if (low is None and high is None) or seeds == 1:
        return ""
    known = f"{low:.3g} to {high:.3g}" if low is not None and high is not None else ""
    partly = f"from {low:.3g} to failed runs" if high is None else f"from failed runs to {high:.3g}"
    return f", {interval_name(seeds)} {known or partly}"
