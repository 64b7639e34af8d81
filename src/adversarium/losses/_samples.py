"""What every distance asks of its two sets of samples, and how far their rows are apart."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from adversarium.errors import InputError
from adversarium.losses._check import check_numbers
from adversarium.types import Distance

RealRows = Float[Tensor, "n features"]
FakeRows = Float[Tensor, "m features"]
Pairs = Float[Tensor, "n m"]

DIRECT_WIDTH = 16
"""Up to this many features the differences are taken one by one: exact, and fast enough."""

NOISE = 8
"""Squared distances below this many rounding errors of their two squared norms count as 0."""


def distance(between: Callable[[Tensor, Tensor, torch.Generator | None], Tensor]) -> Distance:
    """Return a distance from its function of two sets of rows: inputs checked, flattened, in float32 at least."""

    def checked(real: Tensor, fake: Tensor, rng: torch.Generator | None = None) -> Float[Tensor, ""]:
        x, y = as_rows(real, fake)
        with torch.autocast(x.device.type, enabled=False):  # it would multiply in half precision
            return between(x, y, rng)

    return checked


def as_rows(real: Tensor, fake: Tensor) -> tuple[RealRows, FakeRows]:
    """Return both sets as ``[N, D]`` and ``[M, D]`` in one dtype, float32 at least.

    Raises:
        InputError: samples are not real floating point numbers, empty, or of different shapes on their other axes.
    """
    check_numbers("real", real)
    check_numbers("fake", fake)
    if real.shape[1:] != fake.shape[1:]:
        raise InputError(
            f"real has shape {list(real.shape)} and fake {list(fake.shape)}: wanted the same axes after the first"
        )
    dtype = torch.promote_types(torch.promote_types(real.dtype, fake.dtype), torch.float32)
    return real.to(dtype).reshape(len(real), -1), fake.to(dtype).reshape(len(fake), -1)


def squared_distances(x: RealRows, y: FakeRows) -> Pairs:
    """Return ``‖x_i - y_j‖²``, never negative; 0, with gradient 0, where two rows cannot be told apart."""
    if x.shape[1] <= DIRECT_WIDTH:
        # column by column: a sum over a short last axis is slow
        squared = (x[:, None, 0] - y[:, 0]).square()
        for column in range(1, x.shape[1]):
            squared = squared + (x[:, None, column] - y[:, column]).square()
        return squared
    centre = y.detach().mean(0)  # distances do not see a shift, rounding errors do
    x, y = x - centre, y - centre
    norms = x.square().sum(1)[:, None] + y.square().sum(1)
    squared = norms - 2 * x @ y.T
    # written so that NaN, which compares as false, is passed on
    return torch.where(squared <= NOISE * torch.finfo(x.dtype).eps * norms, 0, squared)


def power_of_distances(squared: Pairs, exponent: float) -> Pairs:
    """Return ``d ** exponent`` from d², with gradient 0 (not NaN) at d = 0."""
    same = squared <= 0
    return torch.where(same, 0, torch.where(same, 1, squared).pow(exponent / 2))
