"""The tables of a study's page."""

import dataclasses
import html
import re

import made_up
import numpy as np
import pytest

from adversarium.study import _tables
from adversarium.study._looks import looks_of
from adversarium.study._numbers import by_method, number
from adversarium.study.compare import compare
from adversarium.study.plan import Budget
from adversarium.study.record import Record


def rows_of(content: str) -> list[list[str]]:
    """Return the cells of a table as text, its head first."""
    rows = re.findall(r"<tr>(.*?)</tr>", content, re.S)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in rows]
    return [[html.unescape(re.sub("<[^>]*>", "", cell)).strip() for cell in row] for row in cells]


def records_of(**fields) -> list[Record]:
    return [
        Record(
            method=name,
            seed=seed,
            value=place + 0.1 * seed,
            **{"seconds": 10.0 + seed, "kimg": 4.0, "gradients": 600, **fields},
        )
        for place, name in enumerate("ab")
        for seed in range(5)
    ]


def test_zero_has_no_sign():
    assert [number(each) for each in (0.0, -0.0, -0.5, 1e-20, None)] == ["0", "0", "−0.5", "1e−20", "failed"]
    assert [number(each, 2) for each in (-114.0, 99.6, 9.96, 4.2e6, 2e7)] == ["−110", "100", "10", "4200000", "2e+07"]


def test_the_standings_show_mean_ranks_in_order_and_further_protocols():
    others = {"modes2500_raw_test": 8.0, "fd500_raw_test": 0.5, "fd500_raw_train": 0.25}
    records = [dataclasses.replace(each, others=others) for each in records_of()]
    found = compare(records, protocol="sw2_500_raw_test", better="lower")
    shown = _tables.standings(found, looks_of("ab"))
    head, *rows = rows_of(shown)
    assert [row[0] for row in rows] == ["a", "b"]
    columns = {name: [row[at] for row in rows] for at, name in enumerate(head)}
    assert columns["mean rank"] == ["1.00", "2.00"]
    assert columns["median sw2"] == ["0.2", "1.2"]
    assert columns["range of 5 seeds"] == ["0 to 0.4", "1 to 1.4"]
    assert columns["modes"] == ["8", "8"]
    assert (columns["fd500_raw_test"], columns["fd500_raw_train"]) == (["0.5"] * 2, ["0.25"] * 2)
    assert "learned nothing" not in columns
    assert "Of further protocols: the median." in shown


def test_the_standings_count_what_learned_nothing_where_any_did():
    found = compare(records_of(untrained=1.15), protocol="w2", better="lower")
    head, *rows = rows_of(_tables.standings(found, looks_of("ab")))
    assert [row[head.index("learned nothing")] for row in rows] == ["0", "3"]


def cost(records: list[Record], **changes) -> str:
    found = dataclasses.replace(compare(records, protocol="sw2_500_raw_test", better="lower"), **changes)
    return _tables.cost(by_method(records, "ab"), found, looks_of("ab"))


def test_cost_has_its_range_over_the_runs_that_did_not_fail():
    records = records_of()
    records[0] = dataclasses.replace(records[0], value=None, seconds=0.1, kimg=0.1)
    shown = cost(records)
    head, *rows = rows_of(shown)
    columns = {name: [row[at] for row in rows] for at, name in enumerate(head)}
    assert (
        columns["training, a run"]
        == ["12.5 s (11 s to 14 s)", "12 s (10 s to 14 s)"][:: 1 if rows[0][0] == "a" else -1]
    )
    assert columns["kimg"] == ["4", "4"]
    assert columns["gradients"] == ["600", "600"]
    assert "By seconds, none of 1 pair is told apart" in shown
    assert "Quality to reach: sw2 of" in shown


def test_the_time_until_all_runs_of_a_method_died_is_no_cost():
    records = [
        dataclasses.replace(each, value=None, seconds=77.0, kimg=0.01) if each.method == "b" else each
        for each in records_of()
    ]
    shown = cost(records)
    _, of_a, of_b = rows_of(shown)
    assert of_b[:5] == ["b", "all failed", "", "", ""]
    assert "77" not in shown
    assert of_a[1] == "12 s (10 s to 14 s)"
    assert re.findall(r'class="bar" style="width:([\d.]+)%', shown) == ["100.0"]
    dead = [dataclasses.replace(each, value=None) for each in records_of()]
    assert [row[1] for row in rows_of(cost(dead))[1:]] == ["all failed"] * 2


def test_seconds_of_a_budget_in_seconds_or_of_stacks_are_not_compared():
    timed = cost(records_of(), budget=Budget(12.0, "seconds"), cheaper=())
    assert "The budget is in seconds, the same for all" in timed
    assert re.search("kimg", timed)
    unequal = [dataclasses.replace(each, seconds=30.0) if each.method == "b" else each for each in records_of()]
    shown = cost(unequal, budget=Budget(12.0, "seconds"))
    bars = re.findall(r'class="bar" style="width:([\d.]+)%', shown)
    assert bars == ["100.0", "100.0"]  # of kimg
    stacked = cost(records_of(together=5))
    assert "Shares of one time are one measurement: compare gradients, not seconds." in stacked
    assert "told apart" not in timed + stacked


@pytest.mark.parametrize("better", ["lower", "higher", 0.3])
def test_any_study_has_its_tables(better):
    rng = np.random.default_rng(3)
    records = made_up.records_of(rng, failing=0.6, better="lower")
    found = compare(records, protocol="energy5k_test", better=better)
    looks = looks_of([each.method for each in found.standings])
    head, *rows = rows_of(_tables.standings(found, looks))
    assert len(rows) == 6
    assert {len(row) for row in rows} == {len(head)}
    assert {"precision5k", "recall5k"} <= set(head)
    head, *rows = rows_of(_tables.cost(by_method(records, list(looks)), found, looks))
    assert {len(row) for row in rows} == {len(head)}
