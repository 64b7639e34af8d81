"""Failures that penalties show: a bound that is not kept, and penalties that decide everything, or do nothing."""

from typing import Any

import numpy as np
import torch

from adversarium.diagnostics.detector import Limits, bad, known, median_of_last, shown, smoothed, tail
from adversarium.diagnostics.finding import Circumstances, Finding, Remedy
from adversarium.diagnostics.history import History, Numbers, Truths, since
from adversarium.diagnostics.remedies import best_first, collect, critic_steps, of, robust, rounded, rule
from adversarium.types import Term

_NORMALISED = ("spectral_norm", "gradient_normalisation")
_BOUNDED = ("wgan_gp", "dragan", "max_gradient")  # penalties that ask for slopes of (at most) 1


def has_bound(circumstances: Circumstances) -> bool:
    """Return whether the method asks for slopes of at most 1."""
    preset = circumstances.preset
    penalised = any(term.name in _BOUNDED for term in preset.objective.critic_terms)
    return penalised or any(each.name in _NORMALISED for each in preset.constraints)


def has_critic_penalty(circumstances: Circumstances) -> bool:
    """Return whether the critic has a penalty."""
    return bool(_intervals(circumstances))


def lipschitz_violated(history: History, circumstances: Circumstances, limits: Limits) -> Finding | None:
    """Find a critic whose slopes exceed the bound of 1 that its method relies on."""
    penalised = any(term.name in _BOUNDED for term in circumstances.preset.objective.critic_terms)

    def steep(between: Numbers, highest: Numbers) -> Truths:
        return (between > limits.slope) | (highest > limits.steepest)

    found = shown(history, limits, ("probe_slope_between", "probe_slope_max"), steep)
    if found is None:
        return None
    between, highest = found.medians["probe_slope_between"], found.medians["probe_slope_max"]
    scale = circumstances.config.penalty_scale
    text = (
        "Put the penalty's published weight back." if scale < 1 else "Penalise slopes away from 1 ten times as much."
    )
    return Finding(
        kind="lipschitz_violated",
        what=(
            f"Between data and fakes the critic's slope is {between:.3g} on average and at most {highest:.3g}, where "
            "the method wants no more than 1."
        ),
        since_kimg=found.since_kimg,
        severity=min(0.5 + 0.1 * float(np.log(max(highest, 1.0))), 1.0),
        evidence=known(
            probe_slope_between=between,
            probe_slope_max=highest,
            probe_slope_real=median_of_last(history, "probe_slope_real", limits),
            probe_slope_fake=median_of_last(history, "probe_slope_fake", limits),
            window_share=found.share,
        ),
        series=("probe_slope_between", "probe_slope_max", "critic_wgan_gp"),
        cause="The penalty is too light for these scores, or the critic takes steps that it cannot mend in time.",
        remedies=collect(
            *best_first(
                circumstances,
                of(text, {"penalty_scale": 1.0 if scale < 1 else rounded(10 * scale)}) if penalised else None,
            ),
            of("Give the critic five steps for each of the generator's.", critic_steps(5))
            if rule(circumstances).name == "alternating" and rule(circumstances).critic_evaluations < 5
            else None,
            of("Take the penalty on the whole batch.", {"penalty_fraction": 1.0})
            if circumstances.config.penalty_fraction < 1
            else None,
        ),
    )


def _intervals(circumstances: Circumstances) -> dict[str, int]:
    """Return the names under which the critic's penalties are logged, and at which steps they are taken."""
    objective = circumstances.preset.objective
    terms: list[Term[Any]] = [*objective.critic_terms, *objective.critic_latent_terms]
    return {f"critic_{term.name}": term.every for term in terms}


def _weight_in_loss(history: History, circumstances: Circumstances) -> tuple[Numbers, Numbers, Numbers]:
    """Return when, the sum of the critic's penalties, and how much better than an undecided critic's its loss is."""
    intervals = {
        name: every for name, every in _intervals(circumstances).items() if np.isfinite(history.column(name)).any()
    }
    if not intervals:
        return np.empty(0), np.empty(0), np.empty(0)
    kimg, (loss, *terms) = history.series("critic_loss", *intervals)
    # a lazy penalty's is its interval times as large as at every step
    total = sum(
        (np.abs(term) / every for term, every in zip(terms, intervals.values(), strict=True)), np.zeros_like(loss)
    )
    return kimg, total, undecided_loss(circumstances) - loss


def undecided_loss(circumstances: Circumstances) -> float:
    """Return the loss of a critic that gives all samples the same score, the one that costs least."""
    loss = circumstances.preset.objective.loss
    scores = torch.linspace(-5, 5, 201, dtype=torch.float64)
    if loss.coupling != "none" or loss.score_width is not None:
        scores = torch.zeros((2,) if loss.score_width is None else (2, loss.score_width), dtype=torch.float64)
    with torch.no_grad():
        return float(loss.critic(scores, scores).min())


def penalty_dominates(history: History, circumstances: Circumstances, limits: Limits) -> Finding | None:
    """Find a penalty that keeps the critic from learning what the loss asks for."""
    kimg, total, gain = _weight_in_loss(history, circumstances)
    if len(kimg) < limits.least_records:
        return None
    last = tail(len(kimg), limits)
    weight, gained = float(np.median(total[last])), float(np.median(gain[last]))
    # a gain that comes and goes is none, but where it is large the penalty is not what decides
    if weight <= limits.dominating * gained or weight <= limits.felt * float(np.median(np.abs(gain[last]))):
        return None
    if weight <= limits.overwhelming * abs(gained) and not bad(history, limits):
        return None
    scale = circumstances.config.penalty_scale
    lighter = {"penalty_scale": 1.0 if scale > 1 else rounded(scale / 10)}
    return Finding(
        kind="penalty_dominates",
        what=(
            f"The critic pays {weight:.3g} for its penalties, and has gained {gained:.3g} on its loss over a critic "
            "that sees no difference."
        ),
        since_kimg=float(kimg[since(smoothed(total) > limits.dominating * smoothed(gain), 0.5)]),
        severity=0.7,
        evidence=known(
            penalties=weight,
            gained_on_loss=gained,
            probe_slope_between=median_of_last(history, "probe_slope_between", limits),
            probe_auc=median_of_last(history, "probe_auc", limits),
            probe_distance=median_of_last(history, "probe_distance", limits),
        ),
        series=("critic_loss", *_intervals(circumstances), "probe_slope_between"),
        cause="The penalty's weight is too large for these data: a critic that may not slope has nothing to tell.",
        remedies=collect(
            *best_first(circumstances, of("Penalise less.", lighter) if scale > 0 else None),
            of("Penalise a hundredth as much.", {"penalty_scale": rounded(scale / 100)}) if scale > 0 else None,
        ),
    )


def penalty_idle(history: History, circumstances: Circumstances, limits: Limits) -> Finding | None:
    """Find a penalty whose weight is so small that the critic does as if there were none."""
    kimg, total, gain = _weight_in_loss(history, circumstances)
    if len(kimg) < limits.least_records:
        return None
    last = tail(len(kimg), limits)
    idle = total <= limits.idle * np.abs(gain)
    if idle[last].mean() < limits.persistence:
        return None
    weight, gained = float(np.median(total[last])), float(np.median(np.abs(gain[last])))
    scale = circumstances.config.penalty_scale
    more: Remedy | None = (
        of("Put the penalty's published weight back.", {"penalty_scale": 1.0})
        if scale < 1
        else of("Penalise a hundred times as much.", {"penalty_scale": rounded(100 * scale)})
    )
    harm = bad(history, limits)
    return Finding(
        kind="penalty_idle",
        what=(
            f"The critic's penalties amount to {weight / max(gained, 1e-12):.2g} of what it has gained on its loss: "
            "they do nothing."
        ),
        since_kimg=float(kimg[np.flatnonzero(idle)[0]]),
        severity=0.5 if harm else 0.2,
        evidence=known(
            penalties=weight,
            gained_on_loss=gained,
            penalty_scale=scale,
            probe_slope_max=median_of_last(history, "probe_slope_max", limits),
            probe_distance=median_of_last(history, "probe_distance", limits),
        ),
        series=("critic_loss", *_intervals(circumstances), "probe_slope_max"),
        cause="The weight suits other data or another loss; nothing keeps the critic's slope in bounds now.",
        remedies=collect(more, robust(circumstances)),
    )
