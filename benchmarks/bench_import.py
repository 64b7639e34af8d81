"""What importing adversarium adds to importing torch, and how soon the command line answers.

    python benchmarks/bench_import.py [--rounds 9] [--clock wall|cpu]

Fresh interpreters, in turn; the clock runs from the interpreter's first statement, so that its own start does not
dilute the ratio. The help is timed from outside, as a person would.
"""

import argparse
import statistics
import subprocess
import sys
import time

from _measure import report

ROOMS = "adversarium, adversarium.losses, adversarium.penalties, adversarium.train"
CLOCKS = {"wall": "perf_counter", "cpu": "process_time"}
HELP = """
import sys
from adversarium.cli import main
assert main(["--help"]) == 0
assert "torch" not in sys.modules and "numpy" not in sys.modules, "the help imports torch or numpy"
"""


def seconds_to(statement: str, clock: str) -> float:
    code = f"from time import {clock} as now\nbegun = now()\n{statement}\nprint(now() - begun)"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def seconds_for_help() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "adversarium", "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: where others keep the machine busy")
    options = parser.parse_args()
    clock = CLOCKS[options.clock]
    torch_alone, with_ours, helps = [], [], []
    for index in range(options.rounds + 1):  # the first round reads the files from disk
        pair = seconds_to("import torch", clock), seconds_to(f"import torch, {ROOMS}", clock)
        answered = seconds_for_help()
        if index > 0:
            torch_alone.append(pair[0])
            with_ours.append(pair[1])
            helps.append(answered)
    pairs = [ours / alone for ours, alone in zip(with_ours, torch_alone, strict=True)]
    facts = {"clock": options.clock, "torch_seconds": round(statistics.median(torch_alone), 3)}
    results = [report("import torch and adversarium / import torch", pairs, at_most=1.15, **facts)]
    results.append(report("adversarium --help, seconds", helps, at_most=0.5, clock="wall"))
    subprocess.run([sys.executable, "-c", HELP], check=True, stdout=subprocess.DEVNULL)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
