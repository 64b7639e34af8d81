"""From what is typed or stands in a file to a plan, with defaults that suit the data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adversarium.errors import InputError
from adversarium.metrics.protocols import Protocol
from adversarium.study.methods import check_methods
from adversarium.study.outlook import too_few_seeds
from adversarium.study.plan import Budget, Plan
from adversarium.study.typed import ARTICLES, plan_of


def planned(**values: Any) -> Plan:
    return plan_of({"data": "ring", **values})[0]


def vectors(path: Path, count: int, **arrays: Any) -> str:
    rng = np.random.default_rng(3)
    np.savez(path, vectors=rng.normal(size=(count, 4)).astype(np.float32), **arrays)
    return str(path)


def test_a_study_that_names_nothing_compares_the_articles_losses() -> None:
    plan = planned()
    assert tuple(method.name for method in plan.methods) == ARTICLES
    assert plan.seeds == tuple(range(10))
    assert not too_few_seeds(plan)
    assert plan.budget == Budget(100.0, "kimg")
    assert (plan.data, plan.hold_out, plan.trials) == ("ring", 0.0, 0)
    assert (plan.protocol, plan.others) == ("sw2_2500_raw_test", ("modes2500_raw_test", "high_quality2500_raw_test"))


def test_digits_are_ranked_by_the_features_of_their_classifier() -> None:
    plan = planned(data="mnist")
    assert (plan.protocol, plan.hold_out) == ("fd2500_lenet_test", 0.25)
    assert all(each.endswith("_test") for each in plan.others)


@pytest.mark.parametrize("count", [120, 2000, 12_000])
def test_arrays_are_ranked_on_samples_that_are_kept_apart(tmp_path: Path, count: int) -> None:
    plan, source = plan_of({"data": vectors(tmp_path / "points.npz", count)})
    assert plan.hold_out == min(0.25, 2500 / count)
    protocol = Protocol.parse(plan.protocol)
    assert protocol.split == "test"
    assert protocol.samples == min(round(plan.hold_out * count), 2500)
    assert plan.data == str((tmp_path / "points.npz").resolve())
    assert source.name


def test_methods_come_from_presets_tables_and_combinations() -> None:
    plan = planned(
        presets="gan,wgan-gp",
        methods={"packed": {"preset": "gan", "packing": 2}},
        losses=["hinge", "minimax"],
        penalties="none,r1(gamma=1.0)",
    )
    assert [method.name for method in plan.methods] == [
        "gan",
        "wgan-gp",
        "packed",
        "hinge + none",
        "hinge + r1(gamma=1.0)",
        "minimax + none",
        "minimax + r1(gamma=1.0)",
    ]


def test_a_file_may_say_1_where_a_float_is_meant() -> None:
    one = planned(
        methods={"a": {"beta1": 0, "preset": "gan"}, "b": {}}, options={"penalty_scale": 1}, budget="60s", level=0.5
    )
    other = planned(
        methods={"a": {"beta1": 0.0, "preset": "gan"}, "b": {}}, options={"penalty_scale": 1.0}, budget="1m", level=0.5
    )
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize(
    ("seeds", "found"), [(3, (0, 1, 2)), ("3", (0, 1, 2)), ("3,7", (3, 7)), ("9,", (9,)), ([4, 2], (4, 2))]
)
def test_seeds_are_how_many_or_which(seeds: Any, found: tuple[int, ...]) -> None:
    assert planned(seeds=seeds).seeds == found


BAD: list[tuple[dict[str, Any], str]] = [
    ({"seeds": "0"}, "seeds is 0: wanted at least 1"),
    ({"seeds": "3,3"}, "seeds name 3 twice"),
    ({"seeds": "-1,2"}, "whole numbers from 0"),
    ({"seeds": "-2"}, "seeds is -2: wanted at least 1"),
    ({"seeds": "many"}, "seeds is 'many'"),
    ({"seeds": ""}, "seeds is ''"),
    ({"seeds": [1.5]}, "wanted whole numbers"),
    ({"seeds": "1e9"}, "seeds is '1e9'"),
    ({"seeds": 10**9}, "wanted at most 10,000"),
    ({"budget": "5"}, "budget is '5'"),
    ({"budget": 5}, "budget is 5: wanted text"),
    ({"presets": ["gan", "wgan-pg"]}, "unknown preset 'wgan-pg' (did you mean 'wgan-gp'?)"),
    ({"presets": "gan,gan"}, "gan is named twice"),
    ({"presets": ["gan"], "methods": {"gan": {}}}, "two methods are called 'gan'"),
    ({"presets": 3}, "presets is 3: wanted names"),
    ({"methods": ["gan"]}, "methods is ['gan']: wanted a table"),
    ({"methods": {"a": "gan"}}, "method a is 'gan': wanted a table of options"),
    ({"methods": {"a": {"packing": "two"}}}, "method a: packing is 'two': wanted int"),
    ({"methods": {"a": {"packing": -2}}}, "packing is -2"),
    ({"losses": "hinge,minimax", "options": {"loss": "hinge"}}, "loss is an option of the study's"),
    ({"options": {"penalties": "none"}}, "penalties is an option of the study's"),
    ({"options": {"kimg": 3.0}}, "a study sets kimg, which a study says by --budget"),
    ({"measurements": "ten"}, "measurements is 'ten': wanted a whole number"),
    ({"measurements": True}, "measurements is True: wanted a whole number"),
    ({"measurements": 0}, "measurements is 0"),
    ({"level": 5}, "level is 5"),
    ({"hold_out": 1.5}, "hold_out is 1.5"),
    ({"trials": -1}, "trials is -1"),
    ({"trials": 2, "validation_share": 2.0}, "validation_share is 2"),
    ({"search": {"beta1": "0|0.5"}}, "add --trials"),
    ({"trials": 2, "search": {"beta1": 0.5}}, "search of beta1 is 0.5: wanted text"),
    ({"protocol": "sw3_100_raw_test"}, "sw3"),
    ({"protocol": "sw2_100_raw_train"}, "wanted ..._test"),
    ({"others": ["modes_raw"]}, "protocol 'modes_raw'"),
    ({"sampler": 3}, "sampler is 3: wanted text"),
    ({"metod": {}}, "a study has no 'metod' (did you mean 'methods'?)"),
    ({"data": "rink"}, "rink"),
    ({"data": 3}, "data is 3: wanted text"),
]


@pytest.mark.parametrize(("values", "words"), BAD, ids=[words for _, words in BAD])
def test_what_is_no_study_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as error:
        planned(**values)
    assert words in str(error.value)


def test_a_study_wants_data() -> None:
    with pytest.raises(InputError, match="a study wants data"):
        plan_of({})


def test_more_test_samples_than_there_are_is_refused(tmp_path: Path) -> None:
    data = vectors(tmp_path / "points.npz", 1000)
    with pytest.raises(InputError, match="there are 250 samples to test with: wanted sw2_250_raw_test"):
        planned(data=data, protocol="sw2_251_raw_test")
    assert planned(data=data, protocol="sw2_250_raw_test").protocol == "sw2_250_raw_test"
    with pytest.raises(InputError, match="hold_out is 0"):
        planned(data=data, hold_out=0.0)


def test_a_search_is_the_usual_one_where_nothing_is_fixed() -> None:
    plan = planned(
        trials=3,
        presets=["gan", "wgan-gp", "wgan"],
        methods={"slow": {"preset": "gan", "critic_learning_rate": 1e-5}, "fixed": {"preset": "gan", "beta1": 0.5}},
    )
    assert {method.name: set(method.search) for method in plan.methods} == {
        "gan": {"learning_rate", "beta1"},
        "wgan-gp": {"learning_rate", "beta1", "penalty_scale"},
        "wgan": {"learning_rate"},  # RMSProp has no first beta to speak of
        "slow": {"beta1"},
        "fixed": {"learning_rate"},
    }
    shared = planned(trials=3, presets=["gan", "nsgan"], options={"beta1": 0.0})
    assert set(shared.methods[0].search) == {"learning_rate"}
    check_methods(plan.methods, plan.options)


def test_a_search_that_is_asked_for_is_every_methods() -> None:
    plan = planned(trials=3, presets=["gan", "wgan-gp"], search={"batch_size": "16|32"})
    assert [dict(method.search) for method in plan.methods] == [{"batch_size": "16|32"}] * 2
