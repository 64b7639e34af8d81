"""Game rules: how the two players move, given two gradients and two optimizers."""

from collections.abc import Callable

from adversarium.games.alternating import alternating
from adversarium.types import GameRule

GAMES: dict[str, Callable[..., GameRule]] = {"alternating": alternating}
"""Name to factory: how the two players move."""

__all__ = ["GAMES", "GameRule", "alternating"]
