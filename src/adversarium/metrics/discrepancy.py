"""Integral probability metrics, over all pairs of samples, block by block: the energy distance and the MMD."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from adversarium.errors import lookup, require
from adversarium.losses._samples import power_of_distances, squared_distances
from adversarium.losses.integral import RADIAL_KERNELS, _polynomial
from adversarium.metrics._check import check_pair, check_rows
from adversarium.metrics._pairs import Kernel, sums_between, sums_within
from adversarium.metrics.metric import Estimate

MEDIAN_ROWS = 2000
"""The median distance is that of all pairs of at most this many rows, evenly spaced."""


def energy_distance(
    x: Tensor, y: Tensor, *, exponent: float = 1.0, unbiased: bool = True, chunk: int = 512
) -> Estimate:
    """The energy distance: the mean distance between the sets, less that within them.

    Formula:
        2·E‖x - y‖^β - E‖x - x'‖^β - E‖y - y'‖^β, 0 < β < 2 (``exponent``)
    Convention:
        ``losses.energy`` in float64 and in blocks of ``chunk``² pairs, which bounds the memory with and without a
        gradient. Squared: no root. ``unbiased=True`` compares no sample with itself: its mean under equality is 0,
        and it may be negative; ``unbiased=False`` keeps the diagonals: never negative, 0 for equal sets, too large
        by O(1/N). The standard error is the jackknife's: that of the draw of both sets; where their distributions
        are equal, it is too large, by up to √2. Differentiable by x and y.
    Elsewhere:
        ``scipy.stats.energy_distance`` is the root of this at ``unbiased=False``, in one dimension.
    Use when:
        No scale of the data is known: it has no bandwidth.
    Paper:
        Bellemare et al. 2017, "The Cramer Distance as a Solution to Biased Wasserstein Gradients",
        arXiv:1705.10743.

    Raises:
        InputError: bad rows, fewer than 3 on a side, an exponent outside (0, 2), an empty chunk.
    """
    require(0 < exponent < 2, f"exponent is {exponent}: wanted a number between 0 and 2, both excluded")

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return -power_of_distances(squared_distances(a, b), exponent)

    return _discrepancy(kernel, x, y, unbiased, chunk)


def mmd(
    x: Tensor,
    y: Tensor,
    *,
    kernel: Literal["gaussian", "laplace", "rational_quadratic", "imq", "polynomial"] = "gaussian",
    bandwidth: float | Sequence[float] | Tensor | None = None,
    unbiased: bool = True,
    chunk: int = 512,
) -> Estimate:
    """The squared maximum mean discrepancy: how far apart the means of a kernel's features are.

    Formula:
        E k(x, x') + E k(y, y') - 2·E k(x, y), with d = ‖x - y‖ and bandwidth h
        gaussian: exp(-d²/2h²); laplace: exp(-d/h); imq (inverse multiquadric): (1 + d²/h²)^(-1/2)
        rational_quadratic: Σ (1 + d²/(2α·h²))^(-α) over α in 0.2, 0.5, 1, 2, 5; polynomial: (xᵀy/D + 1)³
    Convention:
        ``losses.mmd`` in float64 and in blocks of ``chunk``² pairs, which bounds the memory with and without a
        gradient. Squared: no root; ``unbiased`` and the standard error as in ``energy_distance``. Several
        bandwidths: the sum of their kernels. ``bandwidth=None`` is ``median_distance`` of both sets together: it
        follows the samples, so that values of different generators are not on one scale; for a number to report,
        fix it: ``bandwidth=median_distance(data)``. The polynomial kernel has none. Differentiable by x and y, the
        bandwidth held constant.
    Elsewhere:
        ``polynomial`` on Inception features is the Kernel Inception Distance, before its average over subsets.
    Use when:
        Few samples have to tell two distributions apart; with a kernel whose scale is that of the data.
    Paper:
        Gretton et al. 2008, "A Kernel Method for the Two-Sample Problem", arXiv:0805.2368; rational quadratic and
        polynomial: Bińkowski et al. 2018, "Demystifying MMD GANs", arXiv:1801.01401.

    Raises:
        InputError: bad rows, fewer than 3 on a side, an unknown kernel, a bandwidth that is not positive, or one for
            the polynomial kernel, an empty chunk.
    """
    lookup("kernel", kernel, RADIAL_KERNELS | {"polynomial": None})
    if kernel == "polynomial":
        require(bandwidth is None, f"bandwidth is {bandwidth}: the polynomial kernel has none")
        return _discrepancy(_polynomial, x, y, unbiased, chunk)
    if bandwidth is None:
        widths = [float(median_distance(torch.cat(check_pair(x, y, least=3, names=("x", "y")))))]
    else:
        several = bandwidth.tolist() if isinstance(bandwidth, Tensor) else bandwidth
        widths = [several] if isinstance(several, float | int) else list(several)
    positive = len(widths) > 0 and all(0 < width < float("inf") for width in widths)
    require(positive, f"bandwidth is {bandwidth}: wanted a positive number, several, or None")
    radial = RADIAL_KERNELS[kernel]

    def summed(a: Tensor, b: Tensor) -> Tensor:
        squared = squared_distances(a, b)
        return torch.stack([radial(squared / width**2) for width in widths]).sum(0)

    return _discrepancy(summed, x, y, unbiased, chunk)


@torch.no_grad()
def median_distance(rows: Tensor) -> Tensor:
    """Return the median distance of pairs of rows (the lower one of two), above 0: a bandwidth for kernels.

    Of more than 2,000 rows it takes as many, evenly spaced. Where most pairs coincide it is the root of the mean
    squared distance, and 1 where all do.

    Raises:
        InputError: bad rows, or fewer than 2.
    """
    rows = check_rows("rows", rows, least=2).double()
    if len(rows) > MEDIAN_ROWS:
        rows = rows[torch.arange(MEDIAN_ROWS, device=rows.device) * len(rows) // MEDIAN_ROWS]
    squared = squared_distances(rows, rows)
    squared = squared[tuple(torch.triu_indices(len(rows), len(rows), 1, device=rows.device))]
    median, mean = squared.median(), squared.mean()
    return torch.where(median > 0, median, torch.where(mean > 0, mean, 1)).sqrt()


def _discrepancy(kernel: Kernel, x: Tensor, y: Tensor, unbiased: bool, chunk: int) -> Estimate:
    """Return the mean of k(x, x') plus that of k(y, y') minus twice that of k(x, y)."""
    require(chunk >= 1, f"chunk is {chunk}: wanted at least 1")
    # the jackknife leaves one out of the pairs within a set
    x, y = (rows.double() for rows in check_pair(x, y, least=3, names=("x", "y")))
    to_y, to_x, _ = sums_between(kernel, x, y, chunk)
    sides = [(sums_within(kernel, rows, chunk), cross) for rows, cross in ((x, to_y), (y, to_x))]
    value = -2 * to_y.sum() / (len(x) * len(y))
    variance = torch.zeros_like(value.detach())
    for (within, _, diagonal), cross in sides:
        n, other = len(within), len(x) + len(y) - len(within)
        own = within.sum() / (n * (n - 1)) if unbiased else (within.sum() + diagonal.sum()) / n**2
        value = value + own
        variance = variance + _jackknife(within.detach(), diagonal.detach(), cross.detach() / other, unbiased)
    finite = bool(value.isfinite() & variance.isfinite())
    require(finite, "x and y are too large for float64 sums of this kernel: wanted smaller numbers")
    return Estimate(value, variance.sqrt())


def _jackknife(within: Tensor, diagonal: Tensor, cross: Tensor, unbiased: bool) -> Tensor:
    """Return the variance of the value by the draw of one set, from each sample's sums of the kernel."""
    n = len(within)
    left = within.sum() - 2 * within  # the sum over pairs without each one
    own = left / ((n - 1) * (n - 2)) if unbiased else (left + diagonal.sum() - diagonal) / (n - 1) ** 2
    without = own - 2 * (cross.sum() - cross) / (n - 1)
    return (n - 1) * without.var(correction=0)
