"""The objective evaluated on a batch: each named part's mean, with as few passes through the critic as it takes."""

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from adversarium.penalties import GradientPenalty, SecondOrder, at_fake, at_real, slope_of
from adversarium.types import Critic, Objective, Penalty, Term, at


@dataclass(frozen=True)
class CriticSide:
    """The critic's side on one batch.

    Attributes:
        parts: ``"loss"`` and each term that was due, as weighted means; their sum is what the critic minimises.
        real_scores: scores of the real samples, float32 at least.
        fake_scores: scores of the fake samples, float32 at least.
    """

    parts: dict[str, Tensor]
    real_scores: Tensor
    fake_scores: Tensor


def critic_side(
    objective: Objective,
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    rng: torch.Generator | None,
    *,
    step: int = 0,
    images: int = 0,
    joint: bool = True,
) -> CriticSide:
    """Evaluate loss and penalties on a batch.

    With ``joint`` the real and the fake samples share one forward pass, which is right for every critic without
    batch statistics. Penalties at the real or the fake samples reuse that pass and one inner gradient.
    """
    due = [term for term in objective.critic_terms if step % term.every == 0]
    slopes_at = {at_real, at_fake} & {_points(term) for term in due}
    real, fake = real.detach(), fake.detach()
    slopes: dict[object, Tensor] = {}
    second_order = SecondOrder()
    with second_order if slopes_at else nullcontext():
        if joint and len(slopes_at) != 1:
            both = torch.cat([real, fake]).requires_grad_(bool(slopes_at))
            scores = _wide(critic(both))
            real_scores, fake_scores = scores.split([len(real), len(fake)])
        else:
            real_scores = _wide(critic(real.requires_grad_(at_real in slopes_at)))
            fake_scores = _wide(critic(fake.requires_grad_(at_fake in slopes_at)))
    if joint and len(slopes_at) == 2:
        slopes[at_real], slopes[at_fake] = slope_of(scores, both, second_order).split([len(real), len(fake)])
    elif slopes_at:
        for points, scored, samples in ((at_real, real_scores, real), (at_fake, fake_scores, fake)):
            if points in slopes_at:
                slopes[points] = slope_of(scored, samples, second_order)

    parts = {"loss": objective.loss.critic(real_scores, fake_scores).mean()}
    for term in due:
        shared = slopes.get(_points(term))
        if shared is not None and isinstance(term.penalty, GradientPenalty):
            values = term.penalty.value(shared)
        else:
            values = term.penalty(critic, real, fake, rng)
        # every k-th step, k times the weight: the mean gradient is that of a penalty at every step
        parts[term.name] = values.mean() * (at(term.weight, images) * term.every)
    return CriticSide(parts, real_scores.detach(), fake_scores.detach())


def generator_side(objective: Objective, critic: Critic, real: Tensor | None, fake: Tensor) -> Tensor:
    """Return the mean of the generator's loss; the real scores are computed only for a loss that reads them."""
    real_scores = None
    if objective.loss.generator_needs_real:
        assert real is not None
        with torch.no_grad():
            real_scores = _wide(critic(real))
    return objective.loss.generator(real_scores, _wide(critic(fake))).mean()


def _wide(scores: Tensor) -> Tensor:
    """Return scores in float32 at least: what follows is a mean over the batch."""
    return scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores


def _points(term: Term[Penalty]) -> object:
    return term.penalty.points if isinstance(term.penalty, GradientPenalty) else None
