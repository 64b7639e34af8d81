"""Instance noise: its moments through a linear critic, its schedule, its seeding, and what it does to a game."""

import cmath
import inspect

import pytest
import torch
from torch import nn

from adversarium.data.noise import instance_noise, noisy
from adversarium.errors import InputError
from adversarium.types import Anneal


def test_a_linear_critic_keeps_its_mean_and_gains_variance():
    rng, std, n = torch.Generator().manual_seed(0), 0.3, 40_000
    w = torch.randn(5, 2, generator=rng, dtype=torch.float64)
    x = torch.randn(1, 5, 2, generator=rng, dtype=torch.float64).expand(n, 5, 2)
    scores = (instance_noise(std)(x, 0, rng) * w).sum((1, 2))
    spread = std * w.norm()
    assert abs(scores.mean() - (x[0] * w).sum()) < 4 * spread / n**0.5
    assert float(scores.std()) == pytest.approx(float(spread), rel=0.02)


def test_the_schedule_is_read_at_the_images_seen():
    noise, x = instance_noise(Anneal(0.5, 0.0, 1000)), torch.zeros(4, 3)

    def at(images: float) -> torch.Tensor:
        return noise(x, images, torch.Generator().manual_seed(1))

    torch.testing.assert_close(at(500), at(0) / 2)
    assert torch.equal(at(1000), x)
    assert torch.equal(at(5000), x)


def test_seed_dtype_and_gradient():
    x = torch.randn(4, 3, dtype=torch.bfloat16, requires_grad=True)
    first, again = (instance_noise(1.0)(x, 0, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.dtype == torch.bfloat16
    (gradient,) = torch.autograd.grad(first.sum(), x)
    assert torch.equal(gradient, torch.ones_like(x))
    assert instance_noise(1.0)(x).shape == x.shape


def test_a_noisy_critic_is_the_critic_of_noisy_samples():
    body = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))
    critic = noisy(body, Anneal(0.5, 0.1, 1000), torch.Generator().manual_seed(5))
    x = torch.randn(6, 3)
    critic.images = 400
    expected = body(instance_noise(Anneal(0.5, 0.1, 1000))(x, 400, torch.Generator().manual_seed(5)))
    assert torch.equal(critic(x), expected)
    assert set(critic.parameters()) == set(body.parameters())
    # any callable will do
    assert noisy(lambda samples: samples[:, 0], 0.0)(x).tolist() == x[:, 0].tolist()


@pytest.mark.parametrize("std", [0.5, 1.3, 3.0])
def test_the_dirac_game_is_damped_as_published(std: float):
    """Data at 0, generator at θ, D(x) = ψx, log loss: eigenvalues σ²f'' ± √(σ⁴f''² - f'²), f' = ½, f'' = -¼."""
    from torch.nn.functional import logsigmoid

    n, rng = 200_000, torch.Generator().manual_seed(0)
    noise = instance_noise(std)

    def field(state: torch.Tensor) -> torch.Tensor:
        theta, psi = state.unbind()
        rng.manual_seed(0)  # the same noise at each evaluation
        real, fake = noise(torch.zeros(n, dtype=torch.float64), 0, rng), noise(theta.expand(n), 0, rng)
        value = (logsigmoid(psi * real) + logsigmoid(-psi * fake)).mean()
        by_theta, by_psi = torch.autograd.grad(value, (theta, psi), create_graph=True)
        return torch.stack([-by_theta, by_psi])

    start = torch.zeros(2, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(field, start)
    found = sorted(torch.linalg.eigvals(jacobian).tolist(), key=lambda z: (z.real, z.imag))
    centre, root = -(std**2) / 4, cmath.sqrt(std**4 / 16 - 0.25)
    expected = sorted((centre - root, centre + root), key=lambda z: (z.real, z.imag))
    for ours, theirs in zip(found, expected, strict=True):
        assert abs(ours - theirs) < 0.02 * (1 + abs(theirs))


@pytest.mark.parametrize("std", [-0.1, Anneal(0.5, -0.1, 10)])
def test_negative_noise_is_refused(std):
    for make in (lambda: inspect.unwrap(instance_noise)(std), lambda: noisy(nn.Identity(), std)):
        with pytest.raises(InputError, match="std is"):
            make()
