"""NumPy files: uint8 images and float vectors, memory-mapped where they are large."""

import math
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from adversarium.data import cache
from adversarium.data.npy import open_map, read_head
from adversarium.data.source import ArraySource, Codec
from adversarium.errors import InputError, require

IN_MEMORY_BYTES = 1 << 30
"""Larger members of an ``.npz``, and larger vectors that are not float32, go through a file in the cache."""
CHUNK_BYTES = 16 << 20
CHANNELS = (1, 3, 4)
NAMED_CLASSES = 65_536
"""Labels from here on are taken for identifiers: the classes get no names."""

CONDITIONS = "conditions"
"""What the vectors that describe samples are called in an ``.npz``."""

Images = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]


def open_array(path: Path, *, name: str | None = None, cache_dir: Path | None = None) -> ArraySource:
    """Open a ``.npy`` or ``.npz`` file.

    Samples are uint8 images ``[N, H, W]``, ``[N, H, W, C]`` or ``[N, C, H, W]`` with 1, 3 or 4 channels, or float16,
    float32 or float64 vectors ``[N, D]``, whose columns the codec standardises. In an ``.npz`` they are called
    ``images``, ``vectors``, ``x`` or ``data``, or are the only array; ``labels`` or ``y`` are optional, and so are
    ``conditions``, float vectors ``[N, E]`` that describe each sample.

    Args:
        path: the file.
        name: what to call it; its path by default.
        cache_dir: where large converted arrays are kept, see :func:`adversarium.data.cache.entry_path`.

    Raises:
        InputError: the file cannot be read, or its arrays are not as above; the message says what was found.
    """
    name = str(path) if name is None else name
    labels = conditions = None
    if path.suffix.lower() == ".npz":
        stored, labels, conditions, what = _open_npz(path, cache_dir)
    else:
        stored, what = open_map(path), str(path)
    require(stored.ndim > 0, _refusal(stored, what))
    require(stored.size > 0, f"{what} is empty: its shape is {stored.shape}")
    if labels is not None:
        require(len(labels) == len(stored), f"{path} has {len(labels)} labels, but {len(stored)} samples")
    if conditions is not None:
        require(len(conditions) == len(stored), f"{path} has {len(conditions)} conditions, but {len(stored)} samples")
    classes: tuple[str, ...] = ()
    if labels is not None and labels.max() < NAMED_CLASSES:
        classes = tuple(str(label) for label in range(int(labels.max()) + 1))
    if stored.dtype == np.uint8 and stored.ndim in (3, 4):
        images = as_images(stored, what)
        return ArraySource(name, images, Codec(images.shape[1:]), labels, classes, conditions=conditions)
    is_float = stored.dtype.kind == "f" and stored.dtype.itemsize in (2, 4, 8)  # of either byte order
    require(stored.ndim == 2 and is_float, _refusal(stored, what))
    vectors = _as_float32(stored, path, cache_dir)
    codec, notes = standardise(vectors, what)
    return ArraySource(name, vectors, codec, labels, classes, notes, conditions=conditions)


# ---- images


def as_images(stored: npt.NDArray[Any], what: str) -> Images:
    """Return uint8 images ``[N, H, W]``, ``[N, H, W, C]`` or ``[N, C, H, W]`` as a view ``[N, C, H, W]``.

    Raises:
        InputError: no axis, or either, can be the channels; or the images are not square.
    """
    if stored.ndim == 3:
        images = stored[:, None]
    else:
        first, last = stored.shape[1] in CHANNELS, stored.shape[3] in CHANNELS
        require(
            first or last,
            f"{what} has the shape {stored.shape}: neither its second nor its last axis is of 1, 3 or 4 channels",
        )
        require(
            not (first and last),
            f"{what} has the shape {stored.shape}, which is ambiguous: its second and its last axis can both be the "
            "channels; are these single-channel images? then save them as [N, H, W]",
        )
        images = stored if first else stored.transpose(0, 3, 1, 2)
    _, _, height, width = images.shape
    require(height == width, f"{what} has images of {width}x{height}; only square ones can be used")
    return images


def _refusal(stored: npt.NDArray[Any], what: str) -> str:
    """Say why an array is neither images nor vectors, and how to make it one."""
    found = f"{what} has the dtype {stored.dtype} and the shape {stored.shape}"
    numeric = stored.dtype.kind in "iuf"
    if stored.ndim in (3, 4) and numeric:
        kind = stored.dtype.kind
        part = np.asarray(stored[: max(1, CHUNK_BYTES // max(1, stored[:1].nbytes))])
        low, high = part.min(), part.max()
        if kind == "f" and low >= 0 and high <= 1:
            how = "(255 * x).round().astype('uint8')"
        elif kind == "f" and low >= -1 and high <= 1:
            how = "(127.5 * (x + 1)).round().astype('uint8')"
        elif low >= 0 and high <= 255:
            how = "x.round().astype('uint8')" if kind == "f" else "x.astype('uint8')"
        else:
            how = "scaled to 0..255, rounded, as uint8"
        return f"{found}, and images must be uint8; these run from {low:.4g} to {high:.4g}: save them as {how}"
    if stored.ndim == 2 and numeric:
        side = math.isqrt(stored.shape[1])
        advice = f"{found}; vectors must be float16, float32 or float64: save x.astype('float32')"
        if side**2 == stored.shape[1]:
            advice += f"; if these are flat images, save x.reshape(-1, {side}, {side}).astype('uint8')"
        return advice
    if stored.ndim == 1 and numeric:
        return f"{found}; vectors need two axes, [N, D]: save x.astype('float32')[:, None] if these are N numbers"
    return f"{found}; it must be uint8 images [N, H, W], [N, H, W, C] or [N, C, H, W], or float vectors [N, D]"


# ---- vectors


def _as_float32(stored: npt.NDArray[Any], path: Path, cache_dir: Path | None) -> Vectors:
    """Return vectors as native float32: as they are, else converted, in memory if small, else in the cache."""
    if stored.dtype == np.dtype(np.float32):
        return stored
    with np.errstate(over="ignore"):  # to infinity; standardise() finds and names the row
        if stored.size * 4 <= IN_MEMORY_BYTES:
            return stored.astype(np.float32)

        def write(folder: Path) -> None:
            cache.write_rows(folder / "samples.npy", (chunk for _, chunk in _chunks(stored)), "=f4", stored.shape[1:])
            cache.write_meta(folder)

        entry = cache.entry_path(cache_dir, "float32", *_identity(path))
        return (cache.load(entry) or cache.store(entry, stored.size * 4, write)).samples


def standardise(vectors: Vectors, what: str) -> tuple[Codec, tuple[str, ...]]:
    """Return the codec that gives each column mean 0 and standard deviation 1, and notes for the user.

    One pass in chunks, joined by the formulas of Chan, Golub and LeVeque 1979. A constant column keeps scale 1.

    Raises:
        InputError: a value is NaN or infinite (in float32); names its row.
    """
    dim = vectors.shape[1]
    count, mean, squares = 0, np.zeros(dim), np.zeros(dim)
    for start, chunk in _chunks(vectors):
        bad = ~np.isfinite(chunk).all(axis=1)
        if bad.any():
            row = start + int(bad.argmax())
            column = int((~np.isfinite(vectors[row])).argmax())
            raise InputError(f"{what} has the value {vectors[row, column]} in row {row}, column {column} (as float32)")
        n = len(chunk)
        wide = chunk.astype(np.float64)
        own_mean = wide.mean(axis=0)
        shift = own_mean - mean
        squares += np.square(wide - own_mean).sum(axis=0) + np.square(shift) * (count * n / (count + n))
        mean += shift * (n / (count + n))
        count += n
    scale = np.sqrt(squares / count)
    # float64 sums equal float32 values exactly, so a constant column has its value as mean and the deviation 0
    constant = scale < np.finfo(np.float32).tiny
    scale[constant] = 1.0
    notes = []
    if constant.any():
        notes.append(f"constant columns, centred but not scaled: {_columns(constant)}")
    coarse = ~constant & (np.abs(mean) > 1e5 * scale)
    if coarse.any():
        notes.append(f"columns that vary so little around a large mean that float32 is coarse: {_columns(coarse)}")
    return Codec((dim,), tuple(mean.tolist()), tuple(scale.tolist())), tuple(notes)


def _columns(mask: npt.NDArray[np.bool_]) -> str:
    found = np.flatnonzero(mask)
    return ", ".join(str(column) for column in found[:5]) + ", ..." * (len(found) > 5)


def _chunks(array: npt.NDArray[Any]) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Yield ``(first row, rows)`` of an array, some megabytes at a time."""
    rows = max(1, CHUNK_BYTES // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        yield start, np.asarray(array[start : start + rows])


# ---- .npz


class Npz(NamedTuple):
    """The arrays of an ``.npz`` file, and what to call the samples in a message."""

    samples: npt.NDArray[Any]
    labels: npt.NDArray[np.int64] | None
    conditions: npt.NDArray[np.float32] | None
    what: str


def _open_npz(path: Path, cache_dir: Path | None) -> Npz:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            sample_key = _pick(members, ("images", "vectors", "x", "data"), ("labels", "y", CONDITIONS), path)
            label_key = next((key for key in ("labels", "y") if key in members and key != sample_key), None)
            samples = _read_member(archive, members[sample_key], path, cache_dir)
            labels = conditions = None
            if label_key is not None:
                labels = _as_labels(_read_member(archive, members[label_key], path, None), f"{path}: {label_key}")
            if CONDITIONS in members and sample_key != CONDITIONS:
                conditions = as_conditions(
                    _read_member(archive, members[CONDITIONS], path, cache_dir), f"{path}: {CONDITIONS}"
                )
            return Npz(samples, labels, conditions, f"{path}: {sample_key}")
    # a damaged archive meets the readers in many ways; RuntimeError is an encrypted one
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path} is not a readable .npz file: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _pick(members: dict[str, Any], wanted: tuple[str, ...], labels: tuple[str, ...], path: Path) -> str:
    """Return the name of the samples' array."""
    there = [key for key in wanted if key in members]
    others = there or [key for key in members if key not in labels]
    ask = "call the samples 'images' or 'vectors', and their labels 'labels'"
    require(bool(others), f"{path} has no samples, only {', '.join(members) or 'nothing'}: {ask}")
    require(len(others) == 1, f"{path} has several arrays ({', '.join(members)}): {ask}")
    return others[0]


def _read_member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, cache_dir: Path | None
) -> npt.NDArray[Any]:
    """Return an array: read, when small, else copied into the cache, as the .npy file that it is, and mapped."""
    what = f"{path}: {info.filename}"
    with archive.open(info) as file:
        head = read_head(file, what)
    require(
        head.start + head.data_bytes == info.file_size,
        f"{what} is damaged: its header announces {head.shape}, {head.data_bytes} bytes, but "
        f"{info.file_size - head.start} follow",
    )
    if info.file_size <= IN_MEMORY_BYTES:
        with archive.open(info) as file:
            array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
            return array

    def write(folder: Path) -> None:
        with archive.open(info) as source, (folder / "samples.npy").open("wb") as target:
            shutil.copyfileobj(source, target, CHUNK_BYTES)
        cache.write_meta(folder)

    entry = cache.entry_path(cache_dir, "npz", *_identity(path), info.filename)
    return (cache.load(entry) or cache.store(entry, info.file_size, write)).samples


def _identity(path: Path) -> tuple[str, int, int]:
    """Return what tells whether a file is still the same."""
    stat = path.stat()
    return os.path.abspath(path), stat.st_size, stat.st_mtime_ns


def _as_labels(labels: npt.NDArray[Any], what: str) -> npt.NDArray[np.int64]:
    """Return labels as int64.

    Raises:
        InputError: they are not integers, not 1-D, or negative.
    """
    require(labels.dtype.kind in "iu", f"{what}: labels must be integers, not {labels.dtype}")
    require(labels.ndim == 1, f"{what}: labels must be 1-D, not of the shape {labels.shape}")
    require(len(labels) > 0, f"{what}: there are no labels")
    limits = np.iinfo(np.int64)
    require(int(labels.min()) >= 0, f"{what}: labels must not be negative, but the least is {labels.min()}")
    require(int(labels.max()) <= limits.max, f"{what}: the label {labels.max()} is too large")
    return labels.astype(np.int64)


def as_conditions(vectors: npt.NDArray[Any], what: str) -> Vectors:
    """Return vectors that describe samples as float32.

    Raises:
        InputError: they are not floats ``[N, E]``, or not finite.
    """
    found = f"{what} has the dtype {vectors.dtype} and the shape {vectors.shape}"
    fits = vectors.dtype.kind == "f" and vectors.ndim == 2 and vectors.shape[1] >= 1
    require(fits, f"{found}: wanted float vectors [N, E]; classes are called 'labels', and are integers [N]")
    found_vectors = vectors.astype(np.float32, copy=False)
    require(bool(np.isfinite(found_vectors).all()), f"{what} has a value that is NaN or infinite")
    return found_vectors
