"""Random numbers like some samples, from an explicit generator.

They are drawn where the generator lives and then moved, without waiting for the device: a CPU stream gives the same
numbers on every device.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def uniform(like: Tensor, rng: torch.Generator | None, shape: Sequence[int] | None = None) -> Tensor:
    """Return numbers from U(0, 1) in the dtype and on the device of ``like``, and in its shape unless told."""
    shape = tuple(like.shape if shape is None else shape)
    return _moved(torch.rand(shape, generator=rng, device=_source(like, rng), dtype=like.dtype), like)


def normal(like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Return numbers from N(0, 1) in the shape and dtype and on the device of ``like``."""
    return _moved(torch.randn(tuple(like.shape), generator=rng, device=_source(like, rng), dtype=like.dtype), like)


def integers(low: int, high: int, like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Return one integer from ``low`` to ``high``, both included, for each sample of ``like``."""
    return _moved(torch.randint(low, high + 1, (len(like),), generator=rng, device=_source(like, rng)), like)


def some_rows(count: int, like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Return the numbers of ``count`` different rows of ``like``, in random order."""
    return _moved(torch.randperm(len(like), generator=rng, device=_source(like, rng))[:count], like)


def _source(like: Tensor, rng: torch.Generator | None) -> torch.device:
    return rng.device if rng is not None else like.device


def _moved(drawn: Tensor, like: Tensor) -> Tensor:
    return drawn.to(like.device, non_blocking=True)
