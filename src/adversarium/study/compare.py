"""What the runs of a study say: a ranking with intervals, comparisons in pairs, what failed, what it cost."""

import dataclasses
import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from adversarium.errors import require
from adversarium.study import _compared, statistics
from adversarium.study._caveats import by_ranks, notes
from adversarium.study.advice import advise
from adversarium.study.comparison import Comparison
from adversarium.study.plan import Plan
from adversarium.study.record import Record


def compare(
    records: Sequence[Record],
    *,
    protocol: str,
    better: str | float,
    level: float = 0.05,
    quality: float | None = None,
    floor: float | None = None,
    plan: Plan | None = None,
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
        plan: the study's, where there is one: with it the advice knows the budget, and the notes the searches.

    Raises:
        InputError: fewer than two methods, no seed that all methods have, or two records of one run.
    """
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
        quality = _compared.middle_quality(costs, better)
    permuted = statistics.permuted_mean_ranks(costs, np.random.default_rng(0))
    pairs, kept = _compared.pairs_of(names, costs), [runs[name] for name in names]
    least = _compared.least_to_learn(protocol, better, floor)
    told_apart = np.zeros((len(names), len(names)), dtype=np.bool_)
    for (one, two), pair in zip(combinations(range(len(names)), 2), pairs, strict=True):
        told_apart[one, two] = told_apart[two, one] = pair.adjusted <= level
    found = Comparison(
        protocol=protocol,
        better=better,
        level=level,
        seeds=len(costs),
        standings=tuple(
            _compared.standing(each, costs[:, at], float(ranks[at]), better, quality, least)
            for at, each in enumerate(kept)
        ),
        pairs=pairs,
        p_any=statistics.friedman_p(costs, permuted),
        critical_difference=statistics.critical_difference(permuted, level),
        groups=tuple(tuple(names[at] for at in group) for group in statistics.cliques(told_apart)),
        quality=quality,
        floor=floor,
        budget=None if plan is None else plan.budget,
        advice=(),
        notes=(),
    )
    arrivals = _compared.arrivals(kept, quality, better, "kimg" if found.stacked else "seconds")
    found = dataclasses.replace(
        found,
        cheaper=() if found.stacked or found.timed else _compared.pairs_of(names, _compared.seconds(kept)),
        sooner=_compared.pairs_of(names, arrivals),
    )
    return dataclasses.replace(
        found, advice=advise(found, runs), notes=notes(found, runs, dropped, plan), hints=by_ranks(found)
    )


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
