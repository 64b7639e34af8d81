"""How numbers are said in a study's sentences, tables and lines: a time, how many, a p, what was measured."""

import inspect
import re
from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING

from adversarium.errors import InputError

if TYPE_CHECKING:
    from adversarium.metrics.protocols import Protocol

RANGE_BELOW = 8
"""With fewer runs the interval of a median is their range: of seven the bootstrap's covers it in 87 % of studies."""

_OF_SAMPLES_ALONE = ("is", "vendi")  # metrics that compare with no data


def duration(seconds: float, *, rough: bool = False) -> str:
    """Return a time in a unit that suits it: ``4.36 s``, ``12.5 min``, ``2 h 05 min``.

    Args:
        seconds: not negative.
        rough: in whole units and at least one second, as one says how long something will take.
    """
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(1, round(seconds))} s" if rough else f"{seconds:.3g} s"
    if minutes < 90:
        return f"{minutes} min" if rough else f"{seconds / 60:.3g} min"
    return f"{minutes // 60} h {minutes % 60:02} min"


def plural(count: int, noun: str) -> str:
    """Return ``1 run`` or ``2 runs``."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def probability(p: float) -> str:
    """Return a p in a few characters: ``0.012``, or ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def spread(values: Sequence[float], show: Callable[[float], str], unit: str = "") -> str:
    """Return the median of numbers and their range, ``10 s (9 s to 11 s)``; one number where all look alike.

    Args:
        values: at least one.
        show: how to say a number.
        unit: stands after the median only.
    """
    low, middle, high = (show(float(each)) for each in (min(values), median(values), max(values)))
    return f"{middle}{unit}" if low == middle == high else f"{middle}{unit} ({low} to {high})"


def names(methods: Sequence[str]) -> str:
    """Return names as a sentence has them: ``a``, ``a and b``, ``a, b and c``."""
    return methods[0] if len(methods) == 1 else f"{', '.join(methods[:-1])} and {methods[-1]}"


def interval_name(seeds: int) -> str:
    """Return what a study's interval of a median is: with fewer than eight seeds it is their range, and says so."""
    return "95 % interval" if seeds >= RANGE_BELOW else f"range of {plural(seeds, 'seed')}"


def short(protocol: str) -> str:
    """Return a protocol's metric, ``sw2`` of ``sw2_2500_raw_test``; another name as it is."""
    parsed = _parsed(protocol)
    return protocol if parsed is None else parsed.value.replace("_", " ")


def title(protocol: str) -> str:
    """Return what a protocol measures, ``sliced Wasserstein distance to test data (sw2)``; another name as it is.

    The words are those of the metric's own summary, or its name where Python has dropped docstrings.
    """
    parsed = _parsed(protocol)
    if parsed is None:
        return protocol
    metric, name = parsed.metric, parsed.value.replace("_", " ")
    against = ""
    if metric.reads == "rows" and parsed.value not in _OF_SAMPLES_ALONE:
        against = f" {'to' if 'distance' in _summary(metric.function) else 'against'} {_SPLITS[parsed.split]}"
    if parsed.features != "raw":
        against += f" in the features of {parsed.features}"
    if metric.what:
        return f"{name}{against} ({metric.what})"
    words = _summary(metric.function) or name
    return f"{words}{against} ({name})" if words != name else f"{words}{against}"


def better_of(protocol: str) -> str | float | None:
    """Return which way a protocol's number improves; ``None`` of a name that is no protocol's."""
    parsed = _parsed(protocol)
    return None if parsed is None else parsed.metric.better


_SPLITS = {"test": "test data", "train": "training data"}


def _parsed(name: str) -> "Protocol | None":
    """Return the protocol of a name; ``None`` where a comparison is of numbers that have another name."""
    from adversarium.metrics.protocols import Protocol  # it imports torch

    try:
        return Protocol.parse(name)
    except InputError:
        return None


def _summary(function: Callable[..., object]) -> str:
    """Return what a metric's docstring begins with, up to how it is computed: ``sliced Wasserstein distance``."""
    line = (inspect.getdoc(function) or "").partition("\n")[0]  # python -OO has none
    first = re.split(r":| of two |\.$| \(", line, maxsplit=1)[0]
    return first[4:] if first.startswith("The ") else first[:1].lower() + first[1:]
