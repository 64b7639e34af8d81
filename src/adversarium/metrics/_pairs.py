"""Sums of a kernel over all pairs of rows, block by block: memory for one block, also where a gradient is wanted."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Kernel = Callable[[Tensor, Tensor], Tensor]
"""Rows ``[N, D]`` and ``[M, D]`` to their kernel's values ``[N, M]``."""


class Within(NamedTuple):
    """Of the kernel's matrix of a set ``[N, N]``, in float64: what is off its diagonal, and that."""

    sums: Tensor  # [N], of each row
    squares: Tensor  # the sum of all squares, without a graph
    diagonal: Tensor  # [N]


class Between(NamedTuple):
    """Of the kernel's matrix of two sets ``[N, M]``, in float64."""

    rows: Tensor  # [N], the sum of each
    columns: Tensor  # [M], likewise
    squares: Tensor  # the sum of all squares, without a graph


def sums_within(kernel: Kernel, x: Tensor, chunk: int) -> Within:
    """Return the sums over the pairs of a set; those of two blocks are computed once."""
    sums, diagonal = (torch.zeros(len(x), dtype=torch.float64, device=x.device) for _ in range(2))
    squares = sums.new_zeros(())
    # added in place: results kept between large blocks that come and go would scatter them over the memory
    for i, own in _parts(x, chunk):
        sums_of_own, _, square, ends = _block(kernel, own, own, True)
        sums[i : i + chunk] += sums_of_own
        diagonal[i : i + chunk] += ends
        squares += square
        for j, other in _parts(x, chunk, i + chunk):
            along, across, square, _ = _block(kernel, own, other, False)
            sums[i : i + chunk] += along
            sums[j : j + chunk] += across
            squares += 2 * square
    return Within(sums, squares, diagonal)


def sums_between(kernel: Kernel, x: Tensor, y: Tensor, chunk: int) -> Between:
    """Return the sums over the pairs of a row of x and one of y."""
    rows, columns = (torch.zeros(len(side), dtype=torch.float64, device=side.device) for side in (x, y))
    squares = rows.new_zeros(())
    for i, own in _parts(x, chunk):
        for j, other in _parts(y, chunk):
            along, across, square, _ = _block(kernel, own, other, False)
            rows[i : i + chunk] += along
            columns[j : j + chunk] += across
            squares += square
    return Between(rows, columns, squares)


def _parts(rows: Tensor, chunk: int, start: int = 0) -> Iterator[tuple[int, Tensor]]:
    for i in range(start, len(rows), chunk):
        yield i, rows[i : i + chunk]


def _block(kernel: Kernel, x: Tensor, y: Tensor, own: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return a block's sums along its rows and columns, the sum of its squares, and its diagonal.

    Of a set's ``own`` rows the sums are without the diagonal.
    """

    def sums(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        with torch.autocast(x.device.type, enabled=False):  # it would multiply in half precision
            values = kernel(x, y).double()
            diagonal = values.diagonal().clone()
            if own:
                values = values - diagonal.diag()
            flat = values.detach().flatten()
            return values.sum(dim=1), values.sum(dim=0), flat @ flat, diagonal

    if not (torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)):
        return sums(x, y)
    # a gradient computes the block again rather than keep it
    found: tuple[Tensor, Tensor, Tensor, Tensor] = checkpoint(
        sums, x, y, use_reentrant=False, preserve_rng_state=False
    )
    return found
