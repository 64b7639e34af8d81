"""Alternating descent: the critic moves, then the generator answers."""

import torch

from adversarium.errors import require
from adversarium.types import GameRule, Gradients


def alternating(n_critic: int = 1) -> GameRule:
    """Let the critic take ``n_critic`` steps, then the generator one.

    Formula:
        repeat n_critic times: ψ <- ψ - step(∇_ψ L_C(ψ, θ));  then θ <- θ - step(∇_θ L_G(ψ, θ))
    Convention:
        Each step sees a fresh gradient. On the bilinear game, plain gradient steps below 2 circle the equilibrium:
        bounded, and never closer.
    Use when:
        The rule of nearly every published GAN; Wasserstein losses take ``n_critic=5``.
    Paper:
        Goodfellow et al. 2014, "Generative Adversarial Networks", arXiv:1406.2661.

    Raises:
        InputError: ``n_critic`` below 1.
    """
    require(n_critic >= 1, f"n_critic is {n_critic}: wanted at least 1")

    def rule(
        critic: Gradients,
        generator: Gradients,
        critic_optimizer: torch.optim.Optimizer,
        generator_optimizer: torch.optim.Optimizer,
    ) -> None:
        for _ in range(n_critic):
            critic()
            critic_optimizer.step()
        generator()
        generator_optimizer.step()

    return rule
