"""What a comparison is said to come to."""

import dataclasses
import math
import re
from typing import Any

import numpy as np
import pytest

from adversarium.study import advice as advice_of
from adversarium.study._caveats import notes
from adversarium.study.compare import compare
from adversarium.study.comparison import Comparison
from adversarium.study.plan import Budget, Method, Plan
from adversarium.study.record import Point, Record, Suspicion


def runs(
    method: str,
    values: list[float | None],
    *,
    seconds: float | list[float] = 10.0,
    collapsed: int = 0,
    together: int = 1,
    gradients: int = 600,
    kimg: float = 4.0,
    untrained: float | None = None,
    options: dict[str, Any] | None = None,
) -> list[Record]:
    took = seconds if isinstance(seconds, list) else [seconds] * len(values)
    collapse = (Suspicion(kind="partial_collapse", what="alike", since_kimg=1.0, severity=0.9),)
    return [
        Record(
            method=method,
            seed=seed,
            value=value,
            untrained=untrained,
            seconds=took[seed],
            kimg=kimg,
            gradients=gradients,
            together=together,
            options=options or {},
            curve=(Point(kimg=kimg / 2, seconds=took[seed] / 2, gradients=300, value=value),),
            suspicions=collapse if seed < collapsed else (),
        )
        for seed, value in enumerate(values)
    ]


def said(*records: list[Record], better: str | float = "lower", **options: Any) -> Comparison:
    return compare([each for group in records for each in group], **{"protocol": "w2", "better": better, **options})


def plan(names: str, budget: str = "4kimg", searches: tuple[dict[str, str], ...] = (), **options: Any) -> Plan:
    """Of methods whose names are letters."""
    methods = tuple(
        Method(name=name, options={}, search=searches[place] if searches else {}) for place, name in enumerate(names)
    )
    return Plan(
        data="ring", methods=methods, seeds=(0, 1), budget=Budget.parse(budget), protocol="sw2_500_raw_test", **options
    )


def ramp(start: float, seeds: int = 10) -> list[float | None]:
    return [start + 0.01 * seed for seed in range(seeds)]


def test_a_clear_winner_is_named_with_what_makes_it_sure():
    first, numbers, cost, last = said(runs("good", ramp(1.0)), runs("fair", ramp(2.0)), runs("poor", ramp(3.0))).advice
    assert first == "Use good: better than fair and poor on 10 seeds."
    assert numbers.startswith("good has median w2 1.04, 95 % interval 1.0")
    assert "(lower is better), and mean rank 1 of 3; it is better than fair and poor (corrected p ≤ 0.0059)" in numbers
    assert numbers.endswith("fair, the next, is 1 behind, 95 % interval 1 to 1.")
    assert cost == "A run of good takes 10 s, 4 kimg and 600 gradients (the median run)."
    assert last == "No run failed or collapsed."


def test_methods_that_share_the_best_ranks_are_named_together():
    found = said(runs("a", [1.0, 2.0]), runs("b", [1.0, 2.0]), runs("c", [3.0, 4.0]))
    wanted = (
        "Too close to call: a and b share the best ranks, but 2 seeds cannot tell them from each other, or from any"
    )
    assert found.advice[0] == f"{wanted} other method."


def test_one_that_is_too_close_to_the_best_is_named_with_what_speaks_for_it(rng):
    found = said(
        runs("good", [1 + 0.3 * x for x in rng.standard_normal(10)], seconds=300.0),
        runs("cheap", [1.1 + 0.3 * x for x in rng.standard_normal(10)], collapsed=2),
        runs("poor", ramp(9.0)),
    )
    best, other = (each.method for each in found.standings[:2])
    choice, numbers, _, among, seeds, trouble = found.advice
    assert choice == f"Use {best}: better than poor on 10 seeds; {other} is too close to call."
    assert re.fullmatch(
        rf"{best} has median w2 .*mean rank 1\.. of 3; it is better than poor .*p ≤ 0.0059\)\.", numbers
    )
    assert "cheap is cheaper than good, 10 s a run against 5 min" in among
    assert "the fewest failed or collapsed of good (0 of 10 runs)" in among
    assert re.search(rf"to tell {best} from {other} takes (about \d+|more than 200) seeds", seeds)
    assert trouble == "Runs that collapsed: cheap 2 of 10."


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_with_few_seeds_nothing_is_told_apart_and_the_notes_say_why():
    found = said(*(runs(name, ramp(1.0 + place, 5)) for place, name in enumerate("abcdef")))
    assert found.groups == (tuple("abcdef"),)
    assert found.advice[0] == (
        "Too close to call: a has the best ranks, but 5 seeds cannot tell it from any other method."
    )
    assert found.advice[1].startswith("a has median w2 1.02, range of 5 seeds 1 to 1.04 (lower is better)")
    assert found.advice[1].endswith("mean rank 1 of 6; the smallest corrected p is 0.94.")
    assert (
        "5 seeds: no pair of 6 methods can be told apart by the paired test, whatever their numbers; 10 seeds could."
    ) in found.notes
    (hint,) = found.hints
    assert hint.startswith("Mean ranks alone would tell a from e and f; b from f (critical difference")
    assert any(
        "the range of the seeds, which holds the true median in about 93.8 % of" in each for each in found.notes
    )
    assert "to tell a from b, c and d takes about 10 seeds (found then in 4 of 5 studies)" in found.advice[4]


def test_the_correction_for_all_pairs_decides():
    found = said(*(runs(name, ramp(1.0 + place, 8)) for place, name in enumerate("abcdef")))
    assert found.pairs[0].p < 0.01
    assert found.advice[0].startswith("Too close to call: a")
    assert found.advice[1].endswith("the smallest corrected p is 0.12.")


def test_with_enough_seeds_there_is_nothing_to_note():
    assert said(*(runs(name, ramp(1.0 + place)) for place, name in enumerate("abcdef"))).notes == ()


def test_if_all_failed_there_is_no_advice_but_that():
    (only,) = said(runs("a", [None] * 10), runs("b", [None] * 10)).advice
    assert only.startswith("Every run of every method failed (20 runs): there is nothing to choose.")


def test_failures_are_told_and_a_median_that_failed():
    found = said(runs("a", [1.0, None, None]), runs("b", [None] * 3))
    assert "a has mean rank 1.33 of 2, though its median run failed (1 of 3 did not)" in found.advice[1]
    assert found.advice[-1] == "Runs that failed: a 2 of 3, b 3 of 3."
    winner = said(runs("a", ramp(1.0)), runs("b", [None] * 10))
    assert winner.advice[1].endswith("better than b (corrected p ≤ 0.002); b, the next, failed where it did not.")


def test_one_method_under_two_names_is_noticed():
    found = said(runs("a", ramp(1.0)), runs("b", ramp(1.0)))
    assert found.notes == ("a and b are the same runs under 2 names, to the last digit.",)
    assert "No number of seeds would tell a from b: equal on each." in found.advice


def test_one_seed_is_too_few_for_any_estimate():
    for values in ([1.0], [1.0, 2.0]):
        found = said(runs("a", values), runs("b", [value + 2 for value in values]))
        assert found.advice[0].startswith("Too close to call: a has the best ranks")
        assert not any("seeds would" in sentence or "takes about" in sentence for sentence in found.advice)
    three = said(runs("a", ramp(1, 3)), runs("b", ramp(2, 3)))
    assert any("to tell a from b takes about" in sentence for sentence in three.advice)


def test_ranks_that_other_methods_turn_round_do_not_decide():
    """b beats a by far on 18 of 21 seeds; on 3 a is best by a hair, and the six others come between it and b."""
    others = "cdefgh"
    usual = {"a": 1.0, "b": 0.0} | {name: 5.0 + place for place, name in enumerate(others)}
    upset = {"a": 1.0, "b": 1.01} | {name: 1.001 + 0.001 * place for place, name in enumerate(others)}
    records = [
        Record(method=name, seed=seed, value=value + 1e-5 * seed * (name == "b"))
        for seed in range(21)
        for name, value in (upset if seed in (3, 8, 9) else usual).items()
    ]
    found = compare(records, protocol="w2", better="lower")
    pair = next(pair for pair in found.pairs if {pair.better, pair.worse} == {"a", "b"})
    assert (pair.better, pair.wins) == ("b", 18)
    assert pair.adjusted < 0.01
    assert found.standings[0].method == "a"
    assert any("a has a better mean rank than b, which is better by the paired test" in note for note in found.notes)
    assert found.advice[0] == "Use b: better than all 7 others on 21 seeds."
    assert re.match(
        "b has median w2 .* better than a, c, d, e, f, g and h .*; a, the next, is 1 behind", found.advice[1]
    )


def decided_by_hand(*pairs: tuple[str, str]) -> Comparison:
    """Six methods, a to f in the order of their ranks, of which only these pairs (better, worse) are told apart."""
    plain = said(*(runs(name, ramp(1.0 + place, 5)) for place, name in enumerate("abcdef")))
    turned = {frozenset(each): each for each in pairs}
    found = []
    for pair in plain.pairs:
        better, worse = turned.get(frozenset((pair.better, pair.worse)), (pair.better, pair.worse))
        adjusted = 0.01 if (better, worse) in pairs else 0.9
        found.append(dataclasses.replace(pair, better=better, worse=worse, adjusted=adjusted))
    return dataclasses.replace(plain, pairs=tuple(found))


def advice(comparison: Comparison) -> tuple[str, ...]:
    return advice_of.advise(comparison, {name: runs(name, ramp(1.0 + at, 5)) for at, name in enumerate("abcdef")})


def test_pairs_that_go_round_in_a_circle_leave_no_choice():
    circle = decided_by_hand(("a", "b"), ("b", "c"), ("c", "a"), *(("a", name) for name in "def"))
    assert advice(circle) == (
        "No method is the best on 5 seeds: each is worse than another.",
        "a has the best ranks and is better than b, d, e and f, but worse than c.",
        "No run failed or collapsed.",
    )


def test_the_best_ranks_are_not_claimed_by_another():
    (first, *_) = advice(decided_by_hand(("c", "a")))
    assert first == "Too close to call: nothing is better than b, but 5 seeds cannot tell it from any other method."


def test_the_answer_is_short_however_many_methods_there_are():
    assert advice(decided_by_hand(*(("a", name) for name in "cdef")))[0] == (
        "Use a: better than 4 of 5 methods on 5 seeds; b is too close to call."
    )
    assert advice(decided_by_hand(("a", "f")))[0] == (
        "Use a: better than f on 5 seeds; 4 others are too close to call."
    )
    assert advice(decided_by_hand(("a", "e"), ("a", "f")))[0].endswith("; b, c and d are too close to call.")


def among(found: Comparison) -> str:
    """Return the sentence on what speaks for those that are too close to call."""
    return next((sentence for sentence in found.advice if sentence.startswith("Of ")), "")


def alike(rng: np.random.Generator, *seconds: float, seeds: int = 10, **options: Any) -> list[list[Record]]:
    """Methods a, b, ... of the same law, whose runs take about so many seconds."""
    return [
        runs(
            name,
            [1 + 0.3 * x for x in rng.standard_normal(seeds)],
            seconds=[each * math.exp(0.05 * x) for x in rng.standard_normal(seeds)],
            **options,
        )
        for name, each in zip("abcdefgh", seconds, strict=False)
    ]


def test_cost_is_told_with_its_range_over_seeds():
    took = [9.0, 10.0, 12.0, 11.0, 10.5, 9.5, 13.0]
    found = said(runs("a", ramp(1.0, 7), seconds=took), runs("b", ramp(2.0, 7)))
    assert (
        "A run of a takes 10.5 s (9 s to 13 s), 4 kimg and 600 gradients: medians and ranges of 7 runs."
        in found.advice
    )


def test_a_run_that_failed_early_says_nothing_of_what_a_run_costs():
    took = [10.0] * 8 + [0.1] * 4
    values = [*ramp(1.0, 8), None, None, None, None]
    found = said(runs("a", values, seconds=took), runs("b", [1.01 + x for x in ramp(0.0, 12)]))
    assert found.standings[0].seconds == found.standings[1].seconds == 10.0
    assert [pair.ties for pair in found.cheaper] == [8]
    assert not any("0.1 s" in sentence for sentence in found.advice)
    assert "a run costs about the same (10 s)" in among(found)


def test_one_that_is_cheaper_by_the_paired_test_is_called_so(rng):
    one, two, three = (said(*alike(rng, *each)) for each in ((10.0, 30.0), (10.0, 30.0, 31.0), (30.0, 10.0, 10.3)))
    assert re.search(r"a is cheaper than b, [\d.]+ s \([\d.]+ s to [\d.]+ s\) a run against [23]", among(one))
    assert "a is cheaper than the others, " in among(two)
    assert re.search("[bc] is cheaper than a, ", among(three))


def test_one_that_is_not_is_not(rng):
    for seconds in ((10.0, 10.2), (10.0, 11.0)):  # of noise, and of a difference that is real and too small to matter
        assert "a run costs about the same (" in among(said(*alike(rng, *seconds)))
    (one,), unlike = alike(rng, 10.0), [3.0, 30.0, 2.0, 50.0, 1.0, 22.0, 40.0, 2.5, 60.0, 4.0]
    near = [run.value + 0.01 * (-1) ** run.seed for run in one]
    mixed = said(one, runs("b", near, seconds=unlike))
    assert "a run costs" in among(mixed)
    assert "in the median, too close to call" in among(mixed)
    few = said(*alike(rng, 10.0, 30.0, seeds=4))
    assert re.search(
        r"a run costs [\d.]+ s \(a\) to [\d.]+ s \(b\) in the median, on 4 seeds, too few to test", among(few)
    )
    for found in (mixed, few):
        assert "cheap" not in " ".join(found.advice)


@pytest.mark.parametrize("seed", range(3))
def test_methods_that_cost_the_same_are_seldom_called_cheaper(seed):
    """Ten studies of four methods each; one machine slows down at times, which all methods of a seed feel."""
    rng, called = np.random.default_rng(seed), 0
    for _ in range(10):
        busy = np.where(rng.random(10) < 0.3, 3.0, 1.0)
        records = [
            dataclasses.replace(run, seconds=10 * busy[run.seed] * math.exp(0.4 * rng.standard_normal()))
            for each in alike(rng, 1.0, 1.0, 1.0, 1.0)
            for run in each
        ]
        called += "cheaper" in " ".join(said(records).advice)
    assert called <= 2


def test_a_budget_in_seconds_compares_what_was_done_in_them(rng):
    records = [
        [dataclasses.replace(run, seconds=90.0, kimg=kimg) for run in each]
        for each, kimg in zip(alike(rng, 90.0, 90.0, 90.0), (40.0, 12.0, 20.0), strict=True)
    ]
    found = said(*records, plan=plan("abc", "90s"))
    assert not re.search("cheap|costs", " ".join(found.advice))
    assert found.cheaper == ()
    best = found.standings[0]
    assert (
        f"In 1.5 min of training {best.method} was shown {best.kimg:g} kimg, and took 600 gradients (the median run)."
        in found.advice
    )
    wanted = (
        "In 1.5 min a was shown 40 kimg and b 12 (the most and the least): what tells methods apart is partly speed"
    )
    assert any(note.startswith(wanted) for note in found.notes)
    alike_enough = [dataclasses.replace(run, kimg=40.0 + run.kimg / 10) for each in records for run in each]
    assert not any("was shown" in note for note in said(alike_enough, plan=plan("abc", "90s")).notes)
    assert not any("was shown" in note for note in said(*records, plan=plan("abc", "4kimg")).notes)


def test_shares_of_a_stack_are_not_compared(rng):
    values = [[1 + 0.3 * x for x in rng.standard_normal(10)] for _ in range(2)]
    found = said(runs("a", values[0], seconds=1.0, together=10), runs("b", values[1], gradients=400, together=10))
    assert "b takes the fewest gradients (400 a run; a 600)" in among(found)
    assert "cheap" not in " ".join(found.advice)
    assert found.cheaper == ()
    price = next(sentence for sentence in found.advice if sentence.startswith("A run of"))
    assert ("takes 1 s (its share of a stack of 10), 4 kimg" in price) == (found.standings[0].method == "a")


def test_who_is_sooner_is_called_so_only_if_the_paired_test_says_it(rng):
    near, far = [1 + 0.3 * x for x in rng.standard_normal(10)], [1 + 0.3 * x for x in rng.standard_normal(10)]
    early = [
        dataclasses.replace(run, curve=(Point(kimg=0.1, seconds=0.1, gradients=9, value=0.0),))
        for run in runs("a", near)
    ]
    found = said(early, runs("b", far), quality=0.9)
    assert "a gets to w2 0.9 sooner than b (half of its runs in 0.1 s)" in among(found)
    level = said(runs("a", near), runs("b", far), quality=0.9)
    assert "how soon they get to w2 0.9 is too close to call" in among(level)


def test_where_nothing_was_learned_no_method_is_named():
    found = said(runs("a", ramp(1.0), untrained=0.9), runs("b", ramp(2.0), untrained=0.9))
    assert [each.unlearned for each in found.standings] == [10, 10]
    assert found.advice == (
        "Nothing to choose yet: in this budget most runs of every method ended no better than their untrained "
        "generators.",
        "Try a larger budget, or other learning rates.",
        "Runs that ended no better than untrained: a 10 of 10, b 10 of 10.",
    )
    failed = said(runs("a", ramp(1.0), untrained=0.9), runs("b", [None] * 10))
    assert failed.advice[0].endswith("their untrained generators, or failed.")


@pytest.mark.parametrize(("of_a", "of_b", "place"), [(1.045, 9.0, 1), (9.0, 2.025, -2), (9.0, 9.0, None)])
def test_methods_that_learned_nothing_are_warned_of(of_a, of_b, place):
    found = said(runs("a", ramp(1.0), untrained=of_a), runs("b", ramp(2.0), untrained=of_b))
    assert found.advice[0] == "Use a: better than b on 10 seeds."
    warned = [sentence for sentence in found.advice if "learned nothing" in sentence]
    if place is None:
        assert warned == []
        return
    counts = {each.method: each.unlearned for each in found.standings}
    assert counts == {"a": 5 if of_a < 2 else 0, "b": 7 if of_b < 3 else 0}
    if of_a < 2:  # 5 of 10 are not most
        assert warned == []
        found = said(runs("a", ramp(1.0), untrained=1.035), runs("b", ramp(2.0), untrained=9.0))
    name = "a" if of_a < 2 else "b"
    assert found.advice[place] == (
        f"Most runs of {name} learned nothing in this budget: try a larger one, or other learning rates."
    )


@pytest.mark.parametrize(("protocol", "better"), [("precision", "higher"), ("w2", "lower")])
def test_what_is_no_better_than_untrained_depends_on_which_way_is_better(protocol, better):
    found = said(
        runs("a", [0.2, 0.3, 0.4], untrained=0.9),
        runs("b", [0.2, 0.3, 0.4], untrained=0.1),
        protocol=protocol,
        better=better,
    )
    counts = {each.method: each.unlearned for each in found.standings}
    assert counts == ({"a": 3, "b": 0} if better == "higher" else {"a": 0, "b": 3})


def test_a_larger_budget_is_no_remedy_for_divergence():
    dying = [2.0] + [None] * 9
    found = said(runs("a", dying, untrained=1.0), runs("b", [None] * 10))
    assert found.advice == (
        "Nothing to choose yet: in this budget most runs of every method ended no better than their untrained "
        "generators, or failed.",
        "Mend what runs died of first: a larger budget is no remedy for that.",
        "Runs that failed: a 9 of 10, b 10 of 10; that ended no better than untrained: a 1 of 10.",
    )
    mixed = said(runs("a", dying, untrained=1.0), runs("b", ramp(2.0), untrained=1.0), runs("c", [None] * 10))
    assert mixed.advice[1] == (
        "Try a larger budget, or other learning rates, for b; mend what runs of a and c died of."
    )


def test_runs_that_learned_much_are_chosen_among_however_many_failed():
    some = [0.1, 0.2, 0.3, 2.0, *[None] * 8]
    found = said(runs("a", some, untrained=1.0), runs("b", [None] * 12))
    assert [each.unlearned for each in found.standings] == [1, 0]
    assert "Nothing to choose" not in found.advice[0]
    assert not any("larger" in sentence for sentence in found.advice)


def test_one_that_always_failed_says_nothing_of_cost_or_speed(rng):
    one, other = alike(rng, 10.0, 30.0)
    dead = runs("b", [None] * 10, seconds=0.1, kimg=0.01, gradients=3)
    living = [dataclasses.replace(run, method="c") for run in other]
    found = said(one, dead, living)
    tied = dataclasses.replace(found, pairs=tuple(dataclasses.replace(pair, adjusted=1.0) for pair in found.pairs))
    by_name = {"a": one, "b": dead, "c": living}
    (told,) = (sentence for sentence in advice_of.advise(tied, by_name) if sentence.startswith("Of "))
    assert re.match("Of (a and c|c and a): a is cheaper than c", told)
    assert "0.1 s" not in told
    assert "b" not in re.findall(r"\b[abc]\b", told)


def test_one_that_always_failed_does_not_take_the_fewest_gradients():
    few = [runs(name, ramp(1.0 + at, 3), together=3, gradients=600 + 400 * at) for at, name in enumerate("ac")]
    found = said(*few, runs("b", [None] * 3, gradients=3, together=3))
    assert "Of a and c: a takes the fewest gradients (600 a run; c 1,000)." in found.advice
    alone = said(few[0], runs("b", [None] * 3, gradients=3, together=3))
    assert among(alone) == ""


def test_one_that_always_failed_had_no_smaller_share_of_the_time():
    dead = runs("b", [None] * 10, kimg=0.01, gradients=3)
    timed = {"plan": plan("abc", "90s")}
    assert said(runs("a", ramp(1.0)), dead, **timed).notes == ()
    assert said(runs("a", ramp(1.0)), dead, runs("c", ramp(2.0)), **timed).notes == ()
    (note,) = said(runs("a", ramp(1.0)), dead, runs("c", ramp(2.0), kimg=8.0), **timed).notes
    assert note.startswith("In 1.5 min c was shown 8 kimg and a 4: what tells methods apart is partly speed")
    dying = [runs(name, [None] * 10, kimg=kimg) for name, kimg in (("a", 1.0), ("b", 9.0))]
    assert not any("partly speed" in note for note in said(*dying, **timed).notes)


@pytest.mark.parametrize(("more", "noted"), [(1.1, False), (1.3, True), (2.9, True)])
def test_shares_of_the_time_that_differ_enough_are_noted(more, noted):
    found = said(runs("a", ramp(1.0)), runs("b", ramp(2.0), kimg=4.0 * more), plan=plan("ab", "90s"))
    assert any("was shown" in note for note in found.notes) == noted


@pytest.mark.parametrize(
    ("shared", "why"),
    [
        (0, "not on the same seeds"),
        (1, "on 1 seed without a failure, too few to test"),
        (5, "on 5 seeds without a failure, too few to test"),
        (6, "too close to call"),
    ],
)
def test_costs_are_too_close_to_call_only_where_they_were_tested(shared, why):
    """12 seeds, on half of the others one fails, on half the other; costs go up and down, as do the numbers."""
    values = [1.0 + 0.01 * (-1) ** seed for seed in range(12)]
    lost = 12 - shared
    of_a = [None if seed < lost / 2 else value for seed, value in enumerate(values)]
    of_b = [None if lost / 2 <= seed < lost else 2.0 - value for seed, value in enumerate(values)]
    found = said(runs("a", of_a, seconds=[40.0, 10.0] * 6), runs("b", of_b, seconds=[20.0, 60.0] * 6))
    assert [pair.runs for pair in found.cheaper] == [shared] * (shared > 0)
    assert re.search(r"a run costs [^;]* in the median, ([^;]*?)[;.]( |$)", among(found) + " ")[1] == why


def test_how_soon_is_not_judged_on_too_few_seeds(rng):
    for seeds, told in ((5, False), (10, True)):
        found = said(*alike(rng, 10.0, 10.0, seeds=seeds), quality=1.2)
        assert any(each.reached for each in found.standings)
        assert ("how soon" in among(found) or "as soon" in among(found)) == told


@pytest.mark.parametrize(
    ("later", "told"),
    [
        (1.1, "they get to w2 0.9 about as soon (half of their runs in 1 s)"),
        (1.3, "a gets to w2 0.9 sooner than b (half of its runs in 1 s)"),
    ],
)
def test_who_is_sooner_by_little_is_not_called_so(later, told, rng):
    records = [
        dataclasses.replace(
            run, curve=(Point(kimg=1.0, seconds=later if run.method == "b" else 1.0, gradients=9, value=0.0),)
        )
        for each in alike(rng, 10.0, 10.0)
        for run in each
    ]
    found = said(records, quality=0.9)
    assert found.sooner[0].adjusted <= 0.05
    assert told in among(found)


@pytest.mark.parametrize("count", [3, 6, 7])
def test_up_to_six_that_are_too_close_to_call_are_named(count, rng):
    found = said(*alike(rng, *[10.0, 30.0] * (count // 2), *[10.0] * (count % 2), seeds=4))
    tied = [each.method for each in found.standings]
    who = f"the {count} that are too close to call" if count == 7 else f"{', '.join(tied[:-1])} and {tied[-1]}"
    assert among(found).startswith(f"Of {who}: ")


def test_a_name_does_not_say_whether_runs_differ():
    found = said(runs("gan to wgan", ramp(1.0)), runs("b", ramp(2.0)))
    assert "A run of gan to wgan takes 10 s, 4 kimg and 600 gradients (the median run)." in found.advice
    stack = said(runs("a", ramp(1.0), seconds=[1.0, 9.0] * 5, together=10), runs("b", ramp(2.0)))
    assert any("a stack of 10), 4 kimg and 600 gradients (the median run)." in each for each in stack.advice)


def test_times_that_nobody_took_are_not_told(rng):
    found = said(*alike(rng, 0.0, 0.0))
    assert not re.search(r"\b0 s\b|soon", " ".join(found.advice))
    best = found.standings[0].method
    assert f"A run of {best} takes 4 kimg and 600 gradients (the median run)." in found.advice
    bare = [Record(method=name, seed=seed, value=1.0 + 0.1 * seed) for name in "ab" for seed in range(6)]
    assert not any(re.search("takes|costs", sentence) for sentence in said(bare).advice)


def test_two_methods_that_share_the_ranks_have_no_other():
    assert said(runs("a", [1.0, 2.0]), runs("b", [2.0, 1.0])).advice[0] == (
        "Too close to call: a and b share the best ranks, but 2 seeds cannot tell them from each other."
    )


def test_what_many_ranks_would_say_is_counted():
    names = [f"m{place:02}" for place in range(12)]
    (hint,) = said(*(runs(name, ramp(1.0 + place, 4)) for place, name in enumerate(names))).hints
    counted = re.match(r"Mean ranks alone would tell (\d+) of 66 pairs apart \(critical difference ([\d.]+)\)", hint)
    gap = float(counted[2])
    assert int(counted[1]) == sum(later - early >= gap for later in range(12) for early in range(later)) > 3
    assert not any(note.startswith("Mean ranks") for note in said(*(runs(name, ramp(1.0, 4)) for name in "ab")).notes)


def test_one_seed_has_no_range():
    assert not any("range" in note for note in said(runs("a", [1.0]), runs("b", [2.0])).notes)
    (two,) = (note for note in said(runs("a", [1.0, 1.1]), runs("b", [2.0, 2.1])).notes if "range" in note)
    assert two == (
        "2 seeds: an interval of 95 % takes 8. What is shown is the range of the seeds, which holds the true median "
        "in about 50 % of studies."
    )
    seven, eight = (said(*(runs(name, ramp(1.0, seeds)) for name in "ab")).notes for seeds in (7, 8))
    assert any("in about 98.4 % of studies" in note for note in seven)
    assert not any("range" in note for note in eight)


def test_protocols_are_said_in_words_once(rng):
    found = said(*alike(rng, 10.0, 10.0), protocol="sw2_2500_raw_test")
    told = " ".join([*found.advice, *found.notes])
    assert told.count("sliced Wasserstein distance to test data (sw2)") == 1
    assert "2500" not in told
    assert "get to sw2 " in told


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([{}, {}, {}], "."),
        ([{"beta1": 0.5}] * 3, ": their options are the same."),
        ([{"loss": "hinge"}, {"loss": "wasserstein"}, {"loss": "hinge()"}], "hinge's gradients are Wasserstein's."),
        ([{"preset": "hinge"}, {"preset": "hinge", "loss": "wasserstein"}, {"preset": "hinge"}], "Wasserstein's."),
        ([{"top_k": 0.5}, {"top_k": 1.0}, {"top_k": 0.5}], ": they differ in top_k, which changed nothing here."),
        (
            [{"loss": "hinge"}, {"loss": "lsgan"}, {"loss": "hinge"}],
            ": they differ in loss, which changed nothing here.",
        ),
    ],
)
def test_the_same_runs_under_several_names_are_flagged_with_the_reason(options, why):
    found = said(
        *(runs(name, ramp(1.0), options=each) for name, each in zip("abc", options, strict=True)), runs("d", ramp(2.0))
    )
    (note,) = found.notes
    assert note.startswith("a, b and c are the same runs under 3 names, to the last digit")
    assert note.endswith(why)


def test_runs_that_only_end_alike_are_not_the_same():
    """Of a protocol that counts (modes), many end alike."""
    one, two = runs("a", [8.0] * 8), runs("b", [8.0] * 8)
    other = [dataclasses.replace(run, curve=(dataclasses.replace(run.curve[0], value=7.0),)) for run in two]
    assert said(one, other).notes == ()
    bare = [[dataclasses.replace(run, curve=()) for run in each] for each in (one, two)]
    assert said(*bare).notes == ("a and b have the same number on every seed: one method, 2 names?",)


RATE, BETA, SCALE = {"learning_rate": "1e-5..1e-2 log"}, {"beta1": "0|0.5"}, {"penalty_scale": "0.1..10 log"}


@pytest.mark.parametrize(
    ("searches", "trials", "told"),
    [
        ((RATE | BETA, RATE | BETA, RATE | BETA), 8, None),
        ((RATE | BETA, RATE, RATE | BETA), 0, None),
        ((RATE | BETA, RATE, RATE), 8, "b and c without beta1"),
        ((RATE | BETA | SCALE, RATE, RATE | BETA), 8, "b without beta1 and penalty_scale; c without penalty_scale"),
        ((RATE | BETA, {}, RATE | BETA), 8, "b not at all"),
        ((RATE, RATE, {"learning_rate": "1e-4..1e-3"}), 8, "learning_rate in different ranges"),
    ],
)
def test_searches_of_unequal_spaces_are_noted(searches, trials, told):
    records = [runs(name, ramp(1.0 + place)) for place, name in enumerate("abc")]
    found = said(*records, plan=plan("abc", searches=searches, trials=trials)).notes
    if told is None:
        assert found == ()
    else:
        assert found == (
            f"Methods' settings were searched in different spaces ({told}), each with 8 trials: a smaller space is "
            "searched more closely.",
        )


def test_the_next_methods_are_told_how_many_seeds_they_would_take(rng):
    found = said(*alike(rng, *[10.0] * 6))
    (told,) = (sentence for sentence in found.advice if "seeds" in sentence and "to tell" in sentence)
    best, *tied = (each.method for each in found.standings)
    names = re.findall(r"\b[a-f]\b", told.replace(f"tell {best} ", "").partition("(")[0].replace("If differences", ""))
    assert sorted(names) == sorted(tied[:3])


@pytest.mark.parametrize(
    ("better", "aim"), [("lower", "lower is better"), ("higher", "higher is better"), (1.0, "1 is best")]
)
def test_which_way_is_better_is_said(better, aim):
    assert aim in said(runs("a", ramp(0.2)), runs("b", ramp(0.5)), better=better).advice[1]


def test_every_sentence_is_one(rng):
    for seeds in (1, 2, 5, 8, 12):
        costs = rng.standard_normal((seeds, 5)) + np.arange(5)
        costs[rng.random(costs.shape) < 0.3] = math.inf
        found = said(
            *(
                runs(
                    name,
                    [None if math.isinf(x) else x for x in each.tolist()],
                    seconds=rng.lognormal(sigma=2.0, size=seeds).tolist(),
                    untrained=1.0,
                )
                for name, each in zip("abcde", costs.T, strict=True)
            ),
            plan=plan("abcde", "9s" if seeds == 8 else "9kimg", (RATE, {}, BETA, RATE, RATE), trials=5),
        )
        for sentence in (*found.advice, *found.notes):
            assert sentence.endswith((".", "?"))
            assert not re.search(r"\bnan\b|\binf\b|None|  |\(\)", sentence), sentence


def test_advice_needs_nothing_but_the_comparison_and_the_runs():
    by_name = {"a": runs("a", ramp(1.0)), "b": runs("b", ramp(2.0))}
    found = said(*by_name.values())
    assert advice_of.advise(found, by_name) == found.advice
    assert notes(found, by_name, [7, 8]) == ("Left out, because not every method has run with it: seed 7, 8.",)
