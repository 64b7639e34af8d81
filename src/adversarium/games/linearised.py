"""A game linearised at its present weights: both gradients, and products with their Jacobian, by autograd.

With z = (ψ, θ), all of the critic's weights and then all of the generator's, and G(z) = (∂L_C/∂ψ, ∂L_G/∂θ), the
Jacobian of G is ``[[∂²L_C/∂ψ∂ψ, ∂²L_C/∂ψ∂θ], [∂²L_G/∂θ∂ψ, ∂²L_G/∂θ∂θ]]``: no symmetric matrix, unlike a Hessian. It is
never formed.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from adversarium.errors import require
from adversarium.types import Closure


class Linearised:
    """Both players' gradients at their present weights, with graphs, and products with their Jacobian.

    Vectors are lists of tensors, shaped like the critic's weights and then the generator's. The losses are given as
    closures, evaluated once, the critic's first. With ``transposed_only`` no loss is differentiated by the other
    player's weights, which is cheaper, and only the transposed product works.

    Raises:
        InputError: a closure that does not return a number with a graph to its player's weights.
    """

    def __init__(
        self,
        critic: Closure,
        generator: Closure,
        critic_weights: Sequence[Tensor],
        generator_weights: Sequence[Tensor],
        *,
        transposed_only: bool = False,
    ) -> None:
        self.critic_count = count = len(critic_weights)
        self.weights = [*critic_weights, *generator_weights]
        self.critic_loss = number("critic", critic)
        self.generator_loss = number("generator", generator)
        self._by: tuple[list[Tensor], list[Tensor]] | None = None
        if transposed_only:
            own_critic = derivatives(self.critic_loss, critic_weights, create_graph=True)
            own_generator = derivatives(self.generator_loss, generator_weights, create_graph=True)
            self.gradients = own_critic + own_generator
        else:
            critic_by = derivatives(self.critic_loss, self.weights, create_graph=True)
            generator_by = derivatives(self.generator_loss, self.weights, create_graph=True)
            self._by = critic_by, generator_by
            self.gradients = critic_by[:count] + generator_by[count:]

    def product(self, vector: Sequence[Tensor]) -> list[Tensor]:
        """Return the Jacobian of G times a vector, without a graph: a player's rows are ∂/∂(its weights) of ∇L·v."""
        assert self._by is not None, "made with transposed_only"
        critic_by, generator_by = self._by
        rows = pulled_back(critic_by, vector, self.weights[: self.critic_count])
        return rows + pulled_back(generator_by, vector, self.weights[self.critic_count :])

    def cross_product(self, vector: Sequence[Tensor]) -> list[Tensor]:
        """Return the off-diagonal blocks times a vector: how each player's gradient moves with the other's weights."""
        assert self._by is not None, "made with transposed_only"
        (critic_by, generator_by), count = self._by, self.critic_count
        rows = pulled_back(critic_by[count:], vector[count:], self.weights[:count])
        return rows + pulled_back(generator_by[:count], vector[:count], self.weights[count:])

    def transposed_product(self, vector: Sequence[Tensor]) -> list[Tensor]:
        """Return the transposed Jacobian of G times a vector, without a graph: ∂/∂z of G·v."""
        return pulled_back(self.gradients, vector, self.weights)


def number(player: str, closure: Closure) -> Tensor:
    """Return a closure's loss.

    Raises:
        InputError: it is no number with a graph.
    """
    value = closure()
    fits = isinstance(value, Tensor) and value.ndim == 0 and value.requires_grad
    graph = "with" if isinstance(value, Tensor) and value.requires_grad else "without"
    found = f"a tensor of shape {list(value.shape)} {graph} a graph" if isinstance(value, Tensor) else repr(value)
    require(
        fits,
        f"the {player}'s closure returned {found}: a second-order rule wants the player's loss, a number with its "
        "graph to both players' weights",
    )
    assert isinstance(value, Tensor)
    return value


def dot(one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
    """Return the inner product of two lists of tensors."""
    return torch.stack([(a * b).sum() for a, b in zip(one, other, strict=True)]).sum()


def derivatives(value: Tensor, weights: Sequence[Tensor], create_graph: bool = False) -> list[Tensor]:
    """Return the derivatives of a number by each of the weights: zeros where it does not depend on one."""
    return _derivatives([value], None, weights, create_graph)


def pulled_back(values: Sequence[Tensor], vector: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    """Return the derivatives of values·vector by each of the weights, without a graph: zeros where there are none."""
    known = [(value, part) for value, part in zip(values, vector, strict=True) if value.requires_grad]
    return _derivatives([value for value, _ in known], [part for _, part in known], weights, create_graph=False)


def _derivatives(
    values: list[Tensor], vector: list[Tensor] | None, weights: Sequence[Tensor], create_graph: bool
) -> list[Tensor]:
    if not weights or not any(value.requires_grad for value in values):
        return [torch.zeros_like(each) for each in weights]
    found = torch.autograd.grad(
        values, list(weights), vector, create_graph=create_graph, retain_graph=True, allow_unused=True
    )
    return [torch.zeros_like(each) if part is None else part for each, part in zip(weights, found, strict=True)]
