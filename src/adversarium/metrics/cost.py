"""What measuring will cost, stated before it starts."""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch

from adversarium.features.chunks import Samples
from adversarium.metrics.measuring import Draw, Measuring, part_of
from adversarium.metrics.metric import MetricWarning
from adversarium.metrics.protocols import Protocol, seed_of
from adversarium.metrics.references import CHUNK

SMALLEST = 128
"""An estimate times a metric with this many samples first, then with twice as many, and so on."""

LONG_ENOUGH = 0.1
"""Seconds: an estimate goes on from a time as long as this."""

STEEPEST = 2.0
"""The power of the number of samples that a metric's time grows by, at most."""

_TIMES = 2


class Cost(NamedTuple):
    """Seconds: of what is done once (the real samples' features, the floors), and of each draw."""

    once: float
    draw: float


def estimate_cost(measuring: Measuring, draw: Draw) -> Cost:
    """Return about what :func:`measure` will cost, from timing small parts of it.

    Drawing and seeing are timed on a chunk of samples and scaled by their number. Each metric is timed with ever more
    samples, until it takes ``LONG_ENOUGH`` or has all, and taken to go on growing by the power that the last two
    times show. The faster of two calls counts each time, since others may be at work on the machine.
    """
    chunk = min(CHUNK, measuring.largest)
    draw(2, seed_of("codes", 0))  # the first call sets things up that are not paid for again
    samples: list[Samples] = []

    def fastest(call: Callable[[], Any]) -> float:
        return min(_seconds(call, measuring.device) for _ in range(_TIMES))

    each_draw = fastest(lambda: samples.append(draw(chunk, seed_of("codes", 0)))) * measuring.largest / chunk
    once = 0.0
    for name in measuring.features:
        stops: dict[str, int] = {}
        for protocol in measuring.protocols:
            for split, _, stop in measuring.plans[protocol].pieces if protocol.features == name else ():
                stops[split] = max(stops.get(split, 0), stop)
        seconds = fastest(partial(measuring.extract, name, samples[0])) / chunk
        each_draw += seconds * measuring.largest
        once += seconds * sum(stops.values())
    for group in measuring.groups():
        seconds = _seconds_of(group, measuring, fastest)
        each_draw += seconds
        once += seconds * len(measuring.plans[group[0]].floors)
    return Cost(once, each_draw)


def _seconds_of(
    group: Sequence[Protocol], measuring: Measuring, fastest: Callable[[Callable[[], Any]], float]
) -> float:
    """Return about how long a group's metric takes with one draw."""
    protocol, chosen = group[0], measuring.plans[group[0]]
    split, _, stop = chosen.reference
    full = min(protocol.samples, stop)
    count = min(max(SMALLEST, protocol.metric.least), full)

    def time_of(count: int) -> float:
        # two sets, as unlike one another as two draws are where there are enough
        rows = measuring.real(protocol.features, [(split, 0, min(2 * count, stop))])
        first, last = part_of(rows, 0, count), part_of(rows, len(rows.rows) - count, len(rows.rows))
        held_out = last if chosen.held_out else None
        return fastest(lambda: measuring.compare(group, first, held_out, last, 0))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MetricWarning)  # told when it is measured
        seconds, before = time_of(count), 0.0
        while count < full and (not before or seconds < LONG_ENOUGH):
            before, count = seconds, min(2 * count, full)
            seconds = time_of(count)
    if chosen.held_out is not None:  # a search through all that was trained on: as many pairs, as much time
        return seconds * (stop / count) * (protocol.samples / count)
    # short times are noise, and noise to a high power is nonsense
    power = math.log2(seconds / before) if before > 0 else 1.0
    growth: float = (protocol.samples / count) ** min(max(power, 1.0), STEEPEST)
    return seconds * growth


def _seconds(call: Callable[[], Any], device: torch.device) -> float:
    """Return how long a call takes, with all that it leaves to a GPU."""
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
