"""Simultaneous descent: both players move from the same point."""

from torch.optim import Optimizer

from adversarium.types import Closure, GameRule


def simultaneous() -> GameRule:
    """Take both gradients at the same weights, then move both players.

    Formula:
        (ψ, θ) <- (ψ - step(∇_ψ L_C(ψ, θ)), θ - step(∇_θ L_G(ψ, θ)))
    Convention:
        On the bilinear game every step size spirals outwards: the spectral radius is √(1 + h²).
    Use when:
        As the textbook case to compare with. In training, ``alternating`` costs the same and does better.
    Paper:
        Mescheder, Nowozin and Geiger 2017, "The Numerics of GANs", arXiv:1705.10461.
    """

    def play(critic: Closure, generator: Closure, critic_optimizer: Optimizer, generator_optimizer: Optimizer) -> None:
        critic()
        generator()
        critic_optimizer.step()
        generator_optimizer.step()

    return GameRule(name="simultaneous", play=play)
