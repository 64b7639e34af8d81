"""A folder of image files, decoded once into the cache."""

import itertools
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from adversarium.data import cache
from adversarium.data.decode import Header, decode, read_header
from adversarium.data.source import ArraySource, Codec
from adversarium.errors import InputError, require

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm"})
IGNORED = frozenset({"thumbs.db", "desktop.ini"})
FORMAT_VERSION = 1
"""Part of the cache's key: raise it when the same files would be decoded differently."""
CHUNK_IMAGES = 256
CHUNK_BYTES = 32 << 20
"""So many decoded images, or bytes of them, are held before they are written."""

Progress = Callable[[int, int], None]
"""Called with the number of images decoded so far and in all."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Listing(NamedTuple):
    """The files of a folder, by name and ``stat`` alone."""

    names: list[str]  # relative, with forward slashes, sorted
    stats: list[tuple[int, int]]  # size in bytes, modification time in nanoseconds
    labels: list[int]  # indices into classes; empty without classes
    classes: tuple[str, ...]
    other: list[str]  # files that are no images
    deeper: list[str]  # folders inside class folders, which are not read


class Plan(NamedTuple):
    """What the headers decide: how every image of a folder will be decoded."""

    headers: list[Header | None]
    channels: int
    side: int
    size: int | None


def open_folder(
    path: Path,
    *,
    name: str | None = None,
    size: int | None = None,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> ArraySource:
    """Open a folder of images as one array, decoding it on the first call and reading the cache afterwards.

    Images may lie in the folder itself (no labels) or in sub-folders, whose sorted names are the classes. Files that
    cannot be read are left out; what was left out or converted is told in the source's ``notes``.

    Args:
        path: the folder.
        name: what to call it; its path by default.
        size: the wanted width and height: the shorter side is resized to it and the centre cropped.
        cache_dir: where decoded images are kept, see :func:`adversarium.data.cache.entry_path`.
        progress: called now and then while decoding, with the images done and in all.

    Raises:
        InputError: there are no (readable) images, images both beside and in sub-folders, images of several sizes or
            not square without ``size``, or the cache cannot be written.
    """
    name = str(path) if name is None else name
    require(size is None or size >= 1, f"size is {size}; it must be at least 1")
    listing = list_folder(path, name)
    entry = cache.entry_path(
        cache_dir, "folder", FORMAT_VERSION, os.path.abspath(path), size, listing.names, listing.stats
    )
    made = cache.load(entry) or _decode_all(path, name, listing, size, entry, progress)
    notes = list(made.meta["notes"])
    if listing.other:
        notes.append(f"{_count(len(listing.other), 'file')} without an image's suffix ignored: {_some(listing.other)}")
    if listing.deeper:
        notes.append(f"folders inside sub-folders are not read: {_some(listing.deeper)}")
    return ArraySource(name, made.samples, Codec(made.samples.shape[1:]), made.labels, listing.classes, tuple(notes))


def list_folder(path: Path, name: str) -> Listing:
    """List the images of a folder and of its sub-folders; nothing is opened.

    Raises:
        InputError: the folder cannot be listed, has no images, or has them both beside and in sub-folders.
    """
    classes: list[str] = []
    labels: list[int] = []
    deeper: list[str] = []
    try:
        own, other, folders = _scan(path)
        images = [(entry.name, entry) for entry in own]
        for folder in folders:
            members, strange, below = _scan(path / folder)
            other += [f"{folder}/{file}" for file in strange]
            deeper += [f"{folder}/{inner}" for inner in below]
            if members:
                labels += [len(classes)] * len(members)
                classes.append(folder)
                images += [(f"{folder}/{entry.name}", entry) for entry in members]
    except OSError as error:
        raise InputError(f"{name} cannot be listed: {error}") from error
    require(
        not (own and classes),
        f"{name} has images of its own ({_some([entry.name for entry in own])}) and images in sub-folders "
        f"({_some(classes)}), so it is unclear what the classes are: put all into sub-folders, or none",
    )
    if not images:
        hint = f"; it has other files ({_some(other)})" if other else ""
        if deeper:
            hint += f"; folders two levels down are not read ({_some(deeper)}): give one that holds images or classes"
        kinds = " ".join(sorted(suffix[1:] for suffix in SUFFIXES))
        raise InputError(f"{name} has no images ({kinds}), neither of its own nor in sub-folders{hint}")
    names, stats = [relative for relative, _ in images], [_stat(entry) for _, entry in images]
    return Listing(names, stats, labels, tuple(classes), other, deeper)


def _scan(path: Path) -> tuple[list[os.DirEntry[str]], list[str], list[str]]:
    """Return the images, the names of other files, and the names of the folders in a folder, each sorted."""
    images, other, folders = [], [], []
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith(".") or entry.name.lower() in IGNORED:
                continue
            if entry.is_dir():
                folders.append(entry.name)
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                images.append(entry)
            else:
                other.append(entry.name)
    return images, other, folders


def _stat(entry: os.DirEntry[str]) -> tuple[int, int]:
    try:
        stat = entry.stat()
    except OSError:  # a dangling link: it will be found unreadable
        return -1, -1
    return stat.st_size, stat.st_mtime_ns


def _decode_all(
    path: Path, name: str, listing: Listing, size: int | None, entry: Path, progress: Progress | None
) -> cache.Entry:
    """Decode every image into a new cache entry."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        files = [path / relative for relative in listing.names]
        plan = _plan(name, listing.names, list(_in_order(pool, partial(_calm, read_header), files)), size)
        needed = len(files) * plan.channels * plan.side**2
        return cache.store(entry, needed, partial(_write, pool, name, files, listing, plan, progress))


def _plan(name: str, names: list[str], headers: list[Header | None], size: int | None) -> Plan:
    """Decide on the channels and the size, or refuse."""
    first: dict[tuple[int, int], str] = {}
    for relative, header in zip(names, headers, strict=True):
        if header is not None:
            first.setdefault((header.width, header.height), relative)
    require(bool(first), _none_readable(name, names))
    channels = 1 if all(header.gray for header in headers if header is not None) else 3
    if size is not None:
        return Plan(headers, channels, size, size)
    examples = " and ".join(f"{_shown(file)} is {w}x{h}" for (w, h), file in itertools.islice(first.items(), 2))
    advice = "give --size to resize and crop them to one square, e.g. --size 32, 64 or 128"
    require(len(first) == 1, f"{name} has images of several sizes ({examples}): {advice}")
    ((width, height),) = first
    require(width == height, f"{name} has images that are not square ({examples}): {advice}")
    return Plan(headers, channels, width, None)


def _write(
    pool: ThreadPoolExecutor,
    name: str,
    files: list[Path],
    listing: Listing,
    plan: Plan,
    progress: Progress | None,
    folder: Path,
) -> None:
    """Fill a cache entry: the samples in the listing's order without the unreadable ones, labels, notes."""
    shape = (plan.channels, plan.side, plan.side)
    chunk_images = max(1, min(CHUNK_IMAGES, CHUNK_BYTES // (plan.channels * plan.side**2)))
    kept: list[int] = []
    skipped: list[str] = []
    conversions: Counter[str] = Counter()

    def decode_one(job: tuple[Path, Header | None]) -> Any:
        file, header = job
        return None if header is None else _calm(partial(decode, channels=plan.channels, size=plan.size), file)

    def chunks() -> Iterator[npt.NDArray[np.uint8]]:
        chunk: list[npt.NDArray[np.uint8]] = []
        jobs = zip(files, plan.headers, strict=True)
        for index, decoded in enumerate(_in_order(pool, decode_one, jobs, chunk_images)):
            if decoded is None or decoded.pixels.shape != shape:  # damaged, or changed since its header was read
                skipped.append(listing.names[index])
            else:
                kept.append(index)
                chunk.append(decoded.pixels)
                conversions.update(decoded.conversions)
            last = index + 1 == len(files)
            if chunk and (len(chunk) == chunk_images or last):
                yield np.stack(chunk)
                chunk = []
            if progress is not None and (last or (index + 1) % CHUNK_IMAGES == 0):
                progress(index + 1, len(files))

    rows = cache.write_rows(folder / "samples.npy", chunks(), "|u1", shape)
    require(rows > 0, _none_readable(name, listing.names))
    total = _count(len(files), "image")
    notes = [f"{n} of {total} {'was' if n == 1 else 'were'} {what}" for what, n in sorted(conversions.items())]
    if skipped:
        notes.insert(0, f"{len(skipped)} of {total} could not be read: {_some(skipped)}")
    labels = np.array(listing.labels, dtype=np.int64)[kept] if listing.classes else None
    cache.write_meta(folder, labels=labels, notes=notes)


def _calm(function: Callable[[Path], Result], file: Path) -> Result:
    """Call ``function(file)`` and say which file the system would not let us read."""
    try:
        return function(file)
    except OSError as error:
        raise InputError(f"{_shown(str(file))} cannot be read: {error.strerror}") from error


def _in_order(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int = CHUNK_IMAGES
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of the items, computed by the pool at most ``ahead`` items ahead."""
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


def _none_readable(name: str, names: list[str]) -> str:
    return f"{name}: none of its {_count(len(names), 'image')} can be read ({_some(names)})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _some(names: list[str] | tuple[str, ...]) -> str:
    """Return the first three names."""
    return ", ".join(_shown(name) for name in names[:3]) + ", ..." * (len(names) > 3)


def _shown(name: str) -> str:
    """Return a file name that any terminal takes (one that is not UTF-8 holds lone surrogates)."""
    return os.fsencode(name).decode("utf-8", "replace")
