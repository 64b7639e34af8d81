"""The seeded stream of batches: each epoch without replacement, resumable at any step."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adversarium.data.source import ArraySource, Density, Source
from adversarium.errors import InputError, require


class Batch(NamedTuple):
    """Encoded samples ``[B, ...]``; where the source has them, int64 labels ``[B]`` and float vectors ``[B, E]``."""

    samples: Tensor
    labels: Tensor | None
    conditions: Tensor | None = None

    @property
    def condition(self) -> Tensor | None:
        """What conditional networks are asked for, the vectors or else the labels."""
        return self.labels if self.conditions is None else self.conditions


@runtime_checkable
class Stream(Protocol):
    """An endless, resumable sequence of batches."""

    def next(self, n: int) -> Batch:
        """Return the next ``n`` samples on the stream's device."""
        ...

    def state(self) -> Tensor:
        """Return all that is needed to continue exactly here, as one tensor."""
        ...

    def restore(self, state: Tensor) -> None:
        """Continue from a :meth:`state`."""
        ...


class ArrayStream:
    """Batches of an array, in an order that depends on the seed and the epoch alone.

    Sample number ``p`` of the stream is entry ``p mod N`` of a permutation drawn for epoch ``p // N``. So an epoch
    has every sample exactly once, a batch may straddle two epochs (none is dropped), and one integer, the position,
    is the whole state.
    """

    def __init__(self, source: ArraySource, seed: int, device: torch.device) -> None:
        self._source = source
        self._seed = seed
        self._device = device
        self._position = 0
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)

    def next(self, n: int) -> Batch:
        """Return the next ``n`` samples and what they are of."""
        indices = self._take(n)
        samples = self._sent(self._source.take(indices))  # uint8 travels, float32 is made on the other side
        labels, conditions = self._source.labels_of(indices), self._source.conditions_of(indices)
        return Batch(
            self._source.codec.encode(samples),
            None if labels is None else self._sent(labels),
            None if conditions is None else self._sent(conditions),
        )

    def _sent(self, array: npt.NDArray[Any]) -> Tensor:
        """Return an array as a tensor on the stream's device."""
        tensor = torch.from_numpy(array)
        if self._device.type == "cuda":
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor.to(self._device)

    def _take(self, n: int) -> npt.NDArray[np.int64]:
        """Return the numbers of the next ``n`` samples."""
        size = len(self._source)
        parts = []
        while n > 0:
            epoch, offset = divmod(self._position, size)
            if epoch != self._epoch:
                rng = torch.Generator().manual_seed(_mix(self._seed, epoch))
                self._order = torch.randperm(size, generator=rng).numpy()
                self._epoch = epoch
            part = self._order[offset : offset + n]
            parts.append(part)
            self._position += len(part)
            n -= len(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def state(self) -> Tensor:
        """Return the position: the number of samples given out so far."""
        return torch.tensor(self._position, dtype=torch.int64)

    def restore(self, state: Tensor) -> None:
        """Continue at a position."""
        self._position = int(state)


class DensityStream:
    """Fresh samples of a distribution, from a generator of its own."""

    def __init__(self, source: Density, seed: int, device: torch.device) -> None:
        self._source = source
        self._rng = torch.Generator().manual_seed(_mix(seed, 0))
        self._device = device

    def next(self, n: int) -> Batch:
        """Draw ``n`` samples."""
        return Batch(self._source.codec.encode(self._source.sample(n, self._rng).to(self._device)), None)

    def state(self) -> Tensor:
        """Return the generator's state."""
        return self._rng.get_state()

    def restore(self, state: Tensor) -> None:
        """Continue from the generator's state."""
        self._rng.set_state(state.to("cpu", torch.uint8))


def open_stream(source: Source, *, batch_size: int, seed: int, device: torch.device) -> Stream:
    """Return the stream of a source.

    Raises:
        InputError: the batch is empty or larger than the data, or the seed is negative.
    """
    require(batch_size >= 1, f"batch_size is {batch_size}; it must be at least 1")
    require(seed >= 0, f"seed is {seed}; it must not be negative")
    if not isinstance(source, ArraySource):
        return DensityStream(source, seed, device)
    if batch_size > len(source):
        kept = f" ({len(source.samples) - len(source)} more are held out)" if source.rows is not None else ""
        raise InputError(f"batch_size is {batch_size}, but {source.name!r} has only {len(source)} samples{kept}")
    return ArrayStream(source, seed, device)


def _mix(seed: int, counter: int) -> int:
    """Return a 64-bit seed for stream ``counter`` of ``seed`` (NumPy's SeedSequence, made for this)."""
    return int(np.random.SeedSequence([seed, counter]).generate_state(1, np.uint64)[0])
