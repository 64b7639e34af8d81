"""Before a study begins: what cannot be done is named, and how long the rest takes is about right."""

import dataclasses
import random
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from small_studies import Doing, images, method, plan, vectors

from adversarium.data import open_data
from adversarium.errors import InputError
from adversarium.metrics.measuring import Measuring
from adversarium.study import outlook as looking
from adversarium.study.jobs import Job
from adversarium.study.outlook import MOST_TOGETHER, Prospect, jobs_of, outlook
from adversarium.study.plan import Budget, Method, Plan
from adversarium.study.pool import cores_here


@pytest.fixture(autouse=True)
def quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "slow" not in request.keywords:
        monkeypatch.setattr(looking, "_TIMED_SECONDS", 0.0)


def looked(made: Plan, workers: int = 2, **options: Any) -> Any:
    return outlook(made, open_data(made.data), workers=workers, device="cpu", **options)


def test_what_is_known_of_methods_before_they_run() -> None:
    tried: list[str] = []
    packed = Method(name="packed", options={"preset": "gan", "packing": 2})
    found = looked(plan(method("gan"), method("wgan-gp"), packed, seeds=(0, 1, 2)), on_method=tried.append)
    assert tried == ["gan", "wgan-gp", "packed"]
    gan, gp, packs = found.prospects
    assert (gan.steps, gp.steps, packs.steps) == (24, 8, 24)
    assert (gan.together, gp.together, packs.together) == (3, 3, 1)
    assert (gan.alone, packs.alone) == ("", "packing is 2")
    assert found.workers == 2
    assert 0 < gan.trial_seconds <= gan.seconds < found.seconds
    assert looked(plan(seeds=(0,)), workers=40).workers == 2


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    looked(plan())
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("workers", "methods", "seeds", "together"),
    [(2, 6, 5, 5), (6, 6, 5, 5), (12, 6, 5, 3), (64, 6, 5, 1), (2, 1, 5, 3), (1, 1, 200, MOST_TOGETHER)],
)
def test_so_many_runs_are_stacked_that_all_workers_have_some(
    workers: int, methods: int, seeds: int, together: int
) -> None:
    made = plan(*(method(f"m{number}") for number in range(methods)), seeds=tuple(range(seeds)))
    assert looking._together(made, workers) == together
    lots = methods * -(-seeds // together)
    assert lots >= min(workers, methods * seeds) or together == 1


def prospects(made: Plan, seconds: float = 6.0, together: int = 2) -> list[Prospect]:
    return [
        Prospect(method=each.name, steps=10, seconds=seconds, trial_seconds=seconds / 3, together=together, alone="")
        for each in made.methods
    ]


def test_jobs_are_all_trials_and_runs_once() -> None:
    searched = method("gan", {"beta1": "0|0.5"})
    made = plan(searched, method("wgan-gp"), seeds=(0, 3, 9), trials=2)
    jobs = jobs_of(made, prospects(made))
    assert [job.key for job in jobs] == [
        *("trial/gan/0", "trial/gan/1"),
        *("run/gan/0", "run/wgan-gp/0", "run/gan/3", "run/wgan-gp/3", "run/gan/9", "run/wgan-gp/9"),
    ]
    assert {job.key: job.after for job in jobs if job.after} == {f"run/gan/{seed}": "trial/gan" for seed in (0, 3, 9)}
    assert [(job.cost, job.together) for job in jobs[:3]] == [(2.0, 1), (2.0, 1), (3.0, 2)]
    assert jobs[3].payload == {"kind": "run", "method": "wgan-gp", "seed": 0}


def test_the_end_is_that_of_a_study_that_is_played_through() -> None:
    """Against a twin in steps of time, where every worker takes the first lot that may begin."""
    draw = random.Random(3)
    for _ in range(200):
        made = plan(
            *(method(f"m{number}", {"beta1": "0|0.5"} if draw.random() < 0.5 else {}) for number in range(4)),
            seeds=tuple(range(draw.randint(1, 5))),
            trials=draw.randint(0, 3),
        )
        found = [
            Prospect(
                method=each.name,
                steps=1,
                seconds=1.0,
                trial_seconds=1.0,
                together=together,
                alone="",
            )
            for each in made.methods
            for together in [draw.randint(1, 3)]
        ]
        # no two end at once
        jobs = [dataclasses.replace(job, cost=draw.uniform(1, 5)) for job in jobs_of(made, found)]
        workers = draw.randint(1, 5)
        lots, end = _played(jobs, workers)
        assert looking.lots_of(jobs) == lots
        assert looking.played(jobs, workers) == pytest.approx(end)


def _played(jobs: list[Job], workers: int) -> tuple[int, float]:
    """Return how many lots there were, and when the last one ended."""
    waiting, busy = list(jobs), dict[int, tuple[float, list[Job]]]()
    now, lots = 0.0, 0
    while True:
        for worker in [each for each, (end, _) in busy.items() if end <= now + 1e-9]:
            del busy[worker]
        open_groups = {job.group for job in waiting} | {job.group for _, lot in busy.values() for job in lot}
        for worker in range(workers):
            ready = [job for job in waiting if job.after not in open_groups]
            if worker not in busy and ready:
                lot = [job for job in ready if job.group == ready[0].group][: ready[0].together]
                waiting = [job for job in waiting if job not in lot]
                busy[worker] = (now + sum(job.cost for job in lot), lot)
                lots += 1
        if not busy:
            return lots, now
        now = min(end for end, _ in busy.values())


@pytest.mark.parametrize(("width", "stacked"), [(8, True), (256, True), (257, False), (512, False)])
def test_wide_networks_are_trained_alone_on_a_cpu(width: int, stacked: bool) -> None:
    (found,) = looked(plan(method("gan"), options={"width": width}), workers=1).prospects
    assert (found.together > 1) == stacked
    assert ("stacks of more than 256 are slower" in found.alone) != stacked


@pytest.mark.parametrize(
    ("methods", "seeds", "level", "wanted"),
    [
        (6, 5, 0.05, 10),
        (6, 9, 0.05, 10),
        (6, 10, 0.05, 0),
        (2, 5, 0.05, 6),
        (2, 6, 0.05, 0),
        (2, 5, 0.1, 0),
        (1, 1, 0.05, 0),
    ],
)
def test_too_few_seeds_are_known_before(methods: int, seeds: int, level: float, wanted: int) -> None:
    """The least p of a pair is 2/2ⁿ, and Holm's correction takes it times the number of pairs."""
    made = plan(*(method(f"m{number}") for number in range(methods)), seeds=tuple(range(seeds)), level=level)
    assert looking.too_few_seeds(made) == wanted
    if wanted:
        pairs = methods * (methods - 1) / 2
        assert pairs * 2 / 2**wanted <= level < pairs * 2 / 2 ** (wanted - 1)


# refused

SEARCHED = {"beta1": "0|0.5"}
BAD: list[tuple[Plan, str]] = [
    (plan(method("gan"), method("gan")), "two methods are called 'gan'"),
    (plan(seeds=(0, 0)), "seeds name 0 twice"),
    (plan(method("gan", network="dcgan")), "method gan: "),
    (plan(method("gan", conditional="projection")), "method gan: "),
    (plan(method("gan"), method("nope")), "method nope: unknown preset"),
    (plan(method("gan", loss="hing")), "method gan: unknown loss 'hing' (did you mean 'hinge'?)"),
    (plan(protocol="sw3_100_raw_test"), "sw3"),
    (plan(protocol="fd100_lenet_test"), "lenet features"),
    (plan(others=("memorisation100_raw_train",)), "nothing to memorise"),
    (plan(budget=Budget(1.0, "gradients")), "a step of gan takes 2: wanted at least 4gradients"),
    (plan(method("wgan-gp"), budget=Budget(11.0, "gradients")), "wanted at least 12 gradients, or --measurements 1"),
    (plan(method("wgan-gp"), budget=Budget(0.01, "kimg")), "about 1 step: too few for 2 measurements; wanted at l"),
    (plan(method("gan"), budget=Budget(1e-6, "seconds")), "too few for 2 measurements; wanted at least"),
    (plan(method("gan", SEARCHED, beta1=0.5), trials=2), "gan sets beta1, and the search of gan names beta1"),
    (plan(method("gan", SEARCHED), trials=2, options={"beta1": 0.5}), "the study sets beta1"),
    (plan(method("gan", SEARCHED), trials=2, sampler="tpee"), "unknown sampler 'tpee' (did you mean 'tpe'?)"),
    (plan(method("gan", SEARCHED), trials=2, pruner="medain"), "unknown pruner 'medain' (did you mean 'median'?)"),
    (plan(method("gan", {"network": "vector-mlp|dcgan"}), trials=2), "search of network tries dcgan: "),
    (plan(method("gan", {"penalty_scale": "0.1..1"}), trials=2), "search of penalty_scale tries 0.1: "),
    (plan(method("gan", {"batch_size": "8..80000"}), trials=2, budget=Budget(10.0, "seconds")), ""),
]


@pytest.mark.parametrize(("made", "words"), BAD[:-1], ids=[words for _, words in BAD[:-1]])
def test_what_cannot_be_done_is_named_before_anything_is(made: Plan, words: str) -> None:
    with pytest.raises(InputError) as error:
        looked(made)
    assert words in str(error.value)
    assert str(error.value).count("method ") <= 1


def test_workers_are_at_least_one() -> None:
    with pytest.raises(InputError, match="workers is 0"):
        looked(plan(), workers=0)


@pytest.mark.parametrize("unit", ["gradients", "kimg"])
@pytest.mark.parametrize("name", ["gan", "wgan-gp", "wgan-gp-extraadam"])
def test_the_budget_that_is_named_is_enough(unit: str, name: str) -> None:
    with pytest.raises(InputError) as error:
        looked(plan(method(name), budget=Budget(10.0, "gradients") if unit == "gradients" else Budget(0.01, "kimg"),
                    measurements=7))  # fmt: skip
    least = str(error.value).split("wanted at least ")[1].split(",")[0]
    assert looked(plan(method(name), budget=Budget.parse(least.replace(" ", "")), measurements=7)).seconds > 0


def test_data_that_methods_cannot_take_are_named(tmp_path: Path) -> None:
    pictures = plan(
        method("gan", network="vector-mlp"),
        data=images(tmp_path / "images.npz"),
        hold_out=0.25,
        protocol="sw2_12_random_conv_test",
    )
    with pytest.raises(InputError, match="method gan: "):
        looked(pictures)
    few = plan(method("gan"), data=vectors(tmp_path / "few.npz", 9), hold_out=0.25, protocol="sw2_3_raw_test",
               options={"batch_size": 64})  # fmt: skip
    with pytest.raises(InputError, match="batch_size"):
        looked(few)


def test_a_method_that_diverges_at_once_can_be_compared() -> None:
    wild = dict.fromkeys(("critic_learning_rate", "generator_learning_rate"), 1e18)
    for options in ({}, {"packing": 2}):
        (found,) = looked(plan(method("wgan-gp", **wild, **options))).prospects
        assert found.steps == 8
        assert 0 < found.seconds < 60


def test_of_a_trial_only_the_protocol_is_expected_to_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run also the untrained generator, and the further protocols."""

    def cost(measuring: Measuring, draw: object) -> SimpleNamespace:
        return SimpleNamespace(draw=1e4 if measuring.protocols[0].value == "energy" else 100.0)

    monkeypatch.setattr(looking, "estimate_cost", cost)
    searched = plan(method("gan", {"beta1": "0|0.5"}), trials=1, trial_seeds=3, others=("energy100_raw_test",))
    (found,) = looked(searched).prospects
    assert found.trial_seconds == pytest.approx(3 * 2 * 100, abs=60)  # the rest is training
    assert found.seconds == pytest.approx((1 + 2) * 100 + 1e4, abs=60)


@pytest.mark.slow
def test_it_takes_about_as_long_as_was_said(tmp_path: Path) -> None:
    """In this process, so without start and report: within a factor of two."""
    packed = Method(name="packed", options={"preset": "gan", "packing": 2})
    names = ("gan", "wgan-gp", "packed")
    made = plan(method("gan"), method("wgan-gp"), packed, seeds=(0, 1, 2, 3), budget=Budget(6.0, "kimg"),
                measurements=5, others=("modes2500_raw_test",), options={"width": 64, "batch_size": 32})  # fmt: skip
    for name, found in zip(names, looked(made, workers=cores_here()).prospects, strict=True):
        doing = Doing(made, tmp_path / name)
        began = time.perf_counter()
        for first in range(0, 4, found.together):
            doing.runs(name, range(first, first + found.together))
        took = time.perf_counter() - began
        said = found.seconds * 4 / found.together
        assert 0.5 < said / took < 2, (name, said, took)
