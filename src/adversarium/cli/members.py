"""The kinds and their dicts, in one place for ``list`` and ``explain``."""

import inspect
from collections.abc import Mapping
from typing import Any

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
from adversarium.penalties import GENERATOR_PENALTIES, PENALTIES, SAMPLE_PENALTIES
from adversarium.presets import PRESETS
from adversarium.stabilisers import AUGMENTATIONS
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
    "conditionals": CONDITIONALS,
    "constraints": CONSTRAINTS,
    "games": GAMES,
    "networks": NETWORKS,
    "datasets": DATASETS,
    "diagnoses": DETECTORS,
    "metrics": METRICS,
    "features": FEATURES,
}


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
