"""Optimal transport in any dimension: exact, blurred, along lines. All with the final power, in the samples' unit."""

import warnings

import torch
from jaxtyping import Float
from torch import Tensor

from adversarium.errors import InputError, require
from adversarium.losses import sinkhorn
from adversarium.losses import sliced_wasserstein as sliced_loss
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

PROJECTIONS_AT_ONCE = 32
"""How many projections are sorted at a time: it bounds the memory."""


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
        InputError: rows that are not ``[N, D]`` and finite, or of different widths; an order below 1 or infinite; a
            norm below 1; bad weights; a plan that was not found; POT is needed and not installed.
    """
    check_order(order)
    require(norm >= 1, f"norm is {norm}: wanted a number of at least 1, or infinity")
    x, y = (rows.double() for rows in check_pair(x, y, names=("x", "y")))
    own, other = check_weights("x_weights", x_weights, x), check_weights("y_weights", y_weights, y)
    if x.shape[1] == 1:
        return between_columns(x, y, order, own, other).squeeze(0)
    i, j, shares = _plan(_distances(x.detach(), y.detach(), norm), order, own, other)
    return power_mean(torch.linalg.vector_norm(x[i] - y[j], ord=norm, dim=1), shares, order)


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


def sliced_wasserstein(
    x: Tensor, y: Tensor, *, order: float = 2.0, projections: int = 256, rng: torch.Generator | None = None
) -> Float[Tensor, ""]:
    """The sliced Wasserstein distance: optimal transport along random lines.

    Formula:
        (mean over directions θ of W_p(θᵀx, θᵀy)^p)^(1/p), p = ``order``, θ uniform on the unit sphere
    Convention:
        ``losses.sliced_wasserstein`` in float64, with the final power 1/p: in the unit of the rows. In D dimensions
        a shift by m has the value ‖m‖/√D at order 2. The mean is over ``projections`` directions drawn from ``rng``;
        ``None`` draws the same ones at each call. Differentiable by x and y, with gradient 0 where the sets are
        equal. Memory grows as 32·(N + M) numbers at a time, where no gradient is wanted.
    Elsewhere:
        ``ot.sliced_wasserstein_distance`` (POT) is this, with 50 projections by default.
    Use when:
        Many samples in many dimensions: O(N·log N) for each direction.
    Paper:
        Bonneel, Rabin, Peyré and Pfister 2015, "Sliced and Radon Wasserstein Barycenters of Measures" (Journal of
        Mathematical Imaging and Vision); for generators: Deshpande, Zhang and Schwing 2018, "Generative Modeling
        using the Sliced Wasserstein Distance", arXiv:1803.11188.

    Raises:
        InputError: bad rows, an order below 1 or infinite, no projections.
    """
    check_order(order)
    require(projections >= 1, f"projections is {projections}: wanted at least 1")
    x, y = (rows.double() for rows in check_pair(x, y, names=("x", "y")))
    rng = _generator(rng)
    total = x.new_zeros(())
    for start in range(0, projections, PROJECTIONS_AT_ONCE):
        count = min(PROJECTIONS_AT_ONCE, projections - start)
        total = total + count * sliced_loss(order, count)(x, y, rng)
    return root(total / projections, order)


def max_sliced_wasserstein(
    x: Tensor,
    y: Tensor,
    *,
    order: float = 2.0,
    starts: int = 16,
    steps: int = 100,
    rng: torch.Generator | None = None,
) -> Float[Tensor, ""]:
    """The max-sliced Wasserstein distance: optimal transport along the line on which the sets differ most.

    Formula:
        max over unit vectors θ of W_p(θᵀx, θᵀy), p = ``order``
    Convention:
        A lower bound of the maximum: gradient ascent on the sphere for ``steps`` steps, each of which is taken only
        if it climbs, from the direction between the means and from ``starts`` - 1 others, half of them random, half
        between a random pair of rows. The best direction's distance itself is exact, so the value is at most W_p.
        With the final power 1/p, in the unit of the rows; float64. ``rng=None`` draws the same starts at each call.
        Differentiable by x and y with the direction held constant (the envelope theorem, where one matching of the
        projections is the best; else the gradient is that of one of them).
    Elsewhere:
        ``ot.max_sliced_wasserstein_distance`` (POT) takes the largest of random directions, without ascent.
    Use when:
        The sets differ in few of many directions, which a mean over directions would hide.
    Paper:
        Deshpande et al. 2019, "Max-Sliced Wasserstein Distance and its use for GANs", arXiv:1904.05877.

    Raises:
        InputError: bad rows, an order below 1 or infinite, no starts, a negative number of steps.
    """
    check_order(order)
    require(starts >= 1, f"starts is {starts}: wanted at least 1")
    require(steps >= 0, f"steps is {steps}: wanted a number that is not negative")
    x, y = (rows.double() for rows in check_pair(x, y, names=("x", "y")))
    direction = _ascend(x.detach(), y.detach(), order, _starts(x.detach(), y.detach(), starts, _generator(rng)), steps)
    return between_columns(x @ direction, y @ direction, order).squeeze(0)


def _starts(x: Tensor, y: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Return unit vectors ``[D, count]``."""
    drawn = torch.randn(x.shape[1], count, generator=rng, device=rng.device, dtype=x.dtype).to(x.device)
    # random pairs: in many dimensions a random direction hardly sees the plane that the rows lie in
    i, j = (torch.randint(len(side), (count,), generator=rng, device=rng.device).to(x.device) for side in (x, y))
    directions = torch.where(torch.arange(count, device=x.device) % 2 == 1, (x[i] - y[j]).T, drawn)
    directions[:, 0] = x.mean(0) - y.mean(0)
    directions = torch.where(directions.any(dim=0), directions, drawn)
    return _on_sphere(directions)


def _on_sphere(directions: Tensor) -> Tensor:
    """Return the columns, each divided by its length."""
    found: Tensor = directions / torch.linalg.vector_norm(directions, dim=0)
    return found


def _ascend(x: Tensor, y: Tensor, order: float, directions: Tensor, steps: int) -> Tensor:
    """Return the best direction ``[D, 1]`` that climbing from any of these leads to."""

    def climb(along: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            along = along.detach().requires_grad_()
            values = between_columns(x @ along, y @ along, order)
            (slopes,) = torch.autograd.grad(values.sum(), along)
        slopes = slopes - (slopes * along).sum(0) * along.detach()  # along the sphere
        lengths = torch.linalg.vector_norm(slopes, dim=0)
        return values.detach(), slopes / torch.where(lengths > 0, lengths, 1)

    values, slopes = climb(directions)
    angles = torch.full_like(values, 0.5)
    for _ in range(steps):
        trials = _on_sphere(angles.cos() * directions + angles.sin() * slopes)
        trial_values, trial_slopes = climb(trials)
        better = trial_values > values
        directions, slopes = torch.where(better, trials, directions), torch.where(better, trial_slopes, slopes)
        values = torch.where(better, trial_values, values)
        angles = torch.where(better, (1.5 * angles).clamp(max=1), angles / 2)
    best = int(values.argmax())
    return directions[:, best : best + 1]


def _generator(rng: torch.Generator | None) -> torch.Generator:
    return torch.Generator().manual_seed(0) if rng is None else rng
