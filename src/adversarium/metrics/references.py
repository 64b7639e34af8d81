"""The real samples that protocols compare with, in an order that a protocol fixes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adversarium.data import ArraySource, Density, Source
from adversarium.features.chunks import Samples
from adversarium.metrics.protocols import Protocol, Split, seed_of

CHUNK = 256
"""Fresh samples of a density are drawn this many at a time, each time with a seed of its own."""

SEARCHED_BYTES = 1 << 29
"""The rows of training samples in which ``memorisation`` searches take at most this much memory."""

Piece = tuple[Split, int, int]
"""Real samples of a split, from one place of its order to before another."""


@dataclass(frozen=True, eq=False)
class References:
    """The real samples.

    Attributes:
        train: what was trained on; where the data come from a density, that density.
        test: samples of the same kind that were not trained on, where there are any; of a density, the density.
    """

    train: Source
    test: Source | None

    @property
    def density(self) -> Density | None:
        """The distribution that the data come from, where it is known."""
        return None if isinstance(self.train, ArraySource) else self.train

    def source(self, split: Split) -> Source | None:
        """Return a split."""
        return self.train if split == "train" else self.test

    def size(self, split: Split) -> int | None:
        """Return how many samples a split has: 0 where it is missing, ``None`` where it is endless."""
        source = self.source(split)
        if source is None:
            return 0
        return len(source) if isinstance(source, ArraySource) else None


class Order:
    """The samples of a split, in the order of the seed ``seed_of("real", split)``.

    Stored samples are shuffled; from a density they are drawn, each chunk with the seed ``seed_of("real", split, i)``.
    """

    def __init__(self, source: Source, split: Split) -> None:
        self._source, self._split = source, split
        if isinstance(source, ArraySource):
            self._places = np.random.default_rng(seed_of("real", split)).permutation(len(source))

    def take(self, start: int, stop: int) -> Samples:
        """Return the samples from ``start`` to before ``stop``."""
        if isinstance(self._source, ArraySource):
            return self._source.take(self._places[start:stop])
        return self._fresh(start, stop)

    def at(self, places: npt.NDArray[np.int64]) -> Samples:
        """Return the samples at these places."""
        if isinstance(self._source, ArraySource):
            return self._source.take(self._places[places])
        return self._fresh(0, int(places.max()) + 1)[torch.from_numpy(places)]

    def _fresh(self, start: int, stop: int) -> Tensor:
        assert not isinstance(self._source, ArraySource)
        first = start // CHUNK
        chunks = [
            self._source.sample(CHUNK, torch.Generator().manual_seed(seed_of("real", self._split, number)))
            for number in range(first, -(-stop // CHUNK))
        ]
        return torch.cat(chunks)[start - first * CHUNK : stop - first * CHUNK]


@dataclass(frozen=True)
class Plan:
    """Which real samples a protocol uses.

    Attributes:
        reference: what generated samples are compared with: the first of the split, as many as the protocol has
            samples, or all. ``memorisation`` searches all that were trained on, as far as ``SEARCHED_BYTES`` go.
        held_out: what else they are compared with, for metrics that read it: the first half of the test split.
        floors: sets of samples that are in neither, to measure in place of generated ones. Disjoint sets of the
            protocol's size where there are enough samples, at most ``repeats`` of them; one smaller set where there
            are fewer; none where there are fewer than the metric needs. Samples of the same split come first.
        notes: what is done in another way than the protocol's name says.
    """

    reference: Piece
    held_out: Piece | None
    floors: tuple[tuple[Piece, ...], ...]
    notes: tuple[str, ...]

    @property
    def pieces(self) -> list[Piece]:
        """All that is used."""
        held_out = [] if self.held_out is None else [self.held_out]
        return [self.reference, *held_out, *(piece for pieces in self.floors for piece in pieces)]

    @property
    def floor_samples(self) -> int:
        """How many samples each set of the floor has; 0 where there is none."""
        return sum(stop - start for _, start, stop in self.floors[0]) if self.floors else 0


def plan(protocol: Protocol, references: References, width: int, repeats: int) -> Plan:
    """Return which real samples a protocol uses, whose features have ``width`` columns."""
    split, notes = protocol.split, []
    size = references.size(split)
    wanted = protocol.samples
    if protocol.metric.reads == "held_out":
        wanted = max(wanted, SEARCHED_BYTES // (4 * width))
    count = wanted if size is None else min(wanted, size)
    if count < protocol.samples:
        notes.append(f"compared with {count:,} real samples: the {split} split has no more")
    if protocol.metric.reads == "held_out":
        if size is not None and count < size:
            notes.append(f"searched {count:,} of the {size:,} samples that were trained on, for want of memory")
        held = references.size("test")
        assert held is not None
        half = min(held // 2, protocol.samples)
        floors = _cut([("test", half, held)], protocol, repeats)
        return Plan((split, 0, count), ("test", 0, half), floors, (*notes, *_shortage(floors, protocol)))
    if size is None:
        rest: list[Piece] = [(split, count, count + repeats * protocol.samples)]
    else:
        other: Split = "test" if split == "train" else "train"
        rest = [(split, count, size), (other, 0, references.size(other) or 0)]
    floors = _cut(rest, protocol, repeats)
    return Plan((split, 0, count), None, floors, (*notes, *_shortage(floors, protocol)))


def _cut(rest: list[Piece], protocol: Protocol, repeats: int) -> tuple[tuple[Piece, ...], ...]:
    """Cut pieces, laid end to end, into sets of the protocol's size."""
    total = sum(stop - start for _, start, stop in rest)
    size = min(protocol.samples, total)
    if size < protocol.metric.least:
        return ()
    sets = []
    for number in range(min(repeats, total // size)):
        first, last, before, pieces = number * size, (number + 1) * size, 0, list[Piece]()
        for split, start, stop in rest:
            low, high = max(first - before, 0), min(last - before, stop - start)
            if low < high:
                pieces.append((split, start + low, start + high))
            before += stop - start
        sets.append(tuple(pieces))
    return tuple(sets)


def _shortage(floors: tuple[tuple[Piece, ...], ...], protocol: Protocol) -> list[str]:
    if not floors:
        return ["no floor: there are too few real samples that the reference does not hold"]
    size = sum(stop - start for _, start, stop in floors[0])
    if size < protocol.samples:
        return [f"the floor is of {size:,} real samples: the reference leaves no more"]
    return []
