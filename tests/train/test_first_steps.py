"""Runs that fail before their first record and checkpoint, and what is left of them."""

import os
from pathlib import Path

import pytest
import torch
from small_runs import config, tensors

from adversarium.cli import main
from adversarium.errors import InputError
from adversarium.train import StoppedError, resume, train
from adversarium.train.training import Training

UNFIT = ["train", "ring", "--terms", "bcr", "--width", "4", "--batch-size", "4"]


def under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_run_that_cannot_take_a_step_leaves_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for out in ([], ["--out", "one/two"]):
        assert main([*UNFIT, *out]) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith("adversarium: samples have shape")
        assert "doctor" not in said
        assert os.listdir() == []
    unfit = ["--preset", "ebgan", "--terms", "feature_matching", "--width", "4", "--batch-size", "4", "--out", "run"]
    assert main(["train", "mnist", *unfit]) == 2
    assert os.listdir() == []


def test_a_folder_that_was_there_stays_and_can_be_used(tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    with pytest.raises(InputError, match="shift_and_flip wants images"):
        train(config(out, terms="bcr"))
    assert under(tmp_path) == ["run"]
    assert train(config(out, steps=1)).steps == 1


def test_what_others_put_there_stays(tmp_path: Path) -> None:
    def note(*_: object) -> None:
        (tmp_path / "a" / "run" / "samples" / "note.txt").write_text("mine")
        (tmp_path / "a" / "other").mkdir()

    with pytest.raises(InputError, match="shift_and_flip"):
        train(config(tmp_path / "a" / "run", terms="bcr"), on_start=note)
    assert under(tmp_path) == ["a", "a/other", "a/run", "a/run/samples", "a/run/samples/note.txt"]


def test_pictures_and_events_of_the_first_steps_go_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    move = Training.move

    def until_the_third(training: Training, images: int) -> int:
        if training.step.steps == 2:
            assert list((tmp_path / "run" / "samples").iterdir())
            assert list((tmp_path / "run").glob("events*"))
            raise InputError("no more")
        return move(training, images)

    monkeypatch.setattr(Training, "move", until_the_third)
    often = {"sample_every_kimg": 0.001, "diagnose_every_steps": 0, "tensorboard": True}
    with pytest.raises(InputError, match="no more"):
        train(config(tmp_path / "run", **often))
    assert under(tmp_path) == []
    # with a record there is something to look at
    with pytest.raises(StoppedError, match=r"stopped at step 2: no more; .*adversarium doctor"):
        train(config(tmp_path / "run", **often, log_every_steps=1))
    assert (tmp_path / "run" / "metrics.jsonl").stat().st_size > 0
    assert (tmp_path / "run" / "config.json").exists()


def test_a_run_killed_before_its_first_record_is_begun_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill leaves is what a power cut in the first step would: no handler of ours runs."""
    whole = train(config(tmp_path / "whole", steps=3)).path

    class Killed(BaseException):
        pass

    def killed(*_: object) -> int:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Training, "move", killed)
        with pytest.raises(Killed):
            train(config(tmp_path / "run", steps=3))
    assert main(["train", "ring", "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "no record and no checkpoint yet" in said
    assert f"adversarium train --resume {tmp_path / 'run'}" in said
    resume(tmp_path / "run")
    ours, theirs = tensors(whole), tensors(tmp_path / "run")
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    assert main(["train", "ring", "--out", str(tmp_path / "run")]) == 2
    assert "or continue it: adversarium train --resume" in capsys.readouterr().err


def test_a_resumed_run_that_cannot_take_a_step_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise InputError("no step")

    run = train(config(tmp_path / "run", steps=1)).path
    for file in [*(run / "checkpoints").iterdir(), run / "metrics.jsonl"]:
        file.unlink()
    monkeypatch.setattr(Training, "move", refused)
    with pytest.raises(InputError, match="^no step$"):
        resume(run)
    assert (run / "config.json").exists()
    assert not (run / "stopped.json").exists()
