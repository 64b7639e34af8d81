"""Numbers made of scores and gradients, in float32 at least: what follows is squared or averaged."""

import torch
from torch import Tensor

from adversarium.types import PerSample


def wide(numbers: Tensor) -> Tensor:
    """Return half precision numbers in float32, and others as they are."""
    return numbers.float() if numbers.dtype in (torch.float16, torch.bfloat16) else numbers


def per_sample(scores: Tensor) -> PerSample:
    """Return the mean of each sample's scores (patches), ``[B]``, in float32 at least."""
    scores = wide(scores)
    return scores.flatten(1).mean(1) if scores.ndim > 1 else scores


def norms(gradient: Tensor, squared: bool = False) -> PerSample:
    """Return the Euclidean norm of each sample's gradient over all its axes, ``[B]``, in float32 at least."""
    rows = wide(gradient).flatten(1)
    if squared:
        return rows.square().sum(1)
    # vector_norm, not sqrt(sum of squares): its derivative at zero is 0 where the square root's is NaN
    found: Tensor = torch.linalg.vector_norm(rows, dim=1)
    return found
