"""A run that is stopped, killed or damaged, and resumed, ends bit-equal to one that never was."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from adversarium import losses, penalties
from adversarium.config import TrainConfig
from adversarium.errors import InputError
from adversarium.presets import PRESETS
from adversarium.train import Run, StoppedError, checkpoint, folder, resume, train
from adversarium.train.build import Training
from adversarium.types import Objective, Term

SMALL = {"width": 8, "batch_size": 16, "steps": 24, "log_every_steps": 4, "sample_every_kimg": 0.2}


def final_tensors(run: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load_newest(run / "checkpoints")[0].tensors


def assert_same_end(one: Path, other: Path) -> None:
    a, b = final_tensors(one), final_tensors(other)
    assert a.keys() == b.keys()
    different = [name for name in a if not torch.equal(a[name], b[name])]
    assert different == []


def interrupted(config: TrainConfig, at_step: int) -> Run:
    """Train until a signal arrives in the middle of a record."""

    def interrupt(record: dict[str, float]) -> None:
        if record["step"] == at_step:
            os.kill(os.getpid(), signal.SIGINT)

    return train(config, observers=[interrupt])


def stateful_objective() -> Objective:
    return Objective(
        loss=losses.began(rate=0.1),
        critic_terms=(Term(name="lecam", penalty=penalties.lecam(), fraction=0.5),),
        generator_terms=(Term(name="path_length", penalty=penalties.path_length(), every=3),),
    )


@pytest.mark.parametrize(
    ("data", "preset", "precision"),
    [
        ("mnist", "nsgan", "fp32"),
        ("mnist", "wgan-gp", "bf16"),
        ("mnist", "sngan", "fp32"),
        ("ring", "wgan", "fp32"),
        ("grid", "r3gan", "fp32"),
        ("mnist", "stateful", "fp32"),
    ],
)
def test_stopped_and_resumed_is_bit_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, preset: str, precision: str
) -> None:
    # no preset so far has a loss or a penalty with state
    monkeypatch.setitem(PRESETS, "stateful", dataclasses.replace(PRESETS["r3gan"], objective=stateful_objective()))
    config = {**SMALL, "data": data, "preset": preset, "precision": precision}
    whole = train(TrainConfig(**config, out=str(tmp_path / "whole")))
    first = interrupted(TrainConfig(**config, out=str(tmp_path / "halves")), at_step=8)
    assert first.signal == signal.SIGINT
    # the record at step 8 is followed by one whole step, and by a checkpoint
    assert first.steps == 9
    second = resume(first.path)
    assert (second.steps, second.images) == (whole.steps, whole.images)
    assert_same_end(whole.path, second.path)
    steps = [json.loads(line)["step"] for line in (second.path / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))
    assert steps[-1] == 24


def test_a_truncated_newest_checkpoint_falls_back_and_ends_the_same(tmp_path: Path) -> None:
    config = {**SMALL, "data": "ring", "preset": "rasgan", "checkpoint_every_seconds": 1e-6, "keep_checkpoints": 3}
    whole = train(TrainConfig(**config, out=str(tmp_path / "whole")))
    broken = interrupted(TrainConfig(**config, out=str(tmp_path / "broken")), at_step=8)
    newest, before, *_ = checkpoint.newest_first(broken.path / "checkpoints")
    os.truncate(newest, newest.stat().st_size // 2)
    said: list[str] = []
    resume(broken.path, warn=said.append)
    assert len(said) == 1
    assert newest.name in said[0]
    assert before.name in said[0]
    assert newest.with_name(newest.name + ".damaged").exists()
    assert_same_end(whole.path, broken.path)


def test_a_longer_budget_goes_on(tmp_path: Path) -> None:
    config = {**SMALL, "data": "ring", "preset": "nsgan"}
    whole = train(TrainConfig(**config, out=str(tmp_path / "whole")))
    short = train(TrainConfig(**{**config, "steps": 10}, out=str(tmp_path / "short")))
    assert resume(short.path, budget={"steps": 24}).steps == 24
    assert_same_end(whole.path, short.path)


def test_resuming_a_complete_run_takes_no_step(tmp_path: Path) -> None:
    run = train(TrainConfig(**SMALL, data="ring", out=str(tmp_path / "run")))
    (run.path / "samples.png").unlink()
    before = final_tensors(run.path)
    assert resume(run.path).steps == 24
    assert all(torch.equal(value, before[name]) for name, value in final_tensors(run.path).items())
    assert (run.path / "samples.png").exists()


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path: Path) -> None:
    runs = [
        train(TrainConfig(**SMALL, data="ring", seed=seed, out=str(tmp_path / name)))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert_same_end(runs[0].path, runs[1].path)
    assert not torch.equal(
        final_tensors(runs[0].path)["generator.1.weight"], final_tensors(runs[2].path)["generator.1.weight"]
    )


def test_a_run_in_use_is_refused(tmp_path: Path) -> None:
    def second_process(*_: object) -> None:
        with pytest.raises(InputError, match="another process is training this run"):
            resume(tmp_path / "run")

    train(TrainConfig(**{**SMALL, "steps": 1}, data="ring", out=str(tmp_path / "run")), on_start=second_process)


def test_other_data_are_refused(tmp_path: Path) -> None:
    run = train(TrainConfig(**{**SMALL, "steps": 2}, data="ring", out=str(tmp_path / "run")))
    path = run.path / "config.json"
    path.write_text(path.read_text().replace('"ring"', '"grid"'))
    with pytest.raises(InputError, match="not the data that"):
        resume(run.path)


def test_other_rows_of_the_same_shape_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 28, 28, 1), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    run = train(
        TrainConfig(data=str(tmp_path / "images.npy"), width=4, batch_size=4, steps=2, out=str(tmp_path / "run"))
    )
    resume(run.path, budget={"steps": 3})
    images[7] = 0
    np.save(tmp_path / "images.npy", images)
    with pytest.raises(InputError, match="not the data that"):
        resume(run.path, budget={"steps": 4})


def test_a_new_budget_is_the_runs_own_from_then_on(tmp_path: Path) -> None:
    run = train(TrainConfig(**{**SMALL, "steps": 4}, data="ring", out=str(tmp_path / "run")))

    def interrupt(record: dict[str, float]) -> None:
        if record["step"] == 8:
            os.kill(os.getpid(), signal.SIGTERM)

    assert resume(run.path, budget={"steps": 24}, observers=[interrupt]).steps == 9
    assert resume(run.path).steps == 24


def test_a_run_resumes_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "data.npy", np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32))
    monkeypatch.chdir(tmp_path)
    run = train(TrainConfig(**{**SMALL, "steps": 2}, data="data.npy", out=str(tmp_path / "run")))
    monkeypatch.chdir("/")
    assert resume(run.path, budget={"steps": 3}).steps == 3


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("preset", "wgan", "holds another run: preset is 'nsgan', and here 'wgan'"),
        ("preset", "wgna", "unknown preset 'wgna'"),
        ("width", 9, "holds another run: width is 8"),
        ("device", "tpu", "device is 'tpu'"),
        ("batch_size", "x", "batch_size is 'x': wanted int"),
    ],
)
def test_an_edited_configuration(tmp_path: Path, key: str, value: object, words: str) -> None:
    run = train(TrainConfig(**{**SMALL, "steps": 2}, data="ring", preset="nsgan", out=str(tmp_path / "run")))
    path = run.path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(InputError, match=words):
        resume(run.path)


def test_a_signal_after_the_last_step_ends_a_complete_run(tmp_path: Path) -> None:
    def interrupt(record: dict[str, float]) -> None:
        if record["step"] == 24:
            os.kill(os.getpid(), signal.SIGINT)

    run = train(TrainConfig(**SMALL, data="ring", out=str(tmp_path / "run")), observers=[interrupt])
    assert (run.steps, run.signal) == (24, None)


def test_weights_that_overflow_are_never_saved(tmp_path: Path) -> None:
    config = TrainConfig(**SMALL, data="ring", checkpoint_every_seconds=1e-6, out=str(tmp_path / "run"))
    held: list[Training] = []

    def spoil(record: dict[str, float]) -> None:
        if record["step"] == 3:
            with torch.no_grad():
                next(held[0].step.generator.parameters())[0, 0] = float("inf")

    with pytest.raises(StoppedError, match=r"generator\.\S+ became inf at step 3; .*step-00000002"):
        train(config, observers=[spoil], on_start=lambda folder, training, source: held.append(training))


def test_a_beginning_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder.RunFolder, "write_config", fail)
    with pytest.raises(InputError, match="No space left"):
        train(TrainConfig(**SMALL, data="ring", out=str(tmp_path / "run")))
    assert os.listdir(tmp_path) == []


def test_a_full_disk_stops_the_run_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig(**SMALL, data="ring", checkpoint_every_seconds=1e-6, out=str(tmp_path / "run"))
    real_save, calls = checkpoint.save, []

    def save(*arguments: object, **options: object) -> Path:
        calls.append(1)
        if len(calls) == 4:
            raise OSError(28, "No space left on device", "somewhere")
        return real_save(*arguments, **options)

    monkeypatch.setattr(checkpoint, "save", save)
    with pytest.raises(StoppedError, match=r"No space left on device.*the last good checkpoint is .*step-00000003"):
        train(config)
    monkeypatch.undo()
    assert resume(tmp_path / "run").steps == 24


def test_non_finite_numbers_stop_the_run(tmp_path: Path) -> None:
    config = TrainConfig(
        **{**SMALL, "steps": 500}, data="ring", preset="wgan-gp", checkpoint_every_seconds=1e-6,
        critic_learning_rate=1e18, out=str(tmp_path / "run"),
    )  # fmt: skip
    with pytest.raises(StoppedError, match=r"critic_\w+ became .* at step \d+; .*checkpoint"):
        train(config)
    for path in checkpoint.newest_first(tmp_path / "run" / "checkpoints"):
        found = checkpoint.load(path)
        assert all(value.isfinite().all() for value in found.tensors.values() if value.is_floating_point())


def kill_and_resume(tmp_path: Path, precision: str, kills: int, seed: int) -> None:
    """Kill a run at random moments, most of them while a checkpoint is written, until it ends."""
    options = ["--width", "8", "--batch-size", "16", "--log-every-steps", "5", "--precision", precision]
    command = [sys.executable, "-m", "adversarium", "train"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "env": {**os.environ, "OMP_NUM_THREADS": "1"}}
    steps = ["--steps", "150", "--checkpoint-every-seconds", "1e-6"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*command, "mnist", *options, *steps, "--out", str(whole)], check=True, **quiet)
    rng, landed = random.Random(seed), 0
    arguments = ["mnist", *options, *steps, "--out", str(killed)]
    for number in range(kills):
        process = subprocess.Popen([*command, *arguments], **quiet)
        deadline = time.monotonic() + 60
        if number % 3 == 2:
            # anywhere, the start included
            time.sleep(rng.uniform(0, 8))
        else:
            # wait until it trains, then kill somewhere in the next few steps
            mark = newest_name(killed)
            while newest_name(killed) == mark and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.15))
        process.kill()
        errors = process.communicate()[1]
        landed += process.returncode == -signal.SIGKILL
        assert process.returncode in (-signal.SIGKILL, 0), errors.decode()
        if killed.exists():
            arguments = ["--resume", str(killed)]
    subprocess.run([*command, *arguments], check=True, **quiet)
    assert landed >= kills // 2
    assert_same_end(whole, killed)
    assert not list((killed / "checkpoints").glob(".*"))


def newest_name(run: Path) -> str | None:
    found = checkpoint.newest_first(run / "checkpoints")
    return found[0].name if found else None


def test_killed_twice(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, "fp32", kills=2, seed=0)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_killed_ten_times(tmp_path: Path, precision: str) -> None:
    kill_and_resume(tmp_path, precision, kills=10, seed=1)
