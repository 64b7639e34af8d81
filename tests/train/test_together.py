"""Runs that are trained together, in lockstep: what each would have been alone, whatever befalls the others."""

import dataclasses
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from small_runs import config, records, tensors

from adversarium.config import TrainConfig
from adversarium.data import open_data
from adversarium.errors import InputError
from adversarium.metrics import References
from adversarium.metrics.measuring import Measuring
from adversarium.train import StoppedError, resume
from adversarium.train.checkpoint import load, newest_first
from adversarium.train.loop import Run, train_together

RING = open_data("ring")
PROTOCOL = "sw2_100_raw_test"
STEPS = 12

KINDS = {"stacked": {"preset": "nsgan"}, "one after another": {"preset": "sngan", "n_critic": 1}}
kinds = pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)


def configs(folder: Path, count: int = 3, **options: object) -> list[TrainConfig]:
    return [
        config(folder / f"seed{seed}", **{"steps": STEPS, "diagnose_every_steps": 5, **options, "seed": seed})
        for seed in range(count)
    ]


def together(made: list[TrainConfig], **options: object) -> list[Run | StoppedError]:
    return train_together(made, source=RING, pictured=False, **options)  # type: ignore[arg-type]


def alone(folder: Path, **options: object) -> Path:
    (end,) = together([config(folder, **{"steps": STEPS, "diagnose_every_steps": 5, **options})])
    assert isinstance(end, Run)
    return end.path


def assert_same(one: Path, other: Path, *, exactly: bool) -> None:
    expected, found = tensors(one), tensors(other)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        if exactly or not value.is_floating_point():
            assert torch.equal(found[name], value) or name == "rng.torch", name
        else:
            torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-6, msg=name)
    assert [line["step"] for line in records(one)] == [line["step"] for line in records(other)]


class InterruptedError_(Exception):
    """Not one of those that a run may end with."""


@kinds
def test_each_run_is_what_it_is_alone(tmp_path: Path, options: Mapping[str, object]) -> None:
    ended = together(configs(tmp_path / "together", **options))
    for seed, each in enumerate(ended):
        assert isinstance(each, Run)
        found = (each.path, each.steps, each.images, each.signal)
        assert found == (tmp_path / f"together/seed{seed}", STEPS, 16 * STEPS, None)
        own = alone(tmp_path / f"alone{seed}", **options, seed=seed)
        assert_same(own, each.path, exactly=options["preset"] == "sngan")


@pytest.mark.parametrize(
    ("options", "at"),
    [(KINDS["stacked"], (0, 5)), (KINDS["stacked"], (2, STEPS)), (KINDS["one after another"], (1, 7))],
    ids=str,
)
def test_runs_that_were_killed_go_on_as_if_nothing_had_been(
    tmp_path: Path, options: Mapping[str, object], at: tuple[int, int]
) -> None:
    """A kill between the checkpoints of two runs leaves them at different steps."""
    often = {**options, "checkpoint_every_seconds": 1e-9, "log_every_steps": 1, "diagnose_every_steps": 0}
    whole, broken = configs(tmp_path / "whole", **often), configs(tmp_path / "broken", **often)
    together(whole)
    number, step = at

    def die(line: Mapping[str, float]) -> None:
        if line["step"] == step:
            raise InterruptedError_

    observers: list[list[Callable[[Mapping[str, float]], None]]] = [[] for _ in broken]
    observers[number].append(die)
    with pytest.raises(InterruptedError_):
        together(broken, observers=observers)
    reached = [_reached(Path(str(each.out))) for each in broken]
    assert reached == _expected(number, step, stacked=options["preset"] == "nsgan")
    for one, other, end in zip(whole, broken, together(broken), strict=True):
        assert isinstance(end, Run)
        assert end.steps == STEPS
        assert_same(Path(str(one.out)), Path(str(other.out)), exactly=options["preset"] == "sngan")


def _reached(path: Path) -> int:
    kept = newest_first(path / "checkpoints")
    return load(kept[0]).counters["step"] if kept else 0


def _expected(number: int, step: int, *, stacked: bool) -> list[int]:
    """Return where three runs stand whose ``number`` was killed in its turn after a step, before its checkpoint."""
    after = step - 1 if stacked else 0
    before = step if stacked else STEPS
    return [before] * number + [step - 1] + [after] * (2 - number)


@kinds
def test_runs_that_are_behind_catch_up_and_are_stacked_then(
    tmp_path: Path, options: Mapping[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    import adversarium.train.loop as loop

    short = configs(tmp_path, 5, steps=4, **options)
    together(short[:2])
    together([dataclasses.replace(each, steps=8) for each in short[2:4]])
    sizes = []
    move = loop._Stack.move
    monkeypatch.setattr(
        loop._Stack, "move", lambda stack, playing, images: sizes.append(len(playing)) or move(stack, playing, images)
    )
    ended = together([dataclasses.replace(each, steps=STEPS) for each in short])
    assert [end.steps for end in ended if isinstance(end, Run)] == [STEPS] * 5
    if options["preset"] == "nsgan":
        assert sizes == [1] * 4 + [3] * 4 + [5] * 4
    else:
        assert sizes == [1] * (5 * STEPS - 2 * 4 - 2 * 8)
    for seed in range(5):
        own = alone(tmp_path / f"alone{seed}", **options, seed=seed)
        expected, found = tensors(own), tensors(tmp_path / f"seed{seed}")
        for name in expected:
            if name.startswith(("generator.", "critic.", "ema.")):
                torch.testing.assert_close(found[name], expected[name], rtol=1e-6, atol=1e-6)


@kinds
def test_a_run_that_diverges_leaves_the_others(tmp_path: Path, options: Mapping[str, object]) -> None:
    made = configs(tmp_path, evaluate=PROTOCOL, evaluate_times=3, **options)
    made[1] = dataclasses.replace(made[1], critic_learning_rate=1e18, generator_learning_rate=1e18)
    first, wrong, last = together(made)
    assert isinstance(wrong, StoppedError)
    assert "stopped at step" in str(wrong)
    assert (tmp_path / "seed1" / "stopped.json").exists()
    for seed, end in ((0, first), (2, last)):
        assert isinstance(end, Run)
        assert end.steps == STEPS
        own = alone(tmp_path / f"alone{seed}", evaluate=PROTOCOL, evaluate_times=3, **options, seed=seed)
        assert_same(own, end.path, exactly=options["preset"] == "sngan")
    again = together(made)  # as a worker does whose process died before it wrote the result
    assert [type(end) for end in again] == [Run, StoppedError, Run]


def test_samples_that_cannot_be_measured_at_the_first_step_end_that_run_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adversarium.train.watch import Quality

    measure = Quality.measure

    def broken(self: Quality, record: dict[str, float]) -> bool:
        if self._training.config.seed == 1:
            raise InputError("the generator returns NaN or infinity: its samples cannot be measured")
        return measure(self, record)

    monkeypatch.setattr(Quality, "measure", broken)
    ended = together(configs(tmp_path, evaluate=PROTOCOL, evaluate_times=STEPS))
    assert [type(end) for end in ended] == [Run, StoppedError, Run]
    assert "stopped at step 1: the generator returns NaN" in str(ended[1])


@kinds
def test_a_signal_ends_all_runs_and_they_go_on(tmp_path: Path, options: Mapping[str, object]) -> None:
    made = configs(tmp_path / "broken", log_every_steps=1, **options)
    whole = configs(tmp_path / "whole", log_every_steps=1, **options)

    def ask(line: Mapping[str, float]) -> None:
        if line["step"] == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    ended = together(made, observers=[[], [ask], []])
    assert [end.signal for end in ended if isinstance(end, Run)][1:] == [signal.SIGTERM] * 2
    # all see it in the same round, and so can be stacked again
    steps = [6, 6, 6] if options["preset"] == "nsgan" else [STEPS, 6, 0]
    assert [end.steps for end in ended if isinstance(end, Run)] == steps
    together(whole)
    for one, other, end in zip(whole, made, together(made), strict=True):
        assert isinstance(end, Run)
        assert (end.steps, end.signal) == (STEPS, None)
        assert_same(Path(str(one.out)), Path(str(other.out)), exactly=options["preset"] == "sngan")


def test_seconds_are_the_runs_share_of_those_that_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only moves while players do: 3 seconds of a stack are 1 of each of three runs."""
    import adversarium.train.loop as loop
    import adversarium.train.rounds as rounds
    from adversarium.train.stacked import StackedTraining
    from adversarium.train.training import Training

    clock = SimpleNamespace(now=0.0)
    for module in (loop, rounds):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    for kind in (StackedTraining, Training):
        move = kind.move

        def slow(self: Any, images: int, move: Any = move) -> int:
            clock.now += 3.0
            return move(self, images)

        monkeypatch.setattr(kind, "move", slow)
    often = {"log_every_steps": 1, "diagnose_every_steps": 0, "checkpoint_every_seconds": 3.0}
    made = configs(tmp_path, **often)

    def die(line: Mapping[str, float]) -> None:
        if line["step"] == 5:
            raise InterruptedError_

    with pytest.raises(InterruptedError_):
        together(made, observers=[[], [die], []])  # the first is at step 5, the others at 4
    together(made)
    seconds = [[line["seconds"] for line in records(Path(str(each.out)))] for each in made]
    assert seconds[0] == pytest.approx([1.0 * step for step in range(1, 13)])
    for each in seconds[1:]:  # for one step two were stacked
        assert each == pytest.approx([1.0, 2.0, 3.0, 4.0, *(5.5 + step for step in range(8))])


@pytest.mark.parametrize("times", [1, 7])
def test_the_protocol_is_measured_so_many_times_and_last_at_the_end(tmp_path: Path, times: int) -> None:
    measuring = Measuring([PROTOCOL], References(RING, RING), repeats=1)
    made = configs(tmp_path, 2, evaluate=PROTOCOL, evaluate_times=times)
    together(made, measuring=measuring)
    for each in made:
        lines = [line for line in records(Path(str(each.out))) if PROTOCOL in line]
        assert [line["progress"] for line in lines] == pytest.approx(
            [-(-STEPS * part // times) / STEPS for part in range(1, times + 1)]
        )
        assert not list(Path(str(each.out)).rglob("*.png"))
    own = alone(tmp_path / "alone", evaluate=PROTOCOL, evaluate_times=times, seed=0)
    expected = [line[PROTOCOL] for line in records(own) if PROTOCOL in line]
    found = [line[PROTOCOL] for line in records(tmp_path / "seed0") if PROTOCOL in line]
    assert found == pytest.approx(expected, rel=1e-4)


def test_complete_runs_take_no_step_and_one_goes_on_alone(tmp_path: Path) -> None:
    made = configs(tmp_path)
    together(made)
    before = [tensors(Path(str(each.out))) for each in made]
    ended = together(made)
    assert [end.steps for end in ended if isinstance(end, Run)] == [STEPS] * 3
    for each, old in zip(made, before, strict=True):
        assert all(torch.equal(value, old[name]) for name, value in tensors(Path(str(each.out))).items())
    assert resume(tmp_path / "seed1", budget={"steps": 14}).steps == 14


def test_measured_times_want_a_protocol(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="evaluate_times is 3, and there is no protocol"):
        config(tmp_path / "run", evaluate_times=3)
