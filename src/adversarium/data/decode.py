"""One image file to one uint8 array. Imports Pillow, so it is imported only when images are opened."""

import errno
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
"""What Pillow may take a file for. Without the list, a file named .png could start Ghostscript."""

GRAY_TO_RGB = "grayscale: converted to RGB"
SIXTEEN_BIT = "16 bits deep: scaled to 8 bits"
TRANSPARENT = "transparent: laid over white"
SEVERAL_FRAMES = "of several frames: the first is taken"
ENLARGED = "smaller than the wanted size: enlarged"

NOT_THE_IMAGES_FAULT = frozenset(
    {errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ETIMEDOUT}
)
"""Errors of the system, that another try may not meet: raised, while a damaged file is left out for good."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the image upright."""


class Header(NamedTuple):
    """What the first bytes of an image say."""

    width: int
    height: int
    gray: bool


class Decoded(NamedTuple):
    """An image as uint8 ``[C, H, W]``, and what was done to it on the way."""

    pixels: npt.NDArray[np.uint8]
    conversions: tuple[str, ...]


def read_header(path: Path) -> Header | None:
    """Return the size and kind of an image without decoding it, or ``None`` when it is damaged.

    Raises:
        OSError: the system would not let the file be read.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            return Header(image.width, image.height, _is_gray(image))
    except Exception as error:  # on bad files Pillow raises OSError, SyntaxError, ValueError, struct.error, ...
        _reraise_foreign(error)
        return None


def decode(path: Path, channels: int, size: int | None) -> Decoded | None:
    """Decode an image, or return ``None`` when it is damaged or neither 8 nor 16 bits deep.

    EXIF orientation is applied; 16-bit values become round(x / 257) (of 16-bit *colour* Pillow itself keeps the upper
    8 bits, at most one level away); transparency is laid over white; of several frames the first is taken. With
    ``size`` the shorter side is resized to it, by an antialiasing Lanczos filter, and the centre cropped.

    Args:
        path: the file.
        channels: 1 or 3.
        size: the wanted width and height, or ``None`` for the image's own.

    Raises:
        OSError: the system would not let the file be read.
    """
    done = []
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.mode.startswith("I") or _sixteen_bit_color(image):
                done.append(SIXTEEN_BIT)
            if getattr(image, "is_animated", False):
                done.append(SEVERAL_FRAMES)
            if channels == 3 and _is_gray(image):
                done.append(GRAY_TO_RGB)
            turn = _turn(image)
            upright = _eight_bit(image)
            if turn is not None:
                upright = upright.transpose(turn)
            opaque, transparent = _over_white(upright)
            if transparent:
                done.append(TRANSPARENT)
            final = opaque.convert("L" if channels == 1 else "RGB")
            if size is not None and final.size != (size, size):
                short = min(final.size)
                if short < size:
                    done.append(ENLARGED)
                # resizing only the box that will be left after the crop gives the same pixels
                left, top = (final.width - short) // 2, (final.height - short) // 2
                box = (left, top, left + short, top + short)
                final = final.resize((size, size), Image.Resampling.LANCZOS, box=box)
            return Decoded(np.atleast_3d(np.asarray(final)).transpose(2, 0, 1), tuple(done))
    except Exception as error:
        _reraise_foreign(error)
        return None


def _reraise_foreign(error: Exception) -> None:
    """Raise what is not the image's fault."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in NOT_THE_IMAGES_FAULT):
        raise error


def _is_gray(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")


def _sixteen_bit_color(image: Image.Image) -> bool:
    """Whether the file has 16 bits a channel, of which Pillow reads the upper 8."""
    assert isinstance(image, ImageFile)
    # the arguments of the decoder begin with, or are, the raw mode: RGB;16B (but a BMP's BGR;16 is 5 + 6 + 5 bits)
    return any(re.search(r";16[BLN]", str(tile[3])) for tile in image.tile)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return the turn that the EXIF orientation asks for. Broken EXIF data does not make an image unreadable."""
    try:
        return TURNS.get(image.getexif().get(0x0112, 1))
    except Exception:
        return None


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return the image with 8 bits a channel, 16-bit grayscale scaled."""
    if image.mode.startswith("I"):
        # the mode I has 32 bits, but from PNG and PPM it holds 16-bit values
        if image.mode == "I" and image.format not in ("PNG", "PPM"):
            raise ValueError("32-bit image")
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))  # round(x / 257)
    if image.mode == "F":
        raise ValueError("floating-point image")
    image.load()
    return image


def _over_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """Return the image without an alpha channel, and whether any of it was transparent."""
    if not image.has_transparency_data:
        return image, False
    gray = _is_gray(image)
    layered = image.convert("LA" if gray else "RGBA")
    color, alpha = layered.convert("L" if gray else "RGB"), layered.getchannel("A")
    if np.asarray(alpha).min() == 255:
        return color, False
    return Image.composite(color, Image.new(color.mode, color.size, "white"), alpha), True
