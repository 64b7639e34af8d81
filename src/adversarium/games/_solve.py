"""What the second-order rules share: flat vectors, a linear solver, and the step that ends them."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from adversarium.errors import require
from adversarium.games._weights import set_gradients, weights

RESTART = 50
"""How many vectors the solver keeps before it starts again from what it has."""


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """Return tensors as one vector, without a graph."""
    return torch.cat([each.detach().flatten() for each in tensors])


def shaped(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Cut a vector into tensors shaped like others."""
    parts = vector.split([each.numel() for each in like])
    return [part.view(each.shape).to(each.dtype) for part, each in zip(parts, like, strict=True)]


def step_by(gradient: Sequence[Tensor], critic_optimizer: Optimizer, generator_optimizer: Optimizer) -> None:
    """Let both optimizers step by a gradient, the critic's part first."""
    count = len(weights(critic_optimizer))
    set_gradients(critic_optimizer, gradient[:count])
    set_gradients(generator_optimizer, gradient[count:])
    critic_optimizer.step()
    generator_optimizer.step()


def check_limits(tolerance: float, max_iterations: int) -> None:
    """Refuse a tolerance that accepts anything, and a solver that never begins.

    Raises:
        InputError: a tolerance that is not above 0 and below 1, or ``max_iterations`` below 1 or no whole number.
    """
    require(0 < tolerance < 1, f"tolerance is {tolerance}: wanted a number above 0 and below 1")
    whole = isinstance(max_iterations, int) and max_iterations >= 1
    require(whole, f"max_iterations is {max_iterations}: wanted a whole number, at least 1")


@torch.no_grad()
def gmres(product: Callable[[Tensor], Tensor], target: Tensor, tolerance: float, max_iterations: int) -> Tensor:
    """Solve x + product(x) = target for x, ``[n]``, with any linear product, by Saad and Schultz's GMRES of 1986.

    It ends at a residual of ``tolerance`` times the target's norm, or of ten times the dtype's precision where that is
    more. Each iteration is one product, waits for a GPU, and keeps one more vector, up to ``RESTART`` of them.

    Raises:
        ArithmeticError: a residual that is larger after ``max_iterations``, or no number.
    """
    wanted = max(tolerance, 10 * torch.finfo(target.dtype).eps) * float(target.norm())
    solution, residual, left = torch.zeros_like(target), target, max_iterations
    while True:
        length = estimate = float(residual.norm())
        if not math.isfinite(length):
            raise ArithmeticError(f"a linear system has no solution: the norm of its residual is {length}")
        basis = target.new_empty(8, len(target))  # orthonormal rows, in memory that doubles
        basis[0] = residual / length if length else residual
        # basis[j] + product(basis[j]) = columns[:, j] @ basis
        columns = torch.eye(RESTART + 1, RESTART, dtype=torch.float64)
        best = columns.new_zeros(0)
        while estimate > wanted and len(best) < min(RESTART, len(target), left):
            count = len(best) + 1
            image = product(basis[count - 1])
            whole, beyond = float(image.norm()), 0.0
            for _ in range(2):
                shares = basis[:count] @ image
                image = torch.addmv(image, basis[:count].T, shares, alpha=-1)
                columns[:count, count - 1] += shares.to(columns)
                beyond = float(image.norm())
                if beyond > 0.7 * whole:  # else much was taken away, and its rounding errors deserve a second time
                    break
            columns[count, count - 1] = beyond
            if not math.isfinite(beyond):
                estimate = beyond
                break
            known, start = columns[: count + 1, :count], columns.new_zeros(count + 1, 1)
            start[0] = length
            best = torch.linalg.lstsq(known, start).solution[:, 0]
            estimate = float((start[:, 0] - known @ best).norm())
            if beyond == 0:
                break
            if count == len(basis):
                more = min(len(basis), RESTART + 1 - len(basis))
                basis = torch.cat([basis, basis.new_empty(more, len(target))])
            basis[count] = image / beyond
        left -= len(best)
        solution = solution + best.to(target) @ basis[: len(best)]
        if estimate <= wanted:
            return solution
        if left <= 0 or not len(best) or not math.isfinite(estimate):
            size = f"{estimate:.3g}, wanted at most {wanted:.3g}"
            raise ArithmeticError(f"no solution in {max_iterations - left} GMRES iterations: the residual is {size}")
        residual = target - solution - product(solution)
