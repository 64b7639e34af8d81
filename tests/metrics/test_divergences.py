"""KL, JS and TV: closed forms within the stated standard error, quadrature, histograms, scipy, refusals."""

import math
from collections.abc import Callable

import pytest
import scipy.spatial.distance
import scipy.stats
import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.metrics.divergences import (
    histogram_js,
    histogram_kl,
    histogram_total_variation,
    js_divergence,
    kl_divergence,
    total_variation,
)
from adversarium.metrics.metric import Estimate

every_seed = pytest.mark.parametrize("seed", range(4))


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=torch.float64)


def gaussian(mean: float = 0.0, std: float = 1.0) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.distributions.Normal(mean, std).log_prob(x).sum(1)


def uniform(low: float, high: float) -> Callable[[Tensor], Tensor]:
    inside = -math.log(high - low)
    return lambda x: torch.where(((x >= low) & (x < high)).all(1), inside, -math.inf).double()


def within(found: Estimate, expected: float, errors: float = 4.0) -> bool:
    return bool(abs(found.value - expected) <= errors * found.standard_error)


@every_seed
def test_gaussians_have_their_closed_forms(seed: int):
    m, n = abs(normal(1, seed=seed).item()) + 0.2, 20_000
    x, y = normal(n, 1, seed=seed + 10), normal(n, 1, seed=seed + 20) + m
    p, q = gaussian(), gaussian(m)
    assert within(kl_divergence(p, q, x), m**2 / 2)
    assert within(kl_divergence(q, p, y), m**2 / 2)
    assert within(total_variation(p, q, x, y), math.erf(m / 2 / math.sqrt(2)))
    kl = kl_divergence(p, q, x)  # the log ratio is N(m²/2, m²)
    assert kl.standard_error.item() == pytest.approx(m / math.sqrt(n), rel=0.05)


def test_js_of_two_gaussians_is_the_known_number():
    found = js_divergence(gaussian(), gaussian(1.0), normal(40_000, 1, seed=0), normal(30_000, 1, seed=1) + 1)
    assert within(found, 0.1114214822)
    assert found.standard_error < 0.002


@every_seed
def test_unequal_gaussians_equal_quadrature_in_several_dimensions(seed: int):
    d = 1 + seed
    x, y = normal(20_000, d, seed=seed), 1.7 * normal(15_000, d, seed=seed + 9) + 0.5
    p, q = gaussian(), gaussian(0.5, 1.7)
    one = torch.distributions.kl_divergence(torch.distributions.Normal(0, 1), torch.distributions.Normal(0.5, 1.7))
    assert within(kl_divergence(p, q, x), d * one.item())
    if d == 1:
        grid = torch.linspace(-15, 15, 200_001, dtype=torch.float64)
        step = (grid[1] - grid[0]).item()
        a, b = p(grid[:, None]).exp(), q(grid[:, None]).exp()
        assert within(total_variation(p, q, x, y), (a - b).abs().sum().item() * step / 2)
        js = (torch.xlogy(a, 2 * a / (a + b)) + torch.xlogy(b, 2 * b / (a + b))).sum().item() * step / 2
        assert within(js_divergence(p, q, x, y), js)


def test_the_standard_error_is_that_of_the_draws():
    p, q, m, draws = gaussian(), gaussian(0.8), 0.8, 200
    for function in (
        lambda x, y: kl_divergence(p, q, x),
        lambda x, y: js_divergence(p, q, x, y),
        lambda x, y: total_variation(p, q, x, y),
    ):
        found = [function(normal(300, 1, seed=i), normal(100, 1, seed=5000 + i) + m) for i in range(draws)]
        values, errors = (torch.stack(each) for each in zip(*found, strict=True))
        assert errors.mean().item() == pytest.approx(values.std().item(), rel=0.2)


def test_supports_that_overlap_in_part():
    x, y = torch.rand(20_000, 1, generator=rng(0)), torch.rand(30_000, 1, generator=rng(1)) + 0.25
    p, q = uniform(0, 1), uniform(0.25, 1.25)
    assert kl_divergence(p, q, x) == (math.inf, 0)
    assert within(total_variation(p, q, x, y), 0.25)
    assert within(js_divergence(p, q, x, y), 0.25 * math.log(2))
    half = uniform(0, 0.5)
    kl = kl_divergence(half, p, x / 2)
    assert kl.value.item() == pytest.approx(math.log(2), rel=1e-6)
    assert kl.standard_error.item() == pytest.approx(0, abs=1e-9)


def test_supports_that_do_not_overlap():
    x, y = torch.rand(50, 2), torch.rand(60, 2) + 2
    p, q = uniform(0, 1), uniform(2, 3)
    assert total_variation(p, q, x, y) == (1, 0)
    assert js_divergence(p, q, x, y).value.item() == pytest.approx(math.log(2), rel=1e-12)
    far = js_divergence(gaussian(), gaussian(1e4), normal(9, 1, seed=0), normal(9, 1, seed=1) + 1e4)
    assert far.value.item() == pytest.approx(math.log(2), rel=1e-12)


@every_seed
def test_zero_for_equal_densities_and_symmetric(seed: int):
    x, y, m = normal(50, 3, seed=seed), normal(40, 3, seed=seed + 9), 0.7
    p, q = gaussian(), gaussian(m)
    assert kl_divergence(p, p, x) == (0, 0)
    assert js_divergence(p, p, x, y) == pytest.approx((0, 0), abs=1e-15)
    assert total_variation(p, p, x, y) == (0, 0)
    for function in (js_divergence, total_variation):
        forth, back = function(p, q, x, y + m), function(q, p, y + m, x)
        assert forth == back


def test_grows_as_modes_are_dropped():
    def mixture(modes: int) -> Callable[[Tensor], Tensor]:
        components = torch.distributions.Normal(4.0 * torch.arange(modes).double(), 0.5)
        return lambda x: components.log_prob(x).logsumexp(1) - math.log(modes)

    def draw(modes: int, seed: int) -> Tensor:
        which = torch.randint(modes, (2000, 1), generator=rng(seed))
        return 4.0 * which + 0.5 * normal(2000, 1, seed=seed + 1)

    x = draw(4, 0)
    for function in (js_divergence, total_variation, lambda p, q, x, y: kl_divergence(p, q, x)):
        found = [function(mixture(4), mixture(kept), x, draw(kept, 5)).value.item() for kept in (4, 3, 2, 1)]
        assert found == sorted(found)
    # a part of the modes: the reverse divergence is the log of its share
    reverse = kl_divergence(mixture(2), mixture(4), draw(2, 3))
    assert reverse.value.item() == pytest.approx(math.log(2), rel=1e-3)


def test_gradients_by_the_parameters_of_a_density():
    mean = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    x, y = normal(20, 1, seed=0), normal(15, 1, seed=1)

    def q(mean: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda rows: -(rows[:, 0] - mean).square() / 2 - math.log(2 * math.pi) / 2

    for function in (
        lambda m: kl_divergence(gaussian(), q(m), x).value,
        lambda m: js_divergence(gaussian(), q(m), x, y).value,
        lambda m: total_variation(gaussian(), q(m), x, y).value,
    ):
        assert torch.autograd.gradcheck(function, (mean,))


@every_seed
def test_histograms_equal_scipy(seed: int):
    p, q = (torch.rand(9, generator=rng(seed + i), dtype=torch.float64) for i in (0, 50))
    p[3] = 0
    assert histogram_kl(p, q).item() == pytest.approx(scipy.stats.entropy(p.numpy(), q.numpy()), rel=1e-12)
    js = scipy.spatial.distance.jensenshannon(p.numpy(), q.numpy()) ** 2
    assert histogram_js(p, q).item() == pytest.approx(js, rel=1e-12)
    expected = ((p / p.sum() - q / q.sum()).abs().sum() / 2).item()
    assert histogram_total_variation(p, q).item() == pytest.approx(expected, rel=1e-12)
    assert histogram_kl(q, p) == math.inf


@every_seed
def test_histograms_equal_the_monte_carlo_of_their_atoms(seed: int):
    p, q = (torch.softmax(normal(6, seed=seed + i), 0) for i in (0, 50))
    x, y = (torch.multinomial(each, 20_000, True, generator=rng(seed)).double()[:, None] for each in (p, q))
    log_p, log_q = (lambda rows, each=each: each.log()[rows[:, 0].long()] for each in (p, q))
    assert within(kl_divergence(log_p, log_q, x), histogram_kl(p, q).item())
    assert within(js_divergence(log_p, log_q, x, y), histogram_js(p, q).item())
    assert within(total_variation(log_p, log_q, x, y), histogram_total_variation(p, q).item())


def test_histograms_of_counts():
    counts = torch.tensor([3, 0, 5, 2])
    for function in (histogram_kl, histogram_js, histogram_total_variation):
        assert function(counts, 7 * counts).item() == pytest.approx(0, abs=1e-15)
        p = torch.rand(4, generator=rng(0), dtype=torch.float64).requires_grad_()
        assert torch.autograd.gradcheck(lambda a, f=function: f(a, counts + 1), (p,))
    ends = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert histogram_js(*ends).item() == pytest.approx(math.log(2), rel=1e-12)
    assert histogram_total_variation(*ends) == 1
    # the mean over draws of N from K equal classes is about (K - 1)/2N
    draws = [torch.multinomial(torch.ones(8), 500, True, generator=rng(i)).bincount(minlength=8) for i in range(300)]
    found = torch.stack([histogram_kl(each, torch.ones(8)) for each in draws])
    assert abs(found.mean() - 7 / 1000) < 4 * found.std() / math.sqrt(300)


@pytest.mark.parametrize(
    ("log_p", "x", "words"),
    [
        (gaussian(), torch.zeros(1, 2), "x has 1 samples: wanted at least 2"),
        (gaussian(), torch.full((3, 2), math.nan), "x has NaN"),
        (lambda x: x, torch.zeros(3, 2), r"log_p\(x\) is of shape \[3, 2\]: wanted one log density"),
        (lambda x: math.nan * x[:, 0], torch.zeros(3, 2), r"log_p\(x\) has NaN or \+infinity"),
        (lambda x: math.inf + x[:, 0], torch.zeros(3, 2), r"log_p\(x\) has NaN or \+infinity"),
        (uniform(0, 1), torch.ones(3, 2), "x has 3 of 3 samples of density 0: wanted samples of log_p"),
    ],
)
def test_bad_input_is_named(log_p: Callable[[Tensor], Tensor], x: Tensor, words: str):
    q, y = gaussian(), torch.ones(3, 2)
    for call in (
        lambda: kl_divergence(log_p, q, x),
        lambda: js_divergence(log_p, q, x, y),
        lambda: total_variation(log_p, q, x, y),
    ):
        with pytest.raises(InputError, match=words):
            call()


def test_the_other_sides_errors_are_its_own():
    x = torch.zeros(3, 2)
    with pytest.raises(InputError, match="y has 3 of 3 samples of density 0: wanted samples of log_q"):
        js_divergence(gaussian(), uniform(0, 1), x, x + 1)
    with pytest.raises(InputError, match=r"log_q\(y\) is of shape \[3, 2\]"):
        total_variation(gaussian(), lambda y: y if y.any() else y[:, 0], x, x + 1)
    with pytest.raises(InputError, match="x has 2 columns and y 3"):
        js_divergence(gaussian(), gaussian(), x, torch.zeros(3, 3))


@pytest.mark.parametrize(
    ("q", "words"),
    [
        (torch.ones(3), "p has 2 shares and q 3"),
        (torch.ones(2, 2), r"q is of shape \[2, 2\]"),
        (torch.tensor([1.0, -1.0]), "q wanted finite numbers that are not negative"),
        (torch.zeros(2), "not all 0"),
        (torch.tensor([math.nan, 1.0]), "q wanted finite"),
    ],
)
def test_bad_histograms_are_named(q: Tensor, words: str):
    for function in (histogram_kl, histogram_js, histogram_total_variation):
        with pytest.raises(InputError, match=words):
            function(torch.ones(2), q)
