"""Where a gradient penalty takes the slope: ``(real, fake, rng) -> samples``."""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from adversarium.errors import InputError, lookup
from adversarium.penalties import _draw
from adversarium.types import Samples

Points = Callable[[Tensor, Tensor, torch.Generator | None], Tensor]
Noise = Literal["one_sided", "centred", "gaussian"]


def at_real(real: Samples, fake: Tensor, rng: torch.Generator | None) -> Samples:
    """Take the slope at the real samples."""
    return real


def at_fake(real: Tensor, fake: Samples, rng: torch.Generator | None) -> Samples:
    """Take the slope at the fake samples."""
    return fake


def between(real: Tensor, fake: Tensor, rng: torch.Generator | None) -> Samples:
    """Take the slope at ``u·real + (1 - u)·fake``, one u ~ U(0, 1) per sample.

    Raises:
        InputError: real and fake samples of different shapes.
    """
    if real.shape != fake.shape:
        raise InputError(f"real has shape {list(real.shape)} and fake {list(fake.shape)}: wanted the same shape")
    dtype = torch.promote_types(real.dtype, fake.dtype)  # under autocast the fakes are often bfloat16, the data not
    real, fake = real.to(dtype), fake.to(dtype)
    return torch.lerp(fake, real, _share(real, rng))


def around(
    noise: Noise = "one_sided", spread: float = 0.5, std: float | None = None, interpolate: bool = False
) -> Points:
    """Return the points ``real + spread·std·noise``; ``std=None`` is that of all numbers of the batch.

    The noise is U(0, 1), U(-1, 1) or N(0, 1) for each number of a sample. With ``interpolate`` it is shortened by one
    share u ~ U(0, 1) per sample: a random point on the way to the noisy sample.

    Raises:
        InputError: a kind of noise that is none.
    """
    lookup("noise", noise, dict.fromkeys(get_args(Noise)))

    def points(real: Samples, fake: Tensor, rng: torch.Generator | None) -> Samples:
        scale = spread * (real.std(correction=0) if std is None else std)
        if noise == "gaussian":
            shift = _draw.normal(real, rng)
        else:
            shift = _draw.uniform(real, rng)
            shift = shift if noise == "one_sided" else 2 * shift - 1
        if interpolate:
            shift = shift * _share(real, rng)
        return real + scale * shift

    return points


def _share(samples: Tensor, rng: torch.Generator | None) -> Tensor:
    """Return one number from U(0, 1) per sample."""
    return _draw.uniform(samples, rng, (len(samples),) + (1,) * (samples.ndim - 1))
