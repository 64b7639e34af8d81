"""Optimal transport in any dimension: exact, or blurred. Both with the final power, in the samples' unit."""

import warnings

import torch
from jaxtyping import Float
from torch import Tensor

from adversarium.errors import InputError, require
from adversarium.losses import sinkhorn
from adversarium.losses._samples import squared_distances
from adversarium.metrics._check import check_pair
from adversarium.metrics.line import between_columns, check_order, check_weights, power_mean, root
from adversarium.metrics.metric import MetricWarning

ITERATIONS = 10_000_000
"""How many steps the network simplex may take. It takes some tens for each sample."""

CERTAINTY = 1e-8
"""A plan whose cost may be above the least one by this share of the largest cost is not called exact."""

AGREEMENT = 0.01
"""Sinkhorn's value is called converged where half of the iterations give it up to this share."""

ROUNDING = 1e-14
"""Sinkhorn's divergences below this share of the largest cost, whose rounding errors they are, count as 0."""


def wasserstein(
    x: Tensor,
    y: Tensor,
    *,
    order: float = 1.0,
    norm: float = 2.0,
    x_weights: Tensor | None = None,
    y_weights: Tensor | None = None,
) -> Float[Tensor, ""]:
    """The Wasserstein distance of two sets of rows, exactly.

    Formula:
        W_p(x, y) = (min over plans P of Σ P_ij·‖x_i - y_j‖^p)^(1/p), p = ``order``
        P not negative, its rows' sums the weights of x, its columns' those of y (1/N and 1/M unless given)
    Convention:
        The ground ``norm`` (the q of ‖·‖_q: 1, 2, inf, ...) and the order are two choices. With the final power 1/p,
        in the unit of the rows. Weights, not negative, are divided by their sum. Float64. Differentiable by x and y
        with the plan held constant (the envelope theorem), with gradient 0 for pairs that coincide; the weights are
        constants. Between independent draws of one distribution it is positive, and falls only as N^(-1/D) in many
        dimensions: compare it with its value for real against real. The plan is found on the CPU by POT's network
        simplex and certified by its dual; without POT, equal sizes without weights are solved by scipy's assignment.
        One column is solved by ``wasserstein_line``. Time grows as N²·log N or faster, memory as N·M (some 50 bytes
        for each pair): sets of up to some 5,000.
    Elsewhere:
        ``ot.emd2`` (POT) returns the cost of a matrix of costs that its caller raised to the power p, without the
        final power. ``scipy.stats.wasserstein_distance_nd`` is this at order 1.
    Use when:
        Toys and features of few dimensions, where the number should be the distance itself.
    Paper:
        Peyré and Cuturi 2018, "Computational Optimal Transport", arXiv:1803.00567.

    Raises:
        InputError: rows that are not ``[N, D]`` and finite, or of different widths; more than ``MOST_PAIRS``
            pairs of more than one column; an order below 1 or infinite; a norm below 1; bad weights; no plan found;
            POT is needed and not installed.
    """
    check_order(order)
    require(norm >= 1, f"norm is {norm}: wanted a number of at least 1, or infinity")
    x, y = (rows.double() for rows in check_pair(x, y, names=("x", "y")))
    own, other = check_weights("x_weights", x_weights, x), check_weights("y_weights", y_weights, y)
    if x.shape[1] == 1:
        return between_columns(x, y, order, own, other).squeeze(0)
    require(
        len(x) * len(y) <= MOST_PAIRS,
        f"x and y have {len(x):,} and {len(y):,} rows: an exact plan of {len(x) * len(y):,} pairs takes about "
        f"{BYTES_OF_A_PAIR * len(x) * len(y) / 1e9:.0f} GB; wanted at most {MOST_PAIRS:,}, or sliced_wasserstein",
    )
    i, j, shares = _plan(_distances(x.detach(), y.detach(), norm), order, own, other)
    return power_mean(torch.linalg.vector_norm(x[i] - y[j], ord=norm, dim=1), shares, order)


MOST_PAIRS = 15_000**2
"""An exact plan is not looked for between more pairs of rows than this."""

BYTES_OF_A_PAIR = 50
"""About what a plan takes, measured."""


def _distances(x: Tensor, y: Tensor, norm: float) -> Tensor:
    return squared_distances(x, y).sqrt() if norm == 2 else torch.cdist(x, y, p=norm)


def _plan(
    gaps: Tensor, order: float, x_weights: Tensor | None, y_weights: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pairs that an optimal plan moves, and what it moves between them."""
    require(bool(gaps.isfinite().all()), "x and y are too far apart for float64: wanted smaller numbers")
    try:
        import ot  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        if x_weights is not None or y_weights is not None or gaps.shape[0] != gaps.shape[1]:
            raise InputError(
                "exact transport of sets of different sizes, or with weights, needs an extra: "
                "pip install 'adversarium[transport]'"
            ) from None
        from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

        cost = _cost(gaps, order)
        i, j = (torch.from_numpy(each).to(cost.device) for each in linear_sum_assignment(cost.cpu().numpy()))
        return i, j, torch.full_like(cost[0], 1 / len(cost))
    own, other = (
        gaps.new_ones(count) / count if weights is None else weights / weights.max() / (weights / weights.max()).sum()
        for count, weights in zip(gaps.shape, (x_weights, y_weights), strict=True)
    )
    # rows without weight only slow the solver down
    rows, columns = own.nonzero().squeeze(1), other.nonzero().squeeze(1)
    own, other, cost = own[rows], other[columns], _cost(gaps[rows][:, columns], order)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it warns of is in the log
        found, log = ot.emd(own.cpu().numpy(), other.cpu().numpy(), cost.cpu().numpy(), ITERATIONS, log=True)
    if log["warning"] is not None:
        raise InputError(
            f"no exact plan for {len(own)} and {len(other)} samples in {ITERATIONS:,} steps of the network simplex "
            f"({log['warning']}): wanted fewer samples; sinkhorn_divergence takes more"
        )
    plan, u, v = (torch.from_numpy(each).to(cost.device) for each in (found, log["u"], log["v"]))
    _certify(plan, cost, own, other, u, v)
    i, j = plan.nonzero(as_tuple=True)
    return rows[i], columns[j], plan[i, j]


def _cost(gaps: Tensor, order: float) -> Tensor:
    """Return the distances' powers, up to a factor: the largest is 1, for the solver's tolerances are absolute."""
    return (gaps / gaps.max().clamp(min=torch.finfo(gaps.dtype).tiny)).pow(order)


def _certify(plan: Tensor, cost: Tensor, own: Tensor, other: Tensor, u: Tensor, v: Tensor) -> None:
    """Warn of a plan that may cost more than the least: any prices, lowered to be feasible, bound that from below."""
    least = own @ u + other @ v + (cost - u[:, None] - v).min().clamp(max=0)
    moved = max(float((plan.sum(1) - own).abs().sum()), float((plan.sum(0) - other).abs().sum()))
    gap = float((plan * cost).sum() - least)
    if not max(abs(gap), moved) <= CERTAINTY:
        warnings.warn(
            MetricWarning(
                f"the plan is not certainly optimal: its cost may be {gap:.1e} of the largest cost above the least, "
                f"and it misplaces {moved:.1e} of the weight"
            ),
            stacklevel=4,
        )


def sinkhorn_divergence(
    x: Tensor, y: Tensor, *, order: float = 2.0, blur: float = 0.05, iterations: int = 100
) -> Float[Tensor, ""]:
    """The debiased Sinkhorn divergence, to the power 1/p: optimal transport, blurred.

    Formula:
        (OT(x, y) - OT(x, x)/2 - OT(y, y)/2)^(1/p)
        OT(x, y) = min over plans P of Σ P·‖x - y‖^p + ε·KL(P ‖ uniform), ε = p·blur^p, p = ``order``
    Convention:
        ``losses.sinkhorn`` in float64, with the final power 1/p: in the unit of the rows, as ``blur`` is. As blur
        falls to 0 it tends to W_p; as it grows, at order 2, to the distance of the means. 0 for equal sets.
        Differentiable by x and y with the plan held constant, with gradient 0 where the value is 0. Half of the
        iterations are run as well, and a warning says where they disagree by more than 1 %. Memory: some six arrays
        ``[N, M]`` of float64.
    Elsewhere:
        ``geomloss.SamplesLoss("sinkhorn", p=order, blur=blur)`` is its power p divided by p, where both converged.
    Use when:
        A GPU should do it, or many thousands of samples are too many for the exact distance. On a CPU that is often
        the faster one.
    Paper:
        Genevay, Peyré and Cuturi 2017, "Learning Generative Models with Sinkhorn Divergences", arXiv:1706.00292;
        debiased as in Feydy et al. 2018, "Interpolating between Optimal Transport and MMD using Sinkhorn
        Divergences", arXiv:1810.08278.

    Raises:
        InputError: bad rows, an order outside [1, 2], a blur that is not positive, fewer than 4 iterations.
    """
    require(iterations >= 4, f"iterations is {iterations}: wanted at least 4, since half of them are run as well")
    x, y = (rows.double() for rows in check_pair(x, y, names=("x", "y")))
    with torch.no_grad():
        both = torch.cat([x, y])
        rounding = ROUNDING * torch.linalg.vector_norm(both.amax(0) - both.amin(0)) ** order

    def after(some: int) -> Tensor:
        value = sinkhorn(order, blur, some)(x, y)
        return root(torch.where(value <= rounding, 0, value), order)

    value = after(iterations)
    with torch.no_grad():
        half = after(iterations // 2)
        unsettled = bool((value - half).abs() > AGREEMENT * torch.maximum(value, half))
    if unsettled:
        warnings.warn(
            MetricWarning(
                f"the Sinkhorn divergence is {float(half):.4g} after {iterations // 2} iterations and "
                f"{float(value):.4g} after {iterations}: it has not converged; raise iterations, or blur ({blur})"
            ),
            stacklevel=2,
        )
    return value
