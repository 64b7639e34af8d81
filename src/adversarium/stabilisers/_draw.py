"""Random numbers for a batch, from an explicit generator, by way of :func:`adversarium.tensors.draw`.

They are always drawn in float32: a stream gives the same numbers for every precision of the samples.
"""

import torch
from torch import Tensor

from adversarium.tensors import draw


def uniform(columns: int, like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Return ``columns`` numbers from U(0, 1) for each sample of ``like``, ``[B, columns]`` in float32."""
    return draw(torch.rand, torch.Size((len(like), columns)), like, rng, torch.float32)


def normal(columns: int, like: Tensor, rng: torch.Generator | None) -> Tensor:
    """Return ``columns`` numbers from N(0, 1) for each sample of ``like``, ``[B, columns]`` in float32."""
    return draw(torch.randn, torch.Size((len(like), columns)), like, rng, torch.float32)
