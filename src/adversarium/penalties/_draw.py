"""Random numbers like some samples, from an explicit generator.

They are drawn where the generator lives and then moved: a CPU stream gives the same numbers on every device.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def uniform(like: Tensor, rng: torch.Generator | None, shape: Sequence[int] | None = None) -> Tensor:
    """Return numbers from U(0, 1) in the dtype and on the device of ``like``, and in its shape unless told."""
    shape = like.shape if shape is None else shape
    return torch.rand(tuple(shape), generator=rng, device=_source(like, rng), dtype=like.dtype).to(like.device)


def normal(like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Return numbers from N(0, 1) in the shape and dtype and on the device of ``like``."""
    return torch.randn(tuple(like.shape), generator=rng, device=_source(like, rng), dtype=like.dtype).to(like.device)


def integers(low: int, high: int, like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Return one integer from ``low`` to ``high``, both included, for each sample of ``like``."""
    drawn = torch.randint(low, high + 1, (len(like),), generator=rng, device=_source(like, rng))
    return drawn.to(like.device)


def some_rows(count: int, like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Return the numbers of ``count`` different rows of ``like``, in random order."""
    return torch.randperm(len(like), generator=rng, device=_source(like, rng))[:count].to(like.device)


def _source(like: Tensor, rng: torch.Generator | None) -> torch.device:
    return rng.device if rng is not None else like.device
