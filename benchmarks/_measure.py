"""Ratios of running times on a noisy machine: candidates take turns in one process, and each round gives one ratio.

Absolute times on a shared machine mean little. What is slow for a while is slow for all candidates of a round, so
the median of the rounds' ratios is stable where the times are not; the quartiles say how stable.
"""

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Times = dict[str, list[float]]


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""``cpu`` counts the processor time of this process: for machines that others keep busy, with ``--threads 1``."""


def in_turn(
    candidates: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int, clock: str = "wall"
) -> Times:
    """Return the seconds of each call: A B C, A B C, ..., ``rounds`` times after ``warm_up`` unmeasured rounds."""
    now = CLOCKS[clock]
    times: Times = {name: [] for name in candidates}
    for index in range(warm_up + rounds):
        gc.collect()
        for name, call in candidates.items():
            started = now()
            call()
            if index >= warm_up:
                times[name].append(now() - started)
    return times


def ratios(times: Times, numerator: str, denominator: str) -> list[float]:
    """Return each round's ratio of two candidates' times."""
    return [a / b for a, b in zip(times[numerator], times[denominator], strict=True)]


def report(
    name: str,
    values: Sequence[float],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    **facts: Any,
) -> bool:
    """Print one JSON line with the median, the quartiles and the bar; return whether the bar is met."""
    median = statistics.median(values)
    low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [median] * 3
    ok = (at_least is None or median >= at_least) and (at_most is None or median <= at_most)
    bar = f">= {at_least}" if at_least is not None else f"<= {at_most}" if at_most is not None else None
    shown = {"name": name, "ratio": round(median, 4), "spread": [round(low, 4), round(high, 4)], "bar": bar, "ok": ok}
    print(json.dumps({**shown, "n": len(values), **facts, "machine": machine()}), flush=True)
    return ok


def mean_and_spread(values: Sequence[float], digits: int) -> str:
    """Return the mean ± the standard deviation over seeds, as a cell of a table; of no value an empty one."""
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def machine() -> dict[str, Any]:
    """Return what a reader needs in order to place the numbers."""
    facts: dict[str, Any] = {"cpu": _cpu(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    facts["python"] = platform.python_version()
    try:
        from importlib.metadata import version

        facts["torch"] = version("torch")
    except ImportError:
        pass
    return facts


def milliseconds(times: Sequence[float], per: int = 1) -> float:
    """Return the median in milliseconds, rounded, for one of ``per`` repetitions."""
    return round(1000 * statistics.median(times) / per, 2)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
