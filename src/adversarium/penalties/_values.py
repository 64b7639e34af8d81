"""Numbers made of scores and gradients, in float32 at least: what follows is squared or averaged."""

import torch
from torch import Tensor

from adversarium import tensors
from adversarium.penalties._check import of_one_critic
from adversarium.tensors import wide
from adversarium.types import PerSample

__all__ = ["norms", "per_sample", "wide"]


def per_sample(scores: Tensor) -> PerSample:
    """Return the mean of each sample's scores (patches), ``[B]``, in float32 at least.

    Raises:
        InputError: a list of several critics' scores.
    """
    of_one_critic(scores)
    return tensors.per_sample(scores)


def norms(gradient: Tensor, squared: bool = False) -> PerSample:
    """Return the Euclidean norm of each sample's gradient over all its axes, ``[B]``, in float32 at least."""
    rows = wide(gradient).flatten(1)
    if squared:
        return rows.square().sum(1)
    # vector_norm, not sqrt(sum of squares): its derivative at zero is 0 where the square root's is NaN
    found: Tensor = torch.linalg.vector_norm(rows, dim=1)
    return found
