"""Mean pairwise distance, diversity and the Vendi score against closed forms and full matrices."""

import math

import pytest
import torch
from scipy.spatial.distance import pdist
from torch import Tensor

from adversarium.errors import InputError
from adversarium.metrics.diversity import diversity, mean_pairwise_distance, vendi_score


def randn(n: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize(("n", "d"), [(2, 1), (57, 3), (130, 40), (64, 300)])
@pytest.mark.parametrize("chunk", [7, 1000])
def test_mean_pairwise_distance_equals_scipy(n: int, d: int, chunk: int):
    x = 5 + 3 * randn(n, d, n)
    assert float(mean_pairwise_distance(x, chunk=chunk)) == pytest.approx(pdist(x.numpy()).mean(), rel=1e-9)
    assert float(mean_pairwise_distance(x.float(), chunk=chunk)) == pytest.approx(pdist(x.numpy()).mean(), rel=1e-5)


@pytest.mark.parametrize("dimension", [1, 2, 7, 30])
def test_mean_pairwise_distance_of_gaussians(dimension: int):
    # the difference of two has variance 2 s^2: the mean of a chi variable
    s = 0.3 * dimension
    draws = [float(mean_pairwise_distance(s * randn(60, dimension, seed, torch.float32))) for seed in range(50)]
    expected = 2 * s * math.exp(math.lgamma((dimension + 1) / 2) - math.lgamma(dimension / 2))
    mean, sd = float(torch.tensor(draws).mean()), float(torch.tensor(draws).std())
    assert abs(mean - expected) < 4 * sd / 50**0.5


@pytest.mark.parametrize("d", [3, 50])
def test_equal_samples_have_no_distance(d: int):
    x = randn(1, d, 0, torch.float32).repeat(40, 1) * 1e4
    assert float(mean_pairwise_distance(x)) == 0
    assert float(diversity(randn(40, d, 1), x)) == 0


def test_products_that_torch_may_round_are_not_used(monkeypatch: pytest.MonkeyPatch):
    x = 3 + randn(30, 20, 0, torch.float32)
    exact = mean_pairwise_distance(x.double())
    assert mean_pairwise_distance(x) != exact
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    assert float(mean_pairwise_distance(x)) == pytest.approx(float(exact), rel=1e-12)


def test_large_and_small_units():
    x = randn(30, 20, 0, torch.float32)
    for factor in (2.0**-90, 2.0**90):
        assert float(mean_pairwise_distance(x * factor)) == pytest.approx(
            float(mean_pairwise_distance(x)) * factor, rel=1e-6
        )


def test_diversity_is_a_ratio_and_falls_when_a_mode_is_dropped():
    x = randn(80, 6, 0)
    assert float(diversity(x, x)) == 1
    assert float(diversity(x, 0.25 * x + 3)) == pytest.approx(0.25, rel=1e-12)
    modes = 30 * torch.nn.functional.one_hot(torch.arange(5), 6).double()
    noise = randn(200, 6, 1)
    real = modes[torch.arange(200) % 5] + noise
    found = [float(diversity(real, modes[torch.arange(200) % kept] + noise)) for kept in (5, 4, 3, 2, 1)]
    assert found == sorted(found, reverse=True)
    assert found[0] == 1
    assert found[-1] < 0.1
    scores = [float(vendi_score(modes[torch.arange(200) % kept] + noise)) for kept in (5, 4, 3, 2)]
    assert scores == sorted(scores, reverse=True)


def test_distance_and_diversity_have_gradients():
    x = randn(9, 20, 0).requires_grad_()
    torch.autograd.gradcheck(lambda rows: mean_pairwise_distance(rows, chunk=4), (x,))
    torch.autograd.gradcheck(lambda rows: diversity(randn(7, 20, 1), rows), (x,))
    torch.autograd.gradcheck(vendi_score, (x,))
    torch.autograd.gradcheck(vendi_score, (randn(9, 3, 2).requires_grad_(),))
    same = torch.ones(5, 20, requires_grad=True)
    mean_pairwise_distance(same).backward()
    assert same.grad is not None
    assert not same.grad.any()


@pytest.mark.parametrize(("n", "d"), [(40, 7), (7, 40), (30, 30), (100, 1)])
def test_vendi_is_the_same_from_either_matrix(n: int, d: int):
    x = randn(n, d, n) + 0.5
    unit = x / x.norm(dim=1, keepdim=True)
    singular = torch.linalg.svdvals(unit).square() / n
    singular = singular[singular > 1e-14]
    expected = math.exp(-float((singular * singular.log()).sum()))
    assert float(vendi_score(x, chunk=9)) == pytest.approx(expected, rel=1e-10)
    by_matrix = vendi_score(
        x, kernel=lambda a, b: (a / a.norm(dim=1, keepdim=True)) @ (b / b.norm(dim=1, keepdim=True)).T
    )
    assert float(by_matrix) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("groups", [1, 2, 5, 9])
def test_vendi_counts_kinds(groups: int):
    # equal groups, alike within and unlike between: their number; unequal ones: the exponential of the entropy
    each = torch.eye(9, dtype=torch.float64)[:groups]
    assert float(vendi_score(each.repeat(4, 1))) == pytest.approx(groups, rel=1e-10)
    assert float(vendi_score(100 * each.repeat(4, 1), kernel="gaussian", bandwidth=1.0)) == pytest.approx(groups)
    sizes = torch.arange(1, groups + 1)
    shares = sizes.double() / sizes.sum()
    entropy = -float((shares * shares.log()).sum())
    assert float(vendi_score(each.repeat_interleave(sizes, 0))) == pytest.approx(math.exp(entropy), rel=1e-10)


def test_gaussian_kernel_of_two_points():
    # eigenvalues (1 +- k)/2
    d, h = 0.7, 0.9
    k = math.exp(-(d**2) / (2 * h**2))
    expected = math.exp(-sum(v * math.log(v) for v in ((1 + k) / 2, (1 - k) / 2)))
    found = vendi_score(torch.tensor([[5.0, 0.0], [5.0, d]], dtype=torch.float64), kernel="gaussian", bandwidth=h)
    assert float(found) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: mean_pairwise_distance(x[:1]), "x has 1 samples: wanted at least 2"),
        (lambda x: diversity(torch.ones(5, 3), x), "real has 5 equal samples"),
        (lambda x: diversity(x, x[:, :2]), "real has 3 columns and fake 2"),
        (lambda x: vendi_score(x * 0), "12 rows of zeros"),
        (lambda x: vendi_score(x, kernel="gaussian"), "bandwidth is None: the gaussian kernel wants"),
        (lambda x: vendi_score(x, bandwidth=2.0), "only the gaussian kernel has one"),
        (lambda x: vendi_score(x, kernel=lambda a, b: 2 * torch.ones(12, 12)), "wanted 1"),
        (lambda x: vendi_score(x, kernel=lambda a, b: torch.ones(12)), r"returned shape \[12\]"),
        (lambda x: vendi_score(x.repeat(1000, 1), kernel="gaussian", bandwidth=1.0), "12000 samples"),
        (lambda x: mean_pairwise_distance(x / 0), "x has NaN or infinity"),
        (lambda x: vendi_score(x * 1e200), "x is as large as"),
    ],
)
def test_bad_input(call, message: str):
    with pytest.raises(InputError, match=message):
        call(randn(12, 3, 0))
