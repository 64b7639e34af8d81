"""Folders of images: what is read, converted, left out and refused."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adversarium.data import ArraySource, folder, open_data
from adversarium.data.folder import open_folder
from adversarium.errors import InputError

RNG = np.random.default_rng(0)


def rgb(width: int = 8, height: int = 8) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def gray(width: int = 8, height: int = 8) -> np.ndarray:
    return RNG.integers(0, 256, (height, width), dtype=np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    path = tmp_path / "photos"
    path.mkdir()
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cache"
    monkeypatch.setenv("ADVERSARIUM_CACHE", str(path))
    return path


def put(path: Path, pixels: np.ndarray, **options: object) -> np.ndarray:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return pixels


def opened(path: Path, **options: object) -> ArraySource:
    source = open_data(str(path), **options)
    assert isinstance(source, ArraySource)
    assert source.codec.sample_shape == source.samples.shape[1:]
    assert source.samples.dtype == np.uint8
    return source


# ---- what is read


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff", "ppm", "PNG"])
def test_lossless_formats_are_read_back(photos: Path, suffix: str):
    pixels = [put(photos / f"{name}.{suffix}", rgb()) for name in "cab"]
    source = opened(photos)
    np.testing.assert_array_equal(source.samples, np.stack([pixels[1], pixels[2], pixels[0]]).transpose(0, 3, 1, 2))
    assert source.labels is None
    assert source.classes == ()
    assert source.notes == ()
    assert isinstance(source.samples, np.memmap)
    assert not source.samples.flags.writeable


def test_other_formats(photos: Path):
    smooth = np.broadcast_to(np.arange(8, dtype=np.uint8)[:, None, None] * 30, (8, 8, 3))
    put(photos / "a.jpg", smooth, quality=100)
    put(photos / "b.jpeg", smooth, quality=100)
    put(photos / "c.webp", smooth, lossless=True)
    put(photos / "d.gif", smooth)
    source = opened(photos)
    assert source.samples.shape == (4, 3, 8, 8)
    assert np.abs(source.samples.astype(int) - smooth.transpose(2, 0, 1)).max() <= 3
    assert source.notes == ()


def test_class_folders_become_labels(photos: Path):
    pixels = {name: put(photos / name, gray()) for name in ("dog/1.png", "cat/2.png", "cat/1.png", "ant/9.png")}
    (photos / "empty").mkdir()
    source = opened(photos)
    assert source.classes == ("ant", "cat", "dog")
    assert source.labels is not None
    assert source.labels.dtype == np.int64
    assert source.labels.tolist() == [0, 1, 1, 2]
    order = ("ant/9.png", "cat/1.png", "cat/2.png", "dog/1.png")
    np.testing.assert_array_equal(source.samples[:, 0], [pixels[name] for name in order])


def test_hidden_files_are_ignored_and_others_told(photos: Path):
    put(photos / "a.png", gray())
    for name in (".DS_Store", "Thumbs.db", ".hidden.png", "readme.txt", "labels.csv"):
        (photos / name).write_text("x")
    (photos / ".git").mkdir()
    put(photos / ".git" / "x.png", gray())
    source = opened(photos)
    assert len(source) == 1
    assert source.notes == ("2 files without an image's suffix ignored: labels.csv, readme.txt",)


def test_deeper_folders_are_told(photos: Path):
    put(photos / "cat" / "a.png", gray())
    (photos / "cat" / "more").mkdir()
    assert opened(photos).notes == ("folders inside sub-folders are not read: cat/more",)


# ---- what is left out


def truncated(path: Path) -> None:
    put(path, rgb(64, 64))
    path.write_bytes(path.read_bytes()[:3000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("I am not a picture.")


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def postscript(path: Path) -> None:
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n")


def floating(path: Path) -> None:
    Image.fromarray(np.zeros((64, 64), np.float32)).save(path.with_suffix(".tif"))
    path.with_suffix(".tif").rename(path)


def unwanted_format(path: Path) -> None:
    Image.fromarray(rgb(64, 64)).save(path, format="TGA")


BAD_IMAGES = [truncated, empty, text, dangling, postscript, floating, unwanted_format]


@pytest.mark.parametrize("spoil", BAD_IMAGES)
def test_a_bad_image_is_left_out_and_named(photos: Path, spoil: Callable[[Path], None]):
    pixels = [put(photos / "b" / f"{i}.png", rgb(64, 64)) for i in range(2)]
    spoil(photos / "b" / "0bad.png")
    put(photos / "c" / "0.png", rgb(64, 64))
    source = opened(photos)
    assert source.notes[0] == "1 of 4 images could not be read: b/0bad.png"
    assert source.labels is not None
    assert source.labels.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(source.samples[:2], np.stack(pixels).transpose(0, 3, 1, 2))


def test_three_bad_images_are_named_and_all_counted(photos: Path):
    put(photos / "x.png", rgb())
    for i in range(5):
        text(photos / f"{i}.png")
    assert opened(photos).notes == ("5 of 6 images could not be read: 0.png, 1.png, 2.png, ...",)


@pytest.mark.parametrize("spoil", BAD_IMAGES)
def test_only_bad_images(photos: Path, cache: Path, spoil: Callable[[Path], None]):
    spoil(photos / "a.png")
    spoil(photos / "b.png")
    with pytest.raises(InputError, match=r"photos: none of its 2 images can be read \(a.png, b.png\)"):
        opened(photos)
    assert not cache.exists() or not list(cache.iterdir())


def test_a_decompression_bomb_is_left_out(photos: Path, monkeypatch: pytest.MonkeyPatch):
    put(photos / "a.png", gray())
    put(photos / "bomb.png", gray(64, 64))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert opened(photos).notes == ("1 of 2 images could not be read: bomb.png",)


def test_a_system_error_is_not_taken_for_a_bad_image(photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    put(photos / "a.png", gray())
    put(photos / "b.png", gray())
    real = Image.open

    def closed(path: Path, **options: object) -> Image.Image:
        if path.name == "b.png":
            raise PermissionError(13, "Permission denied")
        return real(path, **options)

    monkeypatch.setattr(Image, "open", closed)
    with pytest.raises(InputError, match=r"b.png cannot be read: Permission denied"):
        opened(photos)
    assert not cache.exists()


# ---- what is converted


def test_grayscale_alone_is_one_channel(photos: Path):
    pixels = put(photos / "a.png", gray())
    put(photos / "b.png", gray() > 127)  # 1 bit
    source = opened(photos)
    assert source.samples.shape == (2, 1, 8, 8)
    np.testing.assert_array_equal(source.samples[0, 0], pixels)
    assert set(np.unique(source.samples[1])) == {0, 255}
    assert source.notes == ()


def test_grayscale_among_colour_becomes_rgb(photos: Path):
    pixels = put(photos / "a.png", gray())
    put(photos / "b.png", rgb())
    source = opened(photos)
    assert source.samples.shape == (2, 3, 8, 8)
    np.testing.assert_array_equal(source.samples[0], np.broadcast_to(pixels, (3, 8, 8)))
    assert source.notes == ("1 of 2 images was grayscale: converted to RGB",)


@pytest.mark.parametrize("suffix", ["png", "tif", "ppm"])
def test_sixteen_bits_are_scaled(photos: Path, suffix: str):
    values = np.concatenate([[0, 127, 128, 129, 257, 32767, 32768, 65406, 65407, 65535], RNG.integers(0, 65536, 246)])
    put(photos / f"a.{suffix}", values.reshape(16, 16).astype(np.uint16))
    source = opened(photos)
    np.testing.assert_array_equal(source.samples[0, 0].ravel(), np.rint(values / 257).astype(np.uint8))
    assert source.notes == ("1 of 1 image was 16 bits deep: scaled to 8 bits",)


def test_sixteen_bit_big_endian(photos: Path):
    values = RNG.integers(0, 65536, (8, 8))
    raw = values.astype(">u2").tobytes()
    Image.frombytes("I;16B", (8, 8), raw).save(photos / "a.tif")
    np.testing.assert_array_equal(opened(photos).samples[0, 0], np.rint(values / 257))


def test_sixteen_bit_colour_is_told(photos: Path):
    # Pillow cannot write one, so the PNG is put together here
    import struct
    import zlib

    values = RNG.integers(0, 65536, (16, 16, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)

    def block(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + block(b"IHDR", head) + block(b"IDAT", zlib.compress(rows)) + block(b"IEND", b"")
    (photos / "a.png").write_bytes(png)
    source = opened(photos)
    assert source.notes == ("1 of 1 image was 16 bits deep: scaled to 8 bits",)
    assert np.abs(source.samples[0].transpose(1, 2, 0) - np.rint(values / 257)).max() <= 1


def test_an_image_of_sixteen_pixels_is_not_taken_for_sixteen_bits(photos: Path):
    for suffix in ("png", "bmp", "tif", "ppm"):
        put(photos / f"a.{suffix}", rgb(16, 16))
    assert opened(photos).notes == ()


def test_alpha_is_laid_over_white(photos: Path):
    pixels = np.dstack([rgb(), gray()])
    put(photos / "a.png", pixels)
    opaque = rgb()
    put(photos / "b.png", np.dstack([opaque, np.full((8, 8), 255, np.uint8)]))
    source = opened(photos)
    alpha = pixels[:, :, 3:] / 255
    expected = pixels[:, :, :3] * alpha + 255 * (1 - alpha)
    assert np.abs(source.samples[0].transpose(1, 2, 0) - expected).max() <= 1
    np.testing.assert_array_equal(source.samples[1].transpose(1, 2, 0), opaque)
    assert source.notes == ("1 of 2 images was transparent: laid over white",)


def test_gray_alpha_stays_gray(photos: Path):
    layers = np.stack([gray(), gray()], axis=2)
    Image.merge("LA", [Image.fromarray(layers[:, :, 0]), Image.fromarray(layers[:, :, 1])]).save(photos / "a.png")
    source = opened(photos)
    assert source.samples.shape == (1, 1, 8, 8)
    alpha = layers[:, :, 1] / 255
    assert np.abs(source.samples[0, 0] - (layers[:, :, 0] * alpha + 255 * (1 - alpha))).max() <= 1


def test_a_palette_that_could_be_transparent_but_is_not(photos: Path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.save(photos / "a.png", transparency=b"\x00\xff")
    source = opened(photos)
    assert source.samples[0, :, 3, 3].tolist() == [200, 100, 50]
    assert source.notes == ()


@pytest.mark.parametrize("transparent", [False, True])
def test_palettes_become_rgb(photos: Path, transparent: bool):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.save(photos / "a.png", **({"transparency": 1} if transparent else {}))
    source = opened(photos)
    assert source.samples[0, :, 3, 3].tolist() == ([255, 255, 255] if transparent else [200, 100, 50])
    assert bool(source.notes) == transparent


def test_a_transparent_colour_of_rgb_and_gray(photos: Path):
    Image.new("RGB", (8, 8), (1, 2, 3)).save(photos / "a.png", transparency=(1, 2, 3))
    Image.new("L", (8, 8), 9).save(photos / "b.png", transparency=9)
    assert opened(photos).samples.min() == 255


def test_cmyk_becomes_rgb(photos: Path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(photos / "a.tif")
    assert opened(photos).samples[0, :, 0, 0].tolist() == [255, 0, 0]


def test_the_first_of_several_frames_is_taken(photos: Path):
    frames = [Image.new("L", (8, 8), level) for level in (0, 255)]
    frames[0].save(photos / "a.gif", save_all=True, append_images=frames[1:])
    source = opened(photos)
    assert source.samples.max() == 0
    assert source.notes == ("1 of 1 image was of several frames: the first is taken",)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(photos: Path, orientation: int):
    # the eight symmetries, written as arrays: where the pixels of the upright image are in the stored one
    store = {
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.T,
        6: lambda x: np.rot90(x),
        7: lambda x: x[::-1, ::-1].T,
        8: lambda x: np.rot90(x, -1),
    }
    upright = gray()
    exif = Image.Exif()
    exif[0x0112] = orientation
    put(photos / "a.png", np.ascontiguousarray(store[orientation](upright)), exif=exif)
    np.testing.assert_array_equal(opened(photos).samples[0, 0], upright)


# ---- sizes


def test_several_sizes_need_a_size(photos: Path):
    put(photos / "a.png", rgb(64, 48))
    put(photos / "b.png", rgb(32, 32))
    words = r"several sizes \(a.png is 64x48 and b.png is 32x32\): give --size .* --size 32, 64 or 128"
    with pytest.raises(InputError, match=words):
        opened(photos)
    assert opened(photos, size=32).samples.shape == (2, 3, 32, 32)


def test_oblong_images_need_a_size(photos: Path):
    put(photos / "a.png", rgb(64, 48))
    with pytest.raises(InputError, match=r"not square \(a.png is 64x48\): give --size"):
        opened(photos)


@pytest.mark.parametrize("size", [0, -3])
def test_size_must_be_positive(photos: Path, size: int):
    put(photos / "a.png", rgb())
    with pytest.raises(InputError, match=f"size is {size}; it must be at least 1"):
        opened(photos, size=size)


def test_the_centre_is_cropped(photos: Path):
    wide, tall = put(photos / "a.png", rgb(13, 8)), put(photos / "b.png", rgb(8, 11))
    source = opened(photos, size=8)
    np.testing.assert_array_equal(source.samples[0].transpose(1, 2, 0), wide[:, 2:10])
    np.testing.assert_array_equal(source.samples[1].transpose(1, 2, 0), tall[1:9])
    assert source.notes == ()


def test_resizing_antialiases(photos: Path):
    # a fine checkerboard: without a filter its squares would survive, with one only their mean does
    put(photos / "a.png", (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8))
    assert np.abs(opened(photos, size=16).samples.astype(int) - 127.5).max() < 8


def test_resizing_is_that_of_the_whole_image(photos: Path):
    pixels = put(photos / "a.png", rgb(96, 48))
    whole = Image.fromarray(pixels).resize((32, 16), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(opened(photos, size=16).samples[0].transpose(1, 2, 0), np.asarray(whole)[:, 8:24])


def test_enlarging_is_told(photos: Path):
    put(photos / "a.png", rgb(8, 30))
    put(photos / "b.png", rgb(16, 16))
    assert opened(photos, size=16).notes == ("1 of 2 images was smaller than the wanted size: enlarged",)


# ---- refusals


def test_images_beside_classes(photos: Path):
    put(photos / "a.png", gray())
    put(photos / "cat" / "b.png", gray())
    with pytest.raises(InputError, match=r"images of its own \(a.png\) and images in sub-folders \(cat\)"):
        opened(photos)


def test_no_images(photos: Path):
    with pytest.raises(InputError, match=r"photos has no images \(bmp gif jpeg jpg png"):
        opened(photos)
    (photos / "x.heic").touch()
    put(photos / "train" / "y.txt", gray(), format="png")
    (photos / "train" / "cat").mkdir()
    words = r"it has other files \(x.heic, train/y.txt\); folders two levels down are not read \(train/cat\)"
    with pytest.raises(InputError, match=words):
        opened(photos)


def test_a_folder_that_cannot_be_listed(tmp_path: Path):
    with pytest.raises(InputError, match="cannot be listed"):
        open_folder(tmp_path / "nowhere")


# ---- the cache


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("an image was opened")

    monkeypatch.setattr(folder, "decode", forbidden)
    monkeypatch.setattr(folder, "read_header", forbidden)
    monkeypatch.setattr(Image, "open", forbidden)


def test_the_second_opening_opens_no_image(photos: Path, monkeypatch: pytest.MonkeyPatch):
    put(photos / "a" / "1.png", gray())
    put(photos / "b" / "2.png", rgb())
    text(photos / "b" / "3.png")
    first = opened(photos)
    forbid_decoding(monkeypatch)
    second = opened(photos)
    np.testing.assert_array_equal(first.samples, second.samples)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert second.classes == ("a", "b")
    assert second.notes == first.notes
    assert len(second.notes) == 2


def change_content(photos: Path) -> None:
    put(photos / "a.png", gray())


def change_time(photos: Path) -> None:
    os.utime(photos / "a.png", ns=(1, 1))


def change_name(photos: Path) -> None:
    (photos / "a.png").rename(photos / "z.png")


def change_name_not_order(photos: Path) -> None:
    (photos / "b.png").rename(photos / "c.png")


def change_length_not_time(photos: Path) -> None:
    before = (photos / "a.png").stat()
    put(photos / "a.png", np.zeros((8, 8), np.uint8))
    os.utime(photos / "a.png", ns=(before.st_atime_ns, before.st_mtime_ns))


def add(photos: Path) -> None:
    put(photos / "c.png", gray())


def remove(photos: Path) -> None:
    (photos / "b.png").unlink()


CHANGES = [change_content, change_time, change_name, change_name_not_order, change_length_not_time, add, remove]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_folder_is_decoded_anew(photos: Path, cache: Path, change: Callable[[Path], None]):
    for name in "ab":
        put(photos / f"{name}.png", gray())
    opened(photos)
    change(photos)
    source = opened(photos)
    expected = [np.asarray(Image.open(path)) for path in sorted(photos.iterdir())]
    np.testing.assert_array_equal(source.samples[:, 0], expected)
    assert len(list(cache.iterdir())) == 2


def test_each_size_is_an_entry_of_its_own(photos: Path, cache: Path):
    put(photos / "a.png", gray(16, 16))
    assert [opened(photos, size=size).samples.shape[-1] for size in (8, None, 8, 12)] == [8, 16, 8, 12]
    assert len(list(cache.iterdir())) == 3


def test_a_given_cache_folder_is_used(photos: Path, tmp_path: Path, cache: Path):
    put(photos / "a.png", gray())
    opened(photos, cache_dir=tmp_path / "mine" / "deep")
    assert (tmp_path / "mine" / "deep").is_dir()
    assert not cache.exists()


def test_progress_and_chunks(photos: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder, "CHUNK_IMAGES", 4)
    pixels = [put(photos / f"{i:02}.png", gray()) for i in range(11)]
    text(photos / "11.png")  # the last one: what is before it must still be written
    calls: list[tuple[int, int]] = []
    source = open_folder(photos, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(4, 12), (8, 12), (12, 12)]
    np.testing.assert_array_equal(source.samples[:, 0], pixels)


def test_names_that_are_no_unicode(photos: Path):
    put(photos / "a.png", gray())
    (photos / os.fsdecode(b"b\xff.png")).write_text("no image")
    notes = opened(photos).notes
    notes[0].encode()  # can be printed
    assert "could not be read: b" in notes[0]
