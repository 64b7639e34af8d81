"""What a data set's samples are of, to ask a conditional generator for the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adversarium.data.arrays import NAMED_CLASSES
from adversarium.data.source import ArraySource, Source
from adversarium.errors import InputError, nearest, require
from adversarium.types import Condition


@dataclass(frozen=True, eq=False)
class Conditions:
    """The conditions of a data set, to draw from.

    Attributes:
        condition: what they are.
        classes: the names of the labels 0, 1, ..., or empty.
        counts: how many samples have each label; empty for vectors.
        vectors: float32 ``[N, size]``: the data's, which may be memory-mapped and larger than memory; ``None`` for
            labels, and where there are no data at hand.
        rows: which of ``vectors`` are the data's; ``None``: all.
    """

    condition: Condition
    classes: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    vectors: npt.NDArray[np.float32] | None = None
    rows: npt.NDArray[np.int64] | None = None

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``n`` values as the data have them, on the CPU.

        Raises:
            InputError: vectors, and no data to draw them from.
        """
        if self.condition.kind == "label":
            shares = torch.tensor(self.counts or (1,) * self.condition.size, dtype=torch.float64)
            return torch.multinomial(shares, n, replacement=True, generator=rng)
        return self._taken(torch.randint(self._count(), (n,), generator=rng).numpy())

    def spread(self, n: int) -> Tensor:
        """Return ``n`` values for a picture: classes in order, as many of each (±1); or vectors.

        Raises:
            InputError: vectors, and no data to take them from.
        """
        if self.condition.kind == "label":
            return torch.arange(n) * self.condition.size // n
        return self._taken(np.linspace(0, self._count() - 1, n).astype(np.int64))

    def labels(self, text: str) -> Tensor:
        """Return the labels that a text lists, each as :meth:`label` reads it, parted by commas."""
        return torch.tensor([self.label(each.strip()) for each in text.split(",")])

    def label(self, text: str) -> int:
        """Return the label that a text names: a class, or else its number, from 0.

        Where classes are named by numbers a number is always a name: of 1, 2, 3 the label 0 is none.

        Raises:
            InputError: vectors, or no such label (names the nearest).
        """
        require(
            self.condition.kind == "label", f"label is {text!r}: this run is conditional on vectors, not on labels"
        )
        if text in self.classes:
            return self.classes.index(text)
        names = () if self.classes == tuple(map(str, range(self.condition.size))) else self.classes
        is_number = text.isdecimal() and int(text) < self.condition.size
        taken = any(name.isdecimal() for name in names)
        if is_number and not taken:
            return int(text)
        wanted = [] if taken else [f"0 to {self.condition.size - 1}"]
        if names:
            wanted.append(f"a class of {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}")
        raise InputError(f"label is {text!r}{nearest(text, self.classes)}: wanted {', or '.join(wanted)}")

    def as_dict(self) -> dict[str, Any]:
        """Return all but the vectors, for a JSON file."""
        return {
            "kind": self.condition.kind,
            "size": self.condition.size,
            "counts": list(self.counts),
            "classes": list(self.classes),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Conditions":
        """Return what :meth:`as_dict` described.

        Raises:
            KeyError, TypeError, ValueError: the values are none of its.
        """
        counts, classes = tuple(map(int, values["counts"])), tuple(map(str, values["classes"]))
        return cls(Condition(values["kind"], int(values["size"])), classes, counts)

    def _count(self) -> int:
        return len(self._vectors() if self.rows is None else self.rows)

    def _taken(self, numbers: npt.NDArray[np.int64]) -> Tensor:
        """Return the data's vectors of these numbers: a copy of those alone."""
        return torch.from_numpy(self._vectors()[numbers if self.rows is None else self.rows[numbers]])

    def _vectors(self) -> npt.NDArray[np.float32]:
        if self.vectors is None:
            raise InputError(
                f"the generator is conditional on vectors of {self.condition.size} numbers, and none are given: say "
                "which with --conditions FILE.npy"
            )
        return self.vectors


def conditions_of(source: Source) -> Conditions | None:
    """Return what a source's samples are of: its vectors, or else its labels; ``None`` where it has neither."""
    if not isinstance(source, ArraySource):
        return None
    if source.conditions is not None:
        return Conditions(Condition("vector", source.conditions.shape[1]), vectors=source.conditions, rows=source.rows)
    labels = source.labels_of(np.arange(len(source)))
    if labels is None:
        return None
    size = max(len(source.classes), int(labels.max()) + 1)
    require(size <= NAMED_CLASSES, f"{source.name!r} has labels up to {size - 1}: these are no classes to generate by")
    counts = np.bincount(labels, minlength=size)
    return Conditions(Condition("label", size), source.classes, tuple(counts.tolist()))
