"""What is kept of one run of a study: its numbers, how it ended, what was wrong with it, and a few samples."""

import base64
import dataclasses
import io
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

COLLAPSES = ("mode_collapse", "partial_collapse")
"""Kinds of findings that say that a run's samples are too much alike."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A measurement on the way.

    Attributes:
        kimg: thousands of real samples shown to the critic so far.
        seconds: of training so far; of those in which runs were trained stacked, its share.
        gradients: gradients of either player's loss taken so far.
        value: the study's protocol; ``None`` where it was not finite.
    """

    kimg: float
    seconds: float
    gradients: int
    value: float | None


@dataclass(frozen=True, kw_only=True)
class Suspicion:
    """A failure that the diagnostics saw in a run, as :class:`~adversarium.diagnostics.Finding` without its remedies.

    Attributes:
        kind: its name.
        what: what is wrong, in one sentence.
        since_kimg: since when, in thousands of images.
        severity: 0 to 1.
        cause: the likely cause, in a sentence.
    """

    kind: str
    what: str
    since_kimg: float
    severity: float
    cause: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """One run of a study: a method and a seed.

    Attributes:
        method: the method's name in the study.
        seed: the run's; runs of other methods with this seed saw the same data in the same order, and where their
            networks are alike began with the same weights.
        value: the study's protocol at the end of the budget; ``None`` where the run failed.
        why: why it failed, in a sentence; empty where it did not.
        untrained: the study's protocol of its generator before it was trained; ``None`` where the run failed.
        floor: the study's protocol of real samples in place of the generator's, where there are enough of them.
        others: further protocols at the end.
        curve: the study's protocol on the way.
        suspicions: what the diagnostics saw, the most severe first.
        steps: of the generator.
        kimg: thousands of real samples shown to the critic.
        gradients: gradients of either player's loss.
        seconds: of training, without measurements and pictures; of those in which runs were trained stacked, the run's
            own share: what all runs took is the sum.
        together: how many runs its worker trained stacked in the end; nothing is to be divided by it.
        attempts: how often the run was begun or gone on with, after its process died.
        options: every option of the run, resolved.
        versions: of Python, torch, adversarium, and the machine.
        samples: a few, at codes that all methods share with this seed: uint8 images ``[n, C, H, W]`` or float32 points
            ``[n, D]``; ``None`` where the run failed before it had any.
        folder: the run's, as far as it is known here.
    """

    method: str
    seed: int
    value: float | None
    why: str = ""
    untrained: float | None = None
    floor: float | None = None
    others: Mapping[str, float | None] = field(default_factory=dict)
    curve: tuple[Point, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()
    steps: int = 0
    kimg: float = 0.0
    gradients: int = 0
    seconds: float = 0.0
    together: int = 1
    attempts: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    samples: npt.NDArray[Any] | None = None
    folder: str = ""

    @property
    def failed(self) -> bool:
        """Whether it has no number (it diverged, say)."""
        return self.value is None

    @property
    def collapsed(self) -> bool:
        """Whether the diagnostics saw its samples collapse."""
        return any(each.kind in COLLAPSES for each in self.suspicions)

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it: all."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        values["curve"] = [dataclasses.asdict(point) for point in self.curve]
        values["suspicions"] = [dataclasses.asdict(each) for each in self.suspicions]
        values["samples"] = None if self.samples is None else _packed(self.samples)
        return values | {name: dict(values[name]) for name in ("others", "options", "versions")}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Record":
        """Return the record of an :meth:`as_dict`."""
        return cls(
            **{
                **values,
                "curve": tuple(Point(**point) for point in values["curve"]),
                "suspicions": tuple(Suspicion(**each) for each in values["suspicions"]),
                "samples": None if values["samples"] is None else _unpacked(values["samples"]),
            }
        )


def finite(value: float | None) -> float | None:
    """Return a number, or ``None`` where it is not finite."""
    return value if value is not None and math.isfinite(value) else None


def _packed(array: npt.NDArray[Any]) -> str:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return base64.b64encode(zlib.compress(stream.getvalue())).decode("ascii")


def _unpacked(text: str) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = np.load(io.BytesIO(zlib.decompress(base64.b64decode(text))), allow_pickle=False)
    return found
