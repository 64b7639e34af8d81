"""Consensus optimisation: both players also descend on the length of their common gradient."""

import math

import torch
from torch.optim import Optimizer

from adversarium.errors import require
from adversarium.games._solve import step_by
from adversarium.games._weights import weights
from adversarium.games.linearised import Linearised
from adversarium.types import Closure, GameRule


def consensus(gamma: float = 10.0) -> GameRule:
    """Move both players by their gradients and, both together, down the length of those gradients.

    Formula:
        z <- z - step(G + γ·∇½‖G‖²) = z - step(G + γ·JᵀG), with z = (ψ, θ), G = (∇_ψ L_C, ∇_θ L_G) and J = ∂G/∂z
    Convention:
        Both players move at once. γ = 10 is the default of the authors' code, which steps by RMSProp with a learning
        rate of 1e-4. Under plain gradient descent the spectral radius on the bilinear game is √((1 - hγ)² + h²), and
        the Dirac game's eigenvalues are -γ·f'(0)² ± i·f'(0). It is drawn to every point where G = 0, the players'
        maxima and saddles among them.
    Use when:
        The players circle, and one product with second derivatives on top of a plain step is affordable.
    Paper:
        Mescheder, Nowozin and Geiger 2017, "The Numerics of GANs", arXiv:1705.10461.

    Raises:
        InputError: a ``gamma`` that is negative or not finite.
    """
    require(0 <= gamma < math.inf, f"gamma is {gamma}: wanted a number that is not negative")

    def play(critic: Closure, generator: Closure, critic_optimizer: Optimizer, generator_optimizer: Optimizer) -> None:
        players = weights(critic_optimizer), weights(generator_optimizer)
        at = Linearised(critic, generator, *players, transposed_only=True)
        uphill = at.transposed_product(at.gradients)
        with torch.no_grad():
            gradient = torch._foreach_add(at.gradients, uphill, alpha=gamma)
        step_by(gradient, critic_optimizer, generator_optimizer)

    return GameRule(name="consensus", play=play, second_order=True, arguments={"gamma": gamma})
