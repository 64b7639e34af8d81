"""Random numbers like some samples, from an explicit generator, all by way of :func:`adversarium.tensors.draw`."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from adversarium.tensors import draw


def uniform(like: Tensor, rng: torch.Generator | None, shape: Sequence[int] | None = None) -> Tensor:
    """Return numbers from U(0, 1) in the dtype and on the device of ``like``, and in its shape unless told."""
    return draw(torch.rand, like.shape if shape is None else torch.Size(shape), like, rng, like.dtype)


def normal(like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Return numbers from N(0, 1) in the shape and dtype and on the device of ``like``."""
    return draw(torch.randn, like.shape, like, rng, like.dtype)


def integers(low: int, high: int, like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Return one integer from ``low`` to ``high``, both included, for each sample of ``like``."""
    return draw(partial(torch.randint, low, high + 1), torch.Size((len(like),)), like, rng, torch.int64)


def some_rows(count: int, like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Return the numbers of ``count`` different rows of ``like``, in random order."""
    return draw(torch.randperm, len(like), like, rng, torch.int64)[:count]
