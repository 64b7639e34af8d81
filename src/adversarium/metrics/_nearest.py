"""Nearest neighbours and counts of near pairs: matrix products of tiles, and exact distances where those are in doubt.

A float32 product gives ‖x - y‖² with an error that is bounded by a small multiple of ‖x‖² + ‖y‖². Whatever the bound
leaves undecided (which of two neighbours is nearer, whether a pair lies within a radius) is settled by float64
differences, so that results are those of exact distances, ties included, at the speed of float32.
"""

from collections.abc import Iterator
from math import frexp

import torch
from torch import Tensor

from adversarium.metrics._check import product_dtype

SPARE = 3
"""How many more candidates than neighbours a row keeps; if these do not settle its neighbours, it is done again."""

CROWDED = 1 / 16
"""Above this share of undecided pairs, a tile is multiplied again in float64 before differences are taken."""

TIED = 16
"""Distances that differ by less than so many rounding errors of float64 products are equal."""

AT_ONCE = 1 << 20
"""How many float64 differences are held at a time."""


class Points:
    """Rows, and what products need of them: centred (against cancellation), scaled (against overflow), with norms.

    Attributes:
        rows: ``[N, D]``, as given.
        seen: ``(rows - centre) * scale`` in the dtype of the products.
        norms: float64 ``[N]``, the squared norms of ``seen``.
        scale: a power of two.
        tolerance: the error of a squared distance is at most this, times the sum of the two squared norms.
    """

    def __init__(self, rows: Tensor, centre: Tensor, scale: float, dtype: torch.dtype) -> None:
        self.rows, self.centre, self.scale = rows, centre, scale
        exact = rows.to(torch.promote_types(rows.dtype, dtype))  # the difference is to be as exact as the products
        self.seen = (exact - centre).mul_(scale).to(dtype)
        self.norms = torch.linalg.vector_norm(self.seen, dim=1, dtype=torch.float64).square()
        self.tolerance = _tolerance(rows.shape[1], dtype)

    def __len__(self) -> int:
        return len(self.rows)


def points(*sets: Tensor, dtype: torch.dtype | None = None) -> list[Points]:
    """Return sets of rows about the centre of the first of them, on one scale."""
    dtype = dtype or product_dtype()
    centre = sets[0].mean(0, dtype=torch.float64).to(sets[0].dtype)
    ends = [end - centre for rows in sets for end in rows.aminmax(dim=0)]
    largest = float(torch.stack(ends).abs().amax())
    scale = 2.0 ** -frexp(largest)[1] if largest > 0 else 1.0
    # a factor that is itself representable; what is smaller still counts as 0 in products, not in differences
    scale = min(scale, 2.0**120)
    return [Points(rows, centre, scale, dtype) for rows in sets]


def nearest(
    queries: Tensor, rows: Tensor, k: int, chunk: int, *, own: Tensor | None = None, dtype: torch.dtype | None = None
) -> tuple[Tensor, Tensor]:
    """Return the squared distances (float64 ``[N, k]``, ascending) and indices of each query's k nearest rows.

    ``own``: which row is the query itself, and does not count; ``None``: all count.
    """
    itself = queries is rows
    y, *rest = points(rows, dtype=dtype) if itself else points(rows, queries, dtype=dtype)
    x = y if itself else rest[0]
    available = len(rows) - (own is not None)
    count = min(k + SPARE, available)
    values = torch.full((len(x), count), torch.inf, dtype=y.seen.dtype, device=rows.device)
    indices = torch.zeros((len(x), count), dtype=torch.int64, device=rows.device)
    # a set against itself: each distance once, for both of its ends
    mirrored = itself and own is not None
    for i, j in _tiles(len(x), len(y), chunk, upper=mirrored):
        tile = _product(x, y, i, j)
        if own is not None:
            here = ((own[i] >= j.start) & (own[i] < j.stop)).nonzero().squeeze(1)
            tile[here, own[i][here] - j.start] = torch.inf
        _keep(values[i], indices[i], tile, j.start)
        if mirrored and i != j:
            _keep(values[j], indices[j], tile.T.contiguous(), i.start)
    squared = _differences(x, torch.arange(len(x), device=rows.device)[:, None], y, indices)
    squared, order = squared.sort(dim=1, stable=True)
    found = squared[:, :k].clone(), indices.gather(1, order[:, :k])
    if count == available:
        return found
    # another row that is nearer than the k-th has a norm of at most ‖x‖ + its distance, and so a bounded error
    radius = squared[:, k - 1].sqrt() * y.scale
    error = y.tolerance * (x.norms + (x.norms.sqrt() + radius).square())
    unsure = (values[:, -1].double() - error < radius.square()) & (radius > 0)
    if y.seen.dtype == torch.float64:  # ties that float64 products see as such need no search
        unsure &= error > TIED * _tolerance(rows.shape[1], torch.float64) * radius.square()
    which = unsure.nonzero().squeeze(1)
    if len(which):
        again = None if own is None else own[which]
        if y.seen.dtype == torch.float64:
            better = _search(queries[which], rows, squared[which, k - 1], k, chunk, again)
        else:
            better = nearest(queries[which], rows, k, chunk, own=again, dtype=torch.float64)
        found[0][which], found[1][which] = better
    return found


def _search(
    queries: Tensor, rows: Tensor, limit: Tensor, k: int, chunk: int, own: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the k nearest rows of each query among all that are within a squared distance that holds k."""
    x, y = points(queries, rows, dtype=torch.float64)
    squared = torch.full((len(x), k), torch.inf, dtype=torch.float64, device=rows.device)
    indices = torch.zeros((len(x), k), dtype=torch.int64, device=rows.device)
    for i, j in _tiles(len(x), len(y), chunk):
        tile = _product(x, y, i, j)
        first, second, _ = _pairs_within(x, y, i, j, tile, limit[i, None])
        if own is not None:
            others = second != own[first]
            first, second = first[others], second[others]
        tile.fill_(torch.inf)[first - i.start, second - j.start] = _differences(x, first, y, second)
        _keep(squared[i], indices[i], tile, j.start)
    return squared, indices


def within(
    x: Points, y: Points, limits: tuple[Tensor, ...], chunk: int
) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
    """Yield which limit, and the pairs whose squared distance is at most it: ``i``, ``j``, and whether it is less.

    Args:
        x: the pairs' first ends.
        y: their second ends.
        limits: squared distances, float64, each ``[N, 1]`` (one for each of x) or ``[1, M]``.
        chunk: rows and columns of a tile.
    """
    for i, j in _tiles(len(x), len(y), chunk):
        tile = _product(x, y, i, j)
        for which, limit in enumerate(limits):
            here = limit[i] if limit.shape[1] == 1 else limit[:, j]
            first, second, less = _pairs_within(x, y, i, j, tile, here)
            yield which, first, second, less


def _pairs_within(
    x: Points, y: Points, i: slice, j: slice, tile: Tensor, limit: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    scaled = limit * x.scale**2
    # a limit for the tile, with room for the largest error in a row or column of it
    room = x.tolerance * (
        x.norms[i, None] + y.norms[j].max() if limit.shape[1] == 1 else x.norms[i].max() + y.norms[None, j]
    )
    rows, columns = (tile <= (scaled + room).to(tile.dtype)).nonzero(as_tuple=True)
    limit = limit.expand(tile.shape)[rows, columns]
    gap = tile[rows, columns].double() - limit * x.scale**2
    error = x.tolerance * (x.norms[i][rows] + y.norms[j][columns])
    doubt = (gap.abs() <= error).nonzero().squeeze(1)
    if tile.dtype != torch.float64 and len(doubt) > CROWDED * tile.numel():
        closer = [Points(side.rows[part], side.centre, side.scale, torch.float64) for side, part in ((x, i), (y, j))]
        everything = [slice(0, len(side)) for side in closer]
        tile = _product(closer[0], closer[1], everything[0], everything[1])
        gap[doubt] = tile[rows[doubt], columns[doubt]] - limit[doubt] * x.scale**2
        error = closer[0].tolerance * (closer[0].norms[rows] + closer[1].norms[columns])
        doubt = doubt[gap[doubt].abs() <= error[doubt]]
    rows, columns = rows + i.start, columns + j.start
    # distances that agree to float64's rounding are equal
    rounding = _tolerance(x.rows.shape[1], torch.float64) * limit[doubt]
    gap[doubt] = _differences(x, rows[doubt], y, columns[doubt]) - limit[doubt]
    gap[doubt] = torch.where(gap[doubt].abs() <= rounding, 0, gap[doubt])
    kept = gap <= 0
    return rows[kept], columns[kept], gap[kept] < 0


def _tiles(rows: int, columns: int, chunk: int, *, upper: bool = False) -> Iterator[tuple[slice, slice]]:
    for i in range(0, rows, chunk):
        for j in range(i if upper else 0, columns, chunk):
            yield slice(i, min(i + chunk, rows)), slice(j, min(j + chunk, columns))


def _product(x: Points, y: Points, i: slice, j: slice) -> Tensor:
    """Return ``‖x_i - y_j‖²``, scaled, for a tile of pairs."""
    norms: Tensor = x.norms[i, None].to(x.seen.dtype) + y.norms[j].to(x.seen.dtype)
    with torch.autocast(norms.device.type, enabled=False):  # it would multiply in half precision
        norms.addmm_(x.seen[i], y.seen[j].T, alpha=-2)
    return norms


def _keep(values: Tensor, indices: Tensor, tile: Tensor, first: int) -> None:
    """Put a tile's smallest values, with their columns, among those that were kept (in place)."""
    count = values.shape[1]
    found = tile.topk(min(count, tile.shape[1]), largest=False, sorted=False)
    both = torch.cat([values, found.values], dim=1)
    best = both.topk(count, largest=False)  # sorted: the last is the largest
    values.copy_(best.values)
    indices.copy_(torch.cat([indices, found.indices + first], dim=1).gather(1, best.indices))


def _differences(x: Points, i: Tensor, y: Points, j: Tensor) -> Tensor:
    """Return ``‖x_i - y_j‖²`` in float64 from differences, of i's and j's common shape."""
    i, j = torch.broadcast_tensors(i, j)
    found = torch.empty(i.numel(), dtype=torch.float64, device=i.device)
    step = max(1, AT_ONCE // x.rows.shape[1])
    flat_i, flat_j = i.flatten(), j.flatten()
    for start in range(0, len(found), step):
        part = slice(start, start + step)
        gap = x.rows[flat_i[part]].double().sub_(y.rows[flat_j[part]])
        found[part] = gap.square_().sum(1)
    return found.view(i.shape)


def _tolerance(width: int, dtype: torch.dtype) -> float:
    # the standard bound of a product's rounding errors, in any order of its sums; 16 for centring, norms, last sums
    return (1.1 * width + 16) * torch.finfo(dtype).eps / 2
