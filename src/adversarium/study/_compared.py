"""What a comparison is made of: each method's standing, and every two methods on the seeds that both have."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import numpy as np

from adversarium.study import statistics
from adversarium.study.comparison import Pair, Standing
from adversarium.study.record import Point, Record, finite
from adversarium.study.wording import RANGE_BELOW, better_of, short

_LEARNED_BY = dict.fromkeys(("fd", "kid", "w2", "sw2", "energy", "mmd"), 0.0) | {
    "is": None,
    "precision": 1.0,
    "high_quality": 1.0,
}
"""The metrics that an untrained generator is bad at, and their best value where there is one: distances, and how real
samples look. It may well have all modes, be as varied as the data, or lie as near to training as to held-out data."""


def whole(runs: Sequence[Record]) -> list[Record]:
    """Return the runs that did not fail, which say what a run costs: one that did ended early; all where all did."""
    return [run for run in runs if finite(run.value) is not None] or list(runs)


def seconds(runs: Sequence[Sequence[Record]]) -> statistics.Array:
    """Return ``[seeds, methods]``: what each run took, NaN where it failed."""
    found: statistics.Array = np.transpose(
        [[math.nan if finite(run.value) is None else run.seconds for run in each] for each in runs]
    )
    return found


def arrivals(
    runs: Sequence[Sequence[Record]], quality: float | None, better: str | float, axis: Literal["seconds", "kimg"]
) -> statistics.Array:
    """Return ``[seeds, methods]``: by when each run reached a quality, +∞ where it did not."""
    reached = [[_reached(run, _goal(quality, better), better) for run in each] for each in runs]
    found: statistics.Array = np.transpose(
        [[math.inf if at is None else getattr(at, axis) for at in each] for each in reached]
    )
    return found


def pairs_of(names: Sequence[str], costs: statistics.Array) -> tuple[Pair, ...]:
    """Return every two methods, tested on the same seeds, and corrected for all pairs together.

    Args:
        names: of the methods.
        costs: ``[seeds, methods]``; NaN where a seed says nothing. Two methods that share no seed are no pair.
    """
    places, gains = [], []
    for better, worse in combinations(range(len(names)), 2):
        both = ~np.isnan(costs[:, (better, worse)]).any(axis=1)
        if not both.any():
            continue
        gain = statistics.differences(costs[both, worse], costs[both, better])
        turned = statistics.favoured(gain) < 0
        places.append((worse, better) if turned else (better, worse))
        gains.append(0.0 - gain if turned else gain)
    p_values = [statistics.paired_p(gain) for gain in gains]
    corrected = statistics.holm(p_values) if p_values else ()
    return tuple(
        Pair(
            better=names[better],
            worse=names[worse],
            difference=finite(statistics.quantile(gain, 0.5)),
            interval=_finite_ends(interval_of(gain)),
            wins=int((gain > 0).sum()),
            ties=int((gain == 0).sum()),
            runs=len(gain),
            p=p,
            adjusted=float(adjusted),
        )
        for (better, worse), gain, p, adjusted in zip(places, gains, p_values, corrected, strict=True)
    )


def interval_of(values: statistics.Array) -> tuple[float, float]:
    """Return the interval of a median that a study shows: of few runs their range, which covers it more often."""
    if len(values) < RANGE_BELOW:
        return float(values.min()), float(values.max())
    return statistics.median_interval(values)


def least_to_learn(protocol: str, better: str | float, floor: float | None) -> float:
    """Return the cost that an untrained generator's has to exceed, so that a run can be said to have learned nothing.

    Args:
        protocol: that of the study; +∞ where it is none that an untrained generator is bad at.
        better: of it.
        floor: its value of real samples, where it is known.
    """
    metric = short(protocol).replace(" ", "_")
    if metric not in _LEARNED_BY:
        return math.inf
    ends = [value for value in (_LEARNED_BY[metric], floor) if value is not None]
    return max((statistics.cost(value, better) for value in ends), default=-math.inf)


def standing(
    runs: Sequence[Record],
    costs: statistics.Array,
    rank: float,
    better: str | float,
    quality: float | None,
    least: float = math.inf,
) -> Standing:
    """Return where a method stands.

    Args:
        runs: its own.
        costs: of those, by the study's protocol.
        rank: the mean over seeds.
        better: of the protocol.
        quality: a value to reach.
        least: as :func:`least_to_learn` has it.
    """
    reached = [_reached(run, _goal(quality, better), better) for run in runs]
    values = [None if math.isinf(cost) else run.value for run, cost in zip(runs, costs, strict=True)]
    side, ended = statistics.side_of(values, better), whole(runs)

    def share(part: float) -> float:
        return statistics.quantile(costs, part)

    return Standing(
        method=runs[0].method,
        values=tuple(values),
        failed=sum(value is None for value in values),
        collapsed=sum(run.collapsed for run, value in zip(runs, values, strict=True) if value is not None),
        unlearned=sum(
            bool(math.inf > cost >= statistics.cost(run.untrained, better) > least)
            for run, cost in zip(runs, costs, strict=True)
        ),
        median=statistics.value_of(share(0.5), better, side),
        quartiles=_ends((share(0.25), share(0.75)), better, side),
        interval=_ends(interval_of(costs), better, side),
        others={name: _other(name, runs) for name in sorted({name for run in runs for name in run.others})},
        rank=rank,
        seconds=statistics.quantile([run.seconds for run in ended], 0.5),
        together=max(run.together for run in runs),
        kimg=statistics.quantile([run.kimg for run in ended], 0.5),
        gradients=statistics.quantile([run.gradients for run in ended], 0.5),
        reached=sum(at is not None for at in reached),
        seconds_to_quality=_half([None if at is None else at.seconds for at in reached]),
        kimg_to_quality=_half([None if at is None else at.kimg for at in reached]),
    )


def middle_quality(costs: statistics.Array, better: str | float) -> float | None:
    """Return the median of the method in the middle, or of the next better one that has a median."""
    for at in range(costs.shape[1] // 2, -1, -1):
        if (middle := statistics.quantile(costs[:, at], 0.5)) < math.inf:
            return statistics.value_of(middle, better, 1.0)
    return None


def _other(name: str, runs: Sequence[Record]) -> float | None:
    """Return the median of a further protocol; where its better side is not known, that of the numbers there are."""
    values, better = [run.others.get(name) for run in runs], better_of(name)
    if better is None:
        values, better = [value for value in values if value is not None], "lower"
    costs, side = [statistics.cost(value, better) for value in values], statistics.side_of(values, better)
    return statistics.value_of(statistics.quantile(costs, 0.5), better, side) if costs else None


def _goal(quality: float | None, better: str | float) -> float:
    return -math.inf if quality is None else statistics.cost(quality, better)


def _reached(run: Record, goal: float, better: str | float) -> Point | None:
    """Return the first measurement that is good enough; a run that failed in the end never got there."""
    if statistics.cost(run.value, better) == math.inf:
        return None
    end = Point(kimg=run.kimg, seconds=run.seconds, gradients=run.gradients, value=run.value)
    for point in (*sorted(run.curve, key=lambda point: point.kimg), end):
        if statistics.cost(point.value, better) <= goal:
            return point
    return None


def _ends(costs: tuple[float, float], better: str | float, side: float) -> tuple[float | None, float | None]:
    low, high = (statistics.value_of(cost, better, side) for cost in costs)
    return (high, low) if better == "higher" or side < 0 else (low, high)


def _finite_ends(ends: tuple[float, float]) -> tuple[float | None, float | None]:
    return finite(ends[0]), finite(ends[1])


def _half(times: Sequence[float | None]) -> float | None:
    return finite(statistics.half_time([math.inf if time is None else time for time in times]))
