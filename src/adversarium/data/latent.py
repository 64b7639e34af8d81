"""The latent prior."""

import torch
from torch import Tensor


class Latent:
    """Standard normal codes ``[n, latent_dim]``, drawn on the CPU so that every device sees the same ones."""

    def __init__(self, latent_dim: int, seed: int, device: torch.device) -> None:
        self.latent_dim = latent_dim
        self.rng = torch.Generator().manual_seed(seed)
        self._device = device

    def next(self, n: int) -> Tensor:
        """Draw ``n`` codes."""
        codes = torch.randn(n, self.latent_dim, generator=self.rng)
        return codes.to(self._device, non_blocking=True)
