"""Samples of a trained generator, to arrays and files."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from adversarium.data import Codec, Conditions
from adversarium.data.arrays import as_conditions
from adversarium.data.npy import open_map
from adversarium.errors import output_file, require
from adversarium.features import eval_mode
from adversarium.files import atomic_write
from adversarium.train import pictures
from adversarium.train.build import build_generator
from adversarium.train.checkpoint import load, load_newest, newest_first, restore_module
from adversarium.train.feed import Feed
from adversarium.train.folder import RunFolder
from adversarium.train.precision import resolve_device
from adversarium.train.resolve import prior_of, resolve
from adversarium.types import Condition

CHUNK = 256
"""Codes are drawn this many at a time, so that the first samples of a seed do not depend on how many are asked for."""


@dataclass(frozen=True)
class TrainedGenerator:
    """A generator read from a run."""

    module: nn.Module
    codec: Codec
    feed: Feed
    device: torch.device
    problems: tuple[str, ...]
    checkpoint: Path
    images: int
    drop_condition: float = 0.0


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
    conditions = folder.conditions()
    condition = None if conditions is None else conditions.condition
    config = resolve(dataclasses.replace(folder.config(), device=device), codec, condition)
    if checkpoint is not None:
        checkpoint = _best(folder) if str(checkpoint) == "best" else checkpoint
        require(checkpoint.is_file(), f"{checkpoint}: no such file")
        problems: list[str] = []
        found = load(checkpoint)
    else:
        found, problems = load_newest(folder.checkpoints)
    module = build_generator(config, codec, condition).eval().requires_grad_(False)
    restore_module(module, found.part("ema" if average else "generator"), "generator", found.path)
    return TrainedGenerator(
        module.to(where), codec, Feed(prior_of(config), conditions), where,
        tuple(f"{problem}; using {found.path.name}" for problem in problems),
        found.path, found.counters["images"], config.drop_condition,
    )  # fmt: skip


def _best(folder: RunFolder) -> Path:
    found = newest_first(folder.best)
    require(
        bool(found),
        f"{folder.path}: has no best checkpoint; it would if it had been trained with --evaluate PROTOCOL",
    )
    return found[0]


@torch.no_grad()
def generate(module: nn.Module, codec: Codec, codes: Tensor, condition: Tensor | None = None) -> npt.NDArray[Any]:
    """Return decoded samples for codes ``[n, dim]``: uint8 ``[n, C, H, W]`` or float32 ``[n, D]``.

    A conditional module is asked for the ``condition`` of each.

    The module is evaluated in float32 and in evaluation mode, in batches; each of its parts is left in the mode that
    it was in.
    """
    device = next(module.parameters()).device
    inputs = (codes,) if condition is None else (codes, condition)
    with eval_mode(module):
        parts = [
            codec.decode(module(*(each.to(device) for each in part))).cpu().numpy()
            for part in zip(*(each.split(CHUNK) for each in inputs), strict=True)
        ]
    return np.concatenate(parts)


def sample_run(
    trained: TrainedGenerator, n: int, seed: int, *, condition: Tensor | None = None, guidance: float = 1.0
) -> npt.NDArray[Any]:
    """Return ``n`` samples: uint8 ``[n, C, H, W]`` or float32 ``[n, D]``, the same for the same seed.

    Args:
        trained: the generator.
        n: how many.
        seed: of the codes.
        condition: what each of them should be of; ``None``: of the classes, as often as the data have them.
        guidance: how far a conditional generator goes beyond what is asked for, see
            :meth:`~adversarium.nets.ConditionalGenerator.guided`. 1: not at all.

    Raises:
        InputError: ``n`` below 1; a condition or guidance for a generator that is not conditional.
    """
    require(n >= 1, f"n is {n}: wanted at least 1")
    module = trained.module
    if trained.feed.conditions is None:
        conditional = "train it with --conditional"
        asked = condition is not None and not trained.feed.prior.categories
        require(not asked, f"the run is not conditional, and cannot be asked for a label: {conditional}")
        require(guidance == 1, f"guidance is {guidance:g}, and the run is not conditional: {conditional}")
    if guidance != 1:
        module = _Guided(module, guidance)
    return draw_samples(module, trained.codec, trained.feed, n, seed, condition)


def conditions_asked(
    trained: TrainedGenerator,
    n: int,
    *,
    labels: str | None = None,
    nothing: bool = False,
    vectors: Path | None = None,
    guidance: float = 1.0,
) -> Tensor | None:
    """Return what ``n`` samples are to be of, from what was typed; ``None`` for an unconditional run.

    Args:
        trained: the generator.
        n: how many samples.
        labels: ``"7"`` or ``"cat, dog"``: names of classes or labels, which are taken by turns. Where classes are
            named by numbers a number is a name, and else a label, from 0. ``None``: all of them in order, as many of
            each.
        nothing: ask for none.
        vectors: a ``.npy`` of vectors ``[N, E]``, which are taken by turns.
        guidance: how far samples are to go beyond it.

    Raises:
        InputError: the run cannot be asked for that; the message says what it can be asked for.
    """
    require(n >= 1, f"n is {n}: wanted at least 1")
    require(math.isfinite(guidance), f"guidance is {guidance}: wanted a number")
    conditions, categories = trained.feed.conditions, trained.feed.prior.categories
    if conditions is None and categories and labels is not None:
        # those of the code, which the run found by itself
        return _by_turns(Conditions(Condition("label", categories)).labels(labels), n)
    if conditions is None:
        for name, given in (("label", labels), ("no-label", nothing or None), ("conditions", vectors)):
            require(
                given is None, f"--{name}: the run is not conditional, and makes what it likes: train --conditional"
            )
        return None
    alone = trained.drop_condition > 0
    learnt = "the run has not learnt to do without a label: train it with --drop-condition 0.1"
    require(
        guidance == 1 or not nothing,
        f"--no-label and --guidance {guidance:g}: guidance goes from no label towards one and beyond, so it wants "
        "one: give --label instead, or --no-label alone",
    )
    require(alone or not nothing, f"--no-label: {learnt}")
    require(alone or guidance == 1, f"--guidance {guidance:g}: {learnt}")
    if nothing:
        return conditions.condition.nothing(n)
    if vectors is not None:
        require(
            conditions.condition.kind == "vector", f"--conditions {vectors}: the run generates by labels: give --label"
        )
        rows = torch.from_numpy(as_conditions(np.array(open_map(vectors)), str(vectors)))
        conditions.condition.check(rows)
        return _by_turns(rows, n)
    return conditions.spread(n) if labels is None else _by_turns(conditions.labels(labels), n)


def _by_turns(values: Tensor, n: int) -> Tensor:
    return values[torch.arange(n) % len(values)]


class _Guided(nn.Module):
    """A conditional generator that goes beyond what it is asked for."""

    def __init__(self, module: nn.Module, scale: float) -> None:
        super().__init__()
        self.module, self.scale = module, scale

    def forward(self, codes: Tensor, condition: Tensor) -> Tensor:
        """Return its samples."""
        samples: Tensor = self.module.guided(codes, condition, self.scale)  # type: ignore[operator]
        return samples


def draw_samples(
    module: nn.Module, codec: Codec, feed: Feed, n: int, seed: int, condition: Tensor | None = None
) -> npt.NDArray[Any]:
    """Return ``n`` samples of a generator as :func:`sample_run` does; more of one seed begin with the same ones."""
    rng = torch.Generator().manual_seed(seed)
    parts = []
    for start in range(0, n, CHUNK):
        codes, asked = feed.draw(CHUNK, rng, None if condition is None else condition[start : start + CHUNK])
        parts.append(generate(module, codec, codes[: n - start], None if asked is None else asked[: n - start]))
    return np.concatenate(parts)


def check_writable(path: Path, *, force: bool) -> None:
    """Refuse a file that samples cannot be written to, before they are drawn.

    Raises:
        InputError: a suffix that is neither ``.png`` nor ``.npz``, or a file that exists (unless ``force``).
    """
    output_file("--out", path, ".png", ".npz", force=force)


def write_samples(
    path: Path, samples: npt.NDArray[Any], *, condition: Tensor | None = None, force: bool = False
) -> None:
    """Write samples: to ``.png`` as a grid (vectors as a scatter), to ``.npz`` as an array.

    In a ``.npz`` images stand as ``images``, uint8 ``[N, H, W, C]``, vectors as ``vectors``, float32 ``[N, D]``, and
    what they were to be of as ``labels`` or ``conditions``: such a file can be trained on.

    Raises:
        InputError: as ``check_writable``.
    """
    check_writable(path, force=force)
    path.parent.mkdir(parents=True, exist_ok=True)
    is_image = samples.ndim == 4
    if path.suffix == ".npz":
        arrays = {"images": samples.transpose(0, 2, 3, 1)} if is_image else {"vectors": samples.astype(np.float32)}
        if condition is not None:
            arrays["conditions" if condition.is_floating_point() else "labels"] = condition.numpy()
        with atomic_write(path) as stream:
            np.savez_compressed(stream, **arrays)
    elif is_image:
        labels = None if condition is None or condition.is_floating_point() else condition.numpy()
        pictures.write_image(path, pictures.grid_of(*_in_rows(samples, labels)))
    else:
        pictures.write_scatter(path, samples)


def _in_rows(images: npt.NDArray[Any], labels: npt.NDArray[np.int64] | None) -> tuple[npt.NDArray[Any], int | None]:
    """Return images and how many to a row: sorted by label, a row for each, filled up with white ones."""
    if labels is None or len(set(labels.tolist())) == 1 or (np.diff(labels) < 0).any():
        return images, None
    groups = [images[labels == label] for label in sorted(set(labels.tolist()))]
    columns = max(len(group) for group in groups)
    rows = [
        np.concatenate([group, np.full((columns - len(group), *images.shape[1:]), 255, images.dtype)])
        for group in groups
    ]
    return np.concatenate(rows), columns
