"""Samples of a trained generator, to arrays and files."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from adversarium.data import Codec
from adversarium.errors import InputError, require
from adversarium.files import atomic_write
from adversarium.train import pictures
from adversarium.train.build import build_generator, known, resolve
from adversarium.train.checkpoint import load, load_newest, newest_first, restore_module
from adversarium.train.folder import RunFolder
from adversarium.train.precision import resolve_device

CHUNK = 256
"""Codes are drawn this many at a time, so that the first samples of a seed do not depend on how many are asked for."""


@dataclass(frozen=True)
class TrainedGenerator:
    """A generator read from a run."""

    module: nn.Module
    codec: Codec
    latent_dim: int
    device: torch.device
    problems: tuple[str, ...]
    checkpoint: Path
    images: int


def load_generator(
    path: Path, *, average: bool = True, checkpoint: Path | None = None, device: str = "auto"
) -> TrainedGenerator:
    """Return a run's generator: the average (EMA) or the one that was trained, of the newest whole checkpoint.

    ``checkpoint`` names another file, or is ``Path("best")``: the one that was best by the run's own protocol.

    Raises:
        InputError: no run, no usable checkpoint, or one of other networks.
    """
    folder = RunFolder.open(path)
    codec, where = folder.codec(), resolve_device(device)
    # whatever device the run was trained on, it is sampled on this one
    config = resolve(dataclasses.replace(folder.config(), device=device), codec)
    if checkpoint is not None:
        checkpoint = _best(folder) if str(checkpoint) == "best" else checkpoint
        require(checkpoint.is_file(), f"{checkpoint}: no such file")
        problems: list[str] = []
        found = load(checkpoint)
    else:
        found, problems = load_newest(folder.checkpoints)
    module = build_generator(config, codec).eval().requires_grad_(False)
    restore_module(module, found.part("ema" if average else "generator"), "generator", found.path)
    return TrainedGenerator(
        module.to(where), codec, known(config.latent_dim), where,
        tuple(f"{problem}; using {found.path.name}" for problem in problems),
        found.path, found.counters["images"],
    )  # fmt: skip


def _best(folder: RunFolder) -> Path:
    found = newest_first(folder.best)
    require(
        bool(found),
        f"{folder.path}: has no best checkpoint; it would if it had been trained with --evaluate PROTOCOL",
    )
    return found[0]


@torch.no_grad()
def generate(module: nn.Module, codec: Codec, codes: Tensor) -> npt.NDArray[Any]:
    """Return decoded samples for codes ``[n, latent_dim]``: uint8 ``[n, C, H, W]`` or float32 ``[n, D]``.

    The module is evaluated in float32 and in evaluation mode, in batches, and left in the mode it was in.
    """
    training = module.training
    device = next(module.parameters()).device
    module.eval()
    try:
        parts = [codec.decode(module(part.to(device))).cpu().numpy() for part in codes.split(CHUNK)]
    finally:
        module.train(training)
    return np.concatenate(parts)


def sample_run(trained: TrainedGenerator, n: int, seed: int) -> npt.NDArray[Any]:
    """Return ``n`` samples: uint8 ``[n, C, H, W]`` or float32 ``[n, D]``, the same for the same seed.

    Raises:
        InputError: ``n`` below 1.
    """
    require(n >= 1, f"n is {n}: wanted at least 1")
    return draw_samples(trained.module, trained.codec, trained.latent_dim, n, seed)


def draw_samples(module: nn.Module, codec: Codec, latent_dim: int, n: int, seed: int) -> npt.NDArray[Any]:
    """Return ``n`` samples of a generator as :func:`sample_run` does; more of one seed begin with the same ones."""
    rng = torch.Generator().manual_seed(seed)
    parts = []
    for start in range(0, n, CHUNK):
        codes = torch.randn(CHUNK, latent_dim, generator=rng)[: n - start]
        parts.append(generate(module, codec, codes))
    return np.concatenate(parts)


def sheet_codes(latent_dim: int, seed: int, *, is_image: bool) -> Tensor:
    """Return the codes of a run's own pictures, the same at every interval: 100 images, or 2,000 points."""
    count = 100 if is_image else 2000
    return torch.randn(count, latent_dim, generator=torch.Generator().manual_seed(seed))


def check_writable(path: Path, *, force: bool) -> None:
    """Refuse a file that samples cannot be written to, before they are drawn.

    Raises:
        InputError: a suffix that is neither ``.png`` nor ``.npz``, or a file that exists (unless ``force``).
    """
    if path.suffix not in (".png", ".npz"):
        raise InputError(f"--out {path}: wanted a name that ends in .png or .npz")
    if path.exists() and not force:
        raise InputError(f"--out {path}: exists already; take another name, or --force")


def write_samples(path: Path, samples: npt.NDArray[Any], *, force: bool = False) -> None:
    """Write samples: to ``.png`` as a grid (vectors as a scatter), to ``.npz`` as an array.

    In a ``.npz`` images stand as ``images``, uint8 ``[N, H, W, C]``, vectors as ``vectors``, float32 ``[N, D]``.

    Raises:
        InputError: as ``check_writable``.
    """
    check_writable(path, force=force)
    path.parent.mkdir(parents=True, exist_ok=True)
    is_image = samples.ndim == 4
    if path.suffix == ".npz":
        arrays = {"images": samples.transpose(0, 2, 3, 1)} if is_image else {"vectors": samples.astype(np.float32)}
        with atomic_write(path) as stream:
            np.savez_compressed(stream, **arrays)
    elif is_image:
        pictures.write_image(path, pictures.grid_of(samples))
    else:
        pictures.write_scatter(path, samples)
