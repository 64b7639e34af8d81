"""A run is diagnosed from what is there, and what is missing or damaged is said."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from adversarium.config import DEFAULT_PRESET, TrainConfig
from adversarium.data import ArraySource, Codec, ring
from adversarium.diagnostics import PROBED, Circumstances, Finding, Record
from adversarium.diagnostics.detectors import DETECTORS
from adversarium.diagnostics.report import Diagnosis
from adversarium.errors import InputError
from adversarium.train import diagnosis, train
from adversarium.train.build import build
from adversarium.train.checkpoint import load_newest, newest_first
from adversarium.train.diagnosis import diagnose_run
from adversarium.train.resolve import resolve
from adversarium.train.watch import Watch

STEPS = 6


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a run that was looked at while it trained, and one that was not."""
    folder = tmp_path_factory.mktemp("runs")
    for name, every in (("looked", 1), ("blind", 0)):
        train(
            TrainConfig(
                data="ring", width=8, batch_size=16, steps=STEPS, log_every_steps=5, device="cpu",
                diagnose_every_steps=every, checkpoint_every_seconds=1e-9, out=str(folder / name),
            )
        )  # fmt: skip
    return {name: folder / name for name in ("looked", "blind")}


@pytest.fixture
def run(runs: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """Return a copy of one of the runs, to be damaged."""
    return lambda name: Path(shutil.copytree(runs[name], tmp_path / name))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def logged(folder: Path) -> list[Record]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def kinds(found: Diagnosis) -> list[str]:
    return sorted([*(each.kind for each in found.findings), *found.healthy, *found.unjudged])


def test_a_whole_run_is_judged_by_its_records_and_left_as_it_is(run: Callable[[str], Path]):
    folder = run("looked")
    before, state = files(folder), torch.get_rng_state()
    found = diagnose_run(folder, device="cpu")
    assert found.path == folder
    assert found.records == logged(folder)
    assert found.notes == []
    assert kinds(found) == sorted(DETECTORS)
    assert found.circumstances.config.preset == DEFAULT_PRESET
    assert found.circumstances.data
    assert files(folder) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_not_found_is_healthy_or_unjudged(run: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch):
    made = [
        Finding(kind=kind, what="", since_kimg=0.0, severity=severity, evidence={}, series=(), cause="", remedies=())
        for kind, severity in zip(DETECTORS, (0.9, 0.2, 0.5), strict=False)
    ]
    seen = []

    def diagnosed(records: list[Record], circumstances: Circumstances) -> list[Finding]:
        seen.append(circumstances.ended)
        return made

    monkeypatch.setattr(diagnosis, "diagnose", diagnosed)
    folder = run("looked")
    (folder / "stopped.json").write_text('{"step": 3, "reason": "critic_loss became nan"}')
    found = diagnose_run(folder, device="cpu")
    assert found.findings == made  # in the order of the diagnosis
    assert kinds(found) == sorted(DETECTORS)
    assert all(found.unjudged.values())
    assert seen == ["critic_loss became nan"]


def test_a_run_that_nobody_looked_at_is_probed_once_at_its_newest_checkpoint(run: Callable[[str], Path]):
    folder = run("blind")
    torch.manual_seed(5)  # training left torch's stream where the checkpoint has it
    before, state, told = files(folder), torch.get_rng_state(), list[str]()
    found = diagnose_run(folder, device="cpu", warn=told.append)
    assert files(folder) == before
    assert torch.equal(torch.get_rng_state(), state)
    *others, last = found.records
    assert others == logged(folder)[:-1]
    measured = {name: value for name, value in last.items() if name.startswith("probe_")}
    assert {name: value for name, value in last.items() if name not in measured} == logged(folder)[-1]

    config = dataclasses.replace(found.circumstances.config, diagnose_every_steps=1)
    training = build(resolve(config, ring().codec), ring())
    training.restore(load_newest(folder / "checkpoints")[0])
    assert measured == Watch(training).probe()
    assert measured.keys() <= PROBED.keys()
    assert len(found.notes) == 1
    assert f"measured once, at {last['kimg']:.4g} kimg (step-{STEPS:08d}.safetensors)" in found.notes[0]
    assert told == found.notes


def test_a_probe_between_two_records_stands_between_them(run: Callable[[str], Path]):
    folder = run("blind")
    newest = newest_first(folder / "checkpoints")
    newest[0].unlink()
    first, *_, last = logged(folder)
    (folder / "metrics.jsonl").write_text(json.dumps(first) + "\n" + json.dumps(last) + "\n")
    found = diagnose_run(folder, device="cpu")
    assert [record["step"] for record in found.records] == [first["step"], STEPS - 1, last["step"]]
    assert found.records[1].keys() & {"critic_loss", "probe_diversity"} == {"probe_diversity"}


@pytest.mark.parametrize(
    "end", ['{"step": 99, "kim', '{"step": 99}', '{"step": 99, "kimg": "many"}', "\x00\x00", "[]"]
)
def test_logs_that_were_cut_short_are_used_up_to_there(run: Callable[[str], Path], end: str):
    folder = run("looked")
    kept = logged(folder)
    with open(folder / "metrics.jsonl", "a", encoding="utf-8") as stream:
        stream.write(end)
    found = diagnose_run(folder, device="cpu")
    assert found.records == kept
    assert len(found.notes) == 1
    assert f"line {len(kept) + 1} of {len(kept) + 1} cannot be read" in found.notes[0]


@pytest.mark.parametrize("text", [None, "", '{"st'])
def test_without_records_the_checkpoint_tells_what_it_can(run: Callable[[str], Path], text: str | None):
    folder = run("looked")
    (folder / "metrics.jsonl").unlink()
    if text is not None:
        (folder / "metrics.jsonl").write_text(text)
    found = diagnose_run(folder, device="cpu")
    assert [record["step"] for record in found.records] == [STEPS]
    assert "no records" in found.notes[0]
    assert "measured once" in found.notes[1]
    assert found.unjudged


@pytest.mark.parametrize("damage", ["removed", "cut"])
def test_without_a_checkpoint_the_records_are_judged_alone(run: Callable[[str], Path], damage: str):
    folder = run("blind")
    for path in newest_first(folder / "checkpoints"):
        path.unlink() if damage == "removed" else path.write_bytes(path.read_bytes()[:1000])
    found = diagnose_run(folder, device="cpu")
    assert found.records == logged(folder)
    assert "it cannot be measured now" in found.notes[0]
    assert ("without a checkpoint" if damage == "removed" else "damaged or cut short") in found.notes[0]


def test_a_damaged_checkpoint_is_passed_over_and_named(run: Callable[[str], Path]):
    folder = run("blind")
    newest, older = newest_first(folder / "checkpoints")
    newest.write_bytes(newest.read_bytes()[:1000])
    found = diagnose_run(folder, device="cpu")
    assert newest.name in found.notes[0]
    assert f"using {older.name}" in found.notes[0]
    assert older.name in found.notes[1]


def test_without_records_and_checkpoints_there_is_nothing_to_diagnose(run: Callable[[str], Path]):
    folder = run("looked")
    shutil.rmtree(folder / "checkpoints")
    (folder / "metrics.jsonl").unlink()
    with pytest.raises(InputError, match="nothing to diagnose: neither records nor a usable checkpoint"):
        diagnose_run(folder, device="cpu")


def test_a_folder_without_a_run_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="holds no run"):
        diagnose_run(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        diagnose_run(tmp_path / "gone")


@pytest.mark.parametrize("name", ["looked", "blind"])
def test_other_data_are_not_judged(run: Callable[[str], Path], name: str):
    folder = run(name)
    other = ArraySource("other", np.zeros((99, 2), np.float32), Codec((2,), (0.0, 0.0), (1.0, 1.0)))
    found = diagnose_run(folder, source=other, device="cpu")
    assert "the data were not looked at" in found.notes[0]
    assert found.circumstances.data == {}
    assert ("without its data it cannot be measured now" in found.notes[-1]) == (name == "blind")
    reading = [kind for kind, detector in DETECTORS.items() if detector.data]
    assert reading
    assert all("data were not looked at" in found.unjudged[kind] for kind in reading)


def test_data_that_are_gone_are_said_and_given_ones_are_used(run: Callable[[str], Path], tmp_path: Path):
    folder = run("looked")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "data": str(tmp_path / "gone.npy")}))
    found = diagnose_run(folder, device="cpu")
    assert "gone.npy" in found.notes[0]
    assert found.circumstances.data == {}
    assert diagnose_run(folder, source=ring(), device="cpu").circumstances.data


def test_facts_are_of_the_data_that_were_trained_on(tmp_path: Path):
    stored = np.random.default_rng(3).normal(size=(200, 2)).astype(np.float32)
    np.save(tmp_path / "stored.npy", stored)
    options = {"steps": 2, "width": 8, "batch_size": 16, "device": "cpu", "hold_out": 0.25}
    train(TrainConfig(data=str(tmp_path / "stored.npy"), out=str(tmp_path / "run"), **options))
    found = diagnose_run(tmp_path / "run", device="cpu")
    assert found.circumstances.data["samples"] == 150


def test_a_damaged_reason_is_said(run: Callable[[str], Path]):
    folder = run("looked")
    (folder / "stopped.json").write_text('{"step": 3')
    found = diagnose_run(folder, device="cpu")
    assert found.circumstances.ended == ""
    assert "stopped.json: cannot be read" in found.notes[0]
    assert "why the run stopped is not known" in found.notes[0]
