"""A run's folder: what is in it, how it is begun, and how it is found again.

::

    runs/wgan/
      config.json     every option, as it was used
      run.json        versions, commit, machine, what was done to the data
      data.json       what a sample is, so that sampling needs no data
      metrics.jsonl   one line per logging interval
      checkpoints/    the newest few
      best/           the best one by the run's protocol, where it has one
      samples/        pictures at intervals
      samples.png     the last of them
      curves.png
      stopped.json    why it stopped before its budget was spent, where a number was not finite
"""

import dataclasses
import hashlib
import json
import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

import adversarium
from adversarium.config import TrainConfig, from_mapping, read_config
from adversarium.data import ArraySource, Codec, Conditions, Source
from adversarium.errors import InputError
from adversarium.files import atomic_write
from adversarium.train.checkpoint import newest_first
from adversarium.types import Condition


class RunFolder:
    """The paths in a run's folder, and its small files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.best = path / "best"
        self.samples = path / "samples"
        self.metrics = path / "metrics.jsonl"
        self._made: tuple[Path, ...] = ()

    @classmethod
    def begin(cls, config: TrainConfig, source: Source, conditions: Conditions | None = None) -> "RunFolder":
        """Make the folder of a new run, whose generator can be asked for these conditions.

        Raises:
            InputError: it holds something already, or cannot be made.
        """
        folder = cls(Path(config.out) if config.out is not None else _unused(config))
        path = folder.path
        refuse_used(path)
        folder._made = tuple(each for each in (path, *path.parents) if not each.exists())
        # filled under another name, then renamed: whoever kills us finds a whole beginning or none
        hidden = cls(path.with_name(f".{path.name}.{os.getpid()}.part"))
        circumstances, identity = _circumstances(config, source), data_identity(source)
        condition = None if conditions is None else conditions.as_dict()
        try:
            hidden.samples.mkdir(parents=True)
            hidden.checkpoints.mkdir()
            hidden.write_config(dataclasses.replace(config, out=str(path)))
            _write_json(hidden.path / "run.json", circumstances)
            _write_json(
                hidden.path / "data.json",
                {"name": source.name, **dataclasses.asdict(source.codec), **identity, "condition": condition},
            )
            hidden.path.replace(path)
        except OSError as error:
            shutil.rmtree(hidden.path, ignore_errors=True)
            raise InputError(f"--out {path}: cannot be made ({error.strerror})") from None
        return folder

    def has_begun(self) -> bool:
        """Return whether there is a record or a checkpoint."""
        return bool(self.records() or newest_first(self.checkpoints))

    def take_back(self) -> None:
        """Remove what a run put here, if it has not begun, and the folders that :meth:`begin` made, if empty then."""
        if self.has_begun():
            return
        of_its_own = ("config.json", "run.json", "data.json", "metrics.jsonl", "stopped.json", ".lock")
        written = (*self.samples.glob("*kimg.png"), *self.path.glob("events.out.tfevents.*"))
        for file in (*(self.path / name for name in of_its_own), *written):
            file.unlink(missing_ok=True)
        for folder in (self.samples, self.checkpoints, *self._made):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def write_config(self, config: TrainConfig) -> None:
        """Write the run's configuration."""
        _write_json(self.path / "config.json", dataclasses.asdict(config))

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Return an existing run's folder.

        Raises:
            InputError: there is no run in it.
        """
        if not path.exists():
            raise InputError(f"{path}: no such folder")
        if not (path / "config.json").is_file():
            raise InputError(f"{path}: holds no run (there is no config.json)")
        return cls(path)

    def config(self) -> TrainConfig:
        """Return the run's resolved configuration.

        Raises:
            InputError: it cannot be read.
        """
        path = self.path / "config.json"
        # a run that says nothing of it is older than the option, and held nothing out
        return from_mapping({"hold_out": 0.0, **read_config(path)}, str(path))

    def codec(self) -> Codec:
        """Return what the run's samples are.

        Raises:
            InputError: ``data.json`` is missing or damaged.
        """
        return self._data()[0]

    def conditions(self) -> Conditions | None:
        """Return what the run's generator can be asked for, or ``None`` of an unconditional one.

        Raises:
            InputError: ``data.json`` is missing or damaged.
        """
        path = self.path / "data.json"
        try:
            # a run that says nothing of it is older than conditions
            found = json.loads(path.read_text(encoding="utf-8")).get("condition")
            return None if found is None else Conditions.from_dict(found)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: cannot be read ({error})") from None

    def condition(self) -> Condition | None:
        """Return what kind of condition that is."""
        found = self.conditions()
        return None if found is None else found.condition

    def check_data(self, source: Source) -> None:
        """Refuse data that are not those the run was begun with.

        Raises:
            InputError: they are others, or ``data.json`` is damaged.
        """
        codec, identity = self._data()
        now = data_identity(source)
        # what nobody knew of when the run was begun is not held against it
        then = {**now, **identity}
        if source.codec == codec and now != then and {**now, "test": then["test"]} == then:
            raise InputError(
                f"{source.name}: its test split is not the one that {self.path} is measured with: what was measured "
                "so far could not be compared"
            )
        if source.codec != codec or now != then:
            raise InputError(
                f"{source.name}: not the data that {self.path} was trained on "
                f"(then {identity['count'] or 'endless'} samples of shape {list(codec.sample_shape)}, "
                f"now {now['count'] or 'endless'} of {list(source.codec.sample_shape)}, or others)"
            )

    def _data(self) -> tuple[Codec, dict[str, Any]]:
        path = self.path / "data.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            identity = {"count": values["count"], "sha256": values["sha256"]}
            if "test" in values:
                identity["test"] = values["test"]
            codec = Codec(
                tuple(int(size) for size in values["sample_shape"]),
                tuple(float(value) for value in values["center"]),
                tuple(float(value) for value in values["scale"]),
            )
            return codec, identity
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: cannot be read ({error})") from None

    def records(self) -> list[dict[str, float]]:
        """Return the lines of ``metrics.jsonl``; a last line cut short by a kill is left out."""
        return self.read_records()[0]

    def read_records(self) -> tuple[list[dict[str, float]], int]:
        """Return the lines of ``metrics.jsonl`` before the first that cannot be read, and how many there are."""
        if not self.metrics.exists():
            return [], 0
        records: list[dict[str, float]] = []
        lines = self.metrics.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                break
            if not isinstance(record, dict) or not isinstance(record.get("step"), int):
                break
            records.append({name: math.nan if value is None else value for name, value in record.items()})
        return records, len(lines)

    def forget_after(self, step: int) -> list[dict[str, float]]:
        """Drop the records after a step (the run resumes there and will write them again); return the others."""
        records = [record for record in self.records() if record["step"] <= step]
        with atomic_write(self.metrics) as stream:
            for record in records:
                stream.write(as_line(record).encode())
        return records

    def write_stopped(self, step: int, reason: str) -> None:
        """Keep why the run stopped, for a diagnosis."""
        _write_json(self.path / "stopped.json", {"step": step, "reason": reason})

    def forget_stopped(self) -> None:
        """Forget why it stopped: it goes on."""
        (self.path / "stopped.json").unlink(missing_ok=True)

    def stopped(self) -> str:
        """Return why the run stopped before its budget was spent, or an empty string.

        Raises:
            InputError: the file that says so is damaged.
        """
        path = self.path / "stopped.json"
        if not path.exists():
            return ""
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["reason"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: cannot be read ({error})") from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second process out of the run while this one trains it (the system frees it if we are killed).

        Raises:
            InputError: another process is training this run.
        """
        if sys.platform == "win32":  # no advisory locks there
            yield
            return
        import fcntl

        with open(self.path / ".lock", "w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"{self.path}: another process is training this run") from None
            yield


def _unused(config: TrainConfig) -> Path:
    """Return the first free ``runs/DATA-PRESET``, ``runs/DATA-PRESET-2``, ..."""
    stem = f"{Path(config.data).stem or 'data'}-{config.preset}"
    number = 1
    while (path := Path("runs") / (stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return path


def refuse_used(path: Path) -> None:
    """Refuse a folder that no run can begin in.

    Raises:
        InputError: it is a file, or holds something already.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"--out {path}: is a file; wanted a new or empty folder")
    if path.exists() and any(path.iterdir()):
        resume = ""
        if (path / "config.json").exists():
            resume = f", or continue it: adversarium train --resume {path}"
            if not RunFolder(path).has_begun():
                resume = (
                    ", or start the run again that was begun there and has no record and no checkpoint yet: "
                    f"adversarium train --resume {path}"
                )
        raise InputError(f"--out {path}: already holds files, and nothing is overwritten; take another{resume}")


def as_line(record: Mapping[str, float]) -> str:
    """Return a record as a line of ``metrics.jsonl``. JSON has no infinity and no NaN: they are null, read as NaN."""
    no_number = {name for name, value in record.items() if isinstance(value, float) and not math.isfinite(value)}
    return json.dumps({name: None if name in no_number else value for name, value in record.items()}) + "\n"


def data_identity(source: Source) -> dict[str, Any]:
    """Return what tells one data set from another: the number of samples, and a digest of up to 1,000 of them.

    The same of its test split, where it has one. A density is known by its modes, or else by its name.
    """
    if not isinstance(source, ArraySource):
        known_by = source.name.encode() if source.modes is None else source.modes.numpy().data
        return {"count": None, "sha256": hashlib.sha256(known_by).hexdigest(), "test": None}
    total = hashlib.sha256()
    total.update(source.take(source.spread(1000)).data)
    if (labels := source.labels_of(np.arange(len(source)))) is not None:
        total.update(np.ascontiguousarray(labels).data)
    if (conditions := source.conditions_of(source.spread(1000))) is not None:
        total.update(conditions.data)
    test = None if source.test is None else data_identity(source.test)
    return {"count": len(source), "sha256": total.hexdigest(), "test": test}


def _circumstances(config: TrainConfig, source: Source) -> dict[str, Any]:
    on_gpu = config.device.startswith("cuda")
    return {
        "adversarium": adversarium.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(torch.device(config.device)) if on_gpu else None,
        "data_classes": list(source.classes) if isinstance(source, ArraySource) else [],
        "data_notes": list(source.notes) if isinstance(source, ArraySource) else [],
    }


def _commit() -> str | None:
    """Return the commit of the working copy that this package runs from, or ``None`` when it is installed."""
    here = Path(__file__).resolve().parent
    if not (here.parents[2] / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _write_json(path: Path, values: dict[str, Any]) -> None:
    with atomic_write(path) as stream:
        stream.write((json.dumps(values, indent=2) + os.linesep).encode())
