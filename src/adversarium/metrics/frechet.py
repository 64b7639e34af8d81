"""The Fréchet distance: how far apart the means and covariances of two sets of rows are.

The trace of the matrix square root is a nuclear norm: with covariances S1 = A·Aᵀ and S2 = B·Bᵀ of any such factors,
tr (S1^½ S2 S1^½)^½ is the sum of the singular values of Aᵀ·B. No matrix root is taken, nothing becomes complex, and
the factor of a few rows is those rows.
"""

import warnings
from typing import Any, NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor
from torch.autograd.function import once_differentiable

from adversarium.errors import InputError, require
from adversarium.metrics._check import Rows, check_pair, product_dtype
from adversarium.metrics.metric import MetricWarning

CHUNK = 2048
"""Rows whose float64 copy is in memory at a time."""

FAST_CHUNK = 8192
"""The same of float32 products, whose sums in float64 take a while of their own."""

STRIPS = 8
"""Strips of columns of a covariance: what lies below the diagonal ones is not computed."""

NARROWEST = 64
"""Columns of a strip at least: a product of single columns is slower, and in float32 less precise."""

NEGATIVE = 1e-6
"""A covariance's lowest eigenvalue may be this share of its largest below 0: rounding, in whatever made it."""

COLLINEAR = 1e-5
"""Float32 products do where at least this share of each column's variance is not explained by the columns before."""

CONSTANT = 1e-7
"""A column whose standard deviation is at most this share of its mean is constant: float32 resolves no less."""


class Moments(NamedTuple):
    """How many rows there were, their mean ``[D]`` and their covariance ``[D, D]`` with N - 1, both float64."""

    number: int
    mean: Tensor
    covariance: Tensor


def frechet_distance(real: Tensor, fake: Tensor, *, fast: bool = False) -> Float64[Tensor, ""]:
    """The Fréchet distance: the squared 2-Wasserstein distance of the two Gaussians that have the sets' moments.

    Formula:
        ‖μ - ν‖² + tr(S + T - 2·(S^½ T S^½)^½), with means μ, ν and covariances S, T of ``real`` and ``fake``
    Convention:
        Squared: no root. Covariances are divided by N - 1. In float64 throughout, whatever the dtype of the rows. It
        is biased upwards, by an amount that falls as 1/N and depends on the distribution: compare values of one
        sample count only. With no more samples than columns the covariance has no full rank; the value is still that
        of these moments, but the bias is large (a MetricWarning says so). Constant columns count by their means
        (likewise). ``fast`` takes products in float32 and sums them in float64, for about 8 digits (7 from a few
        thousand rows); where columns are nearly collinear it goes back to float64. Differentiable once in both sets.
        Where a covariance lacks rank the distance has a kink, and the gradient is the shortest of the subgradients:
        finite, and 0 at equal sets.
    Elsewhere:
        ``torchmetrics``' FrechetInceptionDistance and the code of the paper (``numpy.cov``, ``scipy.linalg.sqrtm``)
        are this on features of InceptionV3; torchmetrics returns it in the features' dtype, and both take the
        eigenvalues or the root of the product S·T, which keeps about half of the digits where that is singular.
    Use when:
        The default on images, with 10,000 samples or more, and features that mean something for the data.
    Paper:
        Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
        arXiv:1706.08500.

    Raises:
        InputError: no rows, NaN, infinity, different widths, or fewer than two samples a side.
    """
    real, fake = check_pair(real, fake, least=2)
    _warn_of_few(real.shape[1], {"real": len(real), "fake": len(fake)})
    fast = fast and product_dtype() == torch.float32
    sides = []
    for name, rows in (("real", real), ("fake", fake)):
        if len(rows) > rows.shape[1]:
            found = fast_moments(rows) if fast else moments(rows)
            if fast and _collinear(found.covariance):
                found, fast = moments(rows), False
            sides.append(_side(name, found))
        else:  # few rows: they are a factor of their covariance, exact and cheaper
            mean = rows.double().mean(dim=0)
            factor = (rows - mean).T / (len(rows) - 1) ** 0.5
            _warn_of_constants(name, mean, factor.square().sum(dim=1))
            sides.append(_Side(mean, factor, factor.square().sum()))
    return _distance(*sides, fast=fast)


def gaussian_distance(
    mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor
) -> Float64[Tensor, ""]:
    """The squared 2-Wasserstein distance of two Gaussians.

    Formula:
        ‖μ - ν‖² + tr(S + T - 2·(S^½ T S^½)^½)
    Convention:
        Squared: no root. The second term alone is the squared Bures distance of the covariances. In float64. The
        covariances may be singular; eigenvalues below the rounding error of the largest count as 0. Differentiable
        once, as ``frechet_distance`` is.
    Elsewhere:
        ``ot.gaussian.bures_wasserstein_distance`` (POT) is its root.
    Use when:
        The moments are known, or were gathered elsewhere.
    Paper:
        Dowson and Landau 1982, "The Fréchet distance between multivariate normal distributions" (Journal of
        Multivariate Analysis 12).

    Raises:
        InputError: shapes that do not fit, NaN, infinity, or a covariance that is not symmetric, or not positive
            semi-definite.
    """
    given = {"mean": mean, "covariance": covariance, "other_mean": other_mean, "other_covariance": other_covariance}
    for name, value in given.items():
        wanted = [len(mean)] * (2 if "covariance" in name else 1)
        require(list(value.shape) == wanted, f"{name} has shape {list(value.shape)}: wanted {wanted}")
        require(bool(value.isfinite().all()), f"{name} has NaN or infinity")
    sides = []
    for prefix in ("", "other_"):
        centre, matrix = given[f"{prefix}mean"].double(), given[f"{prefix}covariance"].double()
        skew, largest = (float(each.detach().abs().max()) for each in (matrix - matrix.T, matrix))
        require(
            skew <= 1e-5 * largest,
            f"{prefix}covariance is not symmetric: entries differ from their mirror image by up to {skew:.3g}",
        )
        matrix = (matrix + matrix.T) / 2
        sides.append(_Side(centre, _root(matrix, f"{prefix}covariance"), matrix.trace()))
    return _distance(*sides)


def moments(rows: Rows) -> Moments:
    """Return the moments of rows ``[N, D]``, N at least 2, in float64 chunks. Differentiable."""
    mean = rows.mean(dim=0, dtype=torch.float64)
    return Moments(len(rows), mean, products(rows, mean) / (len(rows) - 1))


def products(rows: Rows, centre: Float64[Tensor, " features"] | None = None) -> Float64[Tensor, "features features"]:
    """Return the sum of (x - c)·(x - c)ᵀ over the rows, in float64, c = 0 without a ``centre``."""
    width = rows.shape[1]
    strip = max(-(-width // STRIPS), NARROWEST)
    total = torch.zeros(width, width, dtype=torch.float64, device=rows.device)
    for piece in rows.split(CHUNK):
        piece = piece.double() if centre is None else piece - centre
        for start in range(0, width, strip):
            total[start : start + strip, start:].addmm_(piece[:, start : start + strip].T, piece[:, start:])
    return total.triu() + total.triu(1).T


def fast_moments(rows: Rows) -> Moments:
    """Return the moments of rows in one pass, from float32 sums of ``FAST_CHUNK`` rows each, added in float64.

    Correlations are off by about 1e-9, variances by about 1e-8 of themselves, at random. Differentiable.
    """
    number, width = rows.shape
    strip = max(-(-width // STRIPS), NARROWEST)
    centre = rows[:FAST_CHUNK].detach().float().mean(dim=0)  # near the mean; what it lacks is taken off at the end
    total = torch.zeros(width, width, dtype=torch.float64, device=rows.device)
    rest = torch.zeros(width, dtype=torch.float64, device=rows.device)
    with torch.autocast(rows.device.type, enabled=False):
        for piece in rows.split(FAST_CHUNK):
            piece = piece.float() - centre
            rest = rest + piece.sum(dim=0) / number
            if piece.device.type == "cpu" and not piece.requires_grad:
                from scipy.linalg.blas import ssyrk  # type: ignore[import-untyped]

                # a symmetric product, in Fortran's order: its lower triangle is our upper one
                total += torch.from_numpy(ssyrk(1.0, piece.numpy().T, lower=1).T)
                continue
            for start in range(0, width, strip):
                total[start : start + strip, start:] += piece[:, start : start + strip].T @ piece[:, start:]
    total = total.triu() + total.triu(1).T
    return Moments(number, centre.double() + rest, (total - number * rest.outer(rest)) / (number - 1))


def moments_distance(real: Moments, fake: Moments) -> Float64[Tensor, ""]:
    """Return the Fréchet distance of two sets' moments, with the errors and warnings of ``frechet_distance``."""
    for name, side in (("real", real), ("fake", fake)):
        require(side.number >= 2, f"{name} has {side.number} samples: wanted at least 2")
    _warn_of_few(len(real.mean), {"real": real.number, "fake": fake.number})
    return _distance(_side("real", real), _side("fake", fake))


class _Side(NamedTuple):
    mean: Tensor
    factor: Tensor  # A of the covariance A·Aᵀ
    trace: Tensor


def _side(name: str, found: Moments) -> _Side:
    _warn_of_constants(name, found.mean, found.covariance.diagonal())
    return _Side(found.mean, _root(found.covariance, f"the covariance of {name}"), found.covariance.trace())


def _root(covariance: Tensor, name: str) -> Tensor:
    factor: Tensor = _Root.apply(covariance, name)  # type: ignore[no-untyped-call]
    return factor


def _distance(one: _Side, other: _Side, *, fast: bool = False) -> Tensor:
    root: Tensor
    gap = (one.mean - other.mean).square().sum()
    overlap = one.factor.T @ other.factor
    if fast and not overlap.requires_grad:
        # half the time of singular values; of the smallest, half of float64's digits
        unit = overlap.abs().max().clamp(min=torch.finfo(overlap.dtype).tiny)  # fourth powers might overflow
        shorter = (overlap if overlap.shape[0] <= overlap.shape[1] else overlap.T) / unit
        root = torch.linalg.eigvalsh(shorter @ shorter.T).clamp(min=0).sqrt().sum() * unit
    else:
        root = _NuclearNorm.apply(overlap)  # type: ignore[no-untyped-call]
    # a square: what is below 0 is rounding
    return (gap + one.trace + other.trace - 2 * root).clamp(min=0)


def _collinear(covariance: Tensor) -> bool:
    """Whether a column is all but a combination of others: what is left of it is not far above float32's noise."""
    factor, failed = torch.linalg.cholesky_ex(covariance.detach())
    left = factor.diagonal().square() >= COLLINEAR * covariance.detach().diagonal()  # not so of NaN: an overflow
    return bool(failed) or not bool(left.all())


class _NuclearNorm(torch.autograd.Function):
    """The sum of the singular values of ``[R, C]``; where some are 0, its shortest subgradient."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> Tensor:
        values: Tensor
        if not ctx.needs_input_grad[0]:
            values = torch.linalg.svdvals(matrix)
            return values.sum()
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        kept = values > _rounding(matrix) * values.max()
        ctx.save_for_backward(left[:, kept] @ right[kept])
        return values.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        direction: Tensor = ctx.saved_tensors[0]
        return gradient * direction


class _Root(torch.autograd.Function):
    """A factor A ``[D, R]`` of a covariance A·Aᵀ, for functions that are the same for all such factors.

    Of such a function's gradient G by A, with T = G·A⁺ and P the projection on the range of A, the gradient by the
    covariance is (T + Tᵀ - P·T) / 2: the symmetric H for which 2·H·A = G. It needs no derivative of a
    factorisation, and so is finite where eigenvalues coincide or are 0.
    """

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, name: str) -> Tensor:
        factor: Tensor
        factor, failed = torch.linalg.cholesky_ex(covariance)
        pivots = factor.diagonal()
        if failed or pivots.min() ** 2 <= _rounding(covariance) * pivots.max() ** 2:  # a rank below D
            values, vectors = torch.linalg.eigh(covariance)
            largest = values[-1].clamp(min=0)
            if values[0] < -NEGATIVE * largest or values[-1] < 0:
                raise InputError(f"{name} has the eigenvalue {float(values[0]):.3g}: wanted none below 0")
            kept = values > _rounding(covariance) * largest
            roots = values[kept].sqrt()
            factor = vectors[:, kept] * roots
            ctx.save_for_backward(factor, (vectors[:, kept] / roots).T)
        else:
            ctx.save_for_backward(factor)
        return factor

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        if len(ctx.saved_tensors) == 1:  # P is the identity, and T symmetric
            (factor,) = ctx.saved_tensors
            slope = torch.linalg.solve_triangular(factor, gradient, upper=False, left=False)
            return (slope + slope.T) / 4, None
        factor, inverse = ctx.saved_tensors
        slope = gradient @ inverse
        return (slope + slope.T - factor @ (inverse @ slope)) / 2, None


def _rounding(matrix: Tensor) -> float:
    return max(matrix.shape) * torch.finfo(matrix.dtype).eps


def _warn_of_few(width: int, counts: dict[str, int]) -> None:
    few = [f"{name} has {count}" for name, count in counts.items() if count <= width]
    if few:
        message = (
            f"{' and '.join(few)} samples in {width} columns: the covariance is rank-deficient (full rank takes more "
            "samples than columns), and the Fréchet distance is biased upwards"
        )
        warnings.warn(MetricWarning(message), stacklevel=3)


def _warn_of_constants(name: str, mean: Tensor, variances: Tensor) -> None:
    constant = int((variances.detach() <= (CONSTANT * mean.detach()).square()).sum())
    if constant:
        message = f"{constant} of {len(mean)} columns of {name} are constant: they count by their means alone"
        warnings.warn(MetricWarning(message), stacklevel=3)
