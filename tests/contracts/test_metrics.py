"""The contract of every member of METRICS: ideal, symmetry, what makes it worse, what it refuses, numerics.

A new member runs through the suite by being in the dict; what it is blind to stands in the sets below.
"""

import dataclasses
import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from adversarium.data import grid, swiss_roll
from adversarium.errors import InputError
from adversarium.metrics import METRICS, MetricWarning, Sets, expected_coverage, median_distance, mmd

SYMMETRIC = {"fd", "kid", "w2", "sw2", "energy"}  # mmd is, at a given bandwidth: the table's is that of the data
UNBIASED = {"kid", "energy", "mmd"}  # negative for a set and itself: pairs of a sample with itself are left out
OF_GENERATED_ONLY = {"is", "vendi"}  # they compare with nothing
DRAWING = {"sw2"}  # they look along random lines
BLIND_TO_LOST_MODES = {"precision", "density", "memorisation", "high_quality", "std_ratio"}
BLIND_TO_BLUR = {"is", "recall", "coverage", "diversity", "vendi", "memorisation", "modes", "reverse_kl"}
N = 300


def truth(seed: int, n: int = N, modes: int = 25) -> Tensor:
    """Draw from the grid, or from its first modes only, in float64."""
    rng = torch.Generator().manual_seed(seed)
    which = torch.randint(modes, (n,), generator=rng)
    return grid().modes[which] + grid().std * torch.randn(n, 2, generator=rng, dtype=torch.float64)


def probabilities(x: Tensor) -> Tensor:
    """Classify by the nearest mode, not quite surely."""
    return torch.softmax(-2 * torch.cdist(x, grid().modes.to(x)).square(), dim=1)


def sets(real: Tensor, fake: Tensor, held_out: Tensor | None = None) -> Sets:
    return Sets(
        real=real,
        fake=fake,
        rng=torch.Generator().manual_seed(0),
        held_out=truth(99).to(real) if held_out is None else held_out,
        real_probabilities=probabilities(real),
        fake_probabilities=probabilities(fake),
        density=grid(),
    )


def number(name: str, real: Tensor, fake: Tensor, held_out: Tensor | None = None) -> float:
    metric = METRICS[name]
    return float(metric.value(metric.measure(sets(real, fake, held_out))))


def badness(name: str, value: float) -> float:
    """Turn a number so that up is worse."""
    better = METRICS[name].better
    return abs(value - better) if not isinstance(better, str) else value if better == "lower" else -value


@pytest.mark.parametrize("name", sorted(METRICS.keys() - OF_GENERATED_ONLY))
def test_identical_sets(name: str):
    x = truth(0)
    shuffled = x[torch.randperm(N, generator=torch.Generator().manual_seed(1))]
    found = number(name, x, shuffled)
    if name in UNBIASED:
        assert -0.1 * number(name, x, truth(1, modes=18)) < found <= 0
    elif name == "memorisation":
        assert found == pytest.approx(1)  # copies of what was trained on: the worst there is
    elif METRICS[name].reads == "density":
        perfect = {"modes": 25, "high_quality": 1 - math.exp(-4.5), "reverse_kl": 24 / (2 * N), "std_ratio": 1}
        assert found == pytest.approx(perfect[name], abs={"modes": 0, "high_quality": 0.03}.get(name, 0.1))
    else:
        ideal = {"fd": 0, "w2": 0, "sw2": 0}.get(name, 1)
        assert found == pytest.approx(ideal, abs=1e-6)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_other_samples_of_the_same_distribution_are_nearly_ideal(name: str):
    found = number(name, truth(0, 1000), truth(1, 1000))
    # closed forms, and what a tenth of the data's spread would be
    near = {
        "is": math.exp(math.log(25) - 0.05),
        "coverage": expected_coverage(1000, 1000),
        "memorisation": 0.5,
        "modes": 25,
        "high_quality": 1 - math.exp(-4.5),
        "reverse_kl": 24 / 2000,
        "precision": 0.95,
        "recall": 0.95,
        "vendi": 2,  # directions all around the plane: two kinds
    }.get(name, 1 if METRICS[name].better == 1 else 0)
    width = {"is": 2, "memorisation": 0.15, "w2": 1.0, "sw2": 0.5, "kid": 8, "fd": 0.2}.get(name, 0.06)
    assert found == pytest.approx(near, abs=width)


@pytest.mark.parametrize("name", sorted(SYMMETRIC))
def test_symmetry(name: str):
    x, y = truth(0), truth(1, N - 50, modes=20)
    assert number(name, x, y) == pytest.approx(number(name, y, x), rel=1e-6, abs=1e-9)


def test_the_bandwidth_of_mmd_is_that_of_the_data():
    # one scale for all generators, near or far
    x = truth(0)
    for fake in (truth(1), truth(1) + 1000):
        assert number("mmd", x, fake) == float(mmd(x, fake, bandwidth=median_distance(x)).value)


def test_precision_and_recall_are_each_others_mirror():
    x, y = truth(0), truth(1, modes=20) + 0.05
    assert number("precision", x, y) == number("recall", y, x) != number("recall", x, y)


@pytest.mark.parametrize("name", sorted(METRICS.keys() - BLIND_TO_LOST_MODES))
def test_worse_with_every_few_modes_that_are_lost(name: str):
    real = truth(0)
    found = [badness(name, number(name, real, truth(1, modes=modes))) for modes in (25, 18, 10, 3)]
    assert all(before < after for before, after in pairwise(found)), found


@pytest.mark.parametrize("name", sorted(METRICS.keys() - BLIND_TO_BLUR))
def test_worse_with_noise(name: str):
    real, rng = truth(0), torch.Generator().manual_seed(2)
    noise = torch.randn(N, 2, generator=rng, dtype=torch.float64)
    levels = (0.0, 0.03, 0.06) if name == "std_ratio" else (0.0, 1.0, 3.0)
    found = [badness(name, number(name, real, truth(1) + level * noise)) for level in levels]
    assert all(before < after for before, after in pairwise(found)), found


def test_memorisation_is_worse_with_every_copy():
    train, held_out, fake = truth(0), truth(1), truth(2)
    found = [number("memorisation", train, torch.cat([train[:k], fake[k:]]), held_out) for k in (0, 100, 200, 300)]
    assert all(before < after for before, after in pairwise(found)), found


def test_every_member_can_see_something_get_worse():
    assert {"memorisation"} == BLIND_TO_LOST_MODES & BLIND_TO_BLUR
    named = BLIND_TO_LOST_MODES | BLIND_TO_BLUR | SYMMETRIC | OF_GENERATED_ONLY | UNBIASED
    assert named <= METRICS.keys()


@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_order_of_rows_is_irrelevant(name: str):
    x, y, z = truth(0), truth(1, modes=20) + 0.02, truth(3)
    orders = [torch.randperm(N, generator=torch.Generator().manual_seed(seed)) for seed in (5, 6, 7)]
    shuffled = (each[order] for each, order in zip((x, y, z), orders, strict=True))
    assert number(name, *shuffled) == pytest.approx(number(name, x, y, z), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", sorted(METRICS))
def test_numbers_that_are_none_are_refused(name: str, bad: float):
    metric = METRICS[name]
    broken = truth(1)
    broken[17, 1] = bad
    of_fake = sets(truth(0), broken)
    with pytest.raises(InputError, match=r"NaN|not finite|infinit|negative"):
        metric.measure(of_fake)
    if metric.reads in ("rows", "held_out") and name not in OF_GENERATED_ONLY:
        with pytest.raises(InputError, match="NaN or infinity in 1 of"):
            metric.measure(sets(broken, truth(0)))
    if metric.reads == "held_out":
        with pytest.raises(InputError, match="NaN or infinity in 1 of"):
            metric.measure(sets(truth(0), truth(1), broken))


@pytest.mark.parametrize("name", sorted(METRICS))
def test_float32_agrees_with_float64(name: str):
    x, y = truth(0), truth(1, modes=20) + 0.02
    exact, single = number(name, x, y), number(name, x.float(), y.float())
    assert single == pytest.approx(exact, rel=2e-4, abs=2e-3)


@pytest.mark.filterwarnings("ignore::adversarium.metrics.MetricWarning")
@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_least_number_of_samples_is_honest(name: str):
    metric = METRICS[name]
    fake = truth(1, metric.least, modes=1)  # in one mode, so that a mode has as many as there are
    found = sets(truth(0, metric.least), fake, truth(2, metric.least))
    assert math.isfinite(metric.value(metric.measure(found)))
    if name == "std_ratio":
        assert math.isnan(number(name, truth(0), fake[:1]))  # measured with numbers that one sample has
    elif metric.least > 1:
        with pytest.raises(InputError, match=r"at least|splits"):
            metric.measure(sets(truth(0, metric.least - 1), truth(1, metric.least - 1), truth(2, metric.least - 1)))


@pytest.mark.parametrize("name", sorted(METRICS))
def test_no_global_random_numbers_and_no_change_of_what_is_given(name: str):
    given = sets(truth(0), truth(1))
    fields = {each.name: getattr(given, each.name) for each in dataclasses.fields(given)}
    before = {key: value.clone() for key, value in fields.items() if isinstance(value, Tensor)}
    state = torch.get_rng_state()
    found = METRICS[name].measure(given)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, fields[key]) for key, value in before.items())
    assert METRICS[name].value(found).shape == ()


@pytest.mark.parametrize("name", sorted(METRICS))
def test_random_numbers_come_from_the_rng_alone(name: str):
    def drawn(seed: int) -> float:
        given = dataclasses.replace(sets(truth(0), truth(1)), rng=torch.Generator().manual_seed(seed))
        return float(METRICS[name].value(METRICS[name].measure(given)))

    assert drawn(1) == drawn(1)
    assert (drawn(1) != drawn(2)) == (name in DRAWING)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_what_a_metric_reads_is_asked_for(name: str):
    metric = METRICS[name]
    missing = {"probabilities": "fake_probabilities", "held_out": "held_out", "density": "density"}.get(metric.reads)
    if missing is None:
        return
    with pytest.raises(InputError, match=f"{missing} is missing"):
        metric.measure(dataclasses.replace(sets(truth(0), truth(1)), **{missing: None}))
    if missing == "density":
        with pytest.raises(InputError, match="swiss_roll has no modes to count; take one that .* fd, .* sw2, "):
            metric.measure(dataclasses.replace(sets(truth(0), truth(1)), density=swiss_roll()))


def test_too_few_samples_for_a_full_covariance_are_told():
    few = sets(truth(0, 2), truth(1, 2))
    with pytest.warns(MetricWarning):
        METRICS["fd"].measure(few)
