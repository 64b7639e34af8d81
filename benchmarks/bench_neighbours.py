"""How fast, and in how much memory, are precision, recall, density and coverage? Ours beside the package prdc.

    PYTHONPATH=FOLDER python benchmarks/bench_neighbours.py [--samples 10000] [--widths 64 2048] [--rounds 3]
        [--threads 1] [--clock cpu]

FOLDER has prdc and what it needs: `pip install --target FOLDER --no-deps prdc scikit-learn joblib threadpoolctl
narwhals cloudpickle`. Both take the same float32 rows in turn; the ratio is prdc's time over ours, and the line has
the scores of both. Memory: how much more a process of its own holds at its peak than when it had its rows; Linux only.
"""

import argparse
import contextlib
import io
import re
import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from _measure import in_turn, report

from adversarium.metrics.neighbours import neighbour_scores

K = 5
Scores = list[float]


def rows(samples: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(width)
    return torch.randn(samples, width, generator=source), torch.randn(samples, width, generator=source)


def ours(real: torch.Tensor, fake: torch.Tensor) -> Scores:
    return [float(each) for each in neighbour_scores(real, fake, k=K)]


def theirs(real: torch.Tensor, fake: torch.Tensor) -> Scores:
    from prdc import compute_prdc

    with contextlib.redirect_stdout(io.StringIO()):  # it tells how many samples there are
        found = compute_prdc(real.numpy(), fake.numpy(), K)
    return [float(found[name]) for name in ("precision", "recall", "density", "coverage")]


def peak_growth(which: str, samples: int, width: int, threads: int) -> float:
    """Return how many GB more than with its rows alone this process holds at its peak."""
    torch.set_num_threads(threads)
    call = {"ours": ours, "prdc": theirs}[which]
    # code is loaded before, and counts for neither
    call(*rows(100, width))
    real, fake = rows(samples, width)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
    before = kilobytes("VmRSS")
    call(real, fake)
    return (kilobytes("VmHWM") - before) * 1024 / 1e9


def kilobytes(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 2048])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    met = True
    for width in given.widths:
        real, fake = rows(given.samples, width)
        found: dict[str, Scores] = {}

        def keep(name: str, call: Callable[..., Scores], real=real, fake=fake, found=found) -> None:
            found[name] = call(real, fake)

        calls = {"prdc": lambda: keep("prdc", theirs), "ours": lambda: keep("ours", ours)}
        times = in_turn(calls, rounds=given.rounds, warm_up=0, clock=given.clock)
        shown = {name: {"seconds": round(statistics.median(times[name]), 2), "scores": found[name]} for name in times}
        speed = [a / b for a, b in zip(times["prdc"], times["ours"], strict=True)]
        size = f"{given.samples} x {given.samples}, {width} features"
        pairs = max(abs(a - b) for a, b in zip(found["ours"], found["prdc"], strict=True)) * given.samples
        met &= pairs < 5  # distances that float32 cannot tell from a radius
        met &= report(f"{size}: prdc's time over ours", speed, at_least=2, clock=given.clock, **shown)
        grown = {}
        for name in calls:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as child:
                grown[name] = child.submit(peak_growth, name, given.samples, width, given.threads).result()
        prdc_gb = round(grown["prdc"], 3)
        met &= report(f"{size}: memory added, GB", [grown["ours"]], at_most=1, prdc_gb=prdc_gb)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
