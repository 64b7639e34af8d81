"""What an observer reports: a failure, since when, by what evidence, and what to do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adversarium.config import TrainConfig
from adversarium.types import Preset

Record = Mapping[str, float]
"""A line of ``metrics.jsonl``: measurements of training and, at intervals, of the probe (``probe_...``)."""

FINDING = "finding_"
"""Begins the names of what a record says was found; the values are severities."""


def words(kind: str) -> str:
    """Return a name as it is written in a sentence."""
    return kind.replace("_", " ")


def looked_at(record: Record) -> bool:
    """Return whether the observers looked at the run for this record: what it does not say then was not found."""
    return any(name.startswith((FINDING, "probe_")) for name in record)


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What the observers may know of a run besides its records.

    Attributes:
        config: its resolved options.
        preset: its method.
        ended: why it stopped before its budget was spent, or an empty string.
        data: facts on the data, as ``diagnostics.data_facts`` measures them; empty where they were not looked at.
    """

    config: TrainConfig
    preset: Preset
    ended: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """Something to change.

    Attributes:
        text: what, and why it helps.
        options: the exact options of ``adversarium train``: ``{"critic_learning_rate": 1e-4}``.
    """

    text: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A failure that was seen.

    Attributes:
        kind: its name, a member of ``DETECTORS``.
        what: what is wrong, in one sentence.
        since_kimg: since when, in thousands of images.
        severity: 0 to 1; findings are told in its order.
        evidence: the numbers, by name.
        series: the names of the records' numbers that show it, for a plot.
        cause: the likely cause, in a sentence.
        remedies: what to do, the most promising first.
    """

    kind: str
    what: str
    since_kimg: float
    severity: float
    evidence: Mapping[str, float]
    series: Sequence[str]
    cause: str
    remedies: Sequence[Remedy]
