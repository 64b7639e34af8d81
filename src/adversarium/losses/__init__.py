"""Adversarial losses: pure functions of scores, unreduced, up = real.

``LOSSES`` maps a name to the factory of a :class:`~adversarium.types.Loss`; a factory's arguments are the choices
that its family offers.
"""

from collections.abc import Callable

from adversarium.losses.classic import hinge, least_squares, minimax, nonsaturating
from adversarium.losses.relativistic import relativistic
from adversarium.losses.wasserstein import wasserstein
from adversarium.types import Loss

LOSSES: dict[str, Callable[..., Loss]] = {
    "minimax": minimax,
    "nonsaturating": nonsaturating,
    "least_squares": least_squares,
    "hinge": hinge,
    "wasserstein": wasserstein,
    "relativistic": relativistic,
}

__all__ = ["LOSSES", "Loss", "hinge", "least_squares", "minimax", "nonsaturating", "relativistic", "wasserstein"]
