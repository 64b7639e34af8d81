"""What may befall a watched run: numbers that are none, signals, a full disk, a single sample, older files."""

import dataclasses
import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import config, records, tensors

from adversarium.cli import main
from adversarium.data import DATASETS, ArraySource, Codec, open_data, splits
from adversarium.data.toys import SwissRoll
from adversarium.diagnostics import Finding
from adversarium.errors import InputError
from adversarium.metrics import Measurement
from adversarium.train import StoppedError, checkpoint, diagnose_run, loop, resume, train, watch
from adversarium.train.checkpoint import load, newest_first
from adversarium.train.evaluator import Evaluator
from adversarium.train.folder import RunFolder, data_identity
from adversarium.train.loop import Run

PLANE = Codec((2,), (0.0, 0.0), (1.0, 1.0))
LOOKED = {"fd100_raw_test", "probe_auc"}


def test_numbers_that_are_not_finite_stay_json_and_count_as_no_better(tmp_path: Path):
    # nothing is near a mode at first: the reverse KL of no shares is infinite
    options = {"evaluate": "reverse_kl50_raw_test", "evaluate_every_kimg": 0.16, "steps": 20, "patience": 3}
    train(config(tmp_path / "run", **options))
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON")) for line in lines]
    assert [record["reverse_kl50_raw_test"] for record in found] == [None, None]
    assert all(math.isnan(record["reverse_kl50_raw_test"]) for record in RunFolder(tmp_path / "run").records())
    # two of three bad measurements are remembered
    ended = resume(tmp_path / "run", budget={"steps": 500})
    assert (ended.steps, ended.exhausted, ended.best) == (30, True, None)


def test_samples_that_cannot_be_measured_stop_the_run_and_say_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    calls: list[int] = []

    def measure(self: Evaluator, generator: torch.nn.Module) -> Measurement:
        if not calls.append(0) and len(calls) == 2:
            raise InputError("the generator returns NaN or infinity: its samples cannot be measured")
        return measured(self, generator)

    measured = Evaluator.measure
    monkeypatch.setattr(Evaluator, "measure", measure)
    options = {"evaluate": "fd100_raw_test", "evaluate_every_kimg": 0.16, "checkpoint_every_seconds": 1e-6}
    with pytest.raises(StoppedError, match=r"stopped at step 20: the generator returns NaN.*step-00000019"):
        train(config(tmp_path / "run", **options))
    assert "NaN" in RunFolder(tmp_path / "run").stopped()
    assert [record["step"] for record in records(tmp_path / "run")][-1] == 19
    monkeypatch.undo()
    assert resume(tmp_path / "run").steps == 30


MEASURED = {"evaluate": "fd100_raw_test", "evaluate_every_kimg": 0.8, "steps": 60, "preset": "sngan"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run that nothing befell; its preset has power iterations, and shows five batches in a step."""
    return train(config(tmp_path_factory.mktemp("whole") / "run", **MEASURED))


@pytest.mark.parametrize("during", ["measuring", "writing"])
@pytest.mark.parametrize("saving", [1e-6, 1e6], ids=["saves-often", "saves-never"])
def test_a_run_that_ends_in_an_evaluation_and_is_resumed_is_as_one_that_did_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Run, during: str, saving: float
):
    """A signal while samples are measured, or a full disk when the best checkpoint is written."""
    options = {**MEASURED, "checkpoint_every_seconds": saving}
    assert whole.best is not None
    calls: list[int] = []

    def measure(self: Evaluator, generator: torch.nn.Module) -> Measurement:
        if not calls.append(0) and len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return measured(self, generator)

    def save(folder: Path, *arguments: Any, **named: Any) -> Path:
        if folder.name == "best" and not calls.append(0) and len(calls) == 2:
            raise OSError(28, "No space left on device", str(folder))
        return saved(folder, *arguments, **named)

    measured, saved = Evaluator.measure, checkpoint.save
    if during == "measuring":
        monkeypatch.setattr(Evaluator, "measure", measure)
        ended = train(config(tmp_path / "halves", **options))
        # the measurement is ended, and one more step taken
        assert (ended.signal, ended.steps) == (signal.SIGINT, 21)
    else:
        monkeypatch.setattr(checkpoint, "save", save)
        with pytest.raises(StoppedError, match="No space left on device"):
            train(config(tmp_path / "halves", **options))
    monkeypatch.undo()
    again = resume(tmp_path / "halves")
    assert again.best is not None
    assert again.best.name == whole.best.name
    for one, other in (
        (tensors(whole.path), tensors(again.path)),
        (load(whole.best).tensors, load(again.best).tensors),
    ):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
    steps = [record["step"] for record in records(again.path)]
    assert steps == sorted(set(steps))
    one, other = (
        [
            (record["step"], record["fd100_raw_test"], record["probe_auc"])
            for record in records(path)
            if record.keys() >= LOOKED
        ]
        for path in (whole.path, again.path)
    )
    assert one == other
    assert len(one) == 6


def test_a_run_older_than_these_options_goes_on_as_it_began(tmp_path: Path):
    np.save(tmp_path / "data.npy", np.random.default_rng(0).standard_normal((2000, 2)).astype(np.float32))
    options = {"data": str(tmp_path / "data.npy"), "hold_out": 0.0, "diagnose_every_steps": 0}
    whole = train(config(tmp_path / "whole", **options))
    old = train(config(tmp_path / "old", **{**options, "steps": 10}))
    path = old.path / "config.json"
    new = {"hold_out", "evaluate", "evaluate_every_kimg", "patience", "diagnose_every_steps"}
    kept = {name: value for name, value in json.loads(path.read_text()).items() if name not in new}
    path.write_text(json.dumps(kept))
    ended = resume(old.path, budget={"steps": 30})
    one, other = tensors(whole.path), tensors(ended.path)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert RunFolder(old.path).config().hold_out == 0.0


def test_a_best_checkpoint_that_is_older_than_one_of_a_lost_future_is_kept(tmp_path: Path):
    counters = {"images": 0}
    weights = {"x": torch.zeros(1)}
    for step in (40, 36):  # the run went back to step 30 in between
        checkpoint.save(tmp_path, weights, {**counters, "step": step}, keep=1)
    assert [path.name for path in newest_first(tmp_path)] == ["step-00000036.safetensors"]
    for step in (50, 60, 70):
        checkpoint.save(tmp_path, weights, {**counters, "step": step}, keep=2)
    assert [path.name for path in newest_first(tmp_path)] == ["step-00000070.safetensors", "step-00000060.safetensors"]


@pytest.mark.parametrize(("count", "share"), [(1, 0.0), (2, 0.5)])
def test_a_single_sample_is_trained_on_and_not_looked_at(tmp_path: Path, count: int, share: float):
    np.save(tmp_path / "data.npy", np.random.default_rng(0).standard_normal((count, 2)).astype(np.float32))
    ended = train(config(tmp_path / "run", data=str(tmp_path / "data.npy"), hold_out=share, batch_size=1))
    assert ended.steps == 30
    found = diagnose_run(ended.path, device="cpu")
    assert "it cannot be measured now: 1 real samples" in found.notes[0]


def test_an_interval_without_a_protocol_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="evaluate_every_kimg is 5, and there is no protocol"):
        config(tmp_path / "run", evaluate_every_kimg=5.0)


def test_a_finding_that_is_gone_is_zero_in_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    kinds = iter([["mode_collapse"], [], ["mode_collapse", "oscillation"]])

    def diagnosed(*_: object) -> list[Finding]:
        return [
            Finding(kind=kind, what="", since_kimg=0.0, severity=0.5, evidence={}, series=(), cause="", remedies=())
            for kind in next(kinds)
        ]

    monkeypatch.setattr(watch, "diagnose", diagnosed)
    train(config(tmp_path / "run", tensorboard=True, log_every_steps=5))
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    curve = {
        name: [(each.step, each.value) for each in events.Scalars(f"finding_{name}")]
        for name in ("mode_collapse", "oscillation")
    }
    assert curve == {"mode_collapse": [(160, 0.5), (320, 0.0), (480, 0.5)], "oscillation": [(480, 0.5)]}


@pytest.mark.parametrize("labels", [None, np.arange(200) % 3], ids=["bare", "labelled"])
def test_parts_of_data_are_told_apart(tmp_path: Path, labels: np.ndarray | None):
    """Two halves of one array have as many samples; they are not the same data."""
    numbers = np.arange(200, dtype=np.float32)[:, None]
    source = ArraySource("numbers", numbers, Codec((1,), (0.0,), (1.0,)), labels=labels)
    one, other = splits(source, 0.5)
    assert data_identity(one)["count"] == data_identity(other)["count"] == 100
    assert data_identity(one) != data_identity(other)
    assert data_identity(source) == data_identity(dataclasses.replace(source, rows=np.arange(200)))
    run = train(config(tmp_path / "run", data="given"), source=one)
    with pytest.raises(InputError, match="not the data that"):
        resume(run.path, source=other, budget={"steps": 40})
    assert resume(run.path, source=one, budget={"steps": 31}).steps == 31


def test_the_identity_of_a_density():
    found = {name: data_identity(open_data(name)) for name in DATASETS if name != "mnist"}
    assert len({each["sha256"] for each in found.values()}) == len(found) > 3
    assert all((each["count"], each["test"]) == (None, None) for each in found.values())
    assert data_identity(open_data("swiss_roll")) == found["swiss_roll"]
    assert data_identity(SwissRoll("another", std=0.1)) != found["swiss_roll"]


def test_a_run_that_goes_on_while_it_is_diagnosed_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = train(config(tmp_path / "run")).path

    def read(self: Path, **options: Any) -> str:
        text = real(self, **options)
        if self.name == "metrics.jsonl":  # right after it was read it grows
            with open(self, "a", encoding="utf-8") as stream:
                stream.write(text.splitlines()[-1] + "\n")
        return text

    real = Path.read_text
    monkeypatch.setattr(Path, "read_text", read)
    found = diagnose_run(path, device="cpu")
    assert (len(found.records), found.notes) == (3, [])


def test_a_checkpoint_of_other_networks_leaves_the_records_to_be_diagnosed(tmp_path: Path):
    path = train(config(tmp_path / "run", diagnose_every_steps=0)).path
    values = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**values, "width": 17}))
    found = diagnose_run(path, device="cpu")
    assert len(found.records) == 3
    assert "it cannot be measured now" in found.notes[0]
    assert "holds another run: width is 16" in found.notes[0]


def test_a_used_folder_is_refused_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loop, "open_data", lambda *_, **__: pytest.fail("the data were opened"))
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="already holds files"):
        train(config(tmp_path, evaluate="fd100_raw_test"))
    with pytest.raises(InputError, match="is a file"):
        train(config(tmp_path / "note.txt"))


def test_what_is_to_be_said_of_a_number_is_said_once(tmp_path: Path):
    np.save(tmp_path / "data.npy", np.random.default_rng(0).standard_normal((60, 2)).astype(np.float32))
    told: list[str] = []
    options = {"data": str(tmp_path / "data.npy"), "hold_out": 1 / 6, "evaluate_every_kimg": 0.16}
    train(config(tmp_path / "run", evaluate="fd20_raw_test", **options), tell=told.append)
    cost, *notes = told
    assert "; of real samples it is " in cost
    assert "fd20_raw_test: compared with 10 real samples: the test split has no more" in notes
    assert sum("compared with" in note for note in notes) == 1  # however often it is measured


def test_a_run_is_measured_with_one_test_split(tmp_path: Path):
    rng = np.random.default_rng(0)
    made = [ArraySource("made", rng.standard_normal((200, 2)).astype(np.float32), PLANE) for _ in range(3)]
    source, other = (dataclasses.replace(made[0], test=test) for test in made[1:])
    run = train(config(tmp_path / "run", data="given", evaluate="fd100_raw_test"), source=source)
    assert resume(run.path, source=source, budget={"steps": 31}).steps == 31
    for changed in (other, made[0]):
        with pytest.raises(InputError, match="its test split is not the one that"):
            resume(run.path, source=changed, budget={"steps": 32})
    # a run that was begun before test splits were noted goes on with any
    path = run.path / "data.json"
    path.write_text(json.dumps({name: each for name, each in json.loads(path.read_text()).items() if name != "test"}))
    assert resume(run.path, source=other, budget={"steps": 32}).steps == 32


def test_a_run_that_has_used_up_its_patience_goes_on_with_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(Evaluator, "is_better", lambda self, new, best: best is None)
    path = tmp_path / "run"
    train(config(path, steps=200, evaluate="fd100_raw_test", evaluate_every_kimg=0.16, patience=2))
    for patience, steps in ((None, 30), (3, 40), (5, 60)):
        again = ["train", "--resume", str(path), *([] if patience is None else ["--patience", str(patience)])]
        assert main(again) == 0
        said = capsys.readouterr().out
        assert f"go on with: adversarium train --resume {path} --patience N" in said
        assert f"{path}: {steps} steps" in said
    assert RunFolder(path).config().patience == 5
    with pytest.raises(InputError, match="patience is 3, and there is no protocol"):
        resume(train(config(tmp_path / "plain")).path, patience=3)
