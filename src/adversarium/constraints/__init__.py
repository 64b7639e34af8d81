"""Constraints on a critic's weights or scores, once when it is built or after each of its optimizer steps."""

from collections.abc import Callable

from adversarium.constraints.clipping import clip
from adversarium.constraints.gradient_normalisation import gradient_normalisation
from adversarium.constraints.normalisation import orthogonal, spectral_norm, weight_norm
from adversarium.types import Constraint

CONSTRAINTS: dict[str, Callable[..., Constraint]] = {
    "clip": clip,
    "spectral_norm": spectral_norm,
    "weight_norm": weight_norm,
    "orthogonal": orthogonal,
    "gradient_normalisation": gradient_normalisation,
}
"""Name to factory: what can be done to a critic's weights."""

__all__ = [
    "CONSTRAINTS",
    "Constraint",
    "clip",
    "gradient_normalisation",
    "orthogonal",
    "spectral_norm",
    "weight_norm",
]
