"""What the samples of a run are like now: a run in which nothing fails may still be far from done."""

from dataclasses import dataclass

import numpy as np

from adversarium.diagnostics.detector import LIMITS, Limits, coming_down, improving, median_of_last
from adversarium.diagnostics.finding import Circumstances
from adversarium.diagnostics.history import History
from adversarium.diagnostics.remedies import ROBUST

_NONE = 1 / 256  # of the probe's samples, less than one


@dataclass(frozen=True, kw_only=True)
class State:
    """What the samples are like, as the probe saw them in the last part of the run.

    Attributes:
        good: whether they are near to the data (``Limits.good_distance``), and enough of them are at the known
            modes (``Limits.good_quality``) or, where none is known, of the data are reached
            (``Limits.good_coverage``).
        improving: whether they have lately become better.
        distance: of fakes to data, as the probe's.
        share: the share that counts; NaN where it was not measured.
        measured: what that is a share of, in two words.
    """

    good: bool
    improving: bool
    distance: float
    share: float
    measured: str

    @property
    def numbers(self) -> str:
        """The numbers in words."""
        share = f", {self.measured} {100 * self.share:.0f} %" if self.share == self.share else ""
        return f"distance {self.distance:.2g} (0: equal, 1: apart){share}"

    def advice(self, circumstances: Circumstances) -> str:
        """Return what to do about samples that are not good, where nothing was found that keeps them from it."""
        if self.improving:
            return "still improving: train longer"
        other = "" if circumstances.config.preset == ROBUST else f", or another method (--preset {ROBUST})"
        return f"no longer improving: take a wider network (--width), other learning rates{other}"


def state_of(history: History, limits: Limits = LIMITS) -> State | None:
    """Return what the samples are like, or ``None`` where the probe has not looked often enough to say."""
    if len(history.series("probe_distance")[0]) < limits.least_looks:
        return None
    qualities, coverages = (history.series(name)[1][0] for name in ("probe_high_quality", "probe_coverage"))
    known = len(qualities) > 0
    values, wanted = (qualities, limits.good_quality) if known else (coverages, limits.good_coverage)
    distance = median_of_last(history, "probe_distance", limits)
    share = median_of_last(history, "probe_high_quality" if known else "probe_coverage", limits)
    return State(
        good=distance <= limits.good_distance and not share < wanted,  # NaN: there is the distance alone
        improving=improving(history, limits) or coming_down(1 / np.maximum(values, _NONE), limits),
        distance=distance,
        share=share,
        measured="high quality" if known else "coverage",
    )
