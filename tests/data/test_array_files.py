"""NumPy files: what is taken, what is refused and why."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from adversarium.data import ArraySource, arrays, open_data, open_stream
from adversarium.data.arrays import standardise
from adversarium.errors import InputError

RNG = np.random.default_rng(0)
CPU = torch.device("cpu")


def pixels(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def opened(path: Path, **options: object) -> ArraySource:
    source = open_data(str(path), **options)
    assert isinstance(source, ArraySource)
    assert source.name == str(path)
    return source


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.npy"


# ---- images


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((5, 8, 8), None),
        ((5, 8, 8, 1), (0, 3, 1, 2)),
        ((5, 8, 8, 3), (0, 3, 1, 2)),
        ((5, 8, 8, 4), (0, 3, 1, 2)),
        ((5, 1, 8, 8), (0, 1, 2, 3)),
        ((5, 3, 8, 8), (0, 1, 2, 3)),
        ((3, 4, 8, 8), (0, 1, 2, 3)),
    ],
)
def test_image_layouts(file: Path, shape: tuple[int, ...], axes: tuple[int, ...] | None):
    array = pixels(*shape)
    source = opened(saved(file, array))
    expected = array[:, None] if axes is None else array.transpose(axes)
    np.testing.assert_array_equal(source.samples, expected)
    assert source.codec.sample_shape == expected.shape[1:]
    assert source.codec.is_image
    assert source.labels is None
    base = source.samples
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)  # never read whole
    assert not source.samples.flags.writeable


# ---- vectors


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_vectors_are_standardised(file: Path, dtype: str, order: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 100)  # many chunks of unequal length
    array = np.asarray(RNG.normal([3, -50, 0.1], [2, 9, 0.05], (1001, 3)), dtype=dtype, order=order)
    source = opened(saved(file, array))
    assert source.samples.dtype == np.float32
    np.testing.assert_array_equal(source.samples, array.astype(np.float32))
    seen = array.astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(source.codec.center, seen.mean(0), rtol=1e-12)
    np.testing.assert_allclose(source.codec.scale, seen.std(0), rtol=1e-12)
    batch = open_stream(source, batch_size=1001, seed=0, device=CPU).next(1001).samples
    torch.testing.assert_close(batch.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(batch.std(0, correction=0), torch.ones(3), atol=1e-5, rtol=0)
    assert source.notes == ()


def test_float32_vectors_are_mapped(file: Path):
    assert isinstance(opened(saved(file, np.eye(3, dtype=np.float32))).samples, np.memmap)


def test_a_constant_column_keeps_its_scale(file: Path):
    array = RNG.normal(size=(10, 3))
    array[:, 1] = 0.1  # its rounded variance is not 0
    source = opened(saved(file, array))
    assert source.codec.scale[1] == 1
    assert source.codec.center[1] == np.float32(0.1)
    assert source.notes == ("constant columns, centred but not scaled: 1",)
    assert (source.codec.encode(torch.from_numpy(source.samples.copy()))[:, 1] == 0).all()


def test_a_column_too_fine_for_float32_is_told(file: Path):
    array = RNG.normal([0, 1e7], 1, (100, 2))
    assert opened(saved(file, array)).notes == (
        "columns that vary so little around a large mean that float32 is coarse: 1",
    )


def test_large_foreign_vectors_go_through_the_cache(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrays, "IN_MEMORY_BYTES", 100)
    array = RNG.normal(size=(50, 3))
    saved(file, array)
    first = opened(file, cache_dir=tmp_path / "cache")
    assert isinstance(first.samples, np.memmap)
    np.testing.assert_array_equal(first.samples, array.astype(np.float32))
    assert len(list((tmp_path / "cache").iterdir())) == 1
    with monkeypatch.context() as patch:
        patch.setattr(arrays.cache, "store", None)  # the second time nothing is converted
        np.testing.assert_array_equal(opened(file, cache_dir=tmp_path / "cache").samples, first.samples)
    saved(file, array[:40])  # a changed file is another entry
    assert len(opened(file, cache_dir=tmp_path / "cache")) == 40


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf"), (1e300, "inf")])
def test_bad_values_are_named(file: Path, value: float, shown: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 100)
    array = RNG.normal(size=(100, 3))
    array[71, 2] = value
    with pytest.raises(InputError, match=f"x.npy has the value {shown} in row 71, column 2"):
        opened(saved(file, array))


def test_standardise_of_one_row():
    codec, notes = standardise(np.array([[1.0, 2.0]], dtype=np.float32), "x")
    assert codec.center == (1.0, 2.0)
    assert codec.scale == (1.0, 1.0)
    assert notes


# ---- refusals


REFUSED = {
    "ambiguous": (pixels(5, 3, 8, 3), "ambiguous"),
    "no channel axis": (pixels(5, 8, 8, 8), "neither its second nor its last axis"),
    "not square": (pixels(5, 8, 9), "9x8; only square"),
    "not square, channels": (pixels(5, 3, 8, 9), "9x8; only square"),
    "floats in 0..1": (RNG.random((5, 8, 8, 3)), r"float64.*uint8.*from 0.* to .*\(255 \* x\).round\(\).astype"),
    "floats in -1..1": (RNG.uniform(-1, 1, (5, 8, 8)), r"from -0.* to 0.*\(127.5 \* \(x \+ 1\)\).round\(\)"),
    "floats in 0..255": (255 * RNG.random((5, 8, 8)).astype("f4"), r"x.round\(\).astype\('uint8'\)"),
    "floats beyond": (np.linspace(-7, 300, 320).reshape(5, 8, 8), r"from -7 to 300: save them as scaled"),
    "int64 images": (pixels(5, 8, 8).astype(np.int64), r"int64.*must be uint8.*x.astype\('uint8'\)"),
    "uint16 images": (np.full((5, 8, 8), 9999, np.uint16), "uint16.*from 9999 to 9999"),
    "integer vectors": (np.zeros((5, 3), np.int32), r"int32.*vectors must be float.*x.astype\('float32'\)$"),
    "flat images": (pixels(5, 64), r"reshape\(-1, 8, 8\)"),
    "one axis": (np.zeros(5), r"shape \(5,\); vectors need two axes"),
    "no axis": (np.array(1.5), r"shape \(\)"),
    "five axes": (pixels(2, 2, 2, 2, 2), r"shape \(2, 2, 2, 2, 2\)"),
    "bool": (np.zeros((5, 8, 8), bool), "dtype bool"),
    "complex": (np.zeros((5, 3), complex), "dtype complex128"),
    "text": (np.array([["a", "b"]]), "dtype <U1"),
    "dates": (np.zeros((3, 3), "M8[s]"), "dtype datetime64"),
    "records": (np.zeros(3, [("a", "f4")]), "dtype"),
    "no rows": (np.zeros((0, 3), np.float32), "x.npy is empty"),
    "no columns": (np.zeros((3, 0), np.float32), "x.npy is empty"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_arrays(file: Path, case: str):
    array, words = REFUSED[case]
    with pytest.raises(InputError, match=words) as caught:
        opened(saved(file, array))
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_objects_are_never_unpickled(tmp_path: Path, suffix: str):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    file = tmp_path / f"x.{suffix}"
    array = np.array([Bomb()], dtype=object)
    np.save(file, array, allow_pickle=True) if suffix == "npy" else np.savez(file, images=array)
    with pytest.raises(InputError, match="holds Python objects, which are never unpickled"):
        opened(file)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "x.npy is not a NumPy array file"),
        (b"not an array at all", "x.npy is not a NumPy array file"),
        (b"\x93NUMPY\x01\x00\x10\x00", "x.npy is not a NumPy array file"),
        (b"\x93NUMPY\x09\x00\x10\x00", "x.npy is not a NumPy array file"),
    ],
)
def test_not_an_array_file(file: Path, content: bytes, words: str):
    file.write_bytes(content)
    with pytest.raises(InputError, match=words):
        opened(file)


def test_a_file_cut_short(file: Path):
    saved(file, pixels(5, 8, 8))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"x.npy is cut short: .* 320 bytes, but 319"):
        opened(file)


def test_size_must_agree(file: Path, tmp_path: Path):
    assert len(opened(saved(file, pixels(5, 8, 8)), size=8)) == 5
    with pytest.raises(InputError, match="8x8, which are used as they are, not resized to 16x16"):
        opened(file, size=16)
    with pytest.raises(InputError, match="holds vectors, which have no size"):
        opened(saved(tmp_path / "v.npy", np.eye(3)), size=16)


# ---- .npz


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(("key", "label_key"), [("images", "labels"), ("x", "y"), ("data", None), ("anything", "y")])
def test_npz_names(tmp_path: Path, key: str, label_key: str | None, compress: bool):
    images, labels = pixels(5, 8, 8), np.array([1, 0, 4, 1, 1], dtype=np.int16)
    content = {key: images} if label_key is None else {key: images, label_key: labels}
    (np.savez_compressed if compress else np.savez)(tmp_path / "x.npz", **content)
    source = opened(tmp_path / "x.npz")
    np.testing.assert_array_equal(source.samples[:, 0], images)
    if label_key is None:
        assert source.labels is None
        assert source.classes == ()
    else:
        assert source.labels is not None
        assert source.labels.dtype == np.int64
        assert source.labels.tolist() == labels.tolist()
        assert source.classes == ("0", "1", "2", "3", "4")


def test_identifiers_are_not_named_as_classes(tmp_path: Path):
    np.savez(tmp_path / "x.npz", vectors=np.eye(2), labels=np.array([3, 10**12]))
    source = opened(tmp_path / "x.npz")
    assert source.labels is not None
    assert source.labels.tolist() == [3, 10**12]
    assert source.classes == ()


@pytest.mark.parametrize("compress", [False, True])
def test_a_large_member_is_mapped_from_the_cache(tmp_path: Path, compress: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrays, "IN_MEMORY_BYTES", 1000)
    images, labels = pixels(50, 8, 8, 3), np.arange(50)
    file, cache = tmp_path / "x.npz", tmp_path / "cache"
    (np.savez_compressed if compress else np.savez)(file, images=images, labels=labels)
    for turn in range(2):
        source = opened(file, cache_dir=cache)
        assert isinstance(source.samples, np.memmap)
        np.testing.assert_array_equal(source.samples, images.transpose(0, 3, 1, 2))
        assert source.labels is not None
        assert source.labels.tolist() == list(range(50))
        assert len(list(cache.iterdir())) == 1
        if turn == 0:
            monkeypatch.setattr(arrays.shutil, "copyfileobj", None)  # the second time nothing is copied


def test_a_damaged_large_member_leaves_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrays, "IN_MEMORY_BYTES", 1000)
    file, cache = tmp_path / "x.npz", tmp_path / "cache"
    np.savez(file, images=pixels(50, 8, 8, 3))
    content = bytearray(file.read_bytes())
    content[3000] ^= 255
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"x.npz is not a readable .npz file: Bad CRC"):
        opened(file, cache_dir=cache)
    assert list(cache.iterdir()) == []


GOOD = np.eye(4, dtype=np.float32)
BAD_NPZ = {
    "label floats": ({"x": GOOD, "y": np.zeros(4)}, "y: labels must be integers, not float64"),
    "label axes": ({"x": GOOD, "y": np.zeros((4, 1), int)}, r"labels must be 1-D, not of the shape \(4, 1\)"),
    "label count": ({"x": GOOD, "labels": np.zeros(3, int)}, "has 3 labels, but 4 samples"),
    "negative": ({"x": GOOD, "y": np.array([0, -2, 0, 0])}, "must not be negative, but the least is -2"),
    "too large": ({"x": GOOD, "y": np.full(4, 2**64 - 1, np.uint64)}, "18446744073709551615 is too large"),
    "no labels": ({"x": GOOD, "y": np.zeros(0, int)}, "there are no labels"),
    "empty": ({"x": GOOD[:0]}, "x is empty"),
    "nothing": ({}, "has no samples, only nothing"),
    "labels only": ({"labels": np.zeros(3, int)}, "has no samples, only labels"),
    "several": ({"x_train": GOOD, "x_test": GOOD}, r"several arrays \(x_train, x_test\): call the samples 'images'"),
    "two names": ({"images": GOOD, "vectors": GOOD}, "several arrays"),
    "float images": ({"images": RNG.random((5, 8, 8))}, "x.npz: images has the dtype float64.*must be uint8"),
    "nan": ({"vectors": np.array([[0.0], [np.nan]])}, "x.npz: vectors has the value nan in row 1"),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_refused_npz(tmp_path: Path, case: str):
    content, words = BAD_NPZ[case]
    np.savez(tmp_path / "x.npz", **content)
    with pytest.raises(InputError, match=words):
        opened(tmp_path / "x.npz")


def test_not_a_zip(tmp_path: Path):
    file = tmp_path / "x.npz"
    file.write_bytes(b"this is no archive")
    with pytest.raises(InputError, match=r"x.npz is not a readable .npz file"):
        opened(file)
    np.savez(file, x=GOOD)
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"x.npz is not a readable .npz file"):
        opened(file)


def test_a_member_that_lies_about_its_length(tmp_path: Path):
    file = saved(tmp_path / "x.npy", GOOD)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", file.read_bytes().replace(b"(4, 4)", b"(9, 9)"))
    with pytest.raises(InputError, match="is damaged: its header announces"):
        opened(tmp_path / "x.npz")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.txt", "no array")
    with pytest.raises(InputError, match=r"x.txt is not a NumPy array file"):
        opened(tmp_path / "x.npz")
