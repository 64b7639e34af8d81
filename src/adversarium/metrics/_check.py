"""What every metric asks of its rows."""

import torch
from jaxtyping import Float
from torch import Tensor

from adversarium.errors import InputError

Rows = Float[Tensor, "n features"]
OtherRows = Float[Tensor, "m features"]


def check_rows(name: str, rows: Tensor, *, least: int = 1) -> Tensor:
    """Return rows in float32 at least.

    Raises:
        InputError: not ``[N, D]`` floating point numbers, fewer than ``least``, or NaN or infinite somewhere.
    """
    if not isinstance(rows, Tensor):
        raise InputError(f"{name} is {type(rows).__name__}: wanted a tensor [N, D]")
    if rows.dim() != 2 or not rows.is_floating_point():
        raise InputError(f"{name} is {rows.dtype} of shape {list(rows.shape)}: wanted floating point rows [N, D]")
    if rows.shape[1] == 0:
        raise InputError(f"{name} has shape {list(rows.shape)}: wanted at least 1 column")
    if len(rows) < least:
        raise InputError(f"{name} has {len(rows)} samples: wanted at least {least}")
    finite = rows.isfinite().all(dim=1)
    if not finite.all():
        bad = int((~finite).sum())
        first = int((~finite).nonzero()[0])
        raise InputError(f"{name} has NaN or infinity in {bad} of {len(rows)} rows, the first of them row {first}")
    return rows.to(torch.promote_types(rows.dtype, torch.float32))


def check_pair(
    real: Tensor, fake: Tensor, *, least: int = 1, names: tuple[str, str] = ("real", "fake")
) -> tuple[Rows, OtherRows]:
    """Return two sets of rows in one dtype, float32 at least.

    Raises:
        InputError: either is no set of rows, or their widths differ.
    """
    real, fake = check_rows(names[0], real, least=least), check_rows(names[1], fake, least=least)
    if real.shape[1] != fake.shape[1]:
        raise InputError(
            f"{names[0]} has {real.shape[1]} columns and {names[1]} {fake.shape[1]}: wanted the same features of both"
        )
    dtype = torch.promote_types(real.dtype, fake.dtype)
    return real.to(dtype), fake.to(dtype)
