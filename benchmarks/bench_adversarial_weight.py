"""What component.AdversarialWeight costs: a training step of a small image tokenizer with it, against one without.

`python benchmarks/bench_adversarial_weight.py [--rounds 8]` prints the ratio of the two, measured in turn (A B A B).
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from adversarium import component, losses


def make(rng: torch.Generator) -> tuple[nn.Module, nn.Module]:
    """Return an autoencoder of images of 64 pixels and its critic, of the published width."""
    autoencoder = nn.Sequential(
        *(nn.Conv2d(3, 64, 4, 2, 1), nn.SiLU(), nn.Conv2d(64, 128, 4, 2, 1), nn.SiLU(), nn.Conv2d(128, 128, 3, 1, 1)),
        *(nn.SiLU(), nn.ConvTranspose2d(128, 64, 4, 2, 1), nn.SiLU(), nn.ConvTranspose2d(64, 64, 4, 2, 1), nn.SiLU()),
        nn.Conv2d(64, 3, 3, 1, 1),
    )
    return autoencoder, component.PatchCritic(3, normalisation="none", rng=rng)


def step(autoencoder: nn.Module, critic: nn.Module, images: torch.Tensor, balance: Callable[..., object]) -> None:
    """Fill both players' gradients once."""
    hinge, made = losses.hinge(), autoencoder(images)
    critic.requires_grad_(False)
    reconstruction, adversarial = (made - images).abs().mean(), hinge.generator(None, critic(made)).mean()
    (reconstruction + balance(reconstruction, adversarial, 0) * adversarial).backward()
    critic.requires_grad_(True)
    hinge.critic(critic(images), critic(made.detach())).mean().backward()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    rounds = parser.parse_args().rounds
    rng = torch.Generator().manual_seed(0)
    autoencoder, critic = make(rng)
    images = torch.randn(4, 3, 64, 64, generator=rng)
    ways = {"without": lambda *_: 0.5, "with": component.AdversarialWeight(autoencoder, "10")}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, balance in ways.items():
            start = time.perf_counter()
            step(autoencoder, critic, images, balance)
            if turn:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    ratios = [one / two for one, two in zip(seconds["with"], seconds["without"], strict=True)]
    milliseconds = {name: f"{1e3 * statistics.median(each):.0f} ms" for name, each in seconds.items()}
    print(f"{milliseconds}, ratio {statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
