"""The kinds and their dicts, in one place for ``list`` and ``explain``."""

import inspect
from collections.abc import Mapping
from typing import Any

from adversarium.component import (
    AdversarialWeight,
    MultiPeriodCritic,
    MultiScaleCritic,
    MultiScaleWaveCritic,
    PatchCritic,
    over_scales,
)
from adversarium.conditionals import CONDITIONALS
from adversarium.constraints import CONSTRAINTS
from adversarium.data import DATASETS, instance_noise
from adversarium.diagnostics.detector import Detector
from adversarium.diagnostics.detectors import DETECTORS
from adversarium.features import FEATURES
from adversarium.games import GAMES
from adversarium.losses import CLASS_LOSSES, DISTANCES, LOSSES, MISPRINTS, WRAPPERS
from adversarium.metrics import METRICS, Metric
from adversarium.nets import NETWORKS, Family
from adversarium.nets.minibatch import MINIBATCH_LAYERS
from adversarium.penalties import GENERATOR_PENALTIES, PENALTIES, SAMPLE_PENALTIES, match_features
from adversarium.presets import PRESETS
from adversarium.stabilisers import AUGMENTATIONS, ReplayPool, pack, top_k
from adversarium.types import Preset

KINDS: dict[str, Mapping[str, Any]] = {
    "presets": PRESETS,
    "losses": LOSSES,
    "class-losses": CLASS_LOSSES,
    "distances": DISTANCES,
    "wrappers": {**WRAPPERS, "instance_noise": instance_noise},
    "misprints": MISPRINTS,
    "penalties": PENALTIES,
    "generator-penalties": GENERATOR_PENALTIES,
    "sample-penalties": SAMPLE_PENALTIES,
    "augmentations": AUGMENTATIONS,
    "minibatch-layers": MINIBATCH_LAYERS,
    "stabilisers": {"pack": pack, "top_k": top_k, "ReplayPool": ReplayPool},
    "conditionals": CONDITIONALS,
    "constraints": CONSTRAINTS,
    "games": GAMES,
    "networks": NETWORKS,
    "components": {
        "AdversarialWeight": AdversarialWeight,
        "over_scales": over_scales,
        "match_features": match_features,
        "PatchCritic": PatchCritic,
        "MultiScaleCritic": MultiScaleCritic,
        "MultiPeriodCritic": MultiPeriodCritic,
        "MultiScaleWaveCritic": MultiScaleWaveCritic,
    },
    "datasets": DATASETS,
    "diagnoses": DETECTORS,
    "metrics": METRICS,
    "features": FEATURES,
}

FROM_TEXT = (
    *("losses", "class-losses", "distances", "misprints", "penalties", "generator-penalties", "sample-penalties"),
    *("augmentations", "minibatch-layers", "conditionals", "constraints", "games"),
)
"""Kinds whose members are factories with a default for every argument: ``spec.make`` reads them from text."""


def summary(member: Any) -> str:
    """Return one line on a member."""
    if isinstance(member, Preset | Detector):
        return member.summary
    if isinstance(member, Family):
        return member.use_when
    if isinstance(member, Metric):
        text = summary(member.function)
        return f"{text.partition(':')[0]}: {member.what}." if member.what else text
    return (inspect.getdoc(member) or "").splitlines()[0]
