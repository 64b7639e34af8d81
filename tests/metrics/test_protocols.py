"""Protocols: what a name says, which samples it fixes, and that a measurement is what the metric says of them."""

import hashlib
import itertools
import math
import statistics
import types
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from adversarium.data import ArraySource, Codec, grid, ring, splits, swiss_roll
from adversarium.errors import InputError
from adversarium.features import FEATURES, Features, Seen
from adversarium.metrics import (
    METRICS,
    Measuring,
    Metric,
    MetricWarning,
    Order,
    Protocol,
    References,
    Sets,
    cost,
    estimate_cost,
    frechet_distance,
    measure,
    measuring,
    memorisation,
    mode_scores,
    neighbour_scores,
    seed_of,
)
from adversarium.metrics.measurement import Measurement
from adversarium.metrics.references import Plan, plan


def vectors(n: int, seed: int = 0, width: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)


def source(n: int, seed: int = 0, name: str = "made", **options: object) -> ArraySource:
    codec = Codec((3,), (0.0,) * 3, (1.0,) * 3)
    return ArraySource(name, vectors(n, seed), codec, **options)


def images(n: int, shape: tuple[int, ...] = (1, 28, 28)) -> ArraySource:
    samples = np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)
    return ArraySource("images", samples, Codec(shape))


def draw(n: int, seed: int) -> np.ndarray:
    """Draw samples a little off the truth; more of one seed begin with the same ones."""
    return vectors(n, seed % 2**32) + np.float32(0.2)


def references(train: int = 400, test: int = 300) -> References:
    return References(source(train), source(test, 1) if test else None)


class Counting:
    """Raw features that count the samples they have seen."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def __call__(self, samples: Tensor) -> Seen:
        self.seen.append(samples)
        return Seen(samples.float().flatten(1))

    @property
    def features(self) -> Features:
        return Features(name="own", see=self)

    @property
    def count(self) -> int:
        return sum(map(len, self.seen))


# names


@pytest.mark.parametrize("value", METRICS)
def test_a_name_says_all_and_is_read_back(value: str):
    counts = (1, 7, 500, 2500, 10_000, 50_000, 1001)
    for samples, features, split in itertools.product(counts, FEATURES, ("train", "test")):
        made = Protocol(value=value, samples=samples, features=features, split=split)
        assert Protocol.parse(made.name) == made
        assert made.metric is METRICS[value]


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("fd10000_lenet_test", "fd10k_lenet_test"),
        ("fd_10k_lenet_test", "fd10k_lenet_test"),
        ("w2500_raw_train", "w2_500_raw_train"),  # w2, of 500 samples
        ("sw22k_raw_test", "sw2_2k_raw_test"),
        ("high_quality2500_raw_test", "high_quality2500_raw_test"),
        ("kid5k_random_conv_train", "kid5k_random_conv_train"),
    ],
)
def test_one_way_to_write_it(name: str, same: str):
    assert Protocol.parse(name).name == same


@pytest.mark.parametrize(
    ("name", "near", "what"),
    [
        ("fid10k_lenet_test", "fd10k_lenet_test", "no value 'fid'"),
        ("fd10k_lnet_test", "fd10k_lenet_test", "no features 'lnet'"),
        ("fd10k_lenet_tests", "fd10k_lenet_test", "no split 'tests'"),
        ("kdi5k_randomconv_trian", "kid5k_random_conv_train", "no value 'kdi' and no features"),
        ("w3_1k_raw_test", "w2_1k_raw_test", "no value 'w3'"),
        ("fd-5_lenet_test", "fd5_lenet_test", "no value 'fd-'"),
        ("fd2k5_raw_test", "fd5_raw_test", "no value 'fd2k'"),
        ("FD1k_raw_test", "fd1k_raw_test", "no value 'FD'; values: fd"),
        ("fd1K_Raw_test", "fd1k_raw_test", "no features 'Raw'; features: raw"),
        ("fd1K_raw_test", "fd1k_raw_test", "no capital K"),
        ("modes1k_raw", "modes1k_raw_test", "no split at its end; splits: train, test"),
        ("fd1k_random_conv", "fd1k_random_conv_test", "no split at its end; splits: train, test"),
    ],
)
def test_a_wrong_name_gives_the_nearest(name: str, near: str, what: str):
    with pytest.raises(InputError) as caught:
        Protocol.parse(name)
    said = str(caught.value)
    assert f"did you mean {near!r}?" in said
    assert what in said
    Protocol.parse(near)
    # of the parts that are right, no choices
    assert ("high_quality" in said) == ("no value" in said)
    assert ("dinov2" in said) == ("no features" in said)
    assert ("splits: train, test" in said) == ("no split" in said)


def test_one_protocol_is_wanted():
    with pytest.raises(InputError, match="wanted one protocol only, fd10k_lenet_test say$"):
        Protocol.parse("fd10k_lenet_test,kid10k_lenet_test")


@pytest.mark.parametrize("name", ["", "fd", "fd_lenet_test", "fd0_lenet_test", "fd10k"])
def test_what_is_no_name_gives_the_lists(name: str):
    with pytest.raises(InputError) as caught:
        Protocol.parse(name)
    for word in (*METRICS, *FEATURES, "train", "test"):
        assert word in str(caught.value)


def test_names_of_own_features():
    assert Protocol.parse("fd100_my_own_2_test", features=["my_own_2"]).features == "my_own_2"
    with pytest.raises(InputError, match="no features 'my_own_2'"):
        Protocol.parse("fd100_my_own_2_test")


# seeds and samples


def test_seeds_are_the_start_of_a_digest():
    digest = hashlib.sha256(b"codes/3").hexdigest()
    assert seed_of("codes", 3) == int(digest[:16], 16) // 2
    seeds = {seed_of(*words) for words in itertools.product(("codes", "real", "metric"), range(100))}
    assert len(seeds) == 300
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_stored_samples_are_shuffled_each_once():
    data = source(57)
    order = Order(data, "train")
    taken = order.take(0, 57)
    assert sorted(map(tuple, taken)) == sorted(map(tuple, data.samples))
    assert not np.array_equal(taken, data.samples)
    assert np.array_equal(order.take(11, 40), taken[11:40])
    assert np.array_equal(order.at(np.array([5, 50, 5])), taken[[5, 50, 5]])
    assert not np.array_equal(Order(data, "test").take(0, 57), taken)


def test_fresh_samples_are_the_same_wherever_one_begins():
    order = Order(ring(), "test")
    whole = order.take(0, 1000)
    assert torch.equal(order.take(200, 900), whole[200:900])
    assert torch.equal(order.at(np.array([3, 700])), whole[[3, 700]])
    assert not torch.equal(Order(ring(), "train").take(0, 1000), whole)
    assert torch.unique(whole, dim=0).shape == whole.shape


def planned(name: str, train: int, test: int, repeats: int = 5) -> Plan:
    return plan(Protocol.parse(name), References(source(train), source(test, 1) if test else None), 3, repeats)


def cells(*pieces: tuple[str, int, int]) -> list[tuple[str, int]]:
    return [(split, place) for split, start, stop in pieces for place in range(start, stop)]


@pytest.mark.parametrize("seed", range(30))
def test_floors_hold_nothing_of_the_reference_and_nothing_twice(seed: int):
    rng = np.random.default_rng(seed)
    train, test = int(rng.integers(12, 200)), int(rng.integers(12, 200))
    samples, repeats = int(rng.integers(6, 150)), int(rng.integers(1, 7))
    value, split = [("fd", "train"), ("fd", "test"), ("memorisation", "train")][seed % 3]
    found = planned(f"{value}{samples}_raw_{split}", train, test, repeats)
    used = [cells(found.reference), cells(*([found.held_out] if found.held_out else []))]
    used += [cells(*pieces) for pieces in found.floors]
    every = list(itertools.chain(*used))
    assert len(set(every)) == len(every)
    assert set(every) <= set(cells(("train", 0, train), ("test", 0, test)))
    assert found.reference[0] == split
    if value == "memorisation":
        assert found.reference == ("train", 0, train)
        assert found.held_out == ("test", 0, min(test // 2, samples))
        left = test - min(test // 2, samples)
    else:
        assert found.reference[2] == min(samples, train if split == "train" else test)
        left = train + test - found.reference[2]
    sizes = {len(cells(*pieces)) for pieces in found.floors}
    assert sizes == {min(samples, left)} == {found.floor_samples}
    assert len(found.floors) == min(repeats, max(1, left // samples))
    assert any("the floor is of" in note for note in found.notes) == (left < samples)


def test_no_floor_where_nothing_is_left():
    found = planned("fd100_raw_train", 100, 0)
    assert found.floors == ()
    assert "no floor" in found.notes[-1]


def test_the_split_itself_is_the_first_to_give_to_the_floor():
    found = planned("fd100_raw_train", 250, 200)
    assert found.floors == (
        (("train", 100, 200),),
        (("train", 200, 250), ("test", 0, 50)),
        (("test", 50, 150),),
    )


def test_a_density_has_as_many_samples_as_are_wanted():
    found = plan(Protocol.parse("modes100_raw_test"), References(ring(), ring()), 2, 3)
    assert found.reference == ("test", 0, 100)
    assert found.floors == tuple((("test", start, start + 100),) for start in (100, 200, 300))


# measurements


def rows(pieces: list[tuple[str, int, int]], real: References) -> Tensor:
    parts = [Order(real.source(split), split).take(start, stop) for split, start, stop in pieces]
    return torch.from_numpy(np.concatenate(parts))


def test_a_measurement_is_what_the_metric_says_of_its_samples():
    real = references()
    (found,) = measure(["fd100_raw_test"], draw, real, repeats=4)
    reference = rows([("test", 0, 100)], real)
    draws = [
        float(frechet_distance(reference, torch.from_numpy(draw(100, seed_of("codes", index))))) for index in range(4)
    ]
    assert found.draws == pytest.approx(draws, rel=1e-9)
    assert found.mean == pytest.approx(statistics.fmean(draws))
    assert found.standard_error == pytest.approx(statistics.stdev(draws) / 2)
    sets = [[("test", 100, 200)], [("test", 200, 300)], [("train", 0, 100)], [("train", 100, 200)]]
    floors = [float(frechet_distance(reference, rows(pieces, real))) for pieces in sets]
    assert found.floor == pytest.approx(statistics.fmean(floors))
    assert found.floor_standard_error == pytest.approx(statistics.stdev(floors) / 2)
    assert (found.floor_samples, found.reference_samples, found.notes) == (100, 100, ())


def test_memorisation_searches_all_that_was_trained_on():
    real = references()
    (found,) = measure(["memorisation100_raw_train"], draw, real, repeats=2)
    fakes = [torch.from_numpy(draw(100, seed_of("codes", index))) for index in range(2)]
    train, held_out = rows([("train", 0, 400)], real), rows([("test", 0, 100)], real)
    results = [memorisation(train, held_out, fake).share for fake in fakes]
    assert found.draws == pytest.approx([float(each.value) for each in results])
    assert found.own_error == pytest.approx(statistics.fmean(float(each.standard_error) for each in results))
    floor = memorisation(train, held_out, rows([("test", 100, 200)], real)).share.value
    other = memorisation(train, held_out, rows([("test", 200, 300)], real)).share.value
    assert found.floor == pytest.approx(float(floor + other) / 2)


def test_a_search_is_limited_by_memory_and_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("adversarium.metrics.references.SEARCHED_BYTES", 150 * 3 * 4)
    (found,) = measure(["memorisation100_raw_train"], draw, references(), repeats=1)
    assert found.reference_samples == 150
    assert "searched 150 of the 400 samples that were trained on, for want of memory" in found.notes


def test_modes_are_those_of_the_density():
    def from_grid(n: int, seed: int) -> Tensor:
        # as a generator draws: more of one seed begin with the same ones
        return torch.cat([grid().sample(1, torch.Generator().manual_seed(seed + i)) for i in range(n)])

    names = ["modes200_raw_test", "reverse_kl200_raw_test", "high_quality200_raw_test"]
    found = measure(names, from_grid, References(grid(), grid()), repeats=2)
    expected = [mode_scores(from_grid(200, seed_of("codes", i)), grid().modes, 0.05) for i in range(2)]
    for measurement, field in zip(found, ("modes", "reverse_kl", "high_quality"), strict=True):
        assert measurement.draws == pytest.approx([float(getattr(each, field)) for each in expected])
        assert measurement.floor_samples == 200


def test_the_same_numbers_whatever_is_measured_beside_and_whenever():
    real = references()
    alone = {name: measure([name], draw, real, repeats=2)[0] for name in ("fd100_raw_test", "sw2_50_raw_train")}
    together = measure(["coverage60_raw_test", *alone, "fd200_raw_test"], draw, real, repeats=2)
    for each in together[1:3]:
        mine = alone[each.protocol.name]
        assert (each.draws, each.floor) == (mine.draws, mine.floor)
    state = torch.get_rng_state()
    again = measure(["sw2_50_raw_train"], draw, real, repeats=2)[0]
    assert again.draws == alone["sw2_50_raw_train"].draws
    assert torch.equal(state, torch.get_rng_state())


def test_what_protocols_share_is_computed_once(monkeypatch: pytest.MonkeyPatch):
    calls: list[int] = []

    def counted(sets: Sets) -> object:
        calls.append(len(sets.fake))
        return neighbour_scores(sets.real, sets.fake)

    for name in ("precision", "recall", "density", "coverage"):
        monkeypatch.setitem(
            METRICS, name, Metric(function=neighbour_scores, measure=counted, field=name, better="higher")
        )
    own, drawn = Counting(), list[tuple[int, int]]()

    def counted_draw(n: int, seed: int) -> np.ndarray:
        drawn.append((n, seed))
        return draw(n, seed)

    names = [f"{name}50_own_test" for name in ("precision", "recall", "density", "coverage")] + ["fd30_own_test"]
    found = measure(names, counted_draw, references(), repeats=3, features={"own": own.features})
    assert calls == [50] * 6  # three floors, three draws
    assert drawn == [(50, seed_of("codes", index)) for index in range(3)]
    # two of train to try the features, four sets of 50 of test, three draws
    assert own.count == 2 + 200 + 150
    assert [each.protocol.name for each in found] == names


def test_real_samples_are_read_in_blocks(monkeypatch: pytest.MonkeyPatch):
    real = references()
    (whole,) = measure(["sw2_300_raw_train"], draw, real, repeats=1)
    taken: list[int] = []
    take = ArraySource.take
    monkeypatch.setattr(measuring, "BLOCK", 64)
    monkeypatch.setattr(
        ArraySource, "take", lambda self, numbers: (taken.append(len(numbers)), take(self, numbers))[1]
    )
    (found,) = measure(["sw2_300_raw_train"], draw, real, repeats=1)
    assert (found.draws, found.floor) == (whole.draws, whole.floor)
    assert max(taken) == 64
    assert sum(taken) == 300 + 300  # the reference; the rest of train, and 200 of test


def test_a_single_draw_has_no_standard_error():
    (found,) = measure(["fd50_raw_train"], draw, references(test=0), repeats=1)
    assert found.standard_error is None
    assert found.floor_standard_error is None
    assert len(found.draws) == 1


def test_a_protocol_is_measured_once():
    found = measure(["fd50_raw_train", "fd_50_raw_train"], draw, references(), repeats=1)
    assert len(found) == 1


def test_warnings_of_metrics_become_notes_and_others_go_on(monkeypatch: pytest.MonkeyPatch):
    def warns(sets: Sets) -> Tensor:
        warnings.warn(MetricWarning("done the second-best way"), stacklevel=1)
        return sets.fake.mean()

    monkeypatch.setitem(METRICS, "fd", Metric(function=frechet_distance, measure=warns, better="lower"))
    (found,) = measure(["fd50_raw_train"], draw, references(), repeats=3)
    assert found.notes == ("done the second-best way",)

    def warns_of_more(sets: Sets) -> Tensor:
        warnings.warn("somebody else's", UserWarning, stacklevel=1)
        return sets.fake.mean()

    monkeypatch.setitem(METRICS, "fd", Metric(function=frechet_distance, measure=warns_of_more, better="lower"))
    with pytest.warns(UserWarning, match="somebody else's"):
        measure(["fd50_raw_train"], draw, references(), repeats=1)


def test_metrics_draw_the_same_wherever_the_rows_are(monkeypatch: pytest.MonkeyPatch):
    drawn = []

    def draws(sets: Sets) -> Tensor:
        drawn.append(torch.rand(5, generator=sets.rng))
        return torch.zeros(())

    monkeypatch.setitem(METRICS, "fd", Metric(function=frechet_distance, measure=draws, better="lower"))
    measuring = Measuring(["fd50_raw_train"], references())
    for device in ("cpu", "meta"):
        rows = Seen(torch.empty(50, 3, device=device))
        measuring.compare(measuring.protocols, rows, None, rows, 1)
    assert torch.equal(*drawn)


def test_an_error_that_the_draws_do_not_show_is_told():
    def always_the_same(n: int, seed: int) -> np.ndarray:
        return vectors(n, 5)

    (found,) = measure(["kid50_raw_train"], always_the_same, references(), repeats=3)
    assert found.standard_error == 0
    assert found.own_error is not None
    assert f"standard error of a draw at {found.own_error:.2g}" in found.notes[-1]


def test_progress_counts_to_the_end():
    told: list[tuple[int, int, str]] = []
    measure(
        ["fd50_raw_train", "sw2_50_raw_test"],
        draw,
        references(),
        repeats=3,
        on_progress=lambda *each: told.append(each),
    )
    done, totals, words = zip(*told, strict=True)
    assert list(done) == [0, 1, 2, 3, 4, 5]
    assert set(totals) == {5}
    assert words[2] == "draw 1 of 3"


# refusals


REFUSED = {
    "there is no test split": ("fd50_raw_test", 400, 0),
    "there are no others: hold some out": ("memorisation50_raw_train", 400, 0),
    "take memorisation50_raw_train": ("memorisation50_raw_test", 400, 50),
    "needs at least 6 samples": ("precision5_raw_train", 400, 50),
    "the test split has 4 samples, and recall needs at least 6": ("recall50_raw_test", 400, 4),
    "3 samples are held out, and memorisation needs at least 4": ("memorisation50_raw_train", 400, 3),
    "needs data whose density is known": ("modes50_raw_test", 400, 50),
    "raw features give none; take those of a classifier": ("is50_raw_test", 400, 50),
    "no value 'foo'": ("foo50_raw_test", 400, 50),
    "lenet features: samples are vectors of": ("fd50_lenet_test", 400, 50),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused_before_a_sample_is_drawn(message: str):
    name, train, test = REFUSED[message]

    def never(n: int, seed: int) -> np.ndarray:
        raise AssertionError("drawn")

    with pytest.raises(InputError) as caught:
        measure([name], never, references(train, test))
    assert message in str(caught.value)


def test_features_that_do_not_fit_the_data():
    with pytest.raises(InputError, match=r"lenet features: .*\[2, 3, 32, 32\]"):
        Measuring(["fd50_lenet_train"], References(images(60, (3, 32, 32)), None))
    Measuring(["fd50_random_conv_train", "is50_lenet_train"], References(images(60), None))


def test_a_density_without_modes_is_measured_by_what_compares_samples():
    roll = References(swiss_roll(), swiss_roll())
    with pytest.raises(
        InputError, match=r"^modes50_raw_test: swiss_roll has no modes to count; take .*: (.*)$"
    ) as caught:
        Measuring(["modes50_raw_test"], roll)
    named = str(caught.value).rpartition(": ")[2].split(", ")
    assert set(METRICS) - set(named) == {"is", "memorisation", "modes", "high_quality", "reverse_kl", "std_ratio"}
    measured = measure(
        [f"{name}{'_' * name[-1].isdigit()}50_raw_test" for name in named], draw_in_the_plane, roll, repeats=1
    )
    assert all(math.isfinite(each.mean) for each in measured)


def draw_in_the_plane(n: int, seed: int) -> np.ndarray:
    return draw(n, seed)[:, :2]


def test_a_density_knows_no_training_set():
    with pytest.raises(InputError, match="nothing to memorise"):
        Measuring(["memorisation50_raw_train"], References(ring(), ring()))
    with pytest.raises(InputError, match="take raw features"):
        Measuring(["modes50_own_test"], References(ring(), ring()), features={"own": Counting().features})


@pytest.mark.parametrize("which", ["real", "fake"])
def test_features_with_nan_are_refused(which: str):
    def sees_nan(samples: Tensor) -> Seen:
        found = samples.clone()
        shifted = bool((samples.mean() > 0.1).item())  # only what is drawn is shifted so far
        if len(samples) > 2 and shifted == (which == "fake"):
            found[0, 0] = math.nan
        return Seen(found)

    def far(n: int, seed: int) -> np.ndarray:
        return draw(n, seed) + np.float32(3)

    own = {"own": Features(name="own", see=sees_nan)}
    with pytest.raises(InputError, match="fd200_own_train: (real|fake) has NaN or infinity in 1 of 200 rows"):
        measure(["fd200_own_train"], far, References(source(200), None), features=own)


def test_other_misuses_say_what_was_wanted():
    with pytest.raises(InputError, match="repeats is 0"):
        measure(["fd50_raw_train"], draw, references(), repeats=0)
    with pytest.raises(InputError, match="no protocol is given"):
        measure([], draw, references())
    with pytest.raises(InputError, match="references are missing"):
        measure(["fd50_raw_train"], draw)
    with pytest.raises(InputError, match="draw returned 20 samples: wanted 50"):
        measure(["fd50_raw_train"], lambda n, seed: draw(20, seed), references())
    with pytest.raises(InputError, match="unknown features 'incepton'.*did you mean 'inception'"):
        Measuring(["fd50_raw_train"], references(), weights={"incepton": Path("x")})
    with pytest.raises(InputError, match="there are weights of inception, which no protocol looks at"):
        Measuring(["fd50_raw_train"], references(), weights={"inception": Path("x")})


def test_held_out_samples_of_a_source_are_its_test_split():
    train, test = splits(source(200), 0.25)
    (found,) = measure(["fd50_raw_test"], draw, References(train, test), repeats=1)
    assert found.reference_samples == 50


def test_more_samples_than_memory_holds_are_refused(monkeypatch: pytest.MonkeyPatch):
    endless = References(ring(), ring())
    with pytest.raises(InputError, match=r"^fd1000000000k_raw_test: 1,000,000,000,000 samples .* GB: take fewer$"):
        Measuring(["fd1000000000000_raw_test"], endless)
    # a hundred generated and as many to compare with, two columns of four bytes each, and the sample itself
    wanted = 4 * 2 * 200 + 2 * 100
    monkeypatch.setattr(measuring, "memory_bytes", lambda: wanted + 800)
    Measuring(["energy100_raw_test"], endless, repeats=1)  # and a floor of a hundred
    monkeypatch.setattr(measuring, "memory_bytes", lambda: wanted + 799)
    with pytest.raises(InputError, match="energy100_raw_test: 100 samples and the 200 real ones"):
        Measuring(["energy100_raw_test"], endless, repeats=1)
    monkeypatch.setattr(measuring, "memory_bytes", lambda: None)  # a machine that does not say
    Measuring(["energy100_raw_test"], endless, repeats=1)


def test_this_machine_says_how_much_memory_it_has():
    found = measuring.memory_bytes()
    assert found is None or 2**28 < found < 2**50


def test_a_share_of_too_few_neighbours_says_nothing():
    same = np.zeros((50, 3), dtype=np.float32)  # a generator that makes one thing
    (found,) = measure(["memorisation50_raw_train"], lambda n, seed: same, references(), repeats=3)
    assert found.standard_error == 0
    assert found.own_error > 0.25
    assert found.told_error == found.own_error
    assert any("memorisation says nothing here" in note and "too few neighbours" in note for note in found.notes)
    assert not any("which counts the choice" in note for note in found.notes)
    (found,) = measure(["memorisation200_raw_train"], draw, references(), repeats=3)
    assert not any("says nothing" in note for note in found.notes)


def test_an_infinite_number_comes_with_its_reason():
    far = np.full((50, 2), 99.0, dtype=np.float32)
    names = ["reverse_kl50_raw_test", "std_ratio50_raw_test", "modes50_raw_test"]
    found = measure(names, lambda n, seed: far, References(ring(), ring()), repeats=2)
    within = "within 3 standard deviations"
    assert [each.notes for each in found] == [
        (f"reverse_kl is infinite: no mode has a sample {within}",),
        (f"std_ratio is unknown: no mode has two samples {within}",),
        (),
    ]


# cost


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(cost, "time", types.SimpleNamespace(perf_counter=made.perf_counter))
    return made


def slow(clock: Clock, seconds: Callable[[int], float]) -> Callable[[Sets], Tensor]:
    def metric(sets: Sets) -> Tensor:
        clock.now += seconds(len(sets.fake))
        return sets.fake.mean()

    return metric


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_estimate_is_right_where_time_is_a_power(clock: Clock, monkeypatch: pytest.MonkeyPatch, power: float):
    metric = slow(clock, lambda n: 1e-5 * n**power)
    monkeypatch.setitem(METRICS, "fd", Metric(function=frechet_distance, measure=metric, better="lower"))

    def see(samples: Tensor) -> Seen:
        clock.now += 0.003 * len(samples)
        return Seen(samples)

    def timed_draw(n: int, seed: int) -> np.ndarray:
        clock.now += 0.01 * n
        return draw(n, seed)

    own = {"own": Features(name="own", see=see)}
    protocols = Measuring(["fd2k_own_train"], References(source(6500), source(100)), repeats=4, features=own)
    found = estimate_cost(protocols, timed_draw)
    assert found.draw == pytest.approx((0.01 + 0.003) * 2000 + 1e-5 * 2000**power)
    # the reference, two floors that use all but 600
    assert found.once == pytest.approx(0.003 * 6000 + 2 * 1e-5 * 2000**power)
    clock.now = 0.0
    measure(Measuring(["fd2k_own_train"], References(source(6500), source(100)), repeats=4, features=own), timed_draw)
    assert clock.now == pytest.approx(found.once + 4 * found.draw, rel=1e-3)


def test_a_slow_first_call_and_a_busy_moment_do_not_count(clock: Clock, monkeypatch: pytest.MonkeyPatch):
    busy = itertools.chain([5.0, 0.5], itertools.repeat(0.0))

    def timed_draw(n: int, seed: int) -> np.ndarray:
        clock.now += 0.01 * n + next(busy)
        return draw(n, seed)

    monkeypatch.setitem(
        METRICS, "fd", Metric(function=frechet_distance, measure=slow(clock, lambda n: 0.0), better="lower")
    )
    found = estimate_cost(Measuring(["fd500_raw_train"], References(source(900), None)), timed_draw)
    assert found.draw == pytest.approx(5.0, rel=1e-3)


def test_floors_are_measured_once():
    shared = Measuring(["fd50_raw_train"], references(), repeats=1)
    calls: list[int] = []
    real = shared.compare
    shared.compare = lambda *arguments: calls.append(1) or real(*arguments)  # type: ignore[method-assign]
    first = measure(shared, draw)[0]
    assert len(calls) == 2
    second = measure(shared, draw)[0]
    assert len(calls) == 3
    assert isinstance(first, Measurement)
    assert (first.floor, first.draws) == (second.floor, second.draws)


def test_parts_of_probabilities_stay_beside_their_rows():
    seen = Seen(torch.arange(6.0)[:, None], torch.arange(12.0).reshape(6, 2))
    part = measuring.part_of(seen, 2, 4)
    assert part.probabilities is not None
    assert torch.equal(part.probabilities[:, 0], 2 * part.rows[:, 0])
