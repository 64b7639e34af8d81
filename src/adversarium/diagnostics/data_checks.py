"""What can be wrong with data before any training: their range, copies, and channels that hold nothing."""

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from adversarium.data import ArraySource, Source
from adversarium.diagnostics.detector import Limits
from adversarium.diagnostics.finding import Circumstances, Finding, Remedy
from adversarium.diagnostics.history import History

MOST_SAMPLES = 20_000
"""Of a larger data set so many are looked at, evenly spread."""

MOST_BYTES = 200_000_000
"""And no more of them than make so many bytes."""

_CHUNK = 1000


def data_facts(source: Source) -> dict[str, float]:
    """Return what can be measured of a data set in about a second.

    Counts are of the samples that were looked at: all of them, or ``MOST_SAMPLES`` evenly spread; of a density, so
    many fresh draws of a fixed seed.

    * ``samples`` (not of a density), ``looked_at``: how many there are, and were looked at;
    * ``minimum``, ``maximum``: of the stored numbers;
    * ``range_used_share``: of images: what their darkest and brightest values (of nine in ten of them) span of 255;
    * ``encoded_scale``, ``encoded_largest``: root mean square, and largest size, of what networks see;
    * ``constant_channels``: image channels, or columns, that are one number in all samples;
    * ``equal_channels``: image channels that equal the first one everywhere;
    * ``duplicates_share``: samples that equal an earlier one, byte by byte;
    * ``classes``, ``smallest_class_share``, ``largest_class_share``: where there are labels.
    """
    facts: dict[str, float] = {}
    if isinstance(source, ArraySource):
        facts["samples"] = float(len(source))
        labels = source.labels_of(np.arange(len(source)))
        if labels is not None and len(labels):
            shares = np.unique(labels, return_counts=True)[1] / len(labels)
            facts |= {
                "classes": float(len(shares)),
                "smallest_class_share": float(shares.min()),
                "largest_class_share": float(shares.max()),
            }
    seen: set[bytes] = set()
    count, square, largest = 0, 0.0, 0.0
    lows, highs, brightest, darkest = [], [], [], []
    equal: npt.NDArray[np.bool_] | None = None
    for samples in _chunks(source):
        seen.update(hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in samples)
        encoded = source.codec.encode(torch.from_numpy(samples)).double()
        square += float(encoded.square().mean()) * len(samples)
        largest = max(largest, float(encoded.abs().max()))
        count += len(samples)
        axes = (0, *range(2, samples.ndim))
        lows.append(samples.min(axis=axes))
        highs.append(samples.max(axis=axes))
        rows = samples.reshape(len(samples), -1)
        darkest.append(rows.min(axis=1))
        brightest.append(rows.max(axis=1))
        if source.codec.is_image:
            same = (samples == samples[:, :1]).all(axis=axes)
            equal = same if equal is None else equal & same
    low, high = np.min(lows, axis=0), np.max(highs, axis=0)
    facts |= {
        "looked_at": float(count),
        "minimum": float(low.min()),
        "maximum": float(high.max()),
        "encoded_scale": math.sqrt(square / count),
        "encoded_largest": largest,
        "constant_channels": float((low == high).sum()),
        "duplicates_share": 1 - len(seen) / count,
    }
    if equal is not None:
        bright = float(np.quantile(np.concatenate(brightest), 0.9))
        dark = float(np.quantile(np.concatenate(darkest), 0.1))
        facts |= {"range_used_share": (bright - dark) / 255, "equal_channels": float(equal[1:].sum())}
    return facts


def _chunks(source: Source) -> Iterator[npt.NDArray[Any]]:
    if not isinstance(source, ArraySource):
        yield source.sample(MOST_SAMPLES, torch.Generator().manual_seed(0)).numpy()
        return
    size = source.samples[:1].nbytes
    rows = source.spread(min(MOST_SAMPLES, max(MOST_BYTES // max(size, 1), 1)))
    for start in range(0, len(rows), _CHUNK):
        yield source.take(rows[start : start + _CHUNK])


def data_range(history: History, circumstances: Circumstances, limits: Limits) -> Finding | None:
    """Find images that use a small part of 0 to 255, and vectors that are far from size 1."""
    data = circumstances.data
    used = data.get("range_used_share")
    scale, largest = data["encoded_scale"], data["encoded_largest"]
    if used is not None and used < limits.range_share:
        what = f"Images use {100 * used:.2g} % of the range from 0 to 255."
        cause = "They were stored as numbers from 0 to 1, with another bit depth, or with little contrast."
        text = "Stretch the images to the range from 0 to 255 before they are stored."
        severity = 1 - used
    elif largest > limits.encoded_range or not 1 / limits.encoded_range <= scale <= limits.encoded_range:
        what = f"What the networks see has size {scale:.3g} (root mean square), and is {largest:.3g} at most."
        cause = "Columns are not in units of their spread, or some samples lie far from all others."
        text = "Bring the data to mean 0 and spread 1, and remove samples far from all others, or take logarithms."
        severity = 0.6
    else:
        return None
    names = ("minimum", "maximum", "range_used_share", "encoded_scale", "encoded_largest")
    return _finding(circumstances, "data_range", what, severity, names, cause, text)


def data_constant_channels(history: History, circumstances: Circumstances, limits: Limits) -> Finding | None:
    """Find channels, or columns, that are one number in all samples."""
    count = circumstances.data["constant_channels"]
    if count < 1:
        return None
    return _finding(
        circumstances,
        "data_constant_channels",
        f"{count:.0f} of the data's channels or columns {'is' if count == 1 else 'are'} the same in all samples.",
        0.5,
        ("constant_channels", "looked_at"),
        "An empty channel (an opaque alpha, say), or a column that was never filled in: the critic knows fakes by it.",
        "Leave these channels or columns out of the data.",
    )


def data_duplicates(history: History, circumstances: Circumstances, limits: Limits) -> Finding | None:
    """Find data with many copies."""
    share = circumstances.data["duplicates_share"]
    if share < limits.duplicates:
        return None
    return _finding(
        circumstances,
        "data_duplicates",
        f"{100 * share:.3g} % of the samples are copies of others.",
        0.3 + 0.6 * share,
        ("duplicates_share", "looked_at", "samples"),
        "A folder was stored twice, or few samples were repeated: copies count more often, and held-out data are not.",
        "Keep one of each.",
    )


def _finding(
    circumstances: Circumstances, kind: str, what: str, severity: float, names: tuple[str, ...], cause: str, text: str
) -> Finding:
    return Finding(
        kind=kind,
        what=what,
        since_kimg=0.0,
        severity=severity,
        evidence={name: float(circumstances.data[name]) for name in names if name in circumstances.data},
        series=(),
        cause=cause,
        remedies=(Remedy(text=text),),
    )
