"""The kinds and their dicts, in one place for ``list`` and ``explain``."""

import inspect
from collections.abc import Mapping
from typing import Any

from adversarium.constraints import CONSTRAINTS
from adversarium.data import DATASETS, instance_noise
from adversarium.games import GAMES
from adversarium.losses import CLASS_LOSSES, DISTANCES, LOSSES, MISPRINTS, WRAPPERS
from adversarium.nets import NETWORKS, Family
from adversarium.penalties import GENERATOR_PENALTIES, PENALTIES
from adversarium.presets import PRESETS
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
    "constraints": CONSTRAINTS,
    "games": GAMES,
    "networks": NETWORKS,
    "datasets": DATASETS,
}


def summary(member: Any) -> str:
    """Return one line on a member."""
    if isinstance(member, Preset):
        return member.summary
    if isinstance(member, Family):
        return member.use_when
    return (inspect.getdoc(member) or "").splitlines()[0]
