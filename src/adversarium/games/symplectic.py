"""Symplectic gradient adjustment: correct the gradients for the part of the game that only rotates."""

import math

import torch
from torch.optim import Optimizer

from adversarium.errors import require
from adversarium.games._solve import step_by
from adversarium.games._weights import weights
from adversarium.games.linearised import Linearised, dot
from adversarium.types import Closure, GameRule


def symplectic(gamma: float = 1.0, align: bool = True, epsilon: float = 0.1) -> GameRule:
    """Add to both gradients the antisymmetric part of their Jacobian, transposed, times the gradients.

    Formula:
        z <- z - step(G + s·γ·AᵀG), with z = (ψ, θ), G = (∇_ψ L_C, ∇_θ L_G), J = ∂G/∂z and A = (J - Jᵀ)/2;
        s = sign(⟨G, JᵀG⟩·⟨AᵀG, JᵀG⟩/n + ε) with n weights, or s = 1 unless ``align``
    Convention:
        Both players move at once. The sign, ε = 0.1 and γ = 1 are the authors': it draws towards stable points and
        pushes away from unstable ones. Under plain gradient descent it equals ``consensus`` on the bilinear game: the
        spectral radius is √((1 - hγ)² + h²).
    Elsewhere:
        The authors' notebook (deepmind/symplectic-gradient-adjustment) divides by the number of weight tensors where
        this divides by the number of weights, n.
    Use when:
        The players circle, and ``consensus`` ends at points that are no equilibria. Two products with second
        derivatives on top of a plain step.
    Paper:
        Balduzzi et al. 2018, "The Mechanics of n-Player Differentiable Games", arXiv:1802.05642.

    Raises:
        InputError: a ``gamma`` or an ``epsilon`` that is negative or not finite.
    """
    for name, value in (("gamma", gamma), ("epsilon", epsilon)):
        require(0 <= value < math.inf, f"{name} is {value}: wanted a number that is not negative")

    def play(critic: Closure, generator: Closure, critic_optimizer: Optimizer, generator_optimizer: Optimizer) -> None:
        at = Linearised(critic, generator, weights(critic_optimizer), weights(generator_optimizer))
        uphill = at.transposed_product(at.gradients)
        ahead = at.product(at.gradients)
        with torch.no_grad():
            adjustment = torch._foreach_sub(uphill, ahead)
            torch._foreach_div_(adjustment, 2)
            if align:
                count = sum(each.numel() for each in at.weights)
                alignment = dot(at.gradients, uphill) * dot(adjustment, uphill) / count
                torch._foreach_mul_(adjustment, (alignment + epsilon).sign())
            gradient = torch._foreach_add(at.gradients, adjustment, alpha=gamma)
        step_by(gradient, critic_optimizer, generator_optimizer)

    arguments = {"gamma": gamma, "align": align, "epsilon": epsilon}
    return GameRule(name="symplectic", play=play, second_order=True, arguments=arguments)
