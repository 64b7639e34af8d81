"""What a comparison of methods holds: where each one stands, every two of them, and what there is to say."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from adversarium.study.plan import Budget


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One method.

    Attributes:
        method: its name.
        values: the protocol at the end, a run each, in the seeds' order; ``None`` where the run failed.
        failed: how many runs have no number.
        collapsed: how many have one, and samples that the diagnostics saw collapse.
        unlearned: how many have one that is worse than their generator's before training, where that is known and left
            something to learn; of distances and of how real samples look, not of what noise may have too (all modes,
            variety, ratios).
        median: of the values, a failed run worse than any other; ``None`` where the median run failed. Where a number
            is best it is as far from it as the median run, on the side where most of the runs are.
        quartiles: likewise, the smaller number first, whichever is better.
        interval: of the median, 95 %, from bootstrap draws of the runs; of fewer than eight runs it is their
            range (:func:`~adversarium.study.wording.interval_name`); the smaller number first; an end that falls on
            failed runs is ``None``.
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

    @property
    def alive(self) -> bool:
        """Whether any of its runs has a number; else its seconds are those until it died, and say nothing of cost."""
        return self.failed < self.runs


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
        interval: of that difference, 95 %, from bootstrap draws of the seeds, of fewer than eight their range; an end
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
        hints: what mean ranks alone would have said, which decides nothing.
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
    hints: tuple[str, ...] = ()

    @property
    def timed(self) -> bool:
        """Whether the budget is in seconds; then methods differ in how far they get, not in how long they take."""
        return self.budget is not None and self.budget.unit == "seconds"

    @property
    def stacked(self) -> bool:
        """Whether some runs were trained stacked; then seconds are shares of one time, and are not compared."""
        return any(each.together > 1 for each in self.standings)
