"""What a comparison comes to, in plain sentences, and what to know of it."""

from collections.abc import Mapping, Sequence

import numpy as np

from adversarium.study import power, statistics
from adversarium.study.compare import Comparison, Pair, Standing
from adversarium.study.wording import duration, plural, probability

_MOST_SEEDS = 200
_FEW = 3  # names that the answer itself has room for


def advise(comparison: Comparison, gradients: Mapping[str, float]) -> tuple[str, ...]:
    """Return which method to use, how sure that is, what it costs, what was too close, what failed.

    Args:
        comparison: without its advice.
        gradients: of either player's loss in the median run, by method.
    """
    if all(each.failed == each.runs for each in comparison.standings):
        runs = plural(sum(each.runs for each in comparison.standings), "run")
        return (
            f"Every run of every method failed ({runs}): there is nothing to choose. Mend what they died of first.",
        )
    decided = [pair for pair in comparison.pairs if pair.adjusted <= comparison.level]
    beaten = {pair.worse for pair in decided}
    best = next((each for each in comparison.standings if each.method not in beaten), None)
    if best is None:
        return tuple(each for each in [*_circle(comparison, decided), _trouble(comparison)] if each)
    worse = [pair for pair in decided if pair.better == best.method]
    tied = [each for each in comparison.standings if each.method not in {best.method, *(pair.worse for pair in worse)}]
    sentences = [
        _choice(comparison, best, worse, tied),
        _evidence(comparison, best, worse, tied),
        _price(best, gradients),
    ]
    if tied:
        sentences += [_among(comparison, [best, *tied], gradients), _seeds(comparison, best, tied[0])]
    return tuple(each for each in [*sentences, _trouble(comparison)] if each)


def notes(comparison: Comparison, dropped: Sequence[int]) -> tuple[str, ...]:
    """Return what limits the comparison itself.

    Args:
        comparison: without its notes.
        dropped: seeds that not all methods have.
    """
    found = []
    seeds, methods = plural(comparison.seeds, "seed"), len(comparison.standings)
    least = power.least_seeds(len(comparison.pairs), comparison.level)
    if comparison.seeds < least:
        found.append(
            f"{seeds}: no pair of {methods} methods can be told apart by the paired test, whatever their numbers; "
            f"{least} seeds could."
        )
    found += _by_ranks(comparison)
    if comparison.seeds < 6:
        covered = 100 * (1 - 2.0 ** (1 - comparison.seeds))
        found.append(
            f"{seeds}: an interval of a median is the range of the runs, and covers the true median in about "
            f"{covered:.3g} % of studies, not in 95 %."
        )
    standings = {each.method: each for each in comparison.standings}
    for pair in comparison.pairs:
        one, two = standings[pair.better], standings[pair.worse]
        if one.values == two.values and one.failed < one.runs:
            found.append(f"{pair.better} and {pair.worse} have the same number on every seed: one method, two names?")
        elif pair.adjusted <= comparison.level and two.rank < one.rank:
            found.append(
                f"{pair.worse} has a better mean rank than {pair.better}, which is better by the paired test: ranks "
                "depend on the other methods."
            )
    if dropped:
        found.append(f"Left out, because not every method has run with it: seed {', '.join(map(str, dropped))}.")
    return tuple(found)


def _choice(comparison: Comparison, best: Standing, worse: Sequence[Pair], tied: Sequence[Standing]) -> str:
    """Return the answer in few words."""
    seeds, others = plural(comparison.seeds, "seed"), len(comparison.standings) - 1
    if not worse:
        first = best.method == comparison.standings[0].method
        equal = [each.method for each in comparison.standings if each.rank == best.rank and each is not best]
        praise = f"{best.method} has the best ranks" if first else f"nothing is better than {best.method}"
        if first and equal:
            praise = f"{_names([best.method, *equal])} share the best ranks"
        what = "them from each other, or from" if first and equal else "it from"
        return f"Too close to call: {praise}, but {seeds} cannot tell {what} any other method."
    losers = _names([pair.worse for pair in worse])
    if len(worse) > _FEW:
        losers = f"{len(worse)} of {others} methods" if tied else f"all {others} others"
    answer = f"Use {best.method}: better than {losers} on {seeds}"
    if not tied:
        return f"{answer}."
    close = _names([each.method for each in tied]) if len(tied) <= _FEW else f"{len(tied)} others"
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
        median = f"median {comparison.protocol} {best.median:.3g}{_ends(best.interval)}"
        known = f"{best.method} has {median} ({aim}), and {rank}"
    if not worse:
        least = min(pair.adjusted for pair in comparison.pairs if best.method in (pair.better, pair.worse))
        return f"{known}; the smallest corrected p is {probability(least)}."
    largest = probability(max(pair.adjusted for pair in worse))
    surely = f"corrected p {largest if largest.startswith('<') else f'≤ {largest}'}"
    known += f"; it is better than {_names([pair.worse for pair in worse])} ({surely})"
    return f"{known}." if tied else f"{known}; {_lead(worse[0])}."


def _lead(pair: Pair) -> str:
    if pair.difference is None:
        return f"{pair.worse}, the next, failed where it did not"
    if pair.difference < 0:
        return f"{pair.worse}, the next, is ahead on most seeds, by less than it is behind on the others"
    return f"{pair.worse}, the next, is {pair.difference:.3g} behind{_ends(pair.interval)}"


def _circle(comparison: Comparison, decided: Sequence[Pair]) -> list[str]:
    """Return what there is to say where each method is worse than another: pairs may go round in a circle."""
    first = comparison.standings[0].method
    ahead = _names([pair.better for pair in decided if pair.worse == first])
    behind = [pair.worse for pair in decided if pair.better == first]
    told = f"{first} has the best ranks" + (f" and is better than {_names(behind)}" if behind else "")
    return [
        f"No method is the best on {plural(comparison.seeds, 'seed')}: each is worse than another.",
        f"{told}, but worse than {ahead}.",
    ]


def _price(best: Standing, gradients: Mapping[str, float]) -> str:
    share = f" (its share of a stack of {best.together})" * (best.together > 1)
    return (
        f"A run of {best.method} takes {duration(best.seconds)}{share}, {best.kimg:.3g} kimg and "
        f"{gradients[best.method]:,.0f} gradients (the median run)."
    )


def _among(comparison: Comparison, tied: Sequence[Standing], gradients: Mapping[str, float]) -> str:
    """Say which of those that are too close to call is the cheapest, the fastest, the most reliable.

    A share of a stack's time is not compared with a share of another's, or with a whole run's: then gradients and
    images are.
    """
    alike = len({each.together for each in tied}) == 1
    cost = {each.method: each.seconds if alike else gradients[each.method] for each in tied}
    praise: dict[str, list[str]] = {}
    if len(set(cost.values())) > 1:
        cheapest = min(tied, key=lambda each: (cost[each.method], each.rank)).method
        told = duration(cost[cheapest]) if alike else f"{cost[cheapest]:,.0f} gradients"
        praise[cheapest] = [f"the cheapest ({told} a run)"]
    spans = [(each.seconds_to_quality if alike else each.kimg_to_quality, each) for each in tied]
    arrived = [(span, each.rank, each.method) for span, each in spans if span is not None]
    if arrived and comparison.quality is not None:
        span, _, fastest = min(arrived)
        goal = f"{comparison.protocol} {comparison.quality:.3g}"
        told = duration(span) if alike else f"{span:.3g} kimg"
        praise.setdefault(fastest, []).append(f"the fastest (half of its runs reach {goal} in {told})")
    reliable = min(tied, key=lambda each: (each.failed + each.collapsed, each.rank))
    bad = reliable.failed + reliable.collapsed
    if any(each.failed + each.collapsed != bad for each in tied):
        runs = plural(reliable.runs, "run")
        praise.setdefault(reliable.method, []).append(f"the most reliable ({bad} of {runs} failed or collapsed)")
    if not praise:
        return ""
    told = "; ".join(f"{method} is {_names(parts)}" for method, parts in praise.items())
    return f"Of {_names([each.method for each in tied])}: {told}."


def _seeds(comparison: Comparison, best: Standing, second: Standing) -> str:
    """Say how many seeds would tell the two best apart, if they are as different as they seem."""
    costs = [[statistics.cost(value, comparison.better) for value in each.values] for each in (best, second)]
    gains = statistics.differences(costs[1], costs[0])
    names = f"{best.method} from {second.method}"
    if not gains.any():
        return f"No number of seeds would tell {names}: they are equal on each."
    if len(gains) < 3:
        return ""  # no estimate of how large the difference is
    effect = abs(power.observed_effect(gains))
    wanted = power.seeds_needed(
        effect, len(comparison.pairs), comparison.level, rng=np.random.default_rng(0), most=_MOST_SEEDS
    )
    if wanted is None:
        seeds = f"more than {_MOST_SEEDS} seeds"
        return f"To tell {names} would take {seeds}, if the difference is what it seems: as good as equal."
    wanted = max(wanted, len(gains) + 1)
    return (
        f"To tell {names} would take about {wanted} seeds, {wanted - len(gains)} more, if the difference is what it "
        f"seems (found then in 4 of 5 studies)."
    )


def _trouble(comparison: Comparison) -> str:
    parts = []
    for word in ("failed", "collapsed"):
        bad = [(getattr(each, word), each) for each in comparison.standings]
        told = [f"{each.method} {count} of {each.runs}" for count, each in bad if count]
        parts += [f"{word}: {', '.join(told)}"] if told else []
    if not parts:
        return "No run failed or collapsed."
    return f"Runs that {'; that '.join(parts)}."


def _by_ranks(comparison: Comparison) -> list[str]:
    """Say what mean ranks alone would have told apart and the paired test does not."""
    ranks = {each.method: each.rank for each in comparison.standings}
    told = [
        " from ".join(sorted((pair.better, pair.worse), key=lambda name: ranks[name]))
        for pair in comparison.pairs
        if pair.adjusted > comparison.level
        and abs(ranks[pair.worse] - ranks[pair.better]) >= comparison.critical_difference - 1e-9
    ]
    if not told or comparison.p_any > comparison.level:
        return []
    return [
        f"Mean ranks alone would tell {_names(told)} (critical difference {comparison.critical_difference:.3g}): a "
        "hint, which is wrong more often than the level says where only some methods are the same."
    ]


def _ends(interval: tuple[float | None, float | None]) -> str:
    low, high = interval
    if low is None and high is None:
        return ""
    known = f"{low:.3g} to {high:.3g}" if low is not None and high is not None else ""
    partly = f"from {low:.3g} to failed runs" if high is None else f"from failed runs to {high:.3g}"
    return f", 95 % interval {known or partly}"


def _names(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
