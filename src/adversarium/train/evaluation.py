"""Evaluating a run: its generator's samples measured by protocols."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from adversarium.data import Source, conditions_of, open_data, splits
from adversarium.errors import require
from adversarium.features import Features
from adversarium.metrics.cost import estimate_cost
from adversarium.metrics.measurement import Measurement, OnProgress, measure
from adversarium.metrics.measuring import Measuring
from adversarium.metrics.protocols import Protocol, Split
from adversarium.metrics.references import References
from adversarium.train.evaluator import drawing
from adversarium.train.folder import RunFolder
from adversarium.train.sample import TrainedGenerator, load_generator

SAMPLES = 2500
"""Generated samples in a draw of the default protocols."""

_IN_FEATURES = ("fd", "kid", "precision", "recall", "density", "coverage", "diversity")
_OF_MODES = ("modes", "high_quality", "reverse_kl")
_OF_A_CURVE = ("precision", "recall", "coverage")


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """What was measured of a run.

    Attributes:
        run: its folder.
        trained: the generator, and the checkpoint that it is from.
        average: whether it is the averaged generator (EMA), or the one that was trained.
        references: the real samples.
        measuring: the protocols, with the features opened and the real rows computed.
        repeats: how many draws were measured.
        estimated_seconds: how long it was going to take.
        measurements: the numbers, in the protocols' order; empty until they are measured.
        seconds: how long it took.
    """

    run: Path
    trained: TrainedGenerator
    average: bool
    references: References
    measuring: Measuring
    repeats: int
    estimated_seconds: float
    measurements: tuple[Measurement, ...] = ()
    seconds: float = 0.0

    def measured(self, *, on_progress: OnProgress = lambda done, total, what: None) -> "Evaluation":
        """Return the evaluation with its measurements.

        Raises:
            InputError: the generator's samples cannot be measured (NaN, say).
        """
        started = time.perf_counter()
        trained = self.trained
        draw = drawing(trained.module, trained.codec, trained.feed)
        found = measure(self.measuring, draw, on_progress=on_progress)
        return dataclasses.replace(self, measurements=tuple(found), seconds=time.perf_counter() - started)

    def as_dict(self) -> dict[str, Any]:
        """Return what a JSON file holds of it; a number that is not finite is ``None``."""
        return {
            "run": str(self.run),
            "checkpoint": self.trained.checkpoint.name,
            "kimg": self.trained.images / 1000,
            "generator": "average" if self.average else "trained",
            "repeats": self.repeats,
            "device": str(self.trained.device),
            "torch": torch.__version__,
            "estimated_seconds": self.estimated_seconds,
            "seconds": self.seconds,
            "measurements": [
                {
                    "protocol": each.protocol.name,
                    **dataclasses.asdict(each.protocol),
                    "better": each.protocol.metric.better,
                    "mean": _finite(each.mean),
                    "standard_error": each.standard_error,
                    "own_error": None if each.own_error is None else _finite(each.own_error),
                    "draws": [_finite(value) for value in each.draws],
                    "floor": None if each.floor is None else _finite(each.floor),
                    "floor_standard_error": each.floor_standard_error,
                    "floor_samples": each.floor_samples,
                    "reference_samples": each.reference_samples,
                    "seconds": each.seconds,
                    "notes": list(each.notes),
                }
                for each in self.measurements
            ],
            "problems": list(self.trained.problems),
        }


def open_evaluation(
    path: Path,
    protocols: Sequence[str] | None = None,
    *,
    repeats: int = 5,
    average: bool = True,
    checkpoint: Path | None = None,
    source: Source | None = None,
    device: str = "auto",
    features: Mapping[str, Features] | None = None,
    weights: Mapping[str, Path] | None = None,
    on_decode: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Return an evaluation of a run with everything read, checked and timed in part, and nothing measured yet.

    Args:
        path: the run's folder.
        protocols: what to measure (default: :func:`default_protocols`).
        repeats: how many draws of samples.
        average: the averaged generator (EMA), or the one that was trained.
        checkpoint: of this file (default: the newest whole checkpoint).
        source: the data, where they are not what the run's configuration names.
        device: where samples, features and metrics are computed.
        features: the caller's own, by name.
        weights: files of features that need one, by the features' name.
        on_decode: called while image files are decoded, with how many are done and how many there are.

    Raises:
        InputError: no run, no usable checkpoint, other data than the run's, or what
            :class:`~adversarium.metrics.Measuring` refuses.
    """
    folder = RunFolder.open(path)
    trained = load_generator(path, average=average, checkpoint=checkpoint, device=device)
    config = folder.config()
    if source is None:
        source = open_data(config.data, size=config.size, progress=on_decode)
    folder.check_data(source)
    if trained.feed.conditions is not None:  # vectors are in the data alone
        feed = dataclasses.replace(trained.feed, conditions=conditions_of(source))
        trained = dataclasses.replace(trained, feed=feed)
    references = References(*splits(source, config.hold_out or 0.0))
    measuring = Measuring(
        default_protocols(references) if protocols is None else protocols,
        references,
        repeats=repeats,
        features=features,
        weights=weights,
        device=trained.device,
    )
    cost = estimate_cost(measuring, drawing(trained.module, trained.codec, trained.feed))
    return Evaluation(
        run=path,
        trained=trained,
        average=average,
        references=references,
        measuring=measuring,
        repeats=repeats,
        estimated_seconds=cost.once + repeats * cost.draw,
    )


def default_protocols(references: References) -> list[str]:
    """Return the protocols that a run is evaluated by unless it is told others.

    Of a density: its modes, and distances of samples to fresh ones; where it has no modes, what they miss of it. Of
    images 28×28 in one channel: features of a classifier of digits; of other images ``random_conv``; of vectors
    ``raw``. ``SAMPLES`` samples, or as many as were trained on; compared with held-out samples where there are as many
    of those, else with what was trained on.
    Metrics that need more than that are left out.

    Raises:
        InputError: so few samples that no metric can be computed.
    """
    if (density := references.density) is not None:
        values = ("sw2", "energy", *_OF_A_CURVE) if density.modes is None else (*_OF_MODES, "sw2", "energy")
        return [*(_name(value, SAMPLES, "raw", "test") for value in values), _name("w2", 1000, "raw", "test")]
    train, test = references.size("train") or 0, references.size("test") or 0
    samples = min(SAMPLES, train)
    split: Split = "test" if test >= samples else "train"
    shape = references.train.codec.sample_shape
    if len(shape) == 1:
        found = [_name(value, samples, "raw", split) for value in (*_IN_FEATURES, "sw2", "energy")]
        found.append(_name("w2", min(samples, 1000), "raw", split))
        memory = "raw"
    elif shape == (1, 28, 28):
        found = [_name(value, samples, "lenet", split) for value in ("fd", "kid", "is", *_IN_FEATURES[2:])]
        memory = "lenet"
    else:
        found = [_name(value, samples, "random_conv", split) for value in _IN_FEATURES]
        memory = "raw"
    if test >= 2 * Protocol.parse(_name("memorisation", samples, memory, "train")).metric.least:
        found.append(_name("memorisation", samples, memory, "train"))
    found = [name for name in found if Protocol.parse(name).metric.least <= samples]
    require(bool(found), f"the data have {train} samples: too few to measure anything by")
    return found


def _name(value: str, samples: int, features: str, split: Split) -> str:
    return Protocol(value=value, samples=samples, features=features, split=split).name


def written(value: float, error: float | None) -> str:
    """Return a value with two digits of its uncertainty, or four digits of its own."""
    if error is None:
        return f"{value:.4g}"
    if error == 0:
        return f"{value:.4g} ± 0"
    digits = 1 - math.floor(math.log10(error))
    if not -3 <= digits <= 7:
        return f"{value:.4g} ± {error:.2g}"
    return f"{round(value, digits):.{max(digits, 0)}f} ± {round(error, digits):.{max(digits, 0)}f}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
