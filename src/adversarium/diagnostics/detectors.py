"""Every detector by name, and the diagnosis that asks them all."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from adversarium.diagnostics.collapse import mode_collapse, partial_collapse
from adversarium.diagnostics.critic import (
    critic_overfitting,
    critic_saturated,
    critic_too_strong,
    critic_too_weak,
    vanishing_generator_gradient,
)
from adversarium.diagnostics.data_checks import data_constant_channels, data_duplicates, data_range
from adversarium.diagnostics.detector import LIMITS, Detector, Limits
from adversarium.diagnostics.dynamics import divergence, ended_by_numbers, learning_rate_imbalance, oscillation
from adversarium.diagnostics.finding import Circumstances, Finding
from adversarium.diagnostics.history import History
from adversarium.diagnostics.penalised import (
    has_bound,
    has_critic_penalty,
    lipschitz_violated,
    penalty_dominates,
    penalty_idle,
)


def _with_penalty(circumstances: Circumstances) -> str:
    return "" if has_critic_penalty(circumstances) else "the method penalises its critic by nothing"


DETECTORS: dict[str, Detector] = {
    "data_range": Detector(
        summary="data that use a small part of their range, or reach far beyond what networks expect",
        look=data_range,
        data=("encoded_scale", "encoded_largest"),
    ),
    "data_constant_channels": Detector(
        summary="channels or columns that are the same in all samples",
        look=data_constant_channels,
        data=("constant_channels",),
    ),
    "data_duplicates": Detector(
        summary="samples that are copies of each other",
        look=data_duplicates,
        data=("duplicates_share",),
    ),
    "learning_rate_imbalance": Detector(
        summary="one player's weights move many times as fast as the other's",
        look=learning_rate_imbalance,
        reads=(("probe_critic_update", "probe_generator_update", "probe_distance"),),
    ),
    "penalty_dominates": Detector(
        summary="a penalty that keeps the critic from learning",
        look=penalty_dominates,
        reads=(("probe_distance",),),
        applies=_with_penalty,
    ),
    "penalty_idle": Detector(
        summary="a penalty that does nothing",
        look=penalty_idle,
        reads=(("critic_loss",),),
        applies=_with_penalty,
    ),
    "lipschitz_violated": Detector(
        summary="slopes of the critic beyond the bound that the method relies on",
        look=lipschitz_violated,
        reads=(("probe_slope_between", "probe_slope_max"),),
        applies=lambda circumstances: "" if has_bound(circumstances) else "the method bounds no slope",
    ),
    "critic_overfitting": Detector(
        summary="a critic that scores training data above held-out data",
        look=critic_overfitting,
        reads=(("probe_auc_memory", "probe_auc", "probe_auc_held_out"),),
    ),
    "critic_too_strong": Detector(
        summary="a critic that tells all fakes from data, while the samples stay bad",
        look=critic_too_strong,
        reads=(("probe_auc", "probe_distance"),),
    ),
    "critic_too_weak": Detector(
        summary="a critic that cannot tell fakes from data, although they are far apart",
        look=critic_too_weak,
        reads=(("probe_auc", "probe_distance"),),
    ),
    "critic_saturated": Detector(
        summary="a critic's loss without gradient",
        look=critic_saturated,
        reads=(("probe_critic_signal",),),
    ),
    "vanishing_generator_gradient": Detector(
        summary="a generator's loss without gradient",
        look=vanishing_generator_gradient,
        reads=(("probe_generator_signal",), ("generator_gradient_norm",)),
    ),
    "oscillation": Detector(
        summary="players that chase each other in circles",
        look=oscillation,
        reads=(("score_gap",), ("probe_auc",)),
    ),
    "divergence": Detector(
        summary="numbers that run away",
        look=divergence,
        reads=(("critic_loss",), ("probe_far", "probe_distance")),
        settled=ended_by_numbers,
    ),
    "mode_collapse": Detector(
        summary="samples that are all alike",
        look=mode_collapse,
        reads=(("probe_diversity", "probe_distance"),),
    ),
    "partial_collapse": Detector(
        summary="samples that leave out a part of the data",
        look=partial_collapse,
        reads=(("probe_modes",), ("probe_diversity", "probe_coverage", "probe_precision")),
    ),
}
"""Name of a failure to what looks for it; causes come before what they lead to."""

_LEADS_TO = {
    "data_range": ("critic_too_strong", "critic_too_weak", "divergence"),
    "data_duplicates": ("critic_overfitting",),
    "learning_rate_imbalance": ("critic_too_strong", "critic_too_weak", "mode_collapse", "partial_collapse"),
    "penalty_dominates": ("critic_too_weak", "oscillation", "mode_collapse", "partial_collapse"),
    "penalty_idle": ("lipschitz_violated", "divergence"),
    "lipschitz_violated": ("divergence", "critic_too_strong"),
    "critic_overfitting": ("critic_too_strong",),
    "critic_too_strong": ("critic_saturated", "vanishing_generator_gradient", "mode_collapse", "partial_collapse"),
    "critic_saturated": ("vanishing_generator_gradient",),
    "critic_too_weak": ("mode_collapse", "partial_collapse"),
    "oscillation": ("mode_collapse", "partial_collapse"),
}
"""What one failure may explain."""


def diagnose(
    records: Iterable[Mapping[str, Any]] | History, circumstances: Circumstances, limits: Limits = LIMITS
) -> list[Finding]:
    """Return what is wrong with a run: the most severe first, and a cause before what it explains.

    A cause counts as at least as severe as what it explains.

    Args:
        records: lines of ``metrics.jsonl``, as many as there are; numbers may be missing. Or a history of them, which
            a run that is watched keeps: that costs one or two milliseconds however long it is.
        circumstances: what is known besides.
        limits: the thresholds.
    """
    history = records if isinstance(records, History) else History(records)
    found = [detector.detect(history, circumstances, limits) for detector in DETECTORS.values()]
    findings = {each.kind: each for each in found if each is not None}

    def severity(kind: str) -> float:
        symptoms = [each for each in _LEADS_TO.get(kind, ()) if each in findings]
        return max(findings[kind].severity, *map(severity, symptoms), 0.0)

    weighed = [dataclasses.replace(each, severity=severity(kind)) for kind, each in findings.items()]
    return sorted(weighed, key=lambda finding: -finding.severity)  # of equals, in the order of DETECTORS


def unjudged(
    records: Iterable[Mapping[str, Any]] | History, circumstances: Circumstances, limits: Limits = LIMITS
) -> dict[str, str]:
    """Return the failures that could not be looked for, and why."""
    history = records if isinstance(records, History) else History(records)
    reasons = {name: detector.unjudged(history, circumstances, limits) for name, detector in DETECTORS.items()}
    return {name: reason for name, reason in reasons.items() if reason}
