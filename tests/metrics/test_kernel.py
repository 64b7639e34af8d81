"""The kernel distance against its definition, its mean and its spread over draws, and torchmetrics."""

import itertools
import math
import warnings

import pytest
import torch
from torch import nn

from adversarium.errors import InputError
from adversarium.metrics.kernel import _discrepancy, _Spread, kernel_distance


def draws(seed, *shapes):
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=rng, dtype=torch.float64) for shape in shapes]


def twin(x, y, degree=3):
    """The definition, pair by pair."""

    def kernel(a, b):
        return (float(a @ b) / len(a) + 1) ** degree

    def within(rows):
        values = [kernel(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
        return sum(values) / len(values)

    between = [kernel(a, b) for a in x for b in y]
    return within(x) + within(y) - 2 * sum(between) / len(between)


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("chunk", [1, 3, 2048])
@pytest.mark.parametrize(("n", "m"), [(4, 4), (7, 5)])
def test_it_equals_its_definition(n, m, chunk, degree):
    x, y = draws(n, (n, 3), (m, 3))
    value, _ = kernel_distance(x, y + 0.5, degree=degree, chunk=chunk)
    assert float(value) == pytest.approx(twin(x, y + 0.5, degree), rel=1e-10)


def test_degree_one_is_the_distance_of_the_means():
    # k = xᵀy/D + 1: ‖μ - ν‖²/D, of which the traces of the covariances are left out
    x, y = draws(0, (50, 4), (30, 4))
    gap = (x.mean(0) - y.mean(0)).square().sum() - x.var(0).sum() / 50 - y.var(0).sum() / 30
    torch.testing.assert_close(kernel_distance(x, y, degree=1).value, gap / 4)


@pytest.mark.parametrize("chunk", [7, 64])
def test_chunks_change_nothing(chunk):
    x, y = draws(0, (50, 6), (40, 6))
    for a, b in zip(kernel_distance(x, y, chunk=chunk), kernel_distance(x, y), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_symmetric_and_not_below_its_error_for_equal_sets():
    x, y = draws(0, (60, 6), (40, 6))
    for a, b in zip(kernel_distance(x, y), kernel_distance(y, x), strict=True):
        torch.testing.assert_close(a, b)
    value, error = kernel_distance(x, x)
    assert value < 0  # the pairs (x, x), which are left out within the sets, count between them
    assert error > 0


@pytest.mark.parametrize("count", [300, pytest.param(3000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("base", "shift", "scale", "n", "m"), [(3.0, 0.0, 1.0, 20, 25), (0.5, 0.3, 1.0, 40, 25), (0.5, 1.0, 1.2, 8, 6)]
)
def test_mean_and_spread_over_draws(base, shift, scale, n, m, count):
    rng = torch.Generator().manual_seed(0)
    width = 4
    x = torch.randn(count, n, width, generator=rng, dtype=torch.float64) + base
    y = torch.randn(count, m, width, generator=rng, dtype=torch.float64) * scale + base + shift
    found = [_discrepancy(a, b, 3, 2048) for a, b in zip(x, y, strict=True)]
    values = torch.stack([value for value, _ in found])
    assert abs(values.mean() - expected(base, shift, scale, width)) < 4 * values.std() / count**0.5
    # each term is unbiased, and so is the variance
    terms = torch.stack([torch.stack(spread) for _, spread in found])
    first = 4 * terms[:, 0] / n + 4 * terms[:, 1] / m
    second = 2 * terms[:, 2] / (n * (n - 1)) + 2 * terms[:, 3] / (m * (m - 1)) + 4 * terms[:, 4] / (n * m)
    stated = first + second
    of_method = torch.stack([spread.variance(n, m) for _, spread in found])
    torch.testing.assert_close(of_method, first.clamp(min=0) + second)
    squares = (values - values.mean()).square()
    tolerance = 4 * ((squares.var() + stated.var()) / count).sqrt()
    assert abs(squares.mean() - stated.mean()) < tolerance
    if shift == 0:
        assert abs(first.mean()) < 4 * first.std() / count**0.5
        assert 0.3 < (values < 0).double().mean() < 0.7


def test_all_samples_of_small_populations():
    """Over every sample of four from three points a side, the means are the populations' own numbers."""
    points, others = draws(5, (3, 2), (3, 2))
    points, others = points + 2, others + 2
    share, other_share = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]], dtype=torch.float64)
    pooled = torch.cat([points, others])
    kernel = (pooled @ pooled.T / 2 + 1) ** 3
    p, q = torch.cat([share, 0 * share]), torch.cat([0 * share, other_share])
    witness = kernel @ (p - q)

    def product(a, b):  # of the covariances of the kernel's features
        return a @ kernel**2 @ b - a @ (kernel @ b) ** 2 - b @ (kernel @ a) ** 2 + (a @ kernel @ b) ** 2

    def variance(weights):
        return weights @ witness**2 - (weights @ witness) ** 2

    wanted = [(p - q) @ witness, variance(p), variance(q), product(p, p), product(q, q), product(p, q)]
    found = torch.zeros(6, dtype=torch.float64)
    square = torch.zeros((), dtype=torch.float64)
    places = list(itertools.combinations_with_replacement(range(3), 4))
    for one, other in itertools.product(places, places):
        weight = math.prod(float(share[i]) for i in one) * orders(one)
        weight *= math.prod(float(other_share[i]) for i in other) * orders(other)
        value, spread = _discrepancy(points[list(one)], others[list(other)], 3, 2048)
        found += weight * torch.stack([value, *spread])
        square += weight * value**2
    torch.testing.assert_close(found, torch.stack(wanted), rtol=1e-9, atol=0)
    torch.testing.assert_close(square - found[0] ** 2, _Spread(*found[1:]).variance(4, 4), rtol=1e-9, atol=0)


def orders(places):
    """In how many orders these can be drawn."""
    return math.factorial(len(places)) // math.prod(math.factorial(places.count(i)) for i in set(places))


def expected(base, shift, scale, width):
    """The distance of N(base, 1) and N(base + shift, scale²), in ``width`` independent columns, in closed form."""

    # E (1 + z)³ = 1 + 3·E z + 3·E z² + E z³ with z = Σ_d x_d·y_d / D, a sum of independent equal terms
    def moments_of(mean, spread):
        return mean, mean**2 + spread**2, mean**3 + 3 * mean * spread**2

    def value(p, q):
        one, two, three = (
            a * b / width ** (k + 1) for k, (a, b) in enumerate(zip(moments_of(*p), moments_of(*q), strict=True))
        )
        variance, skew = two - one**2, three - 3 * two * one + 2 * one**3
        mean = width * one
        return 1 + 3 * mean + 3 * (mean**2 + width * variance) + mean**3 + 3 * mean * width * variance + width * skew

    p, q = (base, 1.0), (base + shift, scale)
    return value(p, p) + value(q, q) - 2 * value(p, q)


@pytest.mark.parametrize(("shift", "slack"), [(0.0, 1.5), (0.5, 1.2)])
def test_the_stated_error_covers_and_is_not_wasteful(shift, slack):
    rng = torch.Generator().manual_seed(1)
    count = 150
    x = torch.randn(count, 60, 8, generator=rng)
    y = torch.randn(count, 60, 8, generator=rng) + shift
    found = [kernel_distance(a, b) for a, b in zip(x, y, strict=True)]
    values, errors = torch.stack([f.value for f in found]), torch.stack([f.standard_error for f in found])
    ratio = errors.square().mean().sqrt() / values.std()
    # a spread of 150 is known to 6 %; under equality the stated error errs upwards
    assert 0.8 < ratio < slack
    # 95 % of 150 within two standard errors, give or take 3 binomial deviations
    assert ((values - values.mean()).abs() < 2 * errors).double().mean() > 0.89


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_the_error_of_the_subset_protocol(shift):
    rng = torch.Generator().manual_seed(2)
    count = 60
    found = []
    for _ in range(count):
        x, y = torch.randn(120, 6, generator=rng), torch.randn(100, 6, generator=rng) + shift
        found.append(kernel_distance(x, y, subsets=3, subset_size=30, rng=rng))
    values, errors = torch.stack([f.value for f in found]), torch.stack([f.standard_error for f in found])
    # the spread of 60 is known to 9 %
    assert 0.73 < errors.square().mean().sqrt() / values.std() < 1.6
    assert abs(values.mean() - expected_shifted(shift)) < 4 * values.std() / count**0.5


def expected_shifted(shift):
    rng = torch.Generator().manual_seed(3)
    x, y = torch.randn(4000, 6, generator=rng), torch.randn(4000, 6, generator=rng) + shift
    return kernel_distance(x, y).value


def test_subsets_follow_their_generator_and_nothing_else():
    x, y = draws(0, (50, 4), (40, 4))
    before = torch.random.get_rng_state()
    first, again, other = (
        kernel_distance(x, y, subsets=3, subset_size=10, rng=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first == again
    assert first.value != other.value
    assert torch.equal(torch.random.get_rng_state(), before)
    # subsets that are the whole: the value of all pairs, whatever the draw
    whole = kernel_distance(x[:40], y, subsets=2, subset_size=40, rng=torch.Generator().manual_seed(0))
    for a, b in zip(whole, kernel_distance(x[:40], y), strict=True):
        torch.testing.assert_close(a, b)


class Flat(nn.Module):
    def forward(self, images):
        return images.flatten(1)


@pytest.mark.parametrize("degree", [2, 3])
def test_it_equals_torchmetrics(degree):
    kid = pytest.importorskip("torchmetrics.image.kid")
    x, y = draws(0, (40, 5), (40, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        metric = kid.KernelInceptionDistance(feature=Flat(), subsets=2, subset_size=40, degree=degree)
    metric.set_dtype(torch.float64)
    metric.update(x[:, :, None, None], real=True)
    metric.update(y[:, :, None, None] + 1, real=False)
    torch.testing.assert_close(kernel_distance(x, y + 1, degree=degree).value, metric.compute()[0])


def test_float32_rows_lose_nothing_that_counts():
    x, y = draws(0, (300, 64), (300, 64))
    x, y = x.abs(), y.abs() + 0.02
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, error = kernel_distance(x.float(), y.float())
    precise = kernel_distance(x, y)
    assert value.dtype == torch.float64
    assert abs(value - precise.value) < 1e-4 * error
    torch.testing.assert_close(error, precise.standard_error, rtol=1e-3, atol=0)


def test_gradients_in_blocks():
    x, y = draws(0, (6, 3), (5, 3))
    x, y = x.requires_grad_(), y.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: kernel_distance(x, y, chunk=4).value, (x, y))
    assert not kernel_distance(x, y).standard_error.requires_grad


def test_it_grows_as_modes_are_dropped():
    noise, centres = draws(0, (8, 100, 6), (8, 1, 6))
    modes = 2 * centres + 0.1 * noise
    values = [kernel_distance(modes.flatten(0, 1), modes[:kept].flatten(0, 1)).value for kept in (8, 7, 5, 3, 1)]
    assert values == sorted(values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"degree": 0}, "degree is 0: wanted at least 1"),
        ({"chunk": 0}, "chunk is 0: wanted at least 1"),
        ({"subsets": 1, "subset_size": 4}, "subsets is 1: wanted at least 2"),
        ({"subsets": 5}, "subset_size is 1000: wanted 4 to 5, the samples of the smaller set"),
        ({"subsets": 5, "subset_size": 4}, "wanted rng, a torch.Generator"),
    ],
)
def test_bad_options(options, message):
    x, y = draws(0, (6, 3), (5, 3))
    with pytest.raises(InputError, match=message):
        kernel_distance(x, y, **options)


def test_numbers_whose_kernel_overflows():
    x, y = draws(0, (6, 3), (5, 3))
    rng = torch.Generator().manual_seed(0)
    for options in ({}, {"subsets": 2, "subset_size": 4, "rng": rng}):
        with pytest.raises(InputError, match="too large for torch.float32 powers of their products"):
            kernel_distance(1e8 * x.float(), y.float(), **options)
    assert kernel_distance(1e8 * x, y).value.isfinite()


def test_products_that_torch_may_round_are_not_used(monkeypatch):
    x, y = draws(0, (30, 16), (20, 16))
    x, y = x.float(), y.float()
    exact = kernel_distance(x.double(), y.double())
    assert kernel_distance(x, y).value != exact.value
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    for a, b in zip(kernel_distance(x, y), exact, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)


def test_too_few_samples():
    x, y = draws(0, (3, 3), (5, 3))
    with pytest.raises(InputError, match="real has 3 samples: wanted at least 4"):
        kernel_distance(x, y)
