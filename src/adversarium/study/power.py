"""How many seeds a study needs: what the paired test can find, and how surely."""

import itertools
import math

import numpy as np

from adversarium.errors import require
from adversarium.study.statistics import Numbers, signed_rank_law


def least_seeds(pairs: int, level: float = 0.05) -> int:
    """Return the fewest seeds at which the paired test with Holm's correction can find anything.

    Formula:
        min n: pairs · 2/2ⁿ ≤ level
    """
    require(pairs >= 1 and 0 < level < 1, f"pairs, level are {pairs}, {level}: wanted 1 or more, between 0 and 1")
    return next(seeds for seeds in itertools.count(1) if pairs * 2.0 ** (1 - seeds) <= level)


def power(
    effect: float,
    seeds: int,
    pairs: int = 1,
    level: float = 0.05,
    *,
    rng: np.random.Generator,
    draws: int = 10_000,
) -> float:
    """Return the probability that a difference between two methods is found, and in the right direction.

    Formula:
        P(pairs · p(d) ≤ level),  dᵢ = effect + normal noise of standard deviation 1,  i = 1 ... seeds
    Convention:
        By simulation: its standard error is √(power (1 − power) / draws). With more pairs it is a lower bound: it is
        as if no other pair were found.

    Args:
        effect: positive; the mean of the paired differences in their standard deviations.
        seeds: how many.
        pairs: of which this is one, in Holm's correction.
        level: of all pairs together.
        rng: for the noise.
        draws: how many studies are simulated.
    """
    require(seeds >= 1 and draws >= 1, f"seeds, draws are {seeds}, {draws}: wanted 1 or more")
    paired = effect + rng.standard_normal((draws, seeds))
    ranks = np.abs(paired).argsort(axis=1).argsort(axis=1) + 1
    sums = np.where(paired > 0, ranks, 0).sum(axis=1)
    chances = signed_rank_law(tuple(range(1, seeds + 1)))
    tails = 2 * np.cumsum(chances[::-1])[::-1]  # two-sided, of each sum of the ranks with a plus
    enough = np.flatnonzero(tails * pairs <= level)
    return float((sums >= enough[0]).mean()) if len(enough) else 0.0


def observed_effect(paired: Numbers) -> float:
    """Return the mean of paired differences in their standard deviations, as :func:`power` takes it.

    Formula:
        (1 − 3/(4 (n − 1) − 1)) d̄ / s: Hedges' correction of small samples' exaggeration
    Convention:
        Of two differences nothing can be said: the correction is 0. An infinite difference counts as the largest
        finite one; ±∞ where all are the same and not 0.
    Paper:
        Larry V. Hedges, 1981, "Distribution Theory for Glass's Estimator of Effect Size and Related Estimators",
        Journal of Educational Statistics 6(2).

    Raises:
        InputError: fewer than three differences, or NaN.
    """
    found = np.asarray(paired, dtype=np.float64)
    require(not np.isnan(found).any(), "a difference is NaN")
    require(len(found) > 2, "an effect needs three differences or more")
    largest = np.abs(found[np.isfinite(found)]).max(initial=0.0) or 1.0
    found = np.clip(found, -largest, largest) / largest
    mean, spread = float(found.mean()), float(found.std(ddof=1))
    if spread < 1e-12:
        return math.copysign(math.inf, mean) if abs(mean) > 1e-12 else 0.0
    return (1 - 3 / (4 * (len(found) - 1) - 1)) * mean / spread


def seeds_needed(
    effect: float,
    pairs: int = 1,
    level: float = 0.05,
    wanted: float = 0.8,
    *,
    rng: np.random.Generator,
    most: int = 200,
) -> int | None:
    """Return about how many seeds find an effect with the wanted probability; ``None`` where ``most`` do not.

    Args:
        effect: positive; as :func:`power` takes it.
        pairs: likewise.
        level: likewise.
        wanted: the probability.
        rng: for the simulation.
        most: where to give up.
    """

    def enough(seeds: int) -> bool:
        return power(effect, seeds, pairs, level, rng=rng, draws=1_000) >= wanted

    low = least_seeds(pairs, level) - 1  # not enough
    high = low + 1
    while not enough(high):
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
