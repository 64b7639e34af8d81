"""Optimal transport on the line, where the quantile functions solve it: exact, for any order and any weights."""

from itertools import accumulate

import torch
from jaxtyping import Float
from torch import Tensor

from adversarium.errors import InputError, require
from adversarium.losses.integral import _quantile_pieces
from adversarium.metrics._check import check_pair


def wasserstein_line(
    x: Tensor,
    y: Tensor,
    *,
    order: float = 1.0,
    x_weights: Tensor | None = None,
    y_weights: Tensor | None = None,
) -> Float[Tensor, ""]:
    """The Wasserstein distance of two sets of numbers, exactly.

    Formula:
        W_p(x, y) = (∫ |F⁻¹(u) - G⁻¹(u)|^p du)^(1/p), u from 0 to 1, p = ``order``
        F, G: the distribution functions of x and y. At p = 1 it is ∫ |F - G|.
    Convention:
        With the final power 1/p, in the unit of the samples. Sets of different sizes, and weights (``[N]``, ``[M]``,
        not negative, divided by their sum), are matched exactly. Float64. Differentiable by x and y, with gradient 0
        where the sets are equal; the weights are constants. Between independent draws of one distribution it is
        positive.
    Elsewhere:
        ``scipy.stats.wasserstein_distance`` is this at order 1. ``ot.wasserstein_1d`` (POT) leaves the final power
        out.
    Use when:
        The samples are numbers: one feature, a projection, a score.
    Paper:
        Peyré and Cuturi 2018, "Computational Optimal Transport", arXiv:1803.00567.

    Raises:
        InputError: samples that are not ``[N]`` finite numbers; an order below 1 or infinite; weights of another
            length, negative, or all 0.
    """
    check_order(order)
    for name, numbers in (("x", x), ("y", y)):
        if not isinstance(numbers, Tensor) or numbers.dim() != 1:
            got = f"of shape {list(numbers.shape)}" if isinstance(numbers, Tensor) else type(numbers).__name__
            raise InputError(f"{name} is {got}: wanted a tensor [N]; rows [N, D] are for wasserstein")
    rows, others = check_pair(x[:, None], y[:, None], squared=False, names=("x", "y"))
    own = check_weights("x_weights", x_weights, x)
    other = check_weights("y_weights", y_weights, y)
    return between_columns(rows.double(), others.double(), order, own, other).squeeze(0)


def between_columns(
    x: Float[Tensor, "n columns"],
    y: Float[Tensor, "m columns"],
    order: float,
    x_weights: Float[Tensor, " n"] | None = None,
    y_weights: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, " columns"]:
    """Return the distance of each column of x to that of y. ``None``: all weights are equal."""
    if x_weights is None and y_weights is None:
        x, y = x.sort(dim=0).values, y.sort(dim=0).values
        if len(x) == len(y):
            return power_mean((x - y).abs(), torch.full_like(x, 1 / len(x)), order)
        of_x, of_y, widths = (each.to(x.device) for each in _quantile_pieces(len(x), len(y)))
        return power_mean((x[of_x] - y[of_y]).abs(), widths.to(x)[:, None], order)
    own, other = (
        torch.ones(len(side), dtype=torch.float64) if weights is None else weights
        for side, weights in ((x, x_weights), (y, y_weights))
    )
    return torch.stack([_weighted(a, b, order, own, other) for a, b in zip(x.T, y.T, strict=True)])


def _weighted(x: Tensor, y: Tensor, order: float, x_weights: Tensor, y_weights: Tensor) -> Tensor:
    x, of_x = x.sort()
    y, of_y = y.sort()
    pieces = _weighted_pieces(x_weights.cpu()[of_x.cpu()].tolist(), y_weights.cpu()[of_y.cpu()].tolist())
    i, j, widths = (x.new_tensor(each) for each in zip(*pieces, strict=True))
    return power_mean((x[i.long()] - y[j.long()]).abs(), widths, order)


def _weighted_pieces(x_weights: list[float], y_weights: list[float]) -> list[tuple[int, int, float]]:
    """Return, for each piece on which both quantile functions are constant, the two indices and the width.

    In whole numbers: jumps that rounding drew apart would enclose mass, and a high order makes much of little mass.
    """
    own, other = list(accumulate(_whole(x_weights))), list(accumulate(_whole(y_weights)))
    total, other_total = own[-1], other[-1]
    pieces, done, i, j = [], 0, 0, 0
    while done < total * other_total:
        of_x, of_y = own[i] * other_total, other[j] * total
        edge = min(of_x, of_y)
        if edge > done:
            pieces.append((i, j, (edge - done) / (total * other_total)))
        done, i, j = edge, i + (of_x == edge), j + (of_y == edge)
    return pieces


def _whole(numbers: list[float]) -> list[int]:
    ratios = [number.as_integer_ratio() for number in numbers]
    unit = max(denominator for _, denominator in ratios)  # powers of two: the largest is a multiple of all
    return [numerator * (unit // denominator) for numerator, denominator in ratios]


def power_mean(gaps: Tensor, weights: Tensor, order: float) -> Tensor:
    """Return ``(Σ weights·gaps^order)^(1/order)`` over the first axis, with gradient 0 where all gaps are 0."""
    # in units of the largest gap, which no order overflows
    unit = gaps.detach().amax(0)
    unit = torch.where(unit > 0, unit, 1)
    total = (weights * (gaps / unit).pow(order)).sum(0)
    return unit * root(total, order)


def root(total: Tensor, order: float) -> Tensor:
    """Return ``total^(1/order)``, with gradient 0 (not NaN) at 0, and below, where rounding may have led."""
    nothing = total <= 0  # NaN, which compares as false, is passed on
    return torch.where(nothing, 0, torch.where(nothing, 1, total).pow(1 / order))


def check_order(order: float) -> None:
    """Refuse an order that gives no distance.

    Raises:
        InputError: an order below 1, or infinite.
    """
    require(1 <= order < float("inf"), f"order is {order}: wanted a number of at least 1")


def check_weights(name: str, weights: Tensor | None, samples: Tensor) -> Float[Tensor, " n"] | None:
    """Return weights as they are, in float64 and without a graph.

    Raises:
        InputError: not one number for each sample, negative or not finite, or all 0.
    """
    if weights is None:
        return None
    if not isinstance(weights, Tensor) or weights.shape != (len(samples),):
        got = f"of shape {list(weights.shape)}" if isinstance(weights, Tensor) else type(weights).__name__
        raise InputError(f"{name} is {got}: wanted a tensor [{len(samples)}], one weight for each sample")
    weights = weights.detach().to(samples.device, torch.float64)
    if not weights.isfinite().all() or bool((weights < 0).any()):
        raise InputError(f"{name} has negative, NaN or infinite numbers: wanted weights of at least 0")
    require(bool((weights > 0).any()), f"{name} is 0 everywhere: wanted a positive weight")
    return weights
