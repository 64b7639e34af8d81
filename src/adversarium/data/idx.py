"""Folders in MNIST's IDX format (LeCun et al., http://yann.lecun.com/exdb/mnist), plain or compressed; and MNIST."""

import dataclasses
import gzip
import math
import os
import re
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from adversarium.data.source import ArraySource, Codec
from adversarium.errors import InputError, require

IMAGES_MAGIC = 0x00000803  # unsigned bytes, three axes
LABELS_MAGIC = 0x00000801  # unsigned bytes, one axis
NAME = re.compile(r"(?P<prefix>.*?)(?P<split>train|t10k|test)-images[-.]idx3-ubyte(?P<gz>\.gz)?", re.IGNORECASE)
BLOCK = 1 << 20


class Split(NamedTuple):
    """The images file of one split of one data set."""

    prefix: str
    split: str
    path: Path


def mnist() -> ArraySource:
    """Return the first 10,000 digits of MNIST: its published test split, which comes with the package.

    LeCun, Bottou, Bengio, Haffner 1998, Gradient-based learning applied to document recognition. uint8
    ``[10000, 1, 28, 28]`` with the labels 0 to 9.
    """
    (split,) = find_splits(Path(__file__).parent / "mnist")
    return _read(split, "mnist")


def find_splits(folder: Path) -> list[Split]:
    """Return the IDX image files of a folder, sorted. Where a file is there plain and compressed, the plain one."""
    found: dict[tuple[str, str], Path] = {}
    for name in sorted(os.listdir(folder)):  # plain names sort before the same ones with .gz
        if match := NAME.fullmatch(name):
            found.setdefault((match["prefix"], match["split"].lower()), folder / name)
    return [Split(prefix, split, path) for (prefix, split), path in found.items()]


def open_idx(folder: Path, *, name: str | None = None) -> ArraySource:
    """Open the train split of a folder of IDX files, with its test split, or the test split where that is all.

    Images are named ``train-images-idx3-ubyte`` or ``train-images.idx3-ubyte`` (or ``t10k-``, or ``test-``), with an
    optional prefix (``emnist-letters-``) and an optional ``.gz``; labels beside them are named alike, and optional.

    Raises:
        InputError: there are no IDX images or several data sets, or a file is damaged (named with its defect).
    """
    splits = find_splits(folder)
    require(bool(splits), f"{folder} has no IDX files (such as train-images-idx3-ubyte.gz)")
    prefixes = sorted({split.prefix for split in splits})
    names = ", ".join(split.path.name for split in splits)
    require(len(prefixes) == 1, f"{folder} has the IDX files of several data sets ({names}): give each a folder")
    chosen = next((split for split in splits if split.split == "train"), splits[0])
    others = [split for split in splits if split is not chosen]
    name = str(folder) if name is None else name
    test = _read(others[0], f"{name} ({others[0].split})") if others else None
    source = _read(chosen, name)
    if test is not None and test.samples.shape[1:] != source.samples.shape[1:]:
        raise InputError(
            f"{others[0].path} has images of shape {list(test.samples.shape[1:])}, and {chosen.path.name} of "
            f"{list(source.samples.shape[1:])}: wanted the same size in both"
        )
    return dataclasses.replace(source, test=test)


def _read(split: Split, name: str) -> ArraySource:
    images = _read_file(split.path, IMAGES_MAGIC)
    count, height, width = images.shape
    require(height == width, f"{split.path} has images of {width}x{height}; only square ones can be used")
    notes = []
    if split.prefix.lower().startswith("emnist"):
        notes.append("EMNIST stores its images transposed; they are used as stored")
    labels = None
    classes: tuple[str, ...] = ()
    if label_path := _labels_beside(split.path):
        labels = _read_file(label_path, LABELS_MAGIC).astype(np.int64)
        require(
            len(labels) == count, f"{label_path} has {len(labels)} labels, but {split.path.name} has {count} images"
        )
        classes = tuple(str(label) for label in range(int(labels.max()) + 1))
    return ArraySource(name, images[:, None], Codec((1, height, width)), labels, classes, tuple(notes))


def _labels_beside(images: Path) -> Path | None:
    """Return the file of the labels that belong to a file of images, in any of its spellings."""
    match = NAME.fullmatch(images.name)
    assert match is not None
    stem = f"{match['prefix']}{match['split']}-labels"
    names = [f"{stem}{dot}idx1-ubyte{gz}" for gz in (match["gz"] or "", "", ".gz") for dot in "-."]
    return next((path for path in map(images.with_name, names) if path.is_file()), None)


def _read_file(path: Path, magic: int) -> npt.NDArray[np.uint8]:
    """Return the array of an IDX file: a map of a plain one, the content of a compressed one."""
    axes = magic & 0xFF
    start = 4 + 4 * axes
    try:
        compressed = path.suffix.lower() == ".gz"
        with gzip.open(path) if compressed else path.open("rb") as file:
            header = file.read(start)
            require(
                len(header) < 4 or int.from_bytes(header[:4], "big") == magic,
                f"{path} has the wrong magic number 0x{header[:4].hex()}: an IDX file of bytes with {axes} "
                f"{'axes' if axes > 1 else 'axis'} begins with 0x{magic:08x}",
            )
            require(len(header) == start, f"{path} is cut short: its header ends after {len(header)} bytes")
            shape = tuple(int.from_bytes(header[i : i + 4], "big") for i in range(4, start, 4))
            size = math.prod(shape)
            if compressed:
                content = bytearray()
                # in blocks, so that a false size in the header cannot ask for more memory than the file fills
                while len(content) <= size and (block := file.read(min(BLOCK, size + 1 - len(content)))):
                    content += block
                found = len(content)
            else:
                found = path.stat().st_size - start
    except EOFError as error:
        raise InputError(f"{path} is cut short: the compressed data end too early") from error
    except (OSError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    require(found >= size, f"{path} is cut short: its header announces {shape}, {size} bytes, but {found} follow")
    require(found <= size, f"{path} has trailing bytes after the {size} that its header announces, {shape}")
    require(size > 0, f"{path} is empty: its header announces {shape}")
    if compressed:
        return np.frombuffer(content, np.uint8).reshape(shape)
    return np.memmap(path, dtype=np.uint8, mode="r", offset=start, shape=shape)
