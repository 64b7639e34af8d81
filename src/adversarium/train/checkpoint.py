"""Checkpoints: one safetensors file each, complete or absent, checked before it is believed.

``checkpoints/step-00001200.safetensors`` holds the tensors of networks, average, optimizers and random streams under
dotted names (``ema.0.weight``), and in its header a JSON record with the format's version, counters and a SHA-256 of
all tensors. Nothing is unpickled.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from adversarium.errors import InputError
from adversarium.files import atomic_write

FORMAT = 1
SUFFIX = ".safetensors"


class VersionError(InputError):
    """A checkpoint of another version: whole, perhaps, but not for this one to read."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds."""

    path: Path
    tensors: dict[str, Tensor]
    counters: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors under a prefix, their names without it."""
        start = f"{prefix}."
        return {name[len(start) :]: value for name, value in self.tensors.items() if name.startswith(start)}


def save(folder: Path, tensors: dict[str, Tensor], counters: dict[str, Any], *, keep: int) -> Path:
    """Write a checkpoint atomically, then remove all others but the newest, so that ``keep`` are left.

    Raises:
        OSError: the disk is full, say; older checkpoints are untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    record = {**counters, "format": FORMAT}
    record["sha256"] = digest(tensors, record)
    path = folder / f"step-{counters['step']:08d}{SUFFIX}"
    with atomic_write(path) as stream:
        stream.write(safetensors.torch.save(tensors, {"adversarium": json.dumps(record)}))
    # a later one may be there, of a run that went back to an earlier checkpoint: the new one is what counts
    for old in [each for each in newest_first(folder) if each != path][keep - 1 :]:
        old.unlink()
    return path


def newest_first(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the newest first."""
    return sorted(folder.glob(f"step-*{SUFFIX}"), reverse=True)


def load(path: Path) -> Checkpoint:
    """Read and check one checkpoint.

    Raises:
        InputError: truncated, corrupted, of another version, or not a checkpoint at all.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        if _looks_pickled(path):
            raise InputError(
                f"{path}: this is a pickle, which can run any code when read; it was not opened"
            ) from None
        raise InputError(f"{path}: damaged or cut short ({error})") from None
    if "adversarium" not in metadata:
        raise InputError(f"{path}: a safetensors file, but not a checkpoint of adversarium")
    try:
        record = dict(json.loads(metadata["adversarium"]))
        found, checksum = record["format"], record.pop("sha256")
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: damaged (its header cannot be read)") from None
    if found != FORMAT:
        raise VersionError(f"{path}: checkpoint format {found}, and this version of adversarium reads {FORMAT}")
    if digest(tensors, record) != checksum:
        raise InputError(f"{path}: damaged (its content does not match its checksum)")
    return Checkpoint(path, tensors, record)


def _looks_pickled(path: Path) -> bool:
    """Return whether a file that is no safetensors file begins like a pickle, or like torch's zip of one."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(2)
    except OSError:
        return False
    return start == b"PK" or start[:1] == b"\x80"


def load_newest(folder: Path) -> tuple[Checkpoint, list[str]]:
    """Return the newest checkpoint that is whole, and a sentence for each newer one that is not.

    Raises:
        InputError: there is none, or the newest is of another version.
    """
    problems: list[str] = []
    for path in newest_first(folder):
        try:
            return load(path), problems
        except VersionError:
            raise
        except InputError as error:
            problems.append(str(error))
    if not problems:
        problems.append("none is written yet: a run in training writes its first after --checkpoint-every-seconds")
    raise InputError("\n".join([f"{folder}: no usable checkpoint", *problems]))


def set_aside_newer(path: Path) -> None:
    """Rename the damaged checkpoints after ``path`` to ``*.damaged``, so that they do not count as the newest."""
    for newer in newest_first(path.parent):
        if newer == path:
            break
        newer.rename(newer.with_name(newer.name + ".damaged"))


def digest(tensors: dict[str, Tensor], record: dict[str, Any]) -> str:
    """Return the SHA-256 of the record and of the tensors' names, dtypes, shapes and bytes, in the names' order."""
    total = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        total.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        total.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def restore_module(module: nn.Module, tensors: dict[str, Tensor], what: str, path: Path) -> None:
    """Copy a checkpoint's tensors into a module.

    Raises:
        InputError: they are another network's; names the first difference.
    """
    own = module.state_dict()
    for name in sorted({*own, *tensors}):
        if name not in tensors or name not in own:
            where = "the checkpoint" if name not in tensors else "the network"
            raise InputError(f"{path}: holds another {what}: {name!r} is not in {where}")
        # a buffer without elements is a state that is yet to come, and takes the shape that it is given
        empty = 0 in (own[name].numel(), tensors[name].numel())
        if own[name].shape != tensors[name].shape and not empty:
            raise InputError(
                f"{path}: holds another {what}: {name!r} has shape {list(tensors[name].shape)}, "
                f"and the network's has {list(own[name].shape)}"
            )
    module.load_state_dict(tensors)
