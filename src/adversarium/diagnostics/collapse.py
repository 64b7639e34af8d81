"""Failures that the samples show: fewer kinds of them than of data."""

from adversarium.diagnostics.detector import Limits, Shown, bad, improving, known, median_of_last, shown
from adversarium.diagnostics.finding import Circumstances, Finding, Remedy
from adversarium.diagnostics.history import History, Numbers, Truths
from adversarium.diagnostics.remedies import (
    best_first,
    collect,
    critic_steps,
    of,
    rates,
    rounded,
    rule,
    slower,
    towards_critic,
    towards_generator,
)

_SERIES = ("probe_diversity", "probe_coverage", "probe_modes")


def mode_collapse(history: History, circumstances: Circumstances, limits: Limits) -> Finding | None:
    """Find a generator that makes one thing, or next to it, whatever its code."""
    if not bad(history, limits):
        return None

    def one_mode(modes: Numbers, diversity: Numbers) -> Truths:
        # samples all over the place reach no mode either
        return (modes <= limits.collapsed_modes) & (diversity < limits.partial_diversity)

    found = shown(history, limits, ("probe_diversity",), lambda diversity: diversity < limits.collapsed_diversity)
    found = found or shown(history, limits, ("probe_modes", "probe_diversity"), one_mode)
    if found is None:
        return None
    diversity = median_of_last(history, "probe_diversity", limits)
    return Finding(
        kind="mode_collapse",
        what=f"Samples differ from each other {100 * diversity:.0f} % as much as data do{_reached(history, limits)}.",
        since_kimg=found.since_kimg,
        severity=0.9 + 0.1 * max(1 - diversity, 0.0),
        evidence=_evidence(history, limits, found),
        series=_SERIES,
        cause="The generator follows the critic to the samples that please it most now, and gives up the rest.",
        remedies=_more_variety(circumstances),
    )


def partial_collapse(history: History, circumstances: Circumstances, limits: Limits) -> Finding | None:
    """Find a generator whose samples are good where they are, and leave out a part of the data."""
    if mode_collapse(history, circumstances, limits) is not None:
        return None

    def few_modes(modes: Numbers, high_quality: Numbers) -> Truths:
        # samples that hit no mode, as those of a generator that has learnt nothing, leave none out
        return (modes < limits.partial_modes) & (high_quality >= limits.partial_quality)

    def little_variety(diversity: Numbers, coverage: Numbers, precision: Numbers) -> Truths:
        return (diversity < limits.partial_diversity) & (coverage < limits.partial_modes * precision)

    found = shown(history, limits, ("probe_modes", "probe_high_quality"), few_modes)
    if found is None and bad(history, limits):
        names = ("probe_diversity", "probe_coverage", "probe_precision")
        found = shown(history, limits, names, little_variety)
    if found is None or improving(history, limits):
        return None
    diversity = median_of_last(history, "probe_diversity", limits)
    modes = median_of_last(history, "probe_modes", limits)
    missing = 1 - (modes if modes == modes else diversity)
    return Finding(
        kind="partial_collapse",
        what=(
            f"A part of the data is never made: samples differ {100 * diversity:.0f} % as much as data"
            f"{_reached(history, limits)}."
        ),
        since_kimg=found.since_kimg,
        severity=0.4 + 0.5 * min(max(missing, 0.0), 1.0),
        evidence=_evidence(history, limits, found),
        series=_SERIES,
        cause="The critic judges samples one by one, so nothing is lost by leaving out a kind of them.",
        remedies=_more_variety(circumstances),
    )


def _reached(history: History, limits: Limits) -> str:
    modes = median_of_last(history, "probe_modes", limits)
    return f", and come near {100 * modes:.0f} % of its modes" if modes == modes else ""


def _evidence(history: History, limits: Limits, found: Shown) -> dict[str, float]:
    names = (*_SERIES, "probe_precision", "probe_distance")
    medians = {name: median_of_last(history, name, limits) for name in names}
    return known(**medians, window_share=found.share)


def _more_variety(circumstances: Circumstances) -> list[Remedy]:
    config = circumstances.config
    put_back = towards_generator(circumstances) | towards_critic(circumstances) | slower(circumstances)
    if circumstances.preset.objective.loss.name == "minimax":
        put_back["preset"] = "nsgan"
    norm = config.critic_batch_norm is False and "batch_norm" not in circumstances.preset.critic_without
    if norm and config.network == "dcgan":
        put_back["critic_batch_norm"] = True
    moves = rule(circumstances)
    critic_rate, generator_rate = rates(circumstances)
    return collect(
        *best_first(circumstances, of("Put the method's own setting back.", put_back)),
        of("Let the generator learn a quarter as fast.", {"generator_learning_rate": rounded(generator_rate / 4)}),
        of("Give the critic five steps for each of the generator's.", critic_steps(5))
        if moves.name == "alternating" and moves.critic_evaluations < 5
        else None,
        of("Show both players four times as many samples at once.", {"batch_size": 4 * config.batch_size}),
        of("Let the critic learn twice as fast.", {"critic_learning_rate": rounded(2 * critic_rate)}),
    )
