"""Which modes of a toy mixture do samples reach, and how well? As in PacGAN (Lin et al. 2018, arXiv:1712.04086)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from adversarium.data.toys import Mixture

SAMPLES = 2500
"""How many samples are judged."""


@dataclass(frozen=True)
class Reached:
    """What samples reach of a mixture of K Gaussians.

    Attributes:
        modes: how many modes have a sample of high quality: within three standard deviations of them.
        high_quality: the share of such samples. A perfect sampler of a mixture in the plane has 1 - e^-4.5 = 98.889 %.
        reverse_kl: KL(q‖p) of the shares of the modes among them to 1/K each, infinite where there is none. A perfect
            sampler's mean is (K - 1)/2N for N samples.
    """

    modes: int
    high_quality: float
    reverse_kl: float


def reached(samples: Tensor, mixture: Mixture) -> Reached:
    """Judge samples ``[N, D]``."""
    distance, nearest = torch.cdist(samples.double(), mixture.modes).min(dim=1)
    good = distance < 3 * mixture.std
    count = len(mixture.modes)
    shares = torch.bincount(nearest[good], minlength=count).double() / good.sum()
    reverse_kl = float(torch.xlogy(shares, shares * count).sum()) if good.any() else math.inf
    return Reached(int((shares > 0).sum()), float(good.double().mean()), reverse_kl)
