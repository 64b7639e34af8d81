"""Toy distributions with a known truth: exact density and list of modes."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from adversarium.data.source import Codec


@dataclass(frozen=True, eq=False)
class Mixture:
    """An equal mixture of isotropic Gaussians: p(x) = 1/K sum_k N(x; modes[k], std^2 I).

    Attributes:
        name: how the user names it.
        modes: float64 ``[K, D]``, the centres.
        std: the standard deviation of every mode.
    """

    name: str
    modes: Tensor
    std: float

    @property
    def codec(self) -> Codec:
        """The identity: the networks see the samples as they are."""
        dim = self.modes.shape[1]
        return Codec(sample_shape=(dim,), center=(0.0,) * dim, scale=(1.0,) * dim)

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``n`` samples, float32 ``[n, D]``, on the generator's device."""
        count, dim = self.modes.shape
        which = torch.randint(count, (n,), generator=rng, device=rng.device)
        noise = torch.randn(n, dim, generator=rng, device=rng.device)
        return self.modes.to(noise)[which] + self.std * noise

    def log_density(self, x: Tensor) -> Tensor:
        """Return log p(x), ``[N]``, for ``[N, D]``, in x's dtype and on its device; it can be differentiated."""
        count, dim = self.modes.shape
        squared = (x[:, None, :] - self.modes.to(x)).square().sum(-1)  # [N, K]
        log_norm = math.log(count) + dim * math.log(self.std * math.sqrt(2 * math.pi))
        return torch.logsumexp(squared / (-2 * self.std**2), dim=1) - log_norm


def ring() -> Mixture:
    """Eight Gaussians, std 0.01, on the unit circle at the angles 2 pi k / 8.

    Lin et al. 2018 (PacGAN), arXiv:1712.04086. The angles are those of 8 *distinct* modes: ``linspace(0, 2 pi, 8)``,
    as in a well-known notebook, meets the first one again.
    """
    angles = 2 * math.pi * torch.arange(8, dtype=torch.float64) / 8
    return Mixture("ring", torch.stack((angles.cos(), angles.sin()), dim=1), std=0.01)


def grid() -> Mixture:
    """Twenty-five Gaussians, std 0.05, on a 5 x 5 grid of spacing 2 around 0 (Lin et al. 2018, arXiv:1712.04086)."""
    line = 2.0 * torch.arange(-2, 3, dtype=torch.float64)
    return Mixture("grid", torch.cartesian_prod(line, line), std=0.05)
