"""Each misprint shows its defect, and is the published loss where it ought to be."""

import inspect
import itertools
import math

import pytest
import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.losses import (
    epsilon_log,
    flipped_critic,
    half_average,
    least_squares,
    minimax,
    minimax_l1_gap,
    minimax_with_real_term,
    nonsaturating,
    relativistic,
    unscaled_least_squares,
)
from adversarium.types import Loss

every_seed = pytest.mark.parametrize("seed", range(3))


def pair(seed: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    real, fake = (3 * torch.randn(2, 11, generator=draw, dtype=torch.float64)).unbind()
    return real, fake.requires_grad_()


def slope(values: Tensor, by: Tensor) -> Tensor:
    return torch.autograd.grad(values.sum(), by)[0]


def train_linear_critic(loss: Loss, *, steps: int = 800) -> tuple[float, float]:
    """Train w·x + b on N(1, 1) against N(-1, 1) by gradient descent; return D's two mean probabilities."""
    points = torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(50, dtype=torch.float64) + 0.5) / 50)
    real, fake = points + 1, points.flip(0) - 1
    weights = torch.tensor([0.5, 0.0], dtype=torch.float64, requires_grad=True)
    for _ in range(steps):
        values = loss.critic(real * weights[0] + weights[1], fake * weights[0] + weights[1])
        (gradient,) = torch.autograd.grad(values.mean(), weights)
        with torch.no_grad():
            weights -= 0.05 * gradient
    w, b = weights.tolist()
    return float((real * w + b).sigmoid().mean()), float((fake * w + b).sigmoid().mean())


def test_the_l1_term_closes_the_critics_gap():
    trained = [train_linear_critic(minimax_l1_gap(weight)) for weight in (0.0, 0.5, 1.0, 2.5)]
    gaps = [at_real - at_fake for at_real, at_fake in trained]
    assert gaps[0] > 0.55  # the minimax critic tells them apart
    assert all(wide > narrow + 0.03 for wide, narrow in itertools.pairwise(gaps))
    assert abs(gaps[-1]) < 0.02  # from λ = 2 on it is content with D = ½


@every_seed
def test_the_constant_critic_is_a_local_minimum_from_weight_2_on(seed: int):
    """Against the best case for a critic: real and fake samples that it can score as it likes."""
    still, (real, fake) = torch.zeros(11, dtype=torch.float64), pair(seed)
    for weight, is_minimum in ((1.9, False), (2.0, True), (5.0, True)):
        loss, least = minimax_l1_gap(weight), 2 * math.log(2)
        assert float(loss.critic(still, still).mean()) == pytest.approx(least, abs=1e-12)
        moved = loss.critic(1e-3 * real, 1e-3 * fake.detach()).mean()
        apart = loss.critic(still + 1e-3, still - 1e-3).mean()
        if is_minimum:
            assert moved > least
        assert (apart > least) == is_minimum


@every_seed
def test_the_l1_terms_at_weight_0_and_in_full(seed: int):
    real, fake = pair(seed)
    assert torch.equal(minimax_l1_gap(0.0).critic(real, fake), minimax().critic(real, fake))
    assert torch.equal(minimax_l1_gap(0.0).generator(real, fake), minimax().generator(None, fake))
    d_real, d_fake = real.sigmoid(), fake.sigmoid()
    game = d_real.log() + (1 - d_fake).log() - 0.7 * (d_real - d_fake).abs()
    torch.testing.assert_close(minimax_l1_gap(0.7).critic(real, fake), -game)
    torch.testing.assert_close(minimax_l1_gap(0.7).generator(real, fake), game - d_real.log())


@every_seed
def test_the_flipped_critic_falls_without_bound(seed: int):
    real, fake = pair(seed)
    for lift in (1e2, 1e4, 1e6):  # whatever the data: it suffices to raise every score
        assert flipped_critic().critic(real + lift, fake + lift).mean() < -0.9 * lift


def test_the_flipped_critic_prefers_fakes():
    at_real, at_fake = train_linear_critic(flipped_critic())
    assert at_fake > at_real + 0.05
    assert at_real > 0.6  # it calls everything real


@every_seed
def test_the_flipped_critic_has_one_term_of_the_minimax_loss(seed: int):
    real, fake = pair(seed)
    wrong, right = flipped_critic(), minimax()
    assert torch.equal(wrong.halves.real(real), right.halves.real(real))
    assert torch.equal(wrong.halves.fake(fake), -right.halves.fake(fake))
    assert torch.equal(wrong.generator(None, fake), right.generator(None, fake))


@every_seed
def test_the_real_term_gives_the_generator_nothing(seed: int):
    real, fake = pair(seed)
    wrong, right = minimax_with_real_term(), minimax()
    assert torch.equal(wrong.critic(real, fake), right.critic(real, fake))
    values = wrong.generator(real, fake)
    torch.testing.assert_close(values - right.generator(None, fake), -real.sigmoid().log())
    assert torch.equal(slope(values, fake), slope(right.generator(None, fake), fake))


@every_seed
def test_half_of_the_average_loss(seed: int):
    real, fake = pair(seed)
    wrong, right = half_average(), relativistic(pairing="average")
    assert torch.equal(wrong.critic(real, fake), right.critic(real, fake))
    torch.testing.assert_close(wrong.generator(real, fake), -(fake - real.mean()).sigmoid().log())
    # what is missing: the real half, which pulls every fake alike
    missing = slope(right.generator(real, fake), fake) - slope(wrong.generator(real, fake), fake)
    torch.testing.assert_close(missing, -(real - fake.mean()).sigmoid().mean().expand(11))
    # and it is not the published loss of that name
    assert not torch.allclose(wrong.generator(real, fake), relativistic().generator(real, fake))


@every_seed
def test_the_unscaled_squares_are_twice_the_published(seed: int):
    real, fake = pair(seed)
    wrong, right = unscaled_least_squares(), least_squares()
    torch.testing.assert_close(wrong.critic(real, fake), 2 * right.critic(real, fake))
    torch.testing.assert_close(wrong.generator(None, fake), 2 * right.generator(None, fake))
    torch.testing.assert_close(wrong.critic(real, fake), (real - 1) ** 2 + fake**2)


def test_the_epsilon_swallows_the_gradient():
    fake = torch.tensor([-30.0], dtype=torch.float64, requires_grad=True)
    assert slope(epsilon_log().generator(None, fake), fake).item() == pytest.approx(-9.3576e-6, rel=1e-4)
    assert slope(nonsaturating().generator(None, fake), fake).item() == pytest.approx(-1, abs=1e-12)
    # and in float32 the critic's gradient on a fake that it believes
    believed = torch.tensor([18.0], requires_grad=True)
    assert slope(epsilon_log().critic(believed.detach(), believed), believed).item() == 0
    assert slope(nonsaturating().critic(believed.detach(), believed), believed).item() == pytest.approx(1)


@every_seed
def test_the_epsilon_is_where_it_is_printed(seed: int):
    real, fake = pair(seed)
    d_real, d_fake = real.sigmoid(), fake.sigmoid()
    wrong = epsilon_log(0.1)
    torch.testing.assert_close(wrong.critic(real, fake), -(d_real + 0.1).log() - (1.1 - d_fake).log())
    torch.testing.assert_close(wrong.generator(None, fake), -(d_fake + 0.1).log())


@every_seed
def test_without_its_epsilon_it_is_the_nonsaturating_loss(seed: int):
    real, fake = pair(seed)
    for eps, tolerance in ((1e-6, 1e-2), (1e-300, 1e-10)):
        wrong, right = epsilon_log(eps), nonsaturating()
        torch.testing.assert_close(wrong.critic(real, fake), right.critic(real, fake), rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(
            wrong.generator(None, fake), right.generator(None, fake), rtol=tolerance, atol=tolerance
        )


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="weight is -1"):
        inspect.unwrap(minimax_l1_gap)(-1)
    for eps in (0, -1e-8):
        with pytest.raises(InputError, match="eps is"):
            inspect.unwrap(epsilon_log)(eps)
