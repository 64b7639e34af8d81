"""What a detector is, the thresholds of all of them in one place, and what it takes to call something persistent."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from adversarium.diagnostics.finding import Circumstances, Finding
from adversarium.diagnostics.history import History, Numbers, Truths, since


@dataclass(frozen=True, kw_only=True)
class Limits:
    """From where on a number counts as a failure.

    Attributes:
        window: the share of the measurements, the last ones, in which a failure has to show.
        persistence: in how large a share of these.
        least_looks: measurements of the probe without which nothing is said.
        least_records: the same of records.
        improving: samples still improve where three in four distances in the window are below this share of what
            three in four were above, both in the window before and in all that came before.
        far_off: distance of fakes to data, as the probe's, above which samples are bad.
        no_signal: share of a loss gradient that counts as none.
        fallen: share of its former size to which the generator's gradient has vanished.
        separated: share of pairs that a critic orders rightly, from which on it is too strong.
        undecided: the same, up to which it is too weak.
        little_gain: share of an undecided critic's loss that a critic has got rid of, up to which it is too weak.
        collapsed_diversity: diversity of fakes below which there is one mode.
        collapsed_modes: share of known modes up to which there is one mode or few.
        partial_diversity: diversity below which some variety is missing.
        partial_modes: share of known modes below which some are missing.
        partial_quality: share of fakes at a known mode, below which they tell nothing of those that are missing.
        good_distance: distance of fakes to data up to which samples count as good.
        good_quality: share of fakes at a known mode, where modes are known, from which on they do.
        good_coverage: share of data with a fake nearby, where no modes are known, from which on they do.
        memory: share of pairs in which training data score above held-out data, from which on a critic overfits.
        overfitting: share of the way from training data to fakes at which held-out data score then, at least.
        reversed_share: share of records with fakes scored above data, from which on the players circle.
        reversed_mass: their share of the sum of all score gaps' sizes.
        swing: an AUC farther than this from 0.5, on both sides, counts as a swing.
        swings: share of looks on either side.
        growth: factor by which scores or gradients grow when a run diverges.
        strayed: share of fakes beyond all data.
        slope: the largest slope at which a bound of 1 counts as kept, on average between data and fakes.
        steepest: the same anywhere.
        dominating: penalties over what the critic has gained on its loss, from which on they dominate it.
        overwhelming: the same ratio, from which on they do so whatever the samples are like.
        felt: penalties over the usual size of that gain, below which they are too small to.
        idle: the same ratio, below which a penalty does nothing.
        imbalance: ratio of the players' relative steps, over five looks.
        range_share: share of an image's range below which data are badly scaled.
        encoded_range: largest number that a network should see; and the inverse for the largest of all data.
        duplicates: share of samples that are copies.
    """

    window: float = 1 / 3
    persistence: float = 0.75
    least_looks: int = 8
    least_records: int = 20
    improving: float = 0.9
    far_off: float = 0.06
    no_signal: float = 0.1
    fallen: float = 1e-3
    separated: float = 0.98
    undecided: float = 0.65
    little_gain: float = 0.1
    collapsed_diversity: float = 0.3
    collapsed_modes: float = 0.2
    partial_diversity: float = 0.8
    partial_modes: float = 0.9
    partial_quality: float = 0.15
    good_distance: float = 0.06
    good_quality: float = 0.5
    good_coverage: float = 0.5
    memory: float = 0.65
    overfitting: float = 0.3
    reversed_share: float = 0.1
    reversed_mass: float = 0.05
    swing: float = 0.15
    swings: float = 0.2
    growth: float = 100.0
    strayed: float = 0.9
    slope: float = 2.0
    steepest: float = 4.0
    dominating: float = 2.0
    overwhelming: float = 10.0
    felt: float = 0.3
    idle: float = 3e-3
    imbalance: float = 5.0
    range_share: float = 0.25
    encoded_range: float = 20.0
    duplicates: float = 0.05


LIMITS = Limits()
"""Those that are used unless others are given."""

Detect = Callable[[History, Circumstances, Limits], Finding | None]


@dataclass(frozen=True, kw_only=True)
class Detector:
    """Looks for one kind of failure.

    Attributes:
        summary: what it looks for, in a line.
        look: the function that does.
        reads: the numbers of records without which it says nothing; each entry is a set, and one of them is enough.
        data: the facts on the data without which it says nothing.
        applies: returns why a run cannot fail in this way, or an empty string; ``None``: every run can.
        settled: returns whether the way a run ended says enough, whatever was measured; ``None``: it never does.
    """

    summary: str
    look: Detect
    reads: tuple[tuple[str, ...], ...] = ()
    data: tuple[str, ...] = ()
    applies: Callable[[Circumstances], str] | None = None
    settled: Callable[[Circumstances], bool] | None = None

    def detect(self, history: History, circumstances: Circumstances, limits: Limits = LIMITS) -> Finding | None:
        """Return what was found, if anything."""
        return None if self.unjudged(history, circumstances, limits) else self.look(history, circumstances, limits)

    def unjudged(self, history: History, circumstances: Circumstances, limits: Limits = LIMITS) -> str:
        """Return why nothing can be said of this failure, or an empty string."""
        if self.applies is not None and (reason := self.applies(circumstances)):
            return reason
        for fact in self.data:
            if fact not in circumstances.data:
                return "the data were not looked at" if not circumstances.data else f"{fact} was not measured"
        if self.settled is not None and self.settled(circumstances):
            return ""
        short = [_Short.of(history, names, limits) for names in self.reads]
        if not self.reads or any(each.found >= each.wanted for each in short):
            return ""
        return max(short, key=lambda each: each.found).reason(history)  # not that of what this run can never have


class _Short(NamedTuple):
    """Numbers that have to be measured together: how often they were, and how often they have to be."""

    names: tuple[str, ...]
    found: int
    wanted: int

    @classmethod
    def of(cls, history: History, names: tuple[str, ...], limits: Limits) -> "_Short":
        return cls(names, len(history.series(*names)[0]), least(names, limits))

    def reason(self, history: History) -> str:
        probed = any(map(_is_probed, self.names))
        count, who = (
            _measured(history, probed=probed),
            "the probe looked at the run" if probed else "the run was logged",
        )
        if count >= self.wanted:  # often enough, but not at these numbers
            count, who = self.found, f"{' and '.join(self.names)} {'were' if len(self.names) > 1 else 'was'} measured"
        return f"{who} {'once' if count == 1 else f'{count} times'}: wanted at least {self.wanted}"


def _is_probed(name: str) -> bool:
    return name.startswith("probe_")


def _measured(history: History, *, probed: bool) -> int:
    """Return how often anything was measured, by the probe or by training itself."""
    names = [name for name in history.names if _is_probed(name) == probed]
    return max((len(history.series(name)[0]) for name in names), default=0)


def least(names: tuple[str, ...], limits: Limits) -> int:
    """Return how often numbers have to be measured before anything is said of them."""
    return limits.least_looks if any(map(_is_probed, names)) else limits.least_records


class Shown(NamedTuple):
    """A condition that holds in the last part of a run: since when, in what share of it, and the medians there."""

    since_kimg: float
    share: float
    medians: Mapping[str, float]


def tail(count: int, limits: Limits, part: float = 1.0) -> slice:
    """Return the last measurements of so many, in which a failure has to show."""
    return slice(max(count - max(math.ceil(part * limits.window * count), min(4, count)), 0), count)


def shown(
    history: History, limits: Limits, names: tuple[str, ...], condition: Callable[..., Truths | np.bool_]
) -> Shown | None:
    """Return whether a condition on numbers that were measured together holds persistently, at the end of a run."""
    kimg, columns = history.series(*names)
    if len(kimg) < least(names, limits):
        return None
    holds = np.asarray(condition(*columns), dtype=bool)
    last = tail(len(kimg), limits)
    share = float(holds[last].mean())
    if share < limits.persistence:
        return None
    medians = {name: float(np.median(column[last])) for name, column in zip(names, columns, strict=True)}
    return Shown(float(kimg[since(holds, limits.persistence)]), share, medians)


def bad(history: History, limits: Limits) -> bool:
    """Return whether the samples are far from the data, and no longer on their way there."""
    values = history.series("probe_distance")[1][0]
    if len(values) < limits.least_looks:
        return False
    far = float(np.median(values[tail(len(values), limits)])) > limits.far_off
    return far and not improving(history, limits)


def improving(history: History, limits: Limits) -> bool:
    """Return whether samples lately came closer to the data than they had been before."""
    return coming_down(history.series("probe_distance")[1][0], limits)


def coming_down(values: Numbers, limits: Limits) -> bool:
    """Return whether a number was lately less than it had been before, by more than it swings."""
    last = tail(len(values), limits)
    if not last.start:
        return False
    # all that came before, and what came right before: neither a swing nor a start long ago is an improvement
    before = [values[: last.start], values[max(2 * last.start - last.stop, 0) : last.start]]
    reference = min(float(np.quantile(each, 0.25)) for each in before)
    return float(np.quantile(values[last], 0.75)) < limits.improving * reference


def median_of_last(history: History, name: str, limits: Limits) -> float:
    """Return the median of a number in the last part of a run, NaN where it was not measured."""
    values: Numbers = history.series(name)[1][0]
    return float(np.median(values[tail(len(values), limits)])) if len(values) else math.nan


def smoothed(values: Numbers, width: int = 5) -> Numbers:
    """Return the means of each value and those before it, ``width`` in all where there are as many."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - width, 0)
    means: Numbers = (sums[ends] - sums[starts]) / (ends - starts)
    return means


def known(**numbers: float) -> dict[str, float]:
    """Return the evidence that was measured."""
    return {name: value for name, value in numbers.items() if math.isfinite(value)}
