"""Protocols with all that they need: checked, features opened, real rows computed once and kept."""

import math
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from adversarium.errors import InputError, lookup, require
from adversarium.features import FEATURES, Features, Seen, extract, open_features
from adversarium.features.chunks import Samples
from adversarium.metrics.metric import MetricWarning, Sets
from adversarium.metrics.protocols import Protocol, Split, seed_of
from adversarium.metrics.references import CHUNK, Order, Piece, References, plan
from adversarium.metrics.table import without_modes

Draw = Callable[[int, int], Samples]
"""``draw(n, seed)`` returns ``n`` generated samples as they are stored; more of one seed begin with the same ones."""

BLOCK = 4096
"""So many stored samples are in memory at a time."""

_HOLD_OUT = (
    "hold some out of the training (adversarium train --hold-out 0.05), or give data with a test split of their own"
)


class Number(NamedTuple):
    """A metric's number, and the standard error that it estimates itself, where it does."""

    value: float
    own_error: float | None


class Floor(NamedTuple):
    """What the metric says of real samples in place of generated ones: a number per set, and what it warned of."""

    values: tuple[float, ...]
    notes: tuple[str, ...]
    seconds: float


class Measuring:
    """Protocols with all that they need: requirements checked, features opened, real rows computed once and kept.

    Args:
        protocols: what to measure, parsed or by name; each is measured once.
        references: the real samples.
        repeats: how many draws, and at most how many of the floor.
        features: the caller's own, by name.
        weights: files of features that need one, by the features' name.
        device: where features and metrics are computed.

    Raises:
        InputError: an unknown protocol, a split that is missing, too few samples, or features that do not fit the
            data. Nothing has been computed by then but the features of two real samples.
    """

    def __init__(
        self,
        protocols: Sequence[str | Protocol],
        references: References,
        *,
        repeats: int = 5,
        features: Mapping[str, Features] | None = None,
        weights: Mapping[str, Path] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        own, weights = dict(features or {}), dict(weights or {})
        require(bool(protocols), "no protocol is given: wanted at least one")
        require(repeats >= 1, f"repeats is {repeats}: wanted at least 1")
        parsed = [Protocol.parse(each, features=own) if isinstance(each, str) else each for each in protocols]
        self.protocols = list(dict.fromkeys(parsed))
        self.references, self.repeats, self.device = references, repeats, torch.device(device)
        for name in weights:
            lookup("features", name, FEATURES)
            used = any(protocol.features == name for protocol in self.protocols)
            require(used, f"there are weights of {name}, which no protocol looks at: leave them out")
        for protocol in self.protocols:
            _check_samples(protocol, references)
        self._orders: dict[str, Order] = {}
        for split in ("train", "test"):
            if (source := references.source(split)) is not None:
                self._orders[split] = Order(source, split)
        self.features: dict[str, Features] = {}
        self._rows: dict[tuple[str, str], Seen] = {}
        self._floors: dict[Protocol, Floor] = {}
        for name in dict.fromkeys(protocol.features for protocol in self.protocols):
            opened = own[name] if name in own else open_features(name, weights=weights.get(name), device=self.device)
            self.features[name] = opened
            try:
                self._first(name, "train", 2)
            except InputError as error:
                raise InputError(f"{name} features: {error}") from error
        for protocol in self.protocols:
            if protocol.metric.reads == "probabilities" and not self.features[protocol.features].classes:
                raise InputError(
                    f"{protocol.name}: {protocol.value} reads class probabilities, and {protocol.features} features "
                    "give none; take those of a classifier, lenet or inception say"
                )
        self.plans = {
            each: plan(each, references, self._rows[each.features, "train"].rows.shape[1], repeats)
            for each in self.protocols
        }
        for protocol in self.protocols:
            self._check_memory(protocol)

    def _check_memory(self, protocol: Protocol) -> None:
        """Refuse more samples than this machine can hold, where it says how many that is."""
        shape = self.references.train.codec.sample_shape
        width = self._rows[protocol.features, "train"].rows.shape[1]
        real = sum(stop - start for _, start, stop in self.plans[protocol].pieces)
        wanted = 4 * width * (protocol.samples + real) + math.prod(shape) * protocol.samples
        if (memory := memory_bytes()) is not None and wanted > memory:
            raise InputError(
                f"{protocol.name}: {protocol.samples:,} samples and the {real:,} real ones beside them take "
                f"{wanted / 1e9:,.1f} GB, and this machine has {memory / 1e9:,.1f} GB: take fewer"
            )

    @property
    def largest(self) -> int:
        """How many generated samples a draw needs."""
        return max(protocol.samples for protocol in self.protocols)

    def groups(self) -> list[list[Protocol]]:
        """Return the protocols, those together that one call of a measure answers."""
        found: dict[Any, list[Protocol]] = {}
        for each in self.protocols:
            found.setdefault((each.metric.measure, each.samples, each.features, each.split), []).append(each)
        return list(found.values())

    def see(self, samples: Samples) -> dict[str, Seen]:
        """Return what each of the features sees in samples."""
        return {name: self.extract(name, samples) for name in self.features}

    def known(self, features: str, split: Split) -> Seen:
        """Return what has been seen so far in the first real samples of a split (at least two)."""
        return self._first(features, split, 2)

    def samples(self, split: Split, places: npt.NDArray[np.int64]) -> Samples:
        """Return the real samples at places of a split's order, as they are stored."""
        return self._orders[split].at(places)

    def real(self, features: str, pieces: Sequence[Piece]) -> Seen:
        """Return what is seen in pieces of the real samples, one after the other."""
        parts = [part_of(self._first(features, split, stop), start, stop) for split, start, stop in pieces]
        return _joined(parts)

    def floor(self, group: Sequence[Protocol]) -> dict[Protocol, Floor]:
        """Return the floors of protocols that one measure answers, computed once."""
        if group[0] not in self._floors:
            started, said = time.perf_counter(), list[str]()
            values: dict[Protocol, list[float]] = {each: [] for each in group}
            for index, pieces in enumerate(self.plans[group[0]].floors):
                found, notes = self.compute(group, self.real(group[0].features, pieces), index)
                said += notes
                for each in group:
                    values[each].append(found[each].value)
            spent = (time.perf_counter() - started) / len(group)
            self._floors |= {each: Floor(tuple(values[each]), tuple(said), spent) for each in group}
        return {each: self._floors[each] for each in group}

    def compute(self, group: Sequence[Protocol], fake: Seen, draw: int) -> tuple[dict[Protocol, Number], list[str]]:
        """Return the numbers of protocols that one measure answers, and what it warned of, from what is seen."""
        protocol = group[0]
        chosen = self.plans[protocol]
        real = self.real(protocol.features, [chosen.reference])
        held_out = None if chosen.held_out is None else self.real(protocol.features, [chosen.held_out])
        return _noting(lambda: self.compare(group, real, held_out, fake, draw))

    def compare(
        self, group: Sequence[Protocol], real: Seen, held_out: Seen | None, fake: Seen, draw: int
    ) -> dict[Protocol, Number]:
        """Return the numbers of protocols that one measure answers, of any rows."""
        sets = Sets(
            real=real.rows,
            fake=fake.rows,
            rng=torch.Generator().manual_seed(seed_of("metric", draw)),
            held_out=None if held_out is None else held_out.rows,
            real_probabilities=real.probabilities,
            fake_probabilities=fake.probabilities,
            density=self.references.density,
        )
        try:
            result = group[0].metric.measure(sets)
        except InputError as error:
            raise InputError(f"{group[0].name}: {error}") from error
        found = {}
        for each in group:
            own_error = each.metric.standard_error(result)
            found[each] = Number(float(each.metric.value(result)), None if own_error is None else float(own_error))
        return found

    def _first(self, features: str, split: Split, count: int) -> Seen:
        """Return what is seen in the first samples of a split: ``count`` of them, or more where more are known."""
        have = self._rows.get((features, split))
        known = 0 if have is None else len(have.rows)
        if count > known:
            parts = [] if have is None else [have]
            for start in range(known, count, BLOCK):  # of a memory map no more than a block is read at a time
                parts.append(self.extract(features, self._orders[split].take(start, min(start + BLOCK, count))))
            self._rows[features, split] = _joined(parts)
        return self._rows[features, split]

    def extract(self, features: str, samples: Samples) -> Seen:
        """Return what one of the features sees in samples."""
        return extract(self.features[features], samples, batch_size=CHUNK, device=self.device)


def memory_bytes() -> int | None:
    """Return how much memory this machine has, or ``None`` where it does not say."""
    names = getattr(os, "sysconf_names", {})  # there is none on Windows
    if not {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= names.keys():
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _noting(call: Callable[[], dict[Protocol, Number]]) -> tuple[dict[Protocol, Number], list[str]]:
    """Return what a call returns, and what it warns of in a metric's name; other warnings go their way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MetricWarning)
        found = call()
    for each in caught:
        if not issubclass(each.category, MetricWarning):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    return found, [str(each.message) for each in caught if issubclass(each.category, MetricWarning)]


def part_of(seen: Seen, start: int, stop: int) -> Seen:
    """Return what is seen in the samples from ``start`` to before ``stop``."""
    return Seen(seen.rows[start:stop], None if seen.probabilities is None else seen.probabilities[start:stop])


def _joined(parts: Sequence[Seen]) -> Seen:
    if len(parts) == 1:
        return parts[0]  # not copied
    probabilities = [part.probabilities for part in parts if part.probabilities is not None]
    return Seen(torch.cat([part.rows for part in parts]), torch.cat(probabilities) if probabilities else None)


def _check_samples(protocol: Protocol, references: References) -> None:
    """Refuse a protocol that there are no samples for, before any are looked at."""
    name, value, metric = protocol.name, protocol.value, protocol.metric
    size, density = references.size(protocol.split), references.density
    require(protocol.samples >= metric.least, f"{name}: {value} needs at least {metric.least} samples")
    if size == 0:
        raise InputError(f"{name}: there is no test split, all data were trained on; {_HOLD_OUT}")
    if size is not None and size < metric.least:
        raise InputError(
            f"{name}: the {protocol.split} split has {size} samples, and {value} needs at least {metric.least}"
        )
    if metric.reads == "density":
        if density is None:
            raise InputError(
                f"{name}: {value} needs data whose density is known (ring, grid, gaussians8, gaussians25)"
            )
        require(density.modes is not None, f"{name}: {density.name} has no modes to count; {without_modes()}")
        require(protocol.features == "raw", f"{name}: {value} looks at the samples themselves; take raw features")
    if metric.reads == "held_out":
        require(density is None, f"{name}: a density is drawn from anew in each batch, there is nothing to memorise")
        held_out = references.size("test") or 0
        if protocol.split != "train" or held_out == 0:
            raise InputError(
                f"{name}: {value} compares with samples that were trained on (_train) and with others; "
                + (f"there are no others: {_HOLD_OUT}" if held_out == 0 else f"take {name[:-5]}_train")
            )
        least = 2 * metric.least
        require(held_out >= least, f"{name}: {held_out} samples are held out, and {value} needs at least {least}")
