"""The critic's slope: the norm of its gradient by a sample, differentiable by the weights."""

import math
from typing import Literal

import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.penalties.second_order import SecondOrder
from adversarium.types import Critic, PerSample, Samples

Method = Literal["exact"]


def slope(critic: Critic, samples: Samples) -> PerSample:
    """Return the Euclidean norm of the critic's gradient at each sample, differentiable by the weights.

    ``‖∇ₓ D(x)‖₂`` over *all* axes of a sample (never over the batch, never per pixel). Where a critic returns
    several scores per sample (patches), D is their mean, the value that the loss sees. The norm and what follows are
    computed in float32 at least. A zero gradient has norm 0 and the subgradient 0, never NaN. It works under
    ``torch.no_grad`` too; ``torch.inference_mode`` forbids gradients altogether.

    Args:
        critic: a callable ``[B, ...] -> [B]`` or ``[B, ...]``, which must not couple the samples of a batch.
        samples: ``[B, ...]``, floating point.

    Raises:
        InputError: the critic's scores do not depend on its input, or are not one row per sample.
    """
    samples = samples.detach().requires_grad_(True)
    second_order = SecondOrder()
    with torch.enable_grad():
        with second_order:
            scores = critic(samples)
        return slope_of(scores, samples, second_order)


def slope_of(scores: Tensor, samples: Samples, second_order: SecondOrder | None = None) -> PerSample:
    """Return :func:`slope` from scores that were already computed at ``samples`` (which require gradients).

    ``second_order`` is the context in which they were computed, if they were computed in one: it makes the second
    derivatives of convolutional critics faster.

    Raises:
        InputError: the scores do not depend on the samples, or are not one row per sample.
    """
    if scores.shape[:1] != samples.shape[:1]:
        raise InputError(
            f"the critic's scores have shape {list(scores.shape)} at {samples.shape[0]} samples: "
            "wanted [B] or [B, ...] with the samples' B"
        )
    if not scores.requires_grad:
        raise InputError("the critic's scores do not depend on its input: there is no gradient to penalise")
    if second_order is not None:
        second_order.taking_slope = True
    try:
        (gradient,) = torch.autograd.grad(scores.sum(), samples, create_graph=True, allow_unused=True)
    finally:
        if second_order is not None:
            second_order.taking_slope = False
    if gradient is None:
        raise InputError("the critic's scores do not depend on its input: there is no gradient to penalise")
    if gradient.dtype in (torch.float16, torch.bfloat16):
        gradient = gradient.float()
    # vector_norm, not sqrt(sum of squares): its derivative at zero is 0 where the square root's is NaN
    norm: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return norm / math.prod(scores.shape[1:])  # the mean over a sample's patches, taken where it is not rounded
