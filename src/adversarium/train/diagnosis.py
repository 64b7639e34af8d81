"""What went wrong in a run, from its logs, its newest checkpoint and its data: read, never changed."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch

from adversarium.config import TrainConfig
from adversarium.data import Source, open_data, splits
from adversarium.diagnostics.data_checks import data_facts
from adversarium.diagnostics.detectors import DETECTORS, diagnose, unjudged
from adversarium.diagnostics.finding import Circumstances, Record
from adversarium.diagnostics.report import Diagnosis
from adversarium.errors import InputError, lookup
from adversarium.presets import PRESETS
from adversarium.train.build import build
from adversarium.train.checkpoint import load_newest, newest_first
from adversarium.train.folder import RunFolder
from adversarium.train.precision import resolve_device
from adversarium.train.resolve import resolve
from adversarium.train.terms import played
from adversarium.train.watch import Watch


def diagnose_run(
    path: Path | str,
    *,
    source: Source | None = None,
    device: str = "auto",
    on_decode: Callable[[int, int], None] = lambda done, total: None,
    warn: Callable[[str], None] = lambda message: None,
) -> Diagnosis:
    """Return what is wrong with a run, in training or ended.

    Where the logs hold nothing that the probe measured (the run is older than it, or was trained with
    ``diagnose_every_steps`` 0), the newest whole checkpoint is probed once. Whatever is missing or damaged is said in
    the diagnosis's notes, with what was done instead.

    Args:
        path: the run's folder.
        source: the data, where they are not what the run's configuration names.
        device: where to evaluate the networks, if they are.
        on_decode: called while image files are decoded, with how many are done and how many there are.
        warn: called with each of the notes.

    Raises:
        InputError: there is no run, or one with neither records nor a checkpoint that can be used; no such device.
    """
    folder = RunFolder.open(Path(path))
    resolve_device(device)  # said now, whether or not the networks will be evaluated
    config = folder.config()
    lookup("preset", config.preset, PRESETS)  # a run of a later version may have another
    notes: list[str] = []

    def note(sentence: str) -> None:
        notes.append(sentence)
        warn(sentence)

    records = _records(folder, note)
    source = _data(folder, config, source, on_decode, note)
    if not any(name.startswith("probe_") for record in records for name in record):
        records = _with(records, _probed(folder, config, source, device, note))
    if not records:
        raise InputError("\n".join([f"{path}: nothing to diagnose: neither records nor a usable checkpoint", *notes]))
    circumstances = Circumstances(
        config=config,
        preset=played(config),
        ended=_ended(folder, note),
        data={} if source is None else data_facts(splits(source, config.hold_out or 0.0)[0]),
    )
    findings = diagnose(records, circumstances)
    found, unable = {finding.kind for finding in findings}, unjudged(records, circumstances)
    return Diagnosis(
        path=Path(path),
        findings=findings,
        records=records,
        circumstances=circumstances,
        healthy=[kind for kind in DETECTORS if kind not in {*found, *unable}],
        unjudged=unable,
        notes=notes,
    )


def _records(folder: RunFolder, note: Callable[[str], None]) -> list[Record]:
    """Return the records up to the first damaged line, and say so where there is one.

    They are read once: a run in training adds to them meanwhile.
    """
    found, count = folder.read_records()
    records: list[Record] = list(takewhile(_is_record, found))
    if not records:
        note(f"{folder.metrics}: no records" + (f": line 1 of {count} cannot be read" if count else ""))
    elif len(records) < count:
        note(
            f"{folder.metrics}: line {len(records) + 1} of {count} cannot be read (cut short?): only the lines before "
            "it are judged"
        )
    return records


def _is_record(record: Mapping[str, Any]) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in record.values())
    return numbers and math.isfinite(record.get("kimg", math.nan))


def _data(
    folder: RunFolder,
    config: TrainConfig,
    source: Source | None,
    on_decode: Callable[[int, int], None],
    note: Callable[[str], None],
) -> Source | None:
    """Return the run's data, or ``None`` and a note where they are gone or have changed."""
    try:
        if source is None:
            source = open_data(config.data, size=config.size, progress=on_decode)
        folder.check_data(source)
    except InputError as error:
        note(f"the data were not looked at: {error}")
        return None
    return source


def _probed(
    folder: RunFolder, config: TrainConfig, source: Source | None, device: str, note: Callable[[str], None]
) -> Record | None:
    """Return what the probe measures of the newest whole checkpoint, or ``None`` and a note where it cannot."""
    if source is None or not newest_first(folder.checkpoints):
        why = "without its data" if source is None else "without a checkpoint"
        note(f"the logs hold nothing that the probe measured, and {why} it cannot be measured now")
        return None
    try:
        found, problems = load_newest(folder.checkpoints)
        for problem in problems:
            note(f"{problem}; using {found.path.name}")
        config = dataclasses.replace(config, device=device, compile=False, diagnose_every_steps=1)
        config = resolve(config, folder.codec(), folder.condition())
        where = torch.device(config.device)
        # both move torch's global streams
        with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
            training = build(config, source)
            training.restore(found)
        probed = Watch(training).probe()
    except InputError as error:  # none is whole, or it is of other networks, or there is a single sample
        note(f"the logs hold nothing that the probe measured, and it cannot be measured now: {error}")
        return None
    kimg = found.counters["images"] / 1000
    note(
        f"the logs hold nothing that the probe measured: it was measured once, at {kimg:.4g} kimg ({found.path.name})"
    )
    return {"step": found.counters["step"], "kimg": kimg, **probed}


def _with(records: list[Record], probed: Record | None) -> list[Record]:
    """Return the records with what was measured afterwards, in its place."""
    if probed is None:
        return records
    same = next((record for record in records if record["kimg"] == probed["kimg"]), {})
    others = [record for record in records if record is not same]
    return sorted([*others, {**same, **probed}], key=lambda record: record["kimg"])


def _ended(folder: RunFolder, note: Callable[[str], None]) -> str:
    """Return why the run stopped before its budget was spent, where that is known."""
    try:
        return folder.stopped()
    except InputError as error:
        note(f"{error}: why the run stopped is not known")
        return ""
