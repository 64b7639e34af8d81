"""Losses without a critic: distances between two sets of samples, or of their features, for the generator.

Integral probability metrics (``mmd``, ``energy``) average over all pairs; transport (``sinkhorn``,
``sliced_wasserstein``) matches the sets. Samples are flattened to rows; the result is a number.
"""

from collections.abc import Callable, Sequence
from math import log
from typing import Literal

import torch
from torch import Tensor

from adversarium.errors import InputError, lookup, require
from adversarium.losses._samples import distance, power_of_distances, squared_distances
from adversarium.types import Distance

ALPHAS = (0.2, 0.5, 1.0, 2.0, 5.0)
"""The exponents of the rational quadratic mixture of Bińkowski et al. 2018."""

RESOLUTION = 64
"""Sinkhorn's temperature is at least this many rounding errors of the largest cost: below, they would be the plan."""

# kernels of (d/h)²
RADIAL_KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "gaussian": lambda squared: torch.exp(-squared / 2),
    "laplace": lambda squared: torch.exp(-power_of_distances(squared, 1)),
    "rational_quadratic": lambda squared: torch.stack([(1 + squared / (2 * a)) ** -a for a in ALPHAS]).sum(0),
    "imq": lambda squared: torch.rsqrt(1 + squared),
}


def mmd(
    kernel: Literal["gaussian", "laplace", "rational_quadratic", "imq", "polynomial"] = "gaussian",
    bandwidth: float | Sequence[float] | None = None,
    unbiased: bool = True,
) -> Distance:
    """The squared maximum mean discrepancy: how far apart the means of a kernel's features are.

    Formula:
        E k(x, x') + E k(y, y') - 2·E k(x, y), with d = ‖x - y‖ and bandwidth h
        gaussian: exp(-d²/2h²); laplace: exp(-d/h); imq (inverse multiquadric): (1 + d²/h²)^(-1/2)
        rational_quadratic: Σ (1 + d²/(2α·h²))^(-α) over α in 0.2, 0.5, 1, 2, 5; polynomial: (xᵀy/D + 1)³
    Convention:
        Squared: no root. ``unbiased=True`` leaves the diagonals out (the U-statistic): its mean is the distance of
        the distributions at any batch size, it goes negative, and it needs two samples a side. ``unbiased=False``
        keeps them (the V-statistic): never negative, too large by O(1/N). Several bandwidths: the sum of their
        kernels. ``bandwidth=None`` is the median heuristic: h is the median distance in the pooled batch, held
        constant in the gradient; h then follows the batch, so the estimate is no longer unbiased and values of
        different batches are not on one scale. The polynomial kernel has no bandwidth. Every sample is coupled to
        the whole batch.
    Elsewhere:
        ``polynomial`` on Inception features is the Kernel Inception Distance, before its average over subsets.
        "IMQ" in Wasserstein autoencoders is C/(C + d²), without the root.
    Use when:
        A critic is too much: small data, or features that are good already. Batches should be large (hundreds);
        give a fixed bandwidth, or several from fine to coarse, once the data's scale is known.
    Paper:
        Gretton et al. 2008, "A Kernel Method for the Two-Sample Problem", arXiv:0805.2368 (in the Journal of
        Machine Learning Research, 2012: "A Kernel Two-Sample Test"); as a generator's loss: Li, Swersky and Zemel
        2015, "Generative Moment Matching Networks", arXiv:1502.02761; rational quadratic and polynomial: Bińkowski
        et al. 2018, "Demystifying MMD GANs", arXiv:1801.01401.

    Raises:
        InputError: an unknown kernel, a bandwidth that is not positive, or one for the polynomial kernel.
    """
    lookup("kernel", kernel, RADIAL_KERNELS | {"polynomial": None})
    if kernel == "polynomial":
        require(bandwidth is None, f"bandwidth is {bandwidth}: the polynomial kernel has none")
        return distance(lambda x, y, rng: _discrepancy(*_each_pair(_polynomial, x, y), unbiased))
    widths = None if bandwidth is None else [bandwidth] if isinstance(bandwidth, float | int) else list(bandwidth)
    positive = widths is None or (len(widths) > 0 and all(0 < width < float("inf") for width in widths))
    require(positive, f"bandwidth is {bandwidth}: wanted a positive number, several, or None")
    radial = RADIAL_KERNELS[kernel]

    def between(x: Tensor, y: Tensor, rng: torch.Generator | None) -> Tensor:
        squared = _each_pair(squared_distances, x, y)
        scales = [_median(*squared)] if widths is None else [width**2 for width in widths]
        xx, yy, xy = (torch.stack([radial(gaps / scale) for scale in scales]).sum(0) for gaps in squared)
        return _discrepancy(xx, yy, xy, unbiased)

    return distance(between)


def energy(exponent: float = 1.0, unbiased: bool = True) -> Distance:
    """The energy distance: the MMD whose kernel is minus a distance. It has no bandwidth to choose.

    Formula:
        2·E‖x - y‖^β - E‖x - x'‖^β - E‖y - y'‖^β, 0 < β < 2 (``exponent``)
    Convention:
        Squared: no root. ``unbiased`` as in ``mmd``: without the diagonals, so that it may be negative and needs two
        samples a side. At β = 1 on the line it is 2·∫(F - G)², twice the squared Cramér distance of the
        distribution functions F and G; ``unbiased=False`` satisfies that exactly for the two samples. Coincident
        samples have gradient 0; β < 1 pulls without bound at those that nearly coincide. Every sample is coupled to
        the whole batch.
    Elsewhere:
        ``scipy.stats.energy_distance`` is the root of this at ``unbiased=False``, in one dimension.
    Use when:
        As ``mmd``, where no scale is known: it has no bandwidth, and its pull does not fade with distance.
    Paper:
        Bellemare et al. 2017, "The Cramer Distance as a Solution to Biased Wasserstein Gradients",
        arXiv:1705.10743.

    Raises:
        InputError: an exponent outside (0, 2).
    """
    require(0 < exponent < 2, f"exponent is {exponent}: wanted a number between 0 and 2, both excluded")

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return -power_of_distances(squared_distances(x, y), exponent)

    return distance(lambda x, y, rng: _discrepancy(*_each_pair(kernel, x, y), unbiased))


def sinkhorn(order: float = 2.0, blur: float = 0.05, iterations: int = 100) -> Distance:
    """The debiased Sinkhorn divergence: optimal transport, blurred, at a price that a training step can pay.

    Formula:
        OT(x, y) - OT(x, x)/2 - OT(y, y)/2
        OT(x, y) = min over plans P of Σ P·‖x - y‖^p + ε·KL(P ‖ uniform), ε = p·blur^p, p = ``order``
    Convention:
        No root: as blur falls to 0 the value tends to W_p^p; as it grows, to half the energy distance with β = p
        (``unbiased=False``; at p = 2 the squared distance of the means). ``blur`` is a length, in the samples'
        units. The temperature falls to ε over the first half of the ``iterations``, all in the log domain; with too
        few for a small blur the value of each OT is a lower bound. The gradient is that of the plan held constant
        (the envelope theorem): no graph through the iterations, and no second derivatives. 0 for equal sets. Between
        independent batches of one distribution it is positive: a batch is not the distribution. ε is never so small
        that the largest cost's rounding errors exceed it (at p = 2 in float32, a blur of 1/500 of the extent). Every
        sample is coupled to the whole batch.
    Elsewhere:
        ``order`` times ``geomloss.SamplesLoss("sinkhorn", p=order, blur=blur)``, whose cost is ‖x - y‖^p / p,
        where that has converged (its default takes few steps; ``scaling=0.99`` takes enough).
    Use when:
        The sets should be matched point to point: point clouds, low dimensions, features. Take a blur of 1 to 10 %
        of the data's extent; smaller ones need more iterations.
    Paper:
        Genevay, Peyré and Cuturi 2017, "Learning Generative Models with Sinkhorn Divergences", arXiv:1706.00292;
        debiased as in Feydy et al. 2018, "Interpolating between Optimal Transport and MMD using Sinkhorn
        Divergences", arXiv:1810.08278.

    Raises:
        InputError: an order outside [1, 2], a blur that is not positive, or no iterations.
    """
    require(1 <= order <= 2, f"order is {order}: wanted a number from 1 to 2")
    require(0 < blur < float("inf"), f"blur is {blur}: wanted a positive number")
    require(iterations >= 2, f"iterations is {iterations}: wanted at least 2")
    epsilon = order * blur**order

    def between(x: Tensor, y: Tensor, rng: torch.Generator | None) -> Tensor:
        xx, yy, xy = _each_pair(lambda a, b: power_of_distances(squared_distances(a, b), order), x, y)
        largest = torch.stack([cost.detach().max() for cost in (xx, yy, xy)]).max()
        lowest = (largest * RESOLUTION * torch.finfo(x.dtype).eps).clamp(min=epsilon)
        # geometric from the largest cost to ε in the first half, ε in the second; on the device: nothing waits
        remaining = (1 - torch.arange(iterations, device=x.device, dtype=x.dtype) / (iterations // 2)).clamp(min=0)
        schedule = lowest * torch.clamp(largest / lowest, min=1) ** remaining
        own = [_entropic_transport(cost, schedule, symmetric=True) for cost in (xx, yy)]
        return _entropic_transport(xy, schedule, symmetric=False) - (own[0] + own[1]) / 2

    return distance(between)


def sliced_wasserstein(order: float = 2.0, projections: int = 128) -> Distance:
    """The sliced Wasserstein distance: optimal transport along random lines, where sorting solves it.

    Formula:
        mean over directions θ of W_p(θᵀx, θᵀy)^p = ∫ |F⁻¹(u) - G⁻¹(u)|^p du, p = ``order``
        θ uniform on the unit sphere, F and G the distribution functions of the projected samples
    Convention:
        SW_p^p: the final power 1/p is left out, because its gradient is infinite where the sets are equal. Sets of
        different sizes are matched by their quantile functions, exactly. The directions come from ``rng``, fresh at
        each call; the mean over them is unbiased for the two sets at hand. Between independent batches of one
        distribution it is positive. In D dimensions a shift counts for 1/D of its W_2². Every sample is coupled to
        the whole batch.
    Elsewhere:
        ``ot.sliced_wasserstein_distance`` (POT) is this to the power 1/p.
    Use when:
        A cheap loss for many samples, O(N log N): colour and texture statistics, features, point clouds.
    Paper:
        Bonneel, Rabin, Peyré and Pfister 2015, "Sliced and Radon Wasserstein Barycenters of Measures" (Journal of
        Mathematical Imaging and Vision); as a generator's loss: Deshpande, Zhang and Schwing 2018, "Generative
        Modeling using the Sliced Wasserstein Distance", arXiv:1803.11188.

    Raises:
        InputError: an order below 1, or no projections.
    """
    require(1 <= order < float("inf"), f"order is {order}: wanted at least 1")
    require(projections >= 1, f"projections is {projections}: wanted at least 1")

    def between(x: Tensor, y: Tensor, rng: torch.Generator | None) -> Tensor:
        # drawn where the generator lives (a CPU stream gives the same directions on every device)
        source = rng.device if rng is not None else x.device
        directions = torch.randn(x.shape[1], projections, generator=rng, device=source, dtype=x.dtype).to(x.device)
        directions = directions / torch.linalg.vector_norm(directions, dim=0)
        x, y = ((side @ directions).sort(dim=0).values for side in (x, y))
        if len(x) == len(y):
            return (x - y).abs().pow(order).mean()
        of_x, of_y, widths = (each.to(x.device) for each in _quantile_pieces(len(x), len(y)))
        return (widths.to(x.dtype) @ (x[of_x] - y[of_y]).abs().pow(order)).mean()

    return distance(between)


def _each_pair(kernel: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return kernel(x, x), kernel(y, y), kernel(x, y)


def _polynomial(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _discrepancy(xx: Tensor, yy: Tensor, xy: Tensor, unbiased: bool) -> Tensor:
    """Return the mean of k(x, x') plus that of k(y, y') minus twice that of k(x, y)."""
    if not unbiased:
        return xx.mean() + yy.mean() - 2 * xy.mean()
    if min(xy.shape) < 2:
        raise InputError(
            f"real and fake have {xy.shape[0]} and {xy.shape[1]} samples: the unbiased estimate compares each sample "
            "with the others of its set, and wants at least 2 a side; unbiased=False takes one"
        )
    own = [(kernel.sum() - kernel.diagonal().sum()) / (len(kernel) * (len(kernel) - 1)) for kernel in (xx, yy)]
    return own[0] + own[1] - 2 * xy.mean()


@torch.no_grad()
def _median(xx: Tensor, yy: Tensor, xy: Tensor) -> Tensor:
    """Return the median squared distance of all pairs of the pooled samples (the lower one of two), above 0."""
    own = [gaps[tuple(torch.triu_indices(len(gaps), len(gaps), 1, device=gaps.device))] for gaps in (xx, yy)]
    pooled = torch.cat([*own, xy.flatten()])
    median, mean = pooled.median(), pooled.mean()
    # many coincident samples: the mean distance; all coincident: any width will do
    return torch.where(median > 0, median, torch.where(mean > 0, mean, 1))


def _entropic_transport(cost: Tensor, schedule: Tensor, *, symmetric: bool) -> Tensor:
    """Return the entropic transport cost of uniform weights; ``symmetric`` where a set is moved onto itself."""
    fixed = cost.detach()
    f, g = fixed.new_zeros(cost.shape[0]), fixed.new_zeros(cost.shape[1])
    for epsilon in schedule:
        # both at once: the sides are treated alike, and a set onto itself exactly as it is onto its equal
        best = _best_reply(g, fixed, epsilon)
        f, g = best, best if symmetric else _best_reply(f, fixed.T, epsilon)
    last = schedule[-1]
    value = _dual_value(_best_reply(g, fixed, last), g, cost, last)
    return value if symmetric else (value + _dual_value(f, _best_reply(f, fixed.T, last), cost, last)) / 2


def _best_reply(potential: Tensor, cost: Tensor, epsilon: Tensor) -> Tensor:
    """Return the potential of the rows that is optimal for this one of the columns."""
    return -epsilon * (torch.logsumexp((potential - cost) / epsilon, dim=1) - log(cost.shape[1]))


def _dual_value(f: Tensor, g: Tensor, cost: Tensor, epsilon: Tensor) -> Tensor:
    """Return the dual value: at most the primal one, for any potentials; its gradient by the cost is the plan."""
    plan = torch.exp((f[:, None] + g - cost) / epsilon)
    return f.mean() + g.mean() - epsilon * (plan.mean() - 1)


def _quantile_pieces(n: int, m: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return, for each piece on which both quantile functions are constant, the two indices and the width."""
    edges = torch.cat([torch.arange(n + 1) * m, torch.arange(m + 1) * n]).unique()  # in units of 1/nm: exact
    left, widths = edges[:-1], edges.diff()
    return left // m, left // n, widths.double() / (n * m)
