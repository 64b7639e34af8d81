"""Statistics of few runs, some of which failed: whatever is measured becomes a cost, and a failed run costs +∞.

Nothing here assumes a law of the noise. The exact tests ask only that two methods that are the same could have
swapped their numbers on any seed.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special, stats  # type: ignore[import-untyped]

from adversarium.errors import lookup, require

Array = npt.NDArray[np.float64]
Numbers = Sequence[float] | npt.NDArray[np.floating]

_SIGNS = {"lower": 1.0, "higher": -1.0}
_SLACK = 1e-12  # of sums of probabilities
_ROUNDING = 1e-12  # of the numbers that a difference is taken of


def cost(value: float | None, better: str | float) -> float:
    """Return a number that is the smaller the better a value is; +∞ where there is none, or one that is not finite.

    Args:
        value: what was measured.
        better: ``lower``, ``higher``, or the number that is best: then the cost is the distance from it.

    Raises:
        InputError: another word for ``better``, or a number that is not finite.
    """
    if isinstance(better, str):
        sign = lookup("better", better, _SIGNS)
        return sign * value if value is not None and math.isfinite(value) else math.inf
    require(math.isfinite(better), f"better is {better}: wanted lower, higher or a finite number")
    return abs(value - better) if value is not None and math.isfinite(value) else math.inf


def value_of(found: float, better: str | float, side: float) -> float | None:
    """Return the value that has a cost, as :func:`cost` makes it; ``None`` where the cost is infinite.

    Args:
        found: the cost.
        better: as :func:`cost` takes it.
        side: of a number that is best, −1 below or 1 above (:func:`side_of`); without meaning for a word.
    """
    if math.isinf(found):
        return None
    return better + side * found if not isinstance(better, str) else found if better == "lower" else -found


def side_of(values: Sequence[float | None], better: str | float) -> float:
    """Return on which side of a number that is best most values are: −1 below, 1 above; 1 for a word."""
    if isinstance(better, str):
        return 1.0
    return -1.0 if sum(math.copysign(1.0, value - better) for value in values if value is not None) < 0 else 1.0


def quantile(values: Numbers, share: float) -> float:
    """Return a quantile of numbers that may be infinite.

    Formula:
        x₍ₗ₎ + (h − l) (x₍ₗ₊₁₎ − x₍ₗ₎),  h = share (n − 1),  l = ⌊h⌋,  order statistics counted from 0
    Convention:
        Between a number and an infinity lies that infinity; between −∞ and +∞ lies 0.
    Elsewhere:
        ``numpy.quantile`` (its default, ``linear``), which is NaN at such places.

    Raises:
        InputError: no values, NaN, or a share that is not between 0 and 1.
    """
    ordered = _sorted(values)
    require(0 <= share <= 1, f"share is {share}: wanted 0 to 1")
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    return _between(float(ordered[low]), float(ordered[math.ceil(at)]), at - low)


def half_time(times: Numbers) -> float:
    """Return by when half of the runs had got there: +∞ where fewer than half ever did.

    Formula:
        x₍⌈n/2⌉₎, order statistics counted from 1: the lower median

    Raises:
        InputError: no times, or NaN.
    """
    ordered = _sorted(times)
    return float(ordered[(len(ordered) - 1) // 2])


def median_interval(values: Numbers, confidence: float = 0.95) -> tuple[float, float]:
    """Return the percentile bootstrap's interval of the median, of all nⁿ draws at once: nothing is drawn.

    Formula:
        P(median* ≤ x₍ᵢ₎) = P(Binomial(n, i/n) ≥ (n + 1)/2) for odd n; for even n, m = n/2 and i ≤ j,
        P(x*₍ₘ₎ ≤ x₍ᵢ₎, x*₍ₘ₊₁₎ > x₍ⱼ₎) = C(n, m) (i/n)ᵐ (1 − j/n)ᵐ;
        the interval leaves (1 − confidence)/2 on each side
    Convention:
        An end that falls on an infinite value is infinite. How often the interval covers the median of a continuous
        law does not depend on the law for odd n. At 95 %: 75 % for 3 runs, 87.5 % for 4, 93.75 % for 5 (up to there
        the interval is the range), 87.5 % for 7, 96.1 % for 9, 90.8 % for 13; for even n, measured on 4,000 normal and
        as many lognormal samples: 94 % for 6, 93 % for 8, 94 % for 10.
    Elsewhere:
        The limit of ``scipy.stats.bootstrap(..., method="percentile")`` for many resamples, which is NaN where a
        resample's median is not finite.
    Paper:
        Diane L. Evans, Lawrence M. Leemis and John H. Drew, 2006, "The Distribution of Order Statistics for Discrete
        Random Variables with Applications to Bootstrapping", INFORMS Journal on Computing 18(1).

    Raises:
        InputError: no values, NaN, or a confidence that is not between 0 and 1.
    """
    ordered = _sorted(values)
    require(0 < confidence < 1, f"confidence is {confidence}: wanted more than 0 and less than 1")
    tail = (1 - confidence) / 2 + _SLACK
    chances = _median_chances(len(ordered))
    places = np.argwhere(chances > 0)
    medians = np.array([_between(float(ordered[i]), float(ordered[j]), 0.5) for i, j in places])
    order = np.argsort(medians, kind="stable")
    medians, weights = medians[order], chances[chances > 0][order]
    below = np.cumsum(weights) - weights
    above = np.cumsum(weights[::-1])[::-1] - weights
    return float(medians[below <= tail][-1]), float(medians[above <= tail][0])


def differences(first: Numbers, second: Numbers) -> Array:
    """Return ``first − second``, pair by pair; 0 where both are the same infinity.

    What is equal but for rounding (10⁻¹² of the numbers themselves, those of one pair) comes out equal, or 0, so that
    ties are ties; a number that is far larger than all others changes no difference but its own.

    Raises:
        InputError: of different lengths, empty, or NaN.
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    require(one.ndim == 1 and one.shape == two.shape, f"wanted two lists of one length, got {one.shape}, {two.shape}")
    _sorted(np.concatenate([one, two]))
    same = one == two
    found = (np.where(same, 0.0, one) - np.where(same, 0.0, two)).tolist()
    scales = np.maximum(np.abs(one), np.abs(two))
    slacks = (_ROUNDING * np.where(np.isfinite(scales), scales, 0.0)).tolist()
    equal, slack = 0.0, math.inf  # from the smallest on: each is what the one before is, or larger
    for at in sorted(range(len(found)), key=lambda at: (abs(found[at]), -slacks[at])):
        if abs(found[at]) - equal > min(slack, slacks[at]):
            equal, slack = abs(found[at]), slacks[at]
        found[at] = math.copysign(equal, found[at]) if equal else 0.0
    return np.array(found)


def favoured(paired: Numbers) -> int:
    """Return which side paired differences favour, as :func:`paired_p` weighs them: 1, −1, or 0 for neither.

    Formula:
        sign Σ sign(dᵢ) rᵢ,  rᵢ the mid-rank of |dᵢ| among all
    Convention:
        Positive differences are the first side's. It may be the side with fewer of them, if they are larger.

    Raises:
        InputError: no differences, or NaN.
    """
    return int(np.sign((np.sign(np.asarray(paired)) * _doubled_ranks(paired)).sum()))


def paired_p(paired: Numbers) -> float:
    """Return the two-sided p of paired differences, of all 2ⁿ ways to swap the two sides of pairs.

    Formula:
        P(|Σ sᵢ rᵢ| ≥ |Σ sign(dᵢ) rᵢ|),  rᵢ the mid-rank of |dᵢ| among all, sᵢ = ±1 alike, for dᵢ ≠ 0
    Convention:
        Zeros are ranked, then dropped (Pratt); ties share their mean rank; an infinite difference, a failed run
        against a number, has the largest rank. No p is less than 2/2ⁿ. The p stays as it is where all numbers are
        shifted or scaled alike; a bent scale (a logarithm) changes which differences are large, and so the ranks,
        unless all differences have one sign.
    Elsewhere:
        ``scipy.stats.wilcoxon(d, zero_method="pratt", method=PermutationMethod(n_resamples=inf))`` for finite
        differences; without ties and zeros its ``method="exact"``.
    Use when:
        Two methods ran on the same seeds. From 6 seeds on it can find something at 5 %, from 8 on at 1 %.
    Paper:
        Frank Wilcoxon, 1945, "Individual Comparisons by Ranking Methods", Biometrics Bulletin 1; John W. Pratt, 1959,
        "Remarks on Zeros and Ties in the Wilcoxon Signed Rank Procedures", Journal of the American Statistical
        Association 54.

    Raises:
        InputError: no differences, or NaN.
    """
    found, doubled = np.asarray(paired, dtype=np.float64), _doubled_ranks(paired)
    observed = abs(int((np.sign(found) * doubled).sum()))
    chances = signed_rank_law(tuple(sorted(doubled[found != 0].tolist())))
    sums = np.abs(2 * np.arange(len(chances)) - (len(chances) - 1))
    return min(1.0, float(chances[sums >= observed].sum()))


@lru_cache(maxsize=4096)
def signed_rank_law(ranks: tuple[int, ...]) -> Array:
    """Return P(the ranks whose sign is plus sum to w) for w = 0 ... their sum, each sign as likely as the other.

    Args:
        ranks: whole numbers (of mid-ranks, the doubles).
    """
    chances = np.ones(1)
    for rank in ranks:
        wider = np.zeros(len(chances) + rank)
        wider[: len(chances)] += chances / 2
        wider[rank:] += chances / 2
        chances = wider
    return chances


def holm(p_values: Numbers) -> Array:
    """Return p-values corrected for being several: reject those up to the level, and rarely is any rejected wrongly.

    Formula:
        p̃₍ᵢ₎ = max over j ≤ i of min(1, (m − j + 1) p₍ⱼ₎), in ascending order of the m values
    Convention:
        Holds its level whatever the tests have to do with each other, and whichever of their hypotheses are true.
    Elsewhere:
        ``statsmodels.stats.multitest.multipletests(..., method="holm")``, R's ``p.adjust(..., "holm")``.
    Paper:
        Sture Holm, 1979, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of
        Statistics 6.

    Raises:
        InputError: no values, or one that is not between 0 and 1.
    """
    given = np.asarray(p_values, dtype=np.float64)
    _sorted(given)
    require(bool(((given >= 0) & (given <= 1)).all()), "a p-value is not between 0 and 1")
    order = np.argsort(given, kind="stable")
    steps = np.minimum(1.0, given[order] * np.arange(len(given), 0, -1))
    adjusted = np.empty_like(given)
    adjusted[order] = np.maximum.accumulate(steps)
    return adjusted


def mean_ranks(costs: Array) -> Array:
    """Return each method's mean rank over seeds, from 1, the best; ties share theirs.

    Args:
        costs: ``[seeds, methods]``.

    Raises:
        InputError: not a table, or NaN in it.
    """
    means: Array = _ranks(costs).mean(axis=0)
    return means


def permuted_mean_ranks(costs: Array, rng: np.random.Generator, draws: int = 20_000) -> Array:
    """Return mean ranks as they could have been if all methods were alike, ``[many, methods]``.

    Every way to permute the ranks within seeds where there are at most ``draws`` ways (the first seed need not be
    permuted: what is asked of the result treats methods alike); else ``draws`` ways at random and the one that was
    seen, so that a share of the rows is a p-value, (k + 1)/(draws + 1), that is never 0.

    Args:
        costs: ``[seeds, methods]``.
        rng: for the draws; neither the order of methods nor that of seeds changes what comes out.
        draws: how many.

    Raises:
        InputError: not a table, or NaN in it.
    """
    ranks = _ranks(costs)
    seeds, methods = ranks.shape
    rows = np.array(sorted(np.sort(ranks, axis=1).tolist()))
    if math.factorial(min(methods, 20)) ** (seeds - 1) <= draws:
        orders = np.array(list(itertools.permutations(range(methods))))
        sums: Array = rows[:1]
        for row in rows[1:]:
            sums = (sums[:, None] + row[orders]).reshape(-1, methods)
        means: Array = sums / seeds
        return means
    sums = np.zeros((draws, methods))
    for row in rows:
        sums += rng.permuted(np.broadcast_to(row, (draws, methods)), axis=1)
    return np.concatenate([ranks.mean(axis=0, keepdims=True), sums / seeds])


def friedman_p(costs: Array, permuted: Array) -> float:
    """Return the p of the hypothesis that all methods are alike.

    Formula:
        P(Σⱼ (R̄*ⱼ − R̄)² ≥ Σⱼ (R̄ⱼ − R̄)²),  R̄ⱼ mean ranks, R̄ their mean, R̄* as they are permuted within seeds
    Convention:
        Ties are part of what is permuted: there is no correction for them.
    Elsewhere:
        ``scipy.stats.friedmanchisquare`` has the same order of outcomes and takes p from χ², which few seeds are far
        from.
    Paper:
        Milton Friedman, 1937, "The Use of Ranks to Avoid the Assumption of Normality Implicit in the Analysis of
        Variance", Journal of the American Statistical Association 32; with random permutations, Belinda Phipson and
        Gordon K. Smyth, 2010, "Permutation P-values Should Never Be Zero", arXiv:1603.05766.

    Args:
        costs: ``[seeds, methods]``.
        permuted: what :func:`permuted_mean_ranks` returned of them.

    Raises:
        InputError: not a table, or NaN in it.
    """
    centre = (permuted.shape[1] + 1) / 2
    observed = float(((mean_ranks(costs) - centre) ** 2).sum())
    return float((((permuted - centre) ** 2).sum(axis=1) >= observed - 1e-9).mean())


def critical_difference(permuted: Array, level: float = 0.05) -> float:
    """Return the least difference of two mean ranks that is as rare as the level if all methods are alike.

    Formula:
        min c: P(maxⱼ R̄*ⱼ − minⱼ R̄*ⱼ ≥ c) ≤ level
    Convention:
        +∞ where no difference is that rare, as with 2 methods on 5 seeds. It holds its level if all methods are alike,
        and no more than that: the mean ranks of two methods depend on the others, and two that are the same are
        declared different more often than the level says when others fall between them.
    Elsewhere:
        For many seeds q √(k (k + 1) / (6 n)), q from the table of Demšar: ``scipy.stats.studentized_range`` over √2.
    Use when:
        For a picture, or a hint with few seeds; :func:`paired_p` with :func:`holm` decides.
    Paper:
        Janez Demšar, 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7; against it,
        Alessio Benavoli, Giorgio Corani and Francesca Mangili, 2016, "Should We Really Use Post-Hoc Tests Based on
        Mean-Ranks?", arXiv:1505.02288.

    Args:
        permuted: what :func:`permuted_mean_ranks` returned.
        level: of significance.
    """
    ranges, counts = np.unique(np.round(np.ptp(permuted, axis=1), 9), return_counts=True)
    at_least = np.cumsum(counts[::-1])[::-1] / counts.sum()
    return float(ranges[at_least <= level].min(initial=math.inf))


def cliques(told_apart: npt.NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """Return the groups of which no two members are told apart, each as large as it can be, in ascending order.

    Args:
        told_apart: ``[methods, methods]``, symmetric.
    """

    def grow(group: frozenset[int], candidates: frozenset[int], seen: frozenset[int]) -> Iterator[tuple[int, ...]]:
        if not candidates and not seen:
            yield tuple(sorted(group))
        pivot = max(candidates | seen, key=lambda each: len(alike[each] & candidates), default=None)
        for each in sorted(candidates if pivot is None else candidates - alike[pivot]):
            yield from grow(group | {each}, candidates & alike[each], seen & alike[each])
            candidates, seen = candidates - {each}, seen | {each}

    everyone = frozenset(range(len(told_apart)))
    alike = [frozenset(np.flatnonzero(~told_apart[each]).tolist()) - {each} for each in sorted(everyone)]
    return sorted(grow(frozenset(), everyone, frozenset()))


def _sorted(values: Numbers) -> Array:
    ordered: Array = np.sort(np.asarray(values, dtype=np.float64), axis=None)
    require(len(ordered) > 0, "there are no numbers")
    require(not np.isnan(ordered[-1]), "one of the numbers is NaN; a failed run is +inf")
    return ordered


def _doubled_ranks(paired: Numbers) -> npt.NDArray[np.int64]:
    """Return twice the mid-ranks of the sizes of differences: mid-ranks are halves."""
    _sorted(paired)
    found: npt.NDArray[np.int64] = np.rint(2 * stats.rankdata(np.abs(paired))).astype(np.int64)
    return found


def _ranks(costs: Array) -> Array:
    require(costs.ndim == 2, f"costs are of shape {costs.shape}: wanted [seeds, methods]")
    _sorted(costs)
    found: Array = stats.rankdata(costs, axis=1)
    return found


def _between(low: float, high: float, part: float) -> float:
    if low == high or part == 0:
        return low
    if math.isinf(low) or math.isinf(high):
        return 0.0 if math.isinf(low) and math.isinf(high) else low + high
    return low + part * (high - low)


def _median_chances(count: int) -> Array:
    """Return ``[i, j]``: how often a resample's two middle order statistics are the i-th and the j-th value."""
    middle, places = count // 2, np.arange(count + 1) / count
    if count % 2:
        return np.diag(np.diff(special.bdtrc(middle, count, places)))
    low = np.diff(special.bdtrc(middle - 1, count, places))  # P(the lower middle is the i-th)
    ways = special.gammaln(count + 1) - 2 * special.gammaln(middle + 1)
    apart = np.exp(ways + special.xlogy(middle, np.outer(places, 1 - places)))  # lower middle up to i, upper after j
    chances: Array = np.triu(-np.diff(np.diff(apart, axis=0), axis=1), 1)
    return chances + np.diag(np.maximum(low - chances.sum(axis=1), 0.0))
