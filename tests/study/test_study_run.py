"""A study's jobs, done: paired runs on equal budgets, tested on what none of them saw; failures are results."""

import dataclasses
import errno
import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_studies import PROTOCOL, Doing, images, method, plan, vectors

import adversarium.train.rounds as rounds
from adversarium.data import ArraySource, Source, open_data
from adversarium.errors import InputError
from adversarium.metrics.metric import Metric
from adversarium.metrics.table import METRICS
from adversarium.study.material import Material, Redrawn
from adversarium.study.plan import SEED_OF_TRIALS, Budget, Method, Plan
from adversarium.study.record import Record
from adversarium.study.run import cost_of, run_config
from adversarium.study.worker import MOST_DEATHS
from adversarium.train.build import build
from adversarium.train.folder import RunFolder
from adversarium.train.resolve import resolve
from adversarium.train.step import Step
from adversarium.train.training import Training


def training(made: Plan, which: Method, material: Material, seed: int) -> Training:
    config = run_config(made, which, material, seed=seed, out=Path("run"), options={"device": "cpu"})
    return build(resolve(config, material.source.codec), material.source)


# paired


@pytest.mark.parametrize("kind", ["ring", "images"])
def test_with_one_seed_all_methods_begin_alike_and_see_the_same(tmp_path: Path, kind: str) -> None:
    methods = [
        method("nsgan"),
        method("wgan-gp"),
        method("lsgan", beta1=0.9, critic_learning_rate=1e-3),
        Method(name="r1", options={"penalties": "r1(gamma=1.0)"}),
        Method(name="extra", options={"game": "extragradient"}),
    ]
    shared: dict[str, Any] = {"critic_batch_norm": False, "generator_batch_norm": False}
    data, changes = "ring", {}
    if kind == "images":
        data = images(tmp_path / "images.npz")
        changes = {"hold_out": 0.25, "protocol": "sw2_12_random_conv_test", "options": shared}
    made = plan(*methods, data=data, **changes)
    material = Material.of_runs(made, open_data(data))
    runs = {(each.name, seed): training(made, each, material, seed) for each in methods for seed in (0, 1)}
    for seed in (0, 1):
        first = runs[methods[0].name, seed]
        for player in ("generator", "critic"):
            expected = getattr(first.step, player).state_dict()
            for each in methods:
                found = getattr(runs[each.name, seed].step, player).state_dict()
                assert found.keys() == expected.keys()
                assert all(torch.equal(found[name], value) for name, value in expected.items())
        batches = [[runs[each.name, seed].stream.next(8).samples for _ in range(9)] for each in methods]
        codes = [[runs[each.name, seed].latent.next(8) for _ in range(9)] for each in methods]
        for drawn in (batches, codes):
            assert all(torch.equal(one, other) for own in drawn[1:] for one, other in zip(drawn[0], own, strict=True))
    one, other = (runs[methods[0].name, seed].step.generator.state_dict() for seed in (0, 1))
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_samples_are_at_the_same_codes_whatever_the_seed(tmp_path: Path) -> None:
    """Where nothing is learnt, what two methods show are the same samples: those of their first weights."""
    still = {"critic_learning_rate": 1e-18, "generator_learning_rate": 1e-18}
    doing = Doing(plan(method("gan", **still), method("lsgan", **still)), tmp_path)
    gan, lsgan = (Record.from_dict(doing.runs(name)[0]) for name in ("gan", "lsgan"))
    assert gan.samples is not None
    assert lsgan.samples is not None
    assert gan.samples.shape == (1000, 2)
    np.testing.assert_allclose(gan.samples, lsgan.samples, atol=1e-6)
    assert gan.value == pytest.approx(lsgan.value, rel=1e-4)


# budgets

METHODS = {"gan": 2, "wgan-gp": 6, "wgan-gp-extraadam": 4, "packed": 2}
"""Gradients of a step."""


def of_all(**changes: Any) -> Plan:
    methods = [method(name) for name in list(METHODS)[:3]]
    return plan(*methods, Method(name="packed", options={"preset": "gan", "packing": 2}), **changes)


def test_a_budget_in_gradients_is_what_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for name in ("_critic_gradients", "_generator_gradients"):
        own = getattr(Step, name)
        monkeypatch.setattr(Step, name, lambda step, own=own: taken.append(0) or own(step))
    doing = Doing(of_all(budget=Budget(50.0, "gradients")), tmp_path)
    for name, each in METHODS.items():
        taken.clear()
        (result,) = doing.runs(name)
        record = Record.from_dict(result)
        assert record.gradients == len(taken) == 50 // each * each
        assert record.steps == 50 // each
        assert record.curve[-1].gradients == record.gradients
        critic = {"gan": 1, "packed": 1, "wgan-gp": 5, "wgan-gp-extraadam": 2}[name]
        assert record.kimg == record.curve[-1].kimg == record.steps * critic * 8 / 1000


def test_a_budget_in_kimg_is_what_the_critic_is_shown(tmp_path: Path) -> None:
    doing = Doing(of_all(budget=Budget(0.4, "kimg")), tmp_path)
    for name in METHODS:
        record = Record.from_dict(doing.runs(name)[0])
        assert 0.4 <= record.kimg < 0.4 + 5 * 8 / 1000
        assert record.gradients == record.steps * METHODS[name]


def test_a_budget_in_seconds_is_that_of_training(tmp_path: Path) -> None:
    doing = Doing(of_all(budget=Budget(0.4, "seconds")), tmp_path)
    for name in ("gan", "wgan-gp"):
        record = Record.from_dict(doing.runs(name)[0])
        assert 0.4 <= record.seconds < 1.5
        assert record.steps > 0


def test_a_record_says_all_three_and_what_else_there_is(tmp_path: Path) -> None:
    doing = Doing(plan(others=("modes500_raw_test", "high_quality500_raw_test")), tmp_path)
    results = doing.runs("gan", (0, 1))
    for seed, result in enumerate(results):
        record = Record.from_dict(json.loads(json.dumps(result, allow_nan=False)))
        assert (record.method, record.seed, record.why, record.together, record.attempts) == ("gan", seed, "", 2, 1)
        assert (record.steps, record.gradients, record.kimg) == (24, 48, 24 * 8 / 1000)
        assert record.seconds > 0
        assert [point.kimg for point in record.curve] == [0.096, 0.192]
        assert record.value == record.curve[-1].value
        assert record.floor is not None
        assert 0 < record.floor < record.value  # type: ignore[operator]
        assert set(record.others) == {"modes500_raw_test", "high_quality500_raw_test"}
        assert record.options["preset"] == "gan"
        assert record.options["critic_learning_rate"] == 2e-4  # resolved
        assert {"adversarium", "torch", "python", "machine"} <= set(record.versions)
        assert Path(record.folder) == tmp_path / "runs" / "gan" / f"seed{seed}"
    assert {key for key, _ in doing.seen} == {"run/gan/0", "run/gan/1"}
    assert doing.seen[-1][1] == 1.0


# what nobody sees before the test


def numbers(source: Source | None) -> set[int]:
    assert isinstance(source, ArraySource)
    return {round(float(each)) for each in np.asarray(source.take(np.arange(len(source))))[:, 0]}


@pytest.mark.parametrize(
    ("published", "share"), [(False, 0.2), (True, 0.0), (True, 0.2)], ids=["held out", "published", "both"]
)
def test_no_run_and_no_trial_sees_what_runs_are_tested_on(tmp_path: Path, published: bool, share: float) -> None:
    source = open_data(vectors(tmp_path / "points.npz"))
    assert isinstance(source, ArraySource)
    everything = numbers(source)
    if published:
        test = open_data(vectors(tmp_path / "test.npz", 100, first=1000))
        assert isinstance(test, ArraySource)
        source = dataclasses.replace(source, test=test)
    made = plan(method("gan", {"beta1": "0|0.5"}), data="points", hold_out=share, trials=2, protocol="sw2_40_raw_test")
    runs, trials = Material.of_runs(made, source), Material.of_trials(made, source)
    tested = numbers(runs.measuring.references.test)
    run, trial = (training(made, made.methods[0], each, 0) for each in (runs, trials))
    assert numbers(run.data) == numbers(runs.measuring.references.train)
    assert not numbers(run.data) & tested
    assert tested == (set(range(1000, 1100)) if share == 0 else everything - numbers(run.data))
    judged = numbers(trials.measuring.references.test)
    assert judged
    assert numbers(trial.data) == numbers(trials.measuring.references.train)
    assert not numbers(trial.data) & judged
    assert numbers(trial.data) | judged == numbers(run.data)  # and so none of what runs are tested on
    for each, seen in ((runs, tested), (trials, judged)):
        rows = each.measuring.real("raw", [("test", 0, len(seen))]).rows
        assert {round(float(value)) for value in rows[:, 0]} == seen


def test_of_a_density_a_search_is_judged_on_other_draws() -> None:
    made = plan(method("gan", {"beta1": "0|0.5"}), trials=2)
    source = open_data("ring")
    runs, trials = Material.of_runs(made, source), Material.of_trials(made, source)
    drawn = [each.measuring.real("raw", [(split, 0, 400)]).rows for each in (runs, trials) for split in ("test",)]
    assert not {tuple(row) for row in drawn[0].tolist()} & {tuple(row) for row in drawn[1].tolist()}
    again = Material.of_trials(made, source).measuring.real("raw", [("test", 0, 400)]).rows
    assert torch.equal(again, drawn[1])
    assert isinstance(trials.source, Redrawn)
    for one, other in ((trials.source.modes, source.modes), (trials.source.std, source.std)):  # type: ignore[union-attr]
        assert torch.equal(torch.as_tensor(one), torch.as_tensor(other))
    # it is the same density: both are as far from a third draw
    third = source.sample(400, torch.Generator().manual_seed(3))  # type: ignore[union-attr]
    assert drawn[1].mean(0).sub(third.mean(0)).norm() < 0.5
    seen = training(made, made.methods[0], trials, SEED_OF_TRIALS).stream.next(400).samples
    seen_by_run = training(made, made.methods[0], runs, 0).stream.next(400).samples
    assert not {tuple(row) for row in seen.tolist()} & {tuple(row) for row in seen_by_run.tolist()}


def test_trials_are_judged_by_fewer_samples_where_there_are_fewer(tmp_path: Path) -> None:
    source = open_data(vectors(tmp_path / "points.npz"))
    made = plan(method("gan", {"beta1": "0|0.5"}), hold_out=0.25, trials=2, protocol="sw2_60_raw_test", data="points")
    assert Material.of_runs(made, source).protocol == "sw2_60_raw_test"
    assert Material.of_trials(made, source).protocol == "sw2_18_raw_test"
    with pytest.raises(InputError, match="to judge trials by \\(0.001 of the training data\\)"):
        Material.of_trials(dataclasses.replace(made, validation_share=0.001, protocol="fd60_raw_test"), source)


# failures


@pytest.mark.parametrize("alone", [{}, {"packing": 2}], ids=["stacked", "alone"])
def test_a_run_that_fails_is_a_result(tmp_path: Path, alone: dict[str, Any]) -> None:
    wild = Method(name="wild", options={"preset": "wgan-gp", **alone, **dict.fromkeys(RATES, 1e6)})
    doing = Doing(plan(wild, method("gan")), tmp_path)
    for result in doing.runs("wild", (0, 1)):
        record = Record.from_dict(json.loads(json.dumps(result, allow_nan=False)))
        assert record.failed
        assert record.value is None
        assert record.why.startswith("stopped at step")
        assert record.samples is None
        assert record.options["critic_learning_rate"] == 1e6
        assert (tmp_path / "runs" / "wild" / f"seed{record.seed}" / "stopped.json").exists()
    assert all(not Record.from_dict(each).failed for each in doing.runs("gan", (0, 1)))


RATES = ("critic_learning_rate", "generator_learning_rate")


def test_one_run_of_a_stack_fails_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = rounds.Quality.measure

    def broken(self: Any, record: dict[str, float]) -> bool:
        if self._training.config.seed == 1:
            raise InputError("the generator returns NaN or infinity: its samples cannot be measured")
        return measure(self, record)

    monkeypatch.setattr(rounds.Quality, "measure", broken)
    results = Doing(plan(seeds=(0, 1, 2)), tmp_path).runs("gan", (0, 1, 2))
    assert [each["value"] is None for each in results] == [False, True, False]
    assert "stopped at step 12: the generator returns NaN" in results[1]["why"]
    assert results[1]["curve"] == []


def test_a_number_that_is_not_finite_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, record: dict[str, float]) -> bool:
        record[self.name] = math.inf
        return False

    monkeypatch.setattr(rounds.Quality, "measure", broken)
    (result,) = Doing(plan(), tmp_path).runs("gan")
    assert (result["value"], result["why"]) == (None, f"{PROTOCOL} is not finite")


def test_a_full_disk_is_no_failure_of_the_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rounds.checkpoint, "save", full)
    with pytest.raises(OSError, match="No space left"):
        Doing(plan(), tmp_path).runs("gan", (0, 1))


# taken over


@pytest.mark.parametrize("name", ["gan", "packed"])
def test_a_run_that_was_taken_over_is_as_one_that_was_not(tmp_path: Path, name: str) -> None:
    made = of_all(budget=Budget(80.0, "gradients"), options={"checkpoint_every_seconds": 1e-9})
    whole = Doing(made, tmp_path / "whole").runs(name, (0, 1))
    doing = Doing(made, tmp_path / "broken")

    class Died(Exception):
        pass

    def die(key: str, progress: float) -> None:
        if key.endswith("1") and progress >= 0.5:
            raise Died

    with pytest.raises(Died):
        doing.runs(name, (0, 1), on=die)
    doing.seen.clear()
    for expected, found in zip(whole, doing.runs(name, (0, 1)), strict=True):
        assert found["value"] == pytest.approx(expected["value"], rel=1e-5)
        assert [each["kimg"] for each in found["curve"]] == [each["kimg"] for each in expected["curve"]]
        assert (found["steps"], found["gradients"]) == (expected["steps"], expected["gradients"])
    own = [told for key, told in doing.seen if key == f"run/{name}/1"]
    assert min(own) == 0.5  # the step that was not saved was taken again
    for seed in (0, 1):
        (own,) = Doing(made, tmp_path / f"alone{seed}").runs(name, (seed,))
        assert own["value"] == pytest.approx(whole[seed]["value"], rel=1e-4)


def test_who_is_asked_to_stop_returns_what_is_done(tmp_path: Path) -> None:
    doing = Doing(plan(seeds=(0, 1)), tmp_path)

    def ask(key: str, progress: float) -> None:
        if progress < 1:
            os.kill(os.getpid(), signal.SIGTERM)

    assert doing.runs("gan", (0, 1), on=ask) == []
    stopped = [RunFolder.open(tmp_path / "runs" / "gan" / f"seed{seed}").records()[-1]["step"] for seed in (0, 1)]
    assert stopped[0] == stopped[1] < 24  # so that they are stacked again
    assert len(doing.runs("gan", (0, 1))) == 2
    doing.stopping = True
    assert doing.runs("wgan-gp") == []
    assert not (tmp_path / "runs" / "wgan-gp").exists()


# conditional


@pytest.mark.parametrize("kind", ["labels", "conditions"])
def test_conditional_methods_are_compared_too(tmp_path: Path, kind: str) -> None:
    data = vectors(tmp_path / "points.npz", labels=kind == "labels", conditions=kind == "conditions")
    made = plan(
        Method(name="asked", options={"preset": "gan", "conditional": "projection"}),
        data=data,
        hold_out=0.25,
        protocol="sw2_60_raw_test",
        others=("energy60_raw_test",),
    )
    record = Record.from_dict(Doing(made, tmp_path).runs("asked")[0])
    assert record.value is not None
    assert record.others["energy60_raw_test"] is not None
    assert record.samples is not None
    assert record.samples.shape == (1000, 2)


# trials

SEARCH = {"learning_rate": "1e-5..1e-2 log", "beta1": "0|0.5"}


def searching(tmp_path: Path, **changes: Any) -> Doing:
    return Doing(plan(method("gan", SEARCH), trials=3, **changes), tmp_path)


def test_runs_have_the_settings_of_the_best_trial(tmp_path: Path) -> None:
    doing = searching(tmp_path)
    results = [doing.trial("gan", number) for number in range(3)]
    assert all(result is not None and result["cost"] is not None for result in results)
    assert not list((tmp_path / "trials" / "gan").iterdir())  # only their numbers are kept
    best: Any = min(results, key=lambda each: each["cost"])  # type: ignore[index]
    for result in doing.runs("gan", (0, 1)):
        for option, value in best["options"].items():
            assert result["options"][option] == value
        assert result["options"]["seed"] in (0, 1)


def test_a_trial_that_was_taken_over_is_the_same_trial(tmp_path: Path) -> None:
    doing = searching(tmp_path)

    class Died(Exception):
        pass

    def die(key: str, progress: float) -> None:
        if progress >= 1:
            raise Died

    with pytest.raises(Died):
        doing.trial("gan", 0, on=die)
    result = doing.trial("gan", 0)
    assert result is not None
    other = searching(tmp_path)
    assert other.trial("gan", 0) == result  # it was told, and is not done again
    assert other.seen == []


def test_a_trial_that_is_stopped_is_not_told(tmp_path: Path) -> None:
    doing = searching(tmp_path, budget=Budget(100.0, "gradients"))

    def ask(key: str, progress: float) -> None:
        if progress < 1:
            os.kill(os.getpid(), signal.SIGTERM)

    assert doing.trial("gan", 0, on=ask) is None
    first = doing.trial("gan", 0)
    whole = searching(tmp_path / "whole", budget=Budget(100.0, "gradients"))
    (tmp_path / "whole").mkdir()
    assert first == whole.trial("gan", 0)


def test_a_trial_that_fails_or_cannot_be_is_the_worst(tmp_path: Path) -> None:
    doing = Doing(plan(method("wgan-gp", {"learning_rate": "9e5..1e6"}), trials=2), tmp_path)
    for number in range(2):
        result = doing.trial("wgan-gp", number)
        assert result is not None
        assert result["cost"] is None
        assert "stopped at step" in result["why"]
    for result in doing.runs("wgan-gp", (0, 1)):
        record = Record.from_dict(json.loads(json.dumps(result)))
        assert record.failed
        assert record.why.startswith("all 2 trials of its search failed; the first: stopped at step")
    odd = Doing(plan(method("gan", {"packing": "3..3000"}), trials=1), tmp_path / "odd")
    (tmp_path / "odd").mkdir()
    result = odd.trial("gan", 0)
    assert result is not None
    assert "whole packs" in result["why"]


def test_a_trial_in_a_locked_folder_is_no_failed_trial(tmp_path: Path) -> None:
    """Another process trains it still: its folder stays, and nothing is told."""
    doing = searching(tmp_path)

    class Died(Exception):
        pass

    def die(key: str, progress: float) -> None:
        raise Died

    with pytest.raises(Died):
        doing.trial("gan", 0, on=die)
    folder = RunFolder.open(tmp_path / "trials" / "gan" / "trial0" / "seed0")
    with folder.lock(), pytest.raises(InputError, match="another process is training this run"):
        doing.trial("gan", 0)
    assert folder.has_begun()
    result = doing.trial("gan", 0)
    assert result is not None
    assert result["cost"] is not None


def test_what_keeps_killing_its_workers_is_a_failure(tmp_path: Path) -> None:
    doing = searching(tmp_path)
    doing.trial("gan", 1)
    for number, deaths in ((0, MOST_DEATHS), (1, MOST_DEATHS)):
        claim = dataclasses.replace(doing.claim("trial", "gan", number=number), deaths=deaths, attempt=deaths + 1)
        (result,) = doing.do([claim]).values()
        if number == 1:  # it was told, and the worker died later
            assert result["cost"] is not None
        else:
            assert (result["cost"], result["pruned"]) == (None, False)
            assert "4 processes died of it, one after the other" in result["why"]
            assert set(result["options"]) == {"critic_learning_rate", "generator_learning_rate", "beta1"}
    claim = dataclasses.replace(doing.claim("run", "gan", seed=3), deaths=MOST_DEATHS, attempt=9)
    (result,) = doing.do([claim]).values()
    record = Record.from_dict(json.loads(json.dumps(result)))
    assert (record.method, record.seed, record.failed, record.attempts) == ("gan", 3, True, 9)
    assert "4 processes died of it" in record.why
    assert not (tmp_path / "runs").exists()
    once = dataclasses.replace(doing.claim("run", "gan", seed=3), deaths=MOST_DEATHS - 1)
    (result,) = doing.do([once]).values()
    assert result["value"] is not None


def test_of_a_trial_nothing_but_the_protocol_is_measured() -> None:
    made = plan(method("gan", SEARCH), trials=2, others=("modes500_raw_test",))
    assert Material.of_trials(made, open_data("ring")).others is None
    assert Material.of_runs(made, open_data("ring")).others is not None


def test_a_hopeless_trial_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    doing = searching(tmp_path, measurements=3)
    monkeypatch.setattr("adversarium.study.search.Search.is_hopeless", lambda *_: True)
    result = doing.trial("gan", 0)
    assert result is not None
    assert (result["pruned"], result["cost"]) == (True, None)
    assert max(progress for _, progress in doing.seen) < 0.5
    assert not list((tmp_path / "trials" / "gan").iterdir())


@pytest.mark.parametrize("name", ["fd", "precision", "high_quality"])
def test_a_cost_is_better_the_smaller_it_is(name: str) -> None:
    metric: Metric = METRICS[name]
    better, worse = (0.25, 0.5) if metric.better == "lower" else (0.5, 0.25)
    found = [cost_of(value, metric) for value in (better, worse)]
    assert found[0] < found[1]  # type: ignore[operator]
    assert cost_of(None, metric) is None
    wanted = dataclasses.replace(metric, better=1.0)
    assert [cost_of(value, wanted) for value in (0.75, 1.5)] == [0.25, 0.5]
