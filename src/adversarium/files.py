"""Files written whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path`` that takes its name when it is complete and on the disk.

    A reader, or a run that resumes after a kill at any moment, finds the old file or the new one, never a part.

    Raises:
        OSError: it cannot be written; ``PATH: cannot be written (reason)``, with the reason's ``errno``.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    opened = inside = False
    try:
        with open(temporary, "wb") as stream:
            opened = inside = True
            yield stream
            inside = False
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        if inside and error.errno not in _OF_THE_DISK:
            raise  # of what the caller reads, or sends: it is not this file that fails
        found = OSError(f"{path}: cannot be written ({error.strerror or error})")  # the name that the user knows
        found.errno = error.errno
        raise found from error
    finally:
        if opened:
            temporary.unlink(missing_ok=True)


_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writers that were killed (only where no other process can be writing)."""
    for path in folder.rglob(".*.part"):
        path.unlink()


def sync_file(path: Path) -> None:
    """Make what was written to a file survive a power cut."""
    with open(path, "rb+") as stream:
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder survive a power cut (where folders can be opened at all)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
