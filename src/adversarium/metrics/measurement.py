"""Measuring samples by protocols: every number with its standard error, and with its floor."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from adversarium.errors import InputError, require
from adversarium.features import Features
from adversarium.metrics.measuring import Draw, Floor, Measuring, Number, part_of
from adversarium.metrics.protocols import Protocol, seed_of
from adversarium.metrics.references import References

OnProgress = Callable[[int, int, str], None]
"""Called with how many parts are done, how many there are, and what comes next."""

_WIDER = 5
"""A metric's own standard error of a draw is told where it is so many times as wide as that of the mean of draws."""

_VAGUE = 0.25
"""A share whose own standard error is more than that may be anything."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What a protocol measured.

    Attributes:
        protocol: what.
        mean: the mean over the draws.
        standard_error: of that mean, from the spread of the draws; ``None`` of a single draw. The reference is the
            same in every draw: this is the uncertainty that the generated samples bring in, not the real ones.
        draws: each draw's number.
        own_error: the standard error of one draw that the metric itself estimates, where it does; it may count what
            the draws do not show, such as the choice of the real samples.
        floor: the same number of real samples that the reference does not hold; ``None`` where there are too few.
        floor_standard_error: of the floor, likewise; ``None`` where there are samples for a single draw.
        floor_samples: how many real samples each draw of the floor has; 0 where there is none.
        reference_samples: how many real samples were compared with.
        seconds: what the metric took, in all draws; metrics that are computed together share it.
        notes: what was done in another way than the protocol's name says, one sentence each.
    """

    protocol: Protocol
    mean: float
    standard_error: float | None
    draws: tuple[float, ...]
    own_error: float | None
    floor: float | None
    floor_standard_error: float | None
    floor_samples: int
    reference_samples: int
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def told_error(self) -> float | None:
        """The standard error to tell, that of the mean, or the metric's own where that is many times as wide."""
        wider = _own_is_wider(self.own_error, self.standard_error)
        return self.own_error if wider else self.standard_error


def _own_is_wider(own: float | None, of_draws: float | None) -> bool:
    return own is not None and of_draws is not None and own > _WIDER * of_draws


def measure(
    protocols: Sequence[str | Protocol] | Measuring,
    draw: Draw,
    references: References | None = None,
    *,
    repeats: int = 5,
    features: Mapping[str, Features] | None = None,
    weights: Mapping[str, Path] | None = None,
    device: torch.device | str = "cpu",
    on_progress: OnProgress = lambda done, total, what: None,
) -> list[Measurement]:
    """Measure generated samples by protocols.

    Each number is the mean over ``repeats`` draws of as many samples as its protocol names. Protocols share the
    draws, what the features see in them, and what their metrics compute together.

    Args:
        protocols: what to measure, parsed or by name; or a :class:`Measuring`, which has all but the draw.
        draw: returns generated samples.
        references: the real samples.
        repeats: how many draws, and at most how many of the floor.
        features: as for :class:`Measuring`.
        weights: as for :class:`Measuring`.
        device: as for :class:`Measuring`.
        on_progress: told of every part.

    Raises:
        InputError: as :class:`Measuring`; or the samples cannot be measured (NaN, say).
    """
    if isinstance(protocols, Measuring):
        measuring = protocols
    elif references is None:
        raise InputError("references are missing: wanted the real samples to compare with")
    else:
        measuring = Measuring(
            protocols, references, repeats=repeats, features=features, weights=weights, device=device
        )
    groups = measuring.groups()
    numbers: dict[Protocol, list[Number]] = {each: [] for each in measuring.protocols}
    seconds = dict.fromkeys(measuring.protocols, 0.0)
    notes = {each: list(measuring.plans[each].notes) for each in measuring.protocols}
    floors: dict[Protocol, Floor] = {}
    total = len(groups) + measuring.repeats
    for done, group in enumerate(groups):
        on_progress(done, total, f"real samples, {group[0].name}")
        floors |= measuring.floor(group)
    for index in range(measuring.repeats):
        on_progress(len(groups) + index, total, f"draw {index + 1} of {measuring.repeats}")
        samples = draw(measuring.largest, seed_of("codes", index))
        require(len(samples) == measuring.largest, f"draw returned {len(samples)} samples: wanted {measuring.largest}")
        seen = measuring.see(samples)
        for group in groups:
            started = time.perf_counter()
            found, said = measuring.compute(group, part_of(seen[group[0].features], 0, group[0].samples), index)
            spent = (time.perf_counter() - started) / len(group)
            for each in group:
                numbers[each].append(found[each])
                seconds[each] += spent
                notes[each] += said
    on_progress(total, total, "done")
    return [
        _measurement(each, measuring, numbers[each], floors[each], seconds[each], notes[each])
        for each in measuring.protocols
    ]


def _measurement(
    protocol: Protocol,
    measuring: Measuring,
    numbers: Sequence[Number],
    floor: Floor,
    seconds: float,
    notes: Sequence[str],
) -> Measurement:
    chosen, values = measuring.plans[protocol], [each.value for each in numbers]
    errors = [each.own_error for each in numbers if each.own_error is not None]
    standard_error, own_error = _standard_error(values), statistics.fmean(errors) if errors else None
    said = [*notes, *floor.notes]
    if protocol.metric.reads == "held_out" and own_error is not None and own_error > _VAGUE:
        said.append(
            f"{protocol.value} says nothing here, its own standard error is {own_error:.2g}: the samples fall on too "
            "few neighbours"
        )
    elif own_error is not None and _own_is_wider(own_error, standard_error):
        said.append(
            f"{protocol.value} itself puts the standard error of a draw at {own_error:.2g}, "
            "which counts the choice of the real samples"
        )
    if protocol.metric.reads == "density" and not all(map(math.isfinite, values)):
        which = (
            "infinite: no mode has a sample" if any(map(math.isinf, values)) else "unknown: no mode has two samples"
        )
        said.append(f"{protocol.value} is {which} within 3 standard deviations")
    return Measurement(
        protocol=protocol,
        mean=statistics.fmean(values),
        standard_error=standard_error,
        draws=tuple(values),
        own_error=own_error,
        floor=statistics.fmean(floor.values) if floor.values else None,
        floor_standard_error=_standard_error(floor.values),
        floor_samples=chosen.floor_samples,
        reference_samples=chosen.reference[2],
        seconds=seconds + floor.seconds,
        notes=tuple(dict.fromkeys(said)),
    )


def _standard_error(numbers: Sequence[float]) -> float | None:
    if len(numbers) < 2 or not all(map(math.isfinite, numbers)):
        return None
    return statistics.stdev(numbers) / math.sqrt(len(numbers))
