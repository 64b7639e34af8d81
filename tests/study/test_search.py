"""The inner search: where it looks, which trial a job has, and that it finds what is there to be found."""

import math
import random
import sys
import warnings
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from adversarium.config import TrainConfig
from adversarium.errors import InputError
from adversarium.study.plan import Budget, Method, Plan
from adversarium.study.search import PRUNERS, SAMPLERS, Dimension, Search, best_trial, default_search, dimensions

pytest.importorskip("optuna")

SPACE = {"learning_rate": "1e-5..1e-2 log", "beta1": "0|0.5|0.9", "batch_size": "8..64"}


def method(search: dict[str, str] | None = None, **options: Any) -> Method:
    return Method(name="gan", options={"preset": "gan", **options}, search=SPACE if search is None else search)


def plan(**changes: Any) -> Plan:
    return Plan(
        **{
            "data": "ring",
            "methods": (method(),),
            "seeds": (0,),
            "budget": Budget(1.0, "kimg"),
            "protocol": "sw2_100_raw_test",
            "trials": 10,
            **changes,
        }
    )


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


def search(url: str, **changes: Any) -> Search:
    return Search(url, "study", plan(**changes), method())


# where it looks


@pytest.mark.parametrize(
    ("option", "text", "found"),
    [
        ("learning_rate", "1e-5..1e-2 log", Dimension("learning_rate", 1e-5, 1e-2, log=True)),
        ("beta1", "-0.5..0.9", Dimension("beta1", -0.5, 0.9)),
        ("beta1", " 0 | 0.5|.9 ", Dimension("beta1", choices=(0.0, 0.5, 0.9))),
        ("batch_size", "8..64", Dimension("batch_size", 8, 64, whole=True)),
        ("batch_size", "8..64 log", Dimension("batch_size", 8, 64, log=True, whole=True)),
        ("loss", "hinge|minimax", Dimension("loss", choices=("hinge", "minimax"))),
        ("critic_batch_norm", "True|False", Dimension("critic_batch_norm", choices=(True, False))),
    ],
)
def test_where_to_look_is_read(option: str, text: str, found: Dimension) -> None:
    assert Dimension.parse(option, text) == found


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        ("learning_rat", "0..1", "search names 'learning_rat' (did you mean 'learning_rate'?)"),
        ("seed", "0..9", "search names 'seed'"),
        ("kimg", "1..9", "search names 'kimg'"),
        ("evaluate", "a|b", "search names 'evaluate'"),
        ("preset", "gan|wgan", "search names 'preset'"),
        ("size", "32|64", "search names 'size'"),
        ("beta1", "0.9..0.1", "the lower number first"),
        ("beta1", "0.1..0.1", "the lower number first"),
        ("beta1", "0..0.9 log", "numbers above 0"),
        ("beta1", "0.5", "wanted LOW..HIGH"),
        ("beta1", "a..b", "wanted LOW..HIGH"),
        ("beta1", "nan..1", "the lower number first"),
        ("beta1", "0..inf", "the lower number first"),
        ("beta1", "0|half", "wanted LOW..HIGH"),
        ("beta1", "0|0.0", "each value once"),
        ("batch_size", "1.5..3", "wanted LOW..HIGH"),
        ("loss", "hinge..minimax", "wanted LOW..HIGH"),
        ("critic_batch_norm", "yes|no", "unknown value 'yes'"),
    ],
)
def test_what_is_no_place_to_look_is_refused(option: str, text: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        Dimension.parse(option, text)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("made", "shared", "words"),
    [
        (method({"beta1": "0|0.5"}, beta1=0.5), {}, "gan sets beta1, and the search of gan names beta1"),
        (method(critic_learning_rate=1e-3), {}, "gan sets critic_learning_rate, and the search of gan names learning"),
        (method(), {"batch_size": 32}, "the study sets batch_size"),
        (method({"learning_rate": "0.1..1", "critic_learning_rate": "0.1..1"}), {}, "learning_rate and critic_learn"),
        (method({"beta1": "0..1.5"}), {}, "beta1 is 1.5"),
        (method({"batch_size": "0..16"}), {}, "batch_size is 0"),
    ],
)
def test_a_search_fits_its_method(made: Method, shared: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as error:
        dimensions(made, shared)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("preset", "names"),
    [
        ("gan", {"learning_rate", "beta1"}),
        ("wgan", {"learning_rate"}),
        ("wgan-gp", {"learning_rate", "beta1", "penalty_scale"}),
    ],
)
def test_the_usual_search_suits_a_preset(preset: str, names: set[str]) -> None:
    found = default_search(TrainConfig(preset=preset))
    assert set(found) == names
    dimensions(Method(name=preset, options={"preset": preset}, search=found))


# whose trial it is


def test_both_players_have_one_learning_rate(url: str) -> None:
    _, options = search(url).trial("trial/gan/0")
    assert options["critic_learning_rate"] == options["generator_learning_rate"]
    assert set(options) == {"critic_learning_rate", "generator_learning_rate", "beta1", "batch_size"}
    assert 1e-5 <= options["critic_learning_rate"] <= 1e-2
    assert options["beta1"] in (0, 0.5, 0.9)
    assert 8 <= options["batch_size"] <= 64
    assert type(options["batch_size"]) is int


def test_a_job_that_is_taken_over_has_the_trial_that_was_begun(url: str) -> None:
    first = search(url)
    trial, options = first.trial("trial/gan/0")
    assert not first.is_hopeless(trial, 3.0, 1)
    other, others = search(url).trial("trial/gan/1")
    again = search(url)
    assert again.told("trial/gan/0") is None
    same, found = again.trial("trial/gan/0")
    assert (same.number, found) == (trial.number, options)
    assert other.number != trial.number
    assert others != options
    assert not again.is_hopeless(same, 5.0, 1)  # its first word counts, without a warning
    again.tell(same, 2.0)
    assert again.told("trial/gan/0") == {"options": options, "cost": 2.0, "pruned": False, "why": ""}


@pytest.mark.parametrize(
    ("told", "result"),
    [
        ({"cost": 0.25}, {"cost": 0.25, "pruned": False, "why": ""}),
        ({"cost": None, "why": "it diverged"}, {"cost": None, "pruned": False, "why": "it diverged"}),
        ({"cost": None, "pruned": True}, {"cost": None, "pruned": True, "why": ""}),
    ],
)
def test_a_trial_that_was_told_is_not_done_again(url: str, told: dict[str, Any], result: dict[str, Any]) -> None:
    one = search(url)
    trial, options = one.trial("trial/gan/0")
    one.tell(trial, **told)
    assert search(url).told("trial/gan/0") == {"options": options, **result}


@pytest.mark.parametrize("after", [False, True], ids=["before it is asked", "when its answer is lost"])
def test_a_database_that_is_away_for_a_moment_changes_nothing(tmp_path: Path, after: bool) -> None:
    """Every question fails once, and is asked again, as the study's jobs do it."""
    (tmp_path / "calm").mkdir()
    calm, failed = [], []

    def again(work: Callable[[], Any]) -> Any:
        if after:
            work()
        failed.append(after)
        return work()

    for folder, options in ((tmp_path / "calm", {}), (tmp_path, {"again": again})):
        made = plan(pruner="none")
        found = Search(f"sqlite:///{folder}/study.db", "mine", made, made.methods[0], **options)
        for number, cost in enumerate((0.5, None, 0.25)):
            job = f"trial/gan/{number}"
            trial, tried = found.trial(job)
            assert not found.is_hopeless(trial, 1.0, 1)
            found.tell(trial, cost, why="" if cost else "it diverged")
            found.tell(trial, 0.0)  # what was told stays
            calm.append((tried, found.told(job)))
    assert len(failed) >= 3 * 4
    assert calm[:3] == calm[3:]
    assert [each["cost"] for _, each in calm[:3]] == [0.5, None, 0.25]  # type: ignore[index]


def test_a_study_of_another_name_has_trials_of_its_own(url: str) -> None:
    search(url).tell(search(url).trial("trial/gan/0")[0], 1.0)
    other = Search(url, "another", plan(), method())
    assert other.told("trial/gan/0") is None


def test_the_same_jobs_try_the_same(tmp_path: Path) -> None:
    tried = []
    for name in ("one", "two"):
        found = search(f"sqlite:///{tmp_path}/{name}.db")
        tried.append([])
        for number in range(14):  # the last of them learn from the first
            trial, options = found.trial(f"trial/gan/{number}")
            found.tell(trial, _cost(options))
            tried[-1].append(options)
    assert tried[0] == tried[1]
    assert len({str(each) for each in tried[0]}) == 14


# what it finds


def _cost(options: dict[str, Any]) -> float:
    """Return a cost with one best place: a learning rate of 3e-4 and a first beta of 0.5."""
    rate = math.log10(options["critic_learning_rate"] / 3e-4)
    return rate**2 + {0: 0.5, 0.5: 0.0, 0.9: 1.0}[options["beta1"]] + abs(options["batch_size"] - 32) / 100


def searched(url: str, trials: int, cost: Callable[[dict[str, Any]], float | None], **changes: Any) -> list[Any]:
    found = search(url, trials=trials, **changes)
    costs = []
    for number in range(trials):
        trial, options = found.trial(f"trial/gan/{number}")
        costs.append(cost(options))
        found.tell(trial, costs[-1])
    return costs


def test_a_planted_optimum_is_found(tmp_path: Path) -> None:
    """The last trials of TPE are far better than its first, which are random."""
    first, last = [], []
    for number in range(2):
        costs = searched(f"sqlite:///{tmp_path}/{number}.db", 30, _cost)
        first += costs[:10]
        last += costs[-10:]
    assert sorted(last)[len(last) // 2] < sorted(first)[len(first) // 2] / 2
    assert min(last) < min(first)


def test_failures_teach_where_not_to_look(url: str) -> None:
    """High learning rates fail: the sampler leaves them, as of a run that is worse than any number."""

    def cost(options: dict[str, Any]) -> float | None:
        rate = options["critic_learning_rate"]
        return None if rate > 1e-4 else abs(math.log10(rate / 2e-5))

    costs = searched(url, 30, cost)
    assert sum(each is None for each in costs[:10]) >= 4
    assert sum(each is None for each in costs[-12:]) <= 4


@pytest.mark.parametrize(("sampler", "pruner"), [*zip_longest(SAMPLERS, PRUNERS, fillvalue="none")])
def test_every_sampler_and_pruner_can_be_had(url: str, sampler: str, pruner: str) -> None:
    if sampler == "gp":
        pytest.importorskip("scipy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        costs = searched(url, 4, lambda options: random.Random(3).random(), sampler=sampler, pruner=pruner)
    assert len(costs) == 4


def test_a_hopeless_trial_is_given_up(url: str) -> None:
    found = search(url)
    for number in range(6):
        trial, _ = found.trial(f"trial/gan/{number}")
        assert not any(found.is_hopeless(trial, 1.0, step) for step in range(1, 5))
        found.tell(trial, 1.0)
    bad, _ = found.trial("trial/gan/6")
    assert found.is_hopeless(bad, 100.0, 1)
    good, _ = found.trial("trial/gan/7")
    assert not found.is_hopeless(good, 0.5, 1)
    never = search(url, pruner="none")
    assert not never.is_hopeless(never.trial("trial/gan/8")[0], 100.0, 1)


def test_the_best_trial_is_the_one_that_costs_least() -> None:
    def result(cost: float | None, name: str, pruned: bool = False) -> dict[str, Any]:
        return {"options": {"loss": name}, "cost": cost, "pruned": pruned, "why": ""}

    results = [result(None, "failed"), result(0.1, "given up", True), result(2.0, "worse"), result(1.5, "best")]
    assert best_trial(results) == results[3]
    assert best_trial(results[:2]) is None


def test_a_missing_optuna_names_its_extra(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'adversarium\[study\]'"):
        search(url)


@pytest.mark.parametrize("changes", [{"sampler": "tpee"}, {"pruner": "medain"}])
def test_an_unknown_sampler_or_pruner_is_named(url: str, changes: dict[str, str]) -> None:
    with pytest.raises(InputError, match="did you mean '(tpe|median)'"):
        search(url, **changes)
