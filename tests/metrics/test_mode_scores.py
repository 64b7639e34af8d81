"""Modes of mixtures and of stacked digits: a perfect sampler scores its ceilings, a dropped mode lowers the scores."""

import math
from math import inf

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from adversarium.data.toys import Mixture, grid, ring
from adversarium.errors import InputError
from adversarium.metrics import METRICS, Sets
from adversarium.metrics.modes import ceilings, mode_scores, stacked_mode_scores, stacked_probabilities


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_mixture(seed: int, count: int, dimension: int) -> Mixture:
    """Modes that are far apart."""
    return Mixture("random", 100 * torch.randn(count, dimension, generator=rng(seed), dtype=torch.float64), std=0.3)


def within(values: list[Tensor], expected: float, *, slack: float = 0.0) -> bool:
    stacked = torch.stack(values).double()
    return abs(float(stacked.mean()) - expected) < 4 * float(stacked.std()) / len(values) ** 0.5 + slack


@pytest.mark.parametrize("dimension", [1, 2, 5, 20])
@pytest.mark.parametrize("radius", [3.0, 2.2])
def test_a_perfect_sampler_scores_the_ceilings(dimension: int, radius: float):
    mixture = random_mixture(dimension, 6, dimension)
    runs, n = 60, 300
    # in 20 dimensions most samples are further than 3 std from their mode
    radius += {20: 2.0}.get(dimension, 0.0)
    found = [
        mode_scores(mixture.sample(n, rng(seed)).double(), mixture.modes, mixture.std, radius=radius)
        for seed in range(runs)
    ]
    expected = ceilings(6, n, dimension=dimension, radius=radius)
    assert expected.high_quality == pytest.approx(chi2.cdf(radius**2, dimension), rel=1e-10)
    assert within([each.high_quality for each in found], expected.high_quality)
    assert within([each.reverse_kl for each in found], expected.reverse_kl, slack=1e-5)
    assert within([each.modes for each in found], expected.modes, slack=1e-6)
    # the mean of a root is a little below the root of the mean: compare the squares
    assert within([each.std_ratio.square().mean() for each in found], 1.0)


def test_ceilings_are_those_of_the_literature():
    plane = ceilings(8, 2500)
    assert plane.high_quality == pytest.approx(1 - math.exp(-4.5), rel=1e-12)  # 98.889 %
    assert plane.reverse_kl == pytest.approx(7 / 5000, rel=0.02)
    assert plane.modes == pytest.approx(8)
    for k in (2, 7, 25):
        assert ceilings(k, 10**5, radius=inf).reverse_kl == pytest.approx((k - 1) / 2e5, rel=1e-3)
    assert ceilings(1000, 26_000, radius=inf).reverse_kl == pytest.approx(0.0194, abs=1e-4)
    assert ceilings(1, 50).reverse_kl == 0


def test_expected_reverse_kl_by_counting_all_outcomes():
    # two modes, three samples: 3-0 and 0-3 with 1/4 together, else 2-1
    uneven = math.log(2) + sum(p * math.log(p) for p in (1 / 3, 2 / 3))
    assert ceilings(2, 3, radius=inf).reverse_kl == pytest.approx(math.log(2) / 4 + 3 * uneven / 4, rel=1e-12)
    assert ceilings(2, 3, radius=inf).modes == pytest.approx(1.75)


@pytest.mark.parametrize("source", [ring(), grid()], ids=["ring", "grid"])
def test_falls_as_modes_are_dropped(source: Mixture):
    k = len(source.modes)
    noise = source.std * torch.randn(2500, 2, generator=rng(0), dtype=torch.float64)
    found = [
        mode_scores(source.modes[torch.arange(2500) % kept] + noise, source.modes, source.std)
        for kept in range(k, 0, -1)
    ]
    assert [int(each.modes) for each in found] == list(range(k, 0, -1))
    divergences = [float(each.reverse_kl) for each in found]
    assert divergences == sorted(divergences)
    # all samples in `kept` modes of K, evenly: log(K/kept)
    assert divergences[-1] == pytest.approx(math.log(k))
    for kept, each in zip(range(k, 0, -1), found, strict=True):
        assert int((each.std_ratio > 0).sum()) == kept
        assert int((each.counts > 0).sum()) == kept


@pytest.mark.parametrize("scale", [0.1, 0.5])
def test_std_ratio_tells_the_width(scale: float):
    mixture = random_mixture(0, 4, 3)
    noise = scale * mixture.std * torch.randn(4000, 3, generator=rng(1), dtype=torch.float64)
    samples = mixture.modes[torch.arange(4000) % 4] + noise
    strays = 50 * torch.randn(400, 3, generator=rng(2), dtype=torch.float64)
    found = mode_scores(torch.cat([samples, strays]), mixture.modes, mixture.std, radius=6.0, chunk=99)
    # a standard deviation from 3,000 numbers; at 6 std nothing is cut off
    torch.testing.assert_close(found.std_ratio, torch.full((4,), scale).double(), rtol=4 / 6000**0.5, atol=0)


def test_std_ratio_of_a_shifted_mode_is_about_its_own_mean():
    mixture = random_mixture(0, 1, 2)
    one = mixture.modes + 0.1 * mixture.std * torch.randn(1000, 2, generator=rng(1), dtype=torch.float64)
    ratio = mode_scores(one, mixture.modes, mixture.std).std_ratio
    shifted = mode_scores(one + mixture.std, mixture.modes, mixture.std).std_ratio
    torch.testing.assert_close(ratio, shifted, rtol=1e-9, atol=0)


def test_nothing_near_a_mode():
    source = ring()
    found = mode_scores(torch.full((30, 2), 50.0), source.modes, source.std)
    assert [int(found.modes), float(found.high_quality), float(found.reverse_kl)] == [0, 0, inf]
    assert found.std_ratio.isnan().all()
    # one sample has no width, and that of coincident ones is 0
    alone = mode_scores(torch.cat([source.modes[:1], source.modes[1:2].repeat(3, 1)]), source.modes, source.std)
    assert alone.std_ratio[1] == 0
    assert alone.std_ratio[torch.arange(len(source.modes)) != 1].isnan().all()
    # on average: of the modes that have a width, and of none where none has
    reached = torch.cat([source.modes[:3], source.modes[1:2]])
    for samples, width in ((reached, 0.0), (source.modes[:1], math.nan), (reached + 50, math.nan)):
        given = Sets(real=samples, fake=samples, rng=rng(0), density=source)
        metric = METRICS["std_ratio"]
        assert metric.value(metric.measure(given)).item() == pytest.approx(width, nan_ok=True)
    assert alone.counts[:3].tolist() == [1, 3, 0]


def test_in_chunks_it_is_the_same():
    source = grid()
    samples = source.sample(500, rng(0))
    one, other = (mode_scores(samples, source.modes, source.std, chunk=chunk) for chunk in (25, 10**6))
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(labels, classes).float()


def test_stacked_digits_of_a_perfect_sampler_score_the_floor():
    found = [
        stacked_mode_scores(one_hot(torch.randint(10, (26_000, 3), generator=rng(seed)), 10)) for seed in range(20)
    ]
    floor = ceilings(1000, 26_000, radius=inf).reverse_kl
    assert within([each.reverse_kl for each in found], floor)
    assert {int(each.modes) for each in found} == {1000}


def test_stacked_digits_with_classes_of_their_own_frequency():
    shares = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    labels = torch.multinomial(shares, 60_000, replacement=True, generator=rng(0)).view(20_000, 3)
    plain = stacked_mode_scores(one_hot(labels, 3))
    fair = stacked_mode_scores(one_hot(labels, 3), class_shares=shares)
    assert float(fair.reverse_kl) == pytest.approx(26 / 40_000, rel=0.7)
    # against equal frequencies, three times the divergence of a channel's classes more
    more = 3 * float((shares * (3 * shares).log()).sum())
    assert float(plain.reverse_kl) == pytest.approx(more, rel=0.05)


def test_dropped_stacks_raise_the_divergence():
    digits = torch.cartesian_prod(*[torch.arange(4)] * 3)
    found = [stacked_mode_scores(one_hot(digits[:kept], 4)) for kept in (64, 40, 17, 1)]
    assert [int(each.modes) for each in found] == [64, 40, 17, 1]
    for each in found:
        assert float(each.reverse_kl) == pytest.approx(math.log(64 / int(each.modes)), abs=1e-12)


def test_each_channel_is_read_on_its_own():
    images = torch.randint(0, 256, (23, 3, 4, 4), generator=rng(0), dtype=torch.uint8)
    seen = []

    def classify(batch: Tensor) -> Tensor:
        seen.append(batch.shape)
        return one_hot(batch[:, 0, 0, 0].long() % 10, 10)

    found = stacked_probabilities(classify, images, chunk=10)
    assert found.shape == (23, 3, 10)
    assert torch.equal(found.argmax(2), images[:, :, 0, 0].long() % 10)
    assert {shape[1:] for shape in seen} == {torch.Size([1, 4, 4])}
    assert max(shape[0] for shape in seen) == 10


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: mode_scores(x, torch.zeros(2, 3), 1.0), "samples has 2 columns and modes 3"),
        (lambda x: mode_scores(x, torch.zeros(2, 2), 0.0), "std is 0.0: wanted a positive number"),
        (lambda x: mode_scores(x, torch.zeros(2, 2), 1.0, radius=-1.0), "radius is -1"),
        (lambda x: mode_scores(x * inf, torch.zeros(2, 2), 1.0), "samples has NaN or infinity"),
        (lambda x: ceilings(0, 10), "modes is 0"),
        (lambda x: stacked_mode_scores(x), r"probabilities has shape \[9, 2\]"),
        (lambda x: stacked_mode_scores(torch.rand(3, 9, 10)), "wanted at most 10 million"),
        (lambda x: stacked_mode_scores(torch.rand(3, 3, 2) / 0), "NaN or infinity"),
        (lambda x: stacked_mode_scores(torch.rand(3, 3, 2), class_shares=torch.ones(2)), "with sum 1"),
        (lambda x: stacked_probabilities(lambda part: part, x), r"images has shape \[9, 2\]"),
        # labels, and something of each pixel
        (
            lambda x: stacked_probabilities(lambda part: part[:, 0, 0, 0], x[:, :, None, None]),
            r"returned \[18\] for 18",
        ),
        (lambda x: stacked_probabilities(lambda part: part.flatten(2), x[:, :, None, None]), r"returned \[18, 1, 1\]"),
    ],
)
def test_bad_input(call, message: str):
    with pytest.raises(InputError, match=message):
        call(torch.rand(9, 2, generator=rng(0)))
