"""Alternating descent: the players take turns."""

from torch.optim import Optimizer

from adversarium.errors import require
from adversarium.types import Closure, GameRule


def alternating(n_critic: int = 1, n_generator: int = 1) -> GameRule:
    """Let the critic take ``n_critic`` steps, then the generator ``n_generator``.

    Formula:
        repeat n_critic times: ψ <- ψ - step(∇_ψ L_C(ψ, θ));  then n_generator times: θ <- θ - step(∇_θ L_G(ψ, θ))
    Convention:
        Each step sees a fresh gradient. On the bilinear game, plain gradient steps below 2 circle the equilibrium:
        bounded, and never closer; negative momentum makes them converge (Gidel et al. 2019, arXiv:1807.04740).
    Use when:
        The rule of nearly every published GAN; Wasserstein losses take ``n_critic=5``.
    Paper:
        Goodfellow et al. 2014, "Generative Adversarial Networks", arXiv:1406.2661.

    Raises:
        InputError: ``n_critic`` or ``n_generator`` below 1.
    """
    whole = isinstance(n_critic, int) and n_critic >= 1
    require(whole, f"n_critic is {n_critic}: wanted a whole number, at least 1")
    whole = isinstance(n_generator, int) and n_generator >= 1
    require(whole, f"n_generator is {n_generator}: wanted a whole number, at least 1")

    def play(critic: Closure, generator: Closure, critic_optimizer: Optimizer, generator_optimizer: Optimizer) -> None:
        for _ in range(n_critic):
            critic()
            critic_optimizer.step()
        for _ in range(n_generator):
            generator()
            generator_optimizer.step()

    return GameRule(
        name="alternating",
        play=play,
        critic_evaluations=n_critic,
        generator_evaluations=n_generator,
        arguments={"n_critic": n_critic, "n_generator": n_generator},
    )
