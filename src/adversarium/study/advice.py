"""What a comparison comes to, in plain sentences, and what to know of it."""

from collections.abc import Mapping, Sequence

import numpy as np

from adversarium.study import power, statistics
from adversarium.study.compare import Comparison, Pair, Standing

_MOST_SEEDS = 200


def advise(comparison: Comparison, gradients: Mapping[str, float]) -> tuple[str, ...]:
    """Return which method to use, how sure that is, what it costs, what was too close, what failed.

    Args:
        comparison: without its advice.
        gradients: of either player's loss in the median run, by method.
    """
    if all(each.failed == each.runs for each in comparison.standings):
        runs = _count(sum(each.runs for each in comparison.standings), "run")
        return (
            f"Every run of every method failed ({runs}): there is nothing to choose. Mend what they died of first.",
        )
    beaten = {loser for pair in comparison.pairs for _, loser in _decided(comparison, pair)}
    best = next((each for each in comparison.standings if each.method not in beaten), comparison.standings[0])
    worse = [
        pair for pair in comparison.pairs if any(winner == best.method for winner, _ in _decided(comparison, pair))
    ]
    known = {name for pair in worse for name in (pair.better, pair.worse)}
    tied = [each for each in comparison.standings if each.method not in known | {best.method}]
    sentences = [_choice(comparison, best, worse, tied), _price(best, gradients)]
    if tied:
        sentences += [_among(comparison, [best, *tied]), _seeds(comparison, best, tied[0])]
    return tuple(each for each in [*sentences, _trouble(comparison)] if each)


def notes(comparison: Comparison, dropped: Sequence[int]) -> tuple[str, ...]:
    """Return what limits the comparison itself.

    Args:
        comparison: without its notes.
        dropped: seeds that not all methods have.
    """
    found = []
    seeds, methods = _count(comparison.seeds, "seed"), len(comparison.standings)
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
    for pair in comparison.pairs:
        one, two = (_standing(comparison, name) for name in (pair.better, pair.worse))
        if one.values == two.values and one.failed < one.runs:
            found.append(f"{pair.better} and {pair.worse} have the same number on every seed: one method, two names?")
        elif (pair.worse, pair.better) in _decided(comparison, pair):
            found.append(
                f"{pair.better} has a better mean rank than {pair.worse}, which is better on most seeds: "
                "the ranks depend on the other methods."
            )
    if dropped:
        found.append(f"Left out, because not every method has run with it: seed {', '.join(map(str, dropped))}.")
    return tuple(found)


def _choice(comparison: Comparison, best: Standing, worse: Sequence[Pair], tied: Sequence[Standing]) -> str:
    seeds, median = _count(comparison.seeds, "seed"), _median(comparison, best)
    rank = f"mean rank {best.rank:.3g} of {len(comparison.standings)}"
    if not worse:
        least = min(pair.adjusted for pair in comparison.pairs if best.method in (pair.better, pair.worse))
        return (
            f"Too close to call: {best.method} has the best ranks ({rank}; {median}), but {seeds} cannot tell it from "
            f"any other method (smallest corrected p {_p(least)})."
        )
    surely = f"corrected p {'≤ ' * (len(worse) > 1)}{_p(max(pair.adjusted for pair in worse))}, {seeds}"
    names = _names([_other(pair, best) for pair in worse])
    if not tied:
        return f"Use {best.method}: {median}; it is better than {names} ({surely}); {_lead(best, worse[0])}."
    return (
        f"Use {best.method} ({rank}; {median}), which is better than {names} ({surely}); between it and "
        f"{_names([each.method for each in tied])} it is too close to call."
    )


def _median(comparison: Comparison, each: Standing) -> str:
    if each.median is None:
        return f"its median run failed, {each.runs - each.failed} of {each.runs} did not"
    better = comparison.better
    aim = f"{better} is better" if isinstance(better, str) else f"{better:g} is best"
    return f"median {comparison.protocol} {each.median:.3g}{_ends(each.interval)}; {aim}"


def _lead(best: Standing, pair: Pair) -> str:
    second = _other(pair, best)
    if pair.difference is None:
        return f"{second}, the next, failed where it did not"
    low, high = pair.interval
    if best.method == pair.better:
        return f"{second}, the next, is {pair.difference:.3g} behind{_ends((low, high))}"
    mirrored = (None if high is None else -high, None if low is None else -low)
    return f"{second}, the next, is {-pair.difference:.3g} behind{_ends(mirrored)}"


def _other(pair: Pair, best: Standing) -> str:
    return pair.worse if pair.better == best.method else pair.better


def _price(best: Standing, gradients: Mapping[str, float]) -> str:
    return (
        f"A run of {best.method} takes {_duration(best.seconds)}, {best.kimg:.3g} kimg and "
        f"{gradients[best.method]:.0f} gradients (the median run)."
    )


def _among(comparison: Comparison, tied: Sequence[Standing]) -> str:
    """Say which of those that are too close to call is the cheapest, the fastest, the most reliable."""
    cheapest = min(tied, key=lambda each: (each.seconds, each.rank))
    praise = {cheapest.method: [f"the cheapest ({_duration(cheapest.seconds)} a run)"]}
    arrived = [
        (each.seconds_to_quality, each.rank, each.method) for each in tied if each.seconds_to_quality is not None
    ]
    if arrived and comparison.quality is not None:
        seconds, _, fastest = min(arrived)
        goal = f"{comparison.protocol} {comparison.quality:.3g}"
        praise.setdefault(fastest, []).append(f"the fastest (half of its runs reach {goal} in {_duration(seconds)})")
    reliable = min(tied, key=lambda each: (each.failed + each.collapsed, each.rank))
    bad = reliable.failed + reliable.collapsed
    if any(each.failed + each.collapsed != bad for each in tied):
        runs = _count(reliable.runs, "run")
        praise.setdefault(reliable.method, []).append(f"the most reliable ({bad} of {runs} failed or collapsed)")
    told = "; ".join(f"{method} is {_names(parts)}" for method, parts in praise.items())
    return f"Of {_names([each.method for each in tied])}: {told}."


def _seeds(comparison: Comparison, best: Standing, second: Standing) -> str:
    """Say how many seeds would tell the two best apart, if they are as different as they seem."""
    costs = [[statistics.cost(value, comparison.better) for value in each.values] for each in (best, second)]
    gains = statistics.differences(costs[1], costs[0])
    names = f"{best.method} from {second.method}"
    if not gains.any():
        return f"No number of seeds would tell {names}: they are equal on each."
    if len(gains) < 2:
        return ""
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
        f"{pair.better} from {pair.worse}"
        for pair in comparison.pairs
        if pair.adjusted > comparison.level
        and ranks[pair.worse] - ranks[pair.better] >= comparison.critical_difference - 1e-9
    ]
    if not told or comparison.p_any > comparison.level:
        return []
    return [
        f"Mean ranks alone would tell {_names(told)} (critical difference {comparison.critical_difference:.3g}): a "
        "hint, which is wrong more often than the level says where only some methods are the same."
    ]


def _decided(comparison: Comparison, pair: Pair) -> list[tuple[str, str]]:
    """Return the winner and the loser of a pair that is told apart: by seeds, which ranks may contradict."""
    if pair.adjusted > comparison.level:
        return []
    return [(pair.better, pair.worse) if 2 * pair.wins >= pair.runs - pair.ties else (pair.worse, pair.better)]


def _standing(comparison: Comparison, method: str) -> Standing:
    return next(each for each in comparison.standings if each.method == method)


def _ends(interval: tuple[float | None, float | None]) -> str:
    low, high = interval
    if low is None and high is None:
        return ""
    known = f"{low:.3g} to {high:.3g}" if low is not None and high is not None else ""
    partly = f"from {low:.3g} to failed runs" if high is None else f"from failed runs to {high:.3g}"
    return f", 95 % interval {known or partly}"


def _names(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 0.001 else f"{p:.0e}"


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
