"""The head of a ``.npy`` file: what is in it, before anything is read or mapped."""

import math
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from adversarium.errors import InputError, require


@runtime_checkable
class Readable(Protocol):
    """An open binary file, also one inside an archive."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        ...

    def tell(self) -> int:
        """Return the position."""
        ...


class Head(NamedTuple):
    """What the header of an array says."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int  # of the data, in bytes

    @property
    def data_bytes(self) -> int:
        """The length of the data."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_head(file: Readable, what: str) -> Head:
    """Read the header of an array from an open file, ``what`` being its name.

    Raises:
        InputError: it is no ``.npy`` data, or holds Python objects (which would have to be unpickled).
    """
    try:
        version = np.lib.format.read_magic(file)
        # version 3 is for field names that are not Latin: no array of numbers has it
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except (ValueError, EOFError) as error:
        raise InputError(f"{what} is not a NumPy array file: {str(error).splitlines()[0]}") from error
    require(
        not dtype.hasobject,
        f"{what} holds Python objects, which are never unpickled: save one array of numbers of a single shape",
    )
    return Head(shape, dtype, file.tell())


def open_map(path: Path) -> npt.NDArray[Any]:
    """Map a ``.npy`` file into memory, read-only.

    Raises:
        InputError: it cannot be read, is no ``.npy`` file, is cut short, empty, or holds Python objects.
    """
    try:
        with path.open("rb") as file:
            head = read_head(file, str(path))
        found = path.stat().st_size - head.start
        require(
            found >= head.data_bytes,
            f"{path} is cut short: its header announces {head.shape}, {head.data_bytes} bytes, but {found} follow",
        )
        require(head.data_bytes > 0, f"{path} is empty: its shape is {head.shape}")
        return np.lib.format.open_memmap(path, mode="r")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from error
