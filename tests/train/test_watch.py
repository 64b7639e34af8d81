"""Looking at a run changes nothing in it, survives a kill, and knows when the run was best."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from small_runs import config, records, tensors

from adversarium.data import open_data
from adversarium.errors import InputError
from adversarium.metrics import Measurement
from adversarium.train import StoppedError, load_generator, resume, train
from adversarium.train.build import build
from adversarium.train.checkpoint import load, newest_first
from adversarium.train.evaluator import Evaluator
from adversarium.train.folder import RunFolder
from adversarium.train.resolve import resolve
from adversarium.train.watch import Watch


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"preset": "wgan-gp"},  # draws points for its penalty
        {"preset": "sngan"},  # power iterations
        {"data": "mnist", "width": 4, "steps": 20},  # batch norm
        {"data": "mnist", "width": 4, "steps": 20, "game": "extragradient"},
    ],
    ids=lambda options: "-".join(map(str, options.values())) or "nsgan",
)
def test_looking_changes_nothing(tmp_path: Path, options: dict[str, object]):
    split = "train" if "data" in options else "test"
    watched = {"evaluate": f"fd100_raw_{split}" if split == "test" else "diversity100_raw_train"}
    train(config(tmp_path / "watched", **options, **watched, evaluate_every_kimg=0.16))
    train(config(tmp_path / "blind", **options, diagnose_every_steps=0))
    one, other = tensors(tmp_path / "watched"), tensors(tmp_path / "blind")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_records_hold_what_was_seen(tmp_path: Path):
    train(config(tmp_path / "run", evaluate="fd100_raw_test", evaluate_every_kimg=0.16))
    found = records(tmp_path / "run")
    assert [record["step"] for record in found if "probe_auc" in record] == [10, 20, 30]
    assert all({"probe_critic_update", "probe_generator_update"} <= record.keys() for record in found)
    # every 10 steps of 16 images are 0.16 kimg
    assert [record["step"] for record in found if "fd100_raw_test" in record] == [10, 20, 30]
    assert all(record["fd100_raw_test"] > 0 for record in found if "fd100_raw_test" in record)


def test_the_update_is_that_of_one_step(tmp_path: Path):
    """The size of one step of plain descent is the learning rate times the gradient's norm."""
    rate = 1e-3
    options = config(
        tmp_path, optimizer="sgd", beta1=0.0, critic_learning_rate=rate, generator_learning_rate=rate, precision="fp32"
    )
    source = open_data("ring")
    training = build(resolve(options, source.codec), source)
    watch, images = Watch(training), 0
    for _ in range(20):
        before = {
            player: math.hypot(*(float(each.detach().norm()) for each in network.parameters()))
            for player, network in (("critic", training.step.critic), ("generator", training.step.generator))
        }
        watch.before_step()
        images = training.move(images)
        measured = training.step.measurements()
        assert watch.due() == (training.step.steps % 10 == 0)
        if watch.due():
            found = watch.probe()
            for player, size in before.items():
                expected = rate * measured[f"{player}_gradient_norm"] / size
                assert found[f"probe_{player}_update"] == pytest.approx(expected, rel=1e-3)


def scripted(monkeypatch: pytest.MonkeyPatch, values: dict[int, float]) -> None:
    """Let the measurement at each step be a given number."""

    def measure(self: Evaluator, generator: torch.nn.Module) -> Measurement:
        found = measured(self, generator)
        return dataclasses.replace(found, mean=values[len(seen)] if not seen.append(0) else math.nan)

    seen: list[int] = []
    measured = Evaluator.measure
    monkeypatch.setattr(Evaluator, "measure", measure)


def test_the_best_checkpoint_is_kept_and_patience_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scripted(monkeypatch, dict(enumerate([0.0, 5.0, 4.0, math.nan, 3.0, 3.0, 3.5, 9.0])))  # from number 1 on
    told: list[str] = []
    ended = train(
        config(tmp_path / "run", steps=500, evaluate="fd100_raw_test", evaluate_every_kimg=0.16, patience=3),
        tell=told.append,
    )
    assert "fd100_raw_test is measured every 0.16 kimg, in about" in told[0]
    # each number is told, and how it stands to the best one
    numbers = [each for each in told[1:] if each.startswith("fd100_raw_test ")]
    assert numbers == [
        "fd100_raw_test 5, best so far",
        "fd100_raw_test 4, best so far",
        "fd100_raw_test nan; the best is 4 at 0.32 kimg",
        "fd100_raw_test 3, best so far",
        "fd100_raw_test 3; the best is 3 at 0.64 kimg",
        "fd100_raw_test 3.5; the best is 3 at 0.64 kimg",
        "fd100_raw_test 9; the best is 3 at 0.64 kimg",
    ]
    first, last = ended.quality.splitlines()
    assert first.startswith("best: fd100_raw_test = 3 at 0.64 kimg (real samples ")
    assert last == "stopped: 3 measurements in a row without a better one than 3 at 0.64 kimg"
    # every 10 steps: the best at 40, and not better at 50, 60, 70
    assert ended.exhausted
    assert ended.signal is None
    assert ended.steps == 70
    assert ended.best == tmp_path / "run" / "best" / "step-00000040.safetensors"
    assert load(newest_first(tmp_path / "run" / "checkpoints")[0]).counters["step"] == 70
    best = load_generator(tmp_path / "run", checkpoint=Path("best"), device="cpu")
    kept = load(ended.best).part("ema")
    assert all(torch.equal(value, kept[name]) for name, value in best.module.state_dict().items())


def test_a_resumed_run_remembers_how_long_it_has_not_improved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    options = config(tmp_path / "run", steps=20, evaluate="fd100_raw_test", evaluate_every_kimg=0.16, patience=3)
    scripted(monkeypatch, {1: 1.0, 2: 2.0})
    train(options)
    monkeypatch.undo()
    scripted(monkeypatch, {1: 3.0, 2: 4.0})
    ended = resume(tmp_path / "run", budget={"steps": 500})
    assert ended.exhausted
    assert ended.steps == 40
    assert ended.best == tmp_path / "run" / "best" / "step-00000010.safetensors"
    assert ended.quality.startswith("best: fd100_raw_test = 1 at 0.16 kimg")  # of the part before
    again = resume(tmp_path / "run", budget={"steps": 500})
    assert (again.steps, again.exhausted) == (40, True)


def test_a_protocol_that_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path):
    with pytest.raises(InputError, match="lenet sees images"):
        train(config(tmp_path / "run", evaluate="fd100_lenet_test"))
    with pytest.raises(InputError, match="did you mean 'fd100_raw_test'"):
        train(config(tmp_path / "run", evaluate="fid100_raw_test"))
    with pytest.raises(InputError, match="add --evaluate"):
        config(tmp_path / "run", patience=3)
    assert not (tmp_path / "run").exists()


def test_no_best_checkpoint_without_a_protocol(tmp_path: Path):
    train(config(tmp_path / "run", steps=2))
    with pytest.raises(InputError, match="--evaluate PROTOCOL"):
        load_generator(tmp_path / "run", checkpoint=Path("best"), device="cpu")


def test_a_run_that_stops_keeps_the_reason(tmp_path: Path):
    options = config(
        tmp_path / "run", optimizer="sgd", critic_learning_rate=1e18, generator_learning_rate=1.0, precision="fp32"
    )
    with pytest.raises(StoppedError, match=f"adversarium doctor {tmp_path / 'run'}"):
        train(options)
    assert "became" in RunFolder(tmp_path / "run").stopped()
    with pytest.raises(StoppedError):
        resume(tmp_path / "run")
    RunFolder(tmp_path / "run").forget_stopped()
    assert RunFolder(tmp_path / "run").stopped() == ""
