"""The objective evaluated on a batch: each named part's mean, with as few passes through the critic as it takes."""

import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from adversarium.nets.conditional import Conditioned
from adversarium.penalties import (
    FromScores,
    GradientPenalty,
    Method,
    at_fake,
    at_real,
    check_samples,
    on_whole,
    per_sample,
    random_rows,
    refuse_batch_norm,
    rows_of,
    scores_and_slope,
    slope,
    wide,
)
from adversarium.penalties import attached as attach
from adversarium.stabilisers import top_k
from adversarium.types import SLOTS, AnyPenalty, Critic, GeneratorPenalty, Loss, Objective, Penalty, Term, at


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


@dataclass(frozen=True)
class _Slopes:
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
    """
    return _critic_side(
        _evaluate,
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
    evaluate = types.FunctionType(_evaluate.__code__.replace(), _evaluate.__globals__)
    compiled = torch.compile(evaluate, fullgraph=True, **options)

    def limited(loss: Loss, critic: Critic, real: Tensor, fake: Tensor, slopes: _Slopes, *others: Any) -> Evaluated:
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
    slopes, shared, placed = _plan(terms, real, fake, rng, method, attached)
    loss, real_scores, fake_scores, at_shared, at_placed = evaluate(
        objective.loss, critic, real, fake, slopes, joint, condition
    )
    means = {**dict(zip(shared, at_shared, strict=True)), **dict(zip(placed, at_placed, strict=True))}
    parts = {"loss": loss}
    for term in terms:
        mean = means.get(term.name)
        if mean is None:
            rows = _rows(term, real)
            seen = (bound(critic, _first(condition, rows)), real[:rows], fake[:rows], rng)
            if isinstance(term.penalty, FromScores):
                values = term.penalty.from_scores(*seen, real_scores[:rows], fake_scores[:rows])
            else:
                values = (attach(term.penalty) if attached else term.penalty)(*seen)
            mean = values.mean()
        parts[term.name] = mean * weight_of(term, images)
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
) -> dict[str, Tensor]:
    """Return the generator's loss and the terms that are due, as weighted means; their sum is what it minimises.

    The real scores are computed only for a loss that reads them, and with a graph (to the critic's weights) only if
    ``attached``. ``real`` is needed for such a loss and for ``generator_sample_terms``. ``generator`` and ``codes``
    (``fake`` is what it made of them) are needed where the objective has ``generator_terms``. ``shown`` is what the
    critic sees of ``fake``, where that is not the same (augmented, packed). Of the loss's values only those of the
    ``share`` of samples that score highest count, see :func:`~adversarium.stabilisers.top_k`. ``condition`` is what
    the samples are of, where the networks are conditional. ``single`` is the critic of single samples that
    ``generator_terms`` see, where ``critic`` wants packs.
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
    parts = {"loss": (values if share == 1 else top_k(per_sample(values), scores, share)).mean()}
    for term in due(objective.generator_sample_terms, step):
        assert real is not None
        rows = _rows(term, shown)
        penalty = attach(term.penalty)  # the plain one would cut the graph that is wanted here
        one = bound(critic, _first(condition, rows))
        parts[term.name] = penalty(one, real[:rows], shown[:rows], rng).mean() * weight_of(term, images)
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
) -> dict[str, Tensor]:
    """Return the weighted means of the penalties that are due and that look at the generator."""
    parts = {}
    for term in due(terms, step):
        rows = _rows(term, codes)  # codes come in no order: the first rows are a random share
        seen = _first(condition, rows)
        values = term.penalty(bound(generator, seen), bound(critic, seen), codes[:rows], fake[:rows], rng)
        parts[term.name] = values.mean() * weight_of(term, images)
    return parts


def terms_of(objective: Objective) -> list[Term[Any]]:
    """Return all terms of an objective, the critic's first."""
    return [term for slot in SLOTS for term in getattr(objective, slot)]


def terms_that_read(objective: Objective) -> list[str]:
    """Return the names of the critic's terms that look at its scores of samples: not those on weights alone."""
    return [
        term.name
        for term in objective.critic_terms
        if not isinstance(on_whole(term.penalty), FromScores) or on_whole(term.penalty).reads
    ] + [term.name for term in objective.critic_latent_terms]


def modules_of(objective: Objective) -> dict[str, nn.Module]:
    """Return the parts of an objective that have state, by a name to save them under."""
    named: dict[str, object] = {
        "loss.critic": objective.loss.critic,
        "loss.generator": objective.loss.generator,
        **{f"critic.{term.name}": term.penalty for term in objective.critic_terms},
        **{f"critic.{term.name}": term.penalty for term in objective.critic_latent_terms},
        **{f"generator.{term.name}": term.penalty for term in objective.generator_terms},
        **{f"generator.{term.name}": term.penalty for term in objective.generator_sample_terms},
    }
    parts = {name: on_whole(part) for name, part in named.items()}
    return {name: part for name, part in parts.items() if isinstance(part, nn.Module)}


def due(terms: tuple[Term[AnyPenalty], ...], step: int) -> list[Term[AnyPenalty]]:
    """Return the terms that are evaluated at a step."""
    return [term for term in terms if step % term.every == 0]


def weight_of(term: Term[Any], images: int) -> float:
    """Return a term's weight at a step at which it is due."""
    # every k-th step, k times the weight: the mean gradient is that of a penalty at every step
    return at(term.weight, images) * term.every


def _plan(
    terms: list[Term[Penalty]],
    real: Tensor,
    fake: Tensor,
    rng: torch.Generator | None,
    method: Method | None,
    attached: bool,
) -> tuple[_Slopes, list[str], list[str]]:
    """Sort the gradient penalties, and draw the points of those that have their own."""
    shared: dict[str, tuple[GradientPenalty, int]] = {}
    placed: dict[str, tuple[GradientPenalty, Tensor]] = {}
    for term in terms:
        if isinstance(penalty := term.penalty, GradientPenalty):
            if method is not None:
                penalty = replace(penalty, method=method)
            rows = _rows(term, real)
            kind = (penalty.method, penalty.squared)
            kinds = {(each.method, each.squared) for each, _ in shared.values()} or {kind}
            if penalty.points in (at_real, at_fake) and kinds == {kind}:
                shared[term.name] = (penalty, rows)
            else:
                placed[term.name] = (penalty, penalty.points(real[:rows], fake[:rows], rng))
    slopes = _Slopes(
        shared=tuple(shared.values()),
        placed=tuple(placed.values()),
        real_rows=max((rows for penalty, rows in shared.values() if penalty.points is at_real), default=0),
        fake_rows=max((rows for penalty, rows in shared.values() if penalty.points is at_fake), default=0),
        method=next(iter(shared.values()))[0].method if shared else "exact",
        squared=any(penalty.squared for penalty, _ in shared.values()),
        attached=attached,
    )
    return slopes, list(shared), list(placed)


def _evaluate(
    loss: Loss,
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    slopes: _Slopes,
    joint: bool,
    condition: Tensor | None,
) -> Evaluated:
    """Return what takes passes through the critic. It draws nothing and decides by shapes alone: compile takes it."""
    if joint:
        real_scores, fake_scores, slope_real, slope_fake = _joint(critic, real, fake, slopes, condition)
    else:
        real_scores, slope_real = _apart(critic, real, slopes.real_rows, slopes, condition)
        fake_scores, slope_fake = _apart(critic, fake, slopes.fake_rows, slopes, condition)
    at_shared = [
        penalty.value((slope_real if penalty.points is at_real else slope_fake)[:n]).mean()
        for penalty, n in slopes.shared
    ]
    at_placed = [
        penalty.value(
            slope(
                bound(critic, _first(condition, len(points))),
                points,
                penalty.method,
                attached=slopes.attached,
                squared=penalty.squared,
            )
        ).mean()
        for penalty, points in slopes.placed
    ]
    return loss.critic(real_scores, fake_scores).mean(), real_scores, fake_scores, at_shared, at_placed


def _joint(
    critic: Critic, real: Tensor, fake: Tensor, wanted: _Slopes, condition: Tensor | None
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


def _apart(
    critic: Critic, samples: Tensor, n: int, wanted: _Slopes, condition: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return one side's scores, and the slopes at its first rows."""
    whole = bound(critic, condition)
    if n == len(samples):
        scores, slopes = scores_and_slope(whole, samples, wanted.method, **wanted.how)
        return wide(scores), slopes
    if n == 0:
        return wide(whole(samples)), samples.new_empty(0)
    return wide(whole(samples)), slope(bound(critic, _first(condition, n)), samples[:n], wanted.method, **wanted.how)


def bound(network: Callable[..., Tensor], condition: Tensor | None) -> Callable[[Tensor], Tensor]:
    """Return a network of one argument: a conditional one with what its samples are of."""
    return network if condition is None else Conditioned(network, condition)


def _first(condition: Tensor | None, rows: int) -> Tensor | None:
    return None if condition is None else condition[:rows]


def _rows(term: Term[Any], samples: Tensor) -> int:
    return rows_of(term.fraction, len(samples))
