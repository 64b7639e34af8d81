"""A comparison of runs: by hand, under what must not matter, and over simulated studies."""

import dataclasses
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from adversarium.errors import InputError
from adversarium.metrics import METRICS
from adversarium.study import power, statistics
from adversarium.study._compared import _LEARNED_BY
from adversarium.study.compare import compare
from adversarium.study.comparison import Comparison
from adversarium.study.record import Point, Record, Suspicion


def study(table: dict[str, list[float | None]]) -> list[Record]:
    """One run for each number, with seeds 0, 1, ..."""
    return [
        Record(method=method, seed=seed, value=value, seconds=10.0, kimg=4.0, gradients=200)
        for method, values in table.items()
        for seed, value in enumerate(values)
    ]


def drawn(costs: np.ndarray) -> list[Record]:
    """Of costs ``[seeds, methods]``: methods a, b, ...; an infinite one failed."""
    return study(
        {
            name: [None if math.isinf(x) else float(x) for x in each]
            for name, each in zip("abcdefgh", costs.T, strict=False)
        }
    )


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_a_small_study_by_hand():
    found = compare(
        study({"poor": [5.0, 6.0, None], "good": [1.0, 2.0, 3.0], "fair": [2.0, None, 4.0]}),
        protocol="w2",
        better="lower",
        floor=0.5,
    )
    assert (found.protocol, found.better, found.level, found.seeds, found.floor) == ("w2", "lower", 0.05, 3, 0.5)
    good, fair, poor = found.standings
    assert [each.method for each in found.standings] == ["good", "fair", "poor"]
    assert [each.rank for each in found.standings] == pytest.approx([1, 7 / 3, 8 / 3])
    assert (good.values, good.failed, good.runs, good.median) == ((1.0, 2.0, 3.0), 0, 3, 2.0)
    assert (good.quartiles, good.interval) == ((1.5, 2.5), (1.0, 3.0))
    assert (fair.values, fair.failed, fair.median) == ((2.0, None, 4.0), 1, 4.0)
    assert (fair.quartiles, fair.interval) == ((3.0, None), (2.0, None))
    assert poor.median == 6.0
    assert [(pair.better, pair.worse) for pair in found.pairs] == [
        ("good", "fair"),
        ("good", "poor"),
        ("fair", "poor"),
    ]
    of_good, _, of_fair = found.pairs
    assert (of_good.difference, of_good.interval) == (1.0, (1.0, None))
    assert (of_good.wins, of_good.ties, of_good.runs) == (3, 0, 3)
    assert (of_fair.difference, of_fair.interval) == (3.0, (None, None))  # 3, −∞ and ∞
    assert of_good.p == 0.25
    assert of_good.adjusted == 0.75
    assert found.groups == (("good", "fair", "poor"),)
    assert found.critical_difference == 2.0  # 6 of 216 ways
    assert found.quality == 4.0


def test_two_that_failed_on_a_seed_are_tied_there():
    found = compare(study({"a": [1.0, None, 3.0], "b": [2.0, None, 4.0]}), protocol="w2", better="lower")
    (pair,) = found.pairs
    assert (pair.wins, pair.ties, pair.difference, pair.interval) == (2, 1, 1.0, (0.0, 1.0))


def test_seeds_that_not_all_methods_have_are_left_out():
    records = study({"a": [1.0, 2.0, 3.0], "b": [2.0, 3.0]})
    found = compare(records, protocol="w2", better="lower")
    assert found.seeds == 2
    assert found.standings[0].values == (1.0, 2.0)
    assert any("seed 2" in note and "Left out" in note for note in found.notes)


@pytest.mark.parametrize(
    ("records", "options", "message"),
    [
        (study({"a": [1.0]}), {}, "1 methods"),
        ([], {}, "0 methods"),
        ([*study({"a": [1.0]}), Record(method="b", seed=5, value=1.0)], {}, "no seed that all .*a: 0; b: 5"),
        (study({"a": [1.0], "b": [1.0]}) * 2, {}, "two records of a with seed 0"),
        (study({"a": [1.0], "b": [1.0]}), {"better": "highest"}, "did you mean 'higher'"),
        (study({"a": [1.0], "b": [1.0]}), {"level": 1.0}, "level is 1.0"),
        (study({"a": [1.0], "b": [1.0]}), {"quality": math.inf}, "quality is inf"),
    ],
)
def test_bad_input_is_named(records, options, message):
    with pytest.raises(InputError, match=message):
        compare(records, **{"protocol": "w2", "better": "lower", **options})


def some_costs(rng: np.random.Generator, seeds: int = 8, methods: int = 4) -> np.ndarray:
    costs = rng.standard_normal((seeds, methods)) + 5 + 0.8 * np.arange(methods)
    costs[rng.random(costs.shape) < 0.1] = math.inf
    return costs


def test_the_order_of_records_and_of_methods_does_not_matter(rng):
    records = drawn(some_costs(rng))
    shuffled = [records[at] for at in rng.permutation(len(records))]
    one, two = (compare(each, protocol="w2", better="lower") for each in (records, shuffled))
    assert one == two
    names = dict(zip("abcd", "dbca", strict=True))
    renamed = [dataclasses.replace(record, method=names[record.method]) for record in records]
    three = compare(renamed, protocol="w2", better="lower")
    assert [each.method for each in three.standings] == [names[each.method] for each in one.standings]
    assert [pair.p for pair in three.pairs] == [pair.p for pair in one.pairs]
    assert (three.p_any, three.critical_difference) == (one.p_any, one.critical_difference)
    assert three.groups == tuple(tuple(names[name] for name in group) for group in one.groups)


def test_units_do_not_matter_and_a_bent_scale_changes_no_rank(rng):
    costs = some_costs(rng)
    plain, scaled, bent = (
        compare(drawn(each), protocol="w2", better="lower") for each in (costs, 3.1 * costs + 7, np.exp(costs))
    )
    for other in (scaled, bent):
        assert [(each.method, each.rank) for each in other.standings] == [
            (each.method, each.rank) for each in plain.standings
        ]
        assert (other.p_any, other.critical_difference) == (plain.p_any, plain.critical_difference)
        assert [(pair.wins, pair.ties) for pair in other.pairs] == [(pair.wins, pair.ties) for pair in plain.pairs]
    assert [(pair.p, pair.adjusted) for pair in scaled.pairs] == [(pair.p, pair.adjusted) for pair in plain.pairs]
    assert scaled.groups == plain.groups


def test_higher_is_lower_upside_down(rng):
    costs = some_costs(rng)
    lower = compare(drawn(costs), protocol="x", better="lower")
    higher = compare(drawn(np.where(np.isinf(costs), math.inf, -costs)), protocol="x", better="higher")
    assert higher.pairs == lower.pairs
    assert higher.groups == lower.groups
    for one, two in zip(lower.standings, higher.standings, strict=True):
        assert (one.method, one.rank, one.failed) == (two.method, two.rank, two.failed)
        assert two.median == (None if one.median is None else -one.median)
        for ends, mirrored in ((one.quartiles, two.quartiles), (one.interval, two.interval)):
            assert mirrored == tuple(None if end is None else -end for end in reversed(ends))


def test_a_number_that_is_best_is_approached_from_the_side_of_the_runs():
    found = compare(
        study({"below": [0.9, 0.8, 0.7], "above": [1.5, 1.6, 1.4], "failed": [0.2, None, None]}),
        protocol="density",
        better=1.0,
    )
    below, above, failed = found.standings
    assert [each.method for each in found.standings] == ["below", "above", "failed"]
    assert below.median == pytest.approx(0.8)
    assert above.median == pytest.approx(1.5)
    assert above.interval == pytest.approx((1.4, 1.6))
    assert below.interval == pytest.approx((0.7, 0.9))
    assert (failed.median, failed.interval[0], failed.quartiles) == (None, None, (None, None))
    assert failed.interval[1] == pytest.approx(0.2)
    assert found.pairs[0].difference == pytest.approx(0.4)


def run(method: str, seed: int, values: list[float | None], **options: object) -> Record:
    """A run measured every 2 s of training."""
    curve = tuple(
        Point(kimg=float(at), seconds=2.0 * at, gradients=50 * at, value=value)
        for at, value in enumerate(values, start=1)
    )
    last = {"value": values[-1], "seconds": 2.0 * len(values), "kimg": float(len(values))}
    return Record(**{"method": method, "seed": seed, "curve": curve, **last, **options})


def test_the_time_to_a_quality_is_when_half_of_the_runs_are_there():
    records = [
        run("a", 0, [5.0, 1.0, 2.0]),
        run("a", 1, [5.0, 4.0, 1.0]),
        run("a", 2, [0.5, 4.0, None]),  # failed in the end: never
        run("b", 0, [3.0, None, 3.0]),
        run("b", 1, [3.0, 3.0, 1.0], together=4),
        run("b", 2, [3.0, 3.0, 3.0]),
    ]
    found = {each.method: each for each in compare(records, protocol="w2", better="lower", quality=1.0).standings}
    assert (found["a"].reached, found["a"].seconds_to_quality, found["a"].kimg_to_quality) == (2, 6.0, 3.0)
    assert (found["b"].reached, found["b"].seconds_to_quality, found["b"].kimg_to_quality) == (1, None, None)
    assert (found["a"].seconds, found["a"].kimg) == (6.0, 3.0)
    easy = {each.method: each for each in compare(records, protocol="w2", better="lower", quality=3.0).standings}
    assert (easy["b"].reached, easy["b"].seconds_to_quality) == (3, 2.0)


def test_seconds_of_stacked_runs_are_their_share_already():
    records = [run("a", seed, [1.0], together=4) for seed in range(3)] + [run("b", seed, [1.0]) for seed in range(3)]
    found = {each.method: each for each in compare(records, protocol="w2", better="lower").standings}
    assert (found["a"].seconds, found["b"].seconds) == (2.0, 2.0)
    assert (found["a"].seconds_to_quality, found["b"].seconds_to_quality) == (2.0, 2.0)
    assert (found["a"].together, found["b"].together) == (4, 1)


def test_costs_are_compared_as_quality_is_on_the_seeds_on_which_neither_failed(rng):
    seconds = rng.lognormal(size=(12, 3)) + np.array([0.0, 1.0, 5.0])
    failed = rng.random((12, 3)) < 0.2
    records = [
        Record(
            method=name, seed=seed, value=None if failed[seed, at] else 1.0, seconds=0.1 if failed[seed, at] else took
        )
        for at, name in enumerate("abc")
        for seed, took in enumerate(seconds[:, at].tolist())
    ]
    found = compare(records, protocol="w2", better="lower")
    p_values = []
    for pair in found.cheaper:
        one, two = "abc".index(pair.better), "abc".index(pair.worse)
        both = ~failed[:, one] & ~failed[:, two]
        gains = seconds[both, two] - seconds[both, one]
        p_values.append(statistics.paired_p(gains))
        assert (pair.runs, pair.wins, pair.p) == (both.sum(), (gains > 0).sum(), p_values[-1])
        assert pair.difference == pytest.approx(np.median(gains))
    assert [pair.adjusted for pair in found.cheaper] == statistics.holm(p_values).tolist()
    assert {frozenset((pair.better, pair.worse)) for pair in found.cheaper} == set(map(frozenset, ("ab", "ac", "bc")))


def test_methods_that_no_seed_has_both_of_have_no_cost_to_compare():
    found = compare(study({"a": [1.0, None], "b": [None, 1.0]}), protocol="w2", better="lower")
    assert found.cheaper == ()
    assert len(found.pairs) == len(found.sooner) == 1


@pytest.mark.parametrize(("better", "sign"), [("lower", 1), ("higher", -1)])
def test_who_reaches_a_quality_sooner_is_compared_with_never_as_the_latest(better, sign):
    early, late, never = [2.0, 1.0, 1.0], [2.0, 2.0, 1.0], [2.0, 2.0, 2.0]
    records = [
        run(name, seed, [sign * each for each in values])
        for name, values in (("a", early), ("b", late), ("c", never))
        for seed in range(6)
    ]
    pairs = compare(records, protocol="w2", better=better, quality=sign * 1.0).sooner
    assert [(pair.better, pair.worse, pair.difference) for pair in pairs] == [
        ("a", "b", 2.0),
        ("a", "c", None),
        ("b", "c", None),
    ]
    assert {pair.p for pair in pairs} == {2 / 2**6}
    stacked = [dataclasses.replace(record, together=6) for record in records]
    found = compare(stacked, protocol="w2", better=better, quality=sign * 1.0)
    assert (found.sooner[0].difference, found.cheaper) == (1.0, ())  # kimg


def test_further_protocols_have_the_median_over_seeds_failed_runs_last():
    others = [(8.0, 0.1), (7.0, 0.2), (None, None), (None, None), (5.0, 0.3)]
    records = [
        Record(
            method=name, seed=seed, value=1.0, others={"modes2500_raw_test": modes, "w2_500_raw_test": w2, "mine": w2}
        )
        for name in "ab"
        for seed, (modes, w2) in enumerate(others[:4] if name == "b" else others)
    ]
    of_a, of_b = compare([*records, Record(method="b", seed=4, value=1.0)], protocol="x", better="lower").standings
    assert dict(of_a.others) == {"mine": 0.2, "modes2500_raw_test": 5.0, "w2_500_raw_test": 0.3}
    assert of_b.others["modes2500_raw_test"] is None
    assert of_b.others["mine"] == pytest.approx(0.15)


def test_runs_that_end_no_better_than_untrained_are_counted():
    values = [0.5, 1.0, 1.5, None, 0.9, math.nan]
    before = [1.0, 1.0, 1.0, 1.0, None, 1.0]
    records = [
        Record(method=name, seed=seed, value=value, untrained=untrained)
        for name in "ab"
        for seed, (value, untrained) in enumerate(zip(values, before, strict=True))
    ]
    (each, _) = compare(records, protocol="w2", better="lower").standings
    assert (each.unlearned, each.failed) == (2, 2)


@pytest.mark.parametrize(
    ("protocol", "better", "floor", "untrained", "value", "counted"),
    [
        ("modes2500_raw_test", "higher", None, 8.0, 8.0, False),  # noise may have all modes
        ("modes2500_raw_test", "higher", None, 8.0, 7.0, False),
        ("vendi500_raw_test", "higher", None, 30.0, 12.0, False),
        ("memorisation500_raw_test", 0.5, None, 0.5, 0.6, False),
        ("std_ratio500_raw_test", 1.0, None, 1.1, 1.2, False),
        ("coverage500_raw_test", "higher", None, 0.5, 0.4, False),
        ("loss of a judge", "lower", None, 1.0, 2.0, False),
        ("fd500_raw_test", "lower", None, 1.0, 2.0, True),
        ("fd500_raw_test", "lower", None, 1.0, 1.0, True),
        ("fd500_raw_test", "lower", None, 1.0, 0.99, False),
        ("fd500_raw_test", "lower", None, 0.0, 0.1, False),
        ("high_quality500_raw_test", "higher", None, 0.0, 0.0, True),
        ("fd500_raw_test", "lower", 1.0, 1.0, 2.0, False),  # as good as real samples
        ("fd500_raw_test", "lower", 0.9, 1.0, 2.0, True),
        ("kid500_raw_test", "lower", -0.1, -0.05, 0.1, False),
        ("high_quality500_raw_test", "higher", None, 1.0, 0.9, False),
        ("high_quality500_raw_test", "higher", None, 0.2, 0.1, True),
        ("high_quality500_raw_test", "higher", 0.99, 0.995, 0.9, False),
    ],
)
def test_only_what_an_untrained_generator_is_bad_at_says_that_nothing_was_learned(
    protocol, better, floor, untrained, value, counted
):
    records = [
        Record(method=name, seed=seed, value=value, untrained=untrained, floor=floor)
        for name in "ab"
        for seed in range(4)
    ]
    found = compare(records, protocol=protocol, better=better, floor=floor)
    assert {each.unlearned for each in found.standings} == {4 * counted}


def test_every_metric_that_says_what_was_learned_is_one():
    assert set(_LEARNED_BY) <= set(METRICS)
    assert not any(isinstance(METRICS[name].better, float) for name in _LEARNED_BY)


@pytest.mark.parametrize("seeds", [2, 6, 7])
def test_of_fewer_than_eight_seeds_the_range_is_shown(seeds, rng):
    one, two = rng.standard_normal((2, seeds)).tolist()
    found = compare(study({"a": one, "b": two}), protocol="w2", better="lower")
    by_name = {"a": one, "b": two}
    for each in found.standings:
        assert each.interval == (min(by_name[each.method]), max(by_name[each.method]))
    gains = [worse - better for better, worse in zip(*(by_name[name] for name in _places(found)), strict=True)]
    assert found.pairs[0].interval == pytest.approx((min(gains), max(gains)))


def test_of_eight_seeds_or_more_the_bootstraps_interval_is_shown(rng):
    values = rng.standard_normal(8).tolist()
    (each, _) = compare(study({"a": values, "b": [9.0 + x for x in values]}), protocol="w2", better="lower").standings
    assert each.interval == statistics.median_interval(values)
    assert each.interval != (min(values), max(values))


def _places(found: Comparison) -> tuple[str, str]:
    return found.pairs[0].better, found.pairs[0].worse


def turned_round() -> list[Record]:
    """y beats x on 13 of 14 seeds; on the other x is the best of 18 methods and y the worst."""
    others = [f"other {at:02}" for at in range(16)]
    costs = {
        seed: {"x": 0.0, "y": 50.0 - 0.01 * seed} | {name: 10.0 + at for at, name in enumerate(others)}
        if seed == 5
        else {"x": 2.0 + 0.1 * seed, "y": 1.0} | {name: 60.0 + at for at, name in enumerate(others)}
        for seed in range(14)
    }
    return [Record(method=name, seed=seed, value=cost) for seed in costs for name, cost in costs[seed].items()]


def test_the_better_of_a_pair_is_who_the_test_favours_even_against_the_mean_ranks():
    found = compare(turned_round(), protocol="w2", better="lower")
    ranks = {each.method: each.rank for each in found.standings}
    assert ranks["x"] < ranks["y"]
    pair = next(pair for pair in found.pairs if {pair.better, pair.worse} == {"x", "y"})
    assert (pair.better, pair.worse, pair.wins, pair.runs) == ("y", "x", 13, 14)
    assert pair.adjusted <= 0.05
    assert pair.difference is not None
    assert pair.difference > 0
    assert found.advice[0].startswith("Use y: better than")


@pytest.mark.parametrize("seed", range(5))
def test_no_pair_that_is_told_apart_is_the_wrong_way_round(seed):
    """By simulation, with an unbent and heavy-tailed noise: a one-sided test in the stated direction agrees."""
    rng = np.random.default_rng(seed)
    costs = rng.standard_t(1.5, (12, 5)) + np.arange(5)
    columns = dict(zip("abcde", costs.T, strict=True))
    for pair in compare(drawn(costs), protocol="w2", better="lower").pairs:
        paired = columns[pair.worse] - columns[pair.better]
        assert (
            stats.wilcoxon(paired, alternative="greater").pvalue
            <= stats.wilcoxon(-paired, alternative="greater").pvalue
        )


def test_larger_differences_outweigh_more_of_them():
    """30 seeds: on 14 a is better by much, on 16 b is better by little."""
    gains = [3.0 + 0.1 * at for at in range(14)] + [-0.1 - 0.01 * at for at in range(16)]
    found = compare(study({"a": [0.0] * 30, "b": gains}), protocol="w2", better="lower")
    (pair,) = found.pairs
    assert (pair.better, pair.wins) == ("a", 14)
    assert pair.difference is not None
    assert pair.difference < 0
    assert pair.adjusted <= 0.05
    assert found.advice[0] == "Use a: better than b on 30 seeds."
    assert found.advice[1].endswith("b, the next, is ahead on most seeds, by less than it is behind on the others.")


@pytest.mark.parametrize(
    ("medians", "wanted"),
    [
        ([1.0, 2.0], 2.0),
        ([1.0, 2.0, 3.0], 2.0),
        ([1.0, 2.0, 3.0, 4.0], 3.0),
        ([1.0, None, None], 1.0),
        ([None, None], None),
    ],
)
def test_the_default_quality_is_the_middle_methods(medians, wanted):
    table = {name: [median] * 3 for name, median in zip("abcd", medians, strict=False)}
    found = compare(study(table), protocol="w2", better="lower")
    assert found.quality == wanted
    assert compare(study(table), protocol="w2", better="lower", quality=wanted) == found


def test_failed_and_collapsed_are_counted_apart():
    collapse = (Suspicion(kind="mode_collapse", what="all alike", since_kimg=1.0, severity=0.9),)
    other = (Suspicion(kind="vanishing_gradients", what="small", since_kimg=1.0, severity=0.9),)
    records = [
        run("a", 0, [1.0], suspicions=collapse),
        run("a", 1, [None], suspicions=collapse),
        run("a", 2, [1.0], suspicions=other),
        run("a", 3, [math.nan]),
        *(run("b", seed, [1.0]) for seed in range(4)),
    ]
    found = {each.method: each for each in compare(records, protocol="w2", better="lower").standings}["a"]
    assert (found.failed, found.collapsed, found.values) == (2, 1, (1.0, None, 1.0, None))


def test_a_comparison_uses_the_tests_of_statistics(rng):
    costs = some_costs(rng, seeds=12)
    found = compare(drawn(costs), protocol="w2", better="lower", level=0.1)
    columns = dict(zip("abcd", costs.T, strict=True))
    p_values = [
        statistics.paired_p(statistics.differences(columns[pair.worse], columns[pair.better])) for pair in found.pairs
    ]
    assert [pair.p for pair in found.pairs] == p_values
    assert [pair.adjusted for pair in found.pairs] == statistics.holm(p_values).tolist()
    apart = {frozenset((pair.better, pair.worse)) for pair in found.pairs if pair.adjusted <= 0.1}
    assert 0 < len(apart) < 6
    for one, two in itertools.combinations("abcd", 2):
        together = any({one, two} <= set(group) for group in found.groups)
        assert together == ({one, two} not in apart)


def test_the_callers_random_numbers_are_left_alone(rng):
    before = np.random.get_state()[1].copy()
    first = compare(drawn(some_costs(rng)), protocol="w2", better="lower")
    assert (np.random.get_state()[1] == before).all()
    assert isinstance(first, Comparison)


LAWS: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape) + rng.standard_normal((shape[0], 1)),
    "lognormal": lambda rng, shape: np.exp(1.5 * rng.standard_normal(shape)),
    "collapse": lambda rng, shape: np.where(rng.random(shape) < 0.4, 5.0, 1.0) + 0.1 * rng.standard_normal(shape),
    "failures": lambda rng, shape: np.where(rng.random(shape) < 0.3, math.inf, rng.standard_normal(shape)),
}


def false_positives(law: str, studies: int, others: int, rng: np.random.Generator) -> int:
    """In how many studies some of three methods that are the same are told apart; others are better, or worse."""
    wrong = 0
    for _ in range(studies):
        costs = LAWS[law](rng, (12, 3 + others))
        costs[:, 3:] += np.array([-2.0, 3.0])[:others]
        found = compare(drawn(costs), protocol="w2", better="lower")
        wrong += any({pair.better, pair.worse} <= set("abc") and pair.adjusted <= 0.05 for pair in found.pairs)
    return wrong


@pytest.mark.parametrize("law", LAWS)
def test_methods_that_are_the_same_are_seldom_told_apart(law, rng):
    wrong = false_positives(law, 12, 1, rng)
    assert stats.binomtest(wrong, 12, 0.05, alternative="greater").pvalue > 0.01


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("others", [0, 2])
@pytest.mark.parametrize("law", LAWS)
def test_false_positives_in_at_most_five_percent_of_200_studies(law, others):
    """Of these 200: the rate is 3 to 5 %, so that others may have a few more (15 were seen).

    That the rate is at most 5 % is tested on 4,000 studies, with the statistics.
    """
    assert false_positives(law, 200, others, np.random.default_rng(4)) <= 10


def detections(studies: int, seeds: int, effect: float, rng: np.random.Generator) -> int:
    """In how many studies a planted effect is found: paired differences of standard deviation 1, mean ``effect``."""
    count = 0
    for _ in range(studies):
        shared = 5 * rng.standard_normal((seeds, 1))
        costs = shared + rng.standard_normal((seeds, 2)) / math.sqrt(2) + np.array([effect, 0.0])
        found = compare(drawn(costs), protocol="w2", better="lower")
        count += found.groups == (("b",), ("a",))
    return count


@pytest.mark.parametrize(("studies", "seeds", "effect"), [(40, 8, 1.2)])
def test_a_planted_effect_is_found_at_the_stated_power(studies, seeds, effect, rng):
    stated = power.power(effect, seeds, rng=rng, draws=40_000)
    assert 0.5 < stated < 0.95
    assert stats.binomtest(detections(studies, seeds, effect, rng), studies, stated).pvalue > 0.01


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("seeds", "effect"), [(6, 1.5), (10, 1.0), (20, 0.5)])
def test_planted_effects_are_found_at_the_stated_power_in_400_studies(seeds, effect, rng):
    stated = power.power(effect, seeds, rng=rng, draws=100_000)
    assert stats.binomtest(detections(400, seeds, effect, rng), 400, stated).pvalue > 0.01
