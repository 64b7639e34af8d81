"""What the runs of a study say: a ranking with intervals, comparisons in pairs, what failed, what it cost."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from adversarium.errors import require
from adversarium.study import statistics
from adversarium.study.record import Point, Record


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One method.

    Attributes:
        method: its name.
        values: the protocol at the end, a run each, in the seeds' order; ``None`` where the run failed.
        failed: how many runs have no number.
        collapsed: how many have one, and samples that the diagnostics saw collapse.
        median: of the values, a failed run worse than any other; ``None`` where the median run failed. Where a number
            is best it is as far from it as the median run, on the side where most of the runs are.
        quartiles: likewise, the smaller number first, whichever is better.
        interval: of the median, 95 %, from bootstrap draws of the runs; the smaller number first; an end that falls on
            failed runs is ``None``.
        rank: its mean rank over seeds, from 1, the best; ties share theirs.
        seconds: of training, the median run; of runs that were trained stacked, each one's share.
        together: the most of its runs that were trained stacked: shares of stacks of different sizes say little about
            which method costs less.
        kimg: thousands of real samples shown to the critic, the median run.
        reached: how many runs reached the comparison's quality.
        seconds_to_quality: by when half of the runs had; ``None`` where fewer than half of them did.
        kimg_to_quality: likewise.
    """

    method: str
    values: tuple[float | None, ...]
    failed: int
    collapsed: int
    median: float | None
    quartiles: tuple[float | None, float | None]
    interval: tuple[float | None, float | None]
    rank: float
    seconds: float
    together: int = 1
    kimg: float
    reached: int
    seconds_to_quality: float | None
    kimg_to_quality: float | None

    @property
    def runs(self) -> int:
        """How many runs it has."""
        return len(self.values)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two methods on the same seeds.

    Attributes:
        better: the one that the paired test favours (:func:`~adversarium.study.statistics.favoured`), told apart or
            not; where it favours neither, the one with the better mean rank. Mean ranks depend on the other methods
            too, and may say the opposite.
        worse: the other.
        difference: how much better, the median over seeds of the differences (positive: ``better`` is better);
            ``None`` where the median falls on a run that failed. Negative where ``better`` wins on fewer seeds, by
            more.
        interval: of that difference, 95 %, from bootstrap draws of the seeds; an end beyond all numbers is ``None``.
        wins: seeds on which ``better`` is better.
        ties: seeds on which both are equal, or both failed.
        runs: seeds in all.
        p: of the exact paired test.
        adjusted: p, corrected by Holm for all pairs.
    """

    better: str
    worse: str
    difference: float | None
    interval: tuple[float | None, float | None]
    wins: int
    ties: int
    runs: int
    p: float
    adjusted: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All of a study.

    Attributes:
        protocol: what methods are ranked by.
        better: ``lower``, ``higher``, or the number that is best.
        level: of significance, of all pairs together.
        seeds: how many each method has.
        standings: the methods, the best mean rank first.
        pairs: every two of them.
        p_any: of the test that all methods are alike (Friedman's, by permutation).
        critical_difference: mean ranks that differ by less are not told apart by ranks alone (Nemenyi's, by
            permutation); +∞ where no difference of ranks would do.
        groups: methods that are not told apart (no two of them have ``adjusted`` ≤ ``level``), each group as large as
            it can be, the best first.
        quality: the value that a run has to reach for ``reached`` and ``seconds_to_quality``.
        floor: the protocol's value of real samples, where it is known.
        advice: plain sentences: which to use on these data, how sure that is, what it costs, what was too close.
        notes: what to know of the comparison itself: too few seeds for this many pairs, say.
    """

    protocol: str
    better: str | float
    level: float
    seeds: int
    standings: tuple[Standing, ...]
    pairs: tuple[Pair, ...]
    p_any: float
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]
    quality: float | None
    floor: float | None
    advice: tuple[str, ...]
    notes: tuple[str, ...]


def compare(
    records: Sequence[Record],
    *,
    protocol: str,
    better: str | float,
    level: float = 0.05,
    quality: float | None = None,
    floor: float | None = None,
) -> Comparison:
    """Compare the methods of a study on the seeds that all of them have.

    Two methods are told apart where the exact paired test's p, corrected by Holm for all pairs, is at most ``level``:
    methods that are the same are then told apart in at most that share of studies, however many of them are the same,
    whatever the law of the noise, and whatever else is compared with them. No method is told apart by mean ranks: the
    critical difference holds its level only if all methods are alike. Where others always fall between two methods of
    which either is as likely to be the better, six methods on 5 seeds exceed it in 2 of 32 studies. So with few seeds
    nothing is told apart; ``notes`` say so, and what ranks alone would have said.

    Args:
        records: the runs, in any order.
        protocol: what their values are.
        better: ``lower``, ``higher``, or the number that is best.
        level: of significance, of all pairs together.
        quality: a value to reach; without one the median of the method in the middle of the ranking (of two, the
            worse; the next better one's where its median run failed): the better half of the methods get there early,
            the worse late or never.
        floor: the protocol's value of real samples, where it is known.

    Raises:
        InputError: fewer than two methods, no seed that all methods have, or two records of one run.
    """
    from adversarium.study.advice import advise, notes  # they read a Comparison

    require(0 < level < 1, f"level is {level}: wanted more than 0 and less than 1")
    require(quality is None or math.isfinite(quality), f"quality is {quality}: wanted a finite number")
    runs, dropped = _runs(records)
    names = sorted(runs)
    costs = np.array([[statistics.cost(run.value, better) for run in runs[name]] for name in names]).T
    ranks = np.round(statistics.mean_ranks(costs), 9)
    medians = [statistics.quantile(column, 0.5) for column in costs.T]
    order = sorted(range(len(names)), key=lambda at: (ranks[at], medians[at], names[at]))
    names, costs, ranks = [names[at] for at in order], costs[:, order], ranks[order]
    if quality is None:
        quality = _quality(costs, better)
    permuted = statistics.permuted_mean_ranks(costs, np.random.default_rng(0))
    pairs = _pairs(names, costs)
    told_apart = np.zeros((len(names), len(names)), dtype=np.bool_)
    for (one, two), pair in zip(combinations(range(len(names)), 2), pairs, strict=True):
        told_apart[one, two] = told_apart[two, one] = pair.adjusted <= level
    found = Comparison(
        protocol=protocol,
        better=better,
        level=level,
        seeds=len(costs),
        standings=tuple(
            _standing(runs[name], costs[:, at], float(ranks[at]), better, quality) for at, name in enumerate(names)
        ),
        pairs=pairs,
        p_any=statistics.friedman_p(costs, permuted),
        critical_difference=statistics.critical_difference(permuted, level),
        groups=tuple(tuple(names[at] for at in group) for group in statistics.cliques(told_apart)),
        quality=quality,
        floor=floor,
        advice=(),
        notes=(),
    )
    gradients = {name: statistics.quantile([run.gradients for run in runs[name]], 0.5) for name in names}
    return dataclasses.replace(found, advice=advise(found, gradients), notes=notes(found, dropped))


def _runs(records: Sequence[Record]) -> tuple[dict[str, list[Record]], list[int]]:
    """Return each method's runs on the seeds that all have, in their order, and the seeds that only some have."""
    table: dict[str, dict[int, Record]] = {}
    for record in records:
        of_method = table.setdefault(record.method, {})
        require(record.seed not in of_method, f"two records of {record.method} with seed {record.seed}: wanted one")
        of_method[record.seed] = record
    require(len(table) > 1, f"records are of {len(table)} methods: wanted two or more to compare")
    known = [set(of_method) for of_method in table.values()]
    shared = sorted(set.intersection(*known))
    seeds = "; ".join(f"{name}: {', '.join(map(str, sorted(of_method)))}" for name, of_method in sorted(table.items()))
    require(bool(shared), f"there is no seed that all methods have ({seeds})")
    dropped = sorted(set.union(*known) - set(shared))
    return {name: [of_method[seed] for seed in shared] for name, of_method in table.items()}, dropped


def _pairs(names: Sequence[str], costs: statistics.Array) -> tuple[Pair, ...]:
    places, gains = [], []
    for better, worse in combinations(range(len(names)), 2):
        gain = statistics.differences(costs[:, worse], costs[:, better])
        turned = statistics.favoured(gain) < 0
        places.append((worse, better) if turned else (better, worse))
        gains.append(0.0 - gain if turned else gain)
    p_values = [statistics.paired_p(gain) for gain in gains]
    return tuple(
        Pair(
            better=names[better],
            worse=names[worse],
            difference=_finite(statistics.quantile(gain, 0.5)),
            interval=_finite_ends(statistics.median_interval(gain)),
            wins=int((gain > 0).sum()),
            ties=int((gain == 0).sum()),
            runs=len(gain),
            p=p,
            adjusted=float(adjusted),
        )
        for (better, worse), gain, p, adjusted in zip(places, gains, p_values, statistics.holm(p_values), strict=True)
    )


def _standing(
    runs: Sequence[Record], costs: statistics.Array, rank: float, better: str | float, quality: float | None
) -> Standing:
    goal = -math.inf if quality is None else statistics.cost(quality, better)
    reached = [_reached(run, goal, better) for run in runs]
    values = [None if math.isinf(cost) else run.value for run, cost in zip(runs, costs, strict=True)]
    side = statistics.side_of(values, better)

    def share(part: float) -> float:
        return statistics.quantile(costs, part)

    return Standing(
        method=runs[0].method,
        values=tuple(values),
        failed=sum(value is None for value in values),
        collapsed=sum(run.collapsed for run, value in zip(runs, values, strict=True) if value is not None),
        median=statistics.value_of(share(0.5), better, side),
        quartiles=_ends((share(0.25), share(0.75)), better, side),
        interval=_ends(statistics.median_interval(costs), better, side),
        rank=rank,
        seconds=statistics.quantile([run.seconds for run in runs], 0.5),
        together=max(run.together for run in runs),
        kimg=statistics.quantile([run.kimg for run in runs], 0.5),
        reached=sum(at is not None for at in reached),
        seconds_to_quality=_half([None if at is None else at.seconds for at in reached]),
        kimg_to_quality=_half([None if at is None else at.kimg for at in reached]),
    )


def _reached(run: Record, goal: float, better: str | float) -> Point | None:
    """Return the first measurement that is good enough; a run that failed in the end never got there."""
    if statistics.cost(run.value, better) == math.inf:
        return None
    end = Point(kimg=run.kimg, seconds=run.seconds, gradients=run.gradients, value=run.value)
    for point in (*sorted(run.curve, key=lambda point: point.kimg), end):
        if statistics.cost(point.value, better) <= goal:
            return point
    return None


def _quality(costs: statistics.Array, better: str | float) -> float | None:
    """Return the median of the method in the middle, or of the next better one that has a median."""
    for at in range(costs.shape[1] // 2, -1, -1):
        if (middle := statistics.quantile(costs[:, at], 0.5)) < math.inf:
            return statistics.value_of(middle, better, 1.0)
    return None


def _ends(costs: tuple[float, float], better: str | float, side: float) -> tuple[float | None, float | None]:
    low, high = (statistics.value_of(cost, better, side) for cost in costs)
    return (high, low) if better == "higher" or side < 0 else (low, high)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _finite_ends(ends: tuple[float, float]) -> tuple[float | None, float | None]:
    return _finite(ends[0]), _finite(ends[1])


def _half(times: Sequence[float | None]) -> float | None:
    return _finite(statistics.half_time([math.inf if time is None else time for time in times]))
