"""What live diagnosis costs: the time in it over the time of the steps between two looks.

    python benchmarks/bench_watch.py [--looks 12] [--clock wall|cpu] [--threads N] [--only mnist|ring]

`adversarium.train.train` runs at its defaults but for a smaller width of the ring's networks: the fewer weights, the
more a look costs beside a step. Each look (remembering the weights before a step, the probe, the diagnosis of all
records so far) is timed, and so is each step; one look and the steps since the last give a ratio, the median of
which has the bar.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import torch
from _measure import CLOCKS, report

from adversarium.config import TrainConfig
from adversarium.train import train
from adversarium.train.build import Training
from adversarium.train.watch import Watch

RUNS: dict[str, dict[str, Any]] = {
    "mnist": {"data": "mnist", "preset": "nsgan"},
    "ring": {"data": "ring", "preset": "nsgan", "width": 256},
    "wgan-gp on mnist": {"data": "mnist", "preset": "wgan-gp"},
}
WARM_UP = 2
LOOKS = ("before_step", "look")


def measured(options: dict[str, Any], looks: int, clock: str) -> list[float]:
    """Return the ratio of each look."""
    now = CLOCKS[clock]
    spent = {"steps": 0.0, "looks": 0.0}
    found: list[float] = []

    def timed(method: Callable[..., Any], what: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            begun = now()
            result = method(*arguments, **named)
            spent[what] += now() - begun
            return result

        return call

    def observe(record: dict[str, float]) -> None:
        if "probe_auc" in record:
            found.append(spent["looks"] / spent["steps"])
            spent.update(steps=0.0, looks=0.0)

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stack.enter_context(patch.object(Training, "move", timed(Training.move, "steps")))
        for name in LOOKS:
            stack.enter_context(patch.object(Watch, name, timed(getattr(Watch, name), "looks")))
        every = TrainConfig().diagnose_every_steps
        train(TrainConfig(**options, steps=(looks + WARM_UP) * every, out=f"{folder}/run"), observers=[observe])
    return [1 + ratio for ratio in found[WARM_UP:]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--looks", type=int, default=12)
    parser.add_argument("--threads", type=int, help="torch's threads (default: torch's own choice)")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: where others keep the machine busy")
    parser.add_argument("--only", choices=RUNS)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    ok = True
    for name, run in RUNS.items():
        if options.only in (None, name):
            values = measured(run, options.looks, options.clock)
            facts = {"clock": options.clock, "threads": torch.get_num_threads()}
            ok &= report(f"with diagnosis/without, {name}", values, at_most=1.03, **facts)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
