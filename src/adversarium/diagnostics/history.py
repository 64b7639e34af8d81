"""A run's records as aligned series, with gaps where a number was not measured."""

import math
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]


class History:
    """Records in the order of their images.

    Whatever a log may be, it is read as far as it goes: a record without ``kimg`` is left out, of two at one place the
    later counts (a resumed run), and what is no finite number is a gap. A run that is watched adds its records one by
    one, at a cost that does not grow with the run.

    Args:
        records: those there are so far.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        placed = {kimg: record for record in records if math.isfinite(kimg := _number(record.get("kimg")))}
        self._kimg = array("d")
        self._columns: dict[str, array[float]] = {}
        self._records: list[Mapping[str, Any]] = []
        for kimg in sorted(placed):
            self._append(kimg, placed[kimg])

    def add(self, record: Mapping[str, Any]) -> None:
        """Add a record."""
        kimg = _number(record.get("kimg"))
        if not self._kimg or kimg > self._kimg[-1]:
            self._append(kimg, record)
        elif math.isfinite(kimg):
            again = History([*self._records, record])
            self._kimg, self._columns, self._records = again._kimg, again._columns, again._records

    def _append(self, kimg: float, record: Mapping[str, Any]) -> None:
        if not math.isfinite(kimg):
            return
        for name in record.keys() - self._columns.keys():
            self._columns[name] = array("d", [math.nan]) * len(self._kimg)
        for name, column in self._columns.items():
            column.append(_number(record.get(name)))
        self._kimg.append(kimg)
        self._records.append(record)

    @property
    def kimg(self) -> Numbers:
        """Thousands of images at each record, ``[n]``."""
        return np.array(self._kimg, dtype=np.float64)

    @property
    def names(self) -> frozenset[str]:
        """The numbers that were measured at least once."""
        return frozenset(name for name in self._columns if np.isfinite(self.column(name)).any())

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self._kimg)

    def column(self, name: str) -> Numbers:
        """Return a number's values ``[n]``, NaN where it was not measured."""
        if name not in self._columns:
            return np.full(len(self), np.nan)
        return np.array(self._columns[name], dtype=np.float64)  # a copy: a column that is lent out cannot grow

    def series(self, *names: str) -> tuple[Numbers, list[Numbers]]:
        """Return where all of these numbers were measured, in kimg, and their values there."""
        columns = [self.column(name) for name in names]
        measured = np.isfinite(columns).all(axis=0)
        return self.kimg[measured], [column[measured] for column in columns]


def _number(value: Any) -> float:
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if fits and math.isfinite(value) else math.nan


def since(holds: Truths, share: float) -> int:
    """Return the first place from which on a condition holds in at least this share of all that follows.

    It holds at that place itself. Where there is none it is the last place.
    """
    later = np.cumsum(holds[::-1])[::-1] / np.arange(len(holds), 0, -1)
    places = np.flatnonzero(holds & (later >= share))
    return int(places[0]) if len(places) else len(holds) - 1
