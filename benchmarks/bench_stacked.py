"""Many games at once: one step of each of K games on the ring, stacked, against the same games one after another.

    python benchmarks/bench_stacked.py [--games 64] [--presets gan,wgan-gp] [--widths 32,64] [--batch 64] [--rounds 7]
                                       [--threads 2] [--clock wall|cpu] [--device cpu]

The ratio is time one after another / time stacked, the learning rates are all different. The bar of 2 on two cores
holds at the smallest width; on a GPU it is 30. The other widths show where the gain ends.
"""

import argparse
import sys
from collections.abc import Callable

import torch
from _measure import CLOCKS, in_turn, milliseconds, ratios, report

from adversarium.config import TrainConfig
from adversarium.data import open_data
from adversarium.train.build import Training, build
from adversarium.train.resolve import resolve
from adversarium.train.stacked import StackedTraining


def games(count: int, preset: str, width: int, batch: int, device: str) -> list[Training]:
    source = open_data("ring")
    configs = [
        TrainConfig(
            data="ring",
            preset=preset,
            width=width,
            batch_size=batch,
            device=device,
            seed=seed,
            critic_learning_rate=1e-4 * (1 + seed / count),
        )
        for seed in range(count)
    ]
    return [build(resolve(config, source.codec), source) for config in configs]


def compare(options: argparse.Namespace, preset: str, width: int, bar: float | None) -> bool:
    alone, together = (games(options.games, preset, width, options.batch, options.device) for _ in range(2))
    stack = StackedTraining(together)
    images = {"alone": 0, "stacked": 0}

    def finished(move: Callable[[int], int], name: str) -> None:
        images[name] = move(images[name])
        if options.device.startswith("cuda"):
            torch.cuda.synchronize()

    def one_after_another(before: int) -> int:
        return [training.move(before) for training in alone][-1]

    candidates = {
        "alone": lambda: finished(one_after_another, "alone"),
        "stacked": lambda: finished(stack.move, "stacked"),
    }
    times = in_turn(candidates, rounds=options.rounds, warm_up=2, clock=options.clock)
    return report(
        f"stacked/{preset}/{options.games} games/width {width}/batch {options.batch}/{options.device}",
        ratios(times, "alone", "stacked"),
        at_least=bar,
        clock=options.clock,
        threads=torch.get_num_threads(),
        alone_ms=milliseconds(times["alone"]),
        stacked_ms=milliseconds(times["stacked"]),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=64)
    parser.add_argument("--presets", default="gan,wgan-gp,r3gan")
    parser.add_argument("--widths", default="32,64,128,256,512")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: where others keep the machine busy")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    widths = [int(width) for width in options.widths.split(",")]
    bar = 30.0 if options.device.startswith("cuda") else 2.0
    results = [
        compare(options, preset, width, bar if width == min(widths) else None)
        for preset in options.presets.split(",")
        for width in widths
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
