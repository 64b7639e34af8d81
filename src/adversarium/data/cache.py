"""Finished conversions on disk: an entry is a folder that appears whole or not at all."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from adversarium.errors import InputError, require
from adversarium.files import sync_folder

STALE_SECONDS = 3600.0
"""A partial entry that nobody has written to for so long belongs to a run that was killed."""


class Entry(NamedTuple):
    """What an entry holds: memory-mapped samples, labels (or none), and what the writer noted down."""

    samples: npt.NDArray[Any]
    labels: npt.NDArray[np.int64] | None
    meta: dict[str, Any]


def entry_path(cache_dir: Path | None, *parts: object) -> Path:
    """Return the folder of the entry that ``parts`` (strings, numbers, nested lists) determine.

    It lies in ``cache_dir``, else in ``$ADVERSARIUM_CACHE``, else ``$XDG_CACHE_HOME/adversarium``, else
    ``~/.cache/adversarium``.
    """
    # JSON escapes file names that are not UTF-8 (lone surrogates), so the text can always be encoded
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
    return _root(cache_dir) / digest


def _root(cache_dir: Path | None) -> Path:
    if cache_dir is not None:
        return cache_dir
    if own := os.environ.get("ADVERSARIUM_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "adversarium"
    return Path("~/.cache/adversarium").expanduser()


def load(entry: Path) -> Entry | None:
    """Return a finished entry, or ``None``. A damaged one is removed, so that it is made anew."""
    try:
        meta = json.loads((entry / "meta.json").read_text(encoding="ascii"))
        samples = np.load(entry / "samples.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(entry / "labels.npy", allow_pickle=False) if meta["has_labels"] else None
        return Entry(samples, labels, meta)
    except (FileNotFoundError, ValueError, EOFError, KeyError, TypeError):
        shutil.rmtree(entry, ignore_errors=True)
    except OSError:  # not ours to read: leave it
        pass
    return None


def store(entry: Path, needed_bytes: int, write: Callable[[Path], None]) -> Entry:
    """Let ``write`` fill a temporary folder, then give that folder its name in one step.

    A run that is killed leaves no half entry, and of two that make the same one at once both end with a whole one.
    ``write`` must leave ``samples.npy`` and what :func:`write_meta` writes.

    Raises:
        InputError: the cache cannot be written, or the disk is full (or smaller than ``needed_bytes``).
    """
    root = entry.parent
    temporary = root / f"{entry.name}.{uuid.uuid4().hex}.partial"
    try:
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        free = shutil.disk_usage(root).free
        require(free >= needed_bytes, _full(root, needed_bytes))
        temporary.mkdir()
        write(temporary)
        for file in temporary.iterdir():
            with file.open("r+b") as stream:
                os.fsync(stream.fileno())
        sync_folder(temporary)
        try:
            temporary.rename(entry)
        except OSError:
            if not entry.is_dir():  # else another process was faster, and its entry is as good
                raise
        sync_folder(root)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(_full(root, needed_bytes)) from error
        raise InputError(f"the cache {root} cannot be written: {error}; {_ELSEWHERE}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    made = load(entry)
    if made is None:
        raise InputError(f"the cache entry {entry} cannot be read back; {_ELSEWHERE}")
    return made


_ELSEWHERE = "set ADVERSARIUM_CACHE to another folder"


def _full(root: Path, needed_bytes: int) -> str:
    free = shutil.disk_usage(root).free
    return (
        f"the disk of the cache {root} is too full: {needed_bytes / 1e6:,.1f} MB are needed in all, "
        f"{free / 1e6:,.1f} MB are free; make room, or {_ELSEWHERE}"
    )


def write_rows(path: Path, chunks: Iterable[npt.NDArray[Any]], dtype: str, row_shape: tuple[int, ...]) -> int:
    """Write arrays ``[n, *row_shape]`` one after the other as one ``.npy`` file and return the number of rows.

    Plain writes, not a writable memory map: on a full disk a map ends the process with SIGBUS, a write raises.
    """

    def header(rows: int) -> dict[str, Any]:
        return {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (rows, *row_shape)}

    rows = 0
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header(0))
        start = file.tell()
        for chunk in chunks:
            file.write(np.ascontiguousarray(chunk, dtype=dtype).data)
            rows += len(chunk)
        file.seek(0)
        # NumPy pads the header for the first axis to grow, so the final one has the same length
        np.lib.format.write_array_header_1_0(file, header(rows))
        if file.tell() != start:
            raise RuntimeError("this NumPy writes .npy headers of changing length")
    return rows


def write_meta(folder: Path, *, labels: npt.NDArray[np.int64] | None = None, **meta: object) -> None:
    """Write the labels and what else is to be remembered (JSON values) into an entry that is being made."""
    if labels is not None:
        np.save(folder / "labels.npy", labels, allow_pickle=False)
    text = json.dumps({**meta, "has_labels": labels is not None})
    (folder / "meta.json").write_text(text, encoding="ascii")


def _sweep(root: Path) -> None:
    """Remove what killed runs left behind."""
    for partial in root.glob("*.partial"):
        with contextlib.suppress(OSError):
            newest = max(path.stat().st_mtime for path in (partial, *partial.iterdir()))
            if time.time() - newest > STALE_SECONDS:
                shutil.rmtree(partial, ignore_errors=True)
