"""Optimal transport along lines, on average and at most. Both with the final power, in the samples' unit."""

import torch
from jaxtyping import Float
from torch import Tensor

from adversarium.errors import require
from adversarium.losses import sliced_wasserstein as sliced_loss
from adversarium.metrics._check import check_pair
from adversarium.metrics.line import between_columns, check_order, root

PROJECTIONS_AT_ONCE = 32
"""How many projections are sorted at a time: it bounds the memory."""


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


@torch.no_grad()
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
