"""A penalty on a random part of the batch: cheaper at every step, and unbiased."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adversarium.errors import require
from adversarium.penalties import _draw
from adversarium.penalties._check import same_count
from adversarium.types import Critic, Penalty, PerSample


@dataclass(frozen=True)
class OnFraction:
    """The penalty that ``on_fraction`` makes; a :class:`~adversarium.types.Penalty` of fewer values."""

    penalty: Penalty
    fraction: float

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator | None = None) -> PerSample:
        """Return the penalty of the samples drawn, ``[ceil(fraction·B)]``.

        Raises:
            InputError: not as many real as fake samples.
        """
        same_count(real, fake)
        count = rows_of(self.fraction, len(real))
        if count < len(real):
            rows = random_rows(count, real, fake, rng)
            real, fake = real[rows], fake[rows]
        return self.penalty(critic, real, fake, rng)


def rows_of(fraction: float, samples: int) -> int:
    """Return ``ceil(fraction·samples)``, at least 1."""
    return max(1, math.ceil(fraction * samples - 1e-9))  # 0.07 * 100 is above 7 in floating point


def random_rows(count: int, real: Tensor, fake: Tensor, rng: torch.Generator | None) -> Tensor:
    """Return the numbers of ``count`` different rows, in random order, to be taken of both sides: pairs stay pairs.

    Raises:
        InputError: not as many real as fake samples.
    """
    same_count(real, fake)
    return _draw.some_rows(count, real, rng)


def on_fraction(penalty: Penalty, fraction: float) -> OnFraction:
    """Evaluate a penalty on a random ``ceil(fraction·B)`` of the B samples, the same rows of real and fake.

    The rows are drawn without replacement, so that the mean of the values, and its gradient, are unbiased estimates
    of those over the whole batch, except for ``BATCH_STATISTICS``. The whole batch draws nothing.

    Raises:
        InputError: a fraction that is not above 0 and at most 1.
    """
    require(0 < fraction <= 1, f"fraction is {fraction}: wanted a number above 0 and at most 1")
    return OnFraction(penalty, fraction)


def on_whole(penalty: Any) -> Any:
    """Return what a penalty on a fraction of the batch evaluates, to be evaluated on all of it; others as they are."""
    while isinstance(penalty, OnFraction):
        penalty = penalty.penalty
    return penalty
