"""The objective evaluated on a batch: each named part's mean, with as few passes through the critic as it takes."""

import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from adversarium.penalties import FromScores, Method, check_samples, per_sample, random_rows, refuse_batch_norm, wide
from adversarium.penalties import attached as attach
from adversarium.stabilisers import top_k
from adversarium.train.passes import Evaluated, Slopes, bound, evaluate_together, first, plan_slopes
from adversarium.train.slots import due, rows_for, weight_of
from adversarium.types import Critic, GeneratorPenalty, Loss, Objective, Term


@dataclass(frozen=True)
class CriticSide:
    """The critic's side on one batch.

    Attributes:
        parts: ``"loss"`` and each term that was due, as weighted means; their sum is what the critic minimises. A
            lazy term's is its interval times as large as at every step.
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
    attached: bool = False,
    condition: Tensor | None = None,
    mean: Callable[[Tensor], Tensor] = torch.mean,
) -> CriticSide:
    """Evaluate loss and penalties on a batch.

    Penalties at the real or the fake samples reuse the loss's pass and one inner gradient; penalties on scores reuse
    its scores. A term with a ``fraction`` sees a random share of the batch, at least one sample.

    Args:
        objective: the loss and its terms; those with ``critic_latent_terms`` need the generator, see ``Step``.
        critic: samples to scores. It must not depend on a sample's row: fractions reorder the batch.
        real: ``[B, ...]``.
        fake: ``[B, ...]``; no gradient reaches the generator, unless ``attached``.
        rng: for penalties that draw, and for fractions.
        step: the number of this critic step, from 0: lazy terms are due at multiples of their interval.
        images: how many images the critic has been shown, for annealed weights.
        joint: whether real and fake samples may share a forward pass, which is right for every critic without batch
            statistics. Samples with slopes and those without take two passes: spectral normalisation in training
            mode, which moves its estimate at each pass, then sees slightly different weights.
        attached: keep the graph of the fake samples, to differentiate across the players.
        condition: what the i-th real and the i-th fake sample are of, for a conditional critic. A point between them
            is of the same.
        mean: what is made of the values of a batch. The parts have its result's shape.
    """
    return _critic_side(
        evaluate_together,
        None,
        objective,
        critic,
        real,
        fake,
        rng,
        step=step,
        images=images,
        joint=joint,
        attached=attached,
        condition=condition,
        mean=mean,
    )


def compiled_critic_side(**options: Any) -> Callable[..., CriticSide]:
    """Return :func:`critic_side`, same arguments and result, whose passes through the critic are compiled whole.

    Loss and gradient penalties become one graph (``fullgraph=True``), with slopes by ``functional`` whatever the
    penalties' own method; penalties of other kinds are evaluated as ever, and a loss must not draw. The first call
    compiles, which takes a minute or so, and each new combination of critic, objective, shapes and due terms does so
    again, up to 64 of them.

    Args:
        options: further arguments of ``torch.compile`` (``mode``, ``backend``, ``dynamic``).
    """
    # fixed shapes: torch 2.13 cannot compile second derivatives of convolutions for a batch size left open
    options = {"dynamic": False, **options}
    # torch counts graphs by code object, and gives up after 8: each caller gets its own, and a higher limit
    evaluate = types.FunctionType(evaluate_together.__code__.replace(), evaluate_together.__globals__)
    compiled = torch.compile(evaluate, fullgraph=True, **options)

    def limited(loss: Loss, critic: Critic, real: Tensor, fake: Tensor, slopes: Slopes, *others: Any) -> Evaluated:
        if slopes.shared or slopes.placed:  # a compiled slope cannot look
            refuse_batch_norm(critic)
        with torch._dynamo.config.patch(recompile_limit=64):
            found: Evaluated = compiled(loss, critic, real, fake, slopes, *others)
        return found

    return partial(_critic_side, limited, "functional")


def _critic_side(
    evaluate: Callable[..., Evaluated],
    method: Method | None,
    objective: Objective,
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    rng: torch.Generator | None,
    *,
    step: int = 0,
    images: int = 0,
    joint: bool = True,
    attached: bool = False,
    condition: Tensor | None = None,
    mean: Callable[[Tensor], Tensor] = torch.mean,
) -> CriticSide:
    terms = due(objective.critic_terms, step)
    check_samples(real, "real")
    check_samples(fake, "fake")
    real, fake = real.detach(), fake if attached else fake.detach()
    order = None
    if any(term.fraction < 1 for term in terms):
        # the first rows are then a random share, whatever the order of the data
        order = random_rows(len(real), real, fake, rng)
        real, fake = real[order], fake[order]
        condition = None if condition is None else condition[order]
    slopes, shared, placed = plan_slopes(terms, real, fake, rng, method, attached)
    loss, real_scores, fake_scores, at_shared, at_placed = evaluate(
        objective.loss, critic, real, fake, slopes, joint, condition, mean
    )
    means = {**dict(zip(shared, at_shared, strict=True)), **dict(zip(placed, at_placed, strict=True))}
    parts = {"loss": loss}
    for term in terms:
        found = means.get(term.name)
        if found is None:
            rows = rows_for(term, real)
            seen = (bound(critic, first(condition, rows)), real[:rows], fake[:rows], rng)
            if isinstance(term.penalty, FromScores):
                values = term.penalty.from_scores(*seen, real_scores[:rows], fake_scores[:rows])
            else:
                values = (attach(term.penalty) if attached else term.penalty)(*seen)
            found = mean(values)
        parts[term.name] = found * weight_of(term, images)
    if order is not None:
        back = order.argsort()
        real_scores, fake_scores = real_scores[back], fake_scores[back]
    return CriticSide(parts, real_scores.detach(), fake_scores.detach())


def generator_side(
    objective: Objective,
    critic: Critic,
    real: Tensor | None,
    fake: Tensor,
    *,
    generator: Callable[[Tensor], Tensor] | None = None,
    codes: Tensor | None = None,
    rng: torch.Generator | None = None,
    step: int = 0,
    images: int = 0,
    attached: bool = False,
    shown: Tensor | None = None,
    share: float = 1.0,
    condition: Tensor | None = None,
    single: Critic | None = None,
    mean: Callable[[Tensor], Tensor] = torch.mean,
) -> dict[str, Tensor]:
    """Return the generator's loss and the terms that are due, as weighted means; their sum is what it minimises.

    The real scores are computed only for a loss that reads them, and with a graph (to the critic's weights) only if
    ``attached``. ``real`` is needed for such a loss and for ``generator_sample_terms``. ``generator`` and ``codes``
    (``fake`` is what it made of them) are needed where the objective has ``generator_terms``. ``shown`` is what the
    critic sees of ``fake``, where that is not the same (augmented, packed). Of the loss's values only those of the
    ``share`` of samples that score highest count, see :func:`~adversarium.stabilisers.top_k`. ``condition`` is what
    the samples are of, where the networks are conditional. ``single`` is the critic of single samples that
    ``generator_terms`` see, where ``critic`` wants packs. ``mean`` is as in
    :func:`critic_side`.
    """
    shown = fake if shown is None else shown
    whole = bound(critic, condition)
    real_scores = None
    if objective.loss.generator_needs_real:
        assert real is not None
        with torch.set_grad_enabled(attached):
            real_scores = wide(whole(real))
    scores = wide(whole(shown))
    values = objective.loss.generator(real_scores, scores)
    parts = {"loss": mean(values if share == 1 else top_k(per_sample(values), scores, share))}
    for term in due(objective.generator_sample_terms, step):
        assert real is not None
        rows = rows_for(term, shown)
        penalty = attach(term.penalty)  # the plain one would cut the graph that is wanted here
        one = bound(critic, first(condition, rows))
        parts[term.name] = mean(penalty(one, real[:rows], shown[:rows], rng)) * weight_of(term, images)
    if objective.generator_terms:
        assert generator is not None
        assert codes is not None
        parts |= latent_parts(
            objective.generator_terms,
            generator,
            critic if single is None else single,
            codes,
            fake,
            rng,
            step=step,
            images=images,
            condition=condition,
            mean=mean,
        )
    return parts


def latent_parts(
    terms: tuple[Term[GeneratorPenalty], ...],
    generator: Callable[[Tensor], Tensor],
    critic: Critic,
    codes: Tensor,
    fake: Tensor,
    rng: torch.Generator | None,
    *,
    step: int,
    images: int,
    condition: Tensor | None = None,
    mean: Callable[[Tensor], Tensor] = torch.mean,
) -> dict[str, Tensor]:
    """Return the weighted means of the penalties that are due and that look at the generator."""
    parts = {}
    for term in due(terms, step):
        rows = rows_for(term, codes)  # codes come in no order: the first rows are a random share
        seen = first(condition, rows)
        values = term.penalty(bound(generator, seen), bound(critic, seen), codes[:rows], fake[:rows], rng)
        parts[term.name] = mean(values) * weight_of(term, images)
    return parts
