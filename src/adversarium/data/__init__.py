"""What is learned: toy distributions, arrays, IDX files and folders of images, and the seeded stream of batches."""

from collections.abc import Callable
from pathlib import Path

from adversarium.data.arrays import open_array
from adversarium.data.conditions import Conditions, conditions_of
from adversarium.data.idx import find_splits, mnist, open_idx
from adversarium.data.latent import Latent, Prior
from adversarium.data.noise import InstanceNoise, NoisyCritic, instance_noise, noisy
from adversarium.data.source import ArraySource, Codec, Density, Source
from adversarium.data.split import default_share, splits
from adversarium.data.stream import Batch, Stream, open_stream
from adversarium.data.toys import gaussians8, gaussians25, grid, ring, swiss_roll
from adversarium.errors import InputError, nearest, require

__all__ = [
    "DATASETS",
    "ArraySource",
    "Batch",
    "Codec",
    "Conditions",
    "Density",
    "InstanceNoise",
    "Latent",
    "NoisyCritic",
    "Prior",
    "Source",
    "Stream",
    "conditions_of",
    "default_share",
    "instance_noise",
    "noisy",
    "open_data",
    "open_stream",
    "splits",
]

DATASETS: dict[str, Callable[[], Source]] = {
    "mnist": mnist,
    "ring": ring,
    "grid": grid,
    "gaussians8": gaussians8,
    "gaussians25": gaussians25,
    "swiss_roll": swiss_roll,
}
"""The builtin data sets; none is downloaded."""


def open_data(
    spec: str,
    *,
    size: int | None = None,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Source:
    """Open what the user named.

    Args:
        spec: a builtin name (a member of ``DATASETS``; ``./mnist`` is a folder), a folder with MNIST-style IDX files,
            a folder of images, or an ``.npz`` or ``.npy`` file.
        size: the wanted width and height of the images. Only image files are resized to it.
        cache_dir: where decoded images are kept (``~/.cache/adversarium`` by default).
        progress: called while image files are decoded, with the number done and in all.

    Raises:
        InputError: there is nothing of that name, or it cannot be used; the message says why and what to do.
    """
    if spec in DATASETS:
        return _of_size(DATASETS[spec](), size)
    path = Path(spec).expanduser()
    try:
        is_folder, is_file = bool(spec) and path.is_dir(), path.is_file()
        holds_idx = is_folder and bool(find_splits(path))
    except OSError as error:
        raise InputError(f"{spec!r} cannot be opened: {error}") from error
    if holds_idx:
        return _of_size(open_idx(path, name=spec), size)
    if is_folder:
        from adversarium.data.folder import open_folder  # imports Pillow

        return open_folder(path, name=spec, size=size, cache_dir=cache_dir, progress=progress)
    if is_file and path.suffix.lower() in (".npz", ".npy"):
        return _of_size(open_array(path, name=spec, cache_dir=cache_dir), size)
    names = ", ".join(DATASETS)
    works = f"give a builtin name ({names}), a folder of images, a folder with IDX files, or an .npz or .npy file"
    if is_file:
        raise InputError(f"{spec!r} is a file of a kind that cannot be read; {works}")
    raise InputError(f"unknown data {spec!r}{nearest(spec, DATASETS)}; there is no such file or folder; {works}")


def _of_size(source: Source, size: int | None) -> Source:
    """Return the source when it has the wanted size; it is not resized, since only image files are."""
    if size is None:
        return source
    require(source.codec.is_image, f"{source.name!r} holds vectors, which have no size: leave --size out")
    _, height, width = source.codec.sample_shape
    require(
        size == height,
        f"{source.name!r} holds images of {width}x{height}, which are used as they are, not resized to {size}x{size}: "
        "leave --size out, or give the images as a folder of files, which are resized",
    )
    return source
