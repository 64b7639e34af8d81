"""Penalties on the critic's slope, all on one :func:`slope`."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from adversarium.errors import InputError, require
from adversarium.penalties.slope import slope
from adversarium.types import Critic, PerSample, Samples

Points = Callable[[Tensor, Tensor, torch.Generator | None], Tensor]


def at_real(real: Samples, fake: Tensor, rng: torch.Generator | None) -> Samples:
    """Take the slope at the real samples."""
    return real


def at_fake(real: Tensor, fake: Samples, rng: torch.Generator | None) -> Samples:
    """Take the slope at the fake samples."""
    return fake


def between(real: Tensor, fake: Tensor, rng: torch.Generator | None) -> Samples:
    """Take the slope at ``u·real + (1 - u)·fake``, one u ~ U(0, 1) per sample.

    Raises:
        InputError: real and fake samples of different shapes.
    """
    if real.shape != fake.shape:
        raise InputError(f"real has shape {list(real.shape)} and fake {list(fake.shape)}: wanted the same shape")
    dtype = torch.promote_types(real.dtype, fake.dtype)  # under autocast the fakes are often bfloat16, the data not
    shape = (real.shape[0],) + (1,) * (real.ndim - 1)
    # drawn where the generator lives (a CPU stream gives the same points on every device)
    source = rng.device if rng is not None else real.device
    u = torch.rand(shape, generator=rng, device=source, dtype=dtype).to(real.device)
    return torch.lerp(fake.to(dtype), real.to(dtype), u)


@dataclass(frozen=True)
class GradientPenalty:
    """A function of the critic's slope at some points; a :class:`~adversarium.types.Penalty`.

    ``points`` says where. A trainer that has already evaluated the critic there (``at_real``, ``at_fake``) may call
    ``value`` on the slopes it has, and save a forward pass.
    """

    points: Points
    value: Callable[[Tensor], Tensor]

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator | None = None) -> PerSample:
        """Return the penalty of each sample, ``[B]``."""
        return self.value(slope(critic, self.points(real.detach(), fake.detach(), rng)))


def wgan_gp(weight: float = 10.0, one_sided: bool = False) -> GradientPenalty:
    """Pull the slope between real and fake samples towards 1.

    Formula:
        two-sided: λ·(‖∇D(x̂)‖ - 1)²;  one-sided: λ·max(0, ‖∇D(x̂)‖ - 1)²
        at x̂ = u·real + (1 - u)·fake, u ~ U(0, 1) for each sample
    Convention:
        λ = ``weight`` = 10. The norm runs over all axes of one sample: for a 1-Lipschitz linear critic the penalty is
        0 at any batch size, channel count and resolution. Several libraries take the norm over the batch or over
        channels only, and fail that.
    Use when:
        With the Wasserstein loss. One-sided (LP) is the milder form that does not punish slopes below 1.
    Paper:
        Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", arXiv:1704.00028; one-sided:
        Petzka, Fischer and Lukovnikov 2018, "On the regularization of Wasserstein GANs", arXiv:1709.08894.

    Raises:
        InputError: a negative weight.
    """
    require(weight >= 0, f"weight is {weight}: wanted a number that is not negative")

    def value(norm: Tensor) -> Tensor:
        excess = torch.relu(norm - 1) if one_sided else norm - 1
        return weight * excess.square()

    return GradientPenalty(points=between, value=value)


def _half_gamma(gamma: float) -> Callable[[Tensor], Tensor]:
    require(gamma >= 0, f"gamma is {gamma}: wanted a number that is not negative")
    return lambda norm: 0.5 * gamma * norm.square()


def r1(gamma: float = 1.0) -> GradientPenalty:
    """Flatten the critic on real data.

    Formula:
        γ/2·‖∇D(x)‖² at the real samples
    Convention:
        With the ½, summed over all axes of a sample. StyleGAN2's rule of thumb: γ = 0.0002·resolution²/batch.
    Use when:
        Nearly always: it makes the game converge locally, and costs one more backward pass through the critic.
    Paper:
        Mescheder, Geiger and Nowozin 2018, "Which Training Methods for GANs do actually Converge?",
        arXiv:1801.04406.

    Raises:
        InputError: a negative gamma.
    """
    return GradientPenalty(points=at_real, value=_half_gamma(gamma))


def r2(gamma: float = 1.0) -> GradientPenalty:
    """Flatten the critic on generated data.

    Formula:
        γ/2·‖∇D(x)‖² at the fake samples
    Convention:
        With the ½, summed over all axes of a sample. No gradient reaches the generator.
    Use when:
        Together with ``r1`` and a relativistic loss (``r3gan``).
    Paper:
        Mescheder, Geiger and Nowozin 2018, "Which Training Methods for GANs do actually Converge?",
        arXiv:1801.04406; with R1 in Huang et al. 2025, "The GAN is dead; long live the GAN! A Modern GAN
        Baseline", arXiv:2501.05441.

    Raises:
        InputError: a negative gamma.
    """
    return GradientPenalty(points=at_fake, value=_half_gamma(gamma))
