"""What the spectrum of a game costs: ten leading eigenvalues of a ring GAN of two networks of 100,000 weights.

    python benchmarks/bench_spectrum.py [--rounds 3] [--steps 500] [--threads N] [--clock wall|cpu]

Vector MLPs of width 222, the non-saturating loss, batch 256, after 500 steps of Adam. Seconds, in both precisions, for
the largest eigenvalues (the bar) and for the whole of `games.spectrum` (also the rightmost, and the rotation). `error`
is float32's largest distance from float64's eigenvalues, over the largest eigenvalue.
"""

import argparse
import statistics
import sys

import torch
from _measure import CLOCKS, report
from torch import Tensor

from adversarium.data.toys import ring
from adversarium.games import Field, Game, spectrum
from adversarium.losses import nonsaturating
from adversarium.nets import mlp

WIDTH, BATCH, LATENT = 222, 256, 2
LIMIT = 60  # seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=500, help="training steps before it is measured")
    parser.add_argument("--threads", type=int, help="torch's threads (default: torch's own choice)")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: where others keep the machine busy")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    now = CLOCKS[options.clock]
    results, exact = [], {}
    for dtype in (torch.float64, torch.float32):
        game = ring_game(options.steps, dtype)
        seconds: dict[str, list[float]] = {"LM": [], "whole": []}
        for seed in range(options.rounds):
            started = now()
            field = Field(game)
            leading = field.eigenvalues(10, rng=torch.Generator().manual_seed(seed))
            seconds["LM"].append(now() - started)
            started = now()
            found = spectrum(game, 10, rng=torch.Generator().manual_seed(seed))
            seconds["whole"].append(now() - started)
        found_ones = {"LM": leading, "whole": torch.cat((found.eigenvalues, found.rightmost))}
        if dtype == torch.float64:
            exact = found_ones
        for what, bar in (("LM", LIMIT), ("whole", None)):
            results.append(
                report(
                    f"spectrum/{'ten largest' if what == 'LM' else 'whole'}/ring-2x100k/{str(dtype)[6:]}",
                    seconds[what],
                    at_most=bar,
                    unit="seconds",
                    clock=options.clock,
                    threads=torch.get_num_threads(),
                    weights=found.weights,
                    products=field.products if what == "LM" else found.products,
                    error=distance(found_ones[what], exact[what]),
                    verdict=found.stability.verdict,
                    rotation=round(found.rotation.share, 4),
                    per_product_ms=round(1000 * statistics.median(seconds["whole"]) / found.products, 1),
                )
            )
    return 0 if all(results) else 1


def distance(found: Tensor, exact: Tensor) -> float | str:
    if found.shape != exact.shape:
        return "another number of eigenvalues"
    return float(f"{float((found - exact).abs().max() / exact.abs().max()):.1e}")


def ring_game(steps: int, dtype: torch.dtype) -> Game:
    """Train in float32, whatever the dtype that is measured."""
    rng, loss, data = torch.Generator().manual_seed(0), nonsaturating(), ring()
    generator = mlp.vector_generator((2,), LATENT, width=WIDTH, rng=rng)
    critic = mlp.vector_critic((2,), width=WIDTH, rng=rng)
    optimizers = [torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (critic, generator)]
    for _ in range(steps):
        real, codes = data.sample(BATCH, rng), torch.randn(BATCH, LATENT, generator=rng)
        for side, optimizer in zip((loss.critic, loss.generator), optimizers, strict=True):
            optimizer.zero_grad()
            side(critic(real), critic(generator(codes))).mean().backward()
            optimizer.step()
    real, codes = data.sample(BATCH, rng).to(dtype), torch.randn(BATCH, LATENT, generator=rng).to(dtype)
    generator.to(dtype)
    critic.to(dtype)
    return Game(
        critic=tuple(critic.parameters()),
        generator=tuple(generator.parameters()),
        critic_loss=lambda: loss.critic(critic(real), critic(generator(codes))).mean(),
        generator_loss=lambda: loss.generator(critic(real), critic(generator(codes))).mean(),
    )


if __name__ == "__main__":
    sys.exit(main())
