"""The metrics' speed and memory: the Fréchet distance against the plain way, the kernel distance in bounded memory.

    python benchmarks/bench_metrics.py [--only frechet,kernel] [--samples 50000] [--columns 2048] [--rounds 3]
                                       [--threads N] [--clock wall|cpu]

The plain way is numpy's means and `numpy.cov`, and `scipy.linalg.sqrtm` of the covariances' product. Ratios are its
time / ours; how far the values differ is stated beside them. A round of 50,000 x 2,048 takes about a minute on a core,
the kernel distance some minutes.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import scipy.linalg
import torch
from _measure import CLOCKS, in_turn, machine, milliseconds, ratios, report
from torch import Tensor

from adversarium.metrics.frechet import frechet_distance
from adversarium.metrics.kernel import kernel_distance


def sets(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Return features of rising scale, correlated, float32: two Gaussians that differ in mean and scale."""
    rng = torch.Generator().manual_seed(0)
    n, d = options.samples, options.columns
    mix = torch.randn(d, d, generator=rng) / d**0.5 * torch.linspace(0.1, 3, d)
    return torch.randn(n, d, generator=rng) @ mix, torch.randn(n, d, generator=rng) @ mix * 1.1 + 0.1


def plain(real: Tensor, fake: Tensor) -> float:
    """Return the Fréchet distance as it is mostly computed."""
    x, y = real.numpy(), fake.numpy()
    mean, other = x.mean(axis=0, dtype=np.float64), y.mean(axis=0, dtype=np.float64)
    covariance, other_covariance = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(covariance @ other_covariance)
    return float(((mean - other) ** 2).sum() + np.trace(covariance + other_covariance - 2 * root.real))


def frechet(options: argparse.Namespace) -> bool:
    """Compare with the plain way: with float64 products, and with ``fast``."""
    real, fake = sets(options)
    values: dict[str, float] = {}

    def keep(name: str, value: float) -> None:
        values[name] = value

    times = in_turn(
        {
            "plain": lambda: keep("plain", plain(real, fake)),
            "fast": lambda: keep("fast", float(frechet_distance(real, fake, fast=True))),
            "float64": lambda: keep("float64", float(frechet_distance(real, fake))),
        },
        rounds=options.rounds,
        warm_up=0,
        clock=options.clock,
    )
    met = []
    for name, bar in (("fast", 3.0), ("float64", None)):
        met.append(
            report(
                f"frechet/{options.samples}x{options.columns}/{name}",
                ratios(times, "plain", name),
                at_least=bar,
                clock=options.clock,
                threads=torch.get_num_threads(),
                plain_ms=milliseconds(times["plain"]),
                ours_ms=milliseconds(times[name]),
                difference_from_plain=abs(values[name] / values["plain"] - 1),
                difference_from_float64=abs(values[name] / values["float64"] - 1),
            )
        )
    return all(met)


def memory_mb() -> float:
    """Return the process's peak resident memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def kernel(options: argparse.Namespace) -> bool:
    """State the time and the memory beyond the features of all pairs."""
    real, fake = sets(options)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here (Linux)
    before = memory_mb()
    times = in_turn({"kernel": lambda: kernel_distance(real, fake)}, rounds=1, warm_up=0, clock=options.clock)
    more = memory_mb() - before
    ok = more < 1024
    facts = {"peak_mb_beyond_features": round(more), "bar": "< 1024", "ok": ok, "seconds": times["kernel"][0]}
    name = f"kernel/{options.samples}x{options.columns}"
    print(json.dumps({"name": name, **facts, "clock": options.clock, "machine": machine()}), flush=True)
    return ok


PARTS = {"frechet": frechet, "kernel": kernel}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas")
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--columns", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of torch; set OMP_NUM_THREADS for numpy and scipy as well")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    met = [PARTS[part](options) for part in options.only.split(",")]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
