"""The swiss roll against its mathematics: a density on a curve with noise, and no modes."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import integrate
from torch import Tensor

from adversarium.data import Density, open_data
from adversarium.data.toys import SwissRoll, swiss_roll

START, STOP = 1.5 * math.pi, 4.5 * math.pi


def curve(t: np.ndarray | float) -> np.ndarray:
    return np.stack([t * np.cos(t), t * np.sin(t)], axis=-1) / 7.5


def slow_log_density(x: np.ndarray, std: float) -> float:
    """Integrate adaptively over t, piece by piece, what is left after the largest factor."""
    edges = np.linspace(START, STOP, 301)
    lowest = np.square(x - curve(np.linspace(START, STOP, 60_001))).sum(-1).min()

    def integrand(t: float) -> float:
        return math.exp((lowest - np.square(x - curve(t)).sum()) / (2 * std**2))

    total = 0.0
    for low, high in pairwise(edges):
        if max(integrand(t) for t in (low, (low + high) / 2, high)) > 1e-25:
            total += integrate.quad(integrand, low, high, epsabs=0, epsrel=1e-11, limit=200)[0]
    return math.log(total / (STOP - START)) - lowest / (2 * std**2) - math.log(2 * math.pi * std**2)


def places() -> Tensor:
    """Return points on the curve, beside it, at its ends and far beyond them."""
    rng = np.random.default_rng(0)
    on = curve(rng.uniform(START, STOP, 4)) + rng.normal(0, 1 / 30, (4, 2))
    anywhere = rng.uniform(-3, 3, (8, 2))
    ends = curve(np.array([START, STOP]))
    tangents = curve(np.array([START, STOP]) + 1e-6) - ends
    tangents *= np.array([[-1], [1]]) / np.linalg.norm(tangents, axis=1, keepdims=True)
    beyond = [ends + distance * tangents for distance in (0.0, 0.03, 0.2, 1.0, 6.0)]
    # of the last two the end is the nearest point of all, and the integrand falls from it as steeply as anywhere
    far = np.array([[9, 0], [-9, 0], [0, 9], [0, -9], [-3, 6], [-5, 8]])
    return torch.from_numpy(np.concatenate([on, anywhere, *beyond, far]))


def test_is_a_density_without_modes():
    source = open_data("swiss_roll")
    assert isinstance(source, Density)
    assert source.name == "swiss_roll"
    assert source.modes is None
    assert source.std == pytest.approx(0.25 / 7.5)
    assert source.codec.sample_shape == (2,)
    x = torch.randn(5, 2)
    torch.testing.assert_close(source.codec.encode(x), x, rtol=0, atol=0)
    torch.testing.assert_close(source.codec.decode(x), x, rtol=0, atol=0)


@pytest.mark.parametrize("std", [0.25 / 7.5, 0.1, 0.3])
def test_the_density_is_the_integral_over_the_curve(std: float):
    x = places()
    found = SwissRoll("some", std=std).log_density(x)
    slow = torch.tensor([slow_log_density(each, std) for each in x.numpy()])
    torch.testing.assert_close(found, slow, rtol=1e-12, atol=1e-8)


@pytest.fixture(scope="module")
def over_plane() -> tuple[Tensor, float]:
    """Return log p on a lattice, and the area of its cells."""
    source = swiss_roll()
    # of Gaussians of this std the rectangle rule errs by 4 exp(-2 pi^2 / 0.9^2), about 1e-10
    step, reach = 0.9 * source.std, STOP / 7.5 + 7 * source.std
    line = torch.arange(-reach, reach + step, step, dtype=torch.float64)
    return source.log_density(torch.cartesian_prod(line, line)), step**2


def test_integrates_to_one_over_the_plane(over_plane: tuple[Tensor, float]):
    logs, area = over_plane
    assert logs.exp().sum().item() * area == pytest.approx(1, abs=1e-9)


def test_derivatives():
    source = swiss_roll()
    x = (source.sample(4, torch.Generator().manual_seed(0)).double() + 0.01).requires_grad_()
    assert torch.autograd.gradcheck(source.log_density, (x,))
    assert torch.autograd.gradgradcheck(source.log_density, (x,))


def test_in_float32_in_chunks_and_far_away():
    source = swiss_roll()
    x = torch.cat([source.sample(3000, torch.Generator().manual_seed(0)), torch.tensor([[300.0, -200.0]])])
    x.requires_grad_()
    found = source.log_density(x)
    assert found.dtype == torch.float32
    exact = source.log_density(x.detach().double())
    torch.testing.assert_close(found[:-1].double(), exact[:-1], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(found[-1].double(), exact[-1], rtol=1e-5, atol=0)
    (slope,) = torch.autograd.grad(found.sum(), x)
    assert slope.isfinite().all()
    one_by_one = torch.cat([source.log_density(each[None]) for each in x.detach()[1020:1030].double()])
    torch.testing.assert_close(exact[1020:1030], one_by_one, rtol=1e-12, atol=0)
    assert source.log_density(x.detach()[:0]).shape == (0,)


@pytest.mark.parametrize("std", [0.25 / 7.5, 0.5])
def test_sample_moments(std: float):
    n = 40_000
    x = SwissRoll("some", std=std).sample(n, torch.Generator().manual_seed(3))
    assert x.shape == (n, 2)
    assert x.dtype == torch.float32

    def mean_of(integrand) -> float:
        return integrate.quad(integrand, START, STOP)[0] / (STOP - START)

    mean = np.array([mean_of(lambda t, i=i: curve(t)[i]) for i in range(2)])
    second = [[mean_of(lambda t, i=i, j=j: curve(t)[i] * curve(t)[j]) for j in range(2)] for i in range(2)]
    covariance = np.array(second) - np.outer(mean, mean) + std**2 * np.eye(2)
    centred = x.double().numpy() - mean
    assert (np.abs(centred.mean(0)) < 4.5 * np.sqrt(covariance.diagonal() / n)).all()
    products = centred[:, :, None] * centred[:, None, :]
    assert (np.abs(products.mean(0) - covariance) < 4.5 * products.std(0) / math.sqrt(n)).all()


def test_samples_are_as_probable_as_they_should_be(over_plane: tuple[Tensor, float]):
    source, n = swiss_roll(), 10_000
    logs = source.log_density(source.sample(n, torch.Generator().manual_seed(0)).double())
    everywhere, area = over_plane
    for power in (1, 2):  # mean and mean square of log p, under p
        values = logs**power
        expected = (everywhere.exp() * everywhere**power).sum() * area
        assert abs(float(values.mean() - expected)) < 4.5 * float(values.std()) / math.sqrt(n)


def test_samples_follow_the_generator():
    draw = [swiss_roll().sample(7, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)]
    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])
