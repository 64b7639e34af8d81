"""Features of many samples, a chunk at a time."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adversarium.errors import InputError, require
from adversarium.features.feature import Features, Seen

Samples: TypeAlias = Tensor | npt.NDArray[Any]
"""Samples as they are stored: uint8 images ``[N, C, H, W]``, or floats of the same range; vectors ``[N, D]``."""

BLOCK = 64
"""So many float images are looked at together for their range."""


@torch.no_grad()
def extract(
    features: Features, samples: Samples, *, batch_size: int = 64, device: torch.device | str | None = None
) -> Seen:
    """Return the rows ``[N, D]`` of all samples (and class probabilities ``[N, K]``), seen in chunks, without a graph.

    Beside the result only one chunk is in memory at a time: an array may be a memory map that is larger.

    Args:
        features: a member of ``FEATURES``, or what ``open_features`` made of a callable.
        samples: uint8 images ``[N, C, H, W]``, or floats from 0 to 255; vectors ``[N, D]``. Numpy or a tensor.
        batch_size: samples in a chunk. Inception takes about 13 MB of memory for each, and DINOv2 6 MB.
        device: where the result is gathered: by default the CPU. Where samples are seen is the features' choice.

    Raises:
        InputError: there are no samples, they are neither images nor vectors, images are not from 0 to 255, or the
            features give something else than one row for each sample.
    """
    require(batch_size >= 1, f"batch_size is {batch_size}: wanted at least 1")
    if not isinstance(samples, Tensor | np.ndarray):
        raise InputError(f"samples are {type(samples).__name__}: wanted a numpy array or a tensor")
    shape = list(samples.shape)
    if len(shape) not in (2, 4) or 0 in shape:
        raise InputError(f"samples have shape {shape}: wanted images [N, C, H, W] or vectors [N, D], at least one")
    _check_levels(samples)
    gathered: list[Tensor] = []
    for start in range(0, len(samples), batch_size):
        chunk = _chunk(samples, start, start + batch_size)
        seen = [part for part in features.see(chunk) if part is not None]
        if not gathered:
            where = torch.device("cpu") if device is None else device
            gathered = [torch.empty(len(samples), *part.shape[1:], dtype=torch.float32, device=where) for part in seen]
        for whole, part in zip(gathered, seen, strict=True):
            if len(part) != len(chunk):
                raise InputError(f"the features {features.name!r} gave {len(part)} rows for {len(chunk)} samples")
            whole[start : start + batch_size] = part
    return Seen(*gathered)


_STORED = (
    "features want them as they are stored, from 0 to 255 (a data set's codec decodes [-1, 1]; [0, 1] wants a factor)"
)


def _chunk(samples: Samples, start: int, end: int) -> Tensor:
    if isinstance(samples, np.ndarray):
        if samples.dtype.kind == "f":
            return torch.from_numpy(samples[start:end].astype(np.float32))
        require(samples.dtype == np.uint8, f"samples are {samples.dtype}: wanted uint8 images, or floats")
        return torch.from_numpy(samples[start:end].copy())  # torch does not like arrays that cannot be written
    known = samples.dtype == torch.uint8 or samples.is_floating_point()
    require(known, f"samples are {samples.dtype}: wanted uint8 images, or floats")
    return samples[start:end]


def _check_levels(samples: Samples) -> None:
    """Refuse float images of another range, before a network spends its time on them."""
    if len(samples.shape) != 4 or _chunk(samples, 0, 1).dtype == torch.uint8:
        return
    largest = 0.0
    for start in range(0, len(samples), BLOCK):
        low, high = (float(level) for level in _chunk(samples, start, start + BLOCK).aminmax())
        if not (low >= -0.5 and high <= 255.5):  # NaN too
            raise InputError(f"samples are float images from {low:g} to {high:g}: {_STORED}")
        largest = max(largest, high)
    if 0 < largest <= 1:
        raise InputError(f"samples are float images up to {largest:g}: {_STORED}")
