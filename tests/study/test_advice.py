"""What a comparison is said to come to."""

import dataclasses
import math
import re

import numpy as np
import pytest

from adversarium.study import advice as advice_of
from adversarium.study.compare import Comparison, compare
from adversarium.study.record import Point, Record, Suspicion


def runs(
    method: str,
    values: list[float | None],
    *,
    seconds: float = 10.0,
    collapsed: int = 0,
    together: int = 1,
    gradients: int = 600,
) -> list[Record]:
    collapse = (Suspicion(kind="partial_collapse", what="alike", since_kimg=1.0, severity=0.9),)
    return [
        Record(
            method=method,
            seed=seed,
            value=value,
            seconds=seconds,
            kimg=4.0,
            gradients=gradients,
            together=together,
            curve=(Point(kimg=2.0, seconds=seconds / 2, gradients=300, value=value),),
            suspicions=collapse if seed < collapsed else (),
        )
        for seed, value in enumerate(values)
    ]


def said(*records: list[Record], better: str | float = "lower") -> Comparison:
    return compare([each for group in records for each in group], protocol="w2", better=better)


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
    assert "cheap is the cheapest (10 s a run) and the fastest (half of its runs reach w2" in among
    assert "good is the most reliable (0 of 10 runs failed or collapsed)" in among
    assert re.search(rf"To tell {best} from {other} would take (about \d+|more than 200) seeds", seeds)
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
    assert found.advice[1].startswith("a has median w2 1.02")
    assert found.advice[1].endswith("mean rank 1 of 6; the smallest corrected p is 0.94.")
    assert (
        "5 seeds: no pair of 6 methods can be told apart by the paired test, whatever their numbers; 10 seeds could."
    ) in found.notes
    assert any(note.startswith("Mean ranks alone would tell a from e, a from f and b from f") for note in found.notes)
    assert any("covers the true median in about 93.8 % of studies, not in 95 %" in note for note in found.notes)
    assert "To tell a from b would take about 10 seeds, 5 more" in found.advice[4]


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
    assert found.notes == ("a and b have the same number on every seed: one method, two names?",)
    assert "No number of seeds would tell a from b: they are equal on each." in found.advice


def test_one_seed_is_too_few_for_any_estimate():
    for values in ([1.0], [1.0, 2.0]):
        found = said(runs("a", values), runs("b", [value + 2 for value in values]))
        assert found.advice[0].startswith("Too close to call: a has the best ranks")
        assert not any("would take" in sentence or "as good as equal" in sentence for sentence in found.advice)
    assert any("would take" in sentence for sentence in said(runs("a", ramp(1, 3)), runs("b", ramp(2, 3))).advice)


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
    return advice_of.advise(comparison, dict.fromkeys("abcdef", 600.0))


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


def test_shares_of_different_stacks_are_not_compared(rng):
    values = [[1 + 0.3 * x for x in rng.standard_normal(10)] for _ in range(2)]
    found = said(runs("a", values[0], seconds=1.0, together=4), runs("b", values[1], gradients=400))
    (among,) = (sentence for sentence in found.advice if sentence.startswith("Of "))
    assert "b is the cheapest (400 gradients a run)" in among
    assert re.search("the fastest .*half of its runs reach w2 .* in 2 kimg", among)
    price = next(sentence for sentence in found.advice if sentence.startswith("A run of"))
    assert ("takes 1 s (its share of a stack of 4), 4 kimg" in price) == (found.standings[0].method == "a")
    alike = said(runs("a", values[0], seconds=1.0, together=4), runs("b", values[1], gradients=400, together=4))
    assert any("a is the cheapest (1 s a run)" in sentence for sentence in alike.advice)


@pytest.mark.parametrize(
    ("better", "aim"), [("lower", "lower is better"), ("higher", "higher is better"), (1.0, "1 is best")]
)
def test_which_way_is_better_is_said(better, aim):
    assert aim in said(runs("a", ramp(0.2)), runs("b", ramp(0.5)), better=better).advice[1]


def test_every_sentence_is_one(rng):
    for seeds in (1, 2, 5, 12):
        costs = rng.standard_normal((seeds, 5)) + np.arange(5)
        costs[rng.random(costs.shape) < 0.3] = math.inf
        found = said(
            *(
                runs(name, [None if math.isinf(x) else x for x in each.tolist()])
                for name, each in zip("abcde", costs.T, strict=True)
            )
        )
        for sentence in (*found.advice, *found.notes):
            assert sentence.endswith((".", "?"))
            assert not re.search(r"\bnan\b|\binf\b|None|  |\(\)", sentence), sentence


def test_advice_needs_nothing_but_the_comparison_and_the_gradients():
    found = said(runs("a", ramp(1.0)), runs("b", ramp(2.0)))
    assert advice_of.advise(found, {"a": 600.0, "b": 600.0}) == found.advice
    assert advice_of.notes(found, [7, 8]) == ("Left out, because not every method has run with it: seed 7, 8.",)
