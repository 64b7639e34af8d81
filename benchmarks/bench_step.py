"""One step of WGAN-GP, five critic steps and one of the generator: ours against the textbook's, in turn.

    python benchmarks/bench_step.py [--rounds 11] [--only dcgan|mlp] [--threads N] [--clock wall|cpu]

Same architecture, initial weights, data and batch size. The ratio is textbook time / our time. The bars at
default precision hold where the processor computes bf16 natively; elsewhere the default is fp32.
"""

import argparse
import copy
import sys
from collections.abc import Callable

import numpy as np
import textbook
import torch
from _measure import CLOCKS, in_turn, milliseconds, ratios, report
from torch import nn

from adversarium.config import TrainConfig
from adversarium.data import ArraySource, Codec, open_stream
from adversarium.train import Step
from adversarium.train.build import Training, build
from adversarium.train.precision import has_native_bf16, resolve_precision
from adversarium.train.resolve import resolve

BATCH, LATENT = 64, 64
CPU = torch.device("cpu")
PRECISIONS = ("fp32", "bf16") if has_native_bf16(CPU) else ("fp32",)
WIDTHS = {"dcgan": 64, "mlp": 256}
# network: sample shape, bar in fp32, bar at default precision
CASES = {"dcgan": ((3, 32, 32), 1.3, 2.5), "mlp": ((1, 28, 28), 1.4, 1.4)}
TEXTBOOK = {
    "dcgan": (textbook.dcgan_generator, textbook.dcgan_critic),
    "mlp": (textbook.mlp_generator, textbook.mlp_critic),
}


def game(name: str, source: ArraySource, precision: str) -> Training:
    """Return the game as `adversarium train --preset wgan-gp` builds it."""
    config = TrainConfig(
        preset="wgan-gp",
        network=name,
        width=WIDTHS[name],
        precision=precision,
        batch_size=BATCH,
        latent_dim=LATENT,
    )
    return build(resolve(config, source.codec), source)


def textbook_networks(name: str, step: Step, shape: tuple[int, ...]) -> list[nn.Module]:
    """Return the textbook's networks with our weights, after making sure that they compute the same."""
    twins = []
    for network, make, samples in (
        (step.generator, TEXTBOOK[name][0], torch.randn(8, LATENT)),
        (step.critic, TEXTBOOK[name][1], torch.randn(8, *shape)),
    ):
        twin = make()
        twin.load_state_dict(network.state_dict())
        torch.testing.assert_close(copy.deepcopy(twin)(samples), copy.deepcopy(network)(samples))
        twins.append(twin)
    return twins


def compare(name: str, rounds: int, clock: str) -> bool:
    shape, bar_fp32, bar_default = CASES[name]
    noise = np.random.default_rng(0).integers(0, 256, (2048, *shape), np.uint8)
    source = ArraySource("noise", noise, Codec(shape))
    default = resolve_precision("auto", CPU, is_image=True)
    games = {precision: game(name, source, precision) for precision in PRECISIONS}
    repeats = 1 if name == "dcgan" else 10  # a step of the MLP is too short to be timed alone

    def repeated(step: Callable[[], None]) -> Callable[[], object]:
        return lambda: [step() for _ in range(repeats)]

    stream = open_stream(source, batch_size=BATCH, seed=1, device=CPU)
    twins = textbook_networks(name, games["fp32"].step, shape)
    theirs = textbook.Textbook(*twins, real=lambda n: stream.next(n).samples, batch_size=BATCH, latent_dim=LATENT)
    candidates = {"textbook": repeated(theirs)}
    candidates |= {precision: repeated(training.step) for precision, training in games.items()}
    times = in_turn(candidates, rounds=rounds, warm_up=2, clock=clock)

    results = []
    for precision in games:
        # on a processor without bf16 the default is fp32, and the bar for fp32 holds
        is_default = precision == default
        bar = bar_default if is_default and (has_native_bf16(CPU) or bar_fp32 is None) else bar_fp32
        facts = {
            "clock": clock,
            "threads": torch.get_num_threads(),
            "textbook_ms": milliseconds(times["textbook"], repeats),
            "ours_ms": milliseconds(times[precision], repeats),
        }
        label = f"step/wgan-gp/{name}-{'x'.join(map(str, shape))}/batch{BATCH}/{precision}" + " (default)" * is_default
        results.append(report(label, ratios(times, "textbook", precision), at_least=bar, **facts))
    return all(results)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--threads", type=int, help="torch's threads (default: torch's own choice)")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: where others keep the machine busy")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    results = [compare(name, options.rounds, options.clock) for name in CASES if options.only in (None, name)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
