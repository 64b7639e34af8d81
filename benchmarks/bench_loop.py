"""What the training loop costs over the bare step: progress display, logging, EMA, records on disk.

    python benchmarks/bench_loop.py [--chunks 25] [--clock wall|cpu] [--threads N]

`adversarium.train.train` runs as it does from the command line (default preset, network and batch on mnist, the
live bar on). It reports to its observers every 20 steps; the last observer stops the clock, takes 20 bare steps of a
second, equal game (`Step` called with its stream, nothing else), and starts the clock again. So loop and bare step
take turns in one process, and all that the loop does between two reports is counted. On a noisy machine two equal
games differ by more than the loop costs; therefore the loop's own calls of `Step` are also timed, and a second line
gives the loop's time over the time inside them. Both have the bar, on the median. Pictures and checkpoints fall into
few of the chunks, so a third line gives the ratio of the sums, with them.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import torch
from _measure import CLOCKS, milliseconds, ratios, report

from adversarium.cli.progress import Display
from adversarium.config import TrainConfig
from adversarium.data import open_data
from adversarium.train import Step, train
from adversarium.train.build import build
from adversarium.train.resolve import resolve

WARM_UP = 2


class InTurn:
    """The observer that stops the loop's clock and lets the bare step run; and a watch on the loop's own steps."""

    def __init__(self, config: TrainConfig, clock: str) -> None:
        source = open_data(config.data)
        self.training = build(resolve(config, source.codec), source)
        self.every = config.log_every_steps
        self.now = CLOCKS[clock]
        self.times: dict[str, list[float]] = {"loop": [], "inside": [], "bare": []}
        self.inside = 0.0
        self.started: float | None = None

    def __call__(self, record: dict[str, float]) -> None:
        entered = self.now()
        if self.started is not None:
            self.times["loop"].append(entered - self.started)
            self.times["inside"].append(self.inside)
            begun = self.now()
            for _ in range(self.every):
                self.training.step(round(1000 * record["kimg"]))
            self.times["bare"].append(self.now() - begun)
            self.training.step.measurements()
        self.inside = 0.0
        self.started = self.now()

    def watched(self) -> Callable[[Step, int], None]:
        """Return `Step.__call__` with a watch, for the loop's step and not the bare one."""
        call = Step.__call__

        def timed(step: Step, images: int = 0) -> None:
            begun = self.now()
            call(step, images)
            if step is not self.training.step:
                self.inside += self.now() - begun

        return timed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=25, help="of 20 steps each")
    parser.add_argument("--threads", type=int, help="torch's threads (default: torch's own choice)")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: where others keep the machine busy")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    os.environ["FORCE_COLOR"] = "1"  # rich draws the live bar although it draws it into /dev/null
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        every = TrainConfig().log_every_steps
        config = TrainConfig(steps=(options.chunks + WARM_UP + 1) * every, out=str(Path(folder) / "run"))
        in_turn = InTurn(config, options.clock)
        sys.stderr, old = nowhere, sys.stderr
        try:
            with Display() as display, patch.object(Step, "__call__", in_turn.watched()):
                train(config, observers=[display, in_turn], on_start=display.start)
        finally:
            sys.stderr = old
    times = {name: values[WARM_UP:] for name, values in in_turn.times.items()}
    run = in_turn.training.config
    facts = {
        "clock": options.clock,
        "threads": torch.get_num_threads(),
        "run": f"{run.preset} on {run.data}, {run.network}, batch {run.batch_size}, {run.precision}",
        "bare_ms_per_step": milliseconds(times["bare"], every),
    }
    ok = report("loop/bare step", ratios(times, "loop", "bare"), at_most=1.03, **facts)
    ok &= report("loop/its own steps", ratios(times, "loop", "inside"), at_most=1.03, **facts)
    whole = sum(times["loop"]) / sum(times["inside"])
    report("loop/its own steps, with pictures and checkpoints", [whole], **facts)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
