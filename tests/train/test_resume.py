"""A run that is stopped, killed or damaged, and resumed, ends bit-equal to one that never was."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from adversarium.config import TrainConfig
from adversarium.errors import InputError
from adversarium.train import Run, StoppedError, checkpoint, resume, train

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


@pytest.mark.parametrize(
    ("data", "preset", "precision"),
    [
        ("mnist", "nsgan", "fp32"),
        ("mnist", "wgan-gp", "bf16"),
        ("mnist", "sngan", "fp32"),
        ("ring", "wgan", "fp32"),
        ("grid", "r3gan", "fp32"),
    ],
)
def test_stopped_and_resumed_is_bit_equal(tmp_path: Path, data: str, preset: str, precision: str) -> None:
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
    path.write_text(path.read_text().replace('"ring"', '"mnist"'))
    with pytest.raises(InputError, match="no longer the data"):
        resume(run.path)


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
    for _ in range(kills):
        process = subprocess.Popen([*command, *arguments], **quiet)
        reached = len(checkpoint.newest_first(killed / "checkpoints"))
        deadline = time.monotonic() + 60
        # wait until it trains, then kill somewhere in the next few steps
        mark = newest_name(killed)
        while newest_name(killed) == mark and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.15))
        process.kill()
        errors = process.communicate()[1]
        landed += process.returncode == -signal.SIGKILL
        assert process.returncode in (-signal.SIGKILL, 0), errors.decode()
        arguments = ["--resume", str(killed)]
        assert reached <= 3
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
