"""What the runs of a study say: a ranking with intervals, comparisons in pairs, what failed, what it cost."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from adversarium.errors import require
from adversarium.study import statistics
from adversarium.study.plan import Budget, Plan
from adversarium.study.record import Record


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One method.

    Attributes:
        method: its name.
        values: the protocol at the end, a run each, in the seeds' order; ``None`` where the run failed.
        failed: how many runs have no number.
        collapsed: how many have one, and samples that the diagnostics saw collapse.
        unlearned: how many have one that is no better than their generator's before training, where that is known.
        median: of the values, a failed run worse than any other; ``None`` where the median run failed. Where a number
            is best it is as far from it as the median run, on the side where most of the runs are.
        quartiles: likewise, the smaller number first, whichever is better.
        interval: of the median, 95 %, from bootstrap draws of the runs; of fewer than six runs it is their range
            (:func:`~adversarium.study.wording.interval_name`); the smaller number first; an end that falls on failed
            runs is ``None``.
        others: medians of further protocols, by their names; a failed run is worse than any other.
        rank: its mean rank over seeds, from 1, the best; ties share theirs.
        seconds: of training, the median of the runs that did not fail (of all, where all did); of runs that were
            trained stacked, each one's share.
        together: the most of its runs that were trained stacked: shares of stacks of different sizes say little about
            which method costs less.
        kimg: thousands of real samples shown to the critic, likewise.
        gradients: of either player's loss, likewise.
        reached: how many runs reached the comparison's quality.
        seconds_to_quality: by when half of the runs had; ``None`` where fewer than half of them did.
        kimg_to_quality: likewise.
    """

    method: str
    values: tuple[float | None, ...]
    failed: int
    collapsed: int
    unlearned: int = 0
    median: float | None
    quartiles: tuple[float | None, float | None]
    interval: tuple[float | None, float | None]
    others: Mapping[str, float | None] = field(default_factory=dict)
    rank: float
    seconds: float
    together: int = 1
    kimg: float
    gradients: float = 0.0
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
        interval: of that difference, 95 %, from bootstrap draws of the seeds, of fewer than six their range; an end
            beyond all numbers is ``None``.
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
        cheaper: every two of them by seconds of training, on the seeds on which neither failed, tested and corrected
            as ``pairs`` are. Empty where that says nothing: where the budget is in seconds, or where runs were trained
            stacked, whose shares of one time are one measurement.
        sooner: every two of them by seconds until they reach ``quality``, likewise; by kimg where runs were stacked.
        p_any: of the test that all methods are alike (Friedman's, by permutation).
        critical_difference: mean ranks that differ by less are not told apart by ranks alone (Nemenyi's, by
            permutation); +∞ where no difference of ranks would do.
        groups: methods that are not told apart (no two of them have ``adjusted`` ≤ ``level``), each group as large as
            it can be, the best first.
        quality: the value that a run has to reach for ``reached`` and ``seconds_to_quality``.
        floor: the protocol's value of real samples, where it is known.
        budget: of each run, where it is known.
        advice: plain sentences: which to use on these data, how sure that is, what it costs, what was too close.
        notes: what to know of the comparison itself: too few seeds for this many pairs, say.
    """

    protocol: str
    better: str | float
    level: float
    seeds: int
    standings: tuple[Standing, ...]
    pairs: tuple[Pair, ...]
    cheaper: tuple[Pair, ...] = ()
    sooner: tuple[Pair, ...] = ()
    p_any: float
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]
    quality: float | None
    floor: float | None
    budget: Budget | None = None
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
    from adversarium.study import _compared  # it makes, and these read, what is defined here
    from adversarium.study._caveats import notes
    from adversarium.study.advice import advise

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
    budget, stacked = None if plan is None else plan.budget, any(run.together > 1 for each in kept for run in each)
    told_apart = np.zeros((len(names), len(names)), dtype=np.bool_)
    for (one, two), pair in zip(combinations(range(len(names)), 2), pairs, strict=True):
        told_apart[one, two] = told_apart[two, one] = pair.adjusted <= level
    found = Comparison(
        protocol=protocol,
        better=better,
        level=level,
        seeds=len(costs),
        standings=tuple(
            _compared.standing(each, costs[:, at], float(ranks[at]), better, quality) for at, each in enumerate(kept)
        ),
        pairs=pairs,
        cheaper=()
        if stacked or (budget is not None and budget.unit == "seconds")
        else _compared.pairs_of(names, _compared.seconds(kept)),
        sooner=_compared.pairs_of(names, _compared.arrivals(kept, quality, better, "kimg" if stacked else "seconds")),
        p_any=statistics.friedman_p(costs, permuted),
        critical_difference=statistics.critical_difference(permuted, level),
        groups=tuple(tuple(names[at] for at in group) for group in statistics.cliques(told_apart)),
        quality=quality,
        floor=floor,
        budget=budget,
        advice=(),
        notes=(),
    )
    return dataclasses.replace(found, advice=advise(found, runs), notes=notes(found, runs, dropped, plan))


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
