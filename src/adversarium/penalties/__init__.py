"""Penalties: functions of a critic and samples, ``(critic, real, fake, rng) -> [B]``, weight included."""

from collections.abc import Callable

from adversarium.penalties.gradient import (
    GradientPenalty,
    at_fake,
    at_real,
    between,
    r1,
    r2,
    wgan_gp,
)
from adversarium.penalties.second_order import SecondOrder
from adversarium.penalties.slope import slope, slope_of
from adversarium.types import Penalty

PENALTIES: dict[str, Callable[..., Penalty]] = {
    "wgan_gp": wgan_gp,
    "r1": r1,
    "r2": r2,
}

__all__ = [
    "PENALTIES",
    "GradientPenalty",
    "Penalty",
    "SecondOrder",
    "at_fake",
    "at_real",
    "between",
    "r1",
    "r2",
    "slope",
    "slope_of",
    "wgan_gp",
]
