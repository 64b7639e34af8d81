"""What every metric asks of its rows."""

import torch
from jaxtyping import Float
from torch import Tensor

from adversarium.errors import InputError, require

Rows = Float[Tensor, "n features"]
OtherRows = Float[Tensor, "m features"]

CHUNK = 4096

LARGEST = 1e150
"""Float64 sums of squares of larger numbers overflow; float32 differences do before."""


def check_rows(name: str, rows: Tensor, *, least: int = 1, squared: bool = True) -> Tensor:
    """Return rows in float32 at least; ``squared`` says that their squares are going to be summed.

    Raises:
        InputError: not ``[N, D]`` floating point numbers, fewer than ``least``, NaN or infinite somewhere, or too
            large to be squared.
    """
    if not isinstance(rows, Tensor):
        raise InputError(f"{name} is {type(rows).__name__}: wanted a tensor [N, D]")
    if rows.dim() != 2 or not rows.is_floating_point():
        raise InputError(f"{name} is {rows.dtype} of shape {list(rows.shape)}: wanted floating point rows [N, D]")
    if rows.shape[1] == 0:
        raise InputError(f"{name} has shape {list(rows.shape)}: wanted at least 1 column")
    if len(rows) < least:
        raise InputError(f"{name} has {len(rows)} samples: wanted at least {least}")
    # in parts: torch takes a copy to compare
    finite = torch.cat([part.isfinite().all(dim=1) for part in rows.split(CHUNK)])
    if not finite.all():
        bad = int((~finite).sum())
        first = int((~finite).nonzero()[0])
        raise InputError(f"{name} has NaN or infinity in {bad} of {len(rows)} rows, the first of them row {first}")
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    if squared:
        most = min(LARGEST, torch.finfo(rows.dtype).max / 4)
        largest = max(abs(float(end)) for end in rows.detach().aminmax())
        require(
            largest < most,
            f"{name} is as large as {largest:.3g}: wanted numbers to subtract and square, below {most:.1g}",
        )
    return rows


def check_pair(
    real: Tensor,
    fake: Tensor,
    *,
    least: int = 1,
    squared: bool = True,
    names: tuple[str, str] = ("real", "fake"),
) -> tuple[Rows, OtherRows]:
    """Return two sets of rows in one dtype, float32 at least.

    Raises:
        InputError: either is no set of rows, or their widths differ.
    """
    real, fake = (
        check_rows(name, rows, least=least, squared=squared) for name, rows in zip(names, (real, fake), strict=True)
    )
    if real.shape[1] != fake.shape[1]:
        raise InputError(
            f"{names[0]} has {real.shape[1]} columns and {names[1]} {fake.shape[1]}: wanted the same features of both"
        )
    dtype = torch.promote_types(real.dtype, fake.dtype)
    return real.to(dtype), fake.to(dtype)


def product_dtype() -> torch.dtype:
    """Return float32 where its products are in float32, float64 where the user lets torch round them further."""
    try:
        exact = torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # set by backend: torch then refuses to answer for all of them
        exact = False
    return torch.float32 if exact else torch.float64
