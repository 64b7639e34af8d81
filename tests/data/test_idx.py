"""IDX files, written here and read back; and the digits that come with the package."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from adversarium.data import ArraySource, open_data
from adversarium.data.idx import open_idx
from adversarium.errors import InputError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 6, 6), dtype=np.uint8)
LABELS = np.array([3, 0, 2, 2, 1], dtype=np.uint8)


def idx(array: np.ndarray) -> bytes:
    """The format: two zero bytes, 8 for unsigned bytes, the number of axes, their lengths, the values."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def put(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


SPELLINGS = [
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz"),
    ("qmnist-test-images-idx3-ubyte.gz", "qmnist-test-labels-idx1-ubyte"),
    ("emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters-train-labels-idx1-ubyte.gz"),
]


@pytest.mark.parametrize(("images", "labels"), SPELLINGS)
def test_read_back(tmp_path: Path, images: str, labels: str):
    put(tmp_path, images, idx(PIXELS))
    put(tmp_path, labels, idx(LABELS))
    source = open_data(str(tmp_path))
    assert isinstance(source, ArraySource)
    assert source.name == str(tmp_path)
    np.testing.assert_array_equal(source.samples[:, 0], PIXELS)
    np.testing.assert_array_equal(source.labels, LABELS)
    assert source.labels.dtype == np.int64
    assert source.classes == ("0", "1", "2", "3")
    assert source.codec.sample_shape == (1, 6, 6)
    assert bool(source.notes) == images.startswith("emnist")


def test_labels_are_optional_and_the_train_split_is_preferred(tmp_path: Path):
    put(tmp_path, "t10k-images-idx3-ubyte", idx(PIXELS[:2]))
    put(tmp_path, "t10k-labels-idx1-ubyte", idx(LABELS[:2]))
    put(tmp_path, "train-images-idx3-ubyte.gz", idx(PIXELS))
    source = open_idx(tmp_path)
    assert len(source) == 5
    assert source.labels is None
    assert source.classes == ()


def test_a_plain_file_wins_over_its_compressed_twin(tmp_path: Path):
    put(tmp_path, "train-images-idx3-ubyte", idx(PIXELS))
    put(tmp_path, "train-images-idx3-ubyte.gz", b"torchvision keeps both")
    source = open_idx(tmp_path)
    assert isinstance(source.samples.base, np.memmap)  # and is mapped, not read
    np.testing.assert_array_equal(source.samples[:, 0], PIXELS)


def header(*shape: int) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)


IMAGES, LABEL_FILE = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
BAD = {
    "magic": ({IMAGES: idx(LABELS) + b"1234567890"}, "train-images-idx3-ubyte.* wrong magic number 0x00000801"),
    "float": ({IMAGES: b"\0\0\x0d\x03" + idx(PIXELS)[4:]}, "wrong magic number 0x00000d03.*begins with 0x00000803"),
    "label magic": ({IMAGES: idx(PIXELS), LABEL_FILE: idx(PIXELS)}, "train-labels-idx1-ubyte.* wrong magic number"),
    "short": ({IMAGES: idx(PIXELS)[:-1]}, "train-images-idx3-ubyte is cut short.*180 bytes, but 179"),
    "short header": ({IMAGES: idx(PIXELS)[:9]}, "train-images-idx3-ubyte is cut short.*9 bytes"),
    "nothing": ({IMAGES: b""}, "cut short"),
    "trailing": ({IMAGES: idx(PIXELS) + b"\0"}, "train-images-idx3-ubyte has trailing bytes"),
    "short inside gzip": ({IMAGES + ".gz": idx(PIXELS)[:-1]}, "idx3-ubyte.gz is cut short.*180 bytes, but 179"),
    "trailing inside gzip": ({IMAGES + ".gz": idx(PIXELS) + b"\0\0"}, "idx3-ubyte.gz has trailing bytes"),
    "a false size": ({IMAGES + ".gz": header(2**31, 2**15, 2**15) + b"\0" * 99}, "cut short.*but 99 follow"),
    "count": (
        {IMAGES: idx(PIXELS), LABEL_FILE: idx(LABELS[:-1])},
        "train-labels-idx1-ubyte has 4 labels, but train-images-idx3-ubyte has 5",
    ),
    "empty": ({IMAGES: header(0, 28, 28)}, "train-images-idx3-ubyte is empty"),
    "not square": ({IMAGES: idx(PIXELS[:, :, :5])}, "5x6; only square"),
    "two data sets": (
        {"emnist-a-train-images-idx3-ubyte": idx(PIXELS), "emnist-b-train-images-idx3-ubyte": idx(PIXELS)},
        "several data sets.*emnist-a.*emnist-b",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files(tmp_path: Path, case: str):
    files, words = BAD[case]
    for name, content in files.items():
        put(tmp_path, name, content)
    with pytest.raises(InputError, match=words):
        open_data(str(tmp_path))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-30], "idx3-ubyte.gz is cut short: the compressed data end"),
        (lambda data: data[:-3], "cut short: the compressed data end"),
        (lambda data: data[:-8] + bytes(8), "idx3-ubyte.gz cannot be read: CRC"),
        (lambda data: data[:10] + b"\xff" + data[11:], "idx3-ubyte.gz cannot be read: .* invalid block type"),
        (lambda data: b"plain", "idx3-ubyte.gz cannot be read: Not a gzipped file"),
        (lambda data: data + b"junk", "idx3-ubyte.gz cannot be read: Not a gzipped file"),
    ],
)
def test_damaged_gzip(tmp_path: Path, damage, words: str):
    (tmp_path / f"{IMAGES}.gz").write_bytes(damage(gzip.compress(idx(PIXELS), mtime=0)))
    with pytest.raises(InputError, match=words):
        open_data(str(tmp_path))


def test_a_folder_without_idx_files(tmp_path: Path):
    with pytest.raises(InputError, match="no IDX files"):
        open_idx(tmp_path)


def test_mnist_is_the_published_test_split():
    source = open_data("mnist")
    assert isinstance(source, ArraySource)
    assert source.samples.shape == (10_000, 1, 28, 28)
    assert source.samples.dtype == np.uint8
    assert source.codec.sample_shape == (1, 28, 28)
    assert source.notes == ()
    assert source.classes == tuple("0123456789")
    assert source.labels is not None
    assert source.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(source.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # the often-quoted mean and deviation of the test images
    assert round(source.samples.mean() / 255, 4) == 0.1325
    assert round(source.samples.std() / 255, 4) == 0.3105
