"""Toy distributions with a known truth: exact density, and list of modes where there are any."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
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


_START, _STOP, _SCALE = 1.5 * math.pi, 4.5 * math.pi, 7.5  # the roll's first and last angle, and what it is divided by
_PANEL = 3.0  # standard deviations: how long a panel of the quadrature is along the curve
_NODES, _HALVINGS = 16, 10  # nodes in a panel, and how often the panels at the two ends are halved
_CHUNK = 1024


@dataclass(frozen=True, eq=False)
class SwissRoll:
    """A spiral with noise: x from N(c(t), std^2 I), c(t) = t (cos t, sin t) / 7.5, t uniform from 1.5 pi to 4.5 pi.

    Attributes:
        name: how the user names it.
        std: the standard deviation of the noise about the curve.
    """

    name: str
    std: float

    @property
    def modes(self) -> None:
        """There are none."""
        return None

    @property
    def codec(self) -> Codec:
        """The identity: the networks see the samples as they are."""
        return Codec(sample_shape=(2,), center=(0.0, 0.0), scale=(1.0, 1.0))

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``n`` samples, float32 ``[n, 2]``, on the generator's device."""
        t = _START + (_STOP - _START) * torch.rand(n, generator=rng, device=rng.device)
        return _curve(t) + self.std * torch.randn(n, 2, generator=rng, device=rng.device)

    def log_density(self, x: Tensor) -> Tensor:
        """Return log p(x), ``[N]``, for ``[N, 2]``, in x's dtype and on its device; it can be differentiated.

        p is the mean of N(x; c(t), std^2 I) over t: a sum over fixed nodes. For the builtin roll in float64 its
        logarithm is right to 1e-8 within 10 of the origin, and to 1e-7 of itself farther out.
        """
        centres, log_weights = (each.to(x) for each in _quadrature(self.std))
        log_norm = math.log(2 * math.pi * self.std**2)
        found = []
        for part in x.split(_CHUNK):
            squared = (part[:, :1] - centres[:, 0]).square() + (part[:, 1:] - centres[:, 1]).square()
            found.append(torch.logsumexp(squared / (-2 * self.std**2) + log_weights, dim=1) - log_norm)
        return torch.cat(found)


def _curve(t: Tensor) -> Tensor:
    return torch.stack((t * t.cos(), t * t.sin()), dim=1) / _SCALE


@cache
def _quadrature(std: float) -> tuple[Tensor, Tensor]:
    """Return points c(t) of the roll, float64 ``[M, 2]``, and the logarithms of their weights, which sum to 1.

    Gauss and Legendre's rule on panels of about equal length along the curve. The integrand is smooth on their scale
    but near the ends, where it may fall as steeply as x is far: there panels halve towards the end.
    """
    first, last = _START**2, _STOP**2  # the length of the curve up to t is nearly t^2 / 2
    panels = max(2, math.ceil((last - first) / (2 * _SCALE * _PANEL * std)))
    edges = torch.linspace(first, last, panels + 1, dtype=torch.float64).sqrt()
    halves = 2.0 ** torch.arange(-_HALVINGS, 0, dtype=torch.float64)
    graded = edges[0] + (edges[1] - edges[0]) * halves, edges[-1] - (edges[-1] - edges[-2]) * halves.flip(0)
    edges = torch.cat((edges[:1], graded[0], edges[1:-1], graded[1], edges[-1:]))
    places, weights = (torch.from_numpy(each) for each in np.polynomial.legendre.leggauss(_NODES))
    half = edges.diff()[:, None] / 2
    t = (edges[:-1, None] + half + half * places).flatten()
    return _curve(t), (half * weights / (_STOP - _START)).flatten().log()


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


def gaussians8() -> Mixture:
    """Eight Gaussians, std 0.02, on the circle of radius 2, all divided by 1.414: the ring, 1.414 times as large.

    Gulrajani et al. 2017 (WGAN-GP), arXiv:1704.00028; the numbers are those of the authors' ``gan_toy.py``
    (igul222/improved_wgan_training). A penalty on slopes tells the two scales apart.
    """
    return Mixture("gaussians8", 2 / 1.414 * ring().modes, std=0.02 / 1.414)


def gaussians25() -> Mixture:
    """Twenty-five Gaussians, std 0.05, on a 5 x 5 grid of spacing 2, all divided by 2.828: the grid, scaled down.

    Gulrajani et al. 2017 (WGAN-GP), arXiv:1704.00028; the numbers are those of the authors' ``gan_toy.py``
    (igul222/improved_wgan_training), where the modes of the 100,000 stored samples are exactly even. Here each sample
    draws its mode.
    """
    return Mixture("gaussians25", grid().modes / 2.828, std=0.05 / 2.828)


def swiss_roll() -> SwissRoll:
    """A spiral of one and a half turns with noise of std 0.25, all divided by 7.5; it has no modes.

    Gulrajani et al. 2017 (WGAN-GP), arXiv:1704.00028; as the authors' ``gan_toy.py`` (igul222/improved_wgan_training)
    draws it: columns 0 and 2 of scikit-learn's ``make_swiss_roll(noise=0.25)``.
    """
    return SwissRoll("swiss_roll", std=0.25 / _SCALE)
