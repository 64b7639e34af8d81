"""Competitive gradient descent: both players move to the equilibrium of a local bilinear game."""

import torch
from torch import Tensor
from torch.optim import Optimizer

from adversarium.games._solve import check_limits, flat, gmres, shaped, step_by
from adversarium.games._weights import learning_rates, weights
from adversarium.games.linearised import Linearised
from adversarium.types import Closure, GameRule


def competitive(tolerance: float = 1e-10, max_iterations: int = 500) -> GameRule:
    """Let each player step by its gradient as it will be once the other has stepped, to first order.

    Formula:
        z <- z + δ with (I + H·J_off)·δ = -H·G, z = (ψ, θ), G = (∇_ψ L_C, ∇_θ L_G), J_off the off-diagonal blocks
        ∂²L_C/∂ψ∂θ and ∂²L_G/∂θ∂ψ of its Jacobian, and H the learning rates; δ is the Nash equilibrium of the game in
        which each loss is replaced by its linear and mixed terms and ‖step‖²/(2h)
    Convention:
        The general-sum form, with a learning rate for each weight, solved for both players at once by GMRES, in which
        an iteration costs about a gradient. It wants ``SGD`` without momentum. On the bilinear game it equals
        ``proximal_point``: the spectral radius is 1/√(1 + h²).
    Elsewhere:
        The authors' GACGD (CGDs) divides the learning rates by a running root mean square of the gradients, as Adam
        does; here they are the optimizers'.
    Use when:
        The players interact strongly, and the step must not depend on how strongly.
    Paper:
        Schäfer and Anandkumar 2019, "Competitive Gradient Descent", arXiv:1905.12103.

    Raises:
        InputError: a ``tolerance`` that is not above 0 and below 1, or ``max_iterations`` below 1.
    """
    check_limits(tolerance, max_iterations)

    def play(critic: Closure, generator: Closure, critic_optimizer: Optimizer, generator_optimizer: Optimizer) -> None:
        rates = learning_rates(critic_optimizer, "competitive") + learning_rates(generator_optimizer, "competitive")
        at = Linearised(critic, generator, weights(critic_optimizer), weights(generator_optimizer))

        # δ = -H·g turns the equation into (I + J_off·H)·g = G, whose solution SGD can step by, at any learning rate
        def product(vector: Tensor) -> Tensor:
            step = [rate * part for rate, part in zip(rates, shaped(vector, at.weights), strict=True)]
            return flat(at.cross_product(step))

        with torch.no_grad():
            solution = gmres(product, flat(at.gradients), tolerance, max_iterations)
        step_by(shaped(solution, at.weights), critic_optimizer, generator_optimizer)

    return GameRule(
        name="competitive",
        play=play,
        second_order=True,
        plain_descent=True,
        arguments={"tolerance": tolerance, "max_iterations": max_iterations},
    )
