"""What a data set is: an array on disk or in memory, or a distribution with an exact density."""

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True)
class Codec:
    """The map between stored samples and what the networks see.

    Images: uint8 ``[B, C, H, W]`` to float32 in [-1, 1], ``x / 127.5 - 1``. Vectors: float32 ``[B, D]`` to
    ``(x - center) / scale``.

    Attributes:
        sample_shape: ``(C, H, W)`` of an image, ``(D,)`` of a vector.
        center: one number per column, for vectors.
        scale: one positive number per column, for vectors.
    """

    sample_shape: tuple[int, ...]
    center: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    @property
    def is_image(self) -> bool:
        """Whether samples are images."""
        return len(self.sample_shape) == 3

    def encode(self, stored: Tensor) -> Tensor:
        """Return what the networks see, float32."""
        if self.is_image:
            return stored.float().div(127.5).sub_(1)
        return (stored.float() - stored.new_tensor(self.center)) / stored.new_tensor(self.scale)

    def decode(self, seen: Tensor) -> Tensor:
        """Return samples as they are stored: uint8 images (rounded to the nearest level) or float32 vectors."""
        if self.is_image:
            return seen.float().add(1).mul(127.5).round_().clamp_(0, 255).to(torch.uint8)
        return seen.float() * seen.new_tensor(self.scale) + seen.new_tensor(self.center)


@dataclass(frozen=True, eq=False)
class ArraySource:
    """A finite data set.

    Attributes:
        name: how the user named it.
        samples: uint8 ``[N, C, H, W]`` or float32 ``[N, D]``; may be memory-mapped and larger than memory.
        codec: how its samples become network inputs.
        labels: int64 ``[N]``, or ``None``.
        classes: the names of the labels 0, 1, ..., or empty.
        notes: what was converted or skipped on the way in, one sentence each, for the user.
        rows: which of ``samples``, ``labels`` and ``conditions`` belong to it; ``None``: all.
        test: the published test split of the same data, where there is one.
        conditions: float32 ``[N, E]``, a vector that describes each sample (of a text, say), or ``None``.
    """

    name: str
    samples: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    codec: Codec
    labels: npt.NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)
    rows: npt.NDArray[np.int64] | None = None
    test: "ArraySource | None" = None
    conditions: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        """Return the number of samples that belong to it."""
        return len(self.samples) if self.rows is None else len(self.rows)

    def take(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the samples of these numbers, each from 0 to ``len(self) - 1``: a copy, also of a memory map."""
        return np.ascontiguousarray(self.samples[self._where(numbers)])

    def labels_of(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
        """Return the labels of these numbers, or ``None`` where there are none."""
        return None if self.labels is None else self.labels[self._where(numbers)]

    def conditions_of(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float32] | None:
        """Return the vectors that describe these numbers, or ``None`` where there are none."""
        return None if self.conditions is None else np.ascontiguousarray(self.conditions[self._where(numbers)])

    def spread(self, n: int) -> npt.NDArray[np.int64]:
        """Return the numbers of ``n`` samples from all over it, evenly; of all where there are no more."""
        return np.linspace(0, len(self) - 1, min(n, len(self))).astype(np.int64)

    def _where(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return numbers if self.rows is None else self.rows[numbers]


@runtime_checkable
class Density(Protocol):
    """A distribution over vectors that knows its own truth.

    Attributes:
        name: how the user names it.
        codec: how its samples become network inputs.
        modes: float64 ``[K, D]``, the centres, or ``None`` of a density that has no modes.
        std: the standard deviation of every mode; where there are none, of the noise about its curve.
    """

    # read-only, so that a frozen dataclass is one
    @property
    def name(self) -> str:
        """See above."""
        ...

    @property
    def codec(self) -> Codec:
        """See above."""
        ...

    @property
    def modes(self) -> Tensor | None:
        """See above."""
        ...

    @property
    def std(self) -> float:
        """See above."""
        ...

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``n`` samples, float32 ``[n, D]``."""
        ...

    def log_density(self, x: Tensor) -> Tensor:
        """Return log p(x) for ``[N, D]``, in x's dtype."""
        ...


Source = ArraySource | Density
"""What ``open_data`` opens: stored samples, or a density to draw from."""


def some_of(source: Source, n: int, seed: int) -> Tensor:
    """Return samples as they are stored, without moving any stream: an even choice of them, or a seed's of a density.

    Where there are fewer than ``n`` stored samples, it is all of them.
    """
    if isinstance(source, ArraySource):
        return torch.from_numpy(source.take(source.spread(n)))
    return source.sample(n, torch.Generator().manual_seed(seed))
