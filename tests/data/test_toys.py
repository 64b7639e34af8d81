"""The toys against their mathematics."""

import math

import numpy as np
import pytest
import torch

from adversarium.data import Density
from adversarium.data.toys import Mixture, gaussians8, gaussians25, grid, ring

TOYS = {"ring": ring, "grid": grid, "gaussians8": gaussians8, "gaussians25": gaussians25}


@pytest.mark.parametrize("toy", TOYS)
def test_is_a_density_with_an_identity_codec(toy: str):
    source = TOYS[toy]()
    assert isinstance(source, Density)
    assert source.name == toy
    assert source.codec.sample_shape == (2,)
    assert not source.codec.is_image
    x = torch.randn(5, 2)
    torch.testing.assert_close(source.codec.encode(x), x, rtol=0, atol=0)


def test_published_centres_and_widths():
    eight, twenty_five = ring(), grid()
    assert eight.modes.shape == (8, 2)
    assert eight.std == 0.01
    assert twenty_five.modes.shape == (25, 2)
    assert twenty_five.std == 0.05
    assert eight.modes.dtype == twenty_five.modes.dtype == torch.float64
    # all distinct: neighbours on the ring are 2 sin(pi/8) apart, on the grid 2
    for source, gap in ((eight, 2 * math.sin(math.pi / 8)), (twenty_five, 2.0)):
        distance = torch.cdist(source.modes, source.modes)
        distance.fill_diagonal_(torch.inf)
        torch.testing.assert_close(distance.min(dim=1).values, torch.full((len(source.modes),), gap).double())
        torch.testing.assert_close(source.modes.mean(0), torch.zeros(2).double())
    torch.testing.assert_close(eight.modes.norm(dim=1), torch.ones(8).double())
    torch.testing.assert_close(eight.modes[0], torch.tensor([1.0, 0.0]).double())
    assert twenty_five.modes.abs().max() == 4


def test_the_toys_of_wgan_gp_are_the_ring_and_the_grid_at_other_scales():
    half = 1 / math.sqrt(2)
    corners = [(1, 0), (-1, 0), (0, 1), (0, -1), (half, half), (half, -half), (-half, half), (-half, -half)]
    eight, twenty_five = gaussians8(), gaussians25()
    nearest = torch.cdist(eight.modes, 2 * torch.tensor(corners).double() / 1.414).min(dim=1)
    assert sorted(nearest.indices.tolist()) == list(range(8))
    assert nearest.values.max() < 1e-6
    assert eight.std == pytest.approx(0.02 / 1.414)
    assert set(map(tuple, (2.828 / 2 * twenty_five.modes).round().tolist())) == {
        (float(x), float(y)) for x in range(-2, 3) for y in range(-2, 3)
    }
    assert twenty_five.std == pytest.approx(0.05 / 2.828)
    for one, other in ((eight, ring()), (twenty_five, grid())):
        scale = one.std / other.std
        torch.testing.assert_close(one.modes, scale * other.modes)
        x = other.sample(50, torch.Generator().manual_seed(0)).double()
        torch.testing.assert_close(one.log_density(scale * x), other.log_density(x) - 2 * math.log(scale))


@pytest.mark.parametrize("toy", TOYS)
def test_each_mode_integrates_to_its_share(toy: str):
    source = TOYS[toy]()
    # on a whole Gaussian the rectangle rule at half its std errs by 2 exp(-8 pi^2), about 1e-34
    step = source.std / 2
    line = torch.arange(-16, 17).double() * step
    square = torch.cartesian_prod(line, line)
    for mode in source.modes:
        mass = source.log_density(mode + square).exp().sum() * step**2
        torch.testing.assert_close(mass, torch.tensor(1 / len(source.modes), dtype=torch.float64), rtol=1e-9, atol=0)


def test_density_of_a_random_mixture_is_the_sum_over_its_modes():
    rng = torch.Generator().manual_seed(1)
    modes = torch.randn(5, 3, generator=rng, dtype=torch.float64)
    mixture, x = Mixture("random", modes, std=0.7), torch.randn(20, 3, generator=rng, dtype=torch.float64)
    normal = torch.distributions.MultivariateNormal
    slow = sum(normal(m, 0.49 * torch.eye(3).double()).log_prob(x).exp() for m in modes) / 5
    torch.testing.assert_close(mixture.log_density(x), slow.log())


def test_log_density_is_finite_far_away_and_differentiable():
    x = torch.tensor([[300.0, -200.0], [1.0, 0.0]], requires_grad=True)
    values = ring().log_density(x)
    assert values.dtype == torch.float32
    assert torch.isfinite(values).all()
    (slope,) = torch.autograd.grad(values.sum(), x)
    # one mode prevails everywhere: the score is (mode - x) / std^2
    torch.testing.assert_close(slope[1], torch.zeros(2), atol=1e-2, rtol=0)
    assert torch.isfinite(slope).all()


@pytest.mark.parametrize("seed", range(3))
def test_sample_moments(seed: int):
    rng = torch.Generator().manual_seed(seed)
    modes = 3 * torch.randn(4, 2, generator=rng, dtype=torch.float64)
    std, n = 0.1 + seed, 40_000
    x = Mixture("random", modes, std=std).sample(n, rng)
    assert x.shape == (n, 2)
    assert x.dtype == torch.float32
    x = x.double()
    covariance = std**2 * torch.eye(2).double() + torch.cov(modes.T, correction=0)
    error = (covariance.diag() / n).sqrt()
    assert ((x.mean(0) - modes.mean(0)).abs() < 4.5 * error).all()
    # the standard error of a covariance entry, from the sample's own fourth moments
    centred = x - modes.mean(0)
    products = centred[:, :, None] * centred[:, None, :]
    assert ((products.mean(0) - covariance).abs() < 4.5 * products.std(0) / math.sqrt(n)).all()


@pytest.mark.parametrize("toy", TOYS)
def test_samples_fall_on_their_modes_as_often_and_as_wide_as_they_should(toy: str):
    source, n = TOYS[toy](), 20_000
    x = source.sample(n, torch.Generator().manual_seed(0)).double()
    distance, nearest = torch.cdist(x, source.modes).min(dim=1)
    share, k = 1 - math.exp(-4.5), len(source.modes)  # within three std: 98.889 %
    assert abs((distance < 3 * source.std).double().mean().item() - share) < 4.5 * math.sqrt(share * (1 - share) / n)
    counts = np.bincount(nearest.numpy(), minlength=k)
    assert (np.abs(counts - n / k) < 4.5 * math.sqrt(n / k * (1 - 1 / k))).all()
    # mean negative log density = entropy: log k + 1 + log(2 pi std^2), std 1 per sample (chi square of 2 degrees)
    entropy = math.log(k) + 1 + math.log(2 * math.pi * source.std**2)
    assert abs(-source.log_density(x).mean().item() - entropy) < 4.5 / math.sqrt(n)


def test_samples_follow_the_generator():
    draw = [ring().sample(7, torch.Generator().manual_seed(s)) for s in (3, 3, 4)]
    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])
