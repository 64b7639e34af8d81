"""One step of WGAN-GP, five critic steps and one of the generator: ours against the textbook's, in turn.

    python benchmarks/bench_step.py [--rounds 11] [--only dcgan|mlp] [--threads N] [--clock wall|cpu]

Same architecture, initial weights, data and batch size. The ratio is textbook time / our time. The bars at
default precision hold where the processor computes bf16 natively; elsewhere the default is fp32.
"""

import argparse
import copy
import sys

import textbook
import torch
from _measure import CLOCKS, in_turn, milliseconds, ratios, report
from torch import nn

from adversarium.games import alternating
from adversarium.nets import NETWORKS
from adversarium.presets import PRESETS
from adversarium.train import Step
from adversarium.train.build import build_optimizer
from adversarium.train.precision import has_native_bf16, resolve_precision

BATCH, LATENT = 64, 64
CPU = torch.device("cpu")
# network: sample shape, bar in fp32, bar at default precision
CASES = {"dcgan": ((3, 32, 32), 1.3, 2.5), "mlp": ((1, 28, 28), None, 1.4)}
TEXTBOOK = {
    "dcgan": (textbook.dcgan_generator, textbook.dcgan_critic),
    "mlp": (textbook.mlp_generator, textbook.mlp_critic),
}


def networks(name: str, shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    family = NETWORKS[name]
    rng = torch.Generator().manual_seed(0)
    generator = family.generator(shape, LATENT, width=family.width, batch_norm=family.batch_norm, rng=rng)
    return generator, family.critic(shape, width=family.width, batch_norm=False, rng=rng)


def textbook_networks(name: str, generator: nn.Module, critic: nn.Module, shape: tuple[int, ...]) -> list[nn.Module]:
    """Return the textbook's networks with our weights, after making sure that they compute the same."""
    twins = []
    for network, make, samples in (
        (generator, TEXTBOOK[name][0], torch.randn(8, LATENT)),
        (critic, TEXTBOOK[name][1], torch.randn(8, *shape)),
    ):
        twin = make()
        twin.load_state_dict(network.state_dict())
        torch.testing.assert_close(copy.deepcopy(twin)(samples), copy.deepcopy(network)(samples))
        twins.append(twin)
    return twins


def batches(shape: tuple[int, ...]):
    """Return a source of random batches, indexed in memory as our arrays are."""
    images = torch.randint(0, 256, (2048, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    rng = torch.Generator().manual_seed(2)
    return lambda n: images[torch.randint(len(images), (n,), generator=rng)].float().div(127.5).sub_(1)


def ours(generator: nn.Module, critic: nn.Module, shape: tuple[int, ...], precision: str) -> Step:
    preset = PRESETS["wgan-gp"]
    latent = torch.Generator().manual_seed(3)
    return Step(
        generator=generator,
        critic=critic,
        objective=preset.objective,
        rule=alternating(preset.n_critic),
        critic_optimizer=build_optimizer(preset.critic_optimizer, critic.parameters()),
        generator_optimizer=build_optimizer(preset.generator_optimizer, generator.parameters()),
        real=batches(shape),
        latent=lambda n: torch.randn(n, LATENT, generator=latent),
        rng=torch.Generator().manual_seed(4),
        batch_size=BATCH,
        precision=precision,
    )


def compare(name: str, rounds: int, clock: str) -> bool:
    shape, bar_fp32, bar_default = CASES[name]
    generator, critic = networks(name, shape)
    default = resolve_precision("auto", CPU, is_image=True)
    repeats = 1 if name == "dcgan" else 10  # a step of the MLP is too short to be timed alone

    def repeated(step):
        return lambda: [step() for _ in range(repeats)]

    twins = textbook_networks(name, generator, critic, shape)
    theirs = textbook.Textbook(*twins, real=batches(shape), batch_size=BATCH, latent_dim=LATENT)
    candidates = {"textbook": repeated(theirs)}
    for precision in ("fp32", "bf16") if has_native_bf16(CPU) else ("fp32",):
        step = ours(copy.deepcopy(generator), copy.deepcopy(critic), shape, precision)
        candidates[precision] = repeated(step)
    times = in_turn(candidates, rounds=rounds, warm_up=2, clock=clock)

    results = []
    for precision in list(candidates)[1:]:
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
