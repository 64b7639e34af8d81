"""The passes through a critic that a loss and its gradient penalties share: as few as it takes."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adversarium.nets.conditional import Conditioned
from adversarium.penalties import GradientPenalty, Method, at_fake, at_real, scores_and_slope, slope, wide
from adversarium.train.slots import rows_for
from adversarium.types import Critic, Loss, Penalty, Term


@dataclass(frozen=True)
class Slopes:
    """The gradient penalties of a step: what is worked out before any pass through the critic.

    Attributes:
        shared: penalties at the samples that the loss evaluates anyway, and on how many rows of each side.
        placed: penalties at points of their own, and those points.
        real_rows: how many real samples, the first ones, need a shared slope.
        fake_rows: likewise for the fake ones.
        method: how the shared slopes are taken.
        squared: whether they are squared.
        attached: whether the fake samples keep their graph.
    """

    shared: tuple[tuple[GradientPenalty, int], ...]
    placed: tuple[tuple[GradientPenalty, Tensor], ...]
    real_rows: int
    fake_rows: int
    method: Method
    squared: bool
    attached: bool

    @property
    def how(self) -> dict[str, bool]:
        """How the shared slopes are asked for."""
        return {"attached": self.attached, "squared": self.squared}


Evaluated = tuple[Tensor, Tensor, Tensor, list[Tensor], list[Tensor]]
"""The loss, real scores, fake scores, and the means of the shared and of the placed penalties."""


def plan_slopes(
    terms: list[Term[Penalty]],
    real: Tensor,
    fake: Tensor,
    rng: torch.Generator | None,
    method: Method | None,
    attached: bool,
) -> tuple[Slopes, list[str], list[str]]:
    """Sort the gradient penalties, and draw the points of those that have their own."""
    shared: dict[str, tuple[GradientPenalty, int]] = {}
    placed: dict[str, tuple[GradientPenalty, Tensor]] = {}
    for term in terms:
        if isinstance(penalty := term.penalty, GradientPenalty):
            if method is not None:
                penalty = replace(penalty, method=method)
            rows = rows_for(term, real)
            kind = (penalty.method, penalty.squared)
            kinds = {(each.method, each.squared) for each, _ in shared.values()} or {kind}
            if penalty.points in (at_real, at_fake) and kinds == {kind}:
                shared[term.name] = (penalty, rows)
            else:
                placed[term.name] = (penalty, penalty.points(real[:rows], fake[:rows], rng))
    slopes = Slopes(
        shared=tuple(shared.values()),
        placed=tuple(placed.values()),
        real_rows=max((rows for penalty, rows in shared.values() if penalty.points is at_real), default=0),
        fake_rows=max((rows for penalty, rows in shared.values() if penalty.points is at_fake), default=0),
        method=next(iter(shared.values()))[0].method if shared else "exact",
        squared=any(penalty.squared for penalty, _ in shared.values()),
        attached=attached,
    )
    return slopes, list(shared), list(placed)


def evaluate_together(
    loss: Loss,
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    slopes: Slopes,
    joint: bool,
    condition: Tensor | None,
    mean: Callable[[Tensor], Tensor] = torch.mean,
) -> Evaluated:
    """Return what takes passes through the critic. It draws nothing and decides by shapes alone: compile takes it."""
    if joint:
        real_scores, fake_scores, slope_real, slope_fake = _joint(critic, real, fake, slopes, condition)
    else:
        real_scores, slope_real = _apart(critic, real, slopes.real_rows, slopes, condition)
        fake_scores, slope_fake = _apart(critic, fake, slopes.fake_rows, slopes, condition)
    at_shared = [
        mean(penalty.value((slope_real if penalty.points is at_real else slope_fake)[:n]))
        for penalty, n in slopes.shared
    ]
    at_placed = [
        mean(
            penalty.value(
                slope(
                    bound(critic, first(condition, len(points))),
                    points,
                    penalty.method,
                    attached=slopes.attached,
                    squared=penalty.squared,
                )
            )
        )
        for penalty, points in slopes.placed
    ]
    return mean(loss.critic(real_scores, fake_scores)), real_scores, fake_scores, at_shared, at_placed


def _joint(
    critic: Critic, real: Tensor, fake: Tensor, wanted: Slopes, condition: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return both sides' scores, and the slopes at the first rows: one pass for those, one for all others."""
    n_real, n_fake = wanted.real_rows, wanted.fake_rows
    steep, plain = torch.cat([real[:n_real], fake[:n_fake]]), torch.cat([real[n_real:], fake[n_fake:]])
    at_steep = at_plain = critic
    if condition is not None:
        at_steep = bound(critic, torch.cat([condition[:n_real], condition[:n_fake]]))
        at_plain = bound(critic, torch.cat([condition[n_real:], condition[n_fake:]]))
    slopes = real.new_empty(0)
    pieces = []
    if len(steep):
        scores, slopes = scores_and_slope(at_steep, steep, wanted.method, **wanted.how)
        pieces.append(wide(scores))
    if len(plain):
        pieces.append(wide(at_plain(plain)))
    # in the order: sloped real, sloped fake, other real, other fake
    parts = torch.cat(pieces).split([n_real, n_fake, len(real) - n_real, len(fake) - n_fake])
    slope_real, slope_fake = slopes.split([n_real, n_fake])
    return torch.cat([parts[0], parts[2]]), torch.cat([parts[1], parts[3]]), slope_real, slope_fake


def _apart(critic: Critic, samples: Tensor, n: int, wanted: Slopes, condition: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return one side's scores, and the slopes at its first rows."""
    whole = bound(critic, condition)
    if n == len(samples):
        scores, slopes = scores_and_slope(whole, samples, wanted.method, **wanted.how)
        return wide(scores), slopes
    if n == 0:
        return wide(whole(samples)), samples.new_empty(0)
    return wide(whole(samples)), slope(bound(critic, first(condition, n)), samples[:n], wanted.method, **wanted.how)


def bound(network: Callable[..., Tensor], condition: Tensor | None) -> Callable[[Tensor], Tensor]:
    """Return a network of one argument: a conditional one with what its samples are of."""
    return network if condition is None else Conditioned(network, condition)


def first(condition: Tensor | None, rows: int) -> Tensor | None:
    """Return what the first rows are of, where the networks are conditional."""
    return None if condition is None else condition[:rows]
