"""The kernel distance: the squared maximum mean discrepancy of KID's polynomial kernel, with its standard error."""

from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from adversarium.errors import InputError, require
from adversarium.metrics._check import check_pair, product_dtype
from adversarium.metrics._pairs import sums_between, sums_within
from adversarium.metrics.metric import Estimate

CHUNK = 512
"""Rows on each side of a block of the kernel matrix: 2 MB in float64, which fits a cache."""


def kernel_distance(
    real: Tensor,
    fake: Tensor,
    *,
    degree: int = 3,
    chunk: int = CHUNK,
    subsets: int | None = None,
    subset_size: int = 1000,
    rng: torch.Generator | None = None,
) -> Estimate:
    """The kernel distance (KID): the squared maximum mean discrepancy of a polynomial kernel, without bias.

    Formula:
        E k(x, x') + E k(y, y') - 2·E k(x, y), k(x, y) = (xᵀy/D + 1)^degree
    Convention:
        Squared: no root. The U-statistic: pairs of a sample with itself are left out, so that the mean over draws is
        the distance of the distributions at any sample count; it goes negative, with mean 0 under equality, and is
        not 0 for a set and itself. All pairs, in blocks of ``chunk`` x ``chunk``, each in the dtype of the rows and
        summed in float64. The standard error is that over fresh draws of both sets, from the variance of the
        U-statistic, whose terms are estimated without bias; the first-order ones, 0 under equality, count as 0 where
        their estimate is below it, so that there it errs upwards. Differentiable in the value: blocks are computed
        again in the backward pass.
        ``subsets=100`` is the published protocol: the mean over so many pairs of random subsets of ``subset_size``
        samples, drawn by ``rng`` without replacement. Unbiased as well, less precise, and cheaper where the sets are
        large. Its standard error holds the draw of the subsets and that of the sets.
    Elsewhere:
        ``torchmetrics``' KernelInceptionDistance on features of InceptionV3 is the subset protocol, and returns the
        standard deviation over the subsets in place of the standard error.
    Use when:
        There are too few samples for ``frechet_distance``: the value does not depend on their count. Differences
        below a few standard errors mean nothing.
    Paper:
        Bińkowski, Sutherland, Arbel and Gretton 2018, "Demystifying MMD GANs", arXiv:1801.01401.

    Raises:
        InputError: no rows, NaN, infinity, different widths, fewer than four samples a side (the standard error
            takes four), numbers whose kernel overflows, a degree or chunk below 1, or subsets without ``rng`` or
            larger than a set.
    """
    real, fake = check_pair(real, fake, least=4)
    require(degree >= 1, f"degree is {degree}: wanted at least 1")
    require(chunk >= 1, f"chunk is {chunk}: wanted at least 1")
    if subsets is None:
        value, spread = _discrepancy(real, fake, degree, chunk)
        return _finite(value, spread.variance(len(real), len(fake)), real.dtype)
    require(subsets >= 2, f"subsets is {subsets}: wanted at least 2, or None for all pairs")
    least = min(len(real), len(fake))
    require(
        4 <= subset_size <= least, f"subset_size is {subset_size}: wanted 4 to {least}, the samples of the smaller set"
    )
    if rng is None:
        raise InputError("subsets are drawn at random: wanted rng, a torch.Generator")
    parts = [
        _discrepancy(_some(real, subset_size, rng), _some(fake, subset_size, rng), degree, chunk)
        for _ in range(subsets)
    ]
    values = torch.stack([value for value, _ in parts])
    spread = _Spread(*torch.stack([torch.stack(spread) for _, spread in parts]).mean(dim=0))
    variance = values.detach().var() / subsets + spread.variance(len(real), len(fake))
    return _finite(values.mean(), variance, real.dtype)


def _finite(value: Tensor, variance: Tensor, dtype: torch.dtype) -> Estimate:
    finite = bool(value.isfinite() & variance.isfinite())
    require(finite, f"real and fake are too large for {dtype} powers of their products: wanted smaller numbers")
    return Estimate(value, variance.sqrt())


class _Spread(NamedTuple):
    """What the variance of the discrepancy is made of.

    With the kernel's features φ, δ = E φ(x) - E φ(y), and C, D the covariances of φ(x) and φ(y):
    """

    real_first: Tensor  # δᵀ·C·δ
    fake_first: Tensor  # δᵀ·D·δ
    real_second: Tensor  # ‖C‖²
    fake_second: Tensor  # ‖D‖²
    cross: Tensor  # ⟨C, D⟩

    def variance(self, n: int, m: int) -> Tensor:
        """Return the variance of the discrepancy of n and m samples (exact, given the terms)."""
        first = 4 * self.real_first / n + 4 * self.fake_first / m
        second = 2 * self.real_second / (n * (n - 1)) + 2 * self.fake_second / (m * (m - 1)) + 4 * self.cross / (n * m)
        return first.clamp(min=0) + second


def _discrepancy(real: Tensor, fake: Tensor, degree: int, chunk: int) -> tuple[Float64[Tensor, ""], _Spread]:
    """Return the unbiased discrepancy, and unbiased estimates of what its variance is made of."""
    n, m = len(real), len(fake)
    dtype = torch.promote_types(real.dtype, product_dtype())

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        x, y = x.to(dtype), y.to(dtype)
        return torch.addmm(x.new_ones(()), x, y.T, alpha=1 / x.shape[1]) ** degree

    within_real, real_squares, _ = sums_within(kernel, real, chunk)
    within_fake, fake_squares, _ = sums_within(kernel, fake, chunk)
    of_real, of_fake, cross_squares = sums_between(kernel, real, fake, chunk)
    value = within_real.sum() / (n * (n - 1)) + within_fake.sum() / (m * (m - 1)) - 2 * of_real.sum() / (n * m)
    with torch.no_grad():
        cross = cross_squares - of_real.square().sum() / m - of_fake.square().sum() / n + of_real.sum() ** 2 / (n * m)
        cross = cross / ((n - 1) * (m - 1))
        real_second = _squared_norm(within_real, real_squares)
        fake_second = _squared_norm(within_fake, fake_squares)
        # The witness at each sample; with n - 2 the noise of the means is independent of the sample, and its share
        # in the variance is known.
        real_witness = (within_real / (n - 2) - of_real / m).var()
        fake_witness = (within_fake / (m - 2) - of_fake / n).var()
        spread = _Spread(
            real_witness - real_second / (n - 2) - cross / m,
            fake_witness - fake_second / (m - 2) - cross / n,
            real_second,
            fake_second,
            cross,
        )
    return value, spread


def _squared_norm(sums: Tensor, squares: Tensor) -> Tensor:
    """Return the unbiased estimate of ‖C‖² from the row sums, and the sum of squares, off the diagonal."""
    n = len(sums)
    total = squares + sums.sum() ** 2 / ((n - 1) * (n - 2)) - 2 * sums.square().sum() / (n - 2)
    return total / (n * (n - 3))


def _some(rows: Tensor, count: int, rng: torch.Generator) -> Tensor:
    # drawn where the generator lives (a CPU stream gives the same subsets on every device)
    return rows[torch.randperm(len(rows), generator=rng, device=rng.device)[:count].to(rows.device)]
