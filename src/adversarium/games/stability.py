"""What the eigenvalues of a game's field decide: attraction, repulsion, circling, and how large a step may be."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from adversarium.errors import require

Verdict = Literal["attracts", "repels", "circles", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Stability:
    """What the eigenvalues of dv/dz say of simultaneous descent near a stationary point.

    Attributes:
        verdict: ``attracts``: all real parts are negative; ``repels``: one is positive; ``circles``: the largest is 0,
            with an imaginary part that is not; ``undecided``: the largest is 0, of eigenvalues that are 0. Networks
            whose units can be rescaled (ReLU) have such wherever the field vanishes.
        largest_stable_step: the least -2·Re λ/|λ|²: descent converges for steps below; 0 where it does for none.
    """

    verdict: Verdict
    largest_stable_step: float


def stability(eigenvalues: Tensor, tolerance: float = 1e-6) -> Stability:
    """Return what eigenvalues of dv/dz, ``[k]``, say of simultaneous descent near a stationary point.

    Parts within ``tolerance`` times the largest magnitude count as 0. The descent multiplies by 1 + hλ, which is
    below 1 in magnitude iff h < -2·Re λ/|λ|².

    Raises:
        InputError: no eigenvalue, one that is not finite, or a negative tolerance.
    """
    require(eigenvalues.numel() > 0, "there is no eigenvalue: wanted at least one")
    require(tolerance >= 0, f"tolerance is {tolerance}: wanted a number that is not negative")
    values = eigenvalues.to(torch.complex128)
    require(bool(values.isfinite().all()), f"the eigenvalues are {values.tolist()}: wanted finite ones")
    width = tolerance * values.abs().max()
    if (values.real < -width).all():
        return Stability(verdict="attracts", largest_stable_step=float((-2 * values.real / values.abs() ** 2).min()))
    if (values.real > width).any():
        return Stability(verdict="repels", largest_stable_step=0.0)
    turning = values[values.real >= -width].imag.abs() > width
    return Stability(verdict="circles" if turning.any() else "undecided", largest_stable_step=0.0)
