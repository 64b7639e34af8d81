"""Failures that a critic shows: too strong, too weak, saturated, overfitting; and a generator that learns nothing."""

import numpy as np

from adversarium.data.split import SHARE
from adversarium.diagnostics.detector import Limits, Shown, bad, known, median_of_last, shown, smoothed
from adversarium.diagnostics.finding import Circumstances, Finding, Remedy
from adversarium.diagnostics.history import History
from adversarium.diagnostics.remedies import (
    best_first,
    collect,
    critic_steps,
    has_penalty,
    of,
    rates,
    robust,
    rounded,
    rule,
    towards_critic,
    towards_generator,
)


def critic_too_strong(history: History, circumstances: Circumstances, limits: Limits) -> Finding | None:
    """Find a critic that tells all fakes from data while the samples stay bad."""
    found = shown(history, limits, ("probe_auc",), lambda auc: auc >= limits.separated)
    if found is None or not bad(history, limits):
        return None
    distance = median_of_last(history, "probe_distance", limits)
    return Finding(
        kind="critic_too_strong",
        what=(
            f"The critic scores data above fakes in {100 * found.medians['probe_auc']:.1f} % of pairs, and the "
            "samples no longer come closer to the data."
        ),
        since_kimg=found.since_kimg,
        severity=0.6 + 0.4 * min(distance, 1.0),
        evidence=known(
            probe_auc=found.medians["probe_auc"],
            probe_distance=distance,
            score_gap=median_of_last(history, "score_gap", limits),
            window_share=found.share,
        ),
        series=("probe_auc", "probe_distance", "score_gap"),
        cause="The critic learns faster than the generator can follow, so its answer no longer says which way to go.",
        remedies=weaker_critic(circumstances),
    )


def weaker_critic(circumstances: Circumstances) -> list[Remedy]:
    """Return what makes a critic leave the generator something to learn from."""
    put_back = towards_generator(circumstances)
    saturating = circumstances.preset.objective.loss.name == "minimax"
    if saturating:  # the same critic, and a generator whose gradient stays
        put_back = put_back | {"preset": "nsgan"}
    config, scale = circumstances.config, circumstances.config.penalty_scale
    lighter = has_penalty(circumstances.preset) and scale < 1
    critic_rate, generator_rate = rates(circumstances)
    moves = rule(circumstances)
    text = "Put back what gives the critic its lead over the method's own setting."
    if saturating:
        text = "Let the generator maximise log σ(D) in place of minimising log(1 - σ(D)), whose gradient vanishes."
    return collect(
        *best_first(circumstances, of(text, put_back | ({"penalty_scale": 1.0} if lighter else {}))),
        of("Let the critic learn a quarter as fast.", {"critic_learning_rate": rounded(critic_rate / 4)}),
        of("Give the critic one step for each of the generator's.", critic_steps(1))
        if moves.name == "alternating" and moves.critic_evaluations > 1
        else None,
        of("Let the generator learn twice as fast.", {"generator_learning_rate": rounded(2 * generator_rate)}),
        of("Penalise the critic's slope more.", {"penalty_scale": rounded(10 * max(scale, 0.1))})
        if has_penalty(circumstances.preset)
        else None,
        of("Make the networks half as wide.", {"width": max(config.width // 2, 1)}) if config.width else None,
    )


def critic_too_weak(history: History, circumstances: Circumstances, limits: Limits) -> Finding | None:
    """Find a critic that cannot tell fakes from data although they are far apart."""
    # a critic that is far too slow orders data and fakes by chance, now one way and now the other: its loss tells
    # more than its order, but not every loss has a value that can be called nothing
    guessing = shown(history, limits, ("probe_auc",), lambda auc: smoothed(auc, 10) <= limits.undecided)
    found = guessing or shown(history, limits, ("probe_critic_gain",), lambda gain: gain <= limits.little_gain)
    if found is None or not bad(history, limits):
        return None
    distance = median_of_last(history, "probe_distance", limits)
    auc, gain = (median_of_last(history, name, limits) for name in ("probe_auc", "probe_critic_gain"))
    return Finding(
        kind="critic_too_weak",
        what=(
            f"The critic scores data above fakes in only {100 * auc:.0f} % of pairs (50 %: it guesses), although the "
            "two are easy to tell apart."
            if guessing
            else f"The critic's loss is only {100 * gain:.1f} % better than that of one that sees no difference, "
            "although data and fakes are easy to tell apart."
        ),
        since_kimg=found.since_kimg,
        severity=0.5 + 0.5 * min(distance, 1.0),
        evidence=known(
            probe_auc=auc,
            probe_distance=distance,
            probe_critic_gain=gain,
            window_share=found.share,
        ),
        series=("probe_auc", "probe_distance", "probe_critic_gain"),
        cause="The critic learns too slowly for the generator, or is held back, so it tells the generator little.",
        remedies=stronger_critic(circumstances),
    )


def stronger_critic(circumstances: Circumstances) -> list[Remedy]:
    """Return what makes a critic keep up with the generator."""
    put_back = towards_critic(circumstances)
    scale = circumstances.config.penalty_scale
    if has_penalty(circumstances.preset) and scale > 1:
        put_back["penalty_scale"] = 1.0
    critic_rate, generator_rate = rates(circumstances)
    moves = rule(circumstances)
    return collect(
        *best_first(circumstances, of("Put back what holds the critic back from the method's own setting.", put_back)),
        of(
            "Let the generator learn a quarter as fast.",
            {"generator_learning_rate": rounded(generator_rate / 4)},
        ),
        of("Let the critic learn four times as fast.", {"critic_learning_rate": rounded(4 * critic_rate)}),
        of("Give the critic five steps for each of the generator's.", critic_steps(5))
        if moves.name == "alternating" and moves.critic_evaluations < 5
        else None,
        of("Penalise the critic's slope less.", {"penalty_scale": rounded(scale / 10)})
        if has_penalty(circumstances.preset) and scale > 0
        else None,
    )


def critic_saturated(history: History, circumstances: Circumstances, limits: Limits) -> Finding | None:
    """Find a critic whose loss has no gradient left: it is right, and sure of it, everywhere."""
    found = shown(history, limits, ("probe_critic_signal",), lambda signal: signal < limits.no_signal)
    if found is None:
        return None
    signal = found.medians["probe_critic_signal"]
    return Finding(
        kind="critic_saturated",
        what=f"The critic's loss has {100 * signal:.2g} % of its gradient left: it has nothing more to learn.",
        since_kimg=found.since_kimg,
        severity=0.8 - 0.2 * signal / limits.no_signal,
        evidence=known(
            probe_critic_signal=signal,
            probe_critic_gain=median_of_last(history, "probe_critic_gain", limits),
            probe_auc=median_of_last(history, "probe_auc", limits),
            critic_gradient_norm=median_of_last(history, "critic_gradient_norm", limits),
            window_share=found.share,
        ),
        series=("probe_critic_signal", "critic_loss", "critic_gradient_norm"),
        cause="Data and fakes are told apart with certainty, which bounds neither the scores nor the critic's slope.",
        remedies=weaker_critic(circumstances),
    )


def vanishing_generator_gradient(history: History, circumstances: Circumstances, limits: Limits) -> Finding | None:
    """Find a generator whose loss tells it nothing: by the scores, or by its own gradient."""
    found = shown(history, limits, ("probe_generator_signal",), lambda signal: signal < limits.no_signal)
    fallen = _fallen(history, limits)
    seen = found or fallen
    if seen is None:
        return None
    signal = median_of_last(history, "probe_generator_signal", limits)
    norm = median_of_last(history, "generator_gradient_norm", limits)
    what = (
        f"The generator's loss has {100 * signal:.2g} % of the gradient that it has at an undecided critic."
        if found
        else f"The generator's gradient has fallen to {norm:.2g}, below {limits.fallen:g} of what it was."
    )
    return Finding(
        kind="vanishing_generator_gradient",
        what=what,
        since_kimg=seen.since_kimg,
        severity=0.95,
        evidence=known(
            probe_generator_signal=signal,
            generator_gradient_norm=norm,
            probe_auc=median_of_last(history, "probe_auc", limits),
            window_share=seen.share,
        ),
        series=("probe_generator_signal", "generator_gradient_norm", "fake_score"),
        cause=(
            "The loss saturates: a critic that rejects every fake with certainty leaves no slope by their scores."
            if found
            else "The critic is flat at the fakes, or the generator's units are stuck at the ends of their range."
        ),
        remedies=weaker_critic(circumstances),
    )


def _fallen(history: History, limits: Limits) -> Shown | None:
    def fell(norm: np.ndarray) -> np.ndarray:
        return norm < max(limits.fallen * float(np.median(norm[: max(len(norm) // 4, 1)])), 1e-9)

    return shown(history, limits, ("generator_gradient_norm",), fell)


def critic_overfitting(history: History, circumstances: Circumstances, limits: Limits) -> Finding | None:
    """Find a critic that knows the training data by heart: held-out data score lower."""
    found = shown(
        history,
        limits,
        ("probe_auc_memory", "probe_auc", "probe_auc_held_out"),
        lambda memory, auc, held_out: (memory >= limits.memory) & (auc > held_out),
    )
    if found is None:
        return None
    part = median_of_last(history, "probe_overfitting", limits)
    if part < limits.overfitting:
        return None
    memory = found.medians["probe_auc_memory"]
    config = circumstances.config
    return Finding(
        kind="critic_overfitting",
        what=(f"Training data score above data that were held out in {100 * memory:.0f} % of pairs (50 %: none)."),
        since_kimg=found.since_kimg,
        severity=min(0.4 + 1.2 * (memory - 0.5), 1.0),
        evidence=known(
            probe_auc_memory=memory,
            probe_overfitting=part,
            probe_auc=found.medians["probe_auc"],
            probe_auc_held_out=found.medians["probe_auc_held_out"],
            samples=float(circumstances.data.get("samples", np.nan)),
            window_share=found.share,
        ),
        series=("probe_auc_memory", "probe_auc", "probe_auc_held_out"),
        cause="The data are few for this critic and this long a training: it learns the samples, not what they share.",
        remedies=collect(
            of("Train on more of the data, and hold fewer out.", {"hold_out": SHARE})
            if (config.hold_out or 0) > 2 * SHARE
            else None,
            robust(circumstances),
            of("Penalise the critic's slope more.", {"penalty_scale": rounded(10 * max(config.penalty_scale, 0.1))})
            if has_penalty(circumstances.preset)
            else None,
            of("Make the networks narrower.", {"width": max(config.width // 4, 1)}) if config.width else None,
            of(
                "Let the critic learn a quarter as fast.",
                {"critic_learning_rate": rounded(rates(circumstances)[0] / 4)},
            ),
            Remedy(text="Collect more data, or augment them (flips, shifts) before they are stored."),
        ),
    )
