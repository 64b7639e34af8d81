"""Random numbers for a batch, from an explicit generator.

They are drawn where the generator lives and then moved, without waiting for the device, and always in float32: a CPU
stream gives the same numbers on every device and for every precision of the samples.
"""

import torch
from torch import Tensor


def uniform(columns: int, like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Return ``columns`` numbers from U(0, 1) for each sample of ``like``, ``[B, columns]`` in float32."""
    drawn = torch.rand(len(like), columns, generator=rng, device=_source(like, rng), dtype=torch.float32)
    return drawn.to(like.device, non_blocking=True)


def normal(columns: int, like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Return ``columns`` numbers from N(0, 1) for each sample of ``like``, ``[B, columns]`` in float32."""
    drawn = torch.randn(len(like), columns, generator=rng, device=_source(like, rng), dtype=torch.float32)
    return drawn.to(like.device, non_blocking=True)


def _source(like: Tensor, rng: torch.Generator | None) -> torch.device:
    return rng.device if rng is not None else like.device
