"""Failures that the course of a run shows: players that circle, numbers that run away, one player far ahead."""

import re

import numpy as np

from adversarium.diagnostics.critic import stronger_critic, weaker_critic
from adversarium.diagnostics.detector import Limits, bad, known, median_of_last, shown, smoothed, tail
from adversarium.diagnostics.finding import Circumstances, Finding, Remedy
from adversarium.diagnostics.history import History, Numbers, Truths, since
from adversarium.diagnostics.remedies import best_first, collect, has_penalty, longer, of, rates, rounded, slower

_HEAVIEST = 100  # times its published weight: a penalty beyond that is not what a run lacks
_NO_STEP = 1e-8  # relative to the weights: less than float32 can add
_STOPPED = re.compile(r"\b(nan|inf|infinite|infinity|non-?finite|not finite)\b", re.IGNORECASE)


def oscillation(history: History, circumstances: Circumstances, limits: Limits) -> Finding | None:
    """Find players that chase each other: the critic is fooled, recovers, and is fooled again."""
    if not _unsettled(history, limits):
        return None
    kimg, (gap,) = history.series("score_gap")
    looks, (auc,) = history.series("probe_auc")
    evidence: dict[str, float] = {}
    share, first = 0.0, None
    if len(gap) >= limits.least_records:
        last = tail(len(gap), limits, part=1.5)
        part = gap[last]
        share = float((part < 0).mean())
        mass = float(-part[part < 0].sum() / max(np.abs(part).sum(), 1e-300))
        if limits.reversed_share <= share <= 1 - limits.reversed_share and mass >= limits.reversed_mass:
            evidence = {"reversed_gap_share": share, "reversed_gap_mass_share": mass}
            turned = smoothed((gap < 0).astype(np.float64), 10) >= limits.reversed_share / 2
            first = float(kimg[since(turned, limits.persistence)])
    if len(auc) >= limits.least_looks:
        swings = auc[tail(len(auc), limits, part=1.5)]
        below, above = float((swings < 0.5 - limits.swing).mean()), float((swings > 0.5 + limits.swing).mean())
        if min(below, above) >= limits.swings:
            share = below if first is None else max(share, below)
            evidence["reversed_auc_share"] = below
            if first is None:
                turned = smoothed((auc < 0.5 - limits.swing).astype(np.float64)) >= limits.swings / 2
                first = float(looks[since(turned, limits.persistence)])
    if first is None:
        return None
    return Finding(
        kind="oscillation",
        what=(
            f"The critic's order turns round again and again: in {100 * share:.0f} % of the last measurements fakes "
            "score above data."
        ),
        since_kimg=first,
        severity=0.5 + 0.5 * min(2 * min(share, 1 - share), 1.0),
        evidence=evidence
        | known(
            probe_auc=median_of_last(history, "probe_auc", limits),
            probe_distance=median_of_last(history, "probe_distance", limits),
        ),
        series=("score_gap", "probe_auc", "probe_distance"),
        cause=(
            "The game turns about its equilibrium and does not come closer: steps, or momentum, are too large for it, "
            "or nothing damps it."
        ),
        remedies=_damped(circumstances),
    )


def _unsettled(history: History, limits: Limits) -> bool:
    """Return whether samples are bad, or not known to be good."""
    values = history.series("probe_distance")[1][0]
    if len(values) < limits.least_looks:
        return True
    return float(np.quantile(values[tail(len(values), limits, part=1.5)], 0.75)) > limits.far_off


def _damped(circumstances: Circumstances) -> list[Remedy]:
    critic_rate, generator_rate = rates(circumstances)
    config = circumstances.config
    quarter = {
        "critic_learning_rate": rounded(critic_rate / 4),
        "generator_learning_rate": rounded(generator_rate / 4),
    }
    scale = config.penalty_scale
    damping = {"penalty_scale": rounded(10 * max(scale, 0.1))} if scale < _HEAVIEST else {}
    how = "put the method's own penalty back" if scale < 0.1 else "make the penalty ten times as heavy"
    return collect(
        of(f"Damp the game: {how}.", damping) if has_penalty(circumstances.preset) else None,
        *best_first(circumstances, of("Put the method's own step sizes and momentum back.", slower(circumstances))),
        of(
            "Let both players learn a quarter as fast, four times as long: in the same time they come no closer.",
            quarter | longer(circumstances, 4),
        ),
        of("Take the momentum out, which turns the game faster.", {"beta1": 0.0})
        if (config.beta1 or 0) > 0 and config.optimizer in ("adam", "amsgrad", "sgd")
        else None,
        of(
            "Average the generator over all steps: where the players circle, the mean converges. They go on circling, "
            "and this finding stays: judge the averaged samples (adversarium evaluate).",
            _averaged(config),
        ),
    )


def _averaged(config: object) -> dict[str, str]:
    average, half_life, rampup = (getattr(config, name) for name in ("average", "ema_half_life_kimg", "ema_rampup"))
    return {"average": "uniform"} if average == "ema" and half_life == 10.0 and rampup == 0.05 else {}


def ended_by_numbers(circumstances: Circumstances) -> bool:
    """Return whether a run stopped because a number was no longer finite."""
    return _STOPPED.search(circumstances.ended) is not None


def divergence(history: History, circumstances: Circumstances, limits: Limits) -> Finding | None:
    """Find numbers that run away: a run that ended so, growing scores, or samples that leave the data behind."""
    stopped = ended_by_numbers(circumstances)
    grown, first, name = _grown(history, limits)
    strayed = shown(
        history,
        limits,
        ("probe_far", "probe_distance"),
        lambda far, distance: (far >= limits.strayed) & (distance > 0.5),
    )
    left = strayed is not None and _lost(history, limits)
    if not (stopped or grown >= limits.growth or left):
        return None
    if stopped:
        what = f"The run ended because of its numbers: {circumstances.ended}."
        first = float(history.kimg[-1]) if len(history) and grown < limits.growth else first
    elif grown >= limits.growth:
        what = f"{name} is {grown:.3g} times as large as it was at first."
    else:
        assert strayed is not None
        what = "All samples lie outside the data, and were closer before."
        first = strayed.since_kimg
    evidence = {"growth": grown} if grown else {}
    names = ("critic_loss", "critic_gradient_norm", "generator_gradient_norm", "probe_far", "probe_distance")
    return Finding(
        kind="divergence",
        what=what,
        since_kimg=first,
        severity=1.0,
        evidence=evidence | known(**{each: median_of_last(history, each, limits) for each in names}),
        series=("critic_loss", "critic_gradient_norm", "real_score", "fake_score", "probe_distance"),
        cause="Steps are too large for the slopes they follow, or nothing bounds the scores.",
        remedies=_tamed(circumstances),
    )


def _grown(history: History, limits: Limits) -> tuple[float, float, str]:
    """Return by how much the size of loss, scores or a gradient grew to the end, since when, and which of them."""
    best = (0.0, float(history.kimg[0]) if len(history) else 0.0, "")
    for name in ("critic_loss", "score_gap", "critic_gradient_norm", "generator_gradient_norm"):
        kimg, (values,) = history.series(name)
        if len(values) < limits.least_records:
            continue
        size = np.abs(values)
        # scores begin near 0, so what they grow from is at least 1
        early = max(min(float(np.median(size[:3])), float(np.median(size[: len(size) // 3]))), 1.0)
        now = float(np.median(size[tail(len(size), limits)]))
        if now / early > best[0]:
            over = size > limits.growth / 10 * early
            best = (now / early, float(kimg[since(over, limits.persistence)]), name)
    return best


def _lost(history: History, limits: Limits) -> bool:
    """Return whether the samples were much closer to the data once."""
    values = history.series("probe_distance")[1][0]
    return bool(float(values.min()) < 0.5 * median_of_last(history, "probe_distance", limits))


def _tamed(circumstances: Circumstances) -> list[Remedy]:
    critic_rate, generator_rate = rates(circumstances)
    config = circumstances.config
    steps = of("Put the method's own step sizes and momentum back.", slower(circumstances))
    lost = has_penalty(circumstances.preset) and not 0.1 <= config.penalty_scale <= 100
    # a penalty that is missing explains more than steps that are large: with it they may do
    penalty = of("Put the method's own penalty back, which bounds the scores.", {"penalty_scale": 1.0} if lost else {})
    tenth = {
        "critic_learning_rate": rounded(critic_rate / 10),
        "generator_learning_rate": rounded(generator_rate / 10),
    }
    return collect(
        *best_first(circumstances, penalty or steps),
        steps,
        of("Let both players learn a tenth as fast.", tenth),
        of("Scale gradients down where they are large.", {"clip_gradient_norm": 1.0})
        if config.clip_gradient_norm is None
        else None,
    )


def learning_rate_imbalance(history: History, circumstances: Circumstances, limits: Limits) -> Finding | None:
    """Find one player whose weights move many times as fast as the other's, while the samples are bad."""
    if not bad(history, limits):
        return None

    def off(critic: Numbers, generator: Numbers) -> Truths:
        moving = (critic > _NO_STEP) & (generator > _NO_STEP)  # a player without gradient fails in another way
        # single steps differ by more than players do
        ratio = np.exp(smoothed(np.log(np.maximum(critic, _NO_STEP) / np.maximum(generator, _NO_STEP))))
        return moving & ((ratio > limits.imbalance) | (ratio < 1 / limits.imbalance))

    found = shown(history, limits, ("probe_critic_update", "probe_generator_update"), off)
    if found is None:
        return None
    critic, generator = found.medians["probe_critic_update"], found.medians["probe_generator_update"]
    ratio = critic / generator
    faster = "critic" if ratio > 1 else "generator"
    critic_rate, generator_rate = rates(circumstances)
    return Finding(
        kind="learning_rate_imbalance",
        what=(
            f"In a step the {faster}'s weights move {max(ratio, 1 / ratio):.3g} times as far, relative "
            "to their size, as the other player's."
        ),
        since_kimg=found.since_kimg,
        severity=min(0.4 + 0.1 * abs(float(np.log(ratio))), 0.9),
        evidence=known(
            probe_critic_update=critic,
            probe_generator_update=generator,
            critic_learning_rate=critic_rate,
            generator_learning_rate=generator_rate,
            probe_distance=median_of_last(history, "probe_distance", limits),
            window_share=found.share,
        ),
        series=("probe_critic_update", "probe_generator_update"),
        cause="The learning rates, or the steps that each player takes, do not suit each other.",
        remedies=weaker_critic(circumstances) if faster == "critic" else stronger_critic(circumstances),
    )
