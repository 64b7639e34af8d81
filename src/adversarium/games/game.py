"""A game: two players' weights, and what each of them minimises."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adversarium.errors import require
from adversarium.games.linearised import derivatives
from adversarium.types import Closure, GameRule


@dataclass(frozen=True, kw_only=True)
class Game:
    """Two players' weights and the losses they minimise, at the weights of the moment.

    A weight on which its player's loss does not depend has the gradient 0.

    Attributes:
        critic: the critic's weights ψ.
        generator: the generator's weights θ.
        critic_loss: ``() -> number``, with its graph to both players' weights.
        generator_loss: likewise.
    """

    critic: tuple[Tensor, ...]
    generator: tuple[Tensor, ...]
    critic_loss: Callable[[], Tensor]
    generator_loss: Callable[[], Tensor]

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """Both players' weights, the critic's first."""
        return self.critic + self.generator

    def closures(self, rule: GameRule) -> tuple[Closure, Closure]:
        """Return the critic's and the generator's closures as a rule wants them."""
        if rule.second_order:
            return self.critic_loss, self.generator_loss
        return _gradients(self.critic_loss, self.critic), _gradients(self.generator_loss, self.generator)

    def play(
        self, rule: GameRule, critic_optimizer: torch.optim.Optimizer, generator_optimizer: torch.optim.Optimizer
    ) -> None:
        """Move both players once by a rule."""
        rule(*self.closures(rule), critic_optimizer, generator_optimizer)

    def field(self) -> Tensor:
        """Return v = -(∂L_C/∂ψ, ∂L_G/∂θ), where both players are headed, as one vector without a graph."""
        by_critic, by_generator = self.critic_loss(), self.generator_loss()
        gradients = derivatives(by_critic, self.critic) + derivatives(by_generator, self.generator)
        return -torch.cat([each.flatten() for each in gradients])

    def position(self) -> Tensor:
        """Return both players' weights as one vector, a copy."""
        return torch.cat([each.detach().flatten() for each in self.weights])

    @torch.no_grad()
    def move_to(self, position: Tensor) -> None:
        """Overwrite both players' weights."""
        parts = position.split([each.numel() for each in self.weights])
        for each, part in zip(self.weights, parts, strict=True):
            each.copy_(part.view_as(each))


def _gradients(loss: Callable[[], Tensor], weights: Sequence[Tensor]) -> Closure:
    def fill() -> None:
        for each in weights:
            each.grad = None  # a weight that is no longer trained has none
        trained = [each for each in weights if each.requires_grad]
        for each, gradient in zip(trained, derivatives(loss(), trained), strict=True):
            each.grad = gradient

    return fill


def require_trained(game: Game) -> None:
    """Refuse a game with weights that nobody moves.

    Raises:
        InputError: some of the weights require no gradient.
    """
    trained = all(each.requires_grad for each in game.weights)
    require(trained, "some weights of the game require no gradient: wanted only those that are trained")
