"""The proximal point method: each player steps by the gradient where both arrive. The reference for other rules."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from adversarium.games._solve import check_limits, flat, gmres, shaped, step_by
from adversarium.games._weights import copies, learning_rates, put, weights
from adversarium.games.linearised import Linearised
from adversarium.types import Closure, GameRule


def proximal_point(tolerance: float = 1e-10, max_iterations: int = 50) -> GameRule:
    """Move both players by the gradients at the point where that takes them.

    Formula:
        z <- z' with z' = z - H·G(z'), z = (ψ, θ), G = (∇_ψ L_C, ∇_θ L_G) and H the learning rates
    Convention:
        Solved by Newton's method with halved steps where a whole one does not help, from z; ``max_iterations`` limits
        the evaluations, each of which has to be of the same function. It ends when the next correction of z' is
        ``tolerance`` of the step, or rounding. It wants ``SGD`` without momentum. On the bilinear game the spectral
        radius is 1/√(1 + h²): it converges at every step size.
    Use when:
        As the reference that ``extragradient``, ``optimistic`` and ``competitive`` come near to, on small games.
    Paper:
        Rockafellar 1976; for games Mokhtari, Ozdaglar and Pattathil 2020, "A Unified Analysis of Extra-gradient and
        Optimistic Gradient Methods for Saddle Point Problems: Proximal Point Approach", arXiv:1901.08511.

    Raises:
        InputError: a ``tolerance`` that is not above 0 and below 1, or ``max_iterations`` below 1.
    """
    check_limits(tolerance, max_iterations)

    def play(critic: Closure, generator: Closure, critic_optimizer: Optimizer, generator_optimizer: Optimizer) -> None:
        players = weights(critic_optimizer), weights(generator_optimizer)
        moved = players[0] + players[1]
        of_tensors = learning_rates(critic_optimizer, "proximal_point")
        of_tensors += learning_rates(generator_optimizer, "proximal_point")
        rates = flat([torch.full_like(each, rate) for each, rate in zip(moved, of_tensors, strict=True)])
        saved = copies(moved)

        def linearised(point: Tensor) -> Linearised:
            put(moved, shaped(point, moved))
            return Linearised(critic, generator, *players)

        try:
            gradient = shaped(_implicit(linearised, flat(saved), rates, tolerance, max_iterations), moved)
        finally:
            put(moved, saved)
        step_by(gradient, critic_optimizer, generator_optimizer)

    return GameRule(
        name="proximal_point",
        play=play,
        critic_evaluations=max_iterations,  # at most
        generator_evaluations=max_iterations,
        evaluations_per_move=max_iterations,
        second_order=True,
        plain_descent=True,
        fixed_batch=True,
        arguments={"tolerance": tolerance, "max_iterations": max_iterations},
    )


def _implicit(
    linearised: Callable[[Tensor], Linearised], start: Tensor, rates: Tensor, tolerance: float, max_iterations: int
) -> Tensor:
    """Return g with g = G(start - H·g), by Newton's method from g = 0."""
    g = base = correction = torch.zeros_like(start)
    shortest = length = math.inf
    for _ in range(max_iterations):
        point = start - rates * g
        at = linearised(point)
        residual = flat(at.gradients) - g
        length = float((rates * residual).norm())
        if shortest < math.inf and not length < shortest:  # too far
            correction = correction / 2
            g = base + correction
            continue

        def product(vector: Tensor, at: Linearised = at) -> Tensor:
            return flat(at.product(shaped(rates * vector, at.weights)))

        correction = gmres(product, residual, tolerance, 10 * len(start))
        rounding = 32 * torch.finfo(start.dtype).eps * point.norm()
        if (rates * correction).norm() <= tolerance * (rates * g).norm() + rounding:
            return g + correction
        base, shortest, g = g, length, g + correction
    raise ArithmeticError(
        f"proximal_point did not converge in {max_iterations} evaluations: the residual of z' = z - H·G(z') is "
        f"{length:.3g}"
    )
