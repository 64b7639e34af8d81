"""Plans: read back as they were written, told apart where their results would differ, refused where they are none."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from adversarium.errors import InputError
from adversarium.study.plan import SEED_OF_TRIALS, Budget, Method, Plan, check_plan


def plan(**changes: Any) -> Plan:
    methods = (
        Method(name="gan", options={"preset": "gan"}),
        Method(name="packed", options={"preset": "gan", "packing": 2}, search={"beta1": "0|0.5"}),
    )
    return Plan(
        **{
            "data": "ring",
            "methods": methods,
            "seeds": (0, 1, 2),
            "budget": Budget(240.0, "kimg"),
            "protocol": "sw2_2500_raw_test",
            **changes,
        }
    )


FULL = {
    "others": ("modes2500_raw_test",),
    "measurements": 4,
    "options": {"width": 16},
    "hold_out": 0.1,
    "trials": 7,
    "trial_seeds": 3,
    "validation_share": 0.2,
    "sampler": "random",
    "pruner": "none",
    "level": 0.01,
}
CHANGES: dict[str, Any] = {
    "data": "grid",
    "methods": (Method(name="gan", options={"preset": "gan"}),),
    "seeds": (0, 1, 3),
    "budget": Budget(240.0, "seconds"),
    "protocol": "sw2_2000_raw_test",
    **FULL,
}


@pytest.mark.parametrize("changes", [{}, FULL], ids=["defaults", "all"])
def test_a_plan_is_read_back_from_json(changes: dict[str, Any]) -> None:
    whole = plan(**changes)
    assert Plan.from_dict(json.loads(json.dumps(whole.as_dict()))) == whole
    assert Plan.from_dict(whole.as_dict()).fingerprint == whole.fingerprint


def test_the_fingerprint_changes_with_every_part() -> None:
    assert CHANGES.keys() == {*plan().as_dict()}  # a new field is to be tried here too
    whole = plan()
    prints = [replace(whole, **{name: value}).fingerprint for name, value in CHANGES.items()]
    assert len({whole.fingerprint, *prints}) == 1 + len(CHANGES)
    assert all(len(each) == 12 for each in prints)


def test_the_fingerprint_does_not_know_how_a_plan_was_written() -> None:
    one = plan(options={"width": 16, "batch_size": 8}, budget=Budget.parse("2m"))
    other = plan(options={"batch_size": 8, "width": 16}, budget=Budget.parse("120s"))
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"protocoll": "x"}, "a plan has no 'protocoll' (did you mean 'protocol'?)"),
        ({"methods": [{"name": "a", "option": {}}]}, "a plan's method has no 'option' (did you mean 'options'?)"),
        ({"methods": [{"name": "a"}]}, "a plan's method lacks 'options'"),
    ],
)
def test_unknown_names_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as error:
        Plan.from_dict({**plan().as_dict(), **values})
    assert words in str(error.value)


def test_what_is_missing_is_named() -> None:
    values = plan().as_dict()
    del values["seeds"]
    with pytest.raises(InputError, match="a plan lacks 'seeds'"):
        Plan.from_dict(values)


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("90s", 90.0, "seconds"),
        ("5m", 300.0, "seconds"),
        ("1.5h", 5400.0, "seconds"),
        ("240kimg", 240.0, "kimg"),
        (" 3 kimg ", 3.0, "kimg"),
        ("3e4gradients", 30000.0, "gradients"),
        ("1e-3kimg", 0.001, "kimg"),
    ],
)
def test_budgets_are_read(text: str, amount: float, unit: str) -> None:
    assert Budget.parse(text) == Budget(amount, unit)  # type: ignore[arg-type]


def test_budgets_are_written_as_they_are_read() -> None:
    draw = random.Random(3)
    for _ in range(200):
        amount = 10 ** draw.uniform(-6, 18)
        for budget in (Budget(amount, "kimg"), Budget(amount, "seconds"), Budget(float(int(amount) + 1), "gradients")):
            assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize(
    "text", ["", "5", "5 minutes", "0s", "-3kimg", "nans", "1e999s", "kimg", "1.5gradients", "..s", "3 KIMG"]
)
def test_other_budgets_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="budget is"):
        Budget.parse(text)


def test_the_nearest_unit_is_named() -> None:
    with pytest.raises(InputError, match="did you mean 'gradients'"):
        Budget.parse("100gradient")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seeds": ()}, "seeds: at least one"),
        ({"seeds": (3, 7, 3)}, "seeds name 3 twice"),
        ({"seeds": (0, -1)}, "whole numbers from 0"),
        ({"seeds": (SEED_OF_TRIALS,)}, "to 2^31 - 1"),
        ({"measurements": 0}, "measurements is 0"),
        ({"trials": -1}, "trials is -1"),
        ({"trial_seeds": 0}, "trial_seeds is 0: wanted 1 to 1000"),
        ({"validation_share": 1.0}, "validation_share is 1"),
        ({"validation_share": 0.0}, "validation_share is 0"),
        ({"level": 1.0}, "level is 1"),
    ],
)
def test_what_no_study_could_be_is_refused(changes: dict[str, Any], words: str) -> None:
    check_plan(plan())
    with pytest.raises(InputError) as error:
        check_plan(plan(**changes))
    assert words in str(error.value)
